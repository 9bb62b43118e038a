//! What of a chain is lost: every block that counts is read, verified and walked through.

use super::interval::{Interval, STATE_LEN_BYTES, behind, prefix_len};
use super::loss::{Level, Loss, of_run};
use crate::snapshot::groups::{Groups, span};
use crate::snapshot::plan::counting;
use crate::snapshot::pool::Pool;
use crate::snapshot::source::{SPAN_LEN_BYTES, Source, place, prefix};
use crate::{Error, ErrorKind, Result, Store, block_on};
use esker_format::part::{PartState, RunRef};
use esker_format::run::{Block, Entry, RunFilter, StateStats};
use esker_format::{FormatError, KeyGroup, KeyGroupRange};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The states that are asked for, by their ids, and of each the keys; none for all of them.
pub(crate) type Wanted = BTreeMap<u32, Option<Vec<Interval>>>;

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

/// Surveys chains, on threads of its own.
pub(crate) struct Surveyor {
    pool: Pool,
    threads: usize,
}

/// A run, looked at.
struct Looked {
    number: usize,
    run: RunRef,
    counts: Groups,
    /// Or why there is no index.
    index: std::result::Result<Walked, Error>,
}

/// A run that was walked through: the blocks that are damaged, and the filter if there are any.
type Walked = (Source, Vec<(Range<usize>, Error)>, Option<Arc<RunFilter>>);

