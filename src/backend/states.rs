//! The keyed states of a subtask, whatever backend they are of.

use super::slots::Slots;
use super::state::KeyedState;
use super::{Handle, StateCapture};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Operator, StateInfo, TypeInfo};
use crate::state::{Described, key_info};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// The keyed states of one subtask of an operator, whatever [`Backend`](super::Backend) they are of:
/// their names, what a snapshot says of them, when they were captured.
pub struct KeyedStates {
    slots: Slots<dyn KeyedState>,
    range: KeyGroupRange,
    key: Option<TypeInfo>,
    captures_taken: u64,
    /// The time that was set last, for states that are opened later.
    now_ms: Option<i64>,
}

/// A state that may be opened.
pub struct Admitted {
    info: StateInfo,
    key: TypeInfo,
}

impl Admitted {
    /// What a manifest will say of it; its id is the state's.
    pub fn info(&self) -> &StateInfo {
        &self.info
    }
}

impl KeyedStates {
    /// None yet, of the subtask of operator `uid` that owns the key groups in `range`.
    pub fn new(uid: impl Into<String>, range: KeyGroupRange) -> Self {
        Self::of(Slots::new(uid.into()), range)
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator, range: KeyGroupRange) -> Self {
        Self::of(Slots::restoring(stored), range)
    }

    fn of(slots: Slots<dyn KeyedState>, range: KeyGroupRange) -> Self {
        Self { slots, range, key: None, captures_taken: 0, now_ms: None }
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        self.slots.uid()
    }

    /// The key groups that the subtask owns.
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

    /// The ids of states that were dropped from the snapshot that was restored, ascending: as the next
    /// manifest is to have them in [`Operator::dropped`].
    pub fn dropped_ids(&self) -> &[u32] {
        self.slots.ids.dropped()
    }

    /// Checks that a state can be opened, and gives it its id: the state is then made, and
    /// [added](Self::add).
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if the operator's keys are
    /// of another type, a type cannot be traced, or the snapshot to be restored holds a state of
    /// this name with another kind or other key types.
    pub fn admit<D: Described>(&mut self, descriptor: &D) -> Result<Admitted> {
        let name = descriptor.name();
        self.slots.check_free(name)?;
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
        let info = descriptor.info(self.slots.ids.of(name))?;
        self.slots.check_stored(&info)?;
        Ok(Admitted { info, key })
    }

    /// Adds a state, empty until it is restored.
    pub fn add<S: KeyedState>(&mut self, admitted: Admitted, mut state: S) -> Handle<S> {
        if let Some(now_ms) = self.now_ms {
            state.set_time_ms(now_ms);
        }
        self.key = Some(admitted.key);
        self.slots.add(admitted.info, Box::new(state))
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
    /// capture.
    ///
    /// # Errors
    /// `Poisoned` after an I/O error, until the backend is restored; what calls put off fails as they would.
    pub fn capture(&mut self) -> Result<Vec<Arc<dyn StateCapture>>> {
        self.check()?;
        self.slots.states_mut().try_for_each(|state| state.settle())?;
        self.captures_taken += 1;
        let mut captures: Vec<_> =
            self.slots.states_mut().map(|state| state.capture_state()).collect();
        captures.sort_unstable_by_key(|capture| capture.id());
        Ok(captures)
    }

    /// The states, in the order of their opening.
    pub(super) fn states(&self) -> impl Iterator<Item = &dyn KeyedState> {
        self.slots.states()
    }

    /// The state of an id.
    pub(super) fn of_id(&mut self, id: u32) -> Option<&mut dyn KeyedState> {
        self.slots.of_id(id)
    }

    /// How many entries all states hold, each counted as [`KeyedState::entries`] does.
    pub fn entries(&self) -> u64 {
        self.slots.states().map(KeyedState::entries).sum()
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
    pub fn stored_states(&mut self) -> Result<Vec<(StateInfo, StateInfo, &mut dyn KeyedState)>> {
        self.slots.stored_states(|state| state.kind.is_keyed())
    }

    /// Whether it was made for a snapshot that is not restored yet.
    pub fn awaits_restore(&self) -> bool {
        self.slots.stored().is_some()
    }

    /// The snapshot is restored: the backend can be used.
    pub fn restored(&mut self) {
        self.slots.restored();
    }
}
