//! Counters with two inputs under a coordinator: one source's barriers come later than the other's, with records before
//! them, they are aligned or not, and records in flight are an operator of their own.

use crate::backends::Tested;
use esker::backend::operator::{OperatorBackend, OperatorListState};
use esker::backend::{Backend, BackendFactory, Handle, ValueCalls};
use esker::checkpoint::coordinator::{Cause, Kind, Subtask};
use esker::engine::barrier::{Action, Aligner, InFlight, Limits, Mode, in_flight_uid};
use esker::engine::{
    Control, CoordinatedJob, End, Listener, OperatorPlan, Order, Share, SubtaskCheckpoints,
};
use esker::format::manifest::Manifest;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::{find_operator, read_operator_state};
use esker::state::{OperatorListDescriptor, ValueDescriptor};
use esker::{Result, Store, block_on};
use futures::channel::oneshot;
use futures::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

const SOURCES: [&str; 2] = ["left", "right"];
const COUNTER: &str = "count";
const KEYS: u64 = 23;
/// A source sends no more before the next checkpoint is complete, however long its store takes for that.
const SENT_BETWEEN: u64 = 400;
/// What the second source sends between the first one's barrier and its own: in flight, where barriers are not aligned.
pub(super) const SENT_BEFORE_BARRIER: u64 = 5;

pub(super) fn plans(parallelism: u32) -> Vec<OperatorPlan> {
    let plan = |uid: &str, parallelism| OperatorPlan { uid: uid.to_owned(), parallelism };
    let in_flight = in_flight_uid(COUNTER, true);
    let counters = [plan(COUNTER, parallelism), plan(&in_flight, parallelism)];
    SOURCES.map(|uid| plan(uid, 1)).into_iter().chain(counters).collect()
}

/// What comes to a subtask; numbers and barriers from the source that is said.
enum Feed {
    Number(usize, u64),
    Barrier(usize, Order),
    Completed(u64),
    Aborted(u64),
}

/// Of the first source and the counters.
type Wires = Arc<Mutex<Vec<Sender<Feed>>>>;

/// Passes on what the coordinator says: barriers to the first source, which sends them on; the rest to all.
struct Told(Wires);

impl Told {
    fn all(&self, feed: impl Fn() -> Feed) {
        // One that is dead hears nothing.
        self.0.lock().unwrap().iter().for_each(|to| drop(to.send(feed())));
    }
}

impl Listener for Told {
    fn triggered(&mut self, order: &Order) {
        if let Some(first) = self.0.lock().unwrap().first() {
            drop(first.send(Feed::Barrier(0, order.clone())));
        }
    }

    fn completed(&mut self, checkpoint: u64, _: Kind, _: &BTreeSet<Subtask>) {
        self.all(|| Feed::Completed(checkpoint));
    }

    fn aborted(&mut self, checkpoint: u64, _: &Cause) {
        self.all(|| Feed::Aborted(checkpoint));
    }
}

/// Said once, by the first that dies, or by the last source that has sent all.
type Says = Arc<Mutex<Option<oneshot::Sender<()>>>>;

fn say(says: &Says) {
    let _ = says.lock().unwrap().take().map(|says| says.send(()));
}

/// Writes beside the stream; what was asked for is answered before it goes.
#[derive(Default)]
struct Writes(Vec<JoinHandle<()>>);

impl Writes {
    fn write(&mut self, share: Share) {
        self.0.push(spawn(move || drop(block_on(share.write()))));
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|write| drop(write.join()));
    }
}

struct Counter<B: Backend> {
    aligner: Aligner<(u64, u64)>,
    started: Instant,
    backend: B,
    count: Handle<B::Value<u64, (), u64>>,
    in_flight: InFlight<B, u64, u64>,
    /// Of the state, and of the records in flight.
    checkpoints: [SubtaskCheckpoints; 2],
    orders: BTreeMap<u64, Order>,
    captured: BTreeMap<u64, Share>,
    control: Control,
    writes: Writes,
    dies_at: Option<u64>,
}

