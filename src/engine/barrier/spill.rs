//! Records that wait in a file: a temporary one without a name, gone with the process.

use crate::format::list::elements;
use crate::format::{Digest, ValueCodec};
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Records go to the file when there are so many bytes of them in one channel.
const CHUNK_LEN_BYTES: usize = 64 << 10;

/// Where some records are in the file.
pub(super) struct Chunk {
    offset: u64,
    len_bytes: usize,
    digest: Digest,
}

pub(super) struct Spill<R> {
    folder: PathBuf,
    codec: Arc<dyn ValueCodec<R>>,
    pub(super) chunk_len_bytes: usize,
    /// None until something is written.
    file: Option<File>,
    len_bytes: u64,
    /// Bytes that were written and not yet read.
    unread_len_bytes: u64,
}

impl<R> Spill<R> {
    pub(super) fn new(folder: PathBuf, codec: Arc<dyn ValueCodec<R>>) -> Self {
        let (file, chunk_len_bytes) = (None, CHUNK_LEN_BYTES);
        Self { folder, codec, chunk_len_bytes, file, len_bytes: 0, unread_len_bytes: 0 }
    }

    pub(super) fn codec(&self) -> &dyn ValueCodec<R> {
        &*self.codec
    }

    /// The file's length.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    #[cfg(test)]
    pub(super) fn file_mut(&mut self) -> Option<&mut File> {
        self.file.as_mut()
    }

    /// Appends `bytes` to the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<Chunk> {
        let offset = self.len_bytes;
        self.put(bytes).map_err(|error| self.failed("written", error))?;
        self.len_bytes += bytes.len() as u64;
        self.unread_len_bytes += bytes.len() as u64;
        Ok(Chunk { offset, len_bytes: bytes.len(), digest: Digest::of(bytes) })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.seek(SeekFrom::Start(self.len_bytes))?;
        file.write_all(bytes)
    }

    /// What was written as `chunk`, which is read once. When all of the file is read it begins anew.
    pub(super) fn read(&mut self, chunk: &Chunk) -> Result<Vec<u8>> {
        let bytes = self.take(chunk).map_err(|error| self.failed("read", error))?;
        if Digest::of(&bytes) != chunk.digest {
            let message = "records that were spilled are not those that were written: restore the \
                           subtask from its last checkpoint";
            let folder = self.folder.display().to_string();
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(folder));
        }
        Ok(bytes)
    }

    fn take(&mut self, chunk: &Chunk) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; chunk.len_bytes];
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(chunk.offset))?;
            file.read_exact(&mut bytes)?;
            self.unread_len_bytes -= chunk.len_bytes as u64;
            if self.unread_len_bytes == 0 {
                file.set_len(0)?;
                self.len_bytes = 0;
            }
        }
        Ok(bytes)
    }

    /// Calls `f` with each record of a chunk, and its length in bytes.
    pub(super) fn decode(&self, bytes: &[u8], mut f: impl FnMut(R, u64)) -> Result<()> {
        for element in elements(bytes) {
            let element = element?;
            f(self.codec.decode(element)?, element.len() as u64);
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        let message = format!("a temporary file for records that wait cannot be {what}: {error}");
        let folder = self.folder.display().to_string();
        Error::new(ErrorKind::Retry, message).at_path(folder).with_source(error)
    }
}
