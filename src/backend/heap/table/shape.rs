//! What a position is: key group first, then hash.

use super::node::POSITION_BITS;
use super::{Seed, TableKey};
use esker_format::{KeyGroup, KeyGroupRange};

/// Owned range and seed of a table, from which positions follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) range: KeyGroupRange,
    pub(super) seed: Seed,
    /// The range's first key group.
    first: u64,
    /// How many key groups from there on are said to be owned: all of the range, or none.
    open: u64,
    /// What a key group, relative to the range, is multiplied by to stand in the top bits of a
    /// position; 0 if there is only one.
    group_unit: u64,
    /// The bits of a position below the key group.
    hash_mask: u64,
}

impl Shape {
    pub(super) fn new(range: KeyGroupRange, seed: Seed) -> Self {
        let group_bits = u32::BITS - (range.count() - 1).leading_zeros();
        // By shifts, as one by all 64 bits is not allowed.
        let group_unit = (1 << (POSITION_BITS - 1 - group_bits)) << 1;
        let (first, open) = (range.first().into(), range.count().into());
        Self { range, seed, first, open, group_unit, hash_mask: group_unit.wrapping_sub(1) }
    }

    /// Whether a key group is in the range, by one comparison; no to all while it is not open.
    #[inline]
    pub(super) fn owns(&self, group: u16) -> bool {
        u64::from(group).wrapping_sub(self.first) < self.open
    }

    pub(super) fn set_open(&mut self, open: bool) {
        self.open = if open { self.range.count().into() } else { 0 };
    }

    /// The position of an entry. A group outside the range lands somewhere inside.
    #[inline]
    pub(super) fn position(&self, group: u16, hash: u64) -> u64 {
        let relative = u64::from(group).wrapping_sub(self.first);
        relative.wrapping_mul(self.group_unit) | hash & self.hash_mask
    }

    /// Hash and position of a key.
    #[inline]
    pub(super) fn locate<K: TableKey>(&self, key: &K) -> (u64, u64) {
        let hash = key.seeded_hash(self.seed);
        (hash, self.position(key.key_group(), hash))
    }

    /// First and last position of what the table holds of `range`.
    pub(super) fn bounds(&self, range: KeyGroupRange) -> Option<(u64, u64)> {
        let range = self.range.intersect(range)?;
        Some((self.position(range.first(), 0), self.position(range.last(), u64::MAX)))
    }

    /// Whether `range` is all that the table owns.
    pub(super) fn is_all(&self, range: KeyGroupRange) -> bool {
        self.range.intersect(range) == Some(self.range)
    }
}

/// Whether a group lies in a range.
pub(super) fn contains(range: KeyGroupRange, group: u16) -> bool {
    range.contains(KeyGroup(group))
}
