//! Statistics per state: size questions are answered from indexes and parts, no data is read.

use super::Op;
use crate::Result;
use crate::bytes::{Cursor, put_varint};

/// How many buckets of sizes there are: an entry takes less than 2^29 bytes.
pub const SIZE_BUCKETS: usize = 30;
/// How many slices of 1,024 key groups there are.
pub const SLICES: usize = 64;
/// How many of the largest entries are kept.
pub const LARGEST_MAX: usize = 8;
/// How much of a large entry's key is kept, in bytes.
pub const LARGE_KEY_LEN_BYTES_MAX: usize = 64;
/// What a kept key goes without: the state's id.
const STATE_LEN_BYTES: usize = 4;

/// Counts by number below `N`; only those that are not zero are held, so that memory follows what
/// was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts<const N: usize> {
    /// Number and count, numbers ascending, no count zero.
    pairs: Vec<(u8, u64)>,
}

impl<const N: usize> Counts<N> {
    /// The counts that are not zero, with their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.pairs.iter().copied()
    }

    /// The counts of `pairs`; `None` if a number is too high or does not ascend, or a count is 0.
    pub(crate) fn of(pairs: Vec<(u8, u64)>) -> Option<Self> {
        let ascend = pairs.is_sorted_by(|a, b| a.0 < b.0);
        let fit = pairs.iter().all(|(number, count)| usize::from(*number) < N && *count > 0);
        (ascend && fit).then_some(Self { pairs })
    }

    /// Adds to a count; from the end, as entries come in order of key group.
    #[inline]
    fn add(&mut self, number: u8, count: u64) {
        match self.pairs.iter_mut().rev().find(|pair| pair.0 <= number) {
            Some(pair) if pair.0 == number => pair.1 = pair.1.saturating_add(count),
            _ => self.insert(number, count),
        }
    }

    #[cold]
    fn insert(&mut self, number: u8, count: u64) {
        let at = self.pairs.partition_point(|pair| pair.0 < number);
        self.pairs.insert(at, (number, count));
    }

    fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(number, count)| self.add(number, count));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.pairs.len() as u8);
        for (number, count) in self.iter() {
            out.push(number);
            put_varint(out, count);
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let refused = "counts are too many, zero or do not ascend";
        let len = usize::from(cursor.u8()?);
        if len > N {
            return Err(cursor.corrupt(refused));
        }
        let mut pairs = Vec::with_capacity(len);
        for _ in 0..len {
            pairs.push((cursor.u8()?, cursor.varint()?));
        }
        Self::of(pairs).ok_or_else(|| cursor.corrupt(refused))
    }
}

/// One of the largest entries of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeEntry {
    /// Its composite key without the state's id, cut off at [`LARGE_KEY_LEN_BYTES_MAX`].
    pub key: Vec<u8>,
    /// The length of its whole composite key in bytes.
    pub key_len_bytes: u64,
    /// The length of its value in bytes.
    pub value_len_bytes: u64,
}

impl LargeEntry {
    /// Length of key and value, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.key_len_bytes.saturating_add(self.value_len_bytes)
    }

    /// How many bytes of a composite key of `key_len_bytes` are kept; `None` if there is no such.
    pub(crate) fn kept_len(key_len_bytes: u64) -> Option<usize> {
        let len = key_len_bytes.checked_sub(STATE_LEN_BYTES as u64)?;
        Some(
            usize::try_from(len)
                .map_or(LARGE_KEY_LEN_BYTES_MAX, |l| l.min(LARGE_KEY_LEN_BYTES_MAX)),
        )
    }
}

/// What a run holds of one state, or what many do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateStats {
    /// Entries of every operation.
    pub entries: u64,
    /// Those that add or replace (`Put`, `Append`).
    pub live: u64,
    /// Bytes of composite keys, before prefix compression.
    pub key_bytes: u64,
    /// Bytes of values, before compression.
    pub value_bytes: u64,
    /// Entries by length of composite key: bucket 0 for none, bucket *b* from 2^(*b* - 1) bytes up to,
    /// but not including, 2^*b*.
    pub key_sizes: Counts<SIZE_BUCKETS>,
    /// Entries by length of value, as `key_sizes`.
    pub value_sizes: Counts<SIZE_BUCKETS>,
    /// Bytes of keys and values by slice: slice *s* has the key groups from 1024 *s* on.
    pub slices: Counts<SLICES>,
    /// The largest entries by length of key and value, largest first, at most [`LARGEST_MAX`].
    pub largest: Vec<LargeEntry>,
}

