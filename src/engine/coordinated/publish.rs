//! A snapshot that all have acknowledged becomes a complete one, or never will.

use super::driver::Pending;
use super::subtask::Acknowledgement;
use super::{CoordinatedJob, OperatorPlan};
use crate::checkpoint::coordinator::{Fact, Kind, Subtask};
use crate::engine::described::Described;
use crate::engine::owned::check_owner;
use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator, PartRef, SnapshotKind};
use crate::format::part::Part;
use crate::snapshot::{
    ChainReader, EntrySource, NewOperator, PartId, Present, SubtaskSource, WrittenManifest,
    write_manifest, write_sourced_part,
};
use crate::store::sleep;
use crate::{Error, ErrorKind, Result, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is asked whether a checkpoint was published before the caller is told that this is not known.
const ATTEMPT_COUNT_MAX: u32 = 8;
const BACKOFF_FIRST: Duration = Duration::from_millis(20);

impl CoordinatedJob {
    /// Writes the manifest of what all have acknowledged, and of a checkpoint the record. Cancel-safe: called
    /// again it begins by asking what came of it before.
    ///
    /// # Errors
    /// `Fenced`, and the store's where it is not known whether the record is written.
    pub(super) async fn publish(&mut self, checkpoint: u64) -> Result<Fact> {
        let Some(pending) = self.pending.get(&checkpoint) else {
            return Ok(not_published(checkpoint, "it is not in flight"));
        };
        if pending.kind.is_savepoint() {
            return Ok(match self.write(checkpoint).await {
                Ok(_) => {
                    check_owner(&self.job).await?;
                    Fact::Published { checkpoint }
                }
                Err(error) => not_published(checkpoint, error),
            });
        }
        let written = match &pending.doubtful {
            Some(written) => Arc::clone(written),
            None => match self.write(checkpoint).await {
                Ok(written) => Arc::new(written),
                Err(error) => {
                    self.job.abandon(checkpoint);
                    return Ok(not_published(checkpoint, error));
                }
            },
        };
        if let Some(pending) = self.pending.get_mut(&checkpoint) {
            pending.doubtful = Some(Arc::clone(&written));
        }
        self.record(checkpoint, &written).await
    }

    async fn record(&mut self, checkpoint: u64, written: &WrittenManifest) -> Result<Fact> {
        let WrittenManifest { published, references, manifest, .. } = written;
        let done = self.job.publish(published.clone(), references.clone()).await;
        if let Err(error) = done {
            if error.kind() == ErrorKind::Fenced {
                return Err(error);
            }
            self.settle().await?;
            if self.job.state().retained().get(&checkpoint) != Some(published) {
                // A newer owner may have swept its files.
                check_owner(&self.job).await?;
                self.job.abandon(checkpoint);
                return Ok(not_published(checkpoint, error));
            }
            // Nothing is written again.
            self.job.publish(published.clone(), references.clone()).await?;
        }
        self.last = Some((checkpoint, manifest.clone()));
        self.dropped.clear();
        Ok(Fact::Published { checkpoint })
    }

    /// Finds out what came of a record that was in doubt.
    async fn settle(&mut self) -> Result<()> {
        let mut backoff = BACKOFF_FIRST;
        for _ in 1..ATTEMPT_COUNT_MAX {
            match self.job.settle().await {
                Err(error) if error.kind() == ErrorKind::Retry => {
                    tracing::warn!(%error, "whether a checkpoint was published is not known yet");
                    sleep(backoff).await?;
                    backoff *= 2;
                }
                settled => return settled,
            }
        }
        self.job.settle().await
    }

    async fn write(&self, checkpoint: u64) -> Result<WrittenManifest> {
        let Some(pending) = self.pending.get(&checkpoint) else {
            return Err(Error::new(ErrorKind::Invalid, "it is not in flight"));
        };
        let kind = match pending.kind {
            Kind::Checkpoint => SnapshotKind::Checkpoint,
            Kind::Savepoint | Kind::Stop { .. } => SnapshotKind::Savepoint,
        };
        let store = pending.target.as_ref().unwrap_or_else(|| self.job.store());
        let mut operators = Vec::new();
        for (number, plan) in (0..).zip(&self.operators) {
            let (described, parts) =
                self.parts(checkpoint, (number, plan), (pending, store)).await?;
            // A savepoint that the job began with has names of its own.
            let is_next = kind == SnapshotKind::Checkpoint && self.last.is_some();
            let stored = self.stored(&plan.uid).filter(|_| is_next);
            let before =
                |subtask| -> Option<PartRef> { stored?.part_of(subtask, parts.len()).cloned() };
            let before: Vec<_> = (0..parts.len()).map(before).collect();
            let parts = parts.into_iter().zip(before).collect();
            operators.push(NewOperator { operator: described.into_operator(), parts });
        }
        self.check_holds(operators.iter().map(|new| &new.operator))?;
        let manifest = Manifest {
            job: self.name.clone(),
            kind,
            checkpoint,
            generation: self.job.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        };
        write_manifest(store, manifest, operators).await
    }

    /// The parts of an operator, as its subtasks wrote them or left them behind.
    async fn parts(
        &self,
        checkpoint: u64,
        (number, plan): (u32, &OperatorPlan),
        (pending, store): (&Pending, &Store),
    ) -> Result<(Described, Vec<Part>)> {
        let (mut first, mut parts): (Option<&Described>, _) = (None, Vec::new());
        for subtask in 0..plan.parallelism {
            let at = Subtask { operator: number, subtask };
            let left = self.ended.get(&at);
            let Some(found) = pending.acknowledged.get(&at).or(left) else {
                let message = format!("operator={}: subtask {subtask} left no part", plan.uid);
                return Err(Error::new(ErrorKind::Invalid, message));
            };
            match first {
                Some(first) => first.check_same(&found.described, subtask)?,
                None => first = Some(&found.described),
            }
            let is_left = !pending.acknowledged.contains_key(&at);
            parts.push(match is_left && pending.kind.is_savepoint() {
                true => self.copied(checkpoint, found, plan, store).await?,
                false => found.part.clone(),
            });
        }
        let missing = || Error::new(ErrorKind::Invalid, "an operator has no subtask");
        Ok((first.ok_or_else(missing)?.clone(), parts))
    }

    /// What a subtask left that has ended, once more for a savepoint.
    async fn copied(
        &self,
        checkpoint: u64,
        left: &Acknowledgement,
        plan: &OperatorPlan,
        target: &Store,
    ) -> Result<Part> {
        let Acknowledgement { subtask, part, described, .. } = left;
        if part.native.is_some() {
            let message = format!(
                "operator={}: subtask {} has ended and left a database: copy the last checkpoint \
                 instead",
                plan.uid, subtask.subtask
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let open = async |runs: &[_]| -> Result<Option<Arc<dyn EntrySource>>> {
            if runs.is_empty() {
                return Ok(None);
            }
            let chain = ChainReader::open(self.job.store(), runs).await?;
            let ids = described.states.iter().map(|info| info.id);
            let chain: Arc<dyn EntrySource> = Arc::new(chain.of_states(ids));
            Ok(Some(chain))
        };
        let times = part.states.iter().filter_map(|state| Some((state.id, state.ttl_time_ms?)));
        let source = SubtaskSource {
            keyed: open(&part.runs).await?,
            operator: open(part.operator_run.as_slice()).await?,
            ttl_times_ms: times.collect(),
        };
        let (kind, generation) = (SnapshotKind::Savepoint, self.job.generation());
        let Subtask { operator, subtask } = *subtask;
        let id = PartId { kind, checkpoint, generation, operator, subtask };
        let range = KeyGroupRange::of_subtask(subtask, plan.parallelism)?;
        let present = Present::of(target, BTreeMap::new()).await?;
        let (to, states) = ((target, &present), &described.states);
        let written =
            write_sourced_part(to, (id, range), source, states, &self.settings, &|_| {}).await?;
        Ok(written.chain.part)
    }

    /// That nothing of the last checkpoint would be missing from one of `operators`.
    fn check_holds<'a>(&self, operators: impl Iterator<Item = &'a Operator> + Clone) -> Result<()> {
        let Some((_, manifest)) = self.source() else { return Ok(()) };
        for Operator { uid, .. } in &manifest.operators {
            if !self.dropped.contains(uid) && !operators.clone().any(|of| of.uid == *uid) {
                let message = format!(
                    "operator={uid} is in the last checkpoint, and not in the job: plan it, or drop it \
                     by CoordinatedJob::drop_operator"
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        Ok(())
    }
}

fn not_published(checkpoint: u64, why: impl ToString) -> Fact {
    Fact::NotPublished { checkpoint, why: why.to_string() }
}
