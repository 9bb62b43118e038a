//! Lazy restore: what is not there yet is neither missed nor lost, whatever is asked, captured and written
//! before all of it is there.

mod model;
mod timers;
mod unread;

use esker::backend::heap::{HeapBackend, ValueState};
use esker::backend::{Backend, Handle, StateCapture};
use esker::engine::{CoordinatedJob, LocalJob, OperatorPlan};
use esker::format::run::Entry;
use esker::format::{KeyGroupRange, RelativeName};
use esker::snapshot::{RestoreMode, SnapshotSettings};
use esker::state::ValueDescriptor;
use esker::store::fault::FaultStore;
use esker::{ErrorKind, Result, Settings, Store, block_on};
use std::sync::Arc;

const UID: &str = "lazy";
const KEYS: u64 = 3000;

type Value = Handle<ValueState<u64, (), u64>>;

fn settings() -> Settings {
    let snapshot = SnapshotSettings {
        file_len_bytes: 8192,
        block_len_bytes: 512,
        threads: 1,
        merge_factor: 0.0,
        restore: RestoreMode::Lazy,
        ..SnapshotSettings::default()
    };
    Settings { snapshot, ..Settings::default() }
}

fn open(store: &Store, settings: &Settings) -> LocalJob {
    block_on(LocalJob::open(store.clone(), "lazy")).unwrap().with(settings)
}

/// A backend of values alone, which brings a key group at a time.
fn values(job: &mut LocalJob) -> Result<(HeapBackend, Value)> {
    let mut backend = job.backend(UID, KeyGroupRange::ALL).lazily(1);
    let value = backend.open(ValueDescriptor::<u64, u64>::new("value"))?;
    block_on(job.restore(&mut backend))?;
    Ok((backend, value))
}

/// A store in memory that fails on demand.
fn failing() -> (FaultStore, Store) {
    let mut fault = None;
    let store = Store::open("memory://").unwrap().map_object_store(|objects| {
        let store = FaultStore::new(objects);
        fault = Some(store.clone());
        Arc::new(store)
    });
    (fault.unwrap(), store)
}

/// A job whose last checkpoint holds a value for each of `KEYS` keys, in a store that fails on demand.
fn stored() -> (FaultStore, Store) {
    let (fault, store) = failing();
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    for key in 0..KEYS {
        backend.state(value).unwrap().update(&key, &(), key + 1).unwrap();
    }
    block_on(job.checkpoint(&mut [backend])).unwrap();
    (fault, store)
}

fn all(backend: &mut HeapBackend, value: Value) {
    for key in 0..KEYS {
        let found = backend.state(value).unwrap().get(&key, &()).unwrap();
        assert_eq!(found, Some(key + 1), "key {key}");
    }
    assert_eq!(backend.state(value).unwrap().get(&KEYS, &()).unwrap(), None);
}

fn files(store: &Store) -> Vec<RelativeName> {
    let listed = block_on(store.list(Some(&RelativeName::new("shared").unwrap()))).unwrap();
    listed.into_iter().map(|(name, _)| name).collect()
}

