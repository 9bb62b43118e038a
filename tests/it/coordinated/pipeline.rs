//! The engine of these tests: a thread for the source, one for each counter, and channels between.

use crate::backends::Tested;
use esker::backend::operator::{OperatorBackend, OperatorListState};
use esker::backend::{Backend, BackendFactory, Handle, ValueCalls};
use esker::checkpoint::coordinator::{Cause, Kind, Subtask};
use esker::engine::{
    CoordinatedJob, End, Listener, OperatorPlan, Order, Share, SubtaskCheckpoints,
};
use esker::format::manifest::Manifest;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::{find_operator, read_manifest, read_operator_state};
use esker::state::{OperatorListDescriptor, ValueDescriptor};
use esker::{ErrorKind, Result, Store, block_on};
use futures::channel::oneshot;
use futures::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

const SOURCE: &str = "numbers";
const COUNTER: &str = "count";
const KEYS: u64 = 37;

pub(crate) fn plans(parallelism: u32) -> Vec<OperatorPlan> {
    let plan = |uid: &str, parallelism| OperatorPlan { uid: uid.to_owned(), parallelism };
    vec![plan(SOURCE, 1), plan(COUNTER, parallelism)]
}

/// How often each key is counted, of the numbers below `next`.
pub(crate) fn counts(next: u64) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    (0..next).for_each(|number| *counts.entry(number % KEYS).or_default() += 1);
    counts
}

/// What comes to a subtask.
enum Feed {
    Number(u64),
    Barrier(Order),
    /// The source has no more numbers, and has said so before its last barrier.
    Last,
    Completed(u64, BTreeSet<Subtask>),
    Aborted(u64),
}

/// Passes on what the coordinator says: barriers to the source, which sends them on; the rest to all.
struct Wires(Arc<Mutex<Vec<Sender<Feed>>>>);

impl Wires {
    fn all(&self, feed: impl Fn() -> Feed) {
        // One that is dead hears nothing.
        self.0.lock().unwrap().iter().for_each(|to| drop(to.send(feed())));
    }
}

impl Listener for Wires {
    fn triggered(&mut self, order: &Order) {
        if let Some(source) = self.0.lock().unwrap().first() {
            drop(source.send(Feed::Barrier(order.clone())));
        }
    }

    fn completed(&mut self, checkpoint: u64, _: Kind, ended: &BTreeSet<Subtask>) {
        self.all(|| Feed::Completed(checkpoint, ended.clone()));
    }

    fn aborted(&mut self, checkpoint: u64, _: &Cause) {
        self.all(|| Feed::Aborted(checkpoint));
    }
}

/// Said once, by the first that dies.
type Dies = Arc<Mutex<Option<oneshot::Sender<()>>>>;

/// What every thread has.
struct Subtasks<B> {
    backend: B,
    checkpoints: SubtaskCheckpoints,
    feed: Receiver<Feed>,
    writes: Vec<JoinHandle<()>>,
    dies: Dies,
}

impl<B> Subtasks<B> {
    fn die(&self) {
        let _ = self.dies.lock().unwrap().take().map(|dies| dies.send(()));
    }
}

impl<B: Backend> Subtasks<B> {
    /// The share is written beside the stream.
    fn capture(&mut self, order: &Order, operator: Option<&OperatorBackend>, is_last: bool) {
        let share = self.checkpoints.capture(order, &mut self.backend, operator);
        let Ok(share) = share else { return };
        let share = if is_last { share.last() } else { share };
        let write = |share: Share| drop(block_on(share.write()));
        self.writes.push(spawn(move || write(share)));
    }

    /// Whether the subtask may go.
    fn ended(&mut self, checkpoint: u64, ended: &BTreeSet<Subtask>) -> bool {
        self.checkpoints.completed(checkpoint);
        ended.contains(&self.checkpoints.subtask())
    }
}

