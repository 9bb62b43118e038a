//! Handles of one stream with an offset for each key group.

use super::{Head, put_range, read_range};
use crate::key_group::KeyGroupRange;
use crate::metadata::{Position, Reading, StreamHandle, WHAT, invalid, text};
use crate::{FormatError, Input, Output, Result};
use std::ops::Range;

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
    /// Of the heap's own format, or raw keyed state; or canonical, in full checkpoints of RocksDB by Flink 1.15.
    Native {
        /// The id that Flink gave to the handle.
        id: String,
    },
    /// The canonical format.
    Canonical,
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

    pub(super) fn read(input: &mut Input<'_>, head: Head, reading: Reading) -> Result<Self> {
        let Head { tag, position } = head;
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

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
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
