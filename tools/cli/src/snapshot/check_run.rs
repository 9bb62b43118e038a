//! All of one run against what its part says of it: every fault, not the first alone.

use super::check::Depth;
use super::harm::is_passing;
use super::walk::Walk;
use bytes::Bytes;
use esker::format::digest::Digester;
use esker::format::part::RunRef;
use esker::format::run::{
    BlockHandle, FOOTER_LEN_BYTES, HEADER_LEN_BYTES, IndexLocation, RunIndex, RunReader, StateStats,
};
use esker::format::{FormatError, KeyGroupRange};
use esker::snapshot::Lost;
use esker::{Error, Store, block_on};
use std::collections::BTreeMap;
use std::ops::Range;

/// About how many stored bytes are fetched in one.
const SPAN_LEN_BYTES: u64 = 1 << 20;

/// One thing that is wrong with a run, and what it takes.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) entries: Option<u64>,
    pub(super) lost: Vec<Lost>,
}

/// What was found in a run.
#[derive(Debug, Default)]
pub(super) struct CheckedRun {
    pub(super) faults: Vec<Fault>,
    /// Counts by state, as the index has them; none if the index is damaged.
    pub(super) stats: Option<BTreeMap<u32, StateStats>>,
    /// What was wrong when all of it was read, and was not when it was read a second time, block by block.
    pub(super) doubt: Option<String>,
}

impl CheckedRun {
    fn fault(&mut self, error: impl Into<Error>, run: &RunRef) {
        let error = error.into().at_path(run.file.as_str());
        self.faults.push(Fault { error, entries: None, lost: Vec::new() });
    }

    /// A fault that takes all of the run.
    fn whole(&mut self, error: impl Into<Error>, run: &RunRef) {
        let error = error.into().at_path(run.file.as_str());
        let lost = vec![Lost { state: None, range: run.range }];
        self.faults.push(Fault { error, entries: Some(run.entries), lost });
    }
}

/// Checks `run`; `keyed` says whether its entries are in the key groups of their keys. A file that has the
/// digest that its part says is what its writer wrote: where nothing more is asked for, only its index
/// is looked at then. Of any other each block is, by its own digest, to tell what is lost with it; what
/// no digest vouches for is not decoded. Memory: the index and the filter, a span and a block.
///
/// # Errors
/// The store's that are no damage.
pub(super) fn check_run(
    store: &Store,
    run: &RunRef,
    keyed: bool,
    depth: Depth,
) -> Result<CheckedRun, Error> {
    let read = match depth {
        Depth::Files => read_whole(store, run),
        Depth::Entries => Ok(Whole::NotRead),
    };
    let mut doubt = None;
    let file = read.and_then(|read| {
        let is_sound = matches!(read, Whole::Sound);
        let len_bytes = match is_sound {
            true => Some(run.len_bytes),
            false => block_on(store.head(&run.file))?,
        };
        if let Whole::Bad(why) = read {
            doubt = Some(why);
        }
        Ok(len_bytes.map(|len_bytes| RunFile { store, run, len_bytes, is_sound }))
    });
    let checked = file.and_then(|file| match file {
        Some(file) => file.check(keyed, depth),
        None => Err(FormatError::corrupt("run", "the file is missing").into()),
    });
    match checked {
        Err(error) if !is_passing(&error) => {
            let mut checked = CheckedRun::default();
            checked.whole(error, run);
            Ok(checked)
        }
        checked => checked.map(|checked| {
            let doubt = doubt.filter(|_| checked.faults.is_empty());
            CheckedRun { doubt, ..checked }
        }),
    }
}

/// What comes of reading all of a file.
enum Whole {
    NotRead,
    /// It has the digest that its part says.
    Sound,
    /// It has not, or cannot be read: why.
    Bad(String),
}

/// # Errors
/// The store's that are no damage.
fn read_whole(store: &Store, run: &RunRef) -> Result<Whole, Error> {
    match block_on(store.digest_within(&run.file, run.len_bytes)) {
        Ok(digest) if digest == Some(run.digest) => Ok(Whole::Sound),
        Ok(_) => Ok(Whole::Bad("its digest differed".to_owned())),
        Err(error) if error.is_damage() => Ok(Whole::Bad(error.to_string())),
        Err(error) => Err(error),
    }
}

