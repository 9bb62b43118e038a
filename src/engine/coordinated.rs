//! A job whose subtasks run on their own, each on its thread or task: barriers flow with the data, every subtask
//! captures where they pass, and the coordinator publishes what all have acknowledged.

mod control;
mod driver;
mod publish;
mod restored;
#[cfg(test)]
mod simulation;
mod subtask;

pub use control::Control;
#[cfg(feature = "timely")]
pub(super) use control::Message;
pub use driver::End;
pub(super) use restored::{Restores, stored};
pub(super) use subtask::Acknowledgement;
pub use subtask::{Share, SubtaskCheckpoints};

use crate::backend::operator::OperatorBackend;
use crate::backend::{Backend, BackendFactory};
use crate::checkpoint::coordinator::{Action, Cause, Coordinator, History, Kind, Subtask};
use crate::checkpoint::{Job, Retention};
use crate::engine::owned::{Claimed, Origin, Ownership, claimed, unless_fenced};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator};
use crate::snapshot::{Needed, SnapshotSettings};
use crate::{Error, ErrorKind, OnCancel, Result, Settings, Store};
use driver::{Clock, Pending, Timer};
use futures::channel::mpsc::UnboundedReceiver;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An operator of a job, with state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPlan {
    /// The stable name that its state is found by.
    pub uid: String,
    /// How many subtasks it has.
    pub parallelism: u32,
}

/// What subtasks are told to take part in: sources send its barrier, all others [capture](SubtaskCheckpoints::capture)
/// where it passes.
#[derive(Debug, Clone)]
pub struct Order {
    /// The number of the checkpoint or savepoint.
    pub checkpoint: u64,
    /// What it is.
    pub kind: Kind,
    /// Who is to acknowledge it: all subtasks that have not ended.
    pub subtasks: BTreeSet<Subtask>,
    /// The checkpoint that was complete when it was triggered: what is captured builds on that or on a newer one.
    pub(super) basis: Option<u64>,
    /// The owner's generation, which names of files hold.
    pub(super) generation: u64,
    /// Where files go.
    pub(super) store: Store,
}

/// Who is told what becomes of checkpoints: the engine, which passes it on to its subtasks; sinks that commit
/// what they prepared; metrics. Listeners are told in the order in which they were added, and of one thing after
/// the other; they are not to block.
pub trait Listener: Send {
    /// A checkpoint begins.
    fn triggered(&mut self, order: &Order) {
        let _ = order;
    }

    /// A checkpoint or savepoint is complete. The subtasks of `ended` may go, once what they were told of
    /// before is acknowledged.
    fn completed(&mut self, checkpoint: u64, kind: Kind, ended: &BTreeSet<Subtask>) {
        let _ = (checkpoint, kind, ended);
    }

    /// A checkpoint or savepoint was given up.
    fn aborted(&mut self, checkpoint: u64, cause: &Cause) {
        let _ = (checkpoint, cause);
    }
}

/// The owner of a job whose subtasks run on their own.
///
/// [`run`](Self::run) is the coordinator's life: it triggers checkpoints as [`Settings::checkpoints`] say and as
/// [`Control`] asks, waits for the subtasks, publishes, tells its [`Listener`]s, and removes what nothing needs.
/// Whoever opens a job owns it; an older owner is fenced, and its `run` ends with `Fenced`.
///
/// To take part, a subtask has a [`SubtaskCheckpoints`] beside its backend. With several inputs it
/// captures where an [`Aligner`](super::barrier::Aligner) says.
///
/// ```
/// use esker::backend::{Backend, heap::HeapBackends};
/// use esker::engine::{CoordinatedJob, Listener, OperatorPlan, Order};
/// use esker::state::ValueDescriptor;
/// use esker::{Settings, Store, block_on};
/// use std::sync::mpsc::{Sender, channel};
///
/// /// Hands barriers to the only subtask.
/// struct Barriers(Sender<Order>);
///
/// impl Listener for Barriers {
///     fn triggered(&mut self, order: &Order) {
///         let _ = self.0.send(order.clone());
///     }
/// }
///
/// let plan = OperatorPlan { uid: "airports".into(), parallelism: 1 };
/// let (store, settings) = (Store::open("memory://")?, Settings::default());
/// let mut job = block_on(CoordinatedJob::open(store, "flights", vec![plan], &settings))?;
/// let (to_subtask, barriers) = channel();
/// job.listen(Barriers(to_subtask));
/// let mut backend = job.backend_of(&HeapBackends, "airports", 0)?;
/// let count = backend.open(ValueDescriptor::<String, u64>::new("count"))?;
/// let mut checkpoints = block_on(job.restore(0, &mut backend, None))?;
///
/// let control = job.control();
/// let subtask = std::thread::spawn(move || -> esker::Result<()> {
///     backend.state(count)?.update(&"EWR".to_owned(), &(), 12)?;
///     // Where the barrier passes: captured in an instant, written while the stream goes on.
///     for order in barriers {
///         let share = checkpoints.capture(&order, &mut backend, None)?;
///         block_on(share.write())?;
///     }
///     Ok(())
/// });
/// let user = std::thread::spawn(move || block_on(control.stop(&Store::open("memory://")?, false)));
/// let end = block_on(job.run())?;
/// assert_eq!(end, esker::engine::End::Stopped(user.join().expect("it ends")?));
/// drop(job);
/// subtask.join().expect("it ends")?;
/// # Ok::<(), esker::Error>(())
/// ```
pub struct CoordinatedJob {
    name: String,
    job: Job,
    settings: SnapshotSettings,
    retention: Retention,
    on_cancel: OnCancel,
    operators: Vec<OperatorPlan>,
    last: Option<(u64, Manifest)>,
    /// The savepoint that the job begins with, until it has a checkpoint of its own.
    origin: Option<Origin>,
    coordinator: Coordinator,
    control: Control,
    messages: UnboundedReceiver<control::Message>,
    listeners: Vec<Box<dyn Listener>>,
    clock: Clock,
    timer: Option<Timer>,
    /// What is to be done yet.
    actions: VecDeque<Action>,
    /// Snapshots that are in flight.
    pending: BTreeMap<u64, Pending>,
    requests: control::Requests,
    /// What subtasks left that have ended.
    ended: BTreeMap<Subtask, Acknowledgement>,
    /// Operators of the last checkpoint that the next one is not to hold.
    dropped: BTreeSet<String>,
    /// Whether files were given up since the last sweep.
    unswept: bool,
    /// Whether it is time to see to that: a store that fails is not asked again at every turn.
    cleans: bool,
}

