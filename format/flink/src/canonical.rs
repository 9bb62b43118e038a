//! The canonical format: keyed state as every backend writes it into savepoints, and restores it (SPEC.md, "Canonical state").
//!
//! Behind the [header](crate::header::KeyedHeader) the entries of each key group, at the offset that the handle says for it. What tells
//! where a state's entries end is the high bit of a key's first byte, which no key group uses.

#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use value::{ListElements, map_value, put_list_element, put_map_value};
pub use writer::KeyGroupWriter;

use crate::entry::Entry;
use crate::header::KeyedHeader;
use crate::key_group::prefix_len_bytes;
use crate::keys::{KeyFormat, split_key_group};
use crate::snappy::Decompressed;
use crate::{FormatError, Input, Result, Source};

const WHAT: &str = "canonical state";
/// Set in the first byte of the last key before another state's, or before the end.
const LAST: u8 = 0x80;
/// In place of a state's id: the key group ends.
const END: u16 = 0xffff;
/// The lengths of key and value.
const LENGTHS: usize = 8;

/// The entries of a key group, in the order of the stream: those of a state in a row.
///
/// No memory is taken for an entry that `source` does not take. What follows the key group is not looked at.
pub struct Entries<S> {
    source: S,
    prefix_len: usize,
    states: usize,
    /// The state of the next entry; `None` at the end.
    state: Option<u16>,
    /// The length of what was returned last, still in `source`.
    returned: usize,
}

/// The key and value of an entry of canonical state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// The id of its state.
    pub state: u16,
    /// The key group in front of its key.
    pub key_group: u16,
    /// The rest of the key: see [`KeyFormat::split`].
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> RawEntry<'a> {
    /// The entry with its key cut into parts, by the format of its state.
    ///
    /// # Errors
    /// Those of [`KeyFormat::split`].
    #[inline]
    pub fn split(&self, format: &KeyFormat<'_>) -> Result<Entry<'a>> {
        let parts = format.split(self.key)?;
        Ok(Entry {
            state: self.state,
            key_group: self.key_group,
            key: parts.key,
            namespace: parts.namespace,
            user_key: parts.user_key,
            timestamp_ms: parts.timestamp_ms,
            value: self.value,
        })
    }
}

/// A key group's bytes, compressed or not.
pub enum KeyGroupSource<S> {
    /// As they are.
    Plain(S),
    /// Compressed.
    Compressed(Decompressed<S>),
}

impl<S: Source> Source for KeyGroupSource<S> {
    #[inline]
    fn peek(&mut self, len: usize) -> Result<&[u8]> {
        match self {
            Self::Plain(source) => source.peek(len),
            Self::Compressed(source) => source.peek(len),
        }
    }

    #[inline]
    fn advance(&mut self, len: usize) {
        match self {
            Self::Plain(source) => source.advance(len),
            Self::Compressed(source) => source.advance(len),
        }
    }

    #[inline]
    fn offset(&self) -> u64 {
        match self {
            Self::Plain(source) => source.offset(),
            Self::Compressed(source) => source.offset(),
        }
    }
}

impl<'a> Entries<KeyGroupSource<Input<'a>>> {
    /// The entries of the key group that begins at `offset` of `stream`, all of a stream that begins with `header`, of an operator with
    /// `max_parallelism`.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn at(
        stream: &'a [u8],
        offset: u64,
        header: &KeyedHeader,
        max_parallelism: u32,
    ) -> Result<Self> {
        let Some(bytes) = usize::try_from(offset).ok().and_then(|offset| stream.get(offset..))
        else {
            let message =
                format!("a key group is said to begin here, where {} bytes are all", stream.len());
            return Err(FormatError::corrupt(WHAT, message).at(offset));
        };
        Self::of(Input::new(WHAT, bytes).based_at(offset), header, max_parallelism)
    }
}

impl<S: Source> Entries<KeyGroupSource<S>> {
    /// The entries of the key group that begins where `source` stands, in a stream with this header.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn of(source: S, header: &KeyedHeader, max_parallelism: u32) -> Result<Self> {
        let source = match header.compressed {
            false => KeyGroupSource::Plain(source),
            true => KeyGroupSource::Compressed(Decompressed::new(source)),
        };
        Self::new(source, prefix_len_bytes(max_parallelism), header.state_count())
    }
}

impl<S: Source> Entries<S> {
    /// The entries of the key group that begins where `source` stands, if key groups take `prefix_len_bytes` and there are `states` states.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn new(source: S, prefix_len_bytes: usize, states: usize) -> Result<Self> {
        let mut entries =
            Self { source, prefix_len: prefix_len_bytes, states, state: None, returned: 0 };
        let first = entries.peek_state(0)?;
        entries.source.advance(2);
        match first {
            Some(_) => entries.state = first,
            None => return Err(entries.corrupt("a key group begins with its end")),
        }
        Ok(entries)
    }

    /// Where in its stream the next entry begins; of a compressed stream where a chunk lies that holds some of it.
    pub fn offset(&self) -> u64 {
        match self.state {
            Some(_) => self.source.offset().saturating_add(self.returned as u64),
            None => self.source.offset(),
        }
    }

    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    /// `Corrupt`, after which it goes on with nothing.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Option<RawEntry<'_>>> {
        self.source.advance(std::mem::take(&mut self.returned));
        let Some(state) = self.state.take() else { return Ok(None) };
        let key_len = self.length_at(0)?;
        let value_len = self.length_at(key_len.saturating_add(4))?;
        let len = key_len.saturating_add(value_len).saturating_add(LENGTHS);
        let bytes = self.source.peek(len)?;
        let last = match bytes.get(4) {
            Some(first) if key_len >= self.prefix_len => first & LAST != 0,
            _ => return Err(self.corrupt("a key is shorter than its key group")),
        };
        if last {
            self.state = self.peek_state(len)?;
            self.returned = len + 2;
        } else {
            self.state = Some(state);
            self.returned = len;
        }
        let bytes = self.source.peek(len)?;
        let (key, value) = (&bytes[4..4 + key_len], &bytes[LENGTHS + key_len..len]);
        let (key_group, key) = split_key_group(key, self.prefix_len)?;
        let flag = if self.prefix_len == 1 { LAST.into() } else { u16::from(LAST) << 8 };
        Ok(Some(RawEntry { state, key_group: key_group & !flag, key, value }))
    }

    /// The length that stands `at` bytes on.
    #[inline]
    fn length_at(&mut self, at: usize) -> Result<usize> {
        let bytes = self.source.peek(at.saturating_add(4))?;
        let stored = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        let len = i32::from_be_bytes(stored);
        // One that leaves no room for what follows is refused by who has to bring it.
        usize::try_from(len).map_err(|_| self.corrupt(format!("length {len} is negative")))
    }

    /// The id of the state that stands `at` bytes on.
    fn peek_state(&mut self, at: usize) -> Result<Option<u16>> {
        let bytes = self.source.peek(at.saturating_add(2))?;
        match bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes) {
            Some(END) => Ok(None),
            Some(state) if usize::from(state) < self.states => Ok(Some(state)),
            state => {
                let message = format!("state {} of {}", state.unwrap_or_default(), self.states);
                Err(self.corrupt(message))
            }
        }
    }

    #[cold]
    fn corrupt(&self, message: impl Into<String>) -> FormatError {
        FormatError::corrupt(WHAT, message).at(self.source.offset())
    }
}