/// The file of a run.
struct RunFile<'a> {
    store: &'a Store,
    run: &'a RunRef,
    len_bytes: u64,
    /// Whether its digest vouches for all of it.
    is_sound: bool,
}

impl RunFile<'_> {
    fn check(&self, keyed: bool, depth: Depth) -> Result<CheckedRun, Error> {
        let (run, mut checked) = (self.run, CheckedRun::default());
        if self.len_bytes != run.len_bytes {
            let message = format!("bytes={}, its part says {}", self.len_bytes, run.len_bytes);
            checked.fault(FormatError::corrupt("run", message), run);
        }
        let end = run.index.offset.saturating_add(run.index.len_bytes);
        let behind = end.saturating_add(FOOTER_LEN_BYTES as u64);
        let (tail, has_footer) = match self.read(run.index.offset..behind) {
            Err(error) if error.is_damage() => {
                let index = self.read(run.index.offset..end)?;
                checked.fault(error, run);
                (index, false)
            }
            tail => (tail?, true),
        };
        let (index, footer) = tail.split_at(tail.len().min(clamped(run.index.len_bytes)));
        let reader = match RunReader::open(run.index, index) {
            Ok(reader) => reader,
            Err(error) => {
                checked.whole(error, run);
                return Ok(checked);
            }
        };
        let mut digester = Digester::default();
        if !self.is_sound {
            let header = self.read_or_fault(0..HEADER_LEN_BYTES as u64, &mut checked)?;
            digester.update(header.as_deref().unwrap_or_default());
            self.blocks(&mut checked, &reader, keyed, depth, &mut digester)?;
            digester.update(&tail);
            if let Some(Err(error)) = header.map(|header| RunReader::check_header(&header)) {
                checked.fault(error, run);
            }
        }
        if has_footer && let Err(error) = self.check_footer(footer) {
            checked.fault(error, run);
        }
        let index = reader.index();
        let entries: u64 = index.blocks.iter().map(|block| u64::from(block.entries)).sum();
        if entries != run.entries {
            let message = format!("entries={entries}, its part says {}", run.entries);
            checked.fault(FormatError::corrupt("run index", message), run);
        }
        // An index that decodes says that all lies end to end: all of the file was seen.
        if checked.faults.is_empty() && !self.is_sound && digester.digest() != run.digest {
            let message = "the digest of the whole file differs";
            checked.fault(FormatError::corrupt("run", message), run);
        }
        checked.stats = Some(reader.into_index().stats);
        Ok(checked)
    }

    /// Checks filter and blocks, and adds their bytes to `digester`.
    fn blocks(
        &self,
        checked: &mut CheckedRun,
        reader: &RunReader,
        keyed: bool,
        depth: Depth,
        digester: &mut Digester,
    ) -> Result<(), Error> {
        let (run, index) = (self.run, reader.index());
        let at = index.filter.map_or(0..0, |at| at.offset..at.offset.saturating_add(at.len_bytes));
        let stored_filter = self.read_or_fault(at, checked)?;
        let filter = stored_filter.as_ref().zip(index.filter);
        let filter = filter.map(|(stored, _)| reader.filter(stored)).transpose();
        let filter = filter.unwrap_or_else(|error| {
            checked.fault(error, run);
            None
        });
        let (mut walk, mut sound) = (Walk::new(filter.as_ref(), keyed), true);
        let (mut from, mut alone_before) = (0, 0);
        // Blocks that cannot be read and follow each other: one fault, its number, and where they begin.
        let mut unread: Option<(usize, Range<usize>)> = None;
        while let Some(handles) = index.blocks.get(from..).filter(|handles| !handles.is_empty()) {
            let most = if from < alone_before { 0 } else { SPAN_LEN_BYTES };
            let (handles, bytes) = span(handles, most);
            let (first, start) = (from, bytes.start);
            let stored = match self.read(bytes) {
                // A sector that cannot be read takes the blocks that lie on it, and no others.
                Err(error) if error.is_damage() && handles.len() > 1 => {
                    alone_before = from + handles.len();
                    continue;
                }
                stored => stored,
            };
            from += handles.len();
            let stored = match stored {
                Err(error) if error.is_damage() => {
                    sound = false;
                    match unread.as_mut().filter(|(_, blocks)| blocks.end == first) {
                        Some((at, blocks)) => {
                            blocks.end = from;
                            let widened = self.fault(error, index, blocks.clone());
                            if let Some(fault) = checked.faults.get_mut(*at) {
                                *fault = widened;
                            }
                        }
                        None => {
                            unread = Some((checked.faults.len(), first..from));
                            checked.faults.push(self.fault(error, index, first..from));
                        }
                    }
                    continue;
                }
                stored => stored?,
            };
            digester.update(&stored);
            for (number, handle) in (first..).zip(handles) {
                let offset = clamped(handle.offset.saturating_sub(start));
                let end = offset.saturating_add(clamped(handle.len_bytes));
                let block = stored.get(offset..end).unwrap_or_default();
                let found = match depth {
                    Depth::Files => reader.check_block(number, block),
                    Depth::Entries => {
                        reader.block(number, block).and_then(|block| walk.block(handle, &block))
                    }
                };
                if let Err(error) = found {
                    sound = false;
                    checked.faults.push(self.fault(error, index, number..number + 1));
                }
            }
        }
        digester.update(stored_filter.as_deref().unwrap_or_default());
        if depth == Depth::Entries && sound && walk.found() != index.stats {
            let message = "its statistics differ from its entries";
            checked.fault(FormatError::corrupt("run index", message), run);
        }
        Ok(())
    }

    /// A fault that takes adjacent blocks.
    fn fault(&self, error: impl Into<Error>, index: &RunIndex, blocks: Range<usize>) -> Fault {
        let mut lost: Vec<Lost> = Vec::new();
        for (state, range) in blocks.clone().flat_map(|number| index.block_holds(number)) {
            let Some(range) = range.intersect(self.run.range) else { continue };
            let last = lost.last().filter(|last| last.state == Some(state));
            // The next block begins where this one ends.
            let first = last.map_or(range.first(), |last| last.range.first());
            let Ok(joined) = KeyGroupRange::new(first, range.last()) else { continue };
            if last.is_some() {
                lost.pop();
            }
            lost.push(Lost { state: Some(state), range: joined });
        }
        let error = error.into().at_path(self.run.file.as_str());
        let handles = index.blocks.get(blocks).unwrap_or_default();
        let entries = handles.iter().map(|block| u64::from(block.entries)).sum();
        Fault { error, entries: Some(entries), lost }
    }

    /// The footer, which nobody reads who comes by way of a part.
    fn check_footer(&self, footer: &[u8]) -> Result<(), FormatError> {
        if IndexLocation::from_footer(footer, self.len_bytes)? != self.run.index {
            let message = "it tells another index than the part";
            return Err(FormatError::corrupt("run footer", message));
        }
        Ok(())
    }

    /// The same; none, and a fault, if they cannot be read.
    fn read_or_fault(
        &self,
        range: Range<u64>,
        checked: &mut CheckedRun,
    ) -> Result<Option<Bytes>, Error> {
        match self.read(range) {
            Err(error) if error.is_damage() => {
                checked.fault(error, self.run);
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// What there is of the bytes in `range`.
    fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let range = range.start..range.end.min(self.len_bytes);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(block_on(self.store.get_range(&self.run.file, range))?.unwrap_or_default())
    }
}

/// The blocks that are fetched in one, at least one, of some that lie end to end, and where they lie.
fn span(blocks: &[BlockHandle], len_bytes_max: u64) -> (&[BlockHandle], Range<u64>) {
    let start = blocks.first().map_or(0, |block| block.offset);
    let end_of = |block: &BlockHandle| block.offset.saturating_add(block.len_bytes);
    let fit = blocks.iter().take_while(|block| end_of(block) - start <= len_bytes_max).count();
    let blocks = blocks.get(..fit.max(1)).unwrap_or(blocks);
    (blocks, start..blocks.last().map_or(start, end_of))
}

/// A length or an offset in memory; one that there cannot be is behind the end of everything.
fn clamped(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
