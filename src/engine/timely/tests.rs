//! Whole jobs on workers of this process: they are stopped, begin again with other numbers of workers, on stores
//! that fail; every number counts once.

use super::*;
use crate::backend::heap::{HeapBackend, HeapBackends};
use crate::backend::operator::{OperatorBackend, OperatorListState};
use crate::backend::{Backend, BackendFactory, Handle};
use crate::checkpoint::coordinator::CoordinatorSettings;
use crate::checkpoint::read_log;
use crate::format::KeyGroupRange;
use crate::format::manifest::Manifest;
use crate::snapshot::{MANIFEST_NAME, find_operator, read_manifest};
use crate::state::{OperatorListDescriptor, TimerDescriptor, ValueDescriptor};
use crate::store::fault::{FaultStore, When};
use crate::{ErrorKind, block_on};
use esker_test_support::soak::{self, Random};
use std::collections::BTreeMap;
use std::time::Duration;

const KEYS: u64 = 37;
/// Numbers come in so many lanes, which are dealt out to the source's subtasks.
const LANES: u64 = 2;
/// So many numbers have the same time.
const PER_MS: u64 = 10;

/// Reads numbers; its state is the next one of each of its lanes.
struct Numbers {
    next: Handle<OperatorListState<u64>>,
    numbers: u64,
    /// How long a call takes: one subtask is far ahead of the other.
    takes: Duration,
}

impl Source for Numbers {
    type Item = u64;

    fn read(&mut self, state: &mut OperatorBackend, out: &mut SourceOutlet<u64>) -> Result<Next> {
        std::thread::sleep(self.takes);
        let mut lanes = state.state(self.next)?.get().to_vec();
        let until = lanes.iter().copied().min().unwrap_or(self.numbers) + 20 * LANES;
        for next in &mut lanes {
            while *next < until.min(self.numbers) {
                out.emit(*next);
                *next += LANES;
            }
        }
        let next = lanes.iter().copied().min().unwrap_or(self.numbers);
        state.state(self.next)?.update(lanes);
        out.watermark((next / PER_MS) as i64);
        Ok(if next >= self.numbers { Next::End } else { Next::Now })
    }
}

type Count = Handle<<HeapBackend as Backend>::Value<u64, (), u64>>;
type Timers = Handle<<HeapBackend as Backend>::Timers<u64, ()>>;

/// Counts numbers by what they leave when divided by 37, and the timers that they set.
struct Counts {
    backend: HeapBackend,
    count: Count,
    fired: Count,
    timers: Timers,
    /// The number that ends the job.
    dies_at: u64,
    time_ms: i64,
}

impl Counts {
    fn open(mut backend: HeapBackend, dies_at: u64) -> Result<Self> {
        let count = backend.open(ValueDescriptor::new("count"))?;
        let fired = backend.open(ValueDescriptor::new("fired"))?;
        let timers = backend.open(TimerDescriptor::event("timers"))?;
        Ok(Self { backend, count, fired, timers, dies_at, time_ms: 0 })
    }
}

fn add_one(count: &mut Option<u64>) {
    *count = Some(count.unwrap_or(0) + 1);
}

impl Keyed for Counts {
    type Backend = HeapBackend;
    type Input = u64;
    type Output = u64;

    fn backend(&mut self) -> &mut HeapBackend {
        &mut self.backend
    }

