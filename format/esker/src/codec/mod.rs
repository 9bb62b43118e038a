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

use crate::{Result, Schema};

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
}
