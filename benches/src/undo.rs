//! The other candidate for the heap's table: a flat hash table, and beside it, per live capture, a
//! log of the entries overwritten since.
//!
//! Built as far as the decision needs (docs/decisions/0001-copy-on-write-table.md): it hashes key
//! groups and tracks changes as value state does, but a capture cannot be read on another thread
//! while the table is written, nor in key group order without sorting all of it.

use esker_format::{KeyGroup, KeyGroupRange};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::BuildHasher;

struct Slot {
    key: u64,
    value: u64,
    /// The epoch it was last written in.
    epoch: u32,
}

/// u64 to u64.
pub(crate) struct UndoTable {
    slots: HashTable<Slot>,
    hasher: RandomState,
    range: KeyGroupRange,
    /// How many captures were taken.
    epoch: u32,
    /// What each live capture would see where a slot was written since: the key and its value, if
    /// it was there. An older capture looks through the logs of the younger ones after its own.
    logs: Vec<Log>,
}

/// A capture's number, and keys with the values they had.
type Log = (u32, Vec<(u64, Option<u64>)>);

impl UndoTable {
    pub(crate) fn new(range: KeyGroupRange) -> Self {
        let (slots, hasher) = (HashTable::new(), RandomState::default());
        Self { slots, hasher, range, epoch: 0, logs: Vec::new() }
    }

    /// The hash of a key that is owned.
    #[inline]
    fn locate(&self, key: u64) -> Option<u64> {
        let group = KeyGroup::of(&key.to_be_bytes());
        self.range.contains(group).then(|| self.hasher.hash_one(key))
    }

    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<u64> {
        let hash = self.locate(key)?;
        self.slots.find(hash, |slot| slot.key == key).map(|slot| slot.value)
    }

    #[inline]
    pub(crate) fn update(&mut self, key: u64, value: u64) -> Option<u64> {
        let hash = self.locate(key)?;
        let hasher = &self.hasher;
        let entry =
            self.slots.entry(hash, |slot| slot.key == key, |slot| hasher.hash_one(slot.key));
        match entry {
            Entry::Occupied(mut found) => {
                let slot = found.get_mut();
                let old = std::mem::replace(&mut slot.value, value);
                if slot.epoch != self.epoch {
                    slot.epoch = self.epoch;
                    log(&mut self.logs, key, Some(old));
                }
                Some(old)
            }
            Entry::Vacant(place) => {
                place.insert(Slot { key, value, epoch: self.epoch });
                log(&mut self.logs, key, None);
                None
            }
        }
    }

    /// A capture: its number, by which it is read and dropped.
    pub(crate) fn capture(&mut self) -> u32 {
        self.epoch += 1;
        self.logs.push((self.epoch, Vec::new()));
        self.epoch
    }

    pub(crate) fn drop_capture(&mut self, number: u32) {
        self.logs.retain(|log| log.0 != number);
    }

    /// What the newest capture holds, in no order: all of the log is hashed first.
    #[cfg(test)]
    fn scan_newest(&self, mut f: impl FnMut(u64, u64)) {
        let Some((_, log)) = self.logs.last() else { return };
        let before: crate::heap::Peer<u64, Option<u64>> = log.iter().copied().collect();
        for slot in &self.slots {
            let value = before.get(&slot.key).copied().unwrap_or(Some(slot.value));
            if let Some(value) = value {
                f(slot.key, value);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn log(logs: &mut [Log], key: u64, value: Option<u64>) {
    if let Some((_, log)) = logs.last_mut() {
        log.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_does_not_change() {
        let mut table = UndoTable::new(KeyGroupRange::ALL);
        (0..100).for_each(|key| _ = table.update(key, 1));
        let capture = table.capture();
        (50..150).for_each(|key| _ = table.update(key, 2));
        let mut seen = Vec::new();
        table.scan_newest(|key, value| seen.push((key, value)));
        seen.sort_unstable();
        assert_eq!(seen, (0..100).map(|key| (key, 1)).collect::<Vec<_>>());
        assert_eq!((table.get(60), table.get(149), table.get(150)), (Some(2), Some(2), None));
        table.drop_capture(capture);
    }
}
