//! What a survey finds: the runs of a chain but for what is damaged, and what is lost with that.

use super::interval::{Interval, STATE_LEN_BYTES, behind, prefix_len};
use super::loss::{Level, Loss, of_run};
use super::survey::Wanted;
use crate::snapshot::groups::{Groups, span};
use crate::snapshot::source::{Source, place};
use crate::{Error, Store};
use esker_format::KeyGroupRange;
use esker_format::part::RunRef;
use esker_format::run::RunFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// A chain whose sound blocks are known.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    /// The runs whose index can be read.
    pub(super) runs: Vec<SoundRun>,
    /// What is lost of each state, by its id.
    pub(super) losses: BTreeMap<u32, Vec<Loss>>,
    /// What is damaged.
    pub(crate) found: Vec<Found>,
}

/// A run, but for some of its blocks.
#[derive(Debug)]
pub(super) struct SoundRun {
    pub(super) store: Store,
    pub(super) run: RunRef,
    pub(super) counts: Groups,
    /// Its number in the chain, oldest first.
    pub(super) rank: usize,
    /// The numbers of blocks that are damaged.
    pub(super) lost: BTreeSet<usize>,
}

/// One thing that is damaged.
#[derive(Debug)]
pub(crate) struct Found {
    /// What is wrong, with the file as its path.
    pub(crate) error: Error,
    /// How many entries it held, dead ones included, where that is known.
    pub(crate) entries: Option<u64>,
    /// What they were entries of.
    pub(crate) ranges: Vec<FoundRange>,
}

/// Keys of a state that can be lost.
#[derive(Debug, Clone)]
pub(crate) struct FoundRange {
    pub(crate) state: u32,
    pub(crate) groups: KeyGroupRange,
    /// The least, a composite key without its state, in the first of the key groups.
    pub(crate) from: Option<Vec<u8>>,
    /// The greatest, in the last of the key groups; and whether it stands for all user keys of its key
    /// and namespace.
    pub(crate) to: Option<(Vec<u8>, bool)>,
}

/// A run, looked at.
pub(super) struct Looked {
    /// Its number in the chain, oldest first.
    pub(super) number: usize,
    pub(super) run: RunRef,
    pub(super) counts: Groups,
    /// Or why there is no index.
    pub(super) index: std::result::Result<Walked, Error>,
}

/// A run that was walked through: the blocks that are damaged, and the filter if there are any.
pub(super) type Walked = (Source, Vec<(Range<usize>, Error)>, Option<Arc<RunFilter>>);

impl Surveyed {
    /// A part that cannot be read: nothing of `states` in the key groups of `owned` is known.
    pub(crate) fn without_part(
        error: Error,
        owned: KeyGroupRange,
        states: impl IntoIterator<Item = u32>,
    ) -> Self {
        let mut surveyed = Self::default();
        let groups = Arc::new(Groups::from(owned));
        let mut ranges = Vec::new();
        for state in states {
            surveyed.lose(state, &groups, (Vec::new(), None), (Level::MAX, None));
            ranges.push(FoundRange { state, groups: owned, from: None, to: None });
        }
        surveyed.found.push(Found { error, entries: None, ranges });
        surveyed
    }

    /// The keys of a state that were lost, all of them or more.
    pub(crate) fn lost_keys(&self, state: u32) -> impl Iterator<Item = Interval> {
        self.losses.get(&state).into_iter().flatten().map(|loss| loss.keys.clone())
    }

    /// Bytes of all runs that can be read.
    pub(super) fn len_bytes(&self) -> u64 {
        self.runs.iter().map(|sound| sound.run.len_bytes).sum()
    }

    /// Adds a loss; nothing if none of its keys is in `groups`.
    fn lose(
        &mut self,
        state: u32,
        groups: &Arc<Groups>,
        (from, to): (Vec<u8>, Option<Vec<u8>>),
        (level, filter): (Level, Option<Arc<RunFilter>>),
    ) {
        let Some(hull) = groups.hull() else { return };
        let from = from.max(hull.first().to_be_bytes().to_vec());
        let end = hull.last().checked_add(1).map(|behind| behind.to_be_bytes().to_vec());
        let to = to.into_iter().chain(end).min();
        let keys = Interval { from, to };
        if !keys.is_empty() {
            let loss = Loss { keys, groups: Arc::clone(groups), level, state, filter };
            self.losses.entry(state).or_default().push(loss);
        }
    }