impl<B: Backend> Counter<B> {
    fn open<F: BackendFactory<Backend = B>>(
        job: &CoordinatedJob,
        factory: &F,
        subtask: u32,
        mode: Mode,
        dies_at: Option<u64>,
    ) -> Self {
        let mut backend = job.backend_of(factory, COUNTER, subtask).unwrap();
        let count = backend.open(ValueDescriptor::new("count")).unwrap();
        let of_state = block_on(job.restore(subtask, &mut backend, None)).unwrap();
        let records = job.backend_of(factory, &in_flight_uid(COUNTER, true), subtask).unwrap();
        let mut in_flight = InFlight::new(records).unwrap();
        let of_records = block_on(job.restore(subtask, in_flight.backend(), None)).unwrap();
        let aligner = Aligner::new(SOURCES.len(), mode, Limits::default()).unwrap();
        let mut counter = Self {
            aligner,
            started: Instant::now(),
            backend,
            count,
            in_flight,
            checkpoints: [of_state, of_records],
            orders: BTreeMap::new(),
            captured: BTreeMap::new(),
            control: job.control(),
            writes: Writes::default(),
            dies_at,
        };
        let replayed = counter.in_flight.replay().unwrap();
        replayed.into_iter().for_each(|record| counter.count(record));
        counter
    }

    fn count(&mut self, (key, _): (u64, u64)) {
        let add = |count: &mut Option<u64>| *count = Some(count.unwrap_or(0) + 1);
        self.backend.state(self.count).unwrap().rmw(&key, &(), add).unwrap();
    }

    /// Until there is no more, or it dies.
    fn run(mut self, feeds: &Receiver<Feed>, dies: &Says) {
        while let Ok(feed) = feeds.recv() {
            match feed {
                Feed::Number(source, number) => {
                    self.aligner.record(source, (number % KEYS, number), 16).unwrap();
                }
                Feed::Barrier(source, order) => {
                    let now = self.started.elapsed();
                    self.aligner.barrier(source, order.checkpoint, now).unwrap();
                    self.orders.entry(order.checkpoint).or_insert(order);
                }
                Feed::Completed(checkpoint) => {
                    self.checkpoints.iter_mut().for_each(|of| of.completed(checkpoint));
                }
                Feed::Aborted(checkpoint) => {
                    self.aligner.cancel(checkpoint).unwrap();
                    self.checkpoints.iter_mut().for_each(|of| of.aborted(checkpoint));
                }
            }
            while let Some(action) = self.aligner.next_action().unwrap() {
                if !self.act(action) {
                    return say(dies);
                }
            }
        }
    }

    /// False if it dies of it.
    fn act(&mut self, action: Action<(u64, u64)>) -> bool {
        match action {
            Action::Process { record, .. } => {
                if self.dies_at == Some(record.1) {
                    return false;
                }
                self.count(record);
            }
            Action::Capture { checkpoint } => {
                let order = &self.orders[&checkpoint];
                let share = self.checkpoints[0].capture(order, &mut self.backend, None);
                self.captured.insert(checkpoint, share.unwrap());
            }
            Action::Aligned(aligned) => {
                let order = self.orders.remove(&aligned.checkpoint).unwrap();
                let records = aligned.in_flight.into_iter().map(|(_, record)| record);
                self.in_flight.hold(records).unwrap();
                let records = self.in_flight.backend();
                let share = self.checkpoints[1].capture(&order, records, None).unwrap();
                self.in_flight.clear().unwrap();
                let stats = aligned.stats;
                let (buffered, flying) = (stats.buffered_len_bytes, stats.in_flight_len_bytes);
                let state = self.captured.remove(&aligned.checkpoint).unwrap();
                self.writes.write(state.with_alignment(stats.time, buffered, flying));
                self.writes.write(share);
            }
            Action::Aborted { checkpoint, reason, .. } => {
                self.orders.remove(&checkpoint);
                // A share that is dropped declines; so does one that was not taken.
                if self.captured.remove(&checkpoint).is_none() {
                    let subtask = self.checkpoints[0].subtask();
                    self.control.decline(checkpoint, subtask, format!("{reason:?}"));
                }
            }
            Action::Stop { .. } | Action::Resume { .. } | Action::Ended { .. } => {}
        }
        true
    }
}

struct Source<B: Backend> {
    number: usize,
    backend: B,
    operator: OperatorBackend,
    offset: Handle<OperatorListState<u64>>,
    checkpoints: SubtaskCheckpoints,
    counters: Vec<(KeyGroupRange, Sender<Feed>)>,
    /// Hears all that this one hears, afterwards.
    follower: Option<Sender<Feed>>,
    writes: Writes,
}

