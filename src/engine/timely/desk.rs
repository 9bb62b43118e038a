//! What the operators of one worker share: what the owner says, and what they say to it.

use super::wire::{Begin, Down, Up, WireError, WireOrder};
use crate::engine::coordinated::{Control, Message, Order, stored};
use crate::format::manifest::{Manifest, Operator};
use crate::snapshot::SnapshotSettings;
use crate::{Error, ErrorKind, Result, Store};
use futures::channel::mpsc::UnboundedReceiver;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use timely::scheduling::{Activator, SyncActivator};

/// Opens a store that another process named, for a savepoint.
pub(super) type Opener = dyn Fn(&str) -> Result<Store> + Send + Sync;

/// What all workers of a process have in common.
pub(super) struct Process {
    pub(super) store: Store,
    pub(super) settings: SnapshotSettings,
    pub(super) dropped: BTreeSet<String>,
    pub(super) ahead: usize,
    pub(super) opener: Box<Opener>,
    /// Where savepoints go that were asked for in this process, by number.
    pub(super) targets: Mutex<BTreeMap<u64, Store>>,
    /// Whether a worker of this process panicked: the others are not to wait for it.
    pub(super) has_died: AtomicBool,
}

impl Process {
    fn target(&self, checkpoint: u64, name: &str) -> Result<Store> {
        let known = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&checkpoint) {
            Some(store) => Ok(store.clone()),
            None => (self.opener)(name),
        }
    }
}

/// What a subtask is told that is not in the stream.
pub(super) enum Notice {
    Completed(u64),
    Aborted(u64),
}

/// Where a subtask finds what it is told.
#[derive(Default)]
pub(super) struct Inbox {
    /// By the epoch that each ends.
    pub(super) orders: BTreeMap<u64, Order>,
    pub(super) notices: VecDeque<Notice>,
}

/// A subtask's way to the desk.
pub(super) type SharedInbox = Rc<RefCell<Inbox>>;

/// One worker's.
pub(super) struct Desk {
    pub(super) process: Arc<Process>,
    pub(super) index: u32,
    pub(super) peers: u32,
    /// Subtasks' words for the coordinator; [`Desk::heard`] sends them on.
    pub(super) control: Control,
    messages: RefCell<UnboundedReceiver<Message>>,
    ups: RefCell<VecDeque<Up>>,
    /// Wakes what sends [`Up`]s.
    wakes: RefCell<Option<SyncActivator>>,
    begun: RefCell<Option<(Begin, Option<Manifest>)>>,
    operators: RefCell<Vec<(String, u32)>>,
    /// How many source subtasks are among this worker's.
    sources: Cell<u32>,
    inboxes: RefCell<Vec<(SharedInbox, Activator)>>,
    writers: RefCell<Vec<JoinHandle<()>>>,
    stopped: RefCell<Option<Result<Option<u64>>>>,
    has_failed: Cell<bool>,
}

impl Desk {
    pub(super) fn new(process: Arc<Process>, index: u32, peers: u32) -> Rc<Self> {
        let (control, messages) = Control::new();
        Rc::new(Self {
            process,
            index,
            peers,
            control,
            messages: RefCell::new(messages),
            ups: RefCell::default(),
            wakes: RefCell::default(),
            begun: RefCell::default(),
            operators: RefCell::default(),
            sources: Cell::default(),
            inboxes: RefCell::default(),
            writers: RefCell::default(),
            stopped: RefCell::default(),
            has_failed: Cell::default(),
        })
    }

    /// Who is woken when there is something to say.
    pub(super) fn wake_by(&self, activator: SyncActivator) {
        *self.wakes.borrow_mut() = Some(activator);
    }

    /// The same, for a thread that writes.
    pub(super) fn waker(&self) -> Option<SyncActivator> {
        self.wakes.borrow().clone()
    }

    /// Says something to the owner.
    pub(super) fn say(&self, up: Up) {
        self.ups.borrow_mut().push_back(up);
        self.wake();
    }

    /// Says that this worker cannot go on, once.
    pub(super) fn fail(&self, error: &Error) {
        if !self.has_failed.replace(true) {
            tracing::error!(%error, worker = self.index, "a worker cannot go on");
            self.say(Up::Failed(WireError::from(error)));
        }
    }

