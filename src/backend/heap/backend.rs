//! The backend of one subtask of an operator: its states, opened by descriptor.

use super::state::KeyedState;
use crate::backend::StateCapture;
use crate::format::KeyGroupRange;
use crate::format::manifest::{Operator, StateInfo, TypeInfo};
use crate::state::{Described, StateIds, check_stored, key_info};
use crate::{Error, ErrorKind, Result};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// A descriptor from which a state on the heap can be opened.
pub trait HeapDescriptor: Described {
    /// The state.
    type State: KeyedState;

    /// An empty state with numeric id `id` for the key groups in `range`.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State>;
}

/// Where a state of type `S` is in the backend that opened it.
pub struct Handle<S> {
    index: usize,
    state: PhantomData<fn() -> S>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Handle<S> {}

impl<S> std::fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.index).finish()
    }
}

struct Slot {
    info: StateInfo,
    state: Box<dyn KeyedState>,
}

/// All keyed state of one subtask of an operator, on the heap.
///
/// It belongs to one thread at a time; calls take no lock and do no I/O. States are opened first,
/// then restored, then used:
///
/// ```
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
    uid: String,
    range: KeyGroupRange,
    key: Option<TypeInfo>,
    ids: StateIds,
    slots: Vec<Slot>,
    /// What the snapshot says that is being restored.
    stored: Option<Operator>,
    poisoned: Option<String>,
    captures_taken: u64,
    /// The time that was set last, for states that are opened later.
    now_ms: Option<i64>,
}

impl HeapBackend {
    /// The backend of the subtask of operator `uid` that owns the key groups in `range`.
    pub fn new(uid: impl Into<String>, range: KeyGroupRange) -> Self {
        Self {
            uid: uid.into(),
            range,
            key: None,
            ids: StateIds::default(),
            slots: Vec::new(),
            stored: None,
            poisoned: None,
            captures_taken: 0,
            now_ms: None,
        }
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator, range: KeyGroupRange) -> Self {
        let ids = StateIds::stored(&stored.states);
        Self { ids, stored: Some(stored.clone()), ..Self::new(&stored.uid, range) }
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The key groups that it owns.
    pub fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// The type of keys, once a state is open.
    pub fn key(&self) -> Option<&TypeInfo> {
        self.key.as_ref()
    }

    /// What a manifest says of the open states, ids ascending.
    pub fn infos(&self) -> Vec<StateInfo> {
        let mut infos: Vec<_> = self.slots.iter().map(|slot| slot.info.clone()).collect();
        infos.sort_unstable_by_key(|info| info.id);
        infos
    }

    /// Opens a state, empty until it is restored.
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if the operator's keys are
    /// of another type, a type cannot be traced, or the snapshot to be restored holds a state of
    /// this name with another kind or other key types.
    pub fn open<D: HeapDescriptor>(&mut self, descriptor: D) -> Result<Handle<D::State>> {
        let name = descriptor.name().to_owned();
        if self.slots.iter().any(|slot| slot.info.name == name) {
            let message = format!("state={name} is open already: use the handle from then");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let key = key_info::<D::Key>()?;
        let stored_key = self.stored.as_ref().and_then(|stored| stored.key.as_ref());
        if let Some(known) = self.key.as_ref().or(stored_key).filter(|known| **known != key) {
            let uid = &self.uid;
            let message = format!(
                "operator={uid}: keys are {:?} by codec={}, not {:?} by codec={} as state={name} asks",
                known.schema, known.codec, key.schema, key.codec
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let info = descriptor.info(self.ids.of(&name))?;
        if let Some(stored) = self.stored_state(&name) {
            check_stored(&info, stored)?;
        }
        let mut state = Box::new(descriptor.build(info.id, self.range)?);
        if let Some(now_ms) = self.now_ms {
            state.set_time_ms(now_ms);
        }
        self.key = Some(key);
        self.slots.push(Slot { info, state });
        Ok(Handle { index: self.slots.len() - 1, state: PhantomData })
    }

    fn stored_state(&self, name: &str) -> Option<&StateInfo> {
        self.stored.as_ref()?.states.iter().find(|state| state.name == name)
    }

    /// The state behind a handle, to read or write.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored; `Invalid` for a handle of
    /// another backend.
    #[inline]
    pub fn state<S: KeyedState>(&mut self, handle: Handle<S>) -> Result<&mut S> {
        self.check()?;
        let slot = self.slots.get_mut(handle.index);
        let state = slot.and_then(|slot| {
            let any: &mut dyn Any = &mut *slot.state;
            any.downcast_mut()
        });
        state.ok_or_else(|| Error::new(ErrorKind::Invalid, "a handle of another backend"))
    }

    /// All states as they are now, ids ascending. Changes are counted from here for the next
    /// capture. Costs the same whatever the number of entries.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored.
    pub fn capture(&mut self) -> Result<Vec<Arc<dyn StateCapture>>> {
        self.check()?;
        self.captures_taken += 1;
        let mut captures: Vec<_> =
            self.slots.iter_mut().map(|slot| slot.state.capture_state()).collect();
        captures.sort_unstable_by_key(|capture| capture.id());
        Ok(captures)
    }

    /// How many captures were taken. Whoever writes changes must have every one: where the number
    /// grew in between, another capture holds what changed before it.
    pub fn captures_taken(&self) -> u64 {
        self.captures_taken
    }

    /// That the backend can be used.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored.
    #[inline]
    pub fn check(&self) -> Result<()> {
        match &self.poisoned {
            Some(why) => Err(Error::new(ErrorKind::Poisoned, why.as_str())),
            None => Ok(()),
        }
    }

    /// The current time for states with TTL, in milliseconds; for those opened later too.
    pub fn set_time_ms(&mut self, now_ms: i64) {
        self.now_ms = Some(now_ms);
        for slot in &mut self.slots {
            slot.state.set_time_ms(now_ms);
        }
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    pub fn poison(&mut self, why: impl Into<String>) {
        self.poisoned = Some(why.into());
    }

    /// The states that the snapshot to be restored holds, each with what is open of its name.
    ///
    /// # Errors
    /// `Incompatible` if one is not open.
    pub(crate) fn stored_states(
        &mut self,
    ) -> Result<Vec<(StateInfo, StateInfo, &mut dyn KeyedState)>> {
        let stored = self.stored.as_ref().map(|stored| stored.states.clone()).unwrap_or_default();
        let keyed: Vec<_> = stored.into_iter().filter(|state| state.kind.is_keyed()).collect();
        let is_open = |name: &str| self.slots.iter().any(|slot| slot.info.name == name);
        if let Some(state) = keyed.iter().find(|state| !is_open(&state.name)) {
            let message = format!(
                "operator={}: the snapshot holds state={} ({}), which is not open: open it, or \
                 drop it from the snapshot first",
                self.uid, state.name, state.kind
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let pairs = self.slots.iter_mut().filter_map(|slot| {
            let stored = keyed.iter().find(|state| state.name == slot.info.name)?;
            Some((stored.clone(), slot.info.clone(), &mut *slot.state))
        });
        Ok(pairs.collect())
    }

    /// Whether it was made for a snapshot that is not restored yet.
    pub(crate) fn awaits_restore(&self) -> bool {
        self.stored.is_some()
    }

    /// The snapshot is restored: the backend can be used.
    pub(crate) fn restored(&mut self) {
        self.stored = None;
    }
}
