//! Runs in a store: verified indexes, and spans of blocks fetched in one.

use super::groups::{Groups, span};
use super::merge::Lost;
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::part::RunRef;
use esker_format::run::{Block, RunFilter, RunReader};
use esker_format::{KeyGroup, KeyGroupRange};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Where an entry stands in a run, but for its key: state and key group.
pub(super) type Place = (u32, KeyGroup);

/// About how many stored bytes are fetched in one.
pub(super) const SPAN_LEN_BYTES: u64 = 1 << 20;

/// A run whose index is verified, and the key groups that it counts for.
#[derive(Debug, Clone)]
pub(super) struct Source {
    store: Store,
    run: Arc<RunRef>,
    reader: Arc<RunReader>,
    counts: Arc<Groups>,
}

/// Adjacent blocks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Their numbers.
    pub(super) blocks: Range<usize>,
    /// Where they lie in the file.
    pub(super) bytes: Range<u64>,
}

impl Span {
    /// Whether `next` begins where this one ends.
    pub(super) fn follows_with(&self, next: &Self) -> bool {
        self.blocks.end == next.blocks.start
    }

    /// `error` of a device that cannot give it back, with where it lies.
    pub(super) fn unreadable(&self, error: Error) -> Error {
        error.of(format_args!("bytes {} up to {}", self.bytes.start, self.bytes.end))
    }
}

/// The error of a file that a snapshot names and that is not there.
pub(crate) fn missing(file: &impl std::fmt::Display) -> Error {
    let message = "the file is missing, and a snapshot names it";
    Error::new(ErrorKind::Corrupt, message).at_path(file.to_string())
}

impl Source {
    /// Opens `run` by its index, which the part names by digest. One ranged read.
    ///
    /// # Errors
    /// The store's, and `Corrupt`, naming the file.
    pub(super) async fn open(store: &Store, run: &RunRef, counts: Groups) -> Result<Self> {
        let end = run.index.offset.saturating_add(run.index.len_bytes);
        let bytes = store.get_range(&run.file, run.index.offset..end).await?;
        let bytes = bytes.ok_or_else(|| missing(&run.file))?;
        let reader = RunReader::open(run.index, &bytes)
            .map_err(|error| Error::from(error).at_path(run.file.as_str()))?;
        let (run, reader) = (Arc::new(run.clone()), Arc::new(reader));
        Ok(Self { store: store.clone(), run, reader, counts: Arc::new(counts) })
    }

    pub(super) fn run(&self) -> &RunRef {
        &self.run
    }

    pub(super) fn reader(&self) -> &RunReader {
        &self.reader
    }

    pub(super) fn counts(&self) -> &Groups {
        &self.counts
    }

    pub(super) fn states(&self) -> impl Iterator<Item = u32> {
        self.reader.index().stats.keys().copied()
    }

    /// The spans that can hold entries of the states that are `wanted` in those key groups of `range`
    /// that the run counts for, in file order, each of about `len_bytes_max` stored bytes at most.
    pub(super) fn spans(
        &self,
        range: KeyGroupRange,
        wanted: impl Fn(u32) -> bool,
        len_bytes_max: u64,
    ) -> Vec<Span> {
        let index = self.reader.index();
        let mut numbers = BTreeSet::new();
        for state in self.states().filter(|id| wanted(*id)) {
            for range in self.counts.within(range).ranges() {
                let from = prefix(state, u32::from(range.first()));
                let to = prefix(state, u32::from(range.last()) + 1);
                numbers.extend(index.blocks_between(&from, &to));
            }
        }
        self.spans_between(numbers, len_bytes_max)
    }

    /// The spans that can hold entries whose composite keys begin with `prefix`.
    pub(super) fn spans_of(&self, prefix: &[u8]) -> Vec<Span> {
        // It ends with the two zeros that end a namespace.
        let mut above = prefix.to_vec();
        if let Some(last) = above.last_mut() {
            *last = 1;
        }
        let blocks = self.reader.index().blocks_between(prefix, &above);
        self.spans_between(blocks, SPAN_LEN_BYTES)
    }

    /// The composite key of a span's first entry.
    pub(super) fn first_key(&self, span: &Span) -> Option<&[u8]> {
        self.reader.index().blocks.get(span.blocks.start).map(|block| block.first_key.as_slice())
    }

    /// The place of a span's first entry.
    pub(super) fn first_place(&self, span: &Span) -> Place {
        self.first_key(span).and_then(place).unwrap_or((0, KeyGroup(0)))
    }

    /// The state of a block's first entry.
    pub(super) fn first_state(&self, number: usize) -> Option<u32> {
        let block = self.reader.index().blocks.get(number)?;
        place(&block.first_key).map(|(state, _)| state)
    }

