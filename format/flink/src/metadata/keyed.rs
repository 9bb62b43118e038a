//! Handles of keyed state.

use super::stream::StreamHandle;
use super::{
    Position, Reading, WHAT, invalid, list, put_bytes32, put_count, put_list, put_u64, read_u64,
    text,
};
use crate::key_group::KeyGroupRange;
use crate::{FormatError, Input, Output, Result};
use std::ops::Range;

/// Where keyed state of a subtask lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyedHandle {
    /// One stream with an offset for each key group: canonical, of the heap, or raw.
    KeyGroups(KeyGroupsHandle),
    /// The files of a RocksDB.
    Incremental(IncrementalHandle),
    /// Handles of another backend and what changed since.
    Changelog(ChangelogHandle),
    /// Changes inside `_metadata`; only in a [`ChangelogHandle`].
    ChangelogBytes(ChangelogBytes),
    /// Changes in files; only in a [`ChangelogHandle`].
    ChangelogFiles(ChangelogFiles),
}

/// One stream with an offset for each key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroupsHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// What was said of the stream's content.
    pub format: KeyGroupsFormat,
    /// The key groups.
    pub range: KeyGroupRange,
    /// Where the data of each key group of the range begins in the stream, in bytes. Canonical: 0 where there is none; raw: -1.
    pub offsets: Vec<i64>,
    /// The stream.
    pub stream: StreamHandle,
}

/// What a [`KeyGroupsHandle`] says of its stream's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyGroupsFormat {
    /// Nothing (up to 1.15): content of the heap's own format or the canonical one.
    Legacy,
    /// Of the heap's own format, or raw keyed state.
    Native {
        /// The id that Flink gave to the handle.
        id: String,
    },
    /// The canonical format.
    Canonical,
}

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

impl KeyedHandle {
    /// Where the handle stands in `_metadata`.
    pub fn position(&self) -> Position {
        match self {
            Self::KeyGroups(handle) => handle.position,
            Self::Incremental(handle) => handle.position,
            Self::Changelog(handle) => handle.position,
            Self::ChangelogBytes(handle) => handle.position,
            Self::ChangelogFiles(handle) => handle.position,
        }
    }

    /// The key groups that it holds state of.
    pub fn range(&self) -> KeyGroupRange {
        match self {
            Self::KeyGroups(handle) => handle.range,
            Self::Incremental(handle) => handle.range,
            Self::Changelog(handle) => handle.range,
            Self::ChangelogBytes(handle) => handle.range,
            Self::ChangelogFiles(handle) => handle.range,
        }
    }

    pub(super) fn read(input: &mut Input<'_>, reading: Reading) -> Result<Option<Self>> {
        let at = input.clone();
        let position = Position::of(&at);
        let tag = input.u8()?;
        Ok(Some(match tag {
            0 => return Ok(None),
            3 | 7 | 12 => Self::KeyGroups(KeyGroupsHandle::read(input, tag, position, reading)?),
            5 | 11 => Self::Incremental(IncrementalHandle::read(input, tag, position, reading)?),
            8 | 14 => Self::Changelog(ChangelogHandle::read(input, tag, position, reading)?),
            9 => Self::ChangelogBytes(ChangelogBytes::read(input, position)?),
            10 | 13 => Self::ChangelogFiles(ChangelogFiles::read(input, tag, position, reading)?),
            _ => return Err(at.corrupt(format!("unknown kind {tag} of a handle of keyed state"))),
        }))
    }

    fn read_one(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let at = input.clone();
        Self::read(input, reading)?
            .ok_or_else(|| at.corrupt("no handle of keyed state where there must be one"))
    }

    pub(super) fn write_optional(handle: Option<&Self>, out: &mut Vec<u8>) -> Result<()> {
        match handle {
            Some(handle) => handle.write(out),
            None => {
                out.push(0);
                Ok(())
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::KeyGroups(handle) => handle.write(out),
            Self::Incremental(handle) => handle.write(out),
            Self::Changelog(handle) => handle.write(out),
            Self::ChangelogBytes(handle) => handle.write(out),
            Self::ChangelogFiles(handle) => handle.write(out),
        }
    }
}

fn read_range(input: &mut Input<'_>) -> Result<KeyGroupRange> {
    let at = input.clone();
    let (first, count) = (input.i32()?, input.i32()?);
    let range = match (u16::try_from(first), u16::try_from(count)) {
        (Ok(first), Ok(count)) => KeyGroupRange::new(first, count).ok(),
        _ => None,
    };
    range.ok_or_else(|| {
        at.corrupt(format!("{count} key groups from {first} on: there are at most 32,768"))
    })
}

fn put_range(range: KeyGroupRange, out: &mut Vec<u8>) {
    out.put_i32(range.first().into());
    out.put_i32(range.count().into());
}

impl KeyGroupsHandle {
    /// Where in the stream the data of `key_group` begins; `None` if the range does not hold it, or the handle says that there is
    /// none (0 or below, as a header stands at the front).
    pub fn offset(&self, key_group: u16) -> Option<u64> {
        self.raw_offset(key_group).filter(|offset| *offset > 0)
    }

