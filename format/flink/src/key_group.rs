//! Key groups: which of them a key belongs to, and which subtask they belong to.
//!
//! A job has as many as its maximum parallelism says. The group of a key is a hash of Java's `hashCode()` of it.

use crate::{FormatError, Result};

/// The most key groups that a job can have.
pub const MAX_PARALLELISM_MAX: u32 = 32_768;
/// Up to so many key groups a key group takes one byte in a key, above it two.
const ONE_BYTE_MAX: u32 = 128;

/// The key group of a key: `hash` is its `hashCode()`, `max_parallelism` the number of key groups, 1 to 32,768.
#[inline]
pub fn key_group(hash: i32, max_parallelism: u32) -> u16 {
    (mix(hash).unsigned_abs() % max_parallelism.clamp(1, MAX_PARALLELISM_MAX)) as u16
}

/// MurmurHash3 of 32 bits over the one word `hash`, made positive as Flink does.
fn mix(hash: i32) -> i32 {
    let mut mixed = hash.cast_unsigned().wrapping_mul(0xcc9e_2d51).rotate_left(15);
    mixed = mixed.wrapping_mul(0x1b87_3593).rotate_left(13);
    mixed = mixed.wrapping_mul(5).wrapping_add(0xe654_6b64) ^ 4;
    mixed = (mixed ^ mixed >> 16).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    match (mixed ^ mixed >> 16).cast_signed() {
        i32::MIN => 0,
        mixed => mixed.wrapping_abs(),
    }
}

/// The subtask, of `parallelism`, that owns `key_group` of `max_parallelism`.
#[inline]
pub fn subtask_of(key_group: u16, parallelism: u32, max_parallelism: u32) -> u32 {
    (u64::from(key_group) * u64::from(parallelism) / u64::from(max_parallelism.max(1))) as u32
}

/// The number of key groups that Flink gives a job of `parallelism` that does not say how many it wants.
pub fn default_max_parallelism(parallelism: u32) -> u32 {
    let wanted = parallelism.saturating_add(parallelism / 2);
    wanted.clamp(ONE_BYTE_MAX, MAX_PARALLELISM_MAX).next_power_of_two()
}

/// How many bytes the key group takes in front of a key: 1 or 2.
#[inline]
pub fn prefix_len_bytes(max_parallelism: u32) -> usize {
    if max_parallelism <= ONE_BYTE_MAX { 1 } else { 2 }
}

/// Key groups in a row: those of a subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    first: u16,
    count: u16,
}

impl KeyGroupRange {
    /// `count` key groups from `first` on; there may be none.
    ///
    /// # Errors
    /// `Invalid` if one of them were above 32,767.
    pub fn new(first: u16, count: u16) -> Result<Self> {
        if u32::from(first) + u32::from(count) > MAX_PARALLELISM_MAX {
            let message = format!("count={count} from first={first} are more than 32,768");
            return Err(FormatError::invalid("key group range", message));
        }
        Ok(Self { first, count })
    }

    /// What subtask `index` of `parallelism` owns of `max_parallelism` key groups.
    ///
    /// # Errors
    /// `Invalid` if there is no such subtask, or there are fewer key groups than subtasks, or too many.
    pub fn of_subtask(index: u32, parallelism: u32, max_parallelism: u32) -> Result<Self> {
        let possible = index < parallelism
            && parallelism <= max_parallelism
            && max_parallelism <= MAX_PARALLELISM_MAX;
        if !possible {
            let message = format!(
                "no subtask index={index} of parallelism={parallelism} max_parallelism={max_parallelism}"
            );
            return Err(FormatError::invalid("key group range", message));
        }
        let start = |index: u32| {
            (u64::from(index) * u64::from(max_parallelism)).div_ceil(parallelism.into())
        };
        let (first, end) = (start(index), start(index + 1));
        Ok(Self { first: first as u16, count: (end - first) as u16 })
    }

    /// The first key group.
    #[inline]
    pub fn first(self) -> u16 {
        self.first
    }

    /// How many there are, 0 to 32,768.
    #[inline]
    pub fn count(self) -> u16 {
        self.count
    }

    /// The key groups, ascending.
    pub fn key_groups(self) -> std::ops::Range<u16> {
        self.first..self.first + self.count
    }

    /// Whether `key_group` is one of them.
    #[inline]
    pub fn contains(self, key_group: u16) -> bool {
        self.key_groups().contains(&key_group)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn string_hash(text: &str) -> i32 {
        text.encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
    }

    #[test]
    fn keys_are_where_flink_puts_them() {
        let vectors = [
            (string_hash("a"), 81, 3_025),
            (string_hash("hello"), 35, 2_723),
            (string_hash(""), 94, 2_526),
            (string_hash("€😀"), 93, 2_653),
            (1, 86, 4_054),
            (-1, 80, 2_896),
            (1_231, 77, 3_533),
        ];
        for (hash, of_128, of_4096) in vectors {
            assert_eq!(key_group(hash, 128), of_128, "{hash}");
            assert_eq!(key_group(hash, 4_096), of_4096, "{hash}");
        }
    }

    #[test]
    fn ranges_cover_all_key_groups() {
        let range = |index| KeyGroupRange::of_subtask(index, 3, 128).unwrap();
        assert_eq!([0, 1, 2].map(|index| range(index).key_groups()), [0..43, 43..86, 86..128]);
        for (parallelism, max_parallelism) in [(1, 128), (4, 1_000), (7, 7), (32_768, 32_768)] {
            let mut next = 0;
            for index in 0..parallelism {
                let range = KeyGroupRange::of_subtask(index, parallelism, max_parallelism).unwrap();
                assert_eq!(range.first(), next);
                let owner = |group| subtask_of(group, parallelism, max_parallelism);
                assert!(range.key_groups().all(|group| owner(group) == index));
                next += range.count();
            }
            assert_eq!(u32::from(next), max_parallelism);
        }
        assert!(KeyGroupRange::of_subtask(3, 3, 128).is_err());
        assert!(KeyGroupRange::of_subtask(0, 129, 128).is_err());
        assert!(KeyGroupRange::new(32_768, 0).is_ok_and(|range| !range.contains(0)));
        assert!(KeyGroupRange::new(32_767, 2).is_err());
    }

    #[test]
    fn defaults_are_flinks() {
        let defaults = [1, 85, 86, 200, 30_000].map(default_max_parallelism);
        assert_eq!(defaults, [128, 128, 256, 512, 32_768]);
    }
}
