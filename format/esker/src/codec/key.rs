//! What a key of keyed state, a namespace or a map's user key must be able to do.

use super::CodecId;
use crate::{Result, Schema};
use std::hash::Hash;

/// A key: two keys are equal if and only if their encoded bytes are.
///
/// Integers, `bool`, `char`, strings, bytes, `()` and tuples of them are keys whose bytes sort as
/// they do. A `serde` type becomes one by [`bincode_key!`](crate::bincode_key); its order is then
/// that of its bytes only.
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static {
    /// Appends the key's bytes to `out`.
    fn encode_into(&self, out: &mut Vec<u8>);

    /// Calls `f` with the key's bytes; integers, strings and bytes allocate nothing.
    fn with_encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = Vec::with_capacity(64);
        self.encode_into(&mut bytes);
        f(&bytes)
    }

    /// The key whose bytes are `bytes`, all of them.
    ///
    /// # Errors
    /// `Corrupt` if they are no such key.
    fn decode(bytes: &[u8]) -> Result<Self>;

    /// The shape of the key; opaque if it cannot be told, which [`check`](Self::check) refuses.
    fn schema() -> Schema;

    /// The codec that made the bytes.
    fn codec() -> CodecId;

    /// Whether the type can be a key at all; asked once, when a state is opened.
    ///
    /// # Errors
    /// `Incompatible`, naming the part of the type whose encoding is not deterministic.
    fn check() -> Result<()> {
        Ok(())
    }
}
