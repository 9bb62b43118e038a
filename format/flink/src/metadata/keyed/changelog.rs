//! Handles of changes, and of what they are changes of.

use super::{Head, KeyedHandle, put_range, read_range};
use crate::key_group::KeyGroupRange;
use crate::metadata::{
    Position, Reading, StreamHandle, list, put_bytes32, put_count, put_list, put_u64, read_u64,
    text,
};
use crate::{Input, Output, Result};

/// Handles of another backend and what changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The key groups.
    pub range: KeyGroupRange,
    /// What this checkpoint wrote anew, in bytes.
    pub checkpointed_bytes: i64,
    /// State as another backend wrote it.
    pub materialized: Vec<KeyedHandle>,
    /// Changes since then, in order.
    pub changes: Vec<KeyedHandle>,
    /// Which materialization it was.
    pub materialization_id: i64,
    /// The checkpoint that wrote it; `None` up to 1.15.
    pub checkpoint_id: Option<i64>,
    /// The id that Flink gave to the handle.
    pub id: String,
}

/// Changes inside `_metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogBytes {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The key groups.
    pub range: KeyGroupRange,
    /// Sequence number of the first change.
    pub from: i64,
    /// Sequence number behind the last.
    pub to: i64,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The id that Flink gave to the handle.
    pub id: String,
}

/// A change inside `_metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key group, -1 where the change defines a state.
    pub key_group: i32,
    /// What the log says, encoded.
    pub bytes: Vec<u8>,
}

/// Changes in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogFiles {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The key groups.
    pub range: KeyGroupRange,
    /// The sets of changes, in order.
    pub files: Vec<ChangeFile>,
    /// Bytes of state.
    pub state_bytes: i64,
    /// What this checkpoint wrote anew, in bytes.
    pub checkpointed_bytes: i64,
    /// The id that Flink gave to the handle.
    pub id: String,
    /// Which storage; `None` up to 1.15, when there was only `filesystem`.
    pub storage: Option<String>,
}

/// A set of changes in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFile {
    /// Where it begins: uncompressed bytes behind the stream's first byte.
    pub offset: u64,
    /// The stream, which other tasks share.
    pub stream: StreamHandle,
}

impl ChangelogHandle {
    pub(super) fn read(input: &mut Input<'_>, head: Head, reading: Reading) -> Result<Self> {
        let Head { tag, position } = head;
        let reading = reading.deeper(input)?;
        let handle = |input: &mut Input<'_>| KeyedHandle::read_one(input, reading);
        Ok(Self {
            position,
            range: read_range(input)?,
            checkpointed_bytes: input.i64()?,
            materialized: list(input, 10, handle)?,
            changes: list(input, 10, handle)?,
            materialization_id: input.i64()?,
            checkpoint_id: if tag == 14 { Some(input.i64()?) } else { None },
            id: text::read(input)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(if self.checkpoint_id.is_some() { 14 } else { 8 });
        put_range(self.range, out);
        out.put_i64(self.checkpointed_bytes);
        put_list(&self.materialized, out, KeyedHandle::write)?;
        put_list(&self.changes, out, KeyedHandle::write)?;
        out.put_i64(self.materialization_id);
        if let Some(checkpoint_id) = self.checkpoint_id {
            out.put_i64(checkpoint_id);
        }
        text::write(&self.id, out)
    }
}

impl ChangelogBytes {
    pub(super) fn read(input: &mut Input<'_>, position: Position) -> Result<Self> {
        Ok(Self {
            position,
            range: read_range(input)?,
            from: input.i64()?,
            to: input.i64()?,
            changes: list(input, 8, |input| {
                Ok(Change { key_group: input.i32()?, bytes: input.bytes32()?.to_vec() })
            })?,
            id: text::read(input)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(9);
        put_range(self.range, out);
        out.put_i64(self.from);
        out.put_i64(self.to);
        put_list(&self.changes, out, |change, out| {
            out.put_i32(change.key_group);
            put_bytes32(&change.bytes, out)
        })?;
        text::write(&self.id, out)
    }
}

impl ChangelogFiles {
    pub(super) fn read(input: &mut Input<'_>, head: Head, reading: Reading) -> Result<Self> {
        let Head { tag, position } = head;
        Ok(Self {
            position,
            range: read_range(input)?,
            files: list(input, 9, |input| {
                let offset = read_u64(input, "offset")?;
                Ok(ChangeFile { offset, stream: StreamHandle::read(input, reading)? })
            })?,
            state_bytes: input.i64()?,
            checkpointed_bytes: input.i64()?,
            id: text::read(input)?,
            storage: if tag == 13 { Some(text::read(input)?) } else { None },
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(if self.storage.is_some() { 13 } else { 10 });
        put_range(self.range, out);
        put_count(self.files.len(), out)?;
        for file in &self.files {
            put_u64(file.offset, "offset", out)?;
            file.stream.write(out)?;
        }
        out.put_i64(self.state_bytes);
        out.put_i64(self.checkpointed_bytes);
        text::write(&self.id, out)?;
        match &self.storage {
            Some(storage) => text::write(storage, out),
            None => Ok(()),
        }
    }
}
