//! The bytes of a stream from some offset on, fetched a large piece at a time: memory for one piece, or for one entry where
//! that is longer.

use super::stream::FlinkStream;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use esker_flink::{FormatError, Source};
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
    /// Where the bytes end that are asked for.
    end: u64,
    /// Where all end that are going to be asked for.
    last: u64,
    /// Why the last bytes that were asked for did not come.
    failed: Option<Error>,
}

impl<'a> Feed<'a> {
    /// Nothing of `stream` yet: see [`limit`](Self::limit). Nothing is fetched that lies behind `last`, without need.
    pub(super) fn new(stream: &'a FlinkStream, last: u64) -> Self {
        Self { stream, piece: Bytes::new(), base: 0, at: 0, end: 0, last, failed: None }
    }

    /// From here on the bytes of `range`. What lies behind it is fetched along with it where that is little.
    pub(super) fn limit(&mut self, range: Range<u64>) {
        self.seek(range.start);
        self.end = range.end;
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
        let end = usize::try_from(self.end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.piece.get(self.at..end.min(self.piece.len())).unwrap_or_default()
    }

    /// Reads past `len` bytes of [`rest`](Self::rest).
    pub(super) fn skip(&mut self, len: usize) {
        self.at = self.at.saturating_add(len).min(self.piece.len());
    }

    /// Goes to `position` of the stream; what lies there has been fetched or is fetched anew.
    fn seek(&mut self, position: u64) {
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
        // No small rest is left over.
        let wanted = match self.last.saturating_sub(start) {
            rest if rest < 2 * PIECE_LEN_BYTES => rest,
            _ => PIECE_LEN_BYTES,
        };
        let end = self.stream.len_bytes().min(start.saturating_add(len.max(wanted)));
        self.piece = self.stream.read(start..end)?;
        (self.base, self.at) = (start, 0);
        Ok(())
    }

    /// The error of `error`, which a reader of this feed ended with: of the store if that is why.
    pub(super) fn refused(&mut self, error: FormatError) -> Error {
        self.failed.take().unwrap_or_else(|| self.stream.refused(error))
    }
}

impl Source for &mut Feed<'_> {
    fn peek(&mut self, len: usize) -> std::result::Result<&[u8], FormatError> {
        if let Err(error) = self.need(len) {
            let told = FormatError::corrupt("stream", error.to_string()).at(Feed::offset(self));
            self.failed = Some(error);
            return Err(told);
        }
        Ok(self.rest())
    }

    fn advance(&mut self, len: usize) {
        self.skip(len);
    }

    fn offset(&self) -> u64 {
        Feed::offset(self)
    }
}