#[inline]
fn bucket(len_bytes: usize) -> u8 {
    ((usize::BITS - len_bytes.leading_zeros()) as usize).min(SIZE_BUCKETS - 1) as u8
}

impl StateStats {
    /// Counts one entry: a few additions and one comparison, unless it is among the largest.
    #[inline]
    pub fn count(&mut self, op: Op, key: &[u8], value: &[u8]) {
        let len_bytes = key.len() as u64 + value.len() as u64;
        self.entries += 1;
        self.live += u64::from(matches!(op, Op::Put | Op::Append));
        self.key_bytes += key.len() as u64;
        self.value_bytes += value.len() as u64;
        self.key_sizes.add(bucket(key.len()), 1);
        self.value_sizes.add(bucket(value.len()), 1);
        // The high byte of the key group follows the state's id; a slice is its upper six bits.
        let slice = key.get(STATE_LEN_BYTES).map_or(0, |byte| byte >> 2);
        if len_bytes > 0 {
            self.slices.add(slice, len_bytes);
        }
        let full = self.largest.len() == LARGEST_MAX;
        if !full || self.largest.last().is_some_and(|least| least.len_bytes() < len_bytes) {
            self.keep(key, value.len());
        }
    }

    #[cold]
    fn keep(&mut self, key: &[u8], value_len_bytes: usize) {
        let key_len_bytes = key.len() as u64;
        let kept = key.get(STATE_LEN_BYTES..).unwrap_or_default();
        let kept = &kept[..kept.len().min(LARGE_KEY_LEN_BYTES_MAX)];
        let value_len_bytes = value_len_bytes as u64;
        let entry = LargeEntry { key: kept.to_vec(), key_len_bytes, value_len_bytes };
        let at = self.largest.partition_point(|held| held.len_bytes() >= entry.len_bytes());
        self.largest.truncate(LARGEST_MAX - 1);
        self.largest.insert(at, entry);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.live = self.live.saturating_add(other.live);
        self.key_bytes = self.key_bytes.saturating_add(other.key_bytes);
        self.value_bytes = self.value_bytes.saturating_add(other.value_bytes);
        self.key_sizes.merge(&other.key_sizes);
        self.value_sizes.merge(&other.value_sizes);
        self.slices.merge(&other.slices);
        self.largest.extend_from_slice(&other.largest);
        self.largest.sort_by(|a, b| b.len_bytes().cmp(&a.len_bytes()).then(a.key.cmp(&b.key)));
        self.largest.truncate(LARGEST_MAX);
    }

    /// Whether the largest entries are in order and as long as they say.
    pub(crate) fn largest_fit(&self) -> bool {
        let key_fits = |e: &LargeEntry| LargeEntry::kept_len(e.key_len_bytes) == Some(e.key.len());
        self.largest.len() <= LARGEST_MAX
            && self.largest.iter().all(key_fits)
            && self.largest.is_sorted_by(|a, b| a.len_bytes() >= b.len_bytes())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for value in [self.entries, self.live, self.key_bytes, self.value_bytes] {
            put_varint(out, value);
        }
        self.key_sizes.encode(out);
        self.value_sizes.encode(out);
        self.slices.encode(out);
        out.push(self.largest.len() as u8);
        for entry in &self.largest {
            put_varint(out, entry.key_len_bytes);
            put_varint(out, entry.value_len_bytes);
            out.extend_from_slice(&entry.key);
        }
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut stats = Self {
            entries: cursor.varint()?,
            live: cursor.varint()?,
            key_bytes: cursor.varint()?,
            value_bytes: cursor.varint()?,
            key_sizes: Counts::decode(cursor)?,
            value_sizes: Counts::decode(cursor)?,
            slices: Counts::decode(cursor)?,
            largest: Vec::new(),
        };
        for _ in 0..cursor.u8()? {
            let (key_len_bytes, value_len_bytes) = (cursor.varint()?, cursor.varint()?);
            let kept = LargeEntry::kept_len(key_len_bytes);
            let kept = kept.ok_or_else(|| cursor.corrupt("a key shorter than its state's id"))?;
            let key = cursor.take(kept)?.to_vec();
            stats.largest.push(LargeEntry { key, key_len_bytes, value_len_bytes });
        }
        if stats.largest_fit() {
            Ok(stats)
        } else {
            Err(cursor.corrupt("the largest entries are too many or not in order"))
        }
    }
}
