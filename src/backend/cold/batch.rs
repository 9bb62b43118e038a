//! Entries of some key groups, read and not put into a table yet.

use crate::Result;
use crate::snapshot::ColdChain;
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};

/// Entries of one state in some key groups, as a lazy restore read them: verified, each key resolved over
/// all runs. Memory: their keys and values.
pub struct Batch {
    id: u32,
    range: KeyGroupRange,
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// How many entries were taken, and where the next begins.
    taken: usize,
    begin: usize,
    /// The first key group that was not left; one above the last at the end.
    group: u32,
}

/// Where an entry stands, behind the one before.
struct Place {
    group: KeyGroup,
    key_end: usize,
    value_end: usize,
    /// For how many live entries it counts.
    live: u64,
}

impl Batch {
    /// Reads what `chain` has of the state `id` in `range`.
    ///
    /// # Errors
    /// Those of the chain.
    pub(super) fn read(chain: &ColdChain, id: u32, range: KeyGroupRange) -> Result<Self> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        chain.read(id, range, &mut |group, entry| {
            bytes.extend_from_slice(entry.key);
            let key_end = bytes.len();
            bytes.extend_from_slice(entry.value);
            let live = chain.live(id, entry)?;
            places.push(Place { group, key_end, value_end: bytes.len(), live });
            Ok(())
        })?;
        Ok(Self { id, range, bytes, places, taken: 0, begin: 0, group: range.first().into() })
    }

    /// The state's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether nothing of it is left.
    pub fn is_done(&self) -> bool {
        self.group().is_none()
    }

    /// The next key group, with entries or without.
    pub(super) fn group(&self) -> Option<KeyGroup> {
        let group = u16::try_from(self.group).ok()?;
        (group <= self.range.last()).then_some(KeyGroup(group))
    }

    /// The next entry, if it is of `group`, and for how many it counts.
    pub(super) fn next_of(&mut self, group: KeyGroup) -> Option<(Entry<'_>, u64)> {
        let place = self.places.get(self.taken).filter(|place| place.group == group)?;
        let key = self.bytes.get(self.begin..place.key_end)?;
        let value = self.bytes.get(place.key_end..place.value_end)?;
        (self.taken, self.begin) = (self.taken + 1, place.value_end);
        Some((Entry { key, op: Op::Put, value }, place.live))
    }

    /// Takes nothing more of it; returns that nothing was put.
    pub(in crate::backend) fn leave_all(&mut self) -> usize {
        self.group = u32::from(self.range.last()) + 1;
        0
    }

    /// Goes on behind `group`, which is the next one.
    pub(super) fn leave(&mut self, group: KeyGroup) {
        while self.next_of(group).is_some() {}
        self.group = u32::from(group.0) + 1;
    }
}
