//! What a channel holds back, in order: in memory, and behind that in a file.

use super::spill::{Chunk, Spill};
use crate::Result;
use crate::format::list::put_element;
use std::collections::VecDeque;
use std::time::Duration;

/// What a barrier, an end, or the place of spilled records counts, in bytes: a channel cannot be filled with
/// them unnoticed.
const MARKER_LEN_BYTES: u64 = 64;
/// Where records are spilled, so many bytes of those are held besides twice the limit of memory.
const MARKERS_LEN_BYTES_MAX: u64 = 1 << 20;

/// What a channel brings.
pub(super) enum Item<R> {
    Record(R, u64),
    Barrier(u64, Duration),
    End,
}

enum Slot<R> {
    Item(Item<R>),
    Spilled(Chunk),
}

/// How much the queues of all channels hold.
pub(super) struct Room<R> {
    pub(super) memory_len_bytes: u64,
    pub(super) memory_len_bytes_max: u64,
    pub(super) spilled_len_bytes_max: u64,
    /// Bytes that are encoded and not yet in the file.
    unwritten_len_bytes: u64,
    pub(super) spill: Option<Spill<R>>,
}

impl<R> Room<R> {
    pub(super) fn new(memory_len_bytes_max: u64, spilled_len_bytes_max: u64) -> Self {
        let (memory_len_bytes, unwritten_len_bytes, spill) = (0, 0, None);
        Self {
            memory_len_bytes,
            memory_len_bytes_max,
            spilled_len_bytes_max,
            unwritten_len_bytes,
            spill,
        }
    }

    fn is_memory_full(&self) -> bool {
        self.memory_len_bytes >= self.memory_len_bytes_max
    }

    /// Bytes that are spilled: the file's length, which shrinks when all of it was read, and what is on
    /// its way there.
    pub(super) fn spilled_len_bytes(&self) -> u64 {
        let file = self.spill.as_ref().map_or(0, Spill::len_bytes);
        file.saturating_add(self.unwritten_len_bytes)
    }

    /// Whether channels that wait are to be stopped.
    pub(super) fn is_full(&self) -> bool {
        match self.spill {
            Some(_) => {
                let max = self.memory_len_bytes_max.saturating_mul(2);
                self.spilled_len_bytes() >= self.spilled_len_bytes_max
                    || self.memory_len_bytes >= max.saturating_add(MARKERS_LEN_BYTES_MAX)
            }
            None => self.is_memory_full(),
        }
    }

    fn keep(&mut self, len_bytes: u64) {
        self.memory_len_bytes = self.memory_len_bytes.saturating_add(len_bytes);
    }

    fn give(&mut self, len_bytes: u64) {
        self.memory_len_bytes = self.memory_len_bytes.saturating_sub(len_bytes);
    }
}

/// The items of one channel, oldest first: `read`, then `slots`, then `unwritten`.
pub(super) struct Queue<R> {
    /// Records of a chunk that was read back.
    read: VecDeque<(R, u64)>,
    slots: VecDeque<Slot<R>>,
    /// Records as a list value, and how many.
    unwritten: (Vec<u8>, usize),
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self { read: VecDeque::new(), slots: VecDeque::new(), unwritten: (Vec::new(), 0) }
    }
}

impl<R> Queue<R> {
    pub(super) fn is_empty(&self) -> bool {
        self.read.is_empty() && self.slots.is_empty() && self.unwritten.1 == 0
    }

    /// Puts `item` behind the others; returns its bytes.
    ///
    /// # Errors
    /// Of the spill: `Invalid` if the record cannot be encoded, `Retry` if the file cannot be written.
    pub(super) fn push(&mut self, item: Item<R>, room: &mut Room<R>) -> Result<u64> {
        let spills = self.unwritten.1 > 0 || room.is_memory_full();
        let item = match (item, &room.spill) {
            (Item::Record(record, _), Some(spill)) if spills => {
                let (bytes, records) = &mut self.unwritten;
                let before = bytes.len();
                put_element(bytes, |out| spill.codec().encode(&record, out))?;
                *records += 1;
                let len_bytes = (bytes.len() - before) as u64;
                room.unwritten_len_bytes += len_bytes;
                if bytes.len() >= spill.chunk_len_bytes {
                    self.write(room)?;
                }
                return Ok(len_bytes);
            }
            (item, _) => item,
        };
        self.write(room)?;
        let len_bytes = len_of(&item);
        room.keep(len_bytes);
        self.slots.push_back(Slot::Item(item));
        Ok(len_bytes)
    }

    /// The oldest item.
    ///
    /// # Errors
    /// Of the spill: `Retry` if the file cannot be read, `Corrupt` if it holds something else.
    pub(super) fn pop(&mut self, room: &mut Room<R>) -> Result<Option<Item<R>>> {
        loop {
            if let Some((record, len_bytes)) = self.read.pop_front() {
                room.give(len_bytes);
                return Ok(Some(Item::Record(record, len_bytes)));
            }
            match (self.slots.pop_front(), &mut room.spill) {
                (Some(Slot::Item(item)), _) => {
                    room.give(len_of(&item));
                    return Ok(Some(item));
                }
                (Some(Slot::Spilled(chunk)), Some(spill)) => {
                    let bytes = spill.read(&chunk)?;
                    room.give(MARKER_LEN_BYTES);
                    self.decode(&bytes, room)?;
                }
                (None, Some(_)) if self.unwritten.1 > 0 => {
                    let (bytes, _) = std::mem::take(&mut self.unwritten);
                    room.unwritten_len_bytes -= bytes.len() as u64;
                    self.decode(&bytes, room)?;
                }
                _ => return Ok(None),
            }
        }
    }

    fn write(&mut self, room: &mut Room<R>) -> Result<()> {
        if self.unwritten.1 == 0 {
            return Ok(());
        }
        let (bytes, _) = std::mem::take(&mut self.unwritten);
        room.unwritten_len_bytes -= bytes.len() as u64;
        if let Some(spill) = &mut room.spill {
            self.slots.push_back(Slot::Spilled(spill.write(&bytes)?));
            room.keep(MARKER_LEN_BYTES);
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8], room: &mut Room<R>) -> Result<()> {
        let Some(spill) = &room.spill else { return Ok(()) };
        let mut len_bytes = 0_u64;
        spill.decode(bytes, |record, len| {
            len_bytes += len;
            self.read.push_back((record, len));
        })?;
        room.keep(len_bytes);
        Ok(())
    }
}

fn len_of<R>(item: &Item<R>) -> u64 {
    match item {
        Item::Record(_, len_bytes) => *len_bytes,
        Item::Barrier(..) | Item::End => MARKER_LEN_BYTES,
    }
}
