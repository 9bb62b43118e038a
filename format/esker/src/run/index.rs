//! The index of a run: where each block lies, its digest and first key, and counts per state.

use super::{Op, VERSION, check_version};
use crate::bytes::{Cursor, put_varint};
use crate::{Digest, Result};
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

/// What a run holds of one state.
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
}

impl StateStats {
    /// Adds what another run holds of the state.
    pub fn merge(&mut self, other: &Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.live = self.live.saturating_add(other.live);
        self.key_bytes = self.key_bytes.saturating_add(other.key_bytes);
        self.value_bytes = self.value_bytes.saturating_add(other.value_bytes);
    }

    /// Counts one entry.
    pub fn count(&mut self, op: Op, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.live += u64::from(matches!(op, Op::Put | Op::Append));
        self.key_bytes += key.len() as u64;
        self.value_bytes += value.len() as u64;
    }
}

/// The decoded index of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunIndex {
    /// The blocks, in order of key and of offset.
    pub blocks: Vec<BlockHandle>,
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
        put_varint(&mut out, self.stats.len() as u64);
        for (state, stats) in &self.stats {
            out.extend_from_slice(&state.to_le_bytes());
            for value in [stats.entries, stats.live, stats.key_bytes, stats.value_bytes] {
                put_varint(&mut out, value);
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8], blocks_end: u64) -> Result<Self> {
        let mut cursor = Cursor::new("run index", bytes);
        check_version("run index", cursor.u32()?)?;
        // A block takes at least 36 bytes here, a state 8: a count above that is a lie.
        let count = cursor.length(cursor.remaining() / 36)?;
        let mut index = Self { blocks: Vec::with_capacity(count), stats: BTreeMap::new() };
        let mut next = super::HEADER_LEN_BYTES as u64;
        for _ in 0..count {
            let block = Self::decode_block(&mut cursor)?;
            let last = index.blocks.last();
            if last.is_some_and(|last| last.first_key > block.first_key) {
                return Err(cursor.corrupt("first keys of blocks do not ascend"));
            }
            let end = block.offset.checked_add(block.len_bytes);
            let Some(end) = end.filter(|end| block.offset == next && *end <= blocks_end) else {
                return Err(cursor.corrupt("blocks do not lie end to end"));
            };
            next = end;
            index.blocks.push(block);
        }
        if next != blocks_end {
            return Err(cursor.corrupt("bytes between the last block and the index"));
        }
        let states = cursor.length(cursor.remaining() / 8)?;
        for _ in 0..states {
            let state = cursor.u32()?;
            let stats = StateStats {
                entries: cursor.varint()?,
                live: cursor.varint()?,
                key_bytes: cursor.varint()?,
                value_bytes: cursor.varint()?,
            };
            if index.stats.last_key_value().is_some_and(|(last, _)| *last >= state) {
                return Err(cursor.corrupt("state ids do not ascend"));
            }
            index.stats.insert(state, stats);
        }
        if cursor.is_empty() { Ok(index) } else { Err(cursor.corrupt("bytes behind the index")) }
    }

    fn decode_block(cursor: &mut Cursor<'_>) -> Result<BlockHandle> {
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
