//! Removes the files of a job that nothing needs; what those are is decided in [`retention`].

use super::driver::{refused, retried};
use super::job::{CALLS_IN_FLIGHT, Job};
use super::place::Place;
use super::retention;
use crate::format::RelativeName;
use crate::{ErrorKind, Result};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Files that no retained checkpoint reached, and records below the base.
    pub file_count: u64,
    /// Their bytes.
    pub len_bytes: u64,
    /// Half-written files of dead processes; on local disks alone.
    pub leftover_count: u64,
}

impl Job {
    /// Removes every file of the job that no retained checkpoint reaches, as far as nothing in
    /// flight may need it; while an older checkpoint cannot be read, only what is condemned. It costs a list of the job, and the manifests that were not read before.
    ///
    /// # Errors
    /// `Corrupt` if the newest manifest cannot be read (nothing unnamed is removed then), `Fenced`,
    /// and those of [`super::read_log`].
    #[tracing::instrument(skip_all, fields(generation = self.generation()))]
    pub async fn sweep(&mut self) -> Result<Swept> {
        // An append that is in doubt may publish what looks unreferenced.
        self.appender.settle().await?;
        self.delete_condemned().await?;
        let unreadable = self.learn_references().await?;
        if !unreadable.is_empty() {
            tracing::warn!(?unreadable, "nothing is swept: retire those or restore them");
            return Ok(Swept::default());
        }
        let reachable = retention::reachable(self.state(), &self.references)
            .map_err(|refusal| refused(refusal, &self.store))?;
        let (generation, mut swept, mut unneeded) = (self.generation(), Swept::default(), vec![]);
        for (name, len_bytes) in retried(|| self.store.list(None)).await? {
            if retention::is_abandoned(&name, self.state(), generation, &self.in_flight)
                && !reachable.contains(&name)
            {
                swept.file_count += 1;
                swept.len_bytes += len_bytes;
                unneeded.push(name);
            }
        }
        self.delete(&unneeded).await?;
        for leftover in self.store.leftovers().await? {
            if retention::is_leftover(&leftover.name, self.state(), generation, &self.in_flight) {
                leftover.remove().await?;
                swept.leftover_count += 1;
            }
        }
        self.remove_empty_folders().await?;
        crate::metrics::swept(swept.file_count, swept.len_bytes);
        Ok(swept)
    }

    /// Deletes what records condemned, whoever wrote them. A late or repeated delete does no harm.
    pub(super) async fn delete_condemned(&mut self) -> Result<()> {
        let condemned = self.state().condemned().difference(&self.deleted);
        let condemned: Vec<_> = condemned.cloned().collect();
        self.delete(&condemned).await?;
        self.deleted.extend(condemned);
        crate::metrics::condemned(self.state().condemned().difference(&self.deleted).count());
        Ok(())
    }

    pub(super) async fn delete(&self, names: &[RelativeName]) -> Result<()> {
        let store = &self.store;
        let deletes = stream::iter(names.iter().cloned())
            .map(|name| async move { retried(|| store.delete(&name)).await });
        deletes.buffer_unordered(CALLS_IN_FLIGHT).try_collect().await
    }

    /// Makes the references of every retained checkpoint known, and forgets the others. Returns
    /// those that cannot be read.
    ///
    /// # Errors
    /// `Corrupt` if the newest cannot be read, or one that a checkpoint in flight is based on.
    pub(super) async fn learn_references(&mut self) -> Result<BTreeSet<u64>> {
        let retained = self.appender.state().retained();
        let newest = retained.keys().next_back();
        let is_needed = |checkpoint: &u64| {
            let is_newest = Some(checkpoint) == newest && !self.passed_over.contains(checkpoint);
            is_newest || self.in_flight.is_based_on(*checkpoint)
        };
        self.references.retain(|checkpoint, _| retained.contains_key(checkpoint));
        let mut unreadable = BTreeSet::new();
        for (checkpoint, published) in retained {
            if self.references.contains_key(checkpoint) {
                continue;
            }
            match retried(|| self.source.references(&self.store, published)).await {
                Ok(names) => {
                    self.references.insert(*checkpoint, names);
                }
                Err(error) if error.kind() == ErrorKind::Corrupt && !is_needed(checkpoint) => {
                    tracing::warn!(checkpoint, %error, "a retained checkpoint cannot be read");
                    unreadable.insert(*checkpoint);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }

    /// Those of fenced generations and of ended checkpoints: nobody writes to them any more, so that
    /// no folder goes while it gains an entry.
    async fn remove_empty_folders(&self) -> Result<()> {
        for folder in self.store.job_folders().await? {
            // A file in it would tell who may remove it.
            let file = RelativeName::new(format!("{folder}/-"));
            let is_data = |name: &RelativeName| matches!(Place::of(name), Some(Place::Data { .. }));
            if file.is_ok_and(|name| {
                is_data(&name)
                    && retention::is_abandoned(
                        &name,
                        self.state(),
                        self.generation(),
                        &self.in_flight,
                    )
            }) && let Ok(folder) = RelativeName::new(folder)
            {
                self.store.remove_empty_folder(&folder).await?;
            }
        }
        Ok(())
    }
}
