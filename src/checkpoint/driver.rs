//! Acts for the state machines of the log: actions to calls of a store, answers to facts.

use super::job::{CALLS_IN_FLIGHT, ReferenceSource};
use super::log::{
    Action, Fact, Intent, LogError, LogState, Reader, References, Refusal, Sequence, Writer,
};
use super::place::{Place, log_folder, log_name};
use super::retention;
use crate::environment::random_bytes;
use crate::format::RelativeName;
use crate::format::record::{Extra, Hold, Nonce, Record};
use crate::store::{Created, Store, sleep};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest record that is read, in bytes: a base that names a million files.
const RECORD_LEN_BYTES_MAX: u64 = 256 << 20;
/// How often a call is tried before its error goes to the caller. The clients of cloud stores try
/// again themselves, so this is for what they miss.
const ATTEMPT_COUNT_MAX: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(10);

/// What the log of the job at `store`'s root amounts to, without taking part in it.
///
/// # Errors
/// `Retry` if the store fails again and again, `Corrupt` if the log is damaged, `Unsupported` if a
/// newer version wrote it.
pub async fn read_log(store: &Store) -> Result<LogState> {
    Ok(read_records(store).await?.0)
}

/// As [`read_log`], with the records that count.
pub(super) async fn read_records(store: &Store) -> Result<(LogState, BTreeMap<Sequence, Record>)> {
    let mut reader = Reader::default();
    let mut action = reader.start();
    let mut attempts = Attempts::default();
    while action != Action::Done {
        let fact = act(store, &action, &mut attempts).await?;
        action = reader.step(fact).map_err(|error| log_error(error, store))?;
    }
    Ok(reader.into_records())
}

/// Takes part in a job's log beside its owner, to hold checkpoints and to give them up.
#[derive(Debug)]
pub struct Attached {
    appender: Appender,
}

impl Attached {
    /// Takes part in the log of the job at `store`'s root.
    ///
    /// # Errors
    /// As for [`read_log`].
    pub async fn open(store: Store) -> Result<Self> {
        let (writer, action) = Writer::attach();
        let mut appender = Appender { store, writer, next: Some(action) };
        appender.settle().await?;
        Ok(Self { appender })
    }

    /// The log as far as it is known.
    pub fn state(&self) -> &LogState {
        self.appender.state()
    }

    /// Keeps `checkpoint` from being retired until the hold of that `name` is released.
    ///
    /// # Errors
    /// `Conflict` if the checkpoint is not retained, `Fenced` if the job has a new owner since
    /// [`Attached::open`] (open it again), and those of [`read_log`].
    pub async fn hold(&mut self, checkpoint: u64, name: impl Into<String>) -> Result<()> {
        self.appender.decide(Intent::Hold(hold(checkpoint, name))).await
    }

    /// Ends a hold; that there is none is no error.
    ///
    /// # Errors
    /// As for [`Attached::hold`].
    pub async fn release(&mut self, checkpoint: u64, name: impl Into<String>) -> Result<()> {
        self.appender.decide(Intent::Release(hold(checkpoint, name))).await
    }
}

