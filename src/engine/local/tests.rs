use super::*;
use crate::backend::heap::{Handle, ValueState};
use crate::block_on;
use crate::format::{Key, KeyGroup};
use crate::state::ValueDescriptor;
use crate::store::fault::{FaultStore, When};
use std::sync::OnceLock;

type Counts = Handle<ValueState<u64, (), u64>>;

fn memory() -> Store {
    Store::open("memory://").unwrap()
}

/// A job, and its subtasks as they were at the last checkpoint.
fn open(store: &Store, parallelism: u32) -> (LocalJob, Vec<HeapBackend>, Vec<Counts>) {
    let mut job = block_on(LocalJob::open(store.clone(), "test")).unwrap();
    let (mut backends, mut counts) = (Vec::new(), Vec::new());
    for subtask in 0..parallelism {
        let range = KeyGroupRange::of_subtask(subtask, parallelism).unwrap();
        let mut backend = job.backend("op", range);
        counts.push(backend.open(ValueDescriptor::new("counts")).unwrap());
        block_on(job.restore(&mut backend)).unwrap();
        backends.push(backend);
    }
    (job, backends, counts)
}

fn state<'a>(
    backends: &'a mut [HeapBackend],
    counts: &[Counts],
    key: u64,
) -> &'a mut ValueState<u64, (), u64> {
    let subtask = key.with_encoded(KeyGroup::of).subtask(backends.len() as u32) as usize;
    backends[subtask].state(counts[subtask]).unwrap()
}

#[test]
fn a_job_goes_on_from_its_last_checkpoint_at_any_parallelism() {
    let store = memory();
    let mut value = 0;
    for parallelism in [2, 2, 3, 1, 4] {
        let (mut job, mut backends, counts) = open(&store, parallelism);
        for key in 0..500 {
            let found = state(&mut backends, &counts, key).get(&key, &()).unwrap();
            assert_eq!(found, (value > 0).then_some(value * 1000 + key));
        }
        for _ in 0..2 {
            value += 1;
            for key in 0..500 {
                state(&mut backends, &counts, key).update(&key, &(), value * 1000 + key).unwrap();
            }
            block_on(job.checkpoint(&mut backends)).unwrap();
        }
        // What comes after the last checkpoint is lost with the process.
        state(&mut backends, &counts, 7).clear(&7, &()).unwrap();
    }
    let (mut job, ..) = open(&store, 1);
    assert_eq!(job.last().map(|(last, _)| last), Some(10));
    assert_eq!(job.job().state().retained().len(), 3);
}

#[test]
fn a_failed_checkpoint_loses_no_change() {
    static FAULTS: OnceLock<FaultStore> = OnceLock::new();
    let store = memory().map_object_store(|objects| {
        let faults = FAULTS.get_or_init(|| FaultStore::new(objects)).clone();
        Arc::new(faults)
    });
    let faults = FAULTS.get().unwrap();
    let (mut job, mut backends, counts) = open(&store, 2);
    let write = |backends: &mut [HeapBackend], from: u64, value: u64| {
        for key in from..from + 10 {
            state(backends, &counts, key).update(&key, &(), value).unwrap();
        }
    };
    write(&mut backends, 0, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    write(&mut backends, 10, 2);
    faults.fail_at(faults.call_count() + 1, When::Before);
    let failed = block_on(job.checkpoint(&mut backends)).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Retry);
    write(&mut backends, 20, 3);
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 3);

    let (_, mut backends, counts) = open(&store, 1);
    for key in 0..30 {
        let found = state(&mut backends, &counts, key).get(&key, &()).unwrap();
        assert_eq!(found, Some(key / 10 + 1));
    }
}

#[test]
fn an_older_owner_is_fenced_and_missing_key_groups_are_refused() {
    let store = memory();
    let (mut older, mut backends, _) = open(&store, 2);
    let missing = block_on(older.checkpoint(&mut backends[..1])).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Invalid);
    let (_newer, ..) = open(&store, 2);
    let fenced = block_on(older.checkpoint(&mut backends)).unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
}