impl CoordinatedJob {
    /// Becomes the owner of the job at `store`'s root, whose state is that of `operators`, and removes what dead
    /// owners left behind.
    ///
    /// # Errors
    /// `Invalid` for wrong settings and for plans that no job can have; `Fenced` if another claims it at
    /// this moment; the store's; `Corrupt` if the log or the manifest of the last checkpoint is damaged.
    pub async fn open(
        store: Store,
        name: impl Into<String>,
        operators: Vec<OperatorPlan>,
        settings: &Settings,
    ) -> Result<Self> {
        settings.check()?;
        // Before anyone is fenced for nothing.
        subtasks(&operators)?;
        Self::of(claimed(store).await?, name, operators, settings, Control::new())
    }

    /// The owner of a job that is claimed already, reached by a control that is there already.
    ///
    /// # Errors
    /// `Invalid` for plans that no job can have.
    pub(super) fn of(
        (job, last): Claimed,
        name: impl Into<String>,
        operators: Vec<OperatorPlan>,
        settings: &Settings,
        (control, messages): (Control, UnboundedReceiver<control::Message>),
    ) -> Result<Self> {
        let subtasks = subtasks(&operators)?;
        let Settings { snapshot, retention, checkpoints } = settings.clone();
        let last_number = job.state().checkpoint_last();
        Ok(Self {
            name: name.into(),
            job,
            settings: snapshot,
            on_cancel: retention.on_cancel,
            retention: retention.into(),
            operators,
            last,
            origin: None,
            coordinator: Coordinator::new(checkpoints, subtasks, last_number, 0),
            control,
            messages,
            listeners: Vec::new(),
            clock: Clock::new(),
            timer: None,
            actions: VecDeque::new(),
            pending: BTreeMap::new(),
            requests: control::Requests::default(),
            ended: BTreeMap::new(),
            dropped: BTreeSet::new(),
            unswept: false,
            cleans: false,
        })
    }

    /// As [`open`](Self::open), but a job without a checkpoint of its own begins with the state of the
    /// savepoint at the root of `savepoint`: [`restore`](Self::restore) brings it, at any parallelism. The first
    /// checkpoint is a full one and names no file of the savepoint; whether these are deleted then is what `ownership`
    /// says. Once there is a checkpoint the savepoint is not looked at.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `Invalid` if there is no savepoint, `Corrupt` if its manifest is
    /// damaged.
    pub async fn open_from(
        store: Store,
        name: impl Into<String>,
        operators: Vec<OperatorPlan>,
        settings: &Settings,
        (savepoint, ownership): (Store, Ownership),
    ) -> Result<Self> {
        let job = Self::open(store, name, operators, settings).await?;
        if job.last.is_some() {
            return Ok(job);
        }
        Ok(Self { origin: Some(Origin::of(savepoint, ownership).await?), ..job })
    }

    /// Adds a listener, which is told after all that were added before. It stays when the job restarts, until
    /// [`clear_listeners`](Self::clear_listeners).
    pub fn listen(&mut self, listener: impl Listener + 'static) {
        self.listeners.push(Box::new(listener));
    }

    /// Takes out all listeners.
    pub fn clear_listeners(&mut self) {
        self.listeners.clear();
    }

    /// How others reach the coordinator while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The last completed checkpoint, and its manifest: what a restart begins from.
    pub fn last(&self) -> Option<(u64, &Manifest)> {
        self.last.as_ref().map(|(checkpoint, manifest)| (*checkpoint, manifest))
    }