    fn record(&mut self, number: u64, out: &mut Outlet<u64>) -> Result<()> {
        if number == self.dies_at {
            return Err(Error::new(ErrorKind::Poisoned, "it dies here"));
        }
        let (key, time_ms) = (number % KEYS, (number / PER_MS) as i64);
        if time_ms < self.time_ms {
            let message = format!("number {number} is behind the watermark {}", self.time_ms);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.backend.state(self.count)?.rmw(&key, &(), add_one)?;
        self.backend.state(self.timers)?.register(time_ms, &key, &())?;
        out.emit(number);
        Ok(())
    }

    fn watermark(&mut self, time_ms: i64, _: &mut Outlet<u64>) -> Result<()> {
        self.time_ms = time_ms;
        while let Some((_, key, ())) = self.backend.state(self.timers)?.pop_due(time_ms)? {
            self.backend.state(self.fired)?.rmw(&key, &(), add_one)?;
        }
        Ok(())
    }
}

/// What a job is to do in one life.
#[derive(Clone, Copy)]
struct Life {
    numbers: u64,
    dies_at: u64,
}

fn settings(of: CoordinatorSettings) -> Settings {
    Settings { checkpoints: of, ..Settings::default() }
}

/// Often, several at once, and no failure ends it.
fn often() -> Settings {
    settings(CoordinatorSettings {
        interval_ms: 3,
        concurrent_max: 3,
        tolerated_failures: u32::MAX,
        ..CoordinatorSettings::default()
    })
}

fn memory() -> Store {
    Store::open("memory://").unwrap()
}

fn job(store: &Store) -> TimelyJob {
    TimelyJob::new(store.clone(), "numbers", &often()).ahead(8)
}

fn run(job: TimelyJob, cluster: Cluster, Life { numbers, dies_at }: Life) -> Result<End> {
    job.run(cluster, move |flow| {
        let subtasks = LANES.min(u64::from(flow.workers()));
        let is_new = flow.restored().is_none();
        let numbers = flow.source("numbers", LANES as u32, |state, subtask| {
            let next = state.open(OperatorListDescriptor::split("next"))?;
            if is_new {
                let lanes = (0..LANES).filter(|lane| lane % subtasks == u64::from(subtask));
                state.state(next)?.update(lanes.collect());
            }
            Ok(Numbers { next, numbers, takes: Duration::from_micros(300) * subtask })
        })?;
        let counted = numbers.keyed(
            "count",
            |n| n % KEYS,
            &HeapBackends,
            |backend| Counts::open(backend, dies_at),
        )?;
        // Another one behind it sees the same barriers and watermarks.
        let next = counted.map(|number| number + 1);
        next.keyed(
            "again",
            |n| n % KEYS,
            &HeapBackends,
            |backend| Counts::open(backend, u64::MAX),
        )?;
        Ok(())
    })
}

/// The manifest of the last checkpoint.
fn last(store: &Store) -> Manifest {
    let log = block_on(read_log(store)).unwrap();
    let (_, published) = log.retained().last_key_value().unwrap();
    let digest = Some(published.manifest_digest);
    block_on(read_manifest(store, &published.manifest_path, digest)).unwrap()
}

/// What a snapshot holds of an operator: by key how many numbers, and how many timers fired.
fn counts(store: &Store, manifest: &Manifest, uid: &str) -> BTreeMap<u64, (u64, u64)> {
    let stored = find_operator(manifest, uid).unwrap();
    let backend = HeapBackends.make(uid, KeyGroupRange::ALL, Some(stored)).unwrap();
    let mut counts = Counts::open(backend, 0).unwrap();
    block_on(counts.backend.restore(store, manifest, &Default::default())).unwrap();
    let mut of = |handle: Count, key: u64| {
        counts.backend.state(handle).unwrap().get(&key, &()).unwrap().unwrap_or(0)
    };
    (0..KEYS).map(|key| (key, (of(counts.count, key), of(counts.fired, key)))).collect()
}

/// That a job that has read all numbers counted each once, and that each timer fired once.
fn check(store: &Store, numbers: u64, round: u64) {
    let manifest = last(store);
    for (uid, first) in [("count", 0), ("again", 1)] {
        let mut expected: BTreeMap<u64, (u64, u64)> = (0..KEYS).map(|key| (key, (0, 0))).collect();
        for number in first..numbers + first {
            let (count, fired) = expected.entry(number % KEYS).or_default();
            (*count, *fired) = (*count + 1, *fired + 1);
        }
        assert_eq!(counts(store, &manifest, uid), expected, "operator {uid}, round {round}");
    }
}

/// One life after the other, each with another number of workers, and each but the last ended by a record that
/// cannot be handled.
#[test]
fn every_number_counts_once_whoever_dies_and_however_many_there_are() {
    const NUMBERS: u64 = 12_000;
    let mut restored = 0;
    for round in 0..u64::from(soak::count(60)) {
        let random = Random::new(soak::hash(soak::seed(), round));
        let store = memory();
        for _ in 0..random.draw(1..4) {
            let dies_at = random.draw(1..NUMBERS);
            let cluster = Cluster::local(random.draw(1..5) as usize);
            match run(job(&store), cluster, Life { numbers: NUMBERS, dies_at }) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
                    assert!(error.to_string().contains("it dies here"), "{error}");
                }
                // It was handled before the life began.
                Ok(end) => assert_eq!(end, End::Finished),
            }
            let log = block_on(read_log(&store)).unwrap();
            restored += u32::from(!log.retained().is_empty());
        }
        let cluster = Cluster::local(random.draw(1..5) as usize);
        let end = run(job(&store), cluster, Life { numbers: NUMBERS, dies_at: u64::MAX });
        assert_eq!(end.unwrap(), End::Finished);
        check(&store, NUMBERS, round);
    }
    assert!(restored > 0, "no life had a checkpoint to go on from");
}

