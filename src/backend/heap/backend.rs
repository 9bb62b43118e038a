//! The backend of one subtask of an operator: its states, opened by descriptor.

use super::state::KeyedState;
use crate::backend::slots::Slots;
use crate::backend::{Handle, StateCapture};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Operator, StateInfo, TypeInfo};
use crate::state::{Described, key_info};
use crate::{Error, ErrorKind, Result};
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
    slots: Slots<dyn KeyedState>,
    range: KeyGroupRange,
    key: Option<TypeInfo>,
    captures_taken: u64,
    /// The time that was set last, for states that are opened later.
    now_ms: Option<i64>,
}

impl HeapBackend {
    /// The backend of the subtask of operator `uid` that owns the key groups in `range`.
    pub fn new(uid: impl Into<String>, range: KeyGroupRange) -> Self {
        Self::of(Slots::new(uid.into()), range)
    }

    fn of(slots: Slots<dyn KeyedState>, range: KeyGroupRange) -> Self {
        Self { slots, range, key: None, captures_taken: 0, now_ms: None }
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator, range: KeyGroupRange) -> Self {
        Self::of(Slots::restoring(stored), range)
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        self.slots.uid()
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
        self.slots.infos()
    }

    /// Opens a state, empty until it is restored.
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if the operator's keys are
    /// of another type, a type cannot be traced, or the snapshot to be restored holds a state of
    /// this name with another kind or other key types.
    pub fn open<D: HeapDescriptor>(&mut self, descriptor: D) -> Result<Handle<D::State>> {
        let name = descriptor.name().to_owned();
        self.slots.check_free(&name)?;
        let key = key_info::<D::Key>()?;
        let stored_key = self.slots.stored().and_then(|stored| stored.key.as_ref());
        if let Some(known) = self.key.as_ref().or(stored_key).filter(|known| **known != key) {
            let uid = self.uid();
            let message = format!(
                "operator={uid}: keys are {:?} by codec={}, not {:?} by codec={} as state={name} asks",
                known.schema, known.codec, key.schema, key.codec
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let info = descriptor.info(self.slots.ids.of(&name))?;
        let (range, now_ms) = (self.range, self.now_ms);
        let handle = self.slots.add(info, |id| {
            let mut state = Box::new(descriptor.build(id, range)?);
            if let Some(now_ms) = now_ms {
                state.set_time_ms(now_ms);
            }
            Ok(state)
        })?;
        self.key = Some(key);
        Ok(handle)
    }

    /// The state behind a handle, to read or write.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored; `Invalid` for a handle of
    /// another backend.
    #[inline]
    pub fn state<S: KeyedState>(&mut self, handle: Handle<S>) -> Result<&mut S> {
        self.slots.get_mut(handle, |state| state)
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
            self.slots.states_mut().map(|state| state.capture_state()).collect();
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
        self.slots.check()
    }

    /// The current time for states with TTL, in milliseconds; for those opened later too.
    pub fn set_time_ms(&mut self, now_ms: i64) {
        self.now_ms = Some(now_ms);
        self.slots.states_mut().for_each(|state| state.set_time_ms(now_ms));
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    pub fn poison(&mut self, why: impl Into<String>) {
        self.slots.poison(why.into());
    }

    /// The states that the snapshot to be restored holds, each with what is open of its name.
    ///
    /// # Errors
    /// `Incompatible` if one is not open.
    pub(crate) fn stored_states(
        &mut self,
    ) -> Result<Vec<(StateInfo, StateInfo, &mut dyn KeyedState)>> {
        self.slots.stored_states(|state| state.kind.is_keyed())
    }

    /// Whether it was made for a snapshot that is not restored yet.
    pub(crate) fn awaits_restore(&self) -> bool {
        self.slots.stored().is_some()
    }

    /// The snapshot is restored: the backend can be used.
    pub(crate) fn restored(&mut self) {
        self.slots.restored();
    }
}
