//! What a position is: key group first, then hash.

use super::TableKey;
use super::node::POSITION_BITS;
use esker_format::{KeyGroup, KeyGroupRange};

/// Owned range and seed of a table, from which positions follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) range: KeyGroupRange,
    pub(super) seed: u64,
    /// Top bits of a position that are the key group, relative to the range: 0 to 16.
    group_bits: u32,
}

impl Shape {
    pub(super) fn new(range: KeyGroupRange, seed: u64) -> Self {
        let group_bits = u32::BITS - (range.count() - 1).leading_zeros();
        Self { range, seed, group_bits }
    }

    /// The position of an entry. A group outside the range lands somewhere inside.
    #[inline]
    pub(super) fn position(&self, group: u16, hash: u64) -> u64 {
        let relative = u64::from(group.wrapping_sub(self.range.first()));
        // Two shifts, as one by all 64 bits is not allowed.
        let top = (relative << (POSITION_BITS - 1 - self.group_bits)) << 1;
        top | hash >> self.group_bits
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
