//! Restoring a backend: all of its states at once.

use super::chain::Chain;
use super::restore::{OperatorElement, Restored, Target, restore};
use super::settings::SnapshotSettings;
use crate::backend::KeyedStates;
use crate::backend::operator::{NewSubtask, OperatorBackend};
use crate::format::KeyGroup;
use crate::format::composite::CompositeKey;
use crate::format::manifest::{Manifest, StateInfo};
use crate::format::run::{Entry, Op};
use crate::{Error, Result, Store};

/// Restores the open states from what a snapshot holds of the key groups owned; they were made to be
/// restored from it. `store` is where the manifest's names begin.
///
/// # Errors
/// Those of [`restore`], and `Incompatible` if the snapshot holds a state that is not open. The states
/// are then poisoned: they hold some of it.
pub async fn restore_states(
    states: &mut KeyedStates,
    store: &Store,
    manifest: &Manifest,
    settings: &SnapshotSettings,
) -> Result<Restored> {
    let (uid, range) = (states.uid().to_owned(), states.range());
    let (mut targets, migrates) = targets(states)?;
    let done = restore(store, manifest, &uid, range, &mut targets, settings).await;
    drop(targets);
    match done {
        Ok(mut restored) => {
            states.restored();
            if migrates {
                // Those runs hold what the next manifest would describe wrongly.
                restored.chain = Chain::default();
            }
            Ok(restored)
        }
        Err(error) => {
            states.poison(format!("the restore failed: {error}"));
            Err(error)
        }
    }
}

/// Whether what is stored cannot stay as it is: values are of another shape, or live longer or shorter,
/// so that what had expired would show again.
pub(crate) fn migrates(stored: &StateInfo, open: &StateInfo) -> bool {
    let duration_ms = |info: &StateInfo| info.ttl.map(|ttl| ttl.duration_ms);
    stored.value != open.value || duration_ms(stored) != duration_ms(open)
}

/// The open states that the snapshot holds, and whether runs of it cannot be built upon.
pub(super) fn targets(states: &mut KeyedStates) -> Result<(Vec<Target<'_>>, bool)> {
    let pairs = states.stored_states()?;
    let migrates = pairs.iter().any(|(stored, open, _)| migrates(stored, open));
    let target = |(stored, _, state)| Target { stored, state };
    Ok((pairs.into_iter().map(target).collect(), migrates))
}

impl OperatorBackend {
    /// Restores the open states of subtask `subtask` of `parallelism` from `elements`, which
    /// [`read_operator_state`](super::read_operator_state) gave for the operator that the backend was
    /// made from by [`OperatorBackend::restoring`].
    ///
    /// # Errors
    /// `Incompatible` if the snapshot holds an operator state that is not open, or that cannot be
    /// migrated; `Corrupt` for what is no element. The backend is then poisoned.
    pub fn restore(
        &mut self,
        elements: &[OperatorElement],
        subtask: u32,
        parallelism: u32,
    ) -> Result<()> {
        match self.apply(elements, subtask, parallelism) {
            Ok(()) => {
                self.restored();
                Ok(())
            }
            Err(error) => {
                self.poison(format!("the restore failed: {error}"));
                Err(error)
            }
        }
    }

    fn apply(
        &mut self,
        elements: &[OperatorElement],
        subtask: u32,
        parallelism: u32,
    ) -> Result<()> {
        let mut key = Vec::new();
        for (stored, old_parallelism, state) in self.stored_states()? {
            let of_state = |error: Error| error.of(format_args!("state={}", stored.name));
            state.begin_restore(&stored).map_err(of_state)?;
            let to = NewSubtask { subtask, parallelism, old_parallelism };
            for element in elements.iter().filter(|element| element.state == stored.id) {
                key.clear();
                let parts = CompositeKey::new(stored.id, KeyGroup(0), &element.key, &[], &[]);
                parts.encode_into(&mut key);
                let entry = Entry { key: &key, op: Op::Put, value: &element.value };
                state.apply(entry, element.subtask, to).map_err(of_state)?;
            }
            state.end_restore();
        }
        Ok(())
    }
}
