//! The codec `bincode2`: any `serde` type, by bincode 2.0.1 with `config::standard()`.
//!
//! bincode writes; `bincode_de` reads, so that neither a length prefix nor a recursive
//! type in hostile bytes costs more than the bytes are worth.

use super::bincode_de::BincodeDe;
use super::reader::Reader;
use super::{CodecId, Migration, ValueCodec};
use crate::manifest::TypeInfo;
use crate::schema::{AllWritten, Reads, Schema, migrate_to, opaque_path, reads, trace};
use crate::{FormatError, FormatErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

/// The codec of `serde` types.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bincode;

impl Bincode {
    /// Writes a value with all of its fields; `out` is as it was if that fails.
    pub(crate) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
        Self::write_as_is(&AllWritten(value), out).map_err(|error| {
            let message = format!("type={}: {error}", std::any::type_name::<T>());
            FormatError::invalid("bincode value", message)
        })
    }

    /// Writes what `value` says, fields that it leaves out left out; `out` is as it was if that fails.
    pub(super) fn write_as_is<T: Serialize + ?Sized>(
        value: &T,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), bincode::error::EncodeError> {
        let start = out.len();
        let written =
            bincode::serde::encode_into_std_write(value, out, bincode::config::standard());
        written.map(|_| ()).inspect_err(|_| out.truncate(start))
    }

    pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        let mut reader = Reader::new(bytes);
        match T::deserialize(BincodeDe::new(&mut reader)) {
            Ok(value) => {
                reader.finish()?;
                Ok(value)
            }
            Err(e) => {
                let message = format!("type={}: {e}", std::any::type_name::<T>());
                Err(FormatError::corrupt("bincode value", message).at(reader.position() as u64))
            }
        }
    }
}

impl<T: Serialize + DeserializeOwned> ValueCodec<T> for Bincode {
    fn id(&self) -> CodecId {
        CodecId::BINCODE2
    }

    fn schema(&self) -> Result<Schema> {
        trace::<T>()
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        Self::write(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        Self::read(bytes)
    }

    fn reads(&self) -> Result<Option<Reads>> {
        reads::<T>().map(Some)
    }

    /// By name, as `serde` would read JSON: see [`migrate`](crate::migrate).
    fn migration(&self, stored: &TypeInfo) -> Result<Option<Migration<T>>> {
        let schema = ValueCodec::<T>::schema(self)?;
        if stored.codec == CodecId::BINCODE2 && stored.schema == schema {
            return Ok(None);
        }
        let refuse = |why: &str| {
            let message = format!("stored as {stored}, asked for as {schema}: {why}");
            Err(FormatError::new(FormatErrorKind::Incompatible, "type of a state", message))
        };
        if !stored.codec.is_known() {
            return refuse("only the codec that wrote it reads it");
        }
        if let Some(path) = opaque_path(&stored.schema) {
            return refuse(&format!(
                "only the program that wrote it knows the shape of path={path}"
            ));
        }
        let stored = stored.clone();
        let both = move |bytes: &[u8]| migrate_to(&stored.codec, [&stored.schema, &schema], bytes);
        Ok(Some(Box::new(both)))
    }
}
