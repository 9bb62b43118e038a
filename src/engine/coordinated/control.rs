//! How subtasks, and whoever asks for snapshots, reach the coordinator.

use super::subtask::Acknowledgement;
use crate::checkpoint::coordinator::{Kind, Refusal, Subtask};
use crate::format::RelativeName;
use crate::snapshot::MANIFEST_NAME;
use crate::{Error, ErrorKind, Result, Store};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::channel::oneshot;
use std::collections::BTreeMap;

/// What comes to the coordinator.
pub(in crate::engine) enum Message {
    Acknowledged { checkpoint: u64, acknowledgement: Box<Acknowledgement> },
    Declined { checkpoint: u64, subtask: Subtask, why: String },
    Requested(Request),
}

/// Someone who asks for a snapshot.
pub(in crate::engine) struct Request {
    pub(super) kind: Kind,
    /// Where a savepoint is to go.
    pub(super) target: Option<Store>,
    pub(super) answer: oneshot::Sender<Result<u64>>,
}

/// Those that were not answered yet, by the numbers that the state machine knows them by.
#[derive(Default)]
pub(super) struct Requests {
    last: u64,
    waiting: BTreeMap<u64, Request>,
}

impl Requests {
    pub(super) fn push(&mut self, request: Request) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, request);
        self.last
    }

    pub(super) fn target(&self, request: u64) -> Option<&Store> {
        self.waiting.get(&request)?.target.as_ref()
    }

    pub(super) fn answer(&mut self, request: u64, answer: std::result::Result<u64, Refusal>) {
        let Some(Request { kind, answer: to, .. }) = self.waiting.remove(&request) else { return };
        let answer = answer.map_err(|refusal| {
            let what = if kind.is_savepoint() { "savepoint" } else { "checkpoint" };
            let kind = match &refusal {
                Refusal::Aborted(_) => ErrorKind::Retry,
                Refusal::NotRunning => ErrorKind::Invalid,
            };
            Error::new(kind, format!("the {what} was not taken: {refusal}"))
        });
        // Whoever asked may have gone.
        let _ = to.send(answer);
    }
}

/// A way to the coordinator of a [`CoordinatedJob`](super::CoordinatedJob), for any thread or task; it is answered
/// while that [runs](super::CoordinatedJob::run).
#[derive(Clone)]
pub struct Control {
    messages: UnboundedSender<Message>,
}

impl Control {
    pub(in crate::engine) fn new() -> (Self, UnboundedReceiver<Message>) {
        let (messages, receiver) = mpsc::unbounded();
        (Self { messages }, receiver)
    }

    /// Takes a checkpoint now, whatever the interval and the pause say; its number once it is complete, or that
    /// of a newer one which is complete before it.
    ///
    /// # Errors
    /// `Retry` if it is given up, `Invalid` if the job does not run.
    pub async fn checkpoint(&self) -> Result<u64> {
        self.ask(Kind::Checkpoint, None).await
    }

    /// Writes a savepoint at the root of `target`: complete in itself, and of no consequence for checkpoints; its
    /// number, once it is complete, which no checkpoint of this owner has: a later owner may give it again. One
    /// that fails leaves files without a manifest.
    ///
    /// # Errors
    /// `Invalid` if a savepoint is there already, or the job does not run; `Retry` if it is given up.
    pub async fn savepoint(&self, target: &Store) -> Result<u64> {
        self.ask(Kind::Savepoint, Some(target.clone())).await
    }

    /// Writes a savepoint, after which the job [stops](super::End::Stopped). Where it drains, sources are to
    /// emit the highest watermark before the barrier. If it fails, the job goes on.
    ///
    /// # Errors
    /// As for [`savepoint`](Self::savepoint).
    pub async fn stop(&self, target: &Store, drain: bool) -> Result<u64> {
        self.ask(Kind::Stop { drain }, Some(target.clone())).await
    }

    /// Says that a subtask cannot take part in `checkpoint`, which is given up then.
    pub fn decline(&self, checkpoint: u64, subtask: Subtask, why: impl Into<String>) {
        self.tell(Message::Declined { checkpoint, subtask, why: why.into() });
    }

    pub(in crate::engine) fn acknowledge(&self, checkpoint: u64, acknowledgement: Acknowledgement) {
        let acknowledgement = Box::new(acknowledgement);
        self.tell(Message::Acknowledged { checkpoint, acknowledgement });
    }

    pub(in crate::engine) fn tell(&self, message: Message) {
        // Without a coordinator there is nobody to be told.
        let _ = self.messages.unbounded_send(message);
    }

    async fn ask(&self, kind: Kind, target: Option<Store>) -> Result<u64> {
        free(target.as_ref()).await?;
        let (answer, answered) = oneshot::channel();
        self.tell(Message::Requested(Request { kind, target, answer }));
        let gone = || Error::new(ErrorKind::Invalid, "the job's coordinator is gone");
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// That no savepoint is at the root of `target`.
async fn free(target: Option<&Store>) -> Result<()> {
    let Some(target) = target else { return Ok(()) };
    let manifest = RelativeName::new(MANIFEST_NAME)?;
    if target.head(&manifest).await?.is_none() {
        return Ok(());
    }
    let message = "a savepoint is there already: choose another folder";
    Err(Error::new(ErrorKind::Invalid, message).at_path(target.to_string()))
}