impl Surveyor {
    /// # Errors
    /// `Retry` if a thread cannot be started.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        Ok(Self { pool: Pool::new(threads)?, threads })
    }

    /// Surveys `runs`, oldest first, in the key groups of `owned`; `states` is what their part says of
    /// its states. Memory: the indexes, and a span and a block for each thread.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(crate) async fn survey(
        &self,
        store: &Store,
        (runs, owned): (&[RunRef], KeyGroupRange),
        states: &[PartState],
        wanted: &Wanted,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Surveyed> {
        let counted = runs.iter().cloned().zip(counting(runs)).enumerate();
        let counted: Vec<_> = counted
            .map(|(number, (run, counts))| (number, run, counts.within(owned)))
            .filter(|(.., counts)| !counts.is_empty())
            .collect();
        let wanted = Arc::new(wanted.clone());
        let looked: Vec<Looked> = stream::iter(counted)
            .map(|(number, run, counts)| {
                let wanted = Arc::clone(&wanted);
                async move {
                    let index = self.look_at(store, &run, &counts, wanted).await?;
                    progress(run.len_bytes);
                    Ok::<_, Error>(Looked { number, run, counts, index })
                }
            })
            .buffered(self.threads)
            .try_collect()
            .await?;
        // Of a run without an index, states that none of its entries can be of are not lost with it.
        let gone: BTreeSet<u32> = match looked.len() == runs.len() {
            true => lost_states(&looked, states, &wanted),
            false => wanted.keys().copied().collect(),
        };
        let mut surveyed = Surveyed::default();
        for looked in looked {
            surveyed.add(store, looked, &wanted, &gone);
        }
        Ok(surveyed)
    }

    async fn look_at(
        &self,
        store: &Store,
        run: &RunRef,
        counts: &Groups,
        wanted: Arc<Wanted>,
    ) -> Result<std::result::Result<Walked, Error>> {
        let source = match Source::open(store, run, counts.clone()).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Err(error)),
            source => source?,
        };
        let walked = source.clone();
        let lost = self.pool.run(move || walk(&walked, &wanted)).await?;
        let filter = match lost.is_empty() {
            true => None,
            false => match source.filter().await {
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                filter => filter?.map(Arc::new),
            },
        };
        Ok(Ok((source, lost, filter)))
    }
}

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

    fn add(&mut self, store: &Store, looked: Looked, wanted: &Wanted, gone: &BTreeSet<u32>) {
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

/// The states that runs without an index can hold entries of. A part sums the statistics of its runs: where
/// those that can be read come to the same, there is nothing else.
fn lost_states(looked: &[Looked], states: &[PartState], wanted: &Wanted) -> BTreeSet<u32> {
    let all = wanted.keys().copied();
    if looked.iter().all(|looked| looked.index.is_ok()) {
        return BTreeSet::new();
    }
    let summed: u64 = states.iter().map(|state| state.stats.entries).sum();
    let said: u64 = looked.iter().map(|looked| looked.run.entries).sum();
    if summed != said {
        // The sums leave runs or states out.
        return all.collect();
    }
    let mut read: BTreeMap<u32, StateStats> = BTreeMap::new();
    for (source, ..) in looked.iter().filter_map(|looked| looked.index.as_ref().ok()) {
        for (id, stats) in &source.reader().index().stats {
            read.entry(*id).or_default().merge(stats);
        }
    }
    let is_complete = |id: &u32| {
        let said = states.iter().find(|state| state.id == *id).map(|state| state.stats.entries);
        said.unwrap_or_default() == read.get(id).map_or(0, |stats| stats.entries)
    };
    all.filter(|id| !is_complete(id)).collect()
}

/// The numbers of the blocks of a run that can hold what is asked for, ascending. Where that begins within
/// a key and namespace, those from their beginning on are among them: there a clear would be.
pub(super) fn blocks_of(
    source: &Source,
    range: KeyGroupRange,
    (state, keys): (u32, Option<&[Interval]>),
) -> BTreeSet<usize> {
    let index = source.reader().index();
    if !index.stats.contains_key(&state) {
        return BTreeSet::new();
    }
    let mut numbers = BTreeSet::new();
    match keys {
        None => {
            for groups in source.counts().within(range).ranges() {
                let from = prefix(state, u32::from(groups.first()));
                let to = prefix(state, u32::from(groups.last()) + 1);
                numbers.extend(index.blocks_between(&from, &to));
            }
        }
        Some(keys) => {
            for Interval { from, to } in keys {
                let full = |key: &[u8]| [&state.to_be_bytes()[..], key].concat();
                let mut from = full(from);
                from.truncate(prefix_len(&from).unwrap_or(from.len()));
                let to = to.as_ref().map_or_else(|| prefix(state, 1 << 16), |to| full(to));
                numbers.extend(index.blocks_between(&from, &to));
            }
        }
    }
    numbers
}

/// Reads the blocks of a run that can hold what is asked for; returns those that are damaged.
fn walk(source: &Source, wanted: &Wanted) -> Result<Vec<(Range<usize>, Error)>> {
    let mut numbers = BTreeSet::new();
    for (state, keys) in wanted {
        numbers.extend(blocks_of(source, KeyGroupRange::ALL, (*state, keys.as_deref())));
    }
    let mut lost: Vec<(Range<usize>, Error)> = Vec::new();
    let mut lose = |blocks: Range<usize>, error: Error| match lost.last_mut() {
        Some((last, _)) if last.end == blocks.start => last.end = blocks.end,
        _ => lost.push((blocks, error)),
    };
    for span in source.spans_between(numbers, SPAN_LEN_BYTES) {
        let bytes = match block_on(source.fetch(&span)) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                lose(span.blocks, error);
                continue;
            }
            bytes => bytes?,
        };
        for number in span.blocks.clone() {
            let block = source.block(number, &span, &bytes);
            if let Err(error) = block.and_then(|block| check(source, number, &block)) {
                lose(number..number + 1, error);
            }
        }
    }
    Ok(lost)
}

/// That the keys of a block are where its index has them.
fn check(source: &Source, number: usize, block: &Block) -> Result<()> {
    let blocks = &source.reader().index().blocks;
    let first_key = |number: usize| blocks.get(number).map(|block| block.first_key.as_slice());
    let (first, next) = (first_key(number), first_key(number + 1));
    let mut is_first = true;
    let checked = block.for_each(|entry: Entry<'_>| {
        let begins = !std::mem::take(&mut is_first) || Some(entry.key) == first;
        let is_key = prefix_len(entry.key).is_some();
        match begins && is_key && next.is_none_or(|next| entry.key <= next) {
            true => Ok(()),
            false => Err(FormatError::corrupt("run block", "its keys are not as its index says")),
        }
    });
    checked.map_err(|error| Error::from(error).at_path(source.run().file.as_str()))
}

/// Whether a key, without its state, is in a set of key groups.
pub(super) fn is_in(groups: &Groups, key: &[u8]) -> bool {
    key.first_chunk().is_some_and(|group| groups.contains(KeyGroup(u16::from_be_bytes(*group))))
}
