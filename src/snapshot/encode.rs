//! Encoding a layer: pieces by key group range, each a run in memory, on plain threads.

use super::groups::Groups;
use super::source::place;
use super::sourced::{Counted, EntrySource, Live};
use crate::backend::operator::OperatorCapture;
use crate::backend::{EntrySink, StateCapture};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use esker_format::KeyGroupRange;
use esker_format::manifest::StateKind;
use esker_format::run::{Entry, RunOptions, RunSummary, RunWriter};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Finished bytes are taken from the run's writer when there are this many.
const TAKE_LEN_BYTES: usize = 256 << 10;

/// What the entries of a layer come from.
pub(super) enum Content {
    /// Captures, ids ascending: in the key groups of `base` all entries, elsewhere what changed.
    Captures { captures: Vec<Arc<dyn StateCapture>>, base: Groups },
    /// Sorted entries that nobody captured: runs that are folded into one, or what is written offline.
    /// Of the latter, which are complete, live entries are counted by the kinds of their states.
    Source { source: Arc<dyn EntrySource>, kinds: Option<BTreeMap<u32, StateKind>> },
    /// Operator state.
    Operator(Arc<dyn OperatorCapture>),
}

/// A finished run that no file holds yet.
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    pub(super) summary: RunSummary,
    /// Bytes of keys and values: of key groups in full, and of changes.
    pub(super) raw_len_bytes: [u64; 2],
    pub(super) entries: [u64; 2],
    /// What was counted of those states of which nobody knows.
    pub(super) live: Vec<Live>,
}

/// A run in memory that stops growing at a limit.
struct PieceSink<'a> {
    writer: RunWriter,
    out: Vec<u8>,
    len_bytes_max: usize,
    full: bool,
    /// The key group of the last entry.
    group: u16,
    stop: &'a AtomicBool,
    /// Which of the two counts is added to.
    counted: usize,
    raw_len_bytes: [u64; 2],
    entries: [u64; 2],
}

impl EntrySink for PieceSink<'_> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        self.writer.add(entry)?;
        self.entries[self.counted] += 1;
        self.raw_len_bytes[self.counted] += (entry.key.len() + entry.value.len()) as u64;
        let pending = self.writer.pending_bytes();
        if pending >= TAKE_LEN_BYTES {
            self.out.extend_from_slice(&self.writer.take_output());
        }
        if self.out.len() + pending > self.len_bytes_max {
            self.full = true;
            self.group = place(entry.key).map_or(0, |(_, group)| group.0);
            return Err(Error::new(ErrorKind::Invalid, "the piece is full"));
        }
        if pending >= TAKE_LEN_BYTES && self.stop.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Retry, "writing was given up"));
        }
        Ok(())
    }
}

/// What came of encoding a piece.
pub(super) enum Done {
    /// Its run.
    Run(Box<Encoded>),
    /// It has more bytes than it may have: about as many as that lie in so many of its key groups.
    Full { groups: u32 },
}

/// The run of the key groups in `range`, unless it would have more than `len_bytes_max` bytes.
///
/// A piece of key groups in full alone has no filter: most keys that are asked for are there, so
/// that it would spare few reads (as `optimize_filters_for_hits` of RocksDB).
///
/// # Errors
/// Those of captures and of sources: in a fold, the store's.
pub(super) fn encode(
    content: &Content,
    range: KeyGroupRange,
    len_bytes_max: Option<usize>,
    mut options: RunOptions,
    stop: &AtomicBool,
) -> Result<Done> {
    let is_full = match content {
        Content::Captures { base, .. } => base.within(range).count() == range.count(),
        Content::Source { kinds, .. } => kinds.is_some(),
        Content::Operator(_) => false,
    };
    if is_full {
        options.filter_bits_per_key = 0;
    }
    let capacity = len_bytes_max.unwrap_or_default();
    let mut sink = PieceSink {
        writer: RunWriter::new(options),
        out: Vec::with_capacity(capacity),
        len_bytes_max: len_bytes_max.unwrap_or(usize::MAX),
        full: false,
        group: 0,
        stop,
        counted: 0,
        raw_len_bytes: [0; 2],
        entries: [0; 2],
    };
    let mut live = Vec::new();
    if let Err(error) = write(content, range, &mut sink, &mut live) {
        if !sink.full {
            return Err(error);
        }
        // States come one after the other: only of a single one the last key group says how far
        // its entries went.
        let groups = match content {
            Content::Captures { captures, .. } if captures.len() > 1 => range.count() / 4,
            Content::Source { kinds: Some(kinds), .. } if kinds.len() > 1 => range.count() / 4,
            _ => u32::from(sink.group.saturating_sub(range.first())),
        };
        return Ok(Done::Full { groups });
    }
    let (rest, summary) = sink.writer.finish()?;
    sink.out.extend_from_slice(&rest);
    sink.out.shrink_to_fit();
    let bytes = Bytes::from(sink.out);
    let (raw_len_bytes, entries) = (sink.raw_len_bytes, sink.entries);
    let run = Encoded { bytes, summary, raw_len_bytes, entries, live };
    Ok(Done::Run(Box::new(run)))
}

/// Counts the live entries of a capture that does not know how many it has.
struct Counting<'a, 'b> {
    sink: &'a mut PieceSink<'b>,
    capture: &'a dyn StateCapture,
    live: u64,
}

impl EntrySink for Counting<'_, '_> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        self.live += self.capture.entries_of(entry);
        self.sink.add(entry)
    }
}

fn write(
    content: &Content,
    range: KeyGroupRange,
    sink: &mut PieceSink<'_>,
    live: &mut Vec<Live>,
) -> Result<()> {
    match content {
        Content::Captures { captures, base } => {
            let full = base.within(range);
            let changed = Groups::from(range).minus(&full);
            let mut parts: Vec<_> = full.into_ranges().into_iter().map(|part| (part, 0)).collect();
            parts.extend(changed.into_ranges().into_iter().map(|part| (part, 1)));
            parts.sort_unstable_by_key(|(part, _)| part.first());
            for capture in captures {
                for (part, counted) in &parts {
                    sink.counted = *counted;
                    match counted {
                        0 if !capture.is_counted() => {
                            let mut counting = Counting { sink, capture: &**capture, live: 0 };
                            capture.write_full(*part, &mut counting)?;
                            let (state, entries) = (capture.id(), counting.live);
                            live.push(Live { state, entries, earliest_timer_ms: None });
                        }
                        0 => capture.write_full(*part, sink)?,
                        _ => capture.write_changes(*part, sink)?,
                    }
                }
            }
            Ok(())
        }
        Content::Source { source, kinds: None } => source.write(range, sink),
        Content::Source { source, kinds: Some(kinds) } => {
            let mut counted = Counted::new(sink, kinds, range);
            source.write(range, &mut counted)?;
            live.extend(counted.live());
            Ok(())
        }
        Content::Operator(capture) => capture.write(sink),
    }
}
