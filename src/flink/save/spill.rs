//! A stream on its way to its file: in memory while it is small, then in a temporary file.

use crate::flink::FlinkStream;
use crate::format::Digest;
use crate::format::digest::Digester;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// A stream that is longer goes to a file, in bytes. (Flink's own limit for what it leaves in the metadata is as long.)
pub(super) const INLINE_LEN_BYTES_MAX: usize = 20 << 10;
/// Bytes go to the temporary file when there are so many.
const HELD_LEN_BYTES_MAX: usize = 1 << 20;

/// Takes the bytes of a stream, one after the other.
#[derive(Default)]
pub(super) struct Spill {
    held: Vec<u8>,
    file: Option<File>,
    /// What has gone to the file.
    gone_len_bytes: u64,
    digester: Digester,
}

/// A stream, all of it. The temporary file goes with it.
pub(super) struct Spilled {
    held: Vec<u8>,
    file: Option<File>,
    pub(super) len_bytes: u64,
    pub(super) digest: Digest,
}

impl Spill {
    /// How many bytes there are: the offset of the next one.
    pub(super) fn len_bytes(&self) -> u64 {
        self.gone_len_bytes + self.held.len() as u64
    }

    /// # Errors
    /// `Retry` if the temporary folder fails.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() < HELD_LEN_BYTES_MAX { Ok(()) } else { self.flush().map_err(failed) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        self.digester.update(&self.held);
        file.write_all(&self.held)?;
        self.gone_len_bytes += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }

    /// # Errors
    /// As for [`put`](Self::put).
    pub(super) fn finish(mut self) -> Result<Spilled> {
        if self.file.is_some() || self.held.len() > INLINE_LEN_BYTES_MAX {
            self.flush().map_err(failed)?;
        } else {
            self.digester.update(&self.held);
        }
        if let Some(file) = &mut self.file {
            file.rewind().map_err(failed)?;
        }
        let (len_bytes, digest) = (self.len_bytes(), self.digester.digest());
        Ok(Spilled { held: self.held, file: self.file, len_bytes, digest })
    }
}

impl Spilled {
    /// The bytes of `stream`.
    ///
    /// # Errors
    /// As for [`Spill::put`], and the store's.
    pub(super) fn copy(stream: &FlinkStream) -> Result<Self> {
        let mut spill = Spill::default();
        let mut start = 0;
        while start < stream.len_bytes() {
            let end = stream.len_bytes().min(start + HELD_LEN_BYTES_MAX as u64);
            spill.put(&stream.read(start..end)?)?;
            start = end;
        }
        spill.finish()
    }

    /// All of it, if it is small.
    pub(super) fn small(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(&self.held)
    }

    /// The next bytes, up to `len_bytes_max` of them; none at the end.
    ///
    /// # Errors
    /// As for [`Spill::put`].
    pub(super) fn next(&mut self, len_bytes_max: usize) -> Result<Option<Bytes>> {
        let mut piece = Vec::new();
        match &mut self.file {
            Some(file) => {
                let mut part = file.take(len_bytes_max as u64);
                part.read_to_end(&mut piece).map_err(failed)?;
            }
            None => {
                let rest = self.held.split_off(self.held.len().min(len_bytes_max));
                piece = std::mem::replace(&mut self.held, rest);
            }
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()).map(Bytes::from))
    }
}

fn failed(error: io::Error) -> Error {
    let message =
        format!("cannot keep what is written ({error}); TMPDIR names another temporary folder");
    Error::new(ErrorKind::Retry, message).at_path(std::env::temp_dir().display().to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn bytes_come_back_from_memory_and_from_a_file() {
        for len in [0, 5, INLINE_LEN_BYTES_MAX, INLINE_LEN_BYTES_MAX + 1, 3 << 20] {
            let bytes: Vec<u8> = (0..len).map(|number| (number * 7 % 251) as u8).collect();
            let mut spill = Spill::default();
            for piece in bytes.chunks(700) {
                spill.put(piece).unwrap();
            }
            assert_eq!(spill.len_bytes(), len as u64);
            let mut spilled = spill.finish().unwrap();
            assert_eq!((spilled.len_bytes, spilled.digest), (len as u64, Digest::of(&bytes)));
            assert_eq!(spilled.small().is_some(), len <= INLINE_LEN_BYTES_MAX);
            let mut found = Vec::new();
            while let Some(piece) = spilled.next(1 << 20).unwrap() {
                assert!(piece.len() <= 1 << 20);
                found.extend_from_slice(&piece);
            }
            assert!(found == bytes, "{len}");
        }
    }
}
