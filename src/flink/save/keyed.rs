//! The stream of a subtask's keyed state.

use super::KeyedEntry;
use super::spill::{Spill, Spilled};
use crate::flink::format::canonical::KeyGroupWriter;
use crate::flink::format::header::KeyedHeader;
use crate::flink::format::key_group::{KeyGroupRange, prefix_len_bytes};
use crate::flink::format::metadata::{KeyGroupsFormat, KeyGroupsHandle, StreamHandle};
use crate::{Error, ErrorKind, Result};

/// Takes the entries of a subtask, ascending by key group.
pub(super) struct KeyedStream {
    range: KeyGroupRange,
    prefix_len_bytes: usize,
    spill: Spill,
    /// Of each key group of the range; 0 where there is nothing.
    offsets: Vec<i64>,
    /// The key group that is written.
    group: Option<(u16, KeyGroupWriter)>,
    entries: u64,
}

impl KeyedStream {
    /// # Errors
    /// `Invalid` if not all states of the header could be read.
    pub(super) fn new(
        header: &KeyedHeader,
        range: KeyGroupRange,
        max_parallelism: u32,
    ) -> Result<Self> {
        let (mut bytes, mut spill) = (Vec::new(), Spill::default());
        KeyedHeader { compressed: false, ..header.clone() }.write(&mut bytes)?;
        spill.put(&bytes)?;
        let (prefix_len_bytes, offsets) =
            (prefix_len_bytes(max_parallelism), vec![0; usize::from(range.count())]);
        Ok(Self { range, prefix_len_bytes, spill, offsets, group: None, entries: 0 })
    }

    /// # Errors
    /// `Invalid` if it is of a key group that is not of the subtask, or below the last one, or longer than Flink's entries
    /// are; those of the temporary folder.
    pub(super) fn add(&mut self, entry: KeyedEntry<'_>) -> Result<()> {
        let KeyedEntry { key_group, state, key, value } = entry;
        let mut writer = match self.group.take() {
            Some((group, writer)) if group == key_group => writer,
            before => {
                self.close(before, key_group)?;
                KeyGroupWriter::new(key_group, self.prefix_len_bytes)
            }
        };
        writer.raw(state, key, value)?;
        self.spill.put(&writer.take_settled())?;
        self.group = Some((key_group, writer));
        self.entries += 1;
        Ok(())
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Ends a key group, and begins `next`.
    fn close(&mut self, before: Option<(u16, KeyGroupWriter)>, next: u16) -> Result<()> {
        let last = before.as_ref().map(|(group, _)| *group);
        if let Some((_, writer)) = before {
            self.spill.put(&writer.finish())?;
        }
        let offset = i64::try_from(self.spill.len_bytes()).unwrap_or(i64::MAX);
        let index = next.checked_sub(self.range.first()).map(usize::from);
        let place = index.and_then(|index| self.offsets.get_mut(index));
        match place {
            Some(place) if last.is_none_or(|last| last < next) => *place = offset,
            _ => {
                let message = format!(
                    "an entry of key group {next} behind those of {last:?}, in a subtask of key groups {:?}",
                    self.range.key_groups()
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        Ok(())
    }

    /// The stream, and what becomes its handle once it is known where it lies; none if there was no entry.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(super) fn finish(mut self) -> Result<Option<(Spilled, Offsets)>> {
        let Some((_, writer)) = self.group.take() else { return Ok(None) };
        self.spill.put(&writer.finish())?;
        let Self { range, offsets, spill, .. } = self;
        Ok(Some((spill.finish()?, Offsets { range, offsets })))
    }
}

/// Where in a stream key groups begin.
pub(super) struct Offsets {
    range: KeyGroupRange,
    offsets: Vec<i64>,
}

impl Offsets {
    /// The handle of that stream.
    pub(super) fn of(self, stream: StreamHandle) -> KeyGroupsHandle {
        let Self { range, offsets } = self;
        let (position, format) = (Default::default(), KeyGroupsFormat::Canonical);
        KeyGroupsHandle { position, format, range, offsets, stream }
    }
}
