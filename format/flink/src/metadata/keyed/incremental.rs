//! Handles of a RocksDB's files.

use super::{Head, put_range, read_range};
use crate::key_group::KeyGroupRange;
use crate::metadata::{Position, Reading, StreamHandle, list, put_list, text};
use crate::{Input, Output, Result};

/// The files of a RocksDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncrementalHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The checkpoint that wrote it.
    pub checkpoint_id: i64,
    /// The UUID of the backend that wrote it.
    pub backend: String,
    /// The key groups; the database may hold others, which do not count.
    pub range: KeyGroupRange,
    /// What this checkpoint wrote anew in bytes, and the handle's id; `None` up to 1.15.
    pub written: Option<(i64, String)>,
    /// The stream with the header (states and serializers).
    pub meta: StreamHandle,
    /// Files that checkpoints share.
    pub shared: Vec<NamedStream>,
    /// Files of this checkpoint alone. The database is all of both lists.
    pub private: Vec<NamedStream>,
}

/// A file of a RocksDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStream {
    /// Its name in the folder of the database.
    pub name: String,
    /// Its bytes.
    pub stream: StreamHandle,
}

impl IncrementalHandle {
    /// All files of the database.
    pub fn files(&self) -> impl Iterator<Item = &NamedStream> {
        self.shared.iter().chain(&self.private)
    }

    pub(super) fn read(input: &mut Input<'_>, head: Head, reading: Reading) -> Result<Self> {
        let Head { tag, position } = head;
        let checkpoint_id = input.i64()?;
        let backend = text::read(input)?;
        let range = read_range(input)?;
        let new = tag == 11;
        let written_bytes = if new { input.i64()? } else { 0 };
        let meta = StreamHandle::read(input, reading)?;
        let shared =
            list(input, NamedStream::LEN_BYTES_MIN, |input| NamedStream::read(input, reading))?;
        let private =
            list(input, NamedStream::LEN_BYTES_MIN, |input| NamedStream::read(input, reading))?;
        let written = if new { Some((written_bytes, text::read(input)?)) } else { None };
        Ok(Self { position, checkpoint_id, backend, range, written, meta, shared, private })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(if self.written.is_some() { 11 } else { 5 });
        out.put_i64(self.checkpoint_id);
        text::write(&self.backend, out)?;
        put_range(self.range, out);
        if let Some((written_bytes, _)) = &self.written {
            out.put_i64(*written_bytes);
        }
        self.meta.write(out)?;
        put_list(&self.shared, out, NamedStream::write)?;
        put_list(&self.private, out, NamedStream::write)?;
        match &self.written {
            Some((_, id)) => text::write(id, out),
            None => Ok(()),
        }
    }
}

impl NamedStream {
    /// The shortest that is of use: no name, and no bytes inside `_metadata`.
    const LEN_BYTES_MIN: usize = 9;

    fn read(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        Ok(Self { name: text::read(input)?, stream: StreamHandle::read(input, reading)? })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        text::write(&self.name, out)?;
        self.stream.write(out)
    }
}
