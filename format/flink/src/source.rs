//! Bytes that are read from front to back and need not all be in memory.

use crate::{Input, Result};

/// Bytes of one stream, read from front to back: a slice ([`Input`]), a compressed stream
/// ([`Decompressed`](crate::snappy::Decompressed)), or a file that its implementor reads piece by piece.
pub trait Source {
    /// The bytes that come next: `len` of them, and whatever more is at hand. They stay where they are until [`advance`](Self::advance).
    ///
    /// # Errors
    /// `Corrupt` if there are fewer. An implementor must refuse a `len` that cannot be before it takes memory for it.
    fn peek(&mut self, len: usize) -> Result<&[u8]>;

    /// Goes past the next `len` bytes, all of which [`peek`](Self::peek) has returned.
    fn advance(&mut self, len: usize);

    /// Where in its stream the next byte lies; of a compressed stream where the chunk lies that holds it.
    fn offset(&self) -> u64;
}

impl Source for Input<'_> {
    #[inline]
    fn peek(&mut self, len: usize) -> Result<&[u8]> {
        self.at_hand(len)
    }

    #[inline]
    fn advance(&mut self, len: usize) {
        self.skip(len);
    }

    #[inline]
    fn offset(&self) -> u64 {
        Self::offset(self)
    }
}
