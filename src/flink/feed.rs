//! The bytes of a stream from some offset on, fetched a large piece at a time: memory for one piece, or for one entry where
//! that is longer.

use super::stream::FlinkStream;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::ops::Range;

/// What is fetched at once, in bytes.
const PIECE_LEN_BYTES: u64 = 4 << 20;

/// A part of a stream, and a place in it.
pub(super) struct Feed<'a> {
    stream: &'a FlinkStream,
    /// What was fetched from `base` on.
    piece: Bytes,
    base: u64,
    /// How much of the piece has been read.
    at: usize,
    /// Where the part ends.
    end: u64,
}

impl<'a> Feed<'a> {
    /// The bytes of `range`; nothing is fetched yet.
    pub(super) fn new(stream: &'a FlinkStream, range: Range<u64>) -> Self {
        Self { stream, piece: Bytes::new(), base: range.start, at: 0, end: range.end }
    }

    /// The offset of the next byte in the stream.
    pub(super) fn position(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// The same in its file, for errors.
    pub(super) fn offset(&self) -> u64 {
        self.stream.offset_in_file(self.position())
    }

    /// What has been fetched and not been read.
    pub(super) fn rest(&self) -> &[u8] {
        self.piece.get(self.at..).unwrap_or_default()
    }

    /// Whether nothing follows what has been fetched.
    pub(super) fn is_all(&self) -> bool {
        self.base.saturating_add(self.piece.len() as u64) >= self.end
    }

    /// Whether all has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.position() >= self.end
    }

    /// Reads past `len` bytes of [`rest`](Self::rest).
    pub(super) fn skip(&mut self, len: usize) {
        self.at = self.at.saturating_add(len).min(self.piece.len());
    }

    /// Goes to `position` of the stream; what lies there has been fetched or is fetched anew.
    pub(super) fn seek(&mut self, position: u64) {
        match position.checked_sub(self.base).map(usize::try_from) {
            Some(Ok(at)) if at <= self.piece.len() => self.at = at,
            _ => (self.piece, self.base, self.at) = (Bytes::new(), position, 0),
        }
    }

    /// Fetches until `rest` has at least `len` bytes.
    ///
    /// # Errors
    /// `Corrupt`, with the offset, if there are not as many; the store's.
    pub(super) fn need(&mut self, len: usize) -> Result<()> {
        if self.rest().len() >= len {
            return Ok(());
        }
        let (start, len) = (self.position(), len as u64);
        let left = self.end.saturating_sub(start);
        if len > left {
            let message =
                format!("needs {len} bytes at byte {}, has {left}: it was cut off", self.offset());
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(self.stream.path()));
        }
        let end = self.end.min(start.saturating_add(len.max(PIECE_LEN_BYTES)));
        self.piece = self.stream.read(start..end)?;
        (self.base, self.at) = (start, 0);
        Ok(())
    }

    /// Fetches more than `rest` has, at least twice as much; `false` if there is no more.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn grow(&mut self) -> Result<bool> {
        if self.is_all() {
            return Ok(false);
        }
        let left = self.end.saturating_sub(self.position());
        let wanted = (self.rest().len() as u64).saturating_mul(2).max(PIECE_LEN_BYTES);
        self.need(usize::try_from(wanted.min(left)).unwrap_or(usize::MAX))?;
        Ok(true)
    }
}