    /// Spans of blocks, given their numbers, ascending.
    pub(super) fn spans_between(
        &self,
        numbers: impl IntoIterator<Item = usize>,
        len_bytes_max: u64,
    ) -> Vec<Span> {
        let index = self.reader.index();
        let mut spans: Vec<Span> = Vec::new();
        for number in numbers {
            let Some(block) = index.blocks.get(number) else { continue };
            let end = block.offset.saturating_add(block.len_bytes);
            match spans.last_mut() {
                Some(span)
                    if span.blocks.end == number && end - span.bytes.start <= len_bytes_max =>
                {
                    (span.blocks.end, span.bytes.end) = (number + 1, end);
                }
                _ => spans.push(Span { blocks: number..number + 1, bytes: block.offset..end }),
            }
        }
        spans
    }

    /// The run's filter, if it has one. One ranged read.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) async fn filter(&self) -> Result<Option<RunFilter>> {
        let Some(at) = self.reader.index().filter else { return Ok(None) };
        let bytes = at.offset..at.offset.saturating_add(at.len_bytes);
        let bytes = self.store.get_range(&self.run.file, bytes).await?;
        let bytes = bytes.ok_or_else(|| missing(&self.run.file))?;
        let filter = self.reader.filter(&bytes);
        filter.map(Some).map_err(|error| Error::from(error).at_path(self.run.file.as_str()))
    }

    /// As [`filter`](Self::filter), blocking the thread.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn filter_now(&self) -> Result<Option<RunFilter>> {
        self.store.block_on(self.filter())
    }

    /// How many entries are lost with `blocks`, and of what they can be.
    pub(super) fn loss(&self, blocks: Range<usize>) -> (u64, Vec<Lost>) {
        let index = self.reader.index();
        let handles = index.blocks.get(blocks.clone()).unwrap_or_default();
        let entries = handles.iter().map(|block| u64::from(block.entries)).sum();
        let mut lost: Vec<Lost> = Vec::new();
        for (state, range) in blocks.flat_map(|number| index.block_holds(number)) {
            let Some(range) = range.intersect(self.run.range) else { continue };
            match lost.last_mut().filter(|last| last.state == Some(state)) {
                // The next block begins where this one ends.
                Some(last) => last.range = span(last.range.first(), range.last()),
                None => lost.push(Lost { state: Some(state), range }),
            }
        }
        (entries, lost)
    }

    /// The stored bytes of a span.
    ///
    /// # Errors
    /// The store's, and `Corrupt` if the file is missing or too short.
    pub(super) async fn fetch(&self, span: &Span) -> Result<Bytes> {
        let bytes = self.store.get_range(&self.run.file, span.bytes.clone()).await?;
        bytes.ok_or_else(|| missing(&self.run.file))
    }

    /// As [`fetch`](Self::fetch), blocking the thread.
    ///
    /// # Errors
    /// As for [`fetch`](Self::fetch).
    pub(super) fn fetch_now(&self, span: &Span) -> Result<Bytes> {
        self.store.block_on(self.fetch(span))
    }

    /// The stored bytes of block `number` out of those of a span that holds it; none if they are not there.
    pub(super) fn stored<'b>(&self, number: usize, span: &Span, bytes: &'b [u8]) -> &'b [u8] {
        let stored = self.reader.index().blocks.get(number).and_then(|handle| {
            let start = usize::try_from(handle.offset.checked_sub(span.bytes.start)?).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(handle.len_bytes).ok()?)?)
        });
        stored.unwrap_or_default()
    }

    /// Block `number` out of the bytes of a span that holds it, verified and unpacked.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, and the states and key groups of the block.
    pub(super) fn block(&self, number: usize, span: &Span, bytes: &[u8]) -> Result<Block> {
        let at = |error| Error::from(error).at_path(self.run.file.as_str());
        let handle = self.reader.index().blocks.get(number);
        let block = self.reader.block(number, self.stored(number, span, bytes)).map_err(at)?;
        if handle.is_some_and(|handle| handle.entries != block.entries()) {
            let message = format!("block {number} holds other entries than its index says");
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(self.run.file.as_str()));
        }
        Ok(block)
    }
}

/// The least composite key of `state` in key group `group`, which may be one above the last.
pub(super) fn prefix(state: u32, group: u32) -> Vec<u8> {
    let state = u64::from(state) + u64::from(group >> 16);
    let mut key = Vec::with_capacity(6);
    match u32::try_from(state) {
        Ok(state) => key.extend_from_slice(&state.to_be_bytes()),
        // Above every key: state ids have four bytes.
        Err(_) => key.extend_from_slice(&[0xff; 7]),
    }
    key.extend_from_slice(&(group as u16).to_be_bytes());
    key
}

/// The state and key group of a composite key; none if it is too short to be one.
#[inline]
pub(super) fn place(key: &[u8]) -> Option<Place> {
    let (state, rest) = key.split_first_chunk::<4>()?;
    let (group, _) = rest.split_first_chunk::<2>()?;
    Some((u32::from_be_bytes(*state), KeyGroup(u16::from_be_bytes(*group))))
}