impl<B: Backend> Source<B> {
    fn open<F: BackendFactory<Backend = B>>(
        job: &CoordinatedJob,
        factory: &F,
        number: usize,
        counters: Vec<(KeyGroupRange, Sender<Feed>)>,
        follower: Option<Sender<Feed>>,
    ) -> Self {
        let uid = SOURCES[number];
        let mut backend = job.backend_of(factory, uid, 0).unwrap();
        let mut operator = job.operator_backend(uid);
        let offset = operator.open(OperatorListDescriptor::<u64>::split("offset")).unwrap();
        let checkpoints = block_on(job.restore(0, &mut backend, Some(&mut operator))).unwrap();
        let writes = Writes::default();
        Self { number, backend, operator, offset, checkpoints, counters, follower, writes }
    }

    /// Sends its numbers, and barriers until it is told nothing more; says when all sources have sent all.
    fn run(mut self, feeds: &Receiver<Feed>, numbers: u64, left: &Mutex<usize>, done: &Says) {
        let state = self.operator.state(self.offset).unwrap();
        let mut next = state.get().first().copied().unwrap_or(0);
        let mut sent_until = next + SENT_BETWEEN;
        let mut is_done = false;
        loop {
            if next == numbers && !std::mem::replace(&mut is_done, true) {
                let mut left = left.lock().unwrap();
                *left -= 1;
                if *left == 0 {
                    say(done);
                }
            }
            let feed = match is_done || next >= sent_until {
                true => feeds.recv().map_err(|_| TryRecvError::Disconnected),
                // The second one looks up now and then only.
                false if next % [1, 64][self.number] > 0 => Err(TryRecvError::Empty),
                false => feeds.try_recv(),
            };
            match feed {
                Ok(Feed::Barrier(_, order)) => {
                    let late = numbers.min(next + self.number as u64 * SENT_BEFORE_BARRIER);
                    while next < late {
                        if !self.send(next, numbers) {
                            return;
                        }
                        next += 1;
                    }
                    self.operator.state(self.offset).unwrap().update(vec![next]);
                    let operator = Some(&self.operator);
                    let share = self.checkpoints.capture(&order, &mut self.backend, operator);
                    self.writes.write(share.unwrap());
                    for (_, counter) in &self.counters {
                        drop(counter.send(Feed::Barrier(self.number, order.clone())));
                    }
                    self.tell(Feed::Barrier(self.number + 1, order));
                }
                Ok(Feed::Completed(checkpoint)) => {
                    self.checkpoints.completed(checkpoint);
                    sent_until = next + SENT_BETWEEN;
                    self.tell(Feed::Completed(checkpoint));
                }
                Ok(Feed::Aborted(checkpoint)) => {
                    self.checkpoints.aborted(checkpoint);
                    self.tell(Feed::Aborted(checkpoint));
                }
                Ok(Feed::Number(..)) => unreachable!(),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    // A dead counter reads nothing: the job begins anew.
                    if !self.send(next, numbers) {
                        return;
                    }
                    next += 1;
                    if next % 16 == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            }
        }
    }

    /// Sends one of its numbers; false if its counter is dead.
    fn send(&self, number: u64, numbers: u64) -> bool {
        let number = self.number as u64 * numbers + number;
        let group = (number % KEYS).with_encoded(KeyGroup::of);
        let owner = self.counters.iter().find(|(range, _)| range.contains(group));
        owner.unwrap().1.send(Feed::Number(self.number, number)).is_ok()
    }

    fn tell(&self, feed: Feed) {
        if let Some(follower) = &self.follower {
            drop(follower.send(feed));
        }
    }
}

