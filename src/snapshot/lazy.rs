//! Lazy restore: the runs' indexes are read, their entries where somebody asks (docs/decisions/0005).

use super::SnapshotSettings;
use super::backend::targets;
use super::chain::Chain;
use super::merge::{ChainCursor, ChainReader};
use super::restore::{CaptureTimes, Restored, chain_of, find_operator, merged_part, open_sources};
use super::source::place;
use crate::backend::KeyedStates;
use crate::backend::cold::Cold;
use crate::{Error, ErrorKind, Result, Store};
use esker_format::manifest::{Manifest, Operator, SnapshotKind, StateKind};
use esker_format::run::Entry;
use esker_format::{KeyGroup, KeyGroupRange, list};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The runs that a lazily restored subtask reads from, until it has brought everything.
pub(crate) struct ColdChain {
    reader: ChainReader,
    times: CaptureTimes,
    states: BTreeMap<u32, ColdState>,
    touched_entries: u64,
}

/// What the parts say of a state.
struct ColdState {
    name: String,
    kind: StateKind,
    /// How many entries are live; about as many unless `is_exact`.
    entries: u64,
    is_exact: bool,
    earliest_timer_ms: Option<i64>,
}

/// Says for how long the files are needed that a backend was restored from.
#[derive(Debug, Clone)]
pub struct Needed(Weak<ColdChain>);

impl Needed {
    /// Whether the backend, or a capture of it that is not written yet, still reads from them.
    pub fn is_needed(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl std::fmt::Debug for ColdChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.states.values().map(|state| &state.name).collect::<Vec<_>>();
        f.debug_struct("ColdChain").field("states", &names).finish_non_exhaustive()
    }
}

impl ColdChain {
    /// Calls `f` with the entries of state `id` in the key groups of `range`, all of them puts, each key
    /// resolved over all runs. Blocks the thread while it reads.
    ///
    /// # Errors
    /// The store's, and those of `f`; `Corrupt` for damage, naming state, file and key groups.
    pub(crate) fn read(
        &self,
        id: u32,
        range: KeyGroupRange,
        f: &mut dyn FnMut(KeyGroup, Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let done = self.reader.merge(range, Some(id), &mut |entry| match place(entry.key) {
            Some((_, group)) => f(group, entry),
            None => Err(Error::new(ErrorKind::Corrupt, "a key of a run is too short")),
        });
        done.map_err(|error| match self.states.get(&id) {
            Some(state) => error.of(format_args!("state={}", state.name)),
            None => error,
        })
    }

    /// As [`read`](Self::read), one entry after the other.
    pub(crate) fn cursor(&self, id: u32, range: KeyGroupRange) -> ChainCursor<'_> {
        self.reader.cursor(range, id)
    }

    /// About how many entries are brought where one is asked for.
    pub(crate) fn touched_entries(&self) -> u64 {
        self.touched_entries
    }

    /// The ids of the states that the snapshot holds: those of timers first, as their times are asked for.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.states.keys().copied().collect();
        ids.sort_by_key(|id| {
            let kind = self.states.get(id).map(|state| state.kind);
            !matches!(kind, Some(StateKind::TimerEvent | StateKind::TimerProcessing))
        });
        ids
    }

    pub(crate) fn name(&self, id: u32) -> &str {
        self.states.get(&id).map_or("", |state| &state.name)
    }

    /// When the part was captured that had a key group of a state with TTL, in milliseconds.
    pub(crate) fn time_ms(&self, id: u32, group: KeyGroup) -> Option<i64> {
        let part = self.times.partition_point(|(share, _)| share.last() < group.0);
        self.times.get(part)?.1.get(&id).copied()
    }

    /// About how many entries of a state there are, and whether there are exactly as many.
    pub(crate) fn entries(&self, id: u32) -> (u64, bool) {
        self.states.get(&id).map_or((0, true), |state| (state.entries, state.is_exact))
    }

    /// No timer of a state is earlier, in milliseconds.
    pub(crate) fn earliest_timer_ms(&self, id: u32) -> i64 {
        let state = self.states.get(&id);
        state.and_then(|state| state.earliest_timer_ms).unwrap_or(i64::MIN)
    }

    pub(crate) fn is_list(&self, id: u32) -> bool {
        self.states.get(&id).is_some_and(|state| state.kind == StateKind::List)
    }

    /// For how many live entries one of a state stands: the elements of a list, else one.
    ///
    /// # Errors
    /// `Corrupt` if it is no list.
    pub(crate) fn live(&self, id: u32, entry: Entry<'_>) -> Result<u64> {
        if !self.is_list(id) {
            return Ok(1);
        }
        Ok(list::count(entry.value)?)
    }
}

