//! What is given up and which files nothing needs any more, decided without I/O.

use super::log::{LogState, References, Refusal};
use super::place::Place;
use crate::format::RelativeName;
use crate::format::record::{Extra, Published, Retire};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// Which checkpoints are retained: each that any of these rules keeps. One that is held, that a checkpoint in
/// flight may build on, or that a backend still reads from is retained in any case, and so is the last.
///
/// The time of a checkpoint is that at which its manifest was written, by the store's clock. There is no other
/// clock in it: ages count from the newest checkpoint, so that a job which stands still loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How many of the newest.
    pub last_count: NonZeroU32,
    /// Those that are older than the newest by so much at most, in milliseconds; 0 keeps none.
    pub within_ms: u64,
    /// The newest of each of so many hours, those last ones in which there is a checkpoint.
    pub hours: u32,
    /// The same of days, by UTC.
    pub days: u32,
    /// The same of weeks, which begin on Monday.
    pub weeks: u32,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// 1970 began on a Thursday.
const MONDAY_MS: i64 = 3 * DAY_MS;

impl Retention {
    /// Retains the `last_count` newest checkpoints, and none for its age.
    pub fn last(last_count: NonZeroU32) -> Self {
        Self { last_count, within_ms: 0, hours: 0, days: 0, weeks: 0 }
    }

    /// Whether it asks when checkpoints were written.
    pub fn asks_times(&self) -> bool {
        let Self { within_ms, hours, days, weeks, .. } = *self;
        within_ms > 0 || hours > 0 || days > 0 || weeks > 0
    }

    /// Those of `checkpoints` that it keeps, by number; the value is the time at which one was written, in
    /// milliseconds since 1970. One whose time is not known is kept where times are asked for.
    pub fn kept(&self, checkpoints: &BTreeMap<u64, Option<i64>>) -> BTreeSet<u64> {
        let last_count = usize::try_from(self.last_count.get()).unwrap_or(usize::MAX);
        let newest_first = || checkpoints.iter().rev();
        let mut kept: BTreeSet<u64> =
            newest_first().take(last_count).map(|(number, _)| *number).collect();
        if !self.asks_times() {
            return kept;
        }
        kept.extend(newest_first().filter(|(_, at_ms)| at_ms.is_none()).map(|(number, _)| *number));
        let timed = || newest_first().filter_map(|(number, at_ms)| Some((*number, (*at_ms)?)));
        if let Some((_, newest_ms)) = timed().next().filter(|_| self.within_ms > 0) {
            let oldest_ms = newest_ms.saturating_sub_unsigned(self.within_ms);
            kept.extend(timed().filter(|(_, at_ms)| *at_ms >= oldest_ms).map(|(number, _)| number));
        }
        for (count, len_ms, begin_ms) in
            [(self.hours, HOUR_MS, 0), (self.days, DAY_MS, 0), (self.weeks, WEEK_MS, MONDAY_MS)]
        {
            let (count, mut periods) = (count as usize, BTreeSet::new());
            for (number, at_ms) in timed() {
                let period = at_ms.saturating_add(begin_ms).div_euclid(len_ms);
                if periods.len() < count && periods.insert(period) {
                    kept.insert(number);
                }
            }
        }
        kept
    }

    /// The checkpoints that are no longer to be retained; `written_ms` says when each was written.
    pub fn given_up(
        &self,
        state: &LogState,
        in_flight: &InFlight,
        written_ms: &BTreeMap<u64, i64>,
    ) -> BTreeSet<u64> {
        let timed = |checkpoint: &u64| (*checkpoint, written_ms.get(checkpoint).copied());
        let kept = self.kept(&state.retained().keys().map(timed).collect());
        // What is not read yet may turn out damaged: there is an older one to go back to until then.
        let behind = in_flight.read_from.first();
        let behind = behind.and_then(|read| state.retained().range(..read).next_back());
        let behind = behind.map(|(checkpoint, _)| *checkpoint);
        let is_needed = |checkpoint: &u64| {
            Some(*checkpoint) == behind
                || kept.contains(checkpoint)
                || state.holds().contains_key(checkpoint)
                || in_flight.may_build_on(*checkpoint)
                || in_flight.is_read_from(*checkpoint)
        };
        state.retained().keys().filter(|checkpoint| !is_needed(checkpoint)).copied().collect()
    }
}

/// The checkpoints that the owner has begun and neither published nor abandoned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InFlight {
    /// What each is based on.
    begun: BTreeMap<u64, Option<u64>>,
    /// The highest number ever begun.
    last: u64,
    /// What backends that were restored lazily still read from.
    read_from: BTreeSet<u64>,
}

impl InFlight {
    /// Adds `checkpoint`, unless its number is not above all others begun: a name that was swept
    /// must not come back (I6).
    pub fn begin(&mut self, checkpoint: u64, based_on: Option<u64>) -> bool {
        let is_new = checkpoint > self.last;
        if is_new {
            self.last = checkpoint;
            self.begun.insert(checkpoint, based_on);
        }
        is_new
    }

    /// Takes `checkpoint` out: it is published, or never will be.
    pub fn end(&mut self, checkpoint: u64) {
        self.begun.remove(&checkpoint);
    }

