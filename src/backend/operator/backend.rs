//! The operator state of one subtask: its states, opened by descriptor.

use super::{OperatorCapture, OperatorState};
use crate::Result;
use crate::backend::slots::Slots;
use crate::backend::{EntrySink, Handle};
use crate::format::manifest::{Operator, StateInfo};
use crate::format::schema::Reads;
use std::sync::Arc;

/// A descriptor from which an operator state can be opened.
pub trait OperatorDescriptor {
    /// The state.
    type State: OperatorState;

    /// The name: unique within the operator, among keyed states too.
    fn name(&self) -> &str;

    /// What a manifest says of the state, with numeric id `id`.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding or a type cannot be traced.
    fn info(&self, id: u32) -> Result<StateInfo>;

    /// What it reads besides values of its own shape, for schema files; `None` where that cannot be told.
    ///
    /// # Errors
    /// `Incompatible` if a type cannot be traced.
    fn reads(&self) -> Result<Option<Reads>> {
        Ok(None)
    }

    /// An empty state with numeric id `id`.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    fn build(self, id: u32) -> Result<Self::State>;
}

/// All operator state of one subtask. States are opened first, then restored, then used:
///
/// ```
/// # use esker::backend::operator::OperatorBackend;
/// # use esker::state::OperatorListDescriptor;
/// let mut backend = OperatorBackend::new("source");
/// let offsets = backend.open(OperatorListDescriptor::<u64>::split("offsets"))?;
/// backend.state(offsets)?.add(17);
/// let capture = backend.capture()?;
/// assert_eq!(capture.states()[0].1, 1);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct OperatorBackend {
    slots: Slots<dyn OperatorState>,
}

impl OperatorBackend {
    /// The backend of a subtask of operator `uid`.
    pub fn new(uid: impl Into<String>) -> Self {
        Self { slots: Slots::new(uid.into()) }
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator) -> Self {
        Self { slots: Slots::restoring(stored) }
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        self.slots.uid()
    }

    /// What a manifest says of the open states, ids ascending; it stands there beside the keyed ones.
    pub fn infos(&self) -> Vec<StateInfo> {
        self.slots.infos()
    }

    /// Opens a state, empty until it is restored.
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if a type cannot be traced,
    /// or the snapshot to be restored holds a state of this name with another kind or key type.
    pub fn open<D: OperatorDescriptor>(&mut self, descriptor: D) -> Result<Handle<D::State>> {
        let name = descriptor.name().to_owned();
        self.slots.check_free(&name)?;
        let info = descriptor.info(self.slots.ids.of_operator(&name))?;
        self.slots.check_stored(&info)?;
        let state = Box::new(descriptor.build(info.id)?);
        Ok(self.slots.add(info, state))
    }

    /// The state behind a handle, to read or write.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed; `Invalid` for a handle of another backend.
    pub fn state<S: OperatorState>(&mut self, handle: Handle<S>) -> Result<&mut S> {
        self.slots.get_mut(handle, |state| state)
    }

    /// All states as they are now, by reference.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed.
    pub fn capture(&self) -> Result<Arc<dyn OperatorCapture>> {
        self.slots.check()?;
        let states = self.slots.states().map(|state| state.capture_state());
        let mut states: Vec<_> = states.collect();
        states.sort_unstable_by_key(|capture| capture.states().first().map(|(id, _)| *id));
        Ok(Arc::new(Capture(states)))
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    pub(crate) fn poison(&mut self, why: String) {
        self.slots.poison(why);
    }

    /// The operator as the snapshot to be restored has it, and each state that is open of it.
    ///
    /// # Errors
    /// `Incompatible` if one is not open.
    pub(crate) fn stored_states(
        &mut self,
    ) -> Result<Vec<(StateInfo, u32, &mut dyn OperatorState)>> {
        let subtasks = self.slots.stored().map_or(0, |stored| stored.parts.len() as u32);
        let pairs = self.slots.stored_states(|state| !state.kind.is_keyed())?;
        Ok(pairs.into_iter().map(|(stored, _, state)| (stored, subtasks, state)).collect())
    }

    /// The snapshot is restored: the backend can be used.
    pub(crate) fn restored(&mut self) {
        self.slots.restored();
    }
}

/// Several states at one moment, ids ascending.
struct Capture(Vec<Arc<dyn OperatorCapture>>);

impl OperatorCapture for Capture {
    fn states(&self) -> Vec<(u32, u64)> {
        self.0.iter().flat_map(|state| state.states()).collect()
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        self.0.iter().try_for_each(|state| state.write(sink))
    }
}
