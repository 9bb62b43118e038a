//! The entries of a run, one after the other: what must hold of each, and from one to the next.

use esker::format::composite::CompositeKey;
use esker::format::run::{Block, BlockHandle, Entry, Op, RunFilter, StateStats};
use esker::format::{FormatError, KeyGroup};
use std::collections::BTreeMap;

/// What was seen of a run so far.
pub(super) struct Walk<'a> {
    /// The last entry of the block before.
    last: Option<(Vec<u8>, Op)>,
    found: BTreeMap<u32, StateStats>,
    /// The state of the last entry, whose counts are not in `found` yet.
    counted: Option<(u32, StateStats)>,
    filter: Option<&'a RunFilter>,
    keyed: bool,
}

impl<'a> Walk<'a> {
    /// Before the first entry; `keyed` says whether entries are in the key groups of their keys.
    pub(super) fn new(filter: Option<&'a RunFilter>, keyed: bool) -> Self {
        Self { last: None, found: BTreeMap::new(), counted: None, filter, keyed }
    }

    /// Goes through the next block.
    ///
    /// # Errors
    /// `Corrupt`, for the first thing that is wrong.
    pub(super) fn block(&mut self, handle: &BlockHandle, block: &Block) -> Result<(), FormatError> {
        let corrupt = |message: &str| {
            Err(FormatError::corrupt("run block", message.to_owned()).at(handle.offset))
        };
        if block.entries() != handle.entries {
            return corrupt("entries differ from the index");
        }
        let mut left = block.entries();
        let is_first = |left| left == handle.entries;
        block.for_each(|entry| {
            if is_first(left) {
                if entry.key != handle.first_key {
                    return corrupt("first key differs from the index");
                }
                // Inside of a block they do, or it is refused.
                if !self.last.as_ref().is_none_or(|last| ascends(last, entry)) {
                    return corrupt("keys do not ascend");
                }
            }
            left -= 1;
            if left == 0 {
                self.last = Some((entry.key.to_vec(), entry.op));
            }
            self.entry(entry).or_else(corrupt)
        })
    }

    fn entry(&mut self, entry: Entry<'_>) -> Result<(), &'static str> {
        let Entry { key, op, value } = entry;
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
        match &mut self.counted {
            Some((state, stats)) if *state == parts.state => stats.count(op, key, value),
            _ => {
                let mut stats = StateStats::default();
                stats.count(op, key, value);
                self.found.extend(self.counted.replace((parts.state, stats)));
            }
        }
        Ok(())
    }

    /// The statistics of all entries.
    pub(super) fn found(mut self) -> BTreeMap<u32, StateStats> {
        self.found.extend(self.counted);
        self.found
    }
}

fn ascends((last, last_op): &(Vec<u8>, Op), Entry { key, op, .. }: Entry<'_>) -> bool {
    key > last.as_slice() || (key == last && *last_op == Op::Clear && op != Op::Clear)
}
