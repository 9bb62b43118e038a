//! What sources and keyed operators do alike at a barrier: capture, and leave the writing to a thread.

use super::desk::{Desk, Inbox, Notice, SharedInbox};
use crate::backend::Backend;
use crate::backend::operator::OperatorBackend;
use crate::checkpoint::coordinator::Subtask as At;
use crate::engine::coordinated::{Order, Restores, Share, SubtaskCheckpoints};
use crate::format::KeyGroupRange;
use crate::{Error, ErrorKind, Result, block_on};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use timely::scheduling::{Activator, SyncActivator};

/// A subtask of this worker, and its side of the checkpoints.
pub(super) struct Subtask {
    pub(super) desk: Rc<Desk>,
    at: At,
    checkpoints: SubtaskCheckpoints,
    inbox: SharedInbox,
    writer: Sender<Share>,
    /// The last whose barrier has passed.
    passed: u64,
    /// Given up before the barrier came here.
    aborted: BTreeSet<u64>,
}

impl Subtask {
    /// Restores the subtask of this worker, of operator `operator`, from what the job begins from. It hears nothing
    /// until it is [registered](Self::register).
    ///
    /// # Errors
    /// Those of [`Backend::restore`]; `Retry` if no thread can be started.
    pub(super) fn restore(
        desk: &Rc<Desk>,
        (operator, parallelism): (u32, u32),
        backend: &mut impl Backend,
        state: Option<&mut OperatorBackend>,
    ) -> Result<Self> {
        let at = At { operator, subtask: desk.index };
        let process = &desk.process;
        let checkpoints = desk.with_last(|last| {
            let restores = Restores {
                at,
                range: KeyGroupRange::of_subtask(desk.index, parallelism)?,
                parallelism,
                store: &process.store,
                last,
                dropped: &process.dropped,
                settings: &process.settings,
                control: &desk.control,
                // The owner is in another process, maybe.
                reads: None,
            };
            block_on(restores.restore(backend, state))
        })?;
        let (writer, shares) = channel();
        let wakes = desk.waker();
        let thread = std::thread::Builder::new().name("esker-write".to_owned());
        let thread = thread.spawn(move || write(&shares, wakes.as_ref())).map_err(|error| {
            Error::new(ErrorKind::Retry, format!("cannot start a thread: {error}"))
        })?;
        desk.adopt(thread);
        let (inbox, desk) = (SharedInbox::default(), Rc::clone(desk));
        Ok(Self { desk, at, checkpoints, inbox, writer, passed: 0, aborted: BTreeSet::new() })
    }

    /// From here on it is told what there is to know, and woken by `activator`.
    pub(super) fn register(&self, activator: Activator) {
        self.desk.register(Rc::clone(&self.inbox), activator);
    }

    /// What to do at the end of `epoch`, once that is known.
    pub(super) fn order(&self, epoch: u64) -> Option<Order> {
        let Inbox { orders, .. } = &*self.inbox.borrow();
        orders.get(&epoch).cloned()
    }

    /// Takes in what became of checkpoints, and passes it on.
    pub(super) fn notices(&mut self, mut tell: impl FnMut(&Notice)) {
        while let Some(notice) = { self.inbox.borrow_mut().notices.pop_front() } {
            match notice {
                Notice::Completed(checkpoint) => {
                    self.checkpoints.completed(checkpoint);
                }
                Notice::Aborted(checkpoint) => {
                    self.checkpoints.aborted(checkpoint);
                    if checkpoint > self.passed {
                        self.aborted.insert(checkpoint);
                    }
                }
            }
            tell(&notice);
        }
    }

    /// Whether it is known already that a checkpoint was given up whose barrier has not passed.
    pub(super) fn is_aborted(&self, checkpoint: u64) -> bool {
        self.aborted.contains(&checkpoint)
    }

    /// Captures the state at the end of `epoch`, in an instant; files are written by a thread. What fails declines
    /// the checkpoint, and the job goes on.
    pub(super) fn capture(
        &mut self,
        epoch: u64,
        order: &Order,
        (backend, state): (&mut impl Backend, Option<&OperatorBackend>),
        (waited, is_last): (Duration, bool),
    ) {
        self.inbox.borrow_mut().orders.remove(&epoch);
        let checkpoint = order.checkpoint;
        self.passed = checkpoint;
        // One that ended is not asked any more, and nobody waits for what was given up.
        if !order.subtasks.contains(&self.at) || self.aborted.remove(&checkpoint) {
            return;
        }
        match self.checkpoints.capture(order, backend, state) {
            Ok(share) => {
                let share = share.with_alignment(waited, 0, 0);
                let share = if is_last { share.last() } else { share };
                // Where its thread died, the share is dropped and with that declined.
                let _ = self.writer.send(share);
            }
            Err(error) => tracing::warn!(%error, checkpoint, "a subtask cannot be captured"),
        }
        if let Some(wakes) = self.desk.waker() {
            let _ = wakes.activate();
        }
    }
}

/// Writes captures in turn, until the subtask is gone; the coordinator hears how it went.
fn write(shares: &Receiver<Share>, wakes: Option<&SyncActivator>) {
    for share in shares {
        if let Err(error) = block_on(share.write()) {
            tracing::warn!(%error, "a share of a checkpoint cannot be written");
        }
        if let Some(wakes) = wakes {
            // The worker may be gone.
            let _ = wakes.activate();
        }
    }
}