/// Entries of a capture in full.
fn entries(captures: &[Arc<dyn StateCapture>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    struct Sink(Vec<(Vec<u8>, Vec<u8>)>);

    impl esker::backend::EntrySink for Sink {
        fn add(&mut self, entry: Entry<'_>) -> Result<()> {
            self.0.push((entry.key.to_vec(), entry.value.to_vec()));
            Ok(())
        }
    }

    let mut sink = Sink(Vec::new());
    for capture in captures {
        capture.write_full(KeyGroupRange::ALL, &mut sink).unwrap();
    }
    sink.0
}

#[test]
fn a_restore_reads_indexes_and_a_call_what_it_asks_for() {
    let (fault, store) = stored();
    let runs = files(&store).len() as u64;
    assert!(runs > 4);
    let mut job = open(&store, &settings());
    let before = fault.call_count();
    let (mut backend, value) = values(&mut job).unwrap();
    let parts = 1;
    assert_eq!(fault.call_count() - before, runs + parts);
    assert_eq!(backend.state(value).unwrap().len(), 0);
    let before = fault.call_count();
    for _ in 0..3 {
        assert_eq!(backend.state(value).unwrap().get(&7, &()).unwrap(), Some(8));
    }
    assert_eq!(fault.call_count() - before, 1);
    assert!(backend.state(value).unwrap().len() < 10);
    assert_eq!(backend.states().entries(), KEYS);
    all(&mut backend, value);
    assert_eq!(backend.state(value).unwrap().len() as u64, KEYS);
}

#[test]
fn what_nobody_asks_for_comes_by_and_by() {
    let (fault, store) = stored();
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    // Written before it is there, and not lost again.
    backend.state(value).unwrap().update(&7, &(), 70).unwrap();
    backend.state(value).unwrap().clear(&8, &()).unwrap();
    let mut steps = 0;
    while !backend.hydrate_waiting(100).unwrap() {
        steps += 1;
    }
    assert!((KEYS / 200..=KEYS / 100).contains(&steps), "{steps}");
    let before = fault.call_count();
    assert_eq!(backend.state(value).unwrap().get(&7, &()).unwrap(), Some(70));
    assert_eq!(backend.state(value).unwrap().get(&8, &()).unwrap(), None);
    backend.state(value).unwrap().update(&7, &(), 8).unwrap();
    backend.state(value).unwrap().update(&8, &(), 9).unwrap();
    all(&mut backend, value);
    assert!(backend.hydrate(1).unwrap());
    assert_eq!(fault.call_count(), before);
}

#[test]
fn a_checkpoint_writes_what_changed_alone() {
    let (_, store) = stored();
    let before = files(&store);
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    for key in 0..100 {
        backend.state(value).unwrap().get(&key, &()).unwrap();
    }
    backend.hydrate_waiting(500).unwrap();
    let mut backends = [backend];
    block_on(job.checkpoint(&mut backends)).unwrap();
    assert_eq!(files(&store), before);
    backends[0].state(value).unwrap().update(&5, &(), 6).unwrap();
    backends[0].state(value).unwrap().update(&2900, &(), 2901).unwrap();
    block_on(job.checkpoint(&mut backends)).unwrap();
    assert_eq!(files(&store).len(), before.len() + 1);
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    all(&mut backend, value);
}

#[test]
fn a_capture_is_of_its_moment_wherever_its_entries_are() {
    let (_, store) = stored();
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    let first = backend.capture().unwrap();
    backend.state(value).unwrap().update(&5, &(), 50).unwrap();
    backend.hydrate_waiting(700).unwrap();
    let second = backend.capture().unwrap();
    for key in 0..KEYS {
        backend.state(value).unwrap().update(&key, &(), 0).unwrap();
    }
    let (first, second) = (entries(&first), entries(&second));
    assert_eq!((first.len() as u64, second.len() as u64), (KEYS, KEYS));
    let changed = first.iter().zip(&second).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 1);
    assert!(first.is_sorted());
    let third = entries(&backend.capture().unwrap());
    assert!(third.iter().all(|(_, value)| value.iter().all(|byte| *byte == 0)));
}

#[test]
fn what_is_read_from_is_retained() {
    let (_, store) = stored();
    // Each checkpoint writes much in full, so that no old run counts soon.
    let snapshot = SnapshotSettings { merge_factor: 100.0, ..settings().snapshot };
    let mut retains = Settings { snapshot, ..settings() };
    retains.retention.last = 1.try_into().unwrap();
    let before = files(&store);
    let mut job = open(&store, &retains);
    let (backend, value) = values(&mut job).unwrap();
    let mut backends = [backend];
    let rounds = |job: &mut LocalJob, backends: &mut [HeapBackend; 1]| {
        for round in 0..6 {
            for key in 0..50 {
                backends[0].state(value).unwrap().update(&key, &(), round).unwrap();
                backends[0].state(value).unwrap().update(&key, &(), key + 1).unwrap();
            }
            block_on(job.checkpoint(backends)).unwrap();
        }
    };
    rounds(&mut job, &mut backends);
    assert!(before.iter().all(|name| files(&store).contains(name)));
    assert_eq!(job.job().state().retained().len(), 2);
    let refused = block_on(job.job().retire(&[1].into())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("lazily"), "{refused}");
    all(&mut backends[0], value);
    while !backends[0].hydrate_waiting(usize::MAX).unwrap() {}
    rounds(&mut job, &mut backends);
    assert_eq!(job.job().state().retained().len(), 1);
    assert!(before.iter().all(|name| !files(&store).contains(name)));
    let mut job = open(&store, &retains);
    let (mut backend, value) = values(&mut job).unwrap();
    all(&mut backend, value);
}

#[test]
fn settings_restore_the_subtasks_of_a_coordinated_job_lazily() {
    let (fault, store) = stored();
    let plan = || vec![OperatorPlan { uid: UID.into(), parallelism: 2 }];
    let job = block_on(CoordinatedJob::open(store.clone(), "lazy", plan(), &settings())).unwrap();
    let mut found = 0;
    for subtask in 0..2 {
        let factory = esker::backend::heap::HeapBackends;
        let mut backend = job.backend_of(&factory, UID, subtask).unwrap();
        let value = backend.open(ValueDescriptor::<u64, u64>::new("value")).unwrap();
        block_on(job.restore(subtask, &mut backend, None)).unwrap();
        assert_eq!(backend.state(value).unwrap().len(), 0);
        let before = fault.call_count();
        while !backend.hydrate_waiting(50).unwrap() {}
        assert!(fault.call_count() > before);
        found += backend.state(value).unwrap().len() as u64;
    }
    assert_eq!(found, KEYS);
}
