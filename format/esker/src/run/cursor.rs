//! One entry of a block after the other, for who reads several blocks side by side.

use super::Op;
use super::block::{Block, Entry, ascends, shared_len};
use crate::bytes::copy_short;
use crate::{FormatError, Result};
use std::borrow::Borrow;
use std::ops::Range;

/// A block and a place in it: before its first entry at first.
#[derive(Debug, Clone)]
pub struct BlockCursor<B = Block> {
    block: B,
    /// The number of the entry behind the one at hand; behind the end, one more than there are entries.
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
    /// As for [`Block::for_each`]; it is at its end then.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        let block = self.block.borrow();
        let Some(row) = block.rows.get(self.next) else {
            self.next = block.rows.len() + 1;
            return Ok(false);
        };
        // Lengths were added up when the block was decoded.
        let (shared, end) = (row.shared as usize, self.keys_at + row.suffix_len as usize);
        let suffix = &block.keys[self.keys_at..end];
        if self.next > 0 && !ascends(&self.key[shared..self.key_len], self.op, suffix, row.op) {
            self.next = block.rows.len() + 1;
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

    /// Goes to the first entry from the one at hand on whose key is not below `key`; false at the end. Of
    /// those that are passed over no key is made: one that shares more with the one before than that has in common
    /// with `key` is below as that is, and its bytes are not looked at.
    ///
    /// # Errors
    /// As for [`Block::for_each`], as far as keys were looked at; it is at its end then.
    pub fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let block = self.block.borrow();
        let is_on_one = (1..=block.rows.len()).contains(&self.next);
        let at_hand = is_on_one.then_some(&self.key[..self.key_len]);
        if at_hand.is_some_and(|at_hand| at_hand >= key) {
            return Ok(true);
        }
        // How many bytes the key before has in common with `key`, which is above it.
        let mut common = at_hand.map_or(0, |at_hand| shared_len(at_hand, key));
        let mut value_at = self.value.end;
        for row in block.rows.get(self.next..).unwrap_or_default() {
            let (shared, start) = (row.shared as usize, self.keys_at);
            self.next += 1;
            self.keys_at += row.suffix_len as usize;
            let value = value_at..value_at + row.value_len as usize;
            value_at = value.end;
            if shared > common {
                continue;
            }
            let (suffix, wanted) = (&block.keys[start..self.keys_at], &key[shared..]);
            let more = shared_len(suffix, wanted);
            if suffix.get(more) >= wanted.get(more) {
                self.key.clear();
                self.key.extend_from_slice(&key[..shared]);
                self.key.extend_from_slice(suffix);
                self.key_len = self.key.len();
                (self.op, self.value) = (row.op, value);
                return Ok(true);
            }
            if shared + more < common {
                self.next = block.rows.len() + 1;
                return Err(FormatError::corrupt("run block", "keys do not ascend"));
            }
            common = shared + more;
        }
        self.next = block.rows.len() + 1;
        Ok(false)
    }

    /// The entry that [`advance`](Self::advance) or [`seek`](Self::seek) went to.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            key: &self.key[..self.key_len],
            op: self.op,
            value: &self.block.borrow().values[self.value.clone()],
        }
    }
}
