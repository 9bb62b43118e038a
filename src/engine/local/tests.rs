use super::*;
use crate::backend::Backend;
use crate::backend::Handle;
use crate::backend::heap::{HeapBackend, ValueState};
use crate::block_on;
use crate::format::{Key, KeyGroup};
use crate::snapshot::open_snapshot;
use crate::state::ValueDescriptor;
use crate::store::fault::{FaultStore, Operation, When};
use futures::FutureExt;
use std::num::NonZeroU32;

type Counts = Handle<ValueState<u64, (), u64>>;

fn memory() -> Store {
    Store::open("memory://").unwrap()
}

fn faulty() -> (FaultStore, Store) {
    let mut faults = None;
    let store = memory().map_object_store(|objects| {
        let store = FaultStore::new(objects);
        faults = Some(store.clone());
        Arc::new(store)
    });
    (faults.unwrap(), store)
}

fn put(backends: &mut [HeapBackend], counts: &[Counts], keys: std::ops::Range<u64>, value: u64) {
    for key in keys {
        state(backends, counts, key).update(&key, &(), value).unwrap();
    }
}

/// That the last checkpoint holds `value(key)` of every key in `0..count`.
fn check_stored(store: &Store, count: u64, value: impl Fn(u64) -> u64) {
    let (_, mut backends, counts) = open(store, 1);
    for key in 0..count {
        let found = state(&mut backends, &counts, key).get(&key, &()).unwrap();
        assert_eq!(found, Some(value(key)), "key={key}");
    }
}

fn invalid<T: std::fmt::Debug>(result: Result<T>, names: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(names), "{error}");
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
    let (faults, store) = faulty();
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

