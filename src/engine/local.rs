//! A job whose subtasks all live in this process, and stop together for a checkpoint.

use crate::backend::heap::HeapBackend;
use crate::checkpoint::{Job, Retention};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator, PartRef, SnapshotKind};
use crate::snapshot::{
    Captures, Lineage, ManifestReferences, NewOperator, PartId, PartInput, SnapshotSettings,
    WrittenPart, find_operator, read_manifest, write_manifest, write_part,
};
use crate::{Error, ErrorKind, Result, Settings, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job whose subtasks all live in this process, and stop together for a checkpoint: the simplest
/// engine there is, and a start for others. `examples/embed.rs` is a page with it.
///
/// Whoever opens a job owns it; an older owner is fenced. Every call is cancel-safe: a checkpoint
/// that does not come to its end leaves files for the next sweep, and its changes to the next one.
pub struct LocalJob {
    name: String,
    job: Job,
    retention: Retention,
    settings: SnapshotSettings,
    last: Option<(u64, Manifest)>,
    begun: u64,
    /// What each subtask's next checkpoint builds on, by uid and first key group.
    lineages: BTreeMap<(String, u16), Lineage>,
}

impl LocalJob {
    /// Becomes the owner of the job at `store`'s root, and removes what dead owners left behind.
    ///
    /// # Errors
    /// `Fenced` if another claims it at this moment; the store's; `Corrupt` if the log or the
    /// manifest of the last checkpoint is damaged.
    pub async fn open(store: Store, name: impl Into<String>) -> Result<Self> {
        let mut job = Job::claim(store, Arc::new(ManifestReferences)).await?;
        job.sweep().await?;
        let last = match job.state().retained().last_key_value() {
            Some((checkpoint, last)) => {
                let (path, digest) = (&last.manifest_path, Some(last.manifest_digest));
                Some((*checkpoint, read_manifest(job.store(), path, digest).await?))
            }
            None => None,
        };
        let Settings { snapshot: settings, retention } = Settings::default();
        let retention = retention.into();
        let (name, lineages) = (name.into(), BTreeMap::new());
        Ok(Self { name, job, retention, settings, last, begun: 0, lineages })
    }

    /// Writes and retains checkpoints as `settings` say.
    #[must_use]
    pub fn with(self, settings: &Settings) -> Self {
        let Settings { snapshot, retention } = settings.clone();
        Self { retention: retention.into(), settings: snapshot, ..self }
    }

    /// The owner, for holds and whatever else is not about writing checkpoints.
    pub fn job(&mut self) -> &mut Job {
        &mut self.job
    }

    /// The last completed checkpoint, and its manifest.
    pub fn last(&self) -> Option<(u64, &Manifest)> {
        self.last.as_ref().map(|(checkpoint, manifest)| (*checkpoint, manifest))
    }

    /// A backend for the key groups `range` of operator `uid`, empty: open its states, then
    /// [`restore`](Self::restore) it.
    pub fn backend(&self, uid: &str, range: KeyGroupRange) -> HeapBackend {
        match self.stored(uid) {
            Some(stored) => HeapBackend::restoring(stored, range),
            None => HeapBackend::new(uid, range),
        }
    }

    fn stored(&self, uid: &str) -> Option<&Operator> {
        let (_, manifest) = self.last.as_ref()?;
        find_operator(manifest, uid).ok()
    }

    /// Restores a backend from the last completed checkpoint, whatever the parallelism was then.
    /// Without a checkpoint, or where the operator is new, there is nothing to do.
    ///
    /// # Errors
    /// Those of [`HeapBackend::restore`].
    pub async fn restore(&mut self, backend: &mut HeapBackend) -> Result<()> {
        let place = (backend.uid().to_owned(), backend.range().first());
        let lineage = match &self.last {
            Some((_, manifest)) if self.stored(backend.uid()).is_some() => {
                let store = self.job.store().clone();
                Lineage::new(backend.restore(&store, manifest, &self.settings).await?.chain)
            }
            _ => Lineage::default(),
        };
        self.lineages.insert(place, lineage);
        Ok(())
    }

    /// Captures all backends, writes what changed, and publishes it; returns the checkpoint's number.
    /// The backends are those of all subtasks: of each operator they own all key groups (I5).
    ///
    /// # Errors
    /// `Invalid` if key groups are missing; `Fenced` if the job has another owner by now; the
    /// store's. After an error the next checkpoint holds these changes too.
    pub async fn checkpoint(&mut self, backends: &mut [HeapBackend]) -> Result<u64> {
        let operators = operators(backends)?;
        let checkpoint = self.job.state().checkpoint_last().max(self.begun) + 1;
        self.job.begin(checkpoint, self.last().map(|(last, _)| last))?;
        self.begun = checkpoint;
        let captures: Vec<Captures> =
            backends.iter_mut().map(HeapBackend::capture).collect::<Result<_>>()?;
        match self.write(checkpoint, &operators, backends, captures).await {
            Ok(()) => {
                self.job.retain(&self.retention).await?;
                Ok(checkpoint)
            }
            Err(error) => {
                self.job.abandon(checkpoint);
                Err(error)
            }
        }
    }

    async fn write(
        &mut self,
        checkpoint: u64,
        operators: &[(Operator, Vec<usize>)],
        backends: &[HeapBackend],
        mut captures: Vec<Captures>,
    ) -> Result<()> {
        let (store, generation) = (self.job.store().clone(), self.job.generation());
        let kind = SnapshotKind::Checkpoint;
        // All of them begin before any is written, so that an error loses no changes of the others.
        let mut inputs = Vec::new();
        for (operator, (_, subtasks)) in (0..).zip(operators) {
            for (subtask, at) in (0..).zip(subtasks) {
                let (Some(backend), Some(captures)) = (backends.get(*at), captures.get_mut(*at))
                else {
                    continue;
                };
                let (range, place) = (backend.range(), place(backend));
                let lineage = self.lineages.entry(place.clone()).or_default();
                let captures = std::mem::take(captures);
                let (captures, chain) = lineage.begin(captures, self.settings.pending_max);
                let id = PartId { kind, checkpoint, generation, operator, subtask };
                inputs.push((place, PartInput { id, range, captures, operator: None, chain }));
            }
        }
        let mut written = Vec::new();
        for (place, input) in inputs {
            written.push((place, write_part(&store, input, &self.settings).await?));
        }

        let mut parts = written.iter().map(|(_, part): &(_, WrittenPart)| part.chain.part.clone());
        let new = operators.iter().map(|(operator, subtasks)| {
            let before = self.parts_before(&operator.uid, subtasks.len());
            let parts = parts.by_ref().take(subtasks.len()).enumerate();
            let parts = parts.map(|(subtask, part)| (part, before.get(subtask).cloned()));
            NewOperator { operator: operator.clone(), parts: parts.collect() }
        });
        let new = new.collect();
        let manifest = Manifest {
            job: self.name.clone(),
            kind,
            checkpoint,
            generation,
            operators: Vec::new(),
            extra: Default::default(),
        };
        let manifest = write_manifest(&store, manifest, new).await?;
        self.job.publish(manifest.published, manifest.references).await?;
        self.last = Some((checkpoint, manifest.manifest));
        for (place, part) in written {
            self.lineages.entry(place).or_default().completed(part.chain);
        }
        Ok(())
    }

    /// The parts that the last checkpoint has of an operator, if they can be named again.
    fn parts_before(&self, uid: &str, parallelism: usize) -> &[PartRef] {
        let parts = self.stored(uid).map(|stored| stored.parts.as_slice());
        parts.filter(|parts| parts.len() == parallelism).unwrap_or_default()
    }
}

fn place(backend: &HeapBackend) -> (String, u16) {
    (backend.uid().to_owned(), backend.range().first())
}

/// The operators of `backends`, without parts, and where the backend of each subtask is.
fn operators(backends: &[HeapBackend]) -> Result<Vec<(Operator, Vec<usize>)>> {
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
        let Some(first) = subtasks.first().and_then(of) else { continue };
        let (key, states) = (first.key().cloned(), first.infos());
        let (uid, parts, extra) = (uid.to_owned(), Vec::new(), Default::default());
        operators.push((Operator { uid, key, states, parts, extra }, subtasks));
    }
    Ok(operators)
}

#[cfg(test)]
mod tests;
