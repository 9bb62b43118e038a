//! Restoring a backend: all of its states at once.

use super::chain::Chain;
use super::restore::{Restored, Target, restore};
use super::settings::SnapshotSettings;
use crate::backend::heap::HeapBackend;
use crate::format::manifest::Manifest;
use crate::{Result, Store};

impl HeapBackend {
    /// Restores the open states from what a snapshot holds of the key groups owned; the backend was
    /// made by [`HeapBackend::restoring`]. `store` is where the manifest's names begin.
    ///
    /// # Errors
    /// Those of [`restore`], and `Incompatible` if the snapshot holds a state that is not open. The
    /// backend is then poisoned: it holds some of the state.
    pub async fn restore(
        &mut self,
        store: &Store,
        manifest: &Manifest,
        settings: &SnapshotSettings,
    ) -> Result<Restored> {
        let (uid, range) = (self.uid().to_owned(), self.range());
        let (mut targets, migrates) = self.targets()?;
        let done = restore(store, manifest, &uid, range, &mut targets, settings).await;
        drop(targets);
        match done {
            Ok(mut restored) => {
                self.restored();
                if migrates {
                    // Those runs hold values of another shape than the manifest is to name.
                    restored.chain = Chain::default();
                }
                Ok(restored)
            }
            Err(error) => {
                self.poison(format!("the restore failed: {error}"));
                Err(error)
            }
        }
    }

    /// The open states that the snapshot holds, and whether values of any will be migrated.
    fn targets(&mut self) -> Result<(Vec<Target<'_>>, bool)> {
        let pairs = self.stored_states()?;
        let migrates = pairs.iter().any(|(stored, open, _)| stored.value != open.value);
        let target = |(stored, _, state)| Target { stored, state };
        Ok((pairs.into_iter().map(target).collect(), migrates))
    }
}