    /// Whether `checkpoint` is in flight.
    pub fn contains(&self, checkpoint: u64) -> bool {
        self.begun.contains_key(&checkpoint)
    }

    pub(super) fn is_based_on(&self, checkpoint: u64) -> bool {
        self.begun.values().any(|based_on| *based_on == Some(checkpoint))
    }

    /// Says which checkpoints backends still read from.
    pub fn set_read_from(&mut self, checkpoints: BTreeSet<u64>) {
        self.read_from = checkpoints;
    }

    pub(super) fn read_from(&self) -> &BTreeSet<u64> {
        &self.read_from
    }

    pub(super) fn is_read_from(&self, checkpoint: u64) -> bool {
        self.read_from.contains(&checkpoint)
    }

    /// Whether one in flight may name files of `checkpoint`: it builds on what it is based on, or on what
    /// was published since and before it was captured.
    fn may_build_on(&self, checkpoint: u64) -> bool {
        self.begun.iter().any(|(number, based_on)| {
            checkpoint < *number && based_on.unwrap_or_default() <= checkpoint
        })
    }
}

/// The record that gives up `checkpoints` and condemns exactly the names that no other retained
/// checkpoint reaches, their manifests among them. Of one given up that `references` lacks, as it
/// cannot be read, the manifest alone is condemned.
///
/// # Errors
/// `ReferencesUnknown` if `references` lacks a checkpoint that remains.
pub fn retire(
    state: &LogState,
    references: &References,
    checkpoints: &BTreeSet<u64>,
) -> Result<Retire, Refusal> {
    let (mut condemned, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for published in state.retained().values() {
        let is_given_up = checkpoints.contains(&published.checkpoint);
        if is_given_up && !references.contains_key(&published.checkpoint) {
            condemned.insert(published.manifest_path.clone());
            continue;
        }
        let names = reached(published, references)?;
        let set = if is_given_up { &mut condemned } else { &mut kept };
        set.extend(names.cloned());
    }
    let condemned = condemned.difference(&kept).cloned().collect();
    Ok(Retire { checkpoints: checkpoints.clone(), condemned, extra: Extra::new() })
}

/// Every name that a retained checkpoint reaches.
///
/// # Errors
/// `ReferencesUnknown` if `references` lacks a retained checkpoint.
pub fn reachable(
    state: &LogState,
    references: &References,
) -> Result<BTreeSet<RelativeName>, Refusal> {
    let mut names = BTreeSet::new();
    for published in state.retained().values() {
        names.extend(reached(published, references)?.cloned());
    }
    Ok(names)
}

/// Every name that a retained checkpoint reaches, as far as `references` tells: enough to say what
/// may be named, never what may be deleted.
pub fn known_reachable(state: &LogState, references: &References) -> BTreeSet<RelativeName> {
    let retained = state.retained().values();
    let names = retained.filter_map(|published| reached(published, references).ok());
    names.flatten().cloned().collect()
}

fn reached<'a>(
    published: &'a Published,
    references: &'a References,
) -> Result<impl Iterator<Item = &'a RelativeName>, Refusal> {
    let checkpoint = published.checkpoint;
    let names = references.get(&checkpoint).ok_or(Refusal::ReferencesUnknown(checkpoint))?;
    Ok(names.iter().chain([&published.manifest_path]))
}

/// The first of `names` that `checkpoint`, published by `generation`, may not reference: it was
/// neither written for it, nor does a retained checkpoint reach it.
pub fn not_its_own<'a>(
    names: impl IntoIterator<Item = &'a RelativeName>,
    reachable: &BTreeSet<RelativeName>,
    generation: u64,
    checkpoint: u64,
) -> Option<&'a RelativeName> {
    let own = Some(Place::Data { generation, checkpoint: Some(checkpoint) });
    names.into_iter().find(|name| Place::of(name) != own && !reachable.contains(*name))
}

/// Whether the owner `generation` may delete the file `name`, which no retained checkpoint reaches.
///
/// It needs no record. A file is named for the first time only by the checkpoint, and under the
/// generation, that it was written for, and after that only because a retained checkpoint reaches
/// it. An older generation is fenced: whatever it had published stands below the newer claim and
/// was read with it, and a publish record of its own that is still on its way cannot come to count.
/// A checkpoint of the present generation that is not in flight is never published any more.
pub fn is_abandoned(
    name: &RelativeName,
    state: &LogState,
    generation: u64,
    in_flight: &InFlight,
) -> bool {
    match Place::of(name) {
        Some(Place::Log(sequence)) => sequence < state.first(),
        Some(Place::Data { generation: of, .. }) if of < generation => true,
        Some(Place::Data { generation: of, checkpoint: Some(checkpoint) }) => {
            of == generation && !in_flight.contains(checkpoint)
        }
        _ => false,
    }
}

/// Whether the owner `generation` may remove what was half-written for the file `name`.
///
/// That of a record may go once its number is taken: whoever still writes it can only fail. Above
/// that, another's half-written record could come to stand at the same place and be linked.
pub fn is_leftover(
    name: &RelativeName,
    state: &LogState,
    generation: u64,
    in_flight: &InFlight,
) -> bool {
    match Place::of(name) {
        Some(Place::Log(sequence)) => sequence < state.next(),
        _ => is_abandoned(name, state, generation, in_flight),
    }
}

#[cfg(test)]
mod tests;
