//! What subtasks say of their states, and that all of an operator say the same.

use crate::backend::Backend;
use crate::backend::operator::OperatorBackend;
use crate::format::manifest::{Operator, StateInfo, TypeInfo};
use crate::{Error, ErrorKind, Result};

/// The states of one subtask, as a manifest has those of its operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) uid: String,
    pub(super) key: Option<TypeInfo>,
    pub(super) states: Vec<StateInfo>,
    dropped: Vec<u32>,
}

impl Described {
    pub(super) fn of(backend: &impl Backend, operator: Option<&OperatorBackend>) -> Self {
        let mut states = backend.infos();
        states.extend(operator.map(OperatorBackend::infos).unwrap_or_default());
        states.sort_unstable_by_key(|info| info.id);
        let (uid, key) = (backend.uid().to_owned(), backend.key().cloned());
        Self { uid, key, states, dropped: backend.states().dropped_ids().to_vec() }
    }

    /// That subtask `subtask` has the states of the first: a manifest says once what they are, and
    /// under which ids their entries stand.
    ///
    /// # Errors
    /// `Invalid`, naming the state.
    pub(super) fn check_same(&self, other: &Self, subtask: u32) -> Result<()> {
        let uid = &self.uid;
        let of_one = self.states.iter().find(|info| !other.states.contains(info));
        let of_one =
            of_one.or_else(|| other.states.iter().find(|info| !self.states.contains(info)));
        if let Some(info) = of_one {
            let message = format!(
                "operator={uid}: state={} is not the same in subtasks 0 and {subtask}: open the same \
                 states in the same order in every subtask",
                info.name
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if self.key != other.key {
            let message =
                format!("operator={uid}: keys of subtasks 0 and {subtask} differ in type");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// What a manifest says of `operator`.
    #[cfg(feature = "timely")]
    pub(super) fn from_operator(operator: Operator) -> Self {
        let Operator { uid, key, states, dropped, .. } = operator;
        Self { uid, key, states, dropped }
    }

    /// The operator, without parts.
    pub(super) fn into_operator(self) -> Operator {
        let Self { uid, key, states, dropped } = self;
        Operator { uid, key, states, dropped, parts: Vec::new(), extra: Default::default() }
    }
}
