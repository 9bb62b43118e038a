//! Applying runs to states: all of them side by side, a few key groups at a time.
//!
//! What the runs of a chain hold of one key group is applied oldest first, before the next key groups
//! are begun: the pages of the table that they fall into are then in the processor's caches, where
//! run after run would walk over the whole table each time. No keys are compared: an entry that a
//! newer run replaces costs one more write.
//!
//! Memory: of each run that reaches into the key groups at hand, one span, unpacked.

use super::groups::Groups;
use super::restore::{CaptureTimes, Target};
use super::source::{Place, Source, place};
use crate::backend::{DecodedEntries, EntryDecoder};
use crate::{Error, ErrorKind, Result};
use esker_format::run::{Block, BlockCursor};
use esker_format::{KeyGroup, KeyGroupRange};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Key groups are begun once so many entries wait. As values of a few words these and the pages that
/// they fall into are about a megabyte.
const SLICE_ENTRIES: u64 = 16_384;

/// An unpacked block: entries of one state that decodes them elsewhere, or any.
pub(super) enum Unpacked {
    Decoded(u32, DecodedEntries),
    Block(Block),
}

impl Unpacked {
    /// What `decoder` makes of a block of state `id` in the key groups of `counts`.
    ///
    /// # Errors
    /// The decoder's.
    pub(super) fn new(
        block: Block,
        (id, decoder): (u32, &dyn EntryDecoder),
        counts: &Groups,
    ) -> Result<Self> {
        let decoded = decoder.decode(&block, &mut |group| counts.contains(group))?;
        Ok(decoded.map_or(Self::Block(block), |entries| Self::Decoded(id, entries)))
    }

    fn entries(&self) -> u64 {
        match self {
            Self::Decoded(_, entries) => entries.groups.len() as u64,
            Self::Block(block) => block.entries().into(),
        }
    }
}

/// Decoded entries, of which the first `done` are applied.
struct Reading {
    state: u32,
    entries: DecodedEntries,
    done: usize,
}

/// What of a run is unpacked and was not applied yet.
struct Lane {
    source: Arc<Source>,
    /// The key groups of which entries are applied.
    counts: Groups,
    blocks: VecDeque<Unpacked>,
    /// The block that was begun, one of both at most.
    decoded: Option<Reading>,
    cursor: Option<BlockCursor>,
    /// Whether the cursor's entry was not applied yet.
    waits: bool,
}

/// The runs of a chain on their way into states.
pub(super) struct Sweep<'a> {
    sources: &'a [Arc<Source>],
    range: KeyGroupRange,
    /// Which target is for a state.
    by_id: &'a HashMap<u32, usize>,
    /// When each of the old parts was captured.
    times: &'a CaptureTimes,
    /// By age, oldest first.
    lanes: BTreeMap<usize, Lane>,
    waiting: u64,
    entries: u64,
}

impl<'a> Sweep<'a> {
    /// Takes spans of `sources`, oldest first, for the key groups of `range`.
    pub(super) fn new(
        sources: &'a [Arc<Source>],
        range: KeyGroupRange,
        by_id: &'a HashMap<u32, usize>,
        times: &'a CaptureTimes,
    ) -> Self {
        Self { sources, range, by_id, times, lanes: BTreeMap::new(), waiting: 0, entries: 0 }
    }

    /// Takes the next span of the run that is the `age`th oldest. Spans come in order of their
    /// `first` place: with this one, all entries before that place are here.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, and those of the targets.
    pub(super) fn add(
        &mut self,
        first: Place,
        age: usize,
        blocks: Vec<Unpacked>,
        targets: &mut [Target<'_>],
    ) -> Result<()> {
        if self.waiting >= SLICE_ENTRIES {
            self.apply(Some(first), targets)?;
            self.waiting = 0;
        }
        let Some(source) = self.sources.get(age) else { return Ok(()) };
        self.waiting += blocks.iter().map(Unpacked::entries).sum::<u64>();
        let lane = self.lanes.entry(age).or_insert_with(|| Lane {
            source: Arc::clone(source),
            counts: source.counts().within(self.range),
            blocks: VecDeque::new(),
            decoded: None,
            cursor: None,
            waits: false,
        });
        lane.blocks.extend(blocks);
        Ok(())
    }

    /// Applies what is left; returns how many entries were applied in all.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub(super) fn finish(mut self, targets: &mut [Target<'_>]) -> Result<u64> {
        self.apply(None, targets)?;
        Ok(self.entries)
    }

