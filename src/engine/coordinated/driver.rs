//! The coordinator's life: it observes, asks the state machine, and acts.

use super::control::Message;
use super::subtask::Acknowledgement;
use super::{CoordinatedJob, OperatorPlan, Order, subtasks};
use crate::checkpoint::coordinator::{Action, Cause, Fact, Kind, Subtask};
use crate::engine::owned::{cancel, clean_up};
use crate::environment::now;
use crate::metrics;
use crate::snapshot::WrittenManifest;
use crate::store::sleep;
use crate::{Result, Store};
use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a coordinator's [`run`](CoordinatedJob::run) ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Too many checkpoints in a row failed: the subtasks are to begin anew from the last complete one, by
    /// [`CoordinatedJob::restart`].
    Failed(Cause),
    /// The savepoint of this number is complete after which the job stops.
    Stopped(u64),
    /// All subtasks have ended, and the last checkpoint holds what they left.
    Finished,
}

/// A snapshot that is in flight.
pub(super) struct Pending {
    pub(super) kind: Kind,
    /// Where a savepoint goes.
    pub(super) target: Option<Store>,
    pub(super) acknowledged: BTreeMap<Subtask, Acknowledgement>,
    /// What its record names, once that may be written.
    pub(super) doubtful: Option<Arc<WrittenManifest>>,
}