/// Whatever one worker cannot do ends the job on all, and is said; so is a panic.
#[test]
fn one_worker_that_cannot_go_on_ends_the_job() {
    let store = memory();
    for (worker, panics) in [(1, false), (0, false), (1, true), (0, true)] {
        let ended = job(&store).run(Cluster::local(3), move |flow| {
            let numbers = flow.source("numbers", 1, |state, _| {
                let next = state.open(OperatorListDescriptor::split("next"))?;
                Ok(Numbers { next, numbers: 100, takes: Duration::ZERO })
            })?;
            let fails = flow.worker() == worker;
            numbers.keyed(
                "count",
                |n| n % KEYS,
                &HeapBackends,
                |backend| {
                    assert!(!(fails && panics), "it panics here");
                    match fails {
                        true => {
                            Err(Error::new(ErrorKind::Incompatible, "it cannot be opened here"))
                        }
                        false => Counts::open(backend, u64::MAX),
                    }
                },
            )?;
            Ok(())
        });
        let error = ended.unwrap_err();
        let (kind, said) = match panics {
            true => (ErrorKind::Retry, "a worker died"),
            false => (ErrorKind::Incompatible, "it cannot be opened here"),
        };
        assert!(error.kind() == kind && error.to_string().contains(said), "{error}");
    }
}

/// Each call of the store may fail, before or after it took effect; a checkpoint that fails is skipped.
#[test]
fn a_store_that_fails_loses_nothing() {
    const NUMBERS: u64 = 6_000;
    for round in 0..u64::from(soak::count(40)) {
        let random = Random::new(soak::hash(soak::seed(), 1000 + round));
        let mut faults = None;
        let store = memory()
            .map_object_store(|objects| Arc::new(faults.insert(FaultStore::new(objects)).clone()));
        let faults = faults.unwrap();
        let (of_hook, draws) = (faults.clone(), Mutex::new(random));
        // A claim that fails ends a life; that is not what is asked here.
        faults.on_call(move |call| {
            let draws = draws.lock().unwrap();
            if call.number > 20 && draws.draw(0..25) == 0 {
                let when = if draws.draw(0..2) == 0 { When::Before } else { When::After };
                of_hook.fail_at(call.number + 1, when);
            }
        });
        let end = run(job(&store), Cluster::local(3), Life { numbers: NUMBERS, dies_at: u64::MAX });
        faults.on_call(|_| {});
        faults.fail_at(0, When::Before);
        assert_eq!(end.unwrap(), End::Finished);
        check(&store, NUMBERS, round);
    }
}