    /// What the checkpoints took that ended.
    pub fn history(&self) -> &History {
        self.coordinator.history()
    }

    /// The owner, for holds and whatever else is not about taking checkpoints.
    pub fn job(&mut self) -> &mut Job {
        &mut self.job
    }

    /// Leaves operator `uid`, which the job has no more, and its state out of the next checkpoint.
    ///
    /// # Errors
    /// `Invalid` if the last checkpoint has no such operator.
    pub fn drop_operator(&mut self, uid: &str) -> Result<()> {
        if self.stored(uid).is_none() {
            let message = format!("operator={uid} is not in the last checkpoint");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.dropped.insert(uid.to_owned());
        Ok(())
    }

    /// The subtask `subtask` of operator `uid`, with the key groups that it owns.
    ///
    /// # Errors
    /// `Invalid` if the job has none such.
    pub fn subtask(&self, uid: &str, subtask: u32) -> Result<(Subtask, KeyGroupRange)> {
        let found = (0..).zip(&self.operators).find(|(_, operator)| operator.uid == uid);
        let Some((operator, plan)) = found.filter(|(_, plan)| subtask < plan.parallelism) else {
            let message = format!("operator={uid} has no subtask {subtask} in this job");
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        let range = KeyGroupRange::of_subtask(subtask, plan.parallelism)?;
        Ok((Subtask { operator, subtask }, range))
    }

    /// A backend for a subtask, made by `factory`, empty: open its states, then [`restore`](Self::restore) it.
    ///
    /// # Errors
    /// As for [`subtask`](Self::subtask); the factory's.
    pub fn backend_of<F: BackendFactory>(
        &self,
        factory: &F,
        uid: &str,
        subtask: u32,
    ) -> Result<F::Backend> {
        let (_, range) = self.subtask(uid, subtask)?;
        factory.make(uid, range, self.stored(uid))
    }

    /// The operator state of a subtask, empty: open its states, then [`restore`](Self::restore) it.
    pub fn operator_backend(&self, uid: &str) -> OperatorBackend {
        match self.stored(uid) {
            Some(stored) => OperatorBackend::restoring(stored),
            None => OperatorBackend::new(uid),
        }
    }

    /// Restores a subtask from the last completed checkpoint, whatever the parallelism was then, and
    /// returns its side of the checkpoints to come. Where there is none, or the operator is new, the backend
    /// stays empty.
    ///
    /// # Errors
    /// Those of [`subtask`](Self::subtask), [`Backend::restore`] and [`OperatorBackend::restore`]; `Fenced` if a
    /// newer owner has deleted what the state is in.
    pub async fn restore(
        &self,
        subtask: u32,
        backend: &mut impl Backend,
        operator: Option<&mut OperatorBackend>,
    ) -> Result<SubtaskCheckpoints> {
        let (at, range) = self.subtask(backend.uid(), subtask)?;
        let plan = self.operators.get(at.operator as usize);
        let (store, last) = self.source().unzip();
        let restores = Restores {
            at,
            range,
            parallelism: plan.map_or(1, |plan| plan.parallelism),
            store: store.unwrap_or(self.job.store()),
            last,
            dropped: &self.dropped,
            settings: &self.settings,
            control: &self.control,
            reads: Some(&|needed| self.read_by(needed)),
        };
        unless_fenced(&self.job, restores.restore(backend, operator).await).await
    }

    fn stored(&self, uid: &str) -> Option<&Operator> {
        stored(self.source().map(|(_, manifest)| manifest), &self.dropped, uid)
    }

    /// A backend reads on from what subtasks are restored from.
    fn read_by(&self, needed: Needed) {
        match (&self.last, &self.origin) {
            (Some((checkpoint, _)), _) => self.job.read_by(*checkpoint, needed),
            (None, Some(origin)) => origin.read_by(needed),
            (None, None) => {}
        }
    }

    /// What subtasks are restored from, and where its names begin.
    fn source(&self) -> Option<(&Store, &Manifest)> {
        let origin = self.origin.as_ref().map(|origin| (&origin.store, &origin.manifest));
        let last = self.last.as_ref().map(|(_, manifest)| (self.job.store(), manifest));
        last.or(origin)
    }
}

/// All subtasks of `operators`.
///
/// # Errors
/// `Invalid` for a parallelism that no operator has, and for a uid that stands twice.
fn subtasks(operators: &[OperatorPlan]) -> Result<BTreeSet<Subtask>> {
    let (mut uids, mut subtasks) = (BTreeSet::new(), BTreeSet::new());
    for (operator, OperatorPlan { uid, parallelism }) in (0..).zip(operators) {
        if !uids.insert(uid) {
            let message = format!("operator={uid} is planned twice");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        // An operator has one subtask at least, and at most one for each key group.
        KeyGroupRange::of_subtask(0, *parallelism)?;
        subtasks.extend((0..*parallelism).map(|subtask| Subtask { operator, subtask }));
    }
    Ok(subtasks)
}
