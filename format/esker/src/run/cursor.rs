//! One entry of a block after the other, for who reads several blocks side by side.

use super::Op;
use super::block::{Block, Entry, ascends};
use crate::bytes::copy_short;
use crate::{FormatError, Result};
use std::borrow::Borrow;
use std::ops::Range;

/// A block and a place in it: before its first entry at first.
#[derive(Debug, Clone)]
pub struct BlockCursor<B = Block> {
    block: B,
    next: usize,
    keys_at: usize,
    /// The key at hand, and what is left of longer ones before.
    key: Vec<u8>,
    key_len: usize,
    op: Op,
    value: Range<usize>,
}

impl<B: Borrow<Block>> BlockCursor<B> {
    /// A cursor before the first entry of `block`.
    pub fn new(block: B) -> Self {
        Self { block, next: 0, keys_at: 0, key: Vec::new(), key_len: 0, op: Op::Clear, value: 0..0 }
    }

    /// Goes to the next entry; false at the end.
    ///
    /// # Errors
    /// As for [`Block::for_each`].
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        let block = self.block.borrow();
        let Some(row) = block.rows.get(self.next) else { return Ok(false) };
        // Lengths were added up when the block was decoded.
        let (shared, end) = (row.shared as usize, self.keys_at + row.suffix_len as usize);
        let suffix = &block.keys[self.keys_at..end];
        if self.next > 0 && !ascends(&self.key[shared..self.key_len], self.op, suffix, row.op) {
            return Err(FormatError::corrupt("run block", "keys do not ascend"));
        }
        self.key_len = shared + suffix.len();
        if self.key.len() < self.key_len {
            self.key.resize(self.key_len, 0);
        }
        copy_short(&mut self.key[shared..self.key_len], suffix);
        self.keys_at = end;
        self.op = row.op;
        self.value = self.value.end..self.value.end + row.value_len as usize;
        self.next += 1;
        Ok(true)
    }

    /// The entry that [`advance`](Self::advance) went to.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            key: &self.key[..self.key_len],
            op: self.op,
            value: &self.block.borrow().values[self.value.clone()],
        }
    }
}
