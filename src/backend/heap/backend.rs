//! The heap backend of one subtask of an operator.

use super::{
    ListState, MapState, TimerState, TtlListState, TtlMapState, TtlValueState, ValueState,
};
use crate::Result;
use crate::backend::keyed::DynCodec;
use crate::backend::{Backend, BackendFactory, KeyedStates, StateValue};
use crate::format::manifest::{Operator, StateInfo};
use crate::format::{Key, KeyGroupRange};
use crate::state::{TimeDomain, TtlConfig};

/// All keyed state of one subtask of an operator, on the heap: calls take no lock and do no I/O, and a
/// capture costs the same whatever the number of entries.
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
}

impl HeapBackend {
    /// The backend of the subtask of operator `uid` that owns the key groups in `range`.
    pub fn new(uid: impl Into<String>, range: KeyGroupRange) -> Self {
        Self { states: KeyedStates::new(uid, range) }
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator, range: KeyGroupRange) -> Self {
        Self { states: KeyedStates::restoring(stored, range) }
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
