//! How a checkpoint is written, published, and ended if an error or a dropped future did not.

use super::{LocalJob, Taken, Unfinished, place};
use crate::Result;
use crate::backend::Backend;
use crate::format::manifest::{Operator, SnapshotKind};
use crate::snapshot::{
    NewOperator, PartId, PartInput, WrittenPart, write_manifest, write_native_part, write_part,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl LocalJob {
    pub(super) async fn write(
        &mut self,
        checkpoint: u64,
        operators: &[(Operator, Vec<usize>)],
        backends: &[impl Backend],
        taken: Vec<Taken>,
    ) -> Result<()> {
        let (store, generation) = (self.job.store().clone(), self.job.generation());
        let kind = SnapshotKind::Checkpoint;
        // All of them begin before any is written, so that an error loses no changes of the others.
        let mut inputs = Vec::new();
        for (operator, (_, subtasks)) in (0..).zip(operators) {
            for (subtask, at) in (0..).zip(subtasks) {
                let (Some(backend), Some(taken)) = (backends.get(*at), taken.get(*at)) else {
                    continue;
                };
                let (range, place) = (backend.range(), place(backend));
                let lineage = &mut self.subtasks.entry(place.clone()).or_default().lineage;
                let ((captures, chain), native) = match taken {
                    Taken::Entries(captures) => (
                        lineage.begin(checkpoint, captures.clone(), self.settings.pending_max),
                        None,
                    ),
                    Taken::Native(native) => {
                        ((Vec::new(), lineage.begin_native(checkpoint)), Some(Arc::clone(native)))
                    }
                };
                let id = PartId { kind, checkpoint, generation, operator, subtask };
                let input = PartInput { id, range, captures, operator: None, chain };
                inputs.push((place, input, native));
            }
        }
        let mut written = Vec::new();
        drop(taken);
        for (place, input, native) in inputs {
            let part = match native {
                Some(native) => write_native_part(&store, input, native, &self.settings).await?,
                None => write_part(&store, input, &self.settings).await?,
            };
            written.push((place, part));
        }

        let mut parts = written.iter().map(|(_, part): &(_, WrittenPart)| part.chain.part.clone());
        let new = operators.iter().map(|(operator, subtasks)| {
            // Names of a savepoint that the job began with are not the job's.
            let stored = self.last.as_ref().and_then(|_| self.stored(&operator.uid));
            let parallelism = subtasks.len();
            let before = |subtask| stored?.part_of(subtask, parallelism).cloned();
            let parts = parts.by_ref().take(parallelism).enumerate();
            let parts = parts.map(|(subtask, part)| (part, before(subtask)));
            NewOperator { operator: operator.clone(), parts: parts.collect() }
        });
        let new = new.collect();
        let manifest = write_manifest(&store, self.manifest(kind, checkpoint), new).await?;
        let (published, references) = (manifest.published.clone(), manifest.references.clone());
        self.unfinished = Some(Unfinished { checkpoint, written: Some((manifest, written)) });
        self.job.publish(published, references).await
    }

    /// Ends the checkpoint that an error, or a dropped future, left unfinished: its number if its
    /// record is written after all, so that it is complete; otherwise it is given up.
    ///
    /// # Errors
    /// Those of [`Job::settle`](crate::checkpoint::Job::settle): it is in doubt as before.
    pub(super) async fn settle(&mut self) -> Result<Option<u64>> {
        let Some(unfinished) = &self.unfinished else { return Ok(None) };
        let checkpoint = unfinished.checkpoint;
        if let Some((manifest, _)) = &unfinished.written {
            self.job.settle().await?;
            let published = manifest.published.clone();
            if self.job.state().retained().get(&checkpoint) == Some(&published) {
                // Nothing is written again.
                self.job.publish(published, manifest.references.clone()).await?;
                self.completed();
                return Ok(Some(checkpoint));
            }
        }
        self.job.abandon(checkpoint);
        self.subtasks.values_mut().for_each(|subtask| subtask.lineage.aborted(checkpoint));
        (self.unfinished, self.unswept) = (None, true);
        Ok(None)
    }

    fn completed(&mut self) {
        let unfinished = self.unfinished.take();
        let Some((manifest, parts)) = unfinished.and_then(|unfinished| unfinished.written) else {
            return;
        };
        let places: BTreeSet<_> = parts.iter().map(|(place, _)| place.clone()).collect();
        self.subtasks.retain(|place, _| places.contains(place));
        let checkpoint = manifest.manifest.checkpoint;
        for (place, part) in parts {
            self.subtasks.entry(place).or_default().lineage.completed(checkpoint, part.chain);
        }
        self.last = Some((checkpoint, manifest.manifest));
        self.dropped.clear();
    }
}