/// Restores the open states of a heap backend as far as to name what there is: its entries are brought
/// key group by key group, where a call asks for one, about `touched_entries` in one, and by and by.
/// `store` is where the manifest's names begin. None of the second where a value or a duration of TTL is another one than was stored: then
/// nothing was done.
///
/// # Errors
/// As for [`restore_states`](super::restore_states), but for damage of entries, which is told to whoever
/// asks for them.
pub(crate) async fn restore_states_lazily(
    states: &mut KeyedStates,
    store: &Store,
    manifest: &Manifest,
    settings: &SnapshotSettings,
    touched_entries: u64,
) -> Result<Option<(Restored, Arc<ColdChain>)>> {
    match open(states, store, manifest, settings, touched_entries).await {
        Ok(None) => Ok(None),
        Ok(Some(done)) => {
            states.restored();
            Ok(Some(done))
        }
        Err(error) => {
            states.poison(format!("the restore failed: {error}"));
            Err(error)
        }
    }
}

async fn open(
    states: &mut KeyedStates,
    store: &Store,
    manifest: &Manifest,
    settings: &SnapshotSettings,
    touched_entries: u64,
) -> Result<Option<(Restored, Arc<ColdChain>)>> {
    let started = Instant::now();
    settings.check()?;
    let (uid, range) = (states.uid().to_owned(), states.range());
    let (targets, migrates) = targets(states)?;
    if migrates {
        return Ok(None);
    }
    let operator = find_operator(manifest, &uid)?;
    let (times, part) = merged_part(store, operator, range).await?;
    let sources = open_sources(store, &part.runs).await?;
    let read_len_bytes = part.runs.iter().map(|run| run.index.len_bytes).sum();
    let is_exact = owns_whole_parts(operator, range)?;
    let of_target = |stored: &esker_format::manifest::StateInfo| {
        let known = part.states.iter().find(|state| state.id == stored.id);
        ColdState {
            name: stored.name.clone(),
            kind: stored.kind,
            entries: known.map_or(0, |state| state.entries),
            is_exact,
            earliest_timer_ms: known.and_then(|state| state.earliest_timer_ms),
        }
    };
    let chain = Arc::new(ColdChain {
        reader: ChainReader::of_sources(sources.iter().map(|source| (**source).clone())),
        times,
        touched_entries,
        states: targets.iter().map(|at| (at.stored.id, of_target(&at.stored))).collect(),
    });
    for target in targets {
        let stored = &target.stored;
        let newest = part.states.iter().find(|state| state.id == stored.id);
        if let Some(time) = newest.and_then(|state| state.ttl_time_ms) {
            target.state.captured_at(time);
        }
        let cold = Cold::new(Arc::clone(&chain), stored.id, range);
        let begun = target.state.begin_lazy(stored, cold);
        let is_able = begun.map_err(|error| error.of(format_args!("state={}", stored.name)))?;
        if !is_able {
            let message = format!("state={}: it cannot be restored lazily", stored.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    let needed = Some(Needed(Arc::downgrade(&chain)));
    let built_on = match manifest.kind {
        SnapshotKind::Checkpoint => chain_of(part, &sources, range),
        SnapshotKind::Savepoint => Chain::default(),
    };
    let time = started.elapsed();
    let restored = Restored { chain: built_on, entries: 0, read_len_bytes, time, needed };
    Ok(Some((restored, chain)))
}

/// Whether each old part that holds key groups of `range` holds no others: what it counted is right then.
fn owns_whole_parts(operator: &Operator, range: KeyGroupRange) -> Result<bool> {
    for subtask in 0..operator.parts.len() {
        let owned = operator.range(subtask)?;
        if owned.intersect(range).is_some_and(|share| share != owned) {
            return Ok(false);
        }
    }
    Ok(true)
}
