//! Jobs on [timely dataflow](https://github.com/TimelyDataflow/timely-dataflow): many workers, in many processes,
//! whose state lives in esker.
//!
//! Each worker is a thread with one subtask of every keyed operator. Records go to the worker that owns the key group
//! of their key. The coordinator, beside worker 0, says when a checkpoint is due; each source then ends its epoch, and
//! timely's own progress is the barrier: a frontier beyond the epoch says that all of it has come. A subtask captures
//! there in an instant, and takes records of the next epoch only after it; a thread writes files meanwhile.
//! Acknowledgements are a stream to worker 0, where the coordinator publishes the checkpoint; what became of it is a
//! stream to all.
//!
//! Nothing rescales while it runs, and a process that dies takes the others with it: start all again, with as many
//! workers and processes as you like. They go on from the last complete checkpoint, with the key groups dealt out anew.
//!
//! **Bounds.** A source has at most [`ahead`](TimelyJob::ahead) batches under way that are not handled everywhere:
//! that bounds what lies in queues, and what of later epochs waits at operators for a barrier. Captures cost memory
//! as they do anywhere; [`concurrent_max`](crate::checkpoint::coordinator::CoordinatorSettings::concurrent_max)
//! bounds how many there are. **Cost.** A record is hashed and, to another process, encoded once; a batch is a round
//! of timely's progress among all workers; a checkpoint is three words to each worker and one from each subtask, of a
//! few KiB: its part, and what its states are.
//!
//! `examples/timely_wordcount.rs` is a page with it.

mod cluster;
mod desk;
mod event;
mod flow;
mod keyed;
mod owner;
mod source;
mod subtask;
#[cfg(test)]
mod tests;
mod time;
mod wire;
mod worker;

pub use cluster::Cluster;
pub use event::{Outlet, SourceOutlet};
pub use flow::{Events, Flow};
pub use keyed::Keyed;
pub use source::{Next, Source};
pub use time::Time;

use crate::engine::coordinated::{Control, End, Listener, Message};
use crate::{Error, ErrorKind, Result, Settings, Store};
use ::timely::WorkerConfig;
use ::timely::execute::execute_from;
use desk::{Opener, Process};
use futures::channel::mpsc::UnboundedReceiver;
use owner::Owner;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// How many batches of a source are under way at most, unless it is said.
const AHEAD: usize = 16;

/// A job on timely dataflow, as each of its processes describes it.
///
/// ```
/// use esker::backend::operator::{OperatorBackend, OperatorListState};
/// use esker::backend::{Backend, Handle, ValueCalls};
/// use esker::backend::heap::{HeapBackend, HeapBackends};
/// use esker::engine::timely::{Cluster, Keyed, Next, Outlet, Source, SourceOutlet, TimelyJob};
/// use esker::state::{OperatorListDescriptor, ValueDescriptor};
/// use esker::{Result, Settings, Store};
///
/// /// The numbers below a thousand; its state is the next one.
/// struct Numbers(Handle<OperatorListState<u64>>);
///
/// impl Source for Numbers {
///     type Item = u64;
///
///     fn read(&mut self, state: &mut OperatorBackend, out: &mut SourceOutlet<u64>) -> Result<Next> {
///         let next = state.state(self.0)?.get().first().copied().unwrap_or(0);
///         (next..next + 100).for_each(|number| out.emit(number));
///         state.state(self.0)?.update(vec![next + 100]);
///         Ok(if next + 100 == 1000 { Next::End } else { Next::Now })
///     }
/// }
///
/// /// How many numbers have each last digit.
/// struct Digits(HeapBackend, Handle<<HeapBackend as Backend>::Value<u64, (), u64>>);
///
/// impl Keyed for Digits {
///     type Backend = HeapBackend;
///     type Input = u64;
///     type Output = ();
///
///     fn backend(&mut self) -> &mut HeapBackend {
///         &mut self.0
///     }
///
///     fn record(&mut self, number: u64, _: &mut Outlet<()>) -> Result<()> {
///         self.0.state(self.1)?.rmw(&(number % 10), &(), |n| *n = Some(n.unwrap_or(0) + 1))
///     }
/// }
///
/// let job = TimelyJob::new(Store::open("memory://")?, "digits", &Settings::default());
/// let end = job.run(Cluster::local(2), |flow| {
///     let numbers = flow.source("numbers", 1, |state, _subtask| {
///         Ok(Numbers(state.open(OperatorListDescriptor::<u64>::split("next"))?))
///     })?;
///     numbers.keyed("digits", |number| number % 10, &HeapBackends, |mut backend| {
///         let count = backend.open(ValueDescriptor::new("count"))?;
///         Ok(Digits(backend, count))
///     })?;
///     Ok(())
/// })?;
/// assert_eq!(end, esker::engine::End::Finished);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TimelyJob {
    store: Store,
    name: String,
    settings: Settings,
    dropped: BTreeSet<String>,
    ahead: usize,
    opener: Box<Opener>,
    listeners: Vec<Box<dyn Listener>>,
    reached: (Control, UnboundedReceiver<Message>),
}

