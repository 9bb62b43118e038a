//! The job's owner: a thread beside worker 0, which claims the job, and runs its coordinator.

use super::desk::Process;
use super::wire::{Begin, Down, Up, WireError, WireOrder, plans, subtask_of, wire_subtask};
use crate::checkpoint::coordinator::{Cause, Kind, Subtask};
use crate::engine::coordinated::{
    Control, CoordinatedJob, End, Listener, Message, OperatorPlan, Order,
};
use crate::engine::owned::{Claimed, claimed};
use crate::format::manifest::Manifest;
use crate::store::sleep;
use crate::{Error, ErrorKind, Result, Settings, block_on};
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::{Either, pending, select};
use futures::stream::StreamExt;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use timely::scheduling::SyncActivator;

/// How often in a row it is asked again what came of a publish before the job ends.
const UNKNOWN_COUNT_MAX: u32 = 10;
/// From one such question, or one attempt at the last checkpoint, to the next.
const AGAIN: Duration = Duration::from_millis(200);

/// What only the process of worker 0 has.
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) control: Control,
    pub(super) messages: UnboundedReceiver<Message>,
    pub(super) listeners: Vec<Box<dyn Listener>>,
}

/// The way to all workers: through worker 0, which sends on what it finds here.
#[derive(Clone)]
pub(super) struct ToAll {
    pub(super) sender: Sender<Down>,
    pub(super) wakes: SyncActivator,
}

impl ToAll {
    fn tell(&self, down: Down) {
        // Worker 0 may be gone: then all are.
        let _ = self.sender.send(down);
        let _ = self.wakes.activate();
    }
}

/// Runs the job to its end, and tells all how it ended.
pub(super) fn run(
    owner: Owner,
    process: &Arc<Process>,
    ups: UnboundedReceiver<(u32, Up)>,
    peers: u32,
    to_all: &ToAll,
) {
    let end = block_on(owner.run(process, ups, peers, to_all));
    let end = match &end {
        Ok(End::Stopped(savepoint)) => Ok(Some(*savepoint)),
        Ok(End::Finished) => Ok(None),
        Ok(End::Failed(cause)) => {
            let message = format!(
                "too many checkpoints in a row failed, the last one because {cause}: start the job \
                 again, it goes on from the last complete one"
            );
            Err(WireError::from(&Error::new(ErrorKind::Retry, message)))
        }
        Err(error) => Err(WireError::from(error)),
    };
    to_all.tell(Down::Stop(end));
}

impl Owner {
    async fn run(
        self,
        process: &Arc<Process>,
        mut ups: UnboundedReceiver<(u32, Up)>,
        peers: u32,
        to_all: &ToAll,
    ) -> Result<End> {
        let Self { name, settings, control, messages, listeners } = self;
        let (job, last) = claimed(process.store.clone()).await?;
        let published = job.state().retained().last_key_value().map(|(checkpoint, published)| {
            let digest = published.manifest_digest.0;
            (*checkpoint, published.manifest_path.as_str().to_owned(), digest)
        });
        to_all.tell(Down::Begin(Begin { generation: job.generation(), last: published }));

        let Ready { operators, sources, .. } = ready(&mut ups, peers).await?;
        check_holds(last.as_ref().map(|(_, manifest)| manifest), &operators, &process.dropped)?;
        let reached = (control.clone(), messages);
        let claim: Claimed = (job, last);
        let mut job = CoordinatedJob::of(claim, name, operators, &settings, reached)?;
        for uid in &process.dropped {
            // Where it is in the last checkpoint no more there is nothing to drop.
            let _ = job.drop_operator(uid);
        }
        job.listen(Relay { to_all: to_all.clone(), process: Arc::clone(process), epoch: 0 });
        listeners.into_iter().for_each(|listener| job.listen(Boxed(listener)));

        let mut fails = pin!(hears(ups, control, sources));
        let (mut unknown, mut completed) = (0, 0);
        loop {
            let ran = match select(pin!(job.run()), &mut fails).await {
                Either::Left((ran, _)) => ran,
                Either::Right((error, _)) => return Err(error),
            };
            if job.history().completed() > completed {
                (unknown, completed) = (0, job.history().completed());
            }
            match ran {
                // Whether a checkpoint is complete is not known yet.
                Err(error) if error.kind() == ErrorKind::Retry && unknown < UNKNOWN_COUNT_MAX => {
                    tracing::warn!(%error, "the coordinator asks again");
                    unknown += 1;
                    match select(pin!(sleep(AGAIN)), &mut fails).await {
                        Either::Left((slept, _)) => slept?,
                        Either::Right((error, _)) => return Err(error),
                    }
                }
                ran => return ran,
            }
        }
    }
}

/// What workers say before the coordinator begins.
#[derive(Default)]
struct Ready {
    workers: BTreeSet<u32>,
    operators: Vec<OperatorPlan>,
    /// Source subtasks that have more to read.
    sources: i64,
}