/// A savepoint on the way and one that stops the job: each holds the numbers up to a barrier, and no more.
#[test]
fn savepoints_hold_what_was_read_before_their_barrier_and_one_stops_the_job() {
    let (store, on_the_way, last) = (memory(), memory(), memory());
    let job = job(&store);
    let (control, first, target) = (job.control(), on_the_way.clone(), last.clone());
    let user = std::thread::spawn(move || {
        block_on(control.checkpoint()).unwrap();
        block_on(control.savepoint(&first)).unwrap();
        block_on(control.stop(&target, true)).unwrap()
    });
    let end = run(job, Cluster::local(3), Life { numbers: u64::MAX / 2, dies_at: u64::MAX });
    assert_eq!(end.unwrap(), End::Stopped(user.join().unwrap()));
    for (savepoint, is_drained) in [(on_the_way, false), (last, true)] {
        let manifest = block_on(read_manifest(&savepoint, &MANIFEST_NAME.parse().unwrap(), None));
        let manifest = manifest.unwrap();
        let stored = find_operator(&manifest, "numbers").unwrap();
        let mut state = OperatorBackend::restoring(stored);
        let next = OperatorListDescriptor::<u64>::split("next");
        let next = state.open(next).unwrap();
        let elements = crate::snapshot::read_operator_state(&savepoint, stored);
        state.restore(&block_on(elements).unwrap(), 0, 1).unwrap();
        // Lane 0 is as far as its next number says, and so is lane 1.
        let lanes = state.state(next).unwrap().get().to_vec();
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        for (lane, next) in (0..LANES).map(|lane| (lane, lanes.iter().find(|n| *n % LANES == lane)))
        {
            let numbers = (lane..*next.unwrap()).step_by(LANES as usize);
            numbers.for_each(|number| *expected.entry(number % KEYS).or_default() += 1);
        }
        let found = counts(&savepoint, &manifest, "count");
        for (key, (count, fired)) in found {
            assert_eq!(count, expected.get(&key).copied().unwrap_or(0), "key {key}");
            assert!(fired == count || !is_drained, "key {key}: {fired} of {count} timers");
        }
        assert!(!expected.is_empty());
    }
}

/// Whoever is told of a checkpoint that all workers took part in claims the job: the older cluster stops, all of it.
#[test]
fn a_newer_owner_stops_the_older_cluster() {
    let store = memory();
    let older = job(&store);
    let (control, newer) = (older.control(), store.clone());
    let claims = std::thread::spawn(move || {
        block_on(control.checkpoint()).unwrap();
        let life = Life { numbers: 4_000, dies_at: u64::MAX };
        // It finds more numbers read than it is to read, or reads on; it owns the job either way.
        run(job(&newer), Cluster::local(2), life)
    });
    let life = Life { numbers: u64::MAX / 2, dies_at: u64::MAX };
    let error = run(older, Cluster::local(3), life).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(claims.join().unwrap().unwrap(), End::Finished);
}

#[test]
fn what_ends_the_job_before_it_begins_is_said() {
    let store = memory();
    let life = Life { numbers: 100, dies_at: u64::MAX };
    assert_eq!(run(job(&store), Cluster::local(2), life).unwrap(), End::Finished);
    let error = job(&store).run(Cluster::local(2), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("drop it by TimelyJob::drop_operator"), "{error}");
    let twice = job(&store).run(Cluster::local(2), |flow| {
        let open = |state: &mut OperatorBackend, _| {
            let next = state.open(OperatorListDescriptor::split("next"))?;
            Ok(Numbers { next, numbers: 0, takes: Duration::ZERO })
        };
        flow.source("numbers", 1, open)?;
        flow.source("numbers", 1, open).map(|_| ())
    });
    let error = twice.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("operator=numbers is there twice"), "{error}");
    // The job goes on without what is dropped.
    let dropping = job(&store).drop_operator("count").drop_operator("again");
    let end = dropping.run(Cluster::local(3), |flow| {
        let source = flow.source("numbers", 2, |state, _| {
            let next = state.open(OperatorListDescriptor::split("next"))?;
            Ok(Numbers { next, numbers: 100, takes: Duration::ZERO })
        });
        source.map(|_| ())
    });
    assert_eq!(end.unwrap(), End::Finished);
    assert_eq!(last(&store).operators.len(), 1);
}
