//! Compressed operator state as Flink 1.18.0 and 1.18.1 wrote it: a compressed stream for each state, in which nothing was flushed before
//! an element, so that its offset is where the stream stood after the last whole chunk, and many have the same (FLINK-34063). These
//! versions restore other elements than they had; all are in the stream.

use super::WHAT;
use crate::header::{OperatorHeader, Role, StateMeta};
use crate::metadata::OperatorHandle;
use crate::snappy::{CHUNK_LEN_MAX, IDENTIFIER};
use crate::{FormatError, FormatErrorKind, Input, Result, snappy};
use std::ops::Range;

/// What a state holds, and where its elements lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unflushed {
    bytes: Vec<u8>,
    extents: Vec<Range<usize>>,
}

impl Unflushed {
    /// Takes the stream of a state apart, all of [`OperatorHandle::unflushed_extent`], which holds `count` elements or one map. Of more than
    /// one, only their serializer tells where they end. In memory are all of them.
    ///
    /// # Errors
    /// `Corrupt` if they are no such elements, or more than these; `Incompatible` with the class if it cannot be told where one
    /// ends. Both with the offset `extent` begins at, as what is unpacked has others.
    pub fn read(
        stream: &[u8],
        extent: &Range<u64>,
        state: &StateMeta,
        count: usize,
    ) -> Result<Self> {
        Self::of(stream, state, count).map_err(|error| error.at(extent.start))
    }

    fn of(stream: &[u8], state: &StateMeta, count: usize) -> Result<Self> {
        let mut packed = stream;
        // Of empty states that follow, and of the next one with elements.
        while let Some(rest) = packed.strip_suffix(&IDENTIFIER) {
            packed = rest;
        }
        let mut packed = Input::new(WHAT, packed);
        let bytes = snappy::decompress(&mut packed)?;
        packed.end()?;
        if count == 1 {
            let all = 0..bytes.len();
            return Ok(Self { bytes, extents: vec![all] });
        }
        let element = state.needed(Role::Value)?;
        if let Some(class) = element.opaque() {
            let message = format!(
                "only {class} tells where an element ends, and the offsets do not, as Flink 1.18.0 and 1.18.1 compress it"
            );
            return Err(FormatError::new(FormatErrorKind::Incompatible, WHAT, message));
        }
        let mut input = Input::new(WHAT, &bytes);
        let mut extents = Vec::new();
        for _ in 0..count {
            let start = input.position();
            element.skip(&mut input)?;
            extents.push(start..input.position());
        }
        input.end()?;
        Ok(Self { bytes, extents })
    }

    /// The elements, encoded: of broadcast state the map.
    pub fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.extents.iter().map(|extent| self.bytes.get(extent.clone()).unwrap_or_default())
    }
}

impl OperatorHandle {
    /// Whether Flink 1.18.0 or 1.18.1 compressed the stream, whose elements do not begin at their offsets: elements share one, or a second
    /// state begins a stream of its own, or the first element is as many bytes as whole chunks hold. `read` gives some bytes of the
    /// stream: a few, or those of one element.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn is_unflushed<E>(
        &self,
        header: &OperatorHeader,
        stream_len: u64,
        read: &mut dyn FnMut(Range<u64>) -> std::result::Result<Vec<u8>, E>,
    ) -> std::result::Result<bool, E> {
        let lists = || self.states.iter().map(|state| &state.offsets[..]);
        if !header.compressed {
            return Ok(false);
        }
        if lists().any(|offsets| offsets.windows(2).any(|two| two.first() == two.get(1))) {
            return Ok(true);
        }
        let mut starts: Vec<u64> =
            lists().filter_map(|offsets| offsets.iter().min().copied()).collect();
        starts.sort_unstable();
        if let Some(second) = starts.get(1) {
            let before = second.saturating_sub(IDENTIFIER.len() as u64)..*second;
            return Ok(*second <= stream_len && read(before)? == IDENTIFIER);
        }
        let several = lists().find_map(|offsets| Some((*offsets.first()?, *offsets.get(1)?)));
        match several {
            Some((first, second)) if first < second && second <= stream_len => {
                let packed = read(first..second)?;
                let unpacked = snappy::decompress(&mut Input::new(WHAT, &packed));
                // An element of exactly so many bytes is taken for a part of one, and read all the same.
                Ok(unpacked.is_ok_and(|bytes| bytes.len() % CHUNK_LEN_MAX == 0))
            }
            _ => Ok(false),
        }
    }

    /// Where the stream of a state lies in one that is [unflushed](Self::is_unflushed), by its place in the handle.
    pub fn unflushed_extent(&self, state: usize, stream_len: u64) -> Range<u64> {
        let offsets = self.states.get(state).map_or(&[][..], |state| &state.offsets);
        let start = offsets.iter().min().copied().unwrap_or(stream_len).min(stream_len);
        let others = self.states.iter().flat_map(|state| state.offsets.iter().min());
        let next = others.filter(|other| **other > start).min();
        start..next.copied().unwrap_or(stream_len).min(stream_len)
    }
}