/// Milliseconds since the job was opened.
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(now())
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(now().duration_since(self.0).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Wakes the coordinator at a time. One stays while that does not change: each is a task of its own.
pub(super) struct Timer {
    at_ms: u64,
    sleeps: BoxFuture<'static, Result<()>>,
}

impl CoordinatedJob {
    /// Runs the coordinator, until the job fails, stops or has finished. It is cancel-safe: called again it goes
    /// on where it was.
    ///
    /// # Errors
    /// `Fenced` if the job has another owner by now; the store's, if it cannot be told whether a checkpoint was
    /// published: the next call finds out. Failed checkpoints are no errors.
    pub async fn run(&mut self) -> Result<End> {
        loop {
            while let Some(action) = self.actions.front() {
                let end = self.act(action.clone()).await?;
                // Before it is forgotten that there is an end.
                if end.is_some() {
                    self.clean_up().await?;
                }
                self.actions.pop_front();
                if let Some(end) = end {
                    return Ok(end);
                }
            }
            self.clean_up().await?;
            match self.next_message().await? {
                Some(message) => self.observe(message),
                None => self.step(Fact::Tick),
            }
        }
    }

    /// Goes on from the last complete checkpoint, after the subtasks failed or the job was changed: whatever is in
    /// flight is given up, and later acknowledgements of it count for nothing. All subtasks are to be
    /// [restored](Self::restore) after it, and those that were there before to have ended. None once it goes on;
    /// the end, if it turns out that the job has stopped or finished before.
    ///
    /// # Errors
    /// `Invalid` for plans that no job can have; `Fenced`, and the store's if it cannot be told whether a
    /// checkpoint is complete: the job is as it was then.
    pub async fn restart(&mut self, operators: Vec<OperatorPlan>) -> Result<Option<End>> {
        let subtasks = subtasks(&operators)?;
        // What is being published is, or never will be: a restart from an older one would lose it.
        while let Some(action) = self.actions.front() {
            let end = self.act(action.clone()).await?;
            if let Some(end @ (End::Stopped(_) | End::Finished)) = end {
                self.clean_up().await?;
                self.actions.pop_front();
                return Ok(Some(end));
            }
            self.actions.pop_front();
        }
        self.operators = operators;
        self.ended.clear();
        self.step(Fact::Restarted { subtasks });
        Ok(None)
    }

    /// Ends the job deliberately, its subtasks having ended: what is in flight is given up, and what becomes of its checkpoints
    /// is as the settings' `retention.on_cancel` says. The last one stays in any case, and so do those that are held.
    /// A job that is dropped keeps all of them.
    ///
    /// # Errors
    /// `Fenced` if the job has another owner by now; `Corrupt` if a checkpoint that stays cannot be read: nothing
    /// is deleted then; the store's.
    pub async fn cancel(mut self) -> Result<()> {
        // What is being published is, or never will be.
        while let Some(action) = self.actions.front() {
            self.act(action.clone()).await?;
            self.actions.pop_front();
        }
        self.pending.keys().for_each(|checkpoint| self.job.abandon(*checkpoint));
        let last = self.last.as_ref().map(|(last, _)| *last);
        cancel(&mut self.job, self.on_cancel, last).await
    }

    pub(super) fn step(&mut self, fact: Fact) {
        let actions = self.coordinator.step(self.clock.now_ms(), fact);
        self.actions.extend(actions);
    }

    /// The next message, or none once time has come.
    async fn next_message(&mut self) -> Result<Option<Message>> {
        let Some(at_ms) = self.coordinator.wake_at_ms() else {
            return Ok(self.messages.next().await);
        };
        if self.timer.as_ref().is_none_or(|timer| timer.at_ms != at_ms) {
            let for_ms = at_ms.saturating_sub(self.clock.now_ms());
            let sleeps = sleep(Duration::from_millis(for_ms)).boxed();
            self.timer = Some(Timer { at_ms, sleeps });
        }
        let Some(timer) = &mut self.timer else { return Ok(None) };
        match select(self.messages.next(), &mut timer.sleeps).await {
            Either::Left((message, _)) => Ok(message),
            Either::Right((slept, _)) => {
                self.timer = None;
                slept.map(|()| None)
            }
        }
    }

    fn observe(&mut self, message: Message) {
        match message {
            Message::Acknowledged { checkpoint, acknowledgement } => {
                let Acknowledgement { subtask, is_last, stats, .. } = *acknowledgement;
                if let Some(pending) = self.pending.get_mut(&checkpoint) {
                    pending.acknowledged.entry(subtask).or_insert(*acknowledgement);
                }
                self.step(Fact::Acknowledged { checkpoint, subtask, is_last, stats });
            }
            Message::Declined { checkpoint, subtask, why } => {
                self.step(Fact::Declined { checkpoint, subtask, why });
            }
            Message::Requested(request) => {
                let kind = request.kind;
                let request = self.requests.push(request);
                self.step(Fact::Requested { request, kind });
            }
        }
    }

    /// Does what it says. Cancel-safe: what is begun is ended by doing it again.
    async fn act(&mut self, action: Action) -> Result<Option<End>> {
        match action {
            Action::Trigger { checkpoint, kind, request, subtasks } => {
                let target = request.and_then(|request| self.requests.target(request)).cloned();
                let basis = self.last.as_ref().map(|(last, _)| *last);
                if kind == Kind::Checkpoint {
                    self.job.begin(checkpoint, basis)?;
                }
                let store = target.clone().unwrap_or_else(|| self.job.store().clone());
                let generation = self.job.generation();
                let order = Order { checkpoint, kind, subtasks, basis, generation, store };
                let (acknowledged, doubtful) = (BTreeMap::new(), None);
                let pending = Pending { kind, target, acknowledged, doubtful };
                self.pending.insert(checkpoint, pending);
                tracing::debug!(checkpoint, ?kind, "triggered");
                self.listeners.iter_mut().for_each(|listener| listener.triggered(&order));
            }
            Action::Completed { checkpoint, kind, ended } => {
                let pending = self.pending.remove(&checkpoint);
                let acknowledged = pending.map(|pending| pending.acknowledged);
                for (subtask, of) in acknowledged.unwrap_or_default() {
                    if ended.contains(&subtask) {
                        self.ended.insert(subtask, of);
                    }
                }
                self.cleans = true;
                self.measure(checkpoint);
                tracing::info!(checkpoint, ?kind, "complete");
                let told = self.listeners.iter_mut();
                told.for_each(|listener| listener.completed(checkpoint, kind, &ended));
            }
            Action::Aborted { checkpoint, cause } => {
                self.pending.remove(&checkpoint);
                self.job.abandon(checkpoint);
                (self.unswept, self.cleans) = (true, true);
                self.measure(checkpoint);
                tracing::warn!(checkpoint, %cause, "given up");
                let told = self.listeners.iter_mut();
                told.for_each(|listener| listener.aborted(checkpoint, &cause));
            }
            // One sweep for all that come late, once the next one has ended.
            Action::Sweep => self.unswept = true,
            Action::Answer { request, answer } => self.requests.answer(request, answer),
            Action::Fail { cause } => return Ok(Some(End::Failed(cause))),
            Action::Stop { checkpoint } => return Ok(Some(End::Stopped(checkpoint))),
            Action::Finish => return Ok(Some(End::Finished)),
            Action::Publish { checkpoint, .. } => {
                let fact = self.publish(checkpoint).await?;
                self.step(fact);
            }
        }
        Ok(None)
    }

    fn measure(&self, checkpoint: u64) {
        let mut ended = self.coordinator.history().ended().rev();
        if let Some(stats) = ended.find(|stats| stats.checkpoint == checkpoint) {
            metrics::checkpoint_ended(stats);
        }
    }

    /// Does it once for each checkpoint that ends: a store that fails is not asked again at every turn.
    async fn clean_up(&mut self) -> Result<()> {
        if std::mem::take(&mut self.cleans) {
            if let Some(origin) = self.origin.take_if(|of| self.last.is_some() && !of.is_read()) {
                origin.give_up().await;
            }
            clean_up(&mut self.job, &self.retention, &mut self.unswept).await?;
        }
        Ok(())
    }
}
