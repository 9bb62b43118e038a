//! The operators of a checkpoint, as the backends of their subtasks have them.

use crate::backend::Backend;
use crate::engine::described::Described;
use crate::format::KeyGroupRange;
use crate::format::manifest::Operator;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// The operators of `backends`, without parts, and where the backend of each subtask is.
///
/// # Errors
/// `Invalid` if key groups are missing, or the subtasks of an operator do not agree on its states.
pub(super) fn operators(backends: &[impl Backend]) -> Result<Vec<(Operator, Vec<usize>)>> {
    let mut by_uid: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, backend) in backends.iter().enumerate() {
        by_uid.entry(backend.uid()).or_default().push(at);
    }
    let mut operators = Vec::new();
    for (uid, mut subtasks) in by_uid {
        let of = |at: &usize| backends.get(*at);
        subtasks.sort_by_key(|at| of(at).map(|backend| backend.range().first()));
        let parallelism = subtasks.len() as u32;
        for (subtask, backend) in (0..).zip(subtasks.iter().filter_map(of)) {
            let (owned, due) = (backend.range(), KeyGroupRange::of_subtask(subtask, parallelism)?);
            if owned != due {
                let message = format!(
                    "operator={uid}: subtask {subtask} of {parallelism} owns the key groups {} to \
                     {}, not {} to {}: make ranges by KeyGroupRange::of_subtask",
                    owned.first(),
                    owned.last(),
                    due.first(),
                    due.last()
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        let mut described = subtasks.iter().filter_map(of).map(|of| Described::of(of, None));
        let Some(first) = described.next() else { continue };
        for (subtask, other) in (1..).zip(described) {
            first.check_same(&other, subtask)?;
        }
        operators.push((first.into_operator(), subtasks));
    }
    Ok(operators)
}

/// That nothing of `stored`, an operator of the last checkpoint, would be missing from one that is
/// made of `operators`.
///
/// # Errors
/// `Invalid`, naming what would be.
pub(super) fn check_holds(operators: &[(Operator, Vec<usize>)], stored: &Operator) -> Result<()> {
    let uid = &stored.uid;
    if !operators.iter().any(|(operator, _)| operator.uid == *uid) {
        let message = format!(
            "operator={uid} is in the last checkpoint, and none of its backends is here: pass \
             them all, or drop it by LocalJob::drop_operator"
        );
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    match stored.states.iter().find(|state| !state.kind.is_keyed()) {
        Some(state) => {
            let message = format!(
                "operator={uid}: state={} ({}) in the last checkpoint is not keyed, and would be \
                 lost: a LocalJob has keyed state alone",
                state.name, state.kind
            );
            Err(Error::new(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}

/// The error for a backend without what the last checkpoint holds of it.
pub(super) fn not_restored(backend: &impl Backend) -> Error {
    let message = format!(
        "operator={}: the backend of the key groups {} to {} is not the one restored from the last \
         checkpoint, whose state would be lost: restore it by LocalJob::restore, or drop the \
         operator by LocalJob::drop_operator",
        backend.uid(),
        backend.range().first(),
        backend.range().last()
    );
    Error::new(ErrorKind::Invalid, message)
}