    /// Whether it said so: what happens after that counts for nothing.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    fn wake(&self) {
        if let Some(wakes) = &*self.wakes.borrow() {
            // The worker's own queue is there as long as the worker.
            let _ = wakes.activate();
        }
    }

    /// All that is to be said, in order.
    pub(super) fn heard(&self) -> Vec<(u32, Up)> {
        let mut ups: Vec<_> = self.ups.borrow_mut().drain(..).collect();
        let mut messages = self.messages.borrow_mut();
        while let Ok(message) = messages.try_recv() {
            ups.extend(Up::of(message));
        }
        ups.into_iter().map(|up| (self.index, up)).collect()
    }

    /// Takes in what the owner says.
    pub(super) fn deliver(&self, down: Down) {
        match down {
            Down::Begin(begin) => {
                if let Err(error) = self.begin(begin) {
                    self.fail(&error);
                }
            }
            Down::Triggered(order) => self.order(order),
            Down::Completed { checkpoint } => self.notify(|| Notice::Completed(checkpoint)),
            Down::Aborted { checkpoint } => self.notify(|| Notice::Aborted(checkpoint)),
            Down::Stop(end) => {
                let end = end.map_err(Error::from);
                self.stopped.borrow_mut().get_or_insert(end);
            }
        }
    }

    fn begin(&self, begin: Begin) -> Result<()> {
        let manifest = match &begin.last {
            Some((_, name, digest)) => {
                let digest = Some(crate::format::Digest(*digest));
                let name = name.parse()?;
                let reads = crate::snapshot::read_manifest(&self.process.store, &name, digest);
                Some(crate::block_on(reads)?)
            }
            None => None,
        };
        *self.begun.borrow_mut() = Some((begin, manifest));
        Ok(())
    }

    fn order(&self, order: WireOrder) {
        let WireOrder { epoch, checkpoint, kind, basis, generation, target, subtasks } = order;
        let mut subtasks: BTreeSet<_> = subtasks.into_iter().map(super::wire::subtask_of).collect();
        let store = match target {
            Some(name) => self.process.target(checkpoint, &name),
            None => Ok(self.process.store.clone()),
        };
        // Where this process cannot open the store of a savepoint the barrier passes all the same, and nothing is
        // captured.
        let store = store.unwrap_or_else(|error| {
            let own: Vec<_> =
                subtasks.iter().filter(|of| of.subtask == self.index).copied().collect();
            for subtask in own {
                subtasks.remove(&subtask);
                self.control.decline(checkpoint, subtask, error.to_string());
            }
            self.wake();
            self.process.store.clone()
        });
        let order = Order { checkpoint, kind: kind.into(), subtasks, basis, generation, store };
        for (inbox, activator) in &*self.inboxes.borrow() {
            inbox.borrow_mut().orders.insert(epoch, order.clone());
            activator.activate();
        }
    }

    fn notify(&self, notice: impl Fn() -> Notice) {
        for (inbox, activator) in &*self.inboxes.borrow() {
            inbox.borrow_mut().notices.push_back(notice());
            activator.activate();
        }
    }

    /// How the job ended, once it has.
    pub(super) fn stopped(&self) -> Option<Result<Option<u64>>> {
        let stopped = self.stopped.borrow();
        let again = |end: &Result<Option<u64>>| match end {
            Ok(savepoint) => Ok(*savepoint),
            Err(error) => Err(error.again()),
        };
        stopped.as_ref().map(again)
    }

    /// Whether the job is claimed.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.borrow().is_some()
    }

    /// The generation of the owner, and the checkpoint that all begin from.
    pub(super) fn begun_from(&self) -> (u64, Option<u64>) {
        let begun = self.begun.borrow();
        begun.as_ref().map_or((0, None), |(begin, _)| {
            (begin.generation, begin.last.as_ref().map(|(checkpoint, ..)| *checkpoint))
        })
    }

    /// Runs `read` on the manifest of that checkpoint.
    pub(super) fn with_last<T>(&self, read: impl FnOnce(Option<&Manifest>) -> T) -> T {
        read(self.begun.borrow().as_ref().and_then(|(_, manifest)| manifest.as_ref()))
    }

    /// What it holds of operator `uid`.
    pub(super) fn stored(&self, uid: &str) -> Option<Operator> {
        self.with_last(|last| stored(last, &self.process.dropped, uid).cloned())
    }

    /// Plans an operator; its number.
    ///
    /// # Errors
    /// `Invalid` if there is one of that uid.
    pub(super) fn plan(&self, uid: &str, parallelism: u32) -> Result<u32> {
        let mut operators = self.operators.borrow_mut();
        if operators.iter().any(|(known, _)| known == uid) {
            let message = format!("operator={uid} is there twice");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        operators.push((uid.to_owned(), parallelism));
        Ok(operators.len() as u32 - 1)
    }

    /// A source subtask is this worker's.
    pub(super) fn add_source(&self) {
        self.sources.set(self.sources.get() + 1);
    }

    /// Says that all operators are restored.
    pub(super) fn ready(&self) {
        let operators = self.operators.borrow().clone();
        self.say(Up::Ready { operators, sources: self.sources.get() });
    }

    /// A subtask is to be told, and woken.
    pub(super) fn register(&self, inbox: SharedInbox, activator: Activator) {
        self.inboxes.borrow_mut().push((inbox, activator));
    }

    /// A thread that is to end before the worker does.
    pub(super) fn adopt(&self, writer: JoinHandle<()>) {
        self.writers.borrow_mut().push(writer);
    }

    /// Waits for all of them, whose subtasks are gone.
    pub(super) fn join(&self) {
        for writer in self.writers.borrow_mut().drain(..) {
            let _ = writer.join();
        }
    }
}
