//! Key groups: the 65,536 slices that keyed state is divided by, and contiguous ranges of them.
//!
//! The number is fixed, so that a job is never stuck with a maximum parallelism chosen long ago
//! (SPEC.md, "Key groups").

use crate::{FormatError, Result};
use xxhash_rust::xxh3::xxh3_64;

/// How many key groups there are, always.
pub const KEY_GROUP_COUNT: u32 = 65_536;

/// The top 16 bits of the XXH3-64 hash (seed 0) of an encoded key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyGroup(pub u16);

impl KeyGroup {
    /// The key group of an encoded key.
    #[inline]
    pub fn of(encoded_key: &[u8]) -> Self {
        Self((xxh3_64(encoded_key) >> 48) as u16)
    }

    /// The subtask, of `parallelism`, that owns the key group: the one whose
    /// [`KeyGroupRange::of_subtask`] holds it. `parallelism` is at least 1.
    #[inline]
    pub fn subtask(self, parallelism: u32) -> u32 {
        ((u64::from(self.0) * u64::from(parallelism)) >> 16) as u32
    }
}

/// A contiguous, non-empty range of key groups; both ends are inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    first: u16,
    last: u16,
}

impl KeyGroupRange {
    /// All key groups.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// The range from `first` to `last`, both inside it.
    ///
    /// # Errors
    /// `Invalid` if `first` is above `last`.
    pub fn new(first: u16, last: u16) -> Result<Self> {
        if first > last {
            let message = format!("first={first} is above last={last}");
            return Err(FormatError::invalid("key group range", message));
        }
        Ok(Self { first, last })
    }

    /// The range that subtask `index` of `parallelism` owns: from `ceil(index * 65536 / parallelism)`
    /// up to where the next one starts.
    ///
    /// # Errors
    /// `Invalid` if `parallelism` is 0 or above 65,536, or `index` is not below it.
    pub fn of_subtask(index: u32, parallelism: u32) -> Result<Self> {
        if parallelism == 0 || parallelism > KEY_GROUP_COUNT || index >= parallelism {
            let message = format!("no subtask index={index} of parallelism={parallelism}");
            return Err(FormatError::invalid("key group range", message));
        }
        let start =
            |i: u32| (u64::from(i) * u64::from(KEY_GROUP_COUNT)).div_ceil(parallelism.into());
        Ok(Self { first: start(index) as u16, last: (start(index + 1) - 1) as u16 })
    }

    /// The first key group of the range.
    #[inline]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last key group of the range.
    #[inline]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many key groups the range holds, 1 to 65,536.
    #[inline]
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether `group` lies in the range.
    #[inline]
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.first..=self.last).contains(&group.0)
    }

    /// What both ranges hold, if anything.
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_cover_every_group_once() {
        for parallelism in [1, 2, 3, 7, 64, 1000, 65_535, 65_536] {
            let mut next = 0_u32;
            for index in 0..parallelism {
                let range = KeyGroupRange::of_subtask(index, parallelism).unwrap();
                assert_eq!(u32::from(range.first()), next);
                next += range.count();
            }
            assert_eq!(next, KEY_GROUP_COUNT, "parallelism {parallelism}");
        }
    }

    #[test]
    fn impossible_ranges_are_refused() {
        assert!(KeyGroupRange::new(2, 1).is_err());
        for (index, parallelism) in [(0, 0), (1, 1), (0, 65_537)] {
            assert!(KeyGroupRange::of_subtask(index, parallelism).is_err());
        }
    }

    #[test]
    fn hash_is_pinned() {
        // XXH3-64 of the empty input is 2d06800538d394c2 in the reference implementation.
        assert_eq!(KeyGroup::of(b""), KeyGroup(0x2d06));
    }

    #[test]
    fn intersections() {
        let range = |a, b| KeyGroupRange::new(a, b).unwrap();
        assert_eq!(range(0, 9).intersect(range(5, 20)), Some(range(5, 9)));
        assert_eq!(range(0, 4).intersect(range(5, 20)), None);
        assert!(range(5, 9).contains(KeyGroup(9)) && !range(5, 9).contains(KeyGroup(10)));
    }
}