/// Runs the job from its last checkpoint until a counter dies at `dies_at`, or all numbers are sent and a savepoint
/// has stopped it; whether it has.
pub(super) fn run<F: Tested>(
    job: &mut CoordinatedJob,
    factory: &F,
    (parallelism, mode): (u32, Mode),
    (numbers, dies_at): (u64, Option<u64>),
    savepoint: &Store,
) -> Result<bool> {
    let (dies, died) = oneshot::channel();
    let (done, all_sent) = oneshot::channel();
    let [dies, done] = [dies, done].map(|says| Arc::new(Mutex::new(Some(says))));
    let (mut threads, mut counters) = (Vec::new(), Vec::new());
    for subtask in 0..parallelism {
        let counter = Counter::open(job, factory, subtask, mode, dies_at);
        let ((to, feeds), dies) = (mpsc::channel(), Arc::clone(&dies));
        counters.push((KeyGroupRange::of_subtask(subtask, parallelism)?, to));
        threads.push(spawn(move || counter.run(&feeds, &dies)));
    }
    let left = Arc::new(Mutex::new(SOURCES.len()));
    let mut follower = None;
    for number in (0..SOURCES.len()).rev() {
        let source = Source::open(job, factory, number, counters.clone(), follower);
        let (to, feeds) = mpsc::channel();
        follower = Some(to);
        let (left, done) = (Arc::clone(&left), Arc::clone(&done));
        threads.push(spawn(move || source.run(&feeds, numbers, &left, &done)));
    }
    let counters = counters.into_iter().map(|(_, to)| to);
    let wires = Arc::new(Mutex::new(follower.into_iter().chain(counters).collect()));
    job.listen(Told(Wires::clone(&wires)));
    let control = job.control();
    let stops = async {
        if all_sent.await.is_ok() {
            while control.stop(savepoint, false).await.is_err() {}
        }
        futures::future::pending::<()>().await;
    };
    let end = block_on(async {
        let (stops, run) = (std::pin::pin!(stops), std::pin::pin!(job.run()));
        match select(run, select(died, stops)).await {
            Either::Left((end, _)) => end.map(Some),
            Either::Right((Either::Left((Ok(()), _)), _)) => Ok(None),
            Either::Right((_, run)) => run.await.map(Some),
        }
    });
    wires.lock().unwrap().clear();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    match end? {
        Some(End::Stopped(_)) => Ok(true),
        None => Ok(false),
        // The one that dies declines what it has not written, which may be heard before its death.
        Some(End::Failed(_)) if dies_at.is_some() => Ok(false),
        Some(end) => unreachable!("{end:?}"),
    }
}

/// What a snapshot holds.
pub(super) struct Held {
    /// How often each key was counted, records in flight included, which come first after a restore.
    pub(super) found: BTreeMap<u64, u64>,
    /// How often it is to be, as far as the sources were.
    pub(super) expected: BTreeMap<u64, u64>,
    pub(super) in_flight: u64,
    /// Whether both sources had more to send.
    pub(super) is_halfway: bool,
}

/// Of a job that reads so many numbers of each source; `store` is where the names in its manifest begin.
pub(super) fn held<F: Tested>(
    store: &Store,
    manifest: &Manifest,
    factory: &F,
    numbers: u64,
) -> Held {
    let (mut expected, mut is_halfway) = (BTreeMap::new(), true);
    for (source, uid) in (0..).zip(SOURCES) {
        let stored = find_operator(manifest, uid).unwrap();
        let mut operator = OperatorBackend::restoring(stored);
        let offset = operator.open(OperatorListDescriptor::<u64>::split("offset")).unwrap();
        let elements = block_on(read_operator_state(store, stored)).unwrap();
        operator.restore(&elements, 0, 1).unwrap();
        let next = operator.state(offset).unwrap().get().first().copied().unwrap();
        is_halfway &= next < numbers;
        let sent = source * numbers..source * numbers + next;
        sent.for_each(|number| *expected.entry(number % KEYS).or_default() += 1);
    }
    let restored = |uid: &str| {
        let stored = find_operator(manifest, uid).unwrap();
        factory.make(uid, KeyGroupRange::ALL, Some(stored)).unwrap()
    };
    let mut backend = restored(COUNTER);
    let count = backend.open(ValueDescriptor::<u64, u64>::new("count")).unwrap();
    block_on(backend.restore(store, manifest, &Default::default())).unwrap();
    let state = backend.state(count).unwrap();
    let found = (0..KEYS).filter_map(|key| Some((key, state.get(&key, &()).unwrap()?)));
    let mut found: BTreeMap<_, _> = found.collect();
    let records = restored(&in_flight_uid(COUNTER, true));
    let mut in_flight = InFlight::<_, u64, u64>::new(records).unwrap();
    let records = in_flight.backend();
    block_on(records.restore(store, manifest, &Default::default())).unwrap();
    let records = in_flight.replay().unwrap();
    records.iter().for_each(|(key, _)| *found.entry(*key).or_default() += 1);
    Held { found, expected, in_flight: records.len() as u64, is_halfway }
}