/// Waits until all workers run.
async fn ready(ups: &mut UnboundedReceiver<(u32, Up)>, peers: u32) -> Result<Ready> {
    let mut ready = Ready::default();
    while (ready.workers.len() as u64) < u64::from(peers) {
        match ups.next().await {
            Some((worker, Up::Ready { operators, sources })) => {
                let operators = plans(operators);
                if ready.workers.is_empty() {
                    ready.operators = operators;
                } else if ready.operators != operators {
                    let message = format!(
                        "worker {worker} has other operators than another one: every worker of every \
                         process is to build the same"
                    );
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
                ready.sources += i64::from(sources);
                ready.workers.insert(worker);
            }
            // Sources read from the start.
            Some((_, Up::Ended)) => ready.sources -= 1,
            Some((worker, Up::Failed(error))) => return Err(failed(worker, error)),
            Some((_, Up::Acknowledged { .. } | Up::Declined { .. })) => {}
            None => return Err(gone()),
        }
    }
    Ok(ready)
}

/// Passes on what workers say, until one of them fails. Once all sources have ended it asks for a last checkpoint,
/// after which the job has.
async fn hears(mut ups: UnboundedReceiver<(u32, Up)>, control: Control, mut sources: i64) -> Error {
    let finishes = async {
        loop {
            match control.checkpoint().await {
                Err(error) if error.kind() == ErrorKind::Retry => {
                    tracing::warn!(%error, "the last checkpoint is tried again");
                    if sleep(AGAIN).await.is_ok() {
                        continue;
                    }
                }
                // Of anything else the coordinator itself says how it ends.
                _ => {}
            }
            pending::<()>().await;
        }
    };
    let mut finishes: std::pin::Pin<&mut (dyn Future<Output = ()> + Send)> = pin!(finishes);
    loop {
        let next = match sources {
            ..=0 => match select(ups.next(), &mut finishes).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => continue,
            },
            _ => ups.next().await,
        };
        match next {
            Some((_, Up::Acknowledged { checkpoint, acknowledgement })) => {
                let subtask = acknowledgement.subtask();
                match acknowledgement.into_acknowledgement() {
                    Ok(acknowledgement) => control.acknowledge(checkpoint, acknowledgement),
                    Err(error) => control.decline(checkpoint, subtask, error.to_string()),
                }
            }
            Some((_, Up::Declined { checkpoint, subtask, why })) => {
                control.decline(checkpoint, subtask_of(subtask), why);
            }
            Some((_, Up::Ended)) => sources -= 1,
            Some((_, Up::Ready { .. })) => {}
            Some((worker, Up::Failed(error))) => return failed(worker, error),
            None => return gone(),
        }
    }
}

fn failed(worker: u32, error: WireError) -> Error {
    Error::from(error).of(format_args!("worker {worker}"))
}

fn gone() -> Error {
    Error::new(ErrorKind::Retry, "worker 0 is gone")
}

/// That no operator of the last checkpoint is missing, before rows are read: no checkpoint could be published.
fn check_holds(
    last: Option<&Manifest>,
    operators: &[OperatorPlan],
    dropped: &BTreeSet<String>,
) -> Result<()> {
    let is_there = |uid: &String| {
        dropped.contains(uid) || operators.iter().any(|operator| operator.uid == *uid)
    };
    let stored = last.map(|last| last.operators.as_slice()).unwrap_or_default();
    match stored.iter().find(|operator| !is_there(&operator.uid)) {
        Some(operator) => {
            let message = format!(
                "operator={} is in the last checkpoint, and not in the job: build it, or drop it by \
                 TimelyJob::drop_operator",
                operator.uid
            );
            Err(Error::new(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}

/// Passes on to all workers what the coordinator says.
struct Relay {
    to_all: ToAll,
    process: Arc<Process>,
    /// The one that the next order ends.
    epoch: u64,
}

impl Relay {
    fn forget(&self, checkpoint: u64) {
        let mut targets = self.process.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.remove(&checkpoint);
    }
}

impl Listener for Relay {
    fn triggered(&mut self, order: &Order) {
        let Order { checkpoint, kind, subtasks, basis, generation, store } = order;
        let target = kind.is_savepoint().then(|| {
            let mut targets = self.process.targets.lock().unwrap_or_else(PoisonError::into_inner);
            targets.insert(*checkpoint, store.clone());
            store.to_string()
        });
        let order = WireOrder {
            epoch: self.epoch,
            checkpoint: *checkpoint,
            kind: (*kind).into(),
            basis: *basis,
            generation: *generation,
            target,
            subtasks: subtasks.iter().copied().map(wire_subtask).collect(),
        };
        self.epoch += 1;
        self.to_all.tell(Down::Triggered(order));
    }

    fn completed(&mut self, checkpoint: u64, _: Kind, _: &BTreeSet<Subtask>) {
        self.forget(checkpoint);
        self.to_all.tell(Down::Completed { checkpoint });
    }

    fn aborted(&mut self, checkpoint: u64, _: &Cause) {
        self.forget(checkpoint);
        self.to_all.tell(Down::Aborted { checkpoint });
    }
}

/// A listener of the caller's.
struct Boxed(Box<dyn Listener>);

impl Listener for Boxed {
    fn triggered(&mut self, order: &Order) {
        self.0.triggered(order);
    }

    fn completed(&mut self, checkpoint: u64, kind: Kind, ended: &BTreeSet<Subtask>) {
        self.0.completed(checkpoint, kind, ended);
    }

    fn aborted(&mut self, checkpoint: u64, cause: &Cause) {
        self.0.aborted(checkpoint, cause);
    }
}
