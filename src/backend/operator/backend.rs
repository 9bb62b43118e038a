//! The operator state of one subtask: its states, opened by descriptor.

use super::{OperatorCapture, OperatorState};
use crate::backend::EntrySink;
use crate::format::manifest::{Operator, StateInfo};
use crate::state::{StateIds, check_stored};
use crate::{Error, ErrorKind, Result};
use std::any::Any;
use std::marker::PhantomData;
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

    /// An empty state with numeric id `id`.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    fn build(self, id: u32) -> Result<Self::State>;
}

/// Where an operator state of type `S` is in the backend that opened it.
pub struct OperatorHandle<S> {
    index: usize,
    state: PhantomData<fn() -> S>,
}

impl<S> Clone for OperatorHandle<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for OperatorHandle<S> {}

impl<S> std::fmt::Debug for OperatorHandle<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OperatorHandle").field(&self.index).finish()
    }
}

struct Slot {
    info: StateInfo,
    state: Box<dyn OperatorState>,
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
    uid: String,
    ids: StateIds,
    slots: Vec<Slot>,
    /// What the snapshot says that is being restored.
    stored: Option<Operator>,
    poisoned: Option<String>,
}

impl OperatorBackend {
    /// The backend of a subtask of operator `uid`.
    pub fn new(uid: impl Into<String>) -> Self {
        let (ids, slots) = (StateIds::default(), Vec::new());
        Self { uid: uid.into(), ids, slots, stored: None, poisoned: None }
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    pub fn restoring(stored: &Operator) -> Self {
        let ids = StateIds::stored(&stored.states);
        Self { ids, stored: Some(stored.clone()), ..Self::new(&stored.uid) }
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What a manifest says of the open states, ids ascending; it stands there beside the keyed ones.
    pub fn infos(&self) -> Vec<StateInfo> {
        let mut infos: Vec<_> = self.slots.iter().map(|slot| slot.info.clone()).collect();
        infos.sort_unstable_by_key(|info| info.id);
        infos
    }

    /// Opens a state, empty until it is restored.
    ///
    /// # Errors
    /// `Invalid` if a state of this name is open already; `Incompatible` if a type cannot be traced,
    /// or the snapshot to be restored holds a state of this name with another kind or key type.
    pub fn open<D: OperatorDescriptor>(
        &mut self,
        descriptor: D,
    ) -> Result<OperatorHandle<D::State>> {
        let name = descriptor.name().to_owned();
        if self.slots.iter().any(|slot| slot.info.name == name) {
            let message = format!("state={name} is open already: use the handle from then");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let info = descriptor.info(self.ids.of_operator(&name))?;
        if let Some(stored) = self.stored_state(&name) {
            check_stored(&info, stored)?;
        }
        let state = Box::new(descriptor.build(info.id)?);
        self.slots.push(Slot { info, state });
        Ok(OperatorHandle { index: self.slots.len() - 1, state: PhantomData })
    }

    fn stored_state(&self, name: &str) -> Option<&StateInfo> {
        self.stored.as_ref()?.states.iter().find(|state| state.name == name)
    }

    /// The state behind a handle, to read or write.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed; `Invalid` for a handle of another backend.
    pub fn state<S: OperatorState>(&mut self, handle: OperatorHandle<S>) -> Result<&mut S> {
        self.check()?;
        let slot = self.slots.get_mut(handle.index);
        let state = slot.and_then(|slot| {
            let any: &mut dyn Any = &mut *slot.state;
            any.downcast_mut()
        });
        state.ok_or_else(|| Error::new(ErrorKind::Invalid, "a handle of another backend"))
    }

    /// All states as they are now, by reference.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed.
    pub fn capture(&self) -> Result<Arc<dyn OperatorCapture>> {
        self.check()?;
        let states = self.slots.iter().map(|slot| slot.state.capture_state());
        let mut states: Vec<_> = states.collect();
        states.sort_unstable_by_key(|capture| capture.states().first().map(|(id, _)| *id));
        Ok(Arc::new(Capture(states)))
    }

    fn check(&self) -> Result<()> {
        match &self.poisoned {
            Some(why) => Err(Error::new(ErrorKind::Poisoned, why.as_str())),
            None => Ok(()),
        }
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    pub(crate) fn poison(&mut self, why: String) {
        self.poisoned = Some(why);
    }

    /// The operator as the snapshot to be restored has it, and each state that is open of it.
    ///
    /// # Errors
    /// `Incompatible` if one is not open.
    pub(crate) fn stored_states(
        &mut self,
    ) -> Result<Vec<(StateInfo, u32, &mut dyn OperatorState)>> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        let subtasks = stored.parts.len() as u32;
        let states: Vec<_> =
            stored.states.iter().filter(|state| !state.kind.is_keyed()).cloned().collect();
        let is_open = |name: &str| self.slots.iter().any(|slot| slot.info.name == name);
        if let Some(state) = states.iter().find(|state| !is_open(&state.name)) {
            let message = format!(
                "operator={}: the snapshot holds state={} ({}), which is not open: open it, or \
                 drop it from the snapshot first",
                self.uid, state.name, state.kind
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let pairs = self.slots.iter_mut().filter_map(|slot| {
            let stored = states.iter().find(|state| state.name == slot.info.name)?;
            Some((stored.clone(), subtasks, &mut *slot.state))
        });
        Ok(pairs.collect())
    }

    /// The snapshot is restored: the backend can be used.
    pub(crate) fn restored(&mut self) {
        self.stored = None;
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