    /// Adds a run; `gone` are the states that those without an index can hold.
    pub(super) fn add(
        &mut self,
        store: &Store,
        looked: Looked,
        wanted: &Wanted,
        gone: &BTreeSet<u32>,
    ) {
        let Looked { number: rank, run, counts, index } = looked;
        let groups = Arc::new(counts.clone());
        let (source, lost, filter) = match index {
            Ok(index) => index,
            Err(error) => {
                let mut ranges = Vec::new();
                for state in wanted.keys().copied().filter(|id| gone.contains(id)) {
                    self.lose(state, &groups, (Vec::new(), None), (of_run(rank) + 1, None));
                    let hull = groups.hull();
                    ranges.extend(hull.map(|groups| FoundRange {
                        state,
                        groups,
                        from: None,
                        to: None,
                    }));
                }
                self.found.push(Found { error, entries: Some(run.entries), ranges });
                return;
            }
        };
        let mut numbers = BTreeSet::new();
        for (blocks, error) in lost {
            let handles = source.reader().index().blocks.get(blocks.clone()).unwrap_or_default();
            let entries = handles.iter().map(|block| u64::from(block.entries)).sum();
            let ranges = self.lose_blocks(&source, rank, &blocks, &groups, (wanted, &filter));
            if !ranges.is_empty() {
                self.found.push(Found { error, entries: Some(entries), ranges });
            }
            numbers.extend(blocks);
        }
        let lost = numbers;
        self.runs.push(SoundRun { store: store.clone(), run, counts, rank, lost });
    }

    /// Adds what is lost with adjacent blocks; returns it as it is told.
    fn lose_blocks(
        &mut self,
        source: &Source,
        rank: usize,
        blocks: &Range<usize>,
        groups: &Arc<Groups>,
        (wanted, filter): (&Wanted, &Option<Arc<RunFilter>>),
    ) -> Vec<FoundRange> {
        let index = source.reader().index();
        let first_key = |number: usize| index.blocks.get(number).map(|block| &block.first_key);
        let Some(first) = first_key(blocks.start) else { return Vec::new() };
        let next = first_key(blocks.end);
        let state_of = |key: &Vec<u8>| place(key).map(|(state, _)| state);
        let from_state = state_of(first).unwrap_or(0);
        let to_state = next.and_then(state_of).unwrap_or(u32::MAX);
        // A clear in them drops what older runs hold of its key and namespace, to the last user key: also
        // behind the blocks, where these end in the middle of one.
        let cleared = next
            .and_then(|next| next.get(..prefix_len(next)?))
            .filter(|cleared| *cleared >= first.as_slice());
        let rest = |key: &[u8]| key.get(STATE_LEN_BYTES..).unwrap_or_default().to_vec();
        let (level, mut ranges) = (of_run(rank), Vec::new());
        for state in source.states().filter(|id| (from_state..=to_state).contains(id)) {
            if !wanted.contains_key(&state) {
                continue;
            }
            let from = if state == from_state { rest(first) } else { Vec::new() };
            let next = next.filter(|_| state == to_state);
            let to = next.map(|next| rest(next));
            self.lose(state, groups, (from.clone(), to.clone()), (level + 1, filter.clone()));
            let cleared = cleared.filter(|_| next.is_some());
            if let (Some(cleared), Some(to)) = (cleared, to.clone()) {
                // The run's own entries behind the blocks are newer than its clear.
                let keys = (to, Some(rest(&behind(cleared))));
                self.lose(state, groups, keys, (level - 1, filter.clone()));
            }
            let to = match cleared {
                Some(cleared) => Some((rest(cleared), true)),
                None => to.map(|to| (to, false)),
            };
            ranges.extend(told(state, groups, (!from.is_empty()).then_some(from), to));
        }
        ranges
    }
}

/// Keys of a state, as they are told: none if no key group of `groups` is among theirs.
fn told(
    state: u32,
    groups: &Groups,
    from: Option<Vec<u8>>,
    to: Option<(Vec<u8>, bool)>,
) -> Option<FoundRange> {
    let group = |key: &[u8]| key.first_chunk().map_or(0, |group| u16::from_be_bytes(*group));
    let first = from.as_ref().map_or(0, |key| group(key));
    let last = to.as_ref().map_or(u16::MAX, |(key, _)| group(key));
    let hull = groups.within(span(first, last)).hull()?;
    let from = from.filter(|_| hull.first() == first);
    let to = to.filter(|_| hull.last() == last);
    Some(FoundRange { state, groups: hull, from, to })
}
