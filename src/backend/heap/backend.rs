//! The heap backend of one subtask of an operator.

use super::hydration::Hydration;
use super::{
    ListState, MapState, TimerState, TtlListState, TtlMapState, TtlValueState, ValueState,
};
use crate::backend::keyed::DynCodec;
use crate::backend::{Backend, BackendFactory, KeyedStates, StateValue};
use crate::format::manifest::{Manifest, Operator, StateInfo};
use crate::format::{Key, KeyGroupRange};
use crate::snapshot::{
    RestoreMode, Restored, SnapshotSettings, restore_states, restore_states_lazily,
};
use crate::state::{TimeDomain, TtlConfig};
use crate::{Result, Store};

/// About how many entries are brought where one is asked for, if nothing else is said: reading fewer takes
/// as long.
const TOUCHED_ENTRIES: u64 = 256;

/// All keyed state of one subtask of an operator, on the heap: calls take no lock and do no I/O, and a
/// capture costs the same whatever the number of entries.
///
/// Restored [lazily](RestoreMode::Lazy) it can be used once the indexes of the snapshot's files are read.
/// The first call for a key group then reads what the snapshot holds of it, and fails as reading does; the
/// next one tries again. [`hydrate`](Backend::hydrate) brings the others. Until then the files are needed:
/// the owner of a job retains their checkpoint, a savepoint is to stay where it is.
///
/// ```
/// # use esker::backend::Backend;
/// # use esker::backend::heap::HeapBackend;
/// # use esker::format::KeyGroupRange;
/// # use esker::state::ValueDescriptor;
/// let mut backend = HeapBackend::new("carriers", KeyGroupRange::ALL);
/// let flights = backend.open(ValueDescriptor::<String, u64>::new("flights"))?;
/// backend.state(flights)?.update(&"UA".into(), &(), 7)?;
/// assert_eq!(backend.state(flights)?.get(&"UA".into(), &())?, Some(7));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct HeapBackend {
    states: KeyedStates,
    /// How it is restored lazily, whatever the settings say: so many entries where one is asked for.
    lazily: Option<u64>,
    hydration: Option<Hydration>,
}

impl HeapBackend {
    /// The backend of the subtask of operator `uid` that owns the key groups in `range`.
    pub fn new(uid: impl Into<String>, range: KeyGroupRange) -> Self {
        Self::of(KeyedStates::new(uid, range))
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator, range: KeyGroupRange) -> Self {
        Self::of(KeyedStates::restoring(stored, range))
    }

    fn of(states: KeyedStates) -> Self {
        Self { states, lazily: None, hydration: None }
    }

    /// The same, to be restored [lazily](RestoreMode::Lazy) whatever the settings say. A call for a key
    /// that is not there yet then brings about `touched_entries` entries: those of its key group at
    /// least, as they are read in one, and of the next ones where key groups hold few. 256 where the
    /// settings alone say so.
    #[must_use]
    pub fn lazily(self, touched_entries: u64) -> Self {
        Self { lazily: Some(touched_entries), ..self }
    }

    /// As [`hydrate`](Backend::hydrate), but it waits for what is being read.
    ///
    /// # Errors
    /// As for [`hydrate`](Backend::hydrate).
    pub fn hydrate_waiting(&mut self, entries_max: usize) -> Result<bool> {
        self.step(entries_max, true)
    }

    fn step(&mut self, entries_max: usize, waits: bool) -> Result<bool> {
        let Some(hydration) = &mut self.hydration else { return Ok(true) };
        self.states.check()?;
        let is_done = hydration.step(&mut self.states, entries_max, waits)?;
        if is_done {
            self.hydration = None;
        }
        Ok(is_done)
    }
}

impl Backend for HeapBackend {
    type Value<K: Key, N: Key, V: StateValue> = ValueState<K, N, V>;
    type TtlValue<K: Key, N: Key, V: StateValue> = TtlValueState<K, N, V>;
    type List<K: Key, N: Key, E: StateValue> = ListState<K, N, E>;
    type TtlList<K: Key, N: Key, E: StateValue> = TtlListState<K, N, E>;
    type Map<K: Key, N: Key, U: Key, V: StateValue> = MapState<K, N, U, V>;
    type TtlMap<K: Key, N: Key, U: Key, V: StateValue> = TtlMapState<K, N, U, V>;
    type Timers<K: Key, N: Key> = TimerState<K, N>;

    #[inline]
    fn states(&self) -> &KeyedStates {
        &self.states
    }

    #[inline]
    fn states_mut(&mut self) -> &mut KeyedStates {
        &mut self.states
    }

    async fn restore(
        &mut self,
        store: &Store,
        manifest: &Manifest,
        settings: &SnapshotSettings,
    ) -> Result<Restored> {
        self.hydration = None;
        let by_settings = settings.restore == RestoreMode::Lazy;
        if let Some(touched) = self.lazily.or(by_settings.then_some(TOUCHED_ENTRIES)) {
            let states = &mut self.states;
            let done = restore_states_lazily(states, store, manifest, settings, touched).await?;
            if let Some((restored, chain)) = done {
                self.hydration = Some(Hydration::new(chain));
                return Ok(restored);
            }
        }
        restore_states(&mut self.states, store, manifest, settings).await
    }

    fn hydrate(&mut self, entries_max: usize) -> Result<bool> {
        self.step(entries_max, false)
    }

    fn make_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<ValueState<K, N, V>> {
        ValueState::new(info.id, self.range(), codec)
    }

    fn make_ttl_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<TtlValueState<K, N, V>> {
        TtlValueState::new(info.id, self.range(), codec, config)
    }

    fn make_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
    ) -> Result<ListState<K, N, E>> {
        ListState::new(info.id, self.range(), codec)
    }

    fn make_ttl_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
        config: TtlConfig,
    ) -> Result<TtlListState<K, N, E>> {
        TtlListState::new(info.id, self.range(), codec, config)
    }

    fn make_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<MapState<K, N, U, V>> {
        MapState::new(info.id, self.range(), codec)
    }

    fn make_ttl_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<TtlMapState<K, N, U, V>> {
        TtlMapState::new(info.id, self.range(), codec, config)
    }

    fn make_timers<K: Key, N: Key>(
        &mut self,
        info: &StateInfo,
        domain: TimeDomain,
    ) -> Result<TimerState<K, N>> {
        TimerState::new(info.id, domain, self.range())
    }
}

/// Makes [`HeapBackend`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeapBackends;

impl BackendFactory for HeapBackends {
    type Backend = HeapBackend;

    fn make(
        &self,
        uid: &str,
        range: KeyGroupRange,
        stored: Option<&Operator>,
    ) -> Result<HeapBackend> {
        Ok(match stored {
            Some(stored) => HeapBackend::restoring(stored, range),
            None => HeapBackend::new(uid, range),
        })
    }
}