impl TimelyJob {
    /// The job at the root of `store`, which every process opens, with the same settings in each.
    pub fn new(store: Store, name: impl Into<String>, settings: &Settings) -> Self {
        Self {
            store,
            name: name.into(),
            settings: settings.clone(),
            dropped: BTreeSet::new(),
            ahead: AHEAD,
            opener: Box::new(Store::open),
            listeners: Vec::new(),
            reached: Control::new(),
        }
    }

    /// Leaves operator `uid`, and its state, out of what the job begins from.
    #[must_use]
    pub fn drop_operator(mut self, uid: impl Into<String>) -> Self {
        self.dropped.insert(uid.into());
        self
    }

    /// How many batches of a source subtask, one for each call of [`Source::read`], may be under way before all that
    /// is behind it has handled them; at least 1, and 16 unless it is said. Fewer hold less memory, more hide the
    /// time that progress takes between processes.
    #[must_use]
    pub fn ahead(self, batches: usize) -> Self {
        Self { ahead: batches.max(1), ..self }
    }

    /// How a process opens the store of a savepoint that was asked for in another one, which names it as the store
    /// shows itself: its path, if it is a folder. Unless it is said, by [`Store::open`].
    #[must_use]
    pub fn opening(self, open: impl Fn(&str) -> Result<Store> + Send + Sync + 'static) -> Self {
        Self { opener: Box::new(open), ..self }
    }

    /// Adds a listener, which is told what becomes of checkpoints in the process of worker 0; operators are told by
    /// themselves.
    #[must_use]
    pub fn listen(mut self, listener: impl Listener + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// The way to the coordinator, for checkpoints and savepoints that are asked for; it is in the process of worker
    /// 0, and in no other one.
    pub fn control(&self) -> Control {
        self.reached.0.clone()
    }

    /// Runs this process's workers until the job ends: with its [`End::Finished`] once all sources have, and a last
    /// checkpoint holds what they left, or [`End::Stopped`] by a savepoint. `build` builds the dataflow, the same on
    /// every worker.
    ///
    /// It is [`Cluster`]'s process 0 that owns the job: whoever owned it before is fenced.
    ///
    /// # Errors
    /// Those of the cluster's connections, of `build`, and of any operator; `Fenced` if the job has another owner by
    /// now. `Retry` if another process died, or too many checkpoints failed: run it again, in all processes, and it
    /// goes on from the last complete checkpoint. What ends the job ends it in all processes.
    pub fn run(
        self,
        cluster: Cluster,
        build: impl Fn(&Flow<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> Result<End> {
        let Self { store, name, settings, dropped, ahead, opener, listeners, reached } = self;
        settings.check()?;
        let is_owner = cluster.is_first();
        let (builders, guard) = cluster.connect()?;
        let snapshot = settings.snapshot.clone();
        let (targets, has_died) = (Mutex::default(), AtomicBool::new(false));
        let process =
            Process { store, settings: snapshot, dropped, ahead, opener, targets, has_died };
        let process = Arc::new(process);
        let (control, messages) = reached;
        let owner = Owner { name, settings, control, messages, listeners };
        let owner = Mutex::new(is_owner.then_some(owner));
        // Timely panics where a peer is gone, also when its connections are dropped.
        let ran = catch_unwind(AssertUnwindSafe(move || {
            let work = move |worker: &mut ::timely::worker::Worker| {
                worker::run(worker, &process, &owner, &build)
            };
            execute_from(builders, guard, WorkerConfig::default(), work).map(|all| all.join())
        }));
        let died = |what: &str| {
            let message = format!(
                "{what}: start all processes again, the job goes on from the last complete checkpoint"
            );
            Error::new(ErrorKind::Retry, message)
        };
        let ends = match ran {
            Ok(Ok(ends)) => ends,
            Ok(Err(message)) => return Err(Error::new(ErrorKind::Retry, message)),
            Err(_) => return Err(died("another process is gone")),
        };
        let what = "a worker died, or another process is gone";
        let ends: std::result::Result<Vec<_>, _> = ends.into_iter().collect();
        let mut savepoint = None;
        for end in ends.map_err(|_| died(what))? {
            savepoint = end?;
        }
        Ok(savepoint.map_or(End::Finished, End::Stopped))
    }
}
