//! A subtask's state out of the last checkpoint, whoever runs the subtask.

use super::{Control, SubtaskCheckpoints};
use crate::Result;
use crate::Store;
use crate::backend::Backend;
use crate::backend::operator::OperatorBackend;
use crate::checkpoint::coordinator::Subtask;
use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator};
use crate::snapshot::{
    Lineage, Needed, RestoreMode, SnapshotSettings, find_operator, read_operator_state,
};
use crate::store::sleep;
use std::collections::BTreeSet;
use std::time::Duration;

/// From one look at what was read ahead to the next.
const HYDRATE_AGAIN: Duration = Duration::from_millis(1);

/// What a subtask begins from.
pub(in crate::engine) struct Restores<'a> {
    pub(in crate::engine) at: Subtask,
    pub(in crate::engine) range: KeyGroupRange,
    /// How many subtasks its operator has now.
    pub(in crate::engine) parallelism: u32,
    pub(in crate::engine) store: &'a Store,
    /// The manifest of the last completed checkpoint.
    pub(in crate::engine) last: Option<&'a Manifest>,
    /// Operators of it that begin anew.
    pub(in crate::engine) dropped: &'a BTreeSet<String>,
    pub(in crate::engine) settings: &'a SnapshotSettings,
    /// Who hears of its checkpoints.
    pub(in crate::engine) control: &'a Control,
    /// Who is told that the backend goes on reading the checkpoint's files. With nobody to see to it that they
    /// stay, all is read at once.
    pub(in crate::engine) reads: Option<&'a dyn Fn(Needed)>,
}

/// What the last checkpoint holds of operator `uid`.
pub(in crate::engine) fn stored<'a>(
    last: Option<&'a Manifest>,
    dropped: &BTreeSet<String>,
    uid: &str,
) -> Option<&'a Operator> {
    find_operator(last?, uid).ok().filter(|_| !dropped.contains(uid))
}

impl Restores<'_> {
    /// Restores the subtask; its side of the checkpoints to come. Where there is nothing to restore the
    /// backends stay empty.
    ///
    /// # Errors
    /// Those of [`Backend::restore`] and [`OperatorBackend::restore`].
    pub(in crate::engine) async fn restore(
        self,
        backend: &mut impl Backend,
        operator: Option<&mut OperatorBackend>,
    ) -> Result<SubtaskCheckpoints> {
        let Self { at, range, parallelism, store, last, dropped, settings, control, reads } = self;
        let mut lineage = Lineage::default();
        if let (Some(manifest), Some(stored)) = (last, stored(last, dropped, backend.uid())) {
            let mut settings = settings.clone();
            if reads.is_none() {
                settings.restore = RestoreMode::Eager;
            }
            let restored = backend.restore(store, manifest, &settings).await?;
            match (restored.needed, reads) {
                (Some(needed), Some(reads)) => reads(needed),
                // A backend that restores lazily whatever the settings say.
                (Some(_), None) => {
                    while !backend.hydrate(usize::MAX)? {
                        sleep(HYDRATE_AGAIN).await?;
                    }
                }
                (None, _) => {}
            }
            lineage = Lineage::new(restored.chain);
            if let Some(operator) = operator {
                let elements = read_operator_state(store, stored).await?;
                operator.restore(&elements, at.subtask, parallelism)?;
            }
        }
        let (captures_taken, control) = (backend.captures_taken(), control.clone());
        Ok(SubtaskCheckpoints::new(at, range, lineage, captures_taken, settings, control))
    }
}
