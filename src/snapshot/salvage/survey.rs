//! What of a chain is lost: every block that counts is read, verified and walked through.

use super::interval::{Interval, prefix_len};
use super::surveyed::{Looked, Surveyed, Walked};
use crate::snapshot::groups::Groups;
use crate::snapshot::plan::counting;
use crate::snapshot::pool::Pool;
use crate::snapshot::source::{SPAN_LEN_BYTES, Source, Span, prefix};
use crate::{Error, Result, Store};
use esker_format::part::{PartState, RunRef};
use esker_format::run::{Block, Entry, StateStats};
use esker_format::{FormatError, KeyGroupRange};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// The states that are asked for, by their ids, and of each the keys; none for all of them.
pub(crate) type Wanted = BTreeMap<u32, Option<Vec<Interval>>>;

/// Surveys chains, on threads of its own.
pub(crate) struct Surveyor {
    pool: Pool,
    threads: usize,
}

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
            Err(error) if error.is_damage() => return Ok(Err(error)),
            source => source?,
        };
        let walked = source.clone();
        let lost = self.pool.run(move || walk(&walked, &wanted)).await?;
        let filter = match lost.is_empty() {
            true => None,
            false => match source.filter().await {
                Err(error) if error.is_damage() => None,
                filter => filter?.map(Arc::new),
            },
        };
        Ok(Ok((source, lost, filter)))
    }
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
    // With where it lies, of what a device cannot give back.
    let mut lost: Vec<(Range<usize>, Option<Span>, Error)> = Vec::new();
    let mut lose = |blocks: Range<usize>, unread: Option<Span>, error| match lost.last_mut() {
        Some((last, before, _)) if last.end == blocks.start => {
            last.end = blocks.end;
            if let (Some(before), Some(unread)) = (before, unread) {
                before.bytes.end = unread.bytes.end;
            }
        }
        _ => lost.push((blocks, unread, error)),
    };
    let mut spans = VecDeque::from(source.spans_between(numbers, SPAN_LEN_BYTES));
    while let Some(span) = spans.pop_front() {
        let bytes = match source.fetch_now(&span) {
            // A sector that cannot be read takes the blocks that lie on it, and no others.
            Err(error) if error.is_unreadable() && span.blocks.len() > 1 => {
                let alone = source.spans_between(span.blocks, 0);
                alone.into_iter().rev().for_each(|span| spans.push_front(span));
                continue;
            }
            Err(error) if error.is_damage() => {
                lose(span.blocks.clone(), Some(span), error);
                continue;
            }
            bytes => bytes?,
        };
        for number in span.blocks.clone() {
            let block = source.block(number, &span, &bytes);
            if let Err(error) = block.and_then(|block| check(source, number, &block)) {
                lose(number..number + 1, None, error);
            }
        }
    }
    let told = lost.into_iter().map(|(blocks, unread, error)| match unread {
        Some(span) => (blocks, span.unreadable(error)),
        None => (blocks, error),
    });
    Ok(told.collect())
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
