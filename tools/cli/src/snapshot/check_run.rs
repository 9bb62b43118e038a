//! All of one run against what its part says of it: every fault, not the first alone.

use esker::Error;
use esker::format::composite::CompositeKey;
use esker::format::part::RunRef;
use esker::format::run::{Block, Entry, IndexLocation, Op, RunFilter, RunReader, StateStats};
use esker::format::run::{BlockHandle, FOOTER_LEN_BYTES};
use esker::format::{Digest, FormatError, KeyGroup};
use esker::snapshot::Lost;
use std::collections::BTreeMap;

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
}

impl CheckedRun {
    fn fault(&mut self, error: impl Into<Error>, run: &RunRef) {
        let error = error.into().at_path(run.file.as_str());
        self.faults.push(Fault { error, entries: None, lost: Vec::new() });
    }

    /// A fault that takes all of the run.
    pub(super) fn whole(&mut self, error: impl Into<Error>, run: &RunRef) {
        let error = error.into().at_path(run.file.as_str());
        let lost = vec![Lost { state: None, range: run.range }];
        self.faults.push(Fault { error, entries: Some(run.entries), lost });
    }
}

/// Checks the bytes of `run`; `keyed` says whether its entries are in the key groups of their keys.
/// What no digest vouches for is not decoded.
pub(super) fn check_run(bytes: &[u8], run: &RunRef, keyed: bool) -> CheckedRun {
    let mut checked = CheckedRun::default();
    let len_bytes = bytes.len() as u64;
    if len_bytes != run.len_bytes {
        let message = format!("bytes={len_bytes}, its part says {}", run.len_bytes);
        checked.fault(FormatError::corrupt("run", message), run);
    }
    let index = slice(bytes, run.index.offset, run.index.len_bytes);
    let reader = match RunReader::open(run.index, index) {
        Ok(reader) => reader,
        Err(error) => {
            checked.whole(error, run);
            return checked;
        }
    };
    let filter = reader.index().filter;
    let filter = filter.map(|at| reader.filter(slice(bytes, at.offset, at.len_bytes)));
    let filter = match filter.transpose() {
        Ok(filter) => filter,
        Err(error) => {
            checked.fault(error, run);
            None
        }
    };
    check_blocks(&mut checked, bytes, run, &reader, filter.as_ref(), keyed);
    if let Err(error) = check_ends(bytes, run) {
        checked.fault(error, run);
    }
    let entries: u64 = reader.index().blocks.iter().map(|block| u64::from(block.entries)).sum();
    if entries != run.entries {
        let message = format!("entries={entries}, its part says {}", run.entries);
        checked.fault(FormatError::corrupt("run index", message), run);
    }
    if checked.faults.is_empty() && Digest::of(bytes) != run.digest {
        checked.fault(FormatError::corrupt("run", "the digest of the whole file differs"), run);
    }
    checked.stats = Some(reader.index().stats.clone());
    checked
}

fn check_blocks(
    checked: &mut CheckedRun,
    bytes: &[u8],
    run: &RunRef,
    reader: &RunReader,
    filter: Option<&RunFilter>,
    keyed: bool,
) {
    let mut walk = Walk { last: None, found: BTreeMap::new(), filter, keyed };
    let mut sound = true;
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let stored = slice(bytes, handle.offset, handle.len_bytes);
        let block = reader.block(number, stored).and_then(|block| walk.block(handle, &block));
        if let Err(error) = block {
            sound = false;
            let held = reader.index().block_holds(number).into_iter();
            let lost = held.filter_map(|(state, range)| {
                Some(Lost { state: Some(state), range: range.intersect(run.range)? })
            });
            let error = Error::from(error).at_path(run.file.as_str());
            let entries = Some(handle.entries.into());
            checked.faults.push(Fault { error, entries, lost: lost.collect() });
        }
    }
    if sound && walk.found != reader.index().stats {
        let message = "its statistics differ from its entries";
        checked.fault(FormatError::corrupt("run index", message), run);
    }
}

/// What must hold from entry to entry.
struct Walk<'a> {
    last: Option<(Vec<u8>, Op)>,
    found: BTreeMap<u32, StateStats>,
    filter: Option<&'a RunFilter>,
    keyed: bool,
}

impl Walk<'_> {
    fn block(&mut self, handle: &BlockHandle, block: &Block) -> Result<(), FormatError> {
        let corrupt = |message: &str| {
            Err(FormatError::corrupt("run block", message.to_owned()).at(handle.offset))
        };
        if block.entries() != handle.entries {
            return corrupt("entries differ from the index");
        }
        let mut first = true;
        block.for_each(|entry| {
            if std::mem::take(&mut first) && entry.key != handle.first_key {
                return corrupt("first key differs from the index");
            }
            self.entry(entry).or_else(corrupt)
        })
    }

    fn entry(&mut self, entry: Entry<'_>) -> Result<(), &'static str> {
        let Entry { key, op, value } = entry;
        let ascends = self.last.as_ref().is_none_or(|(last, last_op)| {
            key > last.as_slice() || (key == last && *last_op == Op::Clear && op != Op::Clear)
        });
        if !ascends {
            return Err("keys do not ascend");
        }
        let Ok(parts) = CompositeKey::decode(key) else {
            return Err("a key that is no composite key");
        };
        let group = if self.keyed { KeyGroup::of(&parts.key) } else { KeyGroup(0) };
        if parts.group != group {
            return Err("an entry in a key group that is not its key's");
        }
        if matches!(op, Op::Delete | Op::Clear) && !value.is_empty() {
            return Err("a delete or clear has a value");
        }
        if op == Op::Clear && !parts.user_key.is_empty() {
            return Err("a clear has a user key");
        }
        let prefix = key.get(..key.len() - parts.user_key.len()).unwrap_or_default();
        if self.filter.is_some_and(|filter| !filter.may_contain(prefix)) {
            return Err("the filter denies an entry");
        }
        self.found.entry(parts.state).or_default().count(op, key, value);
        let (last, last_op) = self.last.get_or_insert_with(|| (Vec::new(), op));
        last.clear();
        last.extend_from_slice(key);
        *last_op = op;
        Ok(())
    }
}

/// Header and footer, which nobody reads who comes by way of a part.
fn check_ends(bytes: &[u8], run: &RunRef) -> Result<(), FormatError> {
    RunReader::open_file(bytes)?;
    let at = bytes.len().saturating_sub(FOOTER_LEN_BYTES);
    let location =
        IndexLocation::from_footer(bytes.get(at..).unwrap_or_default(), bytes.len() as u64)?;
    if location != run.index {
        return Err(FormatError::corrupt("run footer", "it tells another index than the part"));
    }
    Ok(())
}

/// Bytes of a file; none if they do not lie inside it, so that their digest will differ.
fn slice(file: &[u8], offset: u64, len_bytes: u64) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
    file.get(start..start.saturating_add(len)).unwrap_or_default()
}
