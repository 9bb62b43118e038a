//! Codecs: typed keys and values to bytes and back (SPEC.md, "Codecs").
//!
//! A codec's id stands in the manifest beside the schema of its type, so that whoever reads a
//! snapshot without the program can decode it with [`decode_value`](crate::decode_value).

mod bincode;
pub(crate) mod bincode_de;
mod bincode_key;
mod id;
mod key;
pub(crate) mod ordered;
pub(crate) mod reader;
#[cfg(test)]
mod tests;
mod tuple;

pub use self::bincode::Bincode;
#[doc(hidden)]
pub use self::bincode_key::{
    bincode_key_check, bincode_key_decode, bincode_key_encode, bincode_key_schema,
};
pub use self::id::CodecId;
pub use self::key::Key;
pub use self::ordered::{Ordered, OrderedKey};

use crate::manifest::TypeInfo;
use crate::schema::Reads;
use crate::{FormatError, FormatErrorKind, Result, Schema};
use std::sync::Arc;

/// Decodes values that were stored under another schema or by another codec.
pub type Migration<T> = Box<dyn Fn(&[u8]) -> Result<T> + Send + Sync>;

/// Values of type `T` to bytes and back.
///
/// Implementations are stateless: the same value gives the same bytes in every process.
pub trait ValueCodec<T>: Send + Sync {
    /// The name under which snapshots record this codec.
    fn id(&self) -> CodecId;

    /// The shape of `T`.
    ///
    /// # Errors
    /// `Incompatible` if the shape of `T` cannot be told.
    fn schema(&self) -> Result<Schema>;

    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// `Invalid` if `value` cannot be written; `out` is then as it was.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<()>;

    /// The value whose bytes are `bytes`, all of them.
    ///
    /// # Errors
    /// `Corrupt` if they are no such value, or longer than one.
    fn decode(&self, bytes: &[u8]) -> Result<T>;

    /// The type as manifests record it.
    ///
    /// # Errors
    /// Those of [`schema`](Self::schema).
    fn info(&self) -> Result<TypeInfo> {
        Ok(TypeInfo { codec: self.id(), schema: self.schema()? })
    }

    /// What [`migration`](Self::migration) takes besides values of the codec's own shape, for schema files;
    /// `None` where that cannot be told.
    ///
    /// # Errors
    /// Those of [`schema`](Self::schema).
    fn reads(&self) -> Result<Option<Reads>> {
        Ok(None)
    }

    /// How to read values stored as `stored`; `None` if [`decode`](Self::decode) does.
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if this codec cannot read them.
    fn migration(&self, stored: &TypeInfo) -> Result<Option<Migration<T>>> {
        let info = self.info()?;
        if info == *stored {
            return Ok(None);
        }
        let json = |info: &TypeInfo| {
            serde_json::to_string(&info.schema).unwrap_or_else(|error| error.to_string())
        };
        let message = format!(
            "stored by codec={} as {}, asked for by codec={} as {}: open the state with the stored \
             type, or bring a codec that migrates",
            stored.codec,
            json(stored),
            info.codec,
            json(&info)
        );
        Err(FormatError::new(FormatErrorKind::Incompatible, "type of a state", message))
    }
}

impl<T, C: ValueCodec<T> + ?Sized> ValueCodec<T> for Arc<C> {
    fn id(&self) -> CodecId {
        (**self).id()
    }

    fn schema(&self) -> Result<Schema> {
        (**self).schema()
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        (**self).encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        (**self).decode(bytes)
    }

    fn info(&self) -> Result<TypeInfo> {
        (**self).info()
    }

    fn reads(&self) -> Result<Option<Reads>> {
        (**self).reads()
    }

    fn migration(&self, stored: &TypeInfo) -> Result<Option<Migration<T>>> {
        (**self).migration(stored)
    }
}
