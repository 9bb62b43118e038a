//! One entry of a block after the other, for who reads several blocks side by side.

use super::Op;
use super::block::{Block, Entry};
use super::limit::KeyLimit;
use crate::bytes::Cursor;
use crate::{FormatError, Result};
use std::cmp::Ordering;
use std::ops::Range;

/// A block and a place in it: before its first entry at first.
#[derive(Debug, Clone)]
pub struct BlockCursor {
    block: Block,
    left: u32,
    meta_at: usize,
    keys_at: usize,
    key: Vec<u8>,
    limit: KeyLimit,
    op: Op,
    value: Range<usize>,
}

impl BlockCursor {
    /// A cursor before the first entry of `block`.
    pub fn new(block: Block) -> Self {
        let left = block.entries;
        let limit = KeyLimit::of(block.meta.len() + block.keys.len());
        let (key, op, value) = (Vec::new(), Op::Clear, 0..0);
        Self { block, left, meta_at: 0, keys_at: 0, key, limit, op, value }
    }

    /// Goes to the next entry; false at the end.
    ///
    /// # Errors
    /// As for [`Block::for_each`].
    pub fn advance(&mut self) -> Result<bool> {
        let Block { meta, keys, values, entries } = &self.block;
        let corrupt = |message: &str| Err(FormatError::corrupt("run block", message));
        if self.left == 0 {
            let used = [self.meta_at, self.keys_at, self.value.end];
            if used != [meta.len(), keys.len(), values.len()] {
                return corrupt("columns hold more than the entries");
            }
            return Ok(false);
        }
        let mut columns = Cursor::new("run block", meta.get(self.meta_at..).unwrap_or_default());
        let before = columns.remaining();
        let op = Op::from_code(columns.u8()?)?;
        let shared = columns.length(self.key.len())?;
        let suffix_len = columns.length(keys.len().saturating_sub(self.keys_at))?;
        let value_len = columns.length(values.len().saturating_sub(self.value.end))?;
        self.meta_at += before - columns.remaining();

        let suffix = &keys[self.keys_at..self.keys_at + suffix_len];
        let ascends = match suffix.cmp(&self.key[shared..]) {
            Ordering::Greater => true,
            Ordering::Equal => self.op == Op::Clear && op != Op::Clear,
            Ordering::Less => false,
        };
        if !ascends && self.left != *entries {
            return corrupt("keys do not ascend");
        }
        self.limit.count(shared + suffix_len)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        self.keys_at += suffix_len;
        self.op = op;
        self.value = self.value.end..self.value.end + value_len;
        self.left -= 1;
        Ok(true)
    }

    /// The entry that [`advance`](Self::advance) went to.
    pub fn entry(&self) -> Entry<'_> {
        Entry { key: &self.key, op: self.op, value: &self.block.values[self.value.clone()] }
    }
}
