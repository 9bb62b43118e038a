//! The index of a run: where each block lies, its digest and first key, the filter,
//! and statistics per state.

use super::stats::StateStats;
use super::{VERSION, check_version};
use crate::bytes::{Cursor, put_varint};
use crate::composite::prefix_of;
use crate::{Digest, KeyGroup, KeyGroupRange, Result};
use std::collections::BTreeMap;

/// Where a block lies in its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHandle {
    /// Offset of the block from the start of the file, in bytes.
    pub offset: u64,
    /// Length of the stored block, in bytes.
    pub len_bytes: u64,
    /// How many entries it holds.
    pub entries: u32,
    /// Digest of the stored block.
    pub digest: Digest,
    /// The composite key of its first entry.
    pub first_key: Vec<u8>,
}

/// Where the filter of a run lies: between the last block and the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterLocation {
    /// Offset from the start of the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Digest of the filter.
    pub digest: Digest,
}

/// The decoded index of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunIndex {
    /// The blocks, in order of key and of offset.
    pub blocks: Vec<BlockHandle>,
    /// The filter, if the run has one.
    pub filter: Option<FilterLocation>,
    /// Counts by state id.
    pub stats: BTreeMap<u32, StateStats>,
}

impl RunIndex {
    pub(super) fn encode(&self) -> Vec<u8> {
        // The version stands here too: whoever comes by way of a part reads no header or footer.
        let mut out = VERSION.to_le_bytes().to_vec();
        put_varint(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_varint(&mut out, block.offset);
            put_varint(&mut out, block.len_bytes);
            put_varint(&mut out, block.entries.into());
            out.extend_from_slice(&block.digest.0);
            put_varint(&mut out, block.first_key.len() as u64);
            out.extend_from_slice(&block.first_key);
        }
        put_varint(&mut out, self.filter.map_or(0, |filter| filter.len_bytes));
        if let Some(filter) = &self.filter {
            out.extend_from_slice(&filter.digest.0);
        }
        put_varint(&mut out, self.stats.len() as u64);
        for (state, stats) in &self.stats {
            out.extend_from_slice(&state.to_le_bytes());
            stats.encode(&mut out);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8], index_at: u64) -> Result<Self> {
        let mut cursor = Cursor::new("run index", bytes);
        check_version("run index", cursor.u32()?)?;
        // A block takes at least 36 bytes here, a state 12: a count above that is a lie.
        let count = cursor.length(cursor.remaining() / 36)?;
        let mut index = Self { blocks: Vec::with_capacity(count), ..Self::default() };
        let mut next = super::HEADER_LEN_BYTES as u64;
        for _ in 0..count {
            let block = Self::decode_block(&mut cursor)?;
            let last = index.blocks.last();
            if last.is_some_and(|last| last.first_key > block.first_key) {
                return Err(cursor.corrupt("first keys of blocks do not ascend"));
            }
            let end = block.offset.checked_add(block.len_bytes);
            let Some(end) = end.filter(|end| block.offset == next && *end <= index_at) else {
                return Err(cursor.corrupt("blocks do not lie end to end"));
            };
            next = end;
            index.blocks.push(block);
        }
        let filter_len_bytes = cursor.varint()?;
        if next.checked_add(filter_len_bytes) != Some(index_at) {
            return Err(cursor.corrupt("blocks and filter do not end where the index begins"));
        }
        if filter_len_bytes > 0 {
            let digest = Digest(cursor.array()?);
            index.filter =
                Some(FilterLocation { offset: next, len_bytes: filter_len_bytes, digest });
        }
        let states = cursor.length(cursor.remaining() / 12)?;
        for _ in 0..states {
            let state = cursor.u32()?;
            let stats = StateStats::decode(&mut cursor)?;
            if index.stats.last_key_value().is_some_and(|(last, _)| *last >= state) {
                return Err(cursor.corrupt("state ids do not ascend"));
            }
            index.stats.insert(state, stats);
        }
        if cursor.is_empty() { Ok(index) } else { Err(cursor.corrupt("bytes behind the index")) }
    }

    pub(crate) fn decode_block(cursor: &mut Cursor<'_>) -> Result<BlockHandle> {
        let (offset, len_bytes) = (cursor.varint()?, cursor.varint()?);
        let entries = cursor.length(u32::MAX as usize)? as u32;
        if entries == 0 {
            return Err(cursor.corrupt("a block without entries"));
        }
        let digest = Digest(cursor.array()?);
        let key_len = cursor.length(cursor.remaining())?;
        let first_key = cursor.take(key_len)?.to_vec();
        Ok(BlockHandle { offset, len_bytes, entries, digest, first_key })
    }

    /// The states that block `number` can hold entries of, with the key groups of each, as far as
    /// first keys tell: what is lost with it.
    pub fn block_holds(&self, number: usize) -> Vec<(u32, KeyGroupRange)> {
        let at =
            |number: usize| self.blocks.get(number).and_then(|block| prefix_of(&block.first_key));
        let Some((first, KeyGroup(from))) = at(number) else { return Vec::new() };
        // The block can end in the key group that the next one begins with.
        let (last, KeyGroup(to)) = at(number + 1).unwrap_or((u32::MAX, KeyGroup(u16::MAX)));
        let states = self.stats.range(first..=last.max(first)).map(|(state, _)| *state);
        let holds = states.filter_map(|state| {
            let from = if state == first { from } else { 0 };
            let to = if state == last { to } else { u16::MAX };
            Some((state, KeyGroupRange::new(from, to).ok()?))
        });
        holds.collect()
    }

    /// The numbers of the blocks that can hold keys from `from` up to, but not including, `to`.
    pub fn blocks_between(&self, from: &[u8], to: &[u8]) -> std::ops::Range<usize> {
        // The block before the first that starts above `from` may hold it; so may one that starts
        // at `from`, whose predecessor can end with a `Clear` of the same key.
        let start = self.blocks.partition_point(|block| block.first_key.as_slice() < from);
        let end = self.blocks.partition_point(|block| block.first_key.as_slice() < to);
        let start = start.saturating_sub(1);
        start..end.max(start)
    }
}