    /// The same of raw keyed state, which has no header: there is none where the handle says -1.
    pub fn raw_offset(&self, key_group: u16) -> Option<u64> {
        let index = key_group.checked_sub(self.range.first())?;
        let offset = *self.offsets.get(usize::from(index))?;
        u64::try_from(offset).ok()
    }

    /// Where the data of key groups begins, and the header in front of it ends; `stream_len` where there is none. In bytes.
    pub fn header_len(&self, stream_len: u64) -> u64 {
        let offsets = self.present().map(|(_, offset)| offset);
        offsets.min().unwrap_or(stream_len).min(stream_len)
    }

    /// The key groups that have data, and where each begins, in order of key group.
    pub fn present(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.range.key_groups().filter_map(|group| Some((group, self.offset(group)?)))
    }

    /// The key groups that have data, in order of key group, and the bytes of each: up to where another begins, or to the end of a stream
    /// of `stream_len` bytes. With `raw`, of raw keyed state.
    ///
    /// # Errors
    /// `Corrupt` if one begins behind the end of the stream.
    pub fn extents(&self, stream_len: u64, raw: bool) -> Result<Vec<(u16, Range<u64>)>> {
        let offset = |group| if raw { self.raw_offset(group) } else { self.offset(group) };
        let present = self.range.key_groups().filter_map(|group| Some((group, offset(group)?)));
        let mut starts: Vec<u64> = present.clone().map(|(_, start)| start).collect();
        starts.sort_unstable();
        starts.push(stream_len);
        let extent = |(group, start)| {
            if start > stream_len {
                let message = format!(
                    "key group {group} begins at {start}, behind the {stream_len} bytes of its stream"
                );
                let error = FormatError::corrupt(WHAT, message);
                return Err(self
                    .position
                    .offset()
                    .map_or(error.clone(), |offset| error.at(offset)));
            }
            let next = starts.partition_point(|other| *other <= start);
            Ok((group, start..starts.get(next).copied().unwrap_or(stream_len)))
        };
        present.map(extent).collect()
    }

    fn read(input: &mut Input<'_>, tag: u8, position: Position, reading: Reading) -> Result<Self> {
        let range = read_range(input)?;
        let mut offsets = Vec::with_capacity(usize::from(range.count()).min(input.remaining() / 8));
        for _ in range.key_groups() {
            offsets.push(input.i64()?);
        }
        let stream = StreamHandle::read(input, reading)?;
        let format = match tag {
            3 => KeyGroupsFormat::Legacy,
            7 => KeyGroupsFormat::Canonical,
            _ => KeyGroupsFormat::Native { id: text::read(input)? },
        };
        Ok(Self { position, format, range, offsets, stream })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.offsets.len() != usize::from(self.range.count()) {
            let (offsets, groups) = (self.offsets.len(), self.range.count());
            return Err(invalid(format!("{offsets} offsets for {groups} key groups")));
        }
        out.push(match self.format {
            KeyGroupsFormat::Legacy => 3,
            KeyGroupsFormat::Canonical => 7,
            KeyGroupsFormat::Native { .. } => 12,
        });
        put_range(self.range, out);
        self.offsets.iter().for_each(|offset| out.put_i64(*offset));
        self.stream.write(out)?;
        match &self.format {
            KeyGroupsFormat::Native { id } => text::write(id, out),
            _ => Ok(()),
        }
    }
}

impl IncrementalHandle {
    /// All files of the database.
    pub fn files(&self) -> impl Iterator<Item = &NamedStream> {
        self.shared.iter().chain(&self.private)
    }

    fn read(input: &mut Input<'_>, tag: u8, position: Position, reading: Reading) -> Result<Self> {
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

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
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

impl ChangelogHandle {
    fn read(input: &mut Input<'_>, tag: u8, position: Position, reading: Reading) -> Result<Self> {
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

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
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
    fn read(input: &mut Input<'_>, position: Position) -> Result<Self> {
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

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
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
    fn read(input: &mut Input<'_>, tag: u8, position: Position, reading: Reading) -> Result<Self> {
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

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
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
