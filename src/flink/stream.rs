//! The bytes that a handle stands for: inside of `_metadata`, a file, or a part of one.

use super::place::FlinkFile;
use crate::{Error, ErrorKind, Result, block_on};
use bytes::Bytes;
use esker_format::FormatError;
use std::ops::Range;
use std::sync::Arc;

/// A stream of bytes that Flink wrote, and offsets count from its beginning.
#[derive(Debug, Clone)]
pub struct FlinkStream {
    source: Source,
    /// Where in the source it begins.
    start: u64,
    len_bytes: u64,
}

#[derive(Debug, Clone)]
enum Source {
    /// Bytes of `_metadata`, whose path is the other one.
    Inline(Bytes, Arc<str>),
    File(Arc<FlinkFile>),
}

impl FlinkStream {
    /// `bytes`, which lie at `start` of the file `path`.
    pub(super) fn inline(bytes: Bytes, start: u64, path: &Arc<str>) -> Self {
        let len_bytes = bytes.len() as u64;
        Self { source: Source::Inline(bytes, Arc::clone(path)), start, len_bytes }
    }

    /// `len_bytes` from `start` on of `file`.
    pub(super) fn of_file(file: Arc<FlinkFile>, start: u64, len_bytes: u64) -> Self {
        Self { source: Source::File(file), start, len_bytes }
    }

    /// Its length in bytes, as the handle states it.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Path or URL of the file that holds it.
    pub fn path(&self) -> &str {
        match &self.source {
            Source::Inline(_, path) => path,
            Source::File(file) => &file.path,
        }
    }

    /// The file that holds it; none if that is `_metadata`.
    pub fn file(&self) -> Option<&FlinkFile> {
        match &self.source {
            Source::Inline(..) => None,
            Source::File(file) => Some(file),
        }
    }

    /// Whether it is all of a file.
    pub(super) fn is_whole_file(&self) -> bool {
        self.file().is_some_and(|file| self.start == 0 && self.len_bytes == file.len_bytes)
    }

    /// Where in its file the byte at `offset` lies.
    pub fn offset_in_file(&self, offset: u64) -> u64 {
        self.start.saturating_add(offset)
    }

    /// The bytes of `range`. One call of the store, which blocks the thread.
    ///
    /// # Errors
    /// `Corrupt` if the stream or its file ends before the range does, or the file is missing; the store's.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match self.inline_bytes(&range)? {
            Some(bytes) => Ok(bytes),
            None => block_on(self.fetch(range)),
        }
    }

    /// The same, without blocking.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        if let Some(bytes) = self.inline_bytes(&range)? {
            return Ok(bytes);
        }
        let Source::File(file) = &self.source else { return Ok(Bytes::new()) };
        let range = self.offset_in_file(range.start)..self.offset_in_file(range.end);
        let missing = || Error::new(ErrorKind::Corrupt, "the file is missing");
        let bytes = file.store.get_range(&file.name, range).await;
        let bytes = bytes.and_then(|bytes| bytes.ok_or_else(missing));
        bytes.map_err(|error| error.at_path(&*file.path))
    }

    /// The bytes of `range` if they are in `_metadata`.
    fn inline_bytes(&self, range: &Range<u64>) -> Result<Option<Bytes>> {
        let Range { start, end } = *range;
        if start > end || end > self.len_bytes {
            let message = format!("bytes {start} to {end} of a stream that has {}", self.len_bytes);
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(self.path()));
        }
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(match &self.source {
            Source::Inline(bytes, _) => Some(bytes.slice(index(start)..index(end))),
            Source::File(_) => None,
        })
    }

    /// The error of what lies in this stream, with the file that holds it.
    pub(super) fn refused(&self, error: FormatError) -> Error {
        Error::from(error).at_path(self.path())
    }
}
