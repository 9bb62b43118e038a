//! Operator state: lists, unions and broadcast maps, in one stream behind a [header](crate::header::OperatorHeader) (SPEC.md,
//! "Operator state").
//!
//! The handle says where each element of a list begins, and where a map does; an element ends where the next one begins. Compressed,
//! each begins with a chunk of its own, but for those of two versions of Flink ([`Unflushed`]).

#[cfg(test)]
mod tests;
mod unflushed;
mod writer;

pub use unflushed::Unflushed;
pub use writer::OperatorWriter;

use crate::header::{OperatorHeader, Role, StateMeta};
use crate::metadata::OperatorHandle;
use crate::{FormatError, Input, Result, Serializer, snappy};
use std::borrow::Cow;
use std::ops::Range;

const WHAT: &str = "operator state";

/// What stands at one offset of operator state, still encoded: an element of a list, or a whole map.
///
/// `stream` is all of the stream, `extent` one of [`OperatorHandle::extents`]. Costs a copy if it is compressed.
///
/// # Errors
/// `Corrupt` with the offset.
pub fn read_extent<'a>(
    stream: &'a [u8],
    header: &OperatorHeader,
    extent: &Range<u64>,
) -> Result<Cow<'a, [u8]>> {
    let range = usize::try_from(extent.start).ok().zip(usize::try_from(extent.end).ok());
    let Some(bytes) = range.and_then(|(start, end)| stream.get(start..end)) else {
        let message =
            format!("an element from {} to {} of {} bytes", extent.start, extent.end, stream.len());
        return Err(FormatError::corrupt(WHAT, message).at(extent.start));
    };
    match header.compressed {
        false => Ok(Cow::Borrowed(bytes)),
        true => {
            let mut input = Input::new(WHAT, bytes).based_at(extent.start);
            let held = snappy::decompress(&mut input)?;
            input.end()?;
            Ok(Cow::Owned(held))
        }
    }
}

/// The element that is all of `bytes`, if its serializer can read it: else nothing is said of it.
///
/// # Errors
/// `Corrupt` if it is none, or bytes follow it.
pub fn check_element(bytes: &[u8], element: &Serializer) -> Result<()> {
    if element.opaque().is_some() {
        return Ok(());
    }
    let mut input = Input::new(WHAT, bytes);
    element.skip(&mut input)?;
    input.end()
}

/// The entries of a broadcast map, encoded: keys and values.
#[derive(Debug, Clone)]
pub struct BroadcastEntries<'a, 's> {
    input: Input<'a>,
    key: &'s Serializer,
    value: &'s Serializer,
    left: usize,
}

impl<'a, 's> BroadcastEntries<'a, 's> {
    /// Those of the map that is all of `bytes`, as [`read_extent`] gives them.
    ///
    /// # Errors
    /// `Corrupt` if a serializer is missing, or the count is no count; `Incompatible` with the class if keys or values cannot be read, as
    /// nothing else tells where they end.
    pub fn new(bytes: &'a [u8], state: &'s StateMeta) -> Result<Self> {
        let (key, value) = (state.needed(Role::Key)?, state.needed(Role::Value)?);
        let mut input = Input::new(WHAT, bytes);
        let left = input.count(1)?;
        if let Some(class) = key.opaque().or(value.opaque()).filter(|_| left > 0) {
            let message =
                format!("state {:?}: {class} wrote its entries, which cannot be read", state.name);
            return Err(FormatError::new(crate::FormatErrorKind::Incompatible, WHAT, message));
        }
        Ok(Self { input, key, value, left })
    }

    fn entry(&mut self) -> Result<(&'a [u8], &'a [u8])> {
        let start = self.input.position();
        self.key.skip(&mut self.input)?;
        let key = self.input.since(start);
        let start = self.input.position();
        self.value.skip(&mut self.input)?;
        let value = self.input.since(start);
        if self.left == 0 {
            self.input.end()?;
        }
        Ok((key, value))
    }
}

impl<'a> Iterator for BroadcastEntries<'a, '_> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // A map without entries has nothing behind its count either.
            let end = self.input.end();
            self.input.skip(usize::MAX);
            return end.err().map(Err);
        }
        self.left -= 1;
        let entry = self.entry();
        if entry.is_err() {
            self.left = 0;
            self.input.skip(usize::MAX);
        }
        Some(entry)
    }
}

impl OperatorHandle {
    /// What stands at each offset of each state, in the order of [`states`](Self::states): up to where anything else begins, or to the end of a
    /// stream of `stream_len` bytes.
    ///
    /// # Errors
    /// `Corrupt` if something begins behind the end of the stream.
    pub fn extents(&self, stream_len: u64) -> Result<Vec<Vec<Range<u64>>>> {
        let mut starts: Vec<u64> =
            self.states.iter().flat_map(|state| state.offsets.iter().copied()).collect();
        starts.sort_unstable();
        if let Some(last) = starts.last().filter(|last| **last > stream_len) {
            let message =
                format!("an element begins at {last}, behind the {stream_len} bytes of its stream");
            let error = FormatError::corrupt(WHAT, message);
            return Err(match self.position.offset() {
                Some(offset) => error.at(offset),
                None => error,
            });
        }
        let extent = |(at, start): (usize, &u64), offsets: &[u64]| {
            // One that takes no bytes begins where the next one does.
            let empty = offsets.get(at + 1) == Some(start);
            let next = starts.partition_point(|other| other <= start);
            let end = starts.get(next).copied().unwrap_or(stream_len);
            *start..if empty { *start } else { end }
        };
        let of_state = |offsets: &[u64]| {
            offsets.iter().enumerate().map(|element| extent(element, offsets)).collect()
        };
        Ok(self.states.iter().map(|state| of_state(&state.offsets)).collect())
    }
}