#[test]
fn an_older_owner_does_not_take_what_a_newer_one_deleted_for_damage() {
    let store = memory();
    let (mut job, mut backends, counts) = open(&store, 1);
    put(&mut backends, &counts, 0..10, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    let mut older = block_on(LocalJob::open(store.clone(), "test")).unwrap();
    let (mut newer, mut backends, counts) = open(&store, 1);
    for value in 2..7 {
        put(&mut backends, &counts, 0..10, value);
        block_on(newer.checkpoint(&mut backends)).unwrap();
    }
    let mut backend = older.backend("op", KeyGroupRange::ALL);
    backend.open::<ValueDescriptor<u64, u64>>(ValueDescriptor::new("counts")).unwrap();
    let error = block_on(older.restore(&mut backend)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
}

#[test]
fn no_operator_is_lost_unless_it_is_dropped() {
    let store = memory();
    let (mut job, mut backends, counts) = open(&store, 2);
    put(&mut backends, &counts, 0..10, 1);
    let mut other = job.backend("other", KeyGroupRange::ALL);
    other.open(ValueDescriptor::<u64, u64>::new("sums")).unwrap();
    backends.push(other);
    block_on(job.checkpoint(&mut backends)).unwrap();
    let other = backends.pop().unwrap();
    invalid(block_on(job.checkpoint::<HeapBackend>(&mut [])), "operator=op");
    invalid(block_on(job.checkpoint(&mut backends)), "operator=other");

    // Never restored: made by the job, or not even that.
    backends.push(job.backend("other", KeyGroupRange::ALL));
    invalid(block_on(job.checkpoint(&mut backends)), "operator=other");
    backends.pop();
    let mut unknown = HeapBackend::new("other", KeyGroupRange::ALL);
    unknown.open(ValueDescriptor::<u64, u64>::new("sums")).unwrap();
    backends.push(unknown);
    invalid(block_on(job.checkpoint(&mut backends)), "operator=other");
    backends.pop();
    drop(other);

    job.drop_operator("other").unwrap();
    block_on(job.checkpoint(&mut backends)).unwrap();
    assert_eq!(job.last().unwrap().1.operators.len(), 1);
    invalid(job.drop_operator("other"), "operator=other");
    check_stored(&store, 10, |_| 1);
}

#[test]
fn a_poisoned_backend_loses_no_change_of_others() {
    let store = memory();
    let (mut job, mut backends, counts) = open(&store, 1);
    put(&mut backends, &counts, 0..10, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    put(&mut backends, &counts, 0..5, 2);
    let mut poisoned = HeapBackend::new("poisoned", KeyGroupRange::ALL);
    poisoned.poison("a disk failed");
    backends.push(poisoned);
    let failed = block_on(job.checkpoint(&mut backends)).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Poisoned);
    backends.pop();
    block_on(job.checkpoint(&mut backends)).unwrap();
    check_stored(&store, 10, |key| if key < 5 { 2 } else { 1 });
}

#[test]
fn a_capture_or_savepoint_in_between_loses_no_change() {
    let (store, aside) = (memory(), memory());
    let (mut job, mut backends, counts) = open(&store, 2);
    put(&mut backends, &counts, 0..30, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    put(&mut backends, &counts, 0..10, 2);
    backends[0].capture().unwrap();
    block_on(job.checkpoint(&mut backends)).unwrap();
    check_stored(&store, 30, |key| if key < 10 { 2 } else { 1 });

    let (mut job, mut backends, counts) = open(&store, 2);
    put(&mut backends, &counts, 10..20, 3);
    let number = block_on(job.savepoint(&mut backends, &aside)).unwrap();
    put(&mut backends, &counts, 20..30, 4);
    assert!(block_on(job.checkpoint(&mut backends)).unwrap() > number);
    check_stored(&store, 30, |key| 2 + key / 10);

    invalid(block_on(job.savepoint(&mut backends, &aside)), "savepoint");
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    let saved = block_on(open_snapshot(&aside, &name)).unwrap();
    assert!(saved.damage.is_empty() && block_on(saved.missing_runs()).unwrap().is_empty());
    let operator = find_operator(&saved.manifest, "op").unwrap();
    let mut backend = HeapBackend::restoring(operator, KeyGroupRange::ALL);
    let sums = backend.open(ValueDescriptor::<u64, u64>::new("counts")).unwrap();
    let settings = SnapshotSettings::default();
    block_on(backend.restore(&aside, &saved.manifest, &settings)).unwrap();
    for key in 0..30 {
        let expected = [2, 3, 1][key as usize / 10];
        assert_eq!(backend.state(sums).unwrap().get(&key, &()).unwrap(), Some(expected));
    }
}

#[test]
fn subtasks_with_different_states_are_refused() {
    let store = memory();
    let (mut job, mut backends, _) = open(&store, 2);
    backends[1].open(ValueDescriptor::<u64, u64>::new("sums")).unwrap();
    invalid(block_on(job.checkpoint(&mut backends)), "state=sums");
    backends[0].open(ValueDescriptor::<u64, u64>::new("sums")).unwrap();
    block_on(job.checkpoint(&mut backends)).unwrap();
}

#[test]
fn a_dropped_checkpoint_leaves_no_files_and_loses_no_change() {
    let (faults, store) = faulty();
    let (mut job, mut backends, counts) = open(&store, 1);
    put(&mut backends, &counts, 0..10, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    put(&mut backends, &counts, 0..5, 2);
    // The run is written, and the future dropped while it writes the part.
    let pausing = faults.clone();
    faults.on_call(move |call| {
        if call.path.contains("chk-") {
            pausing.pause_puts();
        }
    });
    let mut dropped = Box::pin(job.checkpoint(&mut backends));
    for _ in 0..50 {
        assert!(block_on(async { Ok(dropped.as_mut().now_or_never().is_none()) }).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    drop(dropped);
    faults.on_call(|_| {});
    faults.release_puts();
    let last = block_on(job.checkpoint(&mut backends)).unwrap();
    // Before another owner sweeps.
    let swept = block_on(job.job().sweep()).unwrap();
    assert_eq!(swept.file_count, 0, "checkpoint={last}");
    check_stored(&store, 10, |key| if key < 5 { 2 } else { 1 });
}

#[test]
fn a_failed_checkpoint_is_swept_and_a_failing_clean_up_fails_nothing() {
    let (faults, store) = faulty();
    let (mut job, mut backends, counts) = open(&store, 1);
    put(&mut backends, &counts, 0..10, 1);
    // Its run is there; nothing can be put after it.
    let failing = faults.clone();
    faults.on_call(move |call| failing.fail_always(call.path.contains("shared/")));
    block_on(job.checkpoint(&mut backends)).unwrap_err();
    faults.on_call(|_| {});
    faults.fail_always(false);
    assert!(job.unswept);

    // Nothing works after the list that ends the publish: the checkpoint is complete.
    let failing = faults.clone();
    faults.on_call(move |call| {
        if call.operation == Operation::List {
            failing.fail_always(true);
        }
    });
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 2);
    assert!(job.unswept);
    faults.on_call(|_| {});
    faults.fail_always(false);
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 3);
    assert_eq!(block_on(job.job().sweep()).unwrap().file_count, 0);
    check_stored(&store, 10, |_| 1);
}

#[test]
fn a_publish_that_took_effect_is_complete_whatever_was_answered() {
    let (faults, store) = faulty();
    let (mut job, mut backends, counts) = open(&store, 1);
    put(&mut backends, &counts, 0..10, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    put(&mut backends, &counts, 0..5, 2);
    // The record is created, and nothing answers from then on.
    let failing = faults.clone();
    faults.on_done(move |call| {
        if call.operation == Operation::Create && call.path.contains("log/") {
            failing.fail_always(true);
        }
    });
    block_on(job.checkpoint(&mut backends)).unwrap_err();
    faults.on_done(|_| {});
    faults.fail_always(false);
    let mut late = job.backend("op", KeyGroupRange::ALL);
    let conflict = block_on(job.restore(&mut late)).unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict, "it was made for the checkpoint before");
    assert_eq!(job.last().map(|(last, _)| last), Some(2));
    put(&mut backends, &counts, 5..10, 3);
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 3);
    assert!(job.job().state().retained().keys().eq([&1, &2, &3]));
    check_stored(&store, 10, |key| if key < 5 { 2 } else { 3 });
}

/// As [`open`], going back where a checkpoint is damaged.
fn open_sound(
    store: &Store,
    parallelism: u32,
) -> Result<(LocalJob, Vec<HeapBackend>, Vec<Counts>)> {
    let mut job = block_on(LocalJob::open_or_fall_back(store.clone(), "test"))?;
    let made = block_on(job.restored(async |job| {
        let (mut backends, mut counts) = (Vec::new(), Vec::new());
        for subtask in 0..parallelism {
            let range = KeyGroupRange::of_subtask(subtask, parallelism)?;
            let mut backend = job.backend("op", range);
            counts.push(backend.open(ValueDescriptor::new("counts"))?);
            job.restore(&mut backend).await?;
            backends.push(backend);
        }
        Ok((backends, counts))
    }));
    made.map(|(backends, counts)| (job, backends, counts))
}

#[test]
fn a_job_goes_back_to_the_newest_checkpoint_that_is_whole() {
    let (store, mut names) = (memory(), Vec::new());
    for value in 1..=3 {
        // Each in full, so that none needs what another wrote.
        let (mut job, mut backends, counts) = open(&store, value as u32);
        put(&mut backends, &counts, 0..200, value);
        job.subtasks.values_mut().for_each(|subtask| subtask.lineage.fall_back());
        block_on(job.checkpoint(&mut backends)).unwrap();
        let (_, manifest) = job.last().unwrap();
        let name = format!("chk-{value}-{}/{MANIFEST_NAME}", manifest.generation);
        let snapshot =
            block_on(open_snapshot(&store, &RelativeName::new(name.clone()).unwrap())).unwrap();
        let run = snapshot.runs().last().unwrap().file.clone();
        names.push((RelativeName::new(name).unwrap(), run));
    }
    let spoil = |name: &RelativeName| {
        let mut bytes = block_on(store.get(name)).unwrap().unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        block_on(store.put(name, bytes.into())).unwrap();
    };
    let value = |backends: &mut [HeapBackend], counts: &[Counts]| {
        state(backends, counts, 7).get(&7, &()).unwrap()
    };
    let (job, mut backends, counts) = open_sound(&store, 2).unwrap();
    assert_eq!((job.skipped().len(), value(&mut backends, &counts)), (0, Some(3)));

    // A run of the last one, found while its second subtask is restored.
    let (manifest, run) = &names[2];
    spoil(run);
    let (job, mut backends, counts) = open_sound(&store, 2).unwrap();
    assert_eq!(job.last().unwrap().0, 2);
    let [skipped] = job.skipped() else { panic!("{:?}", job.skipped()) };
    assert!(skipped.checkpoint == 3 && skipped.why.to_string().contains(run.as_str()));
    assert!(
        (0..200)
            .all(|key| { state(&mut backends, &counts, key).get(&key, &()).unwrap() == Some(2) })
    );

    // Its manifest, and a run of the one before; the job goes on from the first.
    spoil(manifest);
    spoil(&names[1].1);
    let (mut job, mut backends, counts) = open_sound(&store, 3).unwrap();
    let skipped: Vec<_> = job.skipped().iter().map(|skipped| skipped.checkpoint).collect();
    assert_eq!((job.last().unwrap().0, skipped), (1, vec![3, 2]));
    put(&mut backends, &counts, 100..200, 9);
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 4);
    check_stored(&store, 200, |key| if key < 100 { 1 } else { 9 });

    // Who did not ask for it is refused, and nobody begins anew.
    let log = block_on(crate::checkpoint::read_log(&store)).unwrap();
    let all = log.retained();
    all.values().for_each(|published| block_on(store.delete(&published.manifest_path)).unwrap());
    let refused = block_on(LocalJob::open(store.clone(), "test")).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    let refused = open_sound(&store, 1).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(refused.to_string().matches("checkpoint=").count(), all.len(), "{refused}");
}

/// A job of one subtask at `store` that begins with the savepoint at `savepoint`.
fn open_from(store: &Store, savepoint: &Store) -> (LocalJob, Vec<HeapBackend>, Vec<Counts>) {
    let (savepoint, ownership) = (savepoint.clone(), Ownership::NoClaim);
    let opened = LocalJob::open_from(store.clone(), "test", savepoint, ownership);
    let mut job = block_on(opened).unwrap();
    let mut backend = job.backend("op", KeyGroupRange::ALL);
    let counts = backend.open(ValueDescriptor::new("counts")).unwrap();
    block_on(job.restore(&mut backend)).unwrap();
    (job, vec![backend], vec![counts])
}

#[test]
fn a_job_begins_with_a_savepoint_and_goes_on_with_its_own_checkpoints() {
    let (old, savepoint, store) = (memory(), memory(), memory());
    let (mut job, mut backends, counts) = open(&old, 2);
    put(&mut backends, &counts, 0..100, 1);
    block_on(job.savepoint(&mut backends, &savepoint)).unwrap();

    let (mut job, mut backends, counts) = open_from(&store, &savepoint);
    assert!(job.last().is_none());
    put(&mut backends, &counts, 0..10, 2);
    block_on(job.checkpoint(&mut backends)).unwrap();
    let value = |key| if key < 10 { 2 } else { 1 };
    check_stored(&store, 100, value);
    // Its own checkpoint counts from now on; the savepoint could be gone.
    let (mut job, mut backends, counts) = open_from(&store, &memory());
    put(&mut backends, &counts, 100..101, 1);
    block_on(job.checkpoint(&mut backends)).unwrap();
    check_stored(&store, 101, value);
}

#[test]
fn a_part_without_state_is_written_anew_after_a_savepoint() {
    let (old, savepoint, store) = (memory(), memory(), memory());
    let (mut job, mut backends, _) = open(&old, 1);
    block_on(job.savepoint(&mut backends, &savepoint)).unwrap();
    // Byte for byte what the savepoint has, whose files are elsewhere.
    let (mut job, mut backends, _) = open_from(&store, &savepoint);
    assert_eq!(block_on(job.checkpoint(&mut backends)).unwrap(), 1);
    let path = crate::checkpoint::manifest_name(1, 1).unwrap();
    assert!(block_on(open_snapshot(&store, &path)).unwrap().damage.is_empty());
}

#[test]
fn what_a_savepoint_holds_is_not_lost_in_silence() {
    let (old, savepoint, store) = (memory(), memory(), memory());
    let (mut job, mut backends, counts) = open(&old, 1);
    put(&mut backends, &counts, 0..3, 1);
    block_on(job.savepoint(&mut backends, &savepoint)).unwrap();

    let from = |savepoint: &Store| {
        let (savepoint, ownership) = (savepoint.clone(), Ownership::NoClaim);
        block_on(LocalJob::open_from(store.clone(), "test", savepoint, ownership))
    };
    invalid(from(&memory()).map(drop), "_metadata");
    let mut job = from(&savepoint).unwrap();
    let mut other = [job.backend("other", KeyGroupRange::ALL)];
    invalid(block_on(job.checkpoint(&mut other)), "op");
    job.drop_operator("op").unwrap();
    assert_eq!(block_on(job.checkpoint(&mut other)).unwrap(), 1);
}

#[test]
fn a_cancelled_job_keeps_its_checkpoints_or_the_last_one() {
    for on_cancel in [OnCancel::Retain, OnCancel::Delete] {
        let store = memory();
        let (job, mut backends, counts) = open(&store, 1);
        let mut settings = Settings::default();
        (settings.retention.last, settings.retention.on_cancel) = (NonZeroU32::MAX, on_cancel);
        let mut job = job.with(&settings);
        for value in 1..=4 {
            put(&mut backends, &counts, 0..3, value);
            block_on(job.checkpoint(&mut backends)).unwrap();
        }
        // By someone else, so that the owner does not know of it yet.
        let beside = block_on(crate::checkpoint::Attached::open(store.clone()));
        block_on(beside.unwrap().hold(2, "audit")).unwrap();
        block_on(job.cancel()).unwrap();
        let log = block_on(crate::checkpoint::read_log(&store)).unwrap();
        let expected: &[u64] = if on_cancel == OnCancel::Delete { &[2, 4] } else { &[1, 2, 3, 4] };
        assert!(log.retained().keys().eq(expected), "{on_cancel:?}: {:?}", log.retained().keys());
        let listed = block_on(store.list(None)).unwrap();
        let manifests = listed.iter().filter(|(name, _)| name.as_str().ends_with(MANIFEST_NAME));
        assert_eq!(manifests.count(), expected.len(), "{on_cancel:?}");
        check_stored(&store, 3, |_| 4);
    }
}

#[test]
fn what_becomes_of_a_claimed_savepoint_is_the_job_s_to_say_and_of_no_other() {
    for ownership in [Ownership::NoClaim, Ownership::Claim] {
        let (old, savepoint, store) = (memory(), memory(), memory());
        let (mut job, mut backends, counts) = open(&old, 2);
        put(&mut backends, &counts, 0..100, 1);
        block_on(job.savepoint(&mut backends, &savepoint)).unwrap();
        let foreign = RelativeName::new("notes.txt").unwrap();
        block_on(savepoint.put(&foreign, bytes::Bytes::from_static(b"mine"))).unwrap();
        let before = block_on(savepoint.list(None)).unwrap();
        assert!(before.len() > 4);

        let opened = LocalJob::open_from(store.clone(), "test", savepoint.clone(), ownership);
        let mut job = block_on(opened).unwrap();
        let mut backend = job.backend("op", KeyGroupRange::ALL);
        let counts = [backend.open(ValueDescriptor::new("counts")).unwrap()];
        block_on(job.restore(&mut backend)).unwrap();
        assert_eq!(block_on(savepoint.list(None)).unwrap(), before, "until there is a checkpoint");
        let mut backends = [backend];
        block_on(job.checkpoint(&mut backends)).unwrap();
        // Full: it names no file of the savepoint, whoever owns that.
        let (_, manifest) = job.last().unwrap();
        let path = crate::checkpoint::manifest_name(manifest.checkpoint, manifest.generation);
        let snapshot = block_on(open_snapshot(&store, &path.unwrap())).unwrap();
        assert!(snapshot.damage.is_empty() && !snapshot.runs().is_empty());
        assert!(block_on(snapshot.missing_runs()).unwrap().is_empty());
        let left = block_on(savepoint.list(None)).unwrap();
        match ownership {
            Ownership::NoClaim => assert_eq!(left, before),
            Ownership::Claim => assert_eq!(left, [(foreign, 4)]),
        }
        put(&mut backends, &counts, 0..3, 1);
        block_on(job.checkpoint(&mut backends)).unwrap();
        check_stored(&store, 100, |_| 1);
    }
}
