//! The filter of a run: whether it can hold a key, before any block is fetched.
//!
//! A split block Bloom filter over what stands before the user key in composite keys, so that it
//! answers for a value as for a whole map. One look-up reads one 32-byte block. Source: Putze,
//! Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007; block layout and salts
//! are those of Apache Parquet.

use super::BLOCK_LEN_BYTES_MAX;
use crate::{FormatError, Result};
use xxhash_rust::xxh3::xxh3_64;

const BLOCK_LEN_BYTES: usize = 32;
const WORDS: usize = BLOCK_LEN_BYTES / 4;
/// Odd multipliers, one for each word of a block.
const SALTS: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// A decoded filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    blocks: Vec<[u32; WORDS]>,
}

impl RunFilter {
    /// A filter of the bytes between the last block of a run and its index.
    ///
    /// # Errors
    /// `Corrupt` if they are no whole number of blocks, or none.
    pub fn decode(stored: &[u8]) -> Result<Self> {
        let (blocks, rest) = stored.as_chunks::<BLOCK_LEN_BYTES>();
        if blocks.is_empty() || !rest.is_empty() {
            let message = format!("bytes={} are no blocks of {BLOCK_LEN_BYTES}", stored.len());
            return Err(FormatError::corrupt("run filter", message));
        }
        let words = |block: &[u8; BLOCK_LEN_BYTES]| {
            let mut words = [0; WORDS];
            let bytes = block.as_chunks::<4>().0;
            words.iter_mut().zip(bytes).for_each(|(word, b)| *word = u32::from_le_bytes(*b));
            words
        };
        Ok(Self { blocks: blocks.iter().map(words).collect() })
    }

    /// Whether the run can hold entries whose composite key begins with `prefix`: state, key group,
    /// key and namespace, as [`CompositeKey`](crate::composite::CompositeKey) encodes them without
    /// a user key. `false` is certain.
    #[inline]
    pub fn may_contain(&self, prefix: &[u8]) -> bool {
        let hash = xxh3_64(prefix);
        let block = self.blocks.get(block_of(hash, self.blocks.len()));
        block.is_some_and(|block| block.iter().zip(mask(hash)).all(|(word, bit)| word & bit != 0))
    }

    /// The smallest filter of `bits_per_key`, at least one block.
    pub(super) fn build(hashes: &[u64], bits_per_key: u8) -> Self {
        let bytes = (hashes.len() as u64).saturating_mul(bits_per_key.into()).div_ceil(8);
        let blocks = bytes.div_ceil(BLOCK_LEN_BYTES as u64).max(1);
        let blocks = blocks.min((BLOCK_LEN_BYTES_MAX / BLOCK_LEN_BYTES) as u64) as usize;
        let mut filter = Self { blocks: vec![[0; WORDS]; blocks] };
        for hash in hashes {
            if let Some(block) = filter.blocks.get_mut(block_of(*hash, blocks)) {
                block.iter_mut().zip(mask(*hash)).for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend(self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()));
    }
}

pub(super) fn hash_of(prefix: &[u8]) -> u64 {
    xxh3_64(prefix)
}

/// The upper half of the hash, scaled to the number of blocks.
#[inline]
fn block_of(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

/// One bit in each word, by the lower half of the hash.
#[inline]
fn mask(hash: u64) -> [u32; WORDS] {
    SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}
