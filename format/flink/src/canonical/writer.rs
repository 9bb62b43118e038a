//! Writing the entries of a key group.

use super::{END, LAST, WHAT};
use crate::keys::{KeyFormat, KeyParts, put_key_group};
use crate::{FormatError, Output, Result};

/// Writes the entries of one key group.
///
/// Costs memory for what is not [taken](Self::take_settled) away: all of it, or little more than an entry.
#[derive(Debug)]
pub struct KeyGroupWriter {
    key_group: u16,
    prefix_len: usize,
    out: Vec<u8>,
    /// The state of the last entry, and where it begins in `out`.
    last: Option<(u16, usize)>,
}

impl KeyGroupWriter {
    /// A key group without entries, in an operator whose key groups take `prefix_len_bytes`.
    pub fn new(key_group: u16, prefix_len_bytes: usize) -> Self {
        Self { key_group, prefix_len: prefix_len_bytes, out: Vec::new(), last: None }
    }

    /// Appends an entry of `state`. Flink writes those of a state in a row, states by ascending id, and keys in order of their bytes;
    /// it reads any order.
    ///
    /// # Errors
    /// `Invalid` if `state` or the key group is above 32,767, or key or value take more than 2^31 - 1 bytes; nothing is appended then.
    pub fn entry(
        &mut self,
        state: u16,
        format: &KeyFormat<'_>,
        parts: &KeyParts<'_>,
        value: &[u8],
    ) -> Result<()> {
        self.put(state, |out| format.put(parts, out), value)
    }

    /// The same, with the key as [`RawEntry`](super::RawEntry) has it.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    pub fn raw(&mut self, state: u16, key: &[u8], value: &[u8]) -> Result<()> {
        self.put(state, |out| out.extend_from_slice(key), value)
    }

    fn put(&mut self, state: u16, put_key: impl FnOnce(&mut Vec<u8>), value: &[u8]) -> Result<()> {
        if state.max(self.key_group) > i16::MAX.unsigned_abs() {
            let message =
                format!("state={state} of key_group={}: 32,767 is the most", self.key_group);
            return Err(FormatError::invalid(WHAT, message));
        }
        let start = self.out.len();
        if self.last.is_none_or(|(last, _)| last != state) {
            self.out.put_u16(state);
        }
        let at = self.out.len();
        self.out.put_i32(0);
        put_key_group(self.key_group, self.prefix_len, &mut self.out);
        put_key(&mut self.out);
        let key_len = i32::try_from(self.out.len() - at - 4);
        let (Ok(key_len), Ok(value_len)) = (key_len, i32::try_from(value.len())) else {
            self.out.truncate(start);
            return Err(FormatError::invalid(WHAT, "a key or value of more than 2^31 - 1 bytes"));
        };
        self.out[at..at + 4].copy_from_slice(&key_len.to_be_bytes());
        self.out.put_i32(value_len);
        self.out.extend_from_slice(value);
        if let Some((last, last_at)) = self.last
            && last != state
        {
            self.out[last_at + 4] |= LAST;
        }
        self.last = Some((state, at));
        Ok(())
    }

    /// Takes the bytes that no later entry changes: all but the last entry.
    pub fn take_settled(&mut self) -> Vec<u8> {
        let Some((_, at)) = &mut self.last else { return Vec::new() };
        let rest = self.out.split_off(std::mem::take(at));
        std::mem::replace(&mut self.out, rest)
    }

    /// The rest of the bytes; none if there was no entry, for which the handle says 0 in place of an offset.
    pub fn finish(mut self) -> Vec<u8> {
        if let Some((_, at)) = self.last {
            self.out[at + 4] |= LAST;
            self.out.put_u16(END);
        }
        self.out
    }
}