impl Attached {
    /// Gives up `checkpoints`, those of them that are retained, beside the owner: condemns what no other reaches.
    /// Nothing is deleted; the owner does that, or a [`Collection`](super::Collection). The newest retained one
    /// stays: the owner goes on from it. Returns those that were given up.
    ///
    /// A checkpoint in flight that builds on one of them, and was begun before the newest was complete, is refused when it
    /// is to be published, so that its owner takes another; what it was to name is condemned.
    ///
    /// # Errors
    /// `Conflict` if one is held, `Invalid` if one is the newest; `Corrupt` if a retained checkpoint cannot be read, or the
    /// newest lacks a file: an older one may be all there is to restore; `Fenced` if the job has a new owner since
    /// [`Attached::open`], and those of [`read_log`].
    pub async fn retire(
        &mut self,
        source: &dyn ReferenceSource,
        checkpoints: &BTreeSet<u64>,
    ) -> Result<BTreeSet<u64>> {
        let store = self.appender.store.clone();
        let mut references = References::new();
        loop {
            self.appender.settle().await?;
            let state = self.appender.state();
            let retained = state.retained();
            let given_up: BTreeSet<_> = checkpoints
                .iter()
                .filter(|number| retained.contains_key(number))
                .copied()
                .collect();
            let Some((newest, _)) = retained.last_key_value().filter(|_| !given_up.is_empty())
            else {
                return Ok(given_up);
            };
            if given_up.contains(newest) {
                return Err(refused(Refusal::LastRestorable(*newest), &store));
            }
            for (checkpoint, published) in retained {
                // Of one that cannot be read not all could be condemned, and a publish that is under way
                // would not be refused for what is not.
                if !references.contains_key(checkpoint) {
                    let names = retried(|| source.references(&store, published)).await?;
                    references.insert(*checkpoint, names);
                }
            }
            check_whole(&store, *newest, references.get(newest)).await?;
            let next = state.next();
            let retire = retention::retire(state, &references, &given_up)
                .map_err(|refusal| refused(refusal, &store))?;
            let intent = Intent::Retire { retire, references: references.clone() };
            match self.appender.decide(intent).await {
                Ok(()) => return Ok(given_up),
                // The owner decided something meanwhile: so is this, anew.
                Err(error)
                    if error.kind() != ErrorKind::Fenced && self.appender.state().next() > next => {
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// That all files of a checkpoint are there.
async fn check_whole(
    store: &Store,
    checkpoint: u64,
    names: Option<&BTreeSet<RelativeName>>,
) -> Result<()> {
    let looked_up = stream::iter(names.into_iter().flatten().cloned()).map(|name| async move {
        if retried(|| store.head(&name)).await?.is_some() {
            return Ok(());
        }
        let message = format!("the file is missing from checkpoint={checkpoint}, the newest");
        Err(Error::new(ErrorKind::Corrupt, message).at_path(name.as_str()))
    });
    looked_up.buffer_unordered(CALLS_IN_FLIGHT).try_collect().await
}

pub(super) fn hold(checkpoint: u64, name: impl Into<String>) -> Hold {
    Hold { checkpoint, name: name.into(), extra: Extra::new() }
}

/// A [`Writer`] and what it waits for.
///
/// An error, or a dropped future, leaves `next` as it was, and the next call takes it up first: no
/// decision is left in doubt while another is made, and every action may be done twice.
#[derive(Debug)]
pub(super) struct Appender {
    store: Store,
    writer: Writer,
    next: Option<Action>,
}

impl Appender {
    /// Becomes the owner.
    pub(super) async fn claim(store: Store) -> Result<Self> {
        let (writer, action) = Writer::claim(nonce()?);
        let mut appender = Self { store, writer, next: Some(action) };
        appender.settle().await?;
        Ok(appender)
    }

    pub(super) fn state(&self) -> &LogState {
        self.writer.state()
    }

    /// Records the decision `intent`, once what came before it is settled.
    pub(super) async fn decide(&mut self, intent: Intent) -> Result<()> {
        self.settle().await?;
        let begun = self.writer.begin(intent, nonce()?);
        self.next = Some(begun.map_err(|error| log_error(error, &self.store))?);
        match self.finish().await {
            Ok(()) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Refused(refusal)) => Err(refused(refusal, &self.store)),
        }
    }

    /// Ends what an error or a dropped future left undone. Its caller is gone, and with it whoever
    /// a refusal would interest.
    pub(super) async fn settle(&mut self) -> Result<()> {
        match self.finish().await {
            Err(Stop::Failed(error)) => Err(error),
            Ok(()) | Err(Stop::Refused(_)) => Ok(()),
        }
    }

    async fn finish(&mut self) -> std::result::Result<(), Stop> {
        let mut attempts = Attempts::default();
        while let Some(action) = &self.next {
            match action {
                Action::Done => self.next = None,
                // For ever: it stays the answer to every call.
                Action::Fenced => return Err(Stop::Failed(fenced(&self.store))),
                Action::Refused(refusal) => {
                    let refusal = refusal.clone();
                    self.next = None;
                    return Err(Stop::Refused(refusal));
                }
                action => {
                    let fact = act(&self.store, action, &mut attempts).await?;
                    let next = self.writer.step(fact);
                    self.next = Some(next.map_err(|error| log_error(error, &self.store))?);
                }
            }
        }
        Ok(())
    }
}

/// Why the machine stopped before it was done.
enum Stop {
    Failed(Error),
    Refused(Refusal),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Failures in a row.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Waits before the next attempt, or gives `error` up to the caller.
    async fn failed(&mut self, error: Error) -> Result<()> {
        self.0 += 1;
        if error.kind() != ErrorKind::Retry || self.0 >= ATTEMPT_COUNT_MAX {
            return Err(error);
        }
        sleep(BACKOFF_FIRST * (1 << (self.0 - 1))).await
    }
}

/// Runs `call` until it succeeds, a bounded number of times.
pub(super) async fn retried<T, F>(mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut attempts = Attempts::default();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => attempts.failed(error).await?,
        }
    }
}

async fn act(store: &Store, action: &Action, attempts: &mut Attempts) -> Result<Fact> {
    match action {
        Action::List => {
            let folder = log_folder()?;
            let listed = retried(|| store.list(Some(&folder))).await?;
            let places = listed.iter().filter_map(|(name, _)| Place::of(name));
            Ok(Fact::Listed(
                places
                    .filter_map(|place| match place {
                        Place::Log(sequence) => Some(sequence),
                        Place::Data { .. } => None,
                    })
                    .collect(),
            ))
        }
        Action::Read(sequence) => {
            let name = log_name(*sequence)?;
            let found = retried(|| store.get_within(&name, RECORD_LEN_BYTES_MAX)).await?;
            Ok(found.map_or(Fact::NotFound, |bytes| Fact::ReadOk(bytes.to_vec())))
        }
        Action::Create(sequence, bytes) => {
            let created =
                store.create(&log_name(*sequence)?, Bytes::copy_from_slice(bytes)).await?;
            let fact = match created {
                Created::Created => return Ok(Fact::Created),
                Created::AlreadyExists => Fact::AlreadyExists,
                Created::Unknown(error) => {
                    attempts.failed(error).await?;
                    Fact::Unknown
                }
            };
            // The record may be there, yet its folder not synced: it failed in between, or is
            // another's that is about to sync it. What is read back must be durable.
            let folder = log_folder()?;
            retried(|| store.sync_folder(&folder)).await?;
            Ok(fact)
        }
        Action::Done | Action::Fenced | Action::Refused(_) => {
            Err(log_error(LogError::Unexpected("none"), store))
        }
    }
}

fn nonce() -> Result<Nonce> {
    Ok(Nonce(u128::from_be_bytes(random_bytes()?)))
}

fn fenced(store: &Store) -> Error {
    Error::new(ErrorKind::Fenced, "a newer owner claimed the job").at_path(store.to_string())
}

pub(super) fn refused(refusal: Refusal, store: &Store) -> Error {
    let kind = match refusal {
        Refusal::NotAbove { .. } | Refusal::Held(_) | Refusal::NotRetained(_) => {
            ErrorKind::Conflict
        }
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, refusal.to_string()).with_source(refusal).at_path(store.to_string())
}

fn log_error(error: LogError, store: &Store) -> Error {
    let kind = match &error {
        LogError::Record { source, .. } => Error::from(source.clone()).kind(),
        LogError::Unexpected(_) => ErrorKind::Poisoned,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, error.to_string()).with_source(error).at_path(store.to_string())
}