impl<B> Drop for Subtasks<B> {
    fn drop(&mut self) {
        // What was asked for is answered before it goes.
        self.writes.drain(..).for_each(|write| drop(write.join()));
        // Nobody waits for one that fails a test.
        if std::thread::panicking() {
            self.die();
        }
    }
}

pub(crate) struct Pipeline {
    wires: Arc<Mutex<Vec<Sender<Feed>>>>,
    threads: Vec<JoinHandle<()>>,
    died: oneshot::Receiver<()>,
}

impl Pipeline {
    /// Restores all subtasks from the job's last checkpoint and starts them; a counter dies when it counts
    /// `dies_at`.
    pub(crate) fn start<F: Tested>(
        job: &mut CoordinatedJob,
        factory: &F,
        parallelism: u32,
        numbers: u64,
        dies_at: Option<u64>,
    ) -> Self {
        let (mut wires, mut threads, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        let (dies, died) = oneshot::channel();
        let dies = Arc::new(Mutex::new(Some(dies)));
        for subtask in 0..parallelism {
            let mut backend = job.backend_of(factory, COUNTER, subtask).unwrap();
            let count = backend.open(ValueDescriptor::<u64, u64>::new("count")).unwrap();
            let checkpoints = block_on(job.restore(subtask, &mut backend, None)).unwrap();
            let (to, feed) = mpsc::channel();
            wires.push(to.clone());
            counters.push((KeyGroupRange::of_subtask(subtask, parallelism).unwrap(), to));
            let (writes, dies) = (Vec::new(), Arc::clone(&dies));
            let of = Subtasks { backend, checkpoints, feed, writes, dies };
            threads.push(spawn(move || counter(of, count, dies_at)));
        }
        let mut backend = job.backend_of(factory, SOURCE, 0).unwrap();
        let mut operator = job.operator_backend(SOURCE);
        let offset = operator.open(OperatorListDescriptor::<u64>::split("offset")).unwrap();
        let checkpoints = block_on(job.restore(0, &mut backend, Some(&mut operator))).unwrap();
        let (to, feed) = mpsc::channel();
        wires.insert(0, to);
        let of = Subtasks { backend, checkpoints, feed, writes: Vec::new(), dies };
        threads.push(spawn(move || source(of, operator, offset, &counters, numbers)));
        let wires = Arc::new(Mutex::new(wires));
        job.listen(Wires(wires.clone()));
        Self { wires, threads, died }
    }

    /// Runs the coordinator until the job ends, or until a subtask dies; no thread is left then.
    pub(crate) fn run(self, job: &mut CoordinatedJob) -> Result<Option<End>> {
        let Self { wires, threads, mut died } = self;
        let end: Result<Option<End>> = block_on(async {
            loop {
                let run = std::pin::pin!(job.run());
                match select(run, &mut died).await {
                    Either::Left((Err(error), _)) if error.kind() == ErrorKind::Retry => {}
                    Either::Left((end, _)) => return Ok(Some(end?)),
                    Either::Right((Ok(()), _)) => return Ok(None),
                    // All of them are gone, and none has died.
                    Either::Right((Err(_), run)) => return Ok(Some(run.await?)),
                }
            }
        });
        wires.lock().unwrap().clear();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        end
    }
}

fn source<B: Backend>(
    mut of: Subtasks<B>,
    mut operator: OperatorBackend,
    offset: Handle<OperatorListState<u64>>,
    counters: &[(KeyGroupRange, Sender<Feed>)],
    numbers: u64,
) {
    let first = operator.state(offset).unwrap().get().first().copied();
    let mut next = first.unwrap_or(0);
    loop {
        let is_last = next == numbers;
        // Once there is nothing to read it waits for what is said.
        let feed = match is_last {
            true => of.feed.recv().ok(),
            false => match of.feed.try_recv() {
                Err(TryRecvError::Disconnected) => return,
                feed => feed.ok(),
            },
        };
        match feed {
            Some(Feed::Barrier(order)) => {
                let state = operator.state(offset).unwrap();
                state.update(vec![next]);
                of.capture(&order, Some(&operator), is_last);
                for (_, counter) in counters {
                    if is_last {
                        drop(counter.send(Feed::Last));
                    }
                    drop(counter.send(Feed::Barrier(order.clone())));
                }
            }
            Some(Feed::Completed(checkpoint, ended)) => {
                if of.ended(checkpoint, &ended) {
                    return;
                }
            }
            Some(Feed::Aborted(checkpoint)) => of.checkpoints.aborted(checkpoint),
            Some(Feed::Number(_) | Feed::Last) => unreachable!(),
            None if is_last => return,
            None => {
                let key = next % KEYS;
                let group = key.with_encoded(KeyGroup::of);
                let owner = counters.iter().find(|(range, _)| range.contains(group)).unwrap();
                // A dead counter reads nothing: the job begins anew.
                if owner.1.send(Feed::Number(next)).is_err() {
                    return;
                }
                next += 1;
                if next % 16 == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            }
        }
    }
}

fn counter<B: Backend>(
    mut of: Subtasks<B>,
    count: Handle<B::Value<u64, (), u64>>,
    dies_at: Option<u64>,
) {
    let mut is_last = false;
    while let Ok(feed) = of.feed.recv() {
        match feed {
            Feed::Number(number) if dies_at == Some(number) => {
                of.die();
                return;
            }
            Feed::Number(number) => {
                let state = of.backend.state(count).unwrap();
                let add = |count: &mut Option<u64>| *count = Some(count.unwrap_or(0) + 1);
                state.rmw(&(number % KEYS), &(), add).unwrap();
            }
            Feed::Barrier(order) => of.capture(&order, None, is_last),
            Feed::Last => is_last = true,
            Feed::Completed(checkpoint, ended) => {
                if of.ended(checkpoint, &ended) {
                    return;
                }
            }
            Feed::Aborted(checkpoint) => of.checkpoints.aborted(checkpoint),
        }
    }
}

/// What the job's last checkpoint holds.
pub(crate) fn counts_of<F: Tested>(job: &mut CoordinatedJob, factory: &F) -> BTreeMap<u64, u64> {
    held_by(job, factory).1
}

/// As [`stored`], of the job's last checkpoint.
pub(crate) fn held_by<F: Tested>(
    job: &mut CoordinatedJob,
    factory: &F,
) -> (u64, BTreeMap<u64, u64>) {
    let store = job.job().store().clone();
    let (_, manifest) = job.last().unwrap();
    held(&store, manifest, factory)
}

/// What the snapshot of a manifest holds: how far the source was, and what was counted.
pub(crate) fn stored<F: Tested>(
    store: &Store,
    name: &str,
    factory: &F,
) -> (u64, BTreeMap<u64, u64>) {
    let manifest = block_on(read_manifest(store, &name.parse().unwrap(), None)).unwrap();
    held(store, &manifest, factory)
}

fn held<F: BackendFactory>(
    store: &Store,
    manifest: &Manifest,
    factory: &F,
) -> (u64, BTreeMap<u64, u64>) {
    let stored = find_operator(manifest, SOURCE).unwrap();
    let mut operator = OperatorBackend::restoring(stored);
    let offset = operator.open(OperatorListDescriptor::<u64>::split("offset")).unwrap();
    let elements = block_on(read_operator_state(store, stored)).unwrap();
    operator.restore(&elements, 0, 1).unwrap();
    let next = operator.state(offset).unwrap().get().first().copied().unwrap();
    let stored = find_operator(manifest, COUNTER).unwrap();
    let mut backend = factory.make(COUNTER, KeyGroupRange::ALL, Some(stored)).unwrap();
    let count = backend.open(ValueDescriptor::<u64, u64>::new("count")).unwrap();
    block_on(backend.restore(store, manifest, &Default::default())).unwrap();
    let state = backend.state(count).unwrap();
    let found = (0..KEYS).filter_map(|key| Some((key, state.get(&key, &()).unwrap()?)));
    (next, found.collect())
}
