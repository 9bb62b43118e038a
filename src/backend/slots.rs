//! The states of one subtask, whatever backend holds them: opened by name, behind typed handles,
//! checked against the snapshot that is to be restored.

use crate::state::{StateIds, check_stored};
use crate::{Error, ErrorKind, Result};
use esker_format::manifest::{Operator, StateInfo};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

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

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.index).finish()
    }
}

/// States that their backend sees as `D`, a trait's object.
pub(super) struct Slots<D: ?Sized> {
    uid: String,
    pub(super) ids: StateIds,
    slots: Vec<Slot<D>>,
    /// What the snapshot says that is being restored.
    stored: Option<Operator>,
    poisoned: Option<String>,
}

struct Slot<D: ?Sized> {
    info: StateInfo,
    state: Box<D>,
}

impl<D: ?Sized> Slots<D> {
    /// None yet, of operator `uid`.
    pub(super) fn new(uid: String) -> Self {
        let (ids, slots) = (StateIds::default(), Vec::new());
        Self { uid, ids, slots, stored: None, poisoned: None }
    }

    /// None yet; those opened from here on are checked against `stored`.
    pub(super) fn restoring(stored: &Operator) -> Self {
        let ids = StateIds::stored(stored);
        Self { ids, stored: Some(stored.clone()), ..Self::new(stored.uid.clone()) }
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// The operator as the snapshot has it that is to be restored.
    pub(super) fn stored(&self) -> Option<&Operator> {
        self.stored.as_ref()
    }

    /// What a manifest says of the open states, ids ascending.
    pub(super) fn infos(&self) -> Vec<StateInfo> {
        let mut infos: Vec<_> = self.slots.iter().map(|slot| slot.info.clone()).collect();
        infos.sort_unstable_by_key(|info| info.id);
        infos
    }

    /// The state of an id.
    pub(super) fn of_id(&mut self, id: u32) -> Option<&mut D> {
        let slot = self.slots.iter_mut().find(|slot| slot.info.id == id)?;
        Some(&mut *slot.state)
    }

    /// Every state that is open, in the order of their opening.
    pub(super) fn states(&self) -> impl Iterator<Item = &D> {
        self.slots.iter().map(|slot| &*slot.state)
    }

    /// As [`states`](Self::states), to change them.
    pub(super) fn states_mut(&mut self) -> impl Iterator<Item = &mut D> {
        self.slots.iter_mut().map(|slot| &mut *slot.state)
    }

    fn is_open(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.info.name == name)
    }

    /// That no state of this name is open.
    ///
    /// # Errors
    /// `Invalid` if one is.
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        if self.is_open(name) {
            let message = format!("state={name} is open already: use the handle from then");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// That a state as `info` says can be restored from the snapshot, if that holds it.
    ///
    /// # Errors
    /// `Incompatible` if the snapshot holds a state of this name with another kind or key types.
    pub(super) fn check_stored(&self, info: &StateInfo) -> Result<()> {
        let mut states = self.stored.iter().flat_map(|stored| &stored.states);
        match states.find(|state| state.name == info.name) {
            Some(stored) => check_stored(info, stored),
            None => Ok(()),
        }
    }

    /// Adds a state, which is a `S`.
    pub(super) fn add<S>(&mut self, info: StateInfo, state: Box<D>) -> Handle<S> {
        self.slots.push(Slot { info, state });
        Handle { index: self.slots.len() - 1, state: PhantomData }
    }

    /// The state behind a handle; `any` is `D` as one of any type.
    ///
    /// # Errors
    /// `Poisoned`, and `Invalid` for a handle of another backend.
    #[inline]
    pub(super) fn get_mut<S: 'static>(
        &mut self,
        handle: Handle<S>,
        any: impl FnOnce(&mut D) -> &mut dyn Any,
    ) -> Result<&mut S> {
        self.check()?;
        let slot = self.slots.get_mut(handle.index);
        let state = slot.and_then(|slot| any(&mut slot.state).downcast_mut());
        state.ok_or_else(|| Error::new(ErrorKind::Invalid, "a handle of another backend"))
    }

    /// That the backend can be used.
    ///
    /// # Errors
    /// `Poisoned` if it was, until it is restored.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        match &self.poisoned {
            Some(why) => Err(Error::new(ErrorKind::Poisoned, why.as_str())),
            None => Ok(()),
        }
    }

    /// Every call fails with `Poisoned` and `why` from here on.
    pub(super) fn poison(&mut self, why: String) {
        self.poisoned = Some(why);
    }

    /// The states that the snapshot to be restored holds of those kinds of which `holds` is true, each
    /// with what is open of its name.
    ///
    /// # Errors
    /// `Incompatible` if one is not open.
    pub(super) fn stored_states(
        &mut self,
        holds: impl Fn(&StateInfo) -> bool,
    ) -> Result<Vec<(StateInfo, StateInfo, &mut D)>> {
        let stored = self.stored.iter().flat_map(|stored| &stored.states);
        let stored: Vec<_> = stored.filter(|state| holds(state)).cloned().collect();
        if let Some(state) = stored.iter().find(|state| !self.is_open(&state.name)) {
            let message = format!(
                "operator={}: the snapshot holds state={} ({}), which is not open: open it, or \
                 drop it from the snapshot first",
                self.uid, state.name, state.kind
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let pairs = self.slots.iter_mut().filter_map(|slot| {
            let stored = stored.iter().find(|state| state.name == slot.info.name)?;
            Some((stored.clone(), slot.info.clone(), &mut *slot.state))
        });
        Ok(pairs.collect())
    }

    /// The snapshot is restored: the backend can be used.
    pub(super) fn restored(&mut self) {
        self.stored = None;
    }
}
