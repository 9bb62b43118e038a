//! The codec `bincode2`: any `serde` type, by bincode 2.0.1 with `config::standard()`.
//!
//! bincode writes; `bincode_de` reads, so that neither a length prefix nor a recursive
//! type in hostile bytes costs more than the bytes are worth.

use super::bincode_de::BincodeDe;
use super::reader::Reader;
use super::{CodecId, Migration, ValueCodec};
use crate::manifest::TypeInfo;
use crate::schema::{Schema, migrate, trace};
use crate::{FormatError, Result};
use serde::{Serialize, de::DeserializeOwned};

/// The codec of `serde` types.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bincode;

impl Bincode {
    pub(crate) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let written =
            bincode::serde::encode_into_std_write(value, out, bincode::config::standard());
        match written {
            Ok(_) => Ok(()),
            Err(e) => {
                out.truncate(start);
                let message = format!("type={}: {e}", std::any::type_name::<T>());
                Err(FormatError::invalid("bincode value", message))
            }
        }
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

    /// By name, as `serde` would read JSON: see [`migrate`].
    fn migration(&self, stored: &TypeInfo) -> Result<Option<Migration<T>>> {
        let schema = ValueCodec::<T>::schema(self)?;
        if stored.codec == CodecId::BINCODE2 && stored.schema == schema {
            return Ok(None);
        }
        let stored = stored.clone();
        Ok(Some(Box::new(move |bytes| migrate(&stored.codec, &stored.schema, bytes))))
    }
}