    /// Applies everything before the place `end`.
    fn apply(&mut self, end: Option<Place>, targets: &mut [Target<'_>]) -> Result<()> {
        let (by_id, times, entries) = (self.by_id, self.times, &mut self.entries);
        for lane in self.lanes.values_mut() {
            *entries += lane
                .apply(end, by_id, times, targets)
                .map_err(|error| error.at_path(lane.source.run().file.as_str()))?;
        }
        self.lanes.retain(|_, lane| lane.cursor.is_some() || lane.decoded.is_some());
        Ok(())
    }
}

impl Lane {
    fn apply(
        &mut self,
        end: Option<Place>,
        by_id: &HashMap<u32, usize>,
        times: &CaptureTimes,
        targets: &mut [Target<'_>],
    ) -> Result<u64> {
        let mut entries = 0;
        // Entries of one state follow each other, in order of key group: what becomes of them is looked
        // up once for each range that counts.
        let mut known: Option<(u32, KeyGroupRange, Option<usize>)> = None;
        loop {
            if let Some(reading) = &mut self.decoded {
                let (applied, ended) = reading.apply(end, by_id, targets)?;
                entries += applied;
                if !ended {
                    return Ok(entries);
                }
                self.decoded = None;
            }
            let Some(cursor) = &mut self.cursor else {
                match self.blocks.pop_front() {
                    Some(Unpacked::Decoded(state, entries)) => {
                        self.decoded = Some(Reading { state, entries, done: 0 });
                    }
                    Some(Unpacked::Block(block)) => self.cursor = Some(BlockCursor::new(block)),
                    None => return Ok(entries),
                }
                continue;
            };
            if !std::mem::take(&mut self.waits) && !cursor.advance()? {
                self.cursor = None;
                continue;
            }
            let entry = cursor.entry();
            let at = place(entry.key)
                .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a key of a run is too short"))?;
            if end.is_some_and(|end| at >= end) {
                self.waits = true;
                return Ok(entries);
            }
            let (state, group) = at;
            let target = match known {
                Some((same, groups, target)) if same == state && groups.contains(group) => target,
                _ => {
                    let groups = self.counts.ranges().iter().find(|groups| groups.contains(group));
                    let target = by_id.get(&state).copied();
                    known = groups.map(|groups| (state, *groups, target));
                    // What had expired is decided by the part that had the key groups, as in a
                    // dump; a run counts for those of one part.
                    let part = times.partition_point(|(share, _)| share.last() < group.0);
                    let time = times.get(part).map(|(_, times)| times.get(&state).copied());
                    if let (Some(target), Some(time)) =
                        (target.and_then(|at| targets.get_mut(at)), time)
                    {
                        target.state.captured_at(time.unwrap_or(i64::MIN));
                    }
                    target.filter(|_| groups.is_some())
                }
            };
            if let Some(target) = target.and_then(|target| targets.get_mut(target)) {
                let name = &target.stored.name;
                let of = |error: Error| error.of(format_args!("state={name}"));
                target.state.apply(entry).map_err(of)?;
                entries += 1;
            }
        }
    }
}

impl Reading {
    /// Applies everything before the place `end`; returns how much that was, and whether it was all.
    fn apply(
        &mut self,
        end: Option<Place>,
        by_id: &HashMap<u32, usize>,
        targets: &mut [Target<'_>],
    ) -> Result<(u64, bool)> {
        let groups = &self.entries.groups;
        let ready = match end {
            Some((state, _)) if state < self.state => self.done,
            Some((state, KeyGroup(end))) if state == self.state => {
                groups.partition_point(|group| *group < end)
            }
            _ => groups.len(),
        };
        let count = ready.saturating_sub(self.done);
        let target = by_id.get(&self.state).and_then(|at| targets.get_mut(*at));
        if let Some(target) = target.filter(|_| count > 0) {
            let name = &target.stored.name;
            let applied = target.state.apply_decoded(&mut *self.entries.entries, count);
            applied.map_err(|error| error.of(format_args!("state={name}")))?;
            self.done = ready;
        }
        Ok((count as u64, ready == groups.len()))
    }
}
