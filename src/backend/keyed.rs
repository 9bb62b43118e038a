//! What a backend of keyed state is.

use super::calls::{ListCalls, MapCalls, TimerCalls, ValueCalls};
use super::state::{KeyedState, StateValue};
use super::{AggregatingState, Handle, KeyedStates, NativeCapture, ReducingState, StateCapture};
use crate::format::manifest::{Manifest, Operator, StateInfo, TypeInfo};
use crate::format::{Key, KeyGroupRange, ValueCodec};
use crate::snapshot::{Restored, SnapshotSettings, restore_states};
use crate::state::{Aggregate, Described, TimeDomain, TtlConfig};
use crate::{Result, Store};
use std::sync::Arc;

/// Values written by a codec that a descriptor brings.
pub type DynCodec<V> = Arc<dyn ValueCodec<V>>;

/// A reducing state of backend `B`.
pub type Reducing<B, K, N, V> = ReducingState<K, N, V, <B as Backend>::Value<K, N, V>>;
/// An aggregating state of backend `B`.
pub type Aggregating<B, K, N, A> =
    AggregatingState<K, N, A, <B as Backend>::Value<K, N, <A as Aggregate>::Accumulator>>;

/// The keyed state of one subtask of an operator. It belongs to one thread at a time; calls are
/// synchronous. States are opened first, then restored, then used.
///
/// A backend brings seven types of state and a way to make each; reducing and aggregating state
/// stand on its values. What it promises is what the crate `esker-conformance` tests.
pub trait Backend: Send + Sized + 'static {
    /// Values that live for ever.
    type Value<K: Key, N: Key, V: StateValue>: ValueCalls<K, N, V>;
    /// Values that expire.
    type TtlValue<K: Key, N: Key, V: StateValue>: ValueCalls<K, N, V>;
    /// Lists.
    type List<K: Key, N: Key, E: StateValue>: ListCalls<K, N, E>;
    /// Lists whose elements expire.
    type TtlList<K: Key, N: Key, E: StateValue>: ListCalls<K, N, E>;
    /// Maps.
    type Map<K: Key, N: Key, U: Key, V: StateValue>: MapCalls<K, N, U, V>;
    /// Maps whose entries expire.
    type TtlMap<K: Key, N: Key, U: Key, V: StateValue>: MapCalls<K, N, U, V>;
    /// Timers.
    type Timers<K: Key, N: Key>: TimerCalls<K, N>;

    /// Its states.
    fn states(&self) -> &KeyedStates;

    /// Its states, to change them.
    fn states_mut(&mut self) -> &mut KeyedStates;

    /// Empty values of the state `info`.
    ///
    /// # Errors
    /// Of this and its kin: `Incompatible` if a key type has no deterministic encoding; the
    /// backend's I/O.
    fn make_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<Self::Value<K, N, V>>;

    /// Empty values that expire.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_ttl_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<Self::TtlValue<K, N, V>>;

    /// Empty lists.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
    ) -> Result<Self::List<K, N, E>>;

    /// Empty lists whose elements expire.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_ttl_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
        config: TtlConfig,
    ) -> Result<Self::TtlList<K, N, E>>;

    /// Empty maps.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<Self::Map<K, N, U, V>>;

    /// Empty maps whose entries expire.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_ttl_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<Self::TtlMap<K, N, U, V>>;

    /// No timers.
    ///
    /// # Errors
    /// As for [`make_value`](Self::make_value).
    fn make_timers<K: Key, N: Key>(
        &mut self,
        info: &StateInfo,
        domain: TimeDomain,
    ) -> Result<Self::Timers<K, N>>;

    /// Opens a state, empty until it is restored.
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if the operator's keys are
    /// of another type, a type cannot be traced, or the snapshot to be restored holds a state of
    /// this name with another kind or other key types; the backend's I/O.
    fn open<D: Descriptor<Self>>(&mut self, descriptor: D) -> Result<Handle<D::State>> {
        let admitted = self.states_mut().admit(&descriptor)?;
        let state = descriptor.make(self, admitted.info())?;
        Ok(self.states_mut().add(admitted, state))
    }

    /// The state behind a handle, to read or write.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored; `Invalid` for a handle of
    /// another backend.
    #[inline]
    fn state<S: KeyedState>(&mut self, handle: Handle<S>) -> Result<&mut S> {
        self.states_mut().state(handle)
    }

    /// The operator's uid.
    fn uid(&self) -> &str {
        self.states().uid()
    }

    /// The key groups that it owns.
    fn range(&self) -> KeyGroupRange {
        self.states().range()
    }

    /// The type of keys, once a state is open.
    fn key(&self) -> Option<&TypeInfo> {
        self.states().key()
    }

    /// What a manifest says of the open states, ids ascending.
    fn infos(&self) -> Vec<StateInfo> {
        self.states().infos()
    }

    /// All states as they are now, ids ascending. Changes are counted from here for the next
    /// capture.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored.
    fn capture(&mut self) -> Result<Vec<Arc<dyn StateCapture>>> {
        self.states_mut().capture()
    }

    /// The backend's own database as it is now, if its checkpoints are native; a savepoint is made of a
    /// [`capture`](Self::capture) nevertheless.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored; the backend's I/O.
    fn capture_native(&mut self) -> Result<Option<Arc<dyn NativeCapture>>> {
        Ok(None)
    }

    /// How many captures were taken. Whoever writes changes must have every one: where the number
    /// grew in between, another capture holds what changed before it.
    fn captures_taken(&self) -> u64 {
        self.states().captures_taken()
    }

    /// The current time for states with TTL, in milliseconds; for those opened later too.
    fn set_time_ms(&mut self, now_ms: i64) {
        self.states_mut().set_time_ms(now_ms);
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    fn poison(&mut self, why: impl Into<String>) {
        self.states_mut().poison(why);
    }

    /// Restores the open states from what a snapshot holds of the key groups owned; the backend was
    /// made to be restored from it. `store` is where the manifest's names begin.
    ///
    /// # Errors
    /// Those of [`restore`](crate::snapshot::restore), and `Incompatible` if the snapshot holds a
    /// state that is not open. The backend is then poisoned: it holds some of the state.
    fn restore(
        &mut self,
        store: &Store,
        manifest: &Manifest,
        settings: &SnapshotSettings,
    ) -> impl Future<Output = Result<Restored>> + Send {
        restore_states(self.states_mut(), store, manifest, settings)
    }

    /// After a [lazy](crate::snapshot::RestoreMode::Lazy) restore, brings about `entries_max` entries that
    /// nobody asked for yet, timers first. They are read ahead on a thread of their own: it takes what was
    /// read by now, and waits for nothing. For the idle moments of a stream, or between its records.
    /// Returns whether nothing is left, as it does of backends that leave nothing.
    ///
    /// # Errors
    /// Those of reading; the next call tries again. `Corrupt` for entries that cannot be decoded.
    fn hydrate(&mut self, entries_max: usize) -> Result<bool> {
        let _ = entries_max;
        Ok(true)
    }
}

/// Makes the backends of a job's subtasks.
pub trait BackendFactory {
    /// What it makes.
    type Backend: Backend;

    /// The backend of the subtask of operator `uid` that owns the key groups in `range`, empty; to
    /// be restored from what a snapshot holds of the operator, if it is given `stored`.
    ///
    /// # Errors
    /// The backend's I/O.
    fn make(
        &self,
        uid: &str,
        range: KeyGroupRange,
        stored: Option<&Operator>,
    ) -> Result<Self::Backend>;
}

/// A descriptor of a keyed state, which backend `B` can open.
pub trait Descriptor<B: Backend>: Described {
    /// The state.
    type State: KeyedState;

    /// The state, empty; `info` is what a manifest says of it.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding; the backend's I/O.
    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State>;
}
