//! Rewrites that need no data: within one store, interrupted, and what becomes of a dropped state's id.

use super::world::*;
use crate::backend::Backend;
use crate::backend::heap::HeapBackend;
use crate::engine::LocalJob;
use crate::processor::{RewritePlan, Rewritten, Transport, rewrite};
use crate::snapshot::*;
use crate::state::{ListDescriptor, ValueDescriptor};
use crate::store::fault::{FaultStore, When};
use crate::{Result, Store, block_on};
use esker_format::{KeyGroupRange, RelativeName};
use std::sync::Arc;

fn name(name: &str) -> RelativeName {
    RelativeName::new(name).unwrap()
}

fn opened(store: &Store, path: &RelativeName) -> OpenSnapshot {
    block_on(open_snapshot(store, path)).unwrap()
}

fn rewritten(
    snapshot: OpenSnapshot,
    plan: &RewritePlan,
    target: &Store,
    transport: Transport,
) -> Result<Rewritten> {
    let settings = SnapshotSettings::default();
    block_on(rewrite(snapshot, plan, target, transport, &settings, &|_| {}))
}

#[test]
fn within_a_store_it_copies_by_itself_and_any_call_may_fail() {
    let mut job = job();
    let (path, inner) =
        (job.written.as_ref().unwrap().published.manifest_path.clone(), job.store.clone());
    let mut fault = None;
    job.store = inner.map_object_store(|objects| {
        let store = FaultStore::new(objects);
        fault = Some(store.clone());
        Arc::new(store)
    });
    let fault = fault.unwrap();
    let mut plan = RewritePlan::default();
    plan.operator(UID).rename = Some("flights".into());
    let runs = opened(&job.store, &path).files().len() as u64;

    let target = job.store.below(&name("first"));
    let done = rewritten(opened(&job.store, &path), &plan, &target, Transport::Link).unwrap();
    assert_eq!((done.linked.files, done.written.files), (runs, 3), "two parts, a manifest");
    assert_eq!(done.manifest.operators[0].uid, "flights");
    let copied = job.store.below(&name("copied"));
    let done = rewritten(opened(&job.store, &path), &plan, &copied, Transport::Copy).unwrap();
    assert_eq!((done.linked.files, done.written.files), (0, runs + 3));
    let content = |store: &Store| {
        let files = block_on(store.list(None)).unwrap().into_iter();
        let read = |(name, _)| (block_on(store.get(&name)).unwrap(), name);
        files.map(read).collect::<Vec<_>>()
    };
    let whole = content(&target);
    assert_eq!(content(&copied), whole);

    let mut failed = 0;
    for number in 1.. {
        let target = job.store.below(&name(&format!("at-{number}")));
        let snapshot = opened(&job.store, &path);
        let before = fault.call_count();
        fault.fail_at(before + number, When::Before);
        let done = rewritten(snapshot, &plan, &target, Transport::Link);
        if fault.call_count() - before < number {
            break;
        }
        failed += u32::from(done.is_err());
        assert!(done.is_ok() || block_on(target.head(&name(MANIFEST_NAME))).unwrap().is_none());
        rewritten(opened(&job.store, &path), &plan, &target, Transport::Link).unwrap();
        assert_eq!(content(&target), whole, "call={number}");
    }
    assert!(u64::from(failed) > 2 * runs, "{failed} of a look-up and a copy of {runs} files");
}

#[test]
fn a_store_that_knows_no_copy_gets_what_is_read_and_a_folder_that_is_not_there_gets_links() {
    let mut plan = RewritePlan::default();
    plan.operator(UID).rename = Some("flights".into());
    let job = job();
    let path = job.written.as_ref().unwrap().published.manifest_path.clone();
    let runs = opened(&job.store, &path).files().len() as u64;
    let (fault, store) = super::copy::faulty(&job.store);
    fault.know_no_copy();
    let target = store.below(&name("read"));
    let done = rewritten(opened(&store, &path), &plan, &target, Transport::Link).unwrap();
    assert_eq!((done.linked.files, done.written.files), (0, runs + 3));

    let folder = tempfile::tempdir().unwrap();
    let disk = Store::open(folder.path().to_str().unwrap()).unwrap();
    for (name, _) in block_on(job.store.list(None)).unwrap() {
        let bytes = block_on(job.store.get(&name)).unwrap().unwrap();
        block_on(disk.put(&name, bytes)).unwrap();
    }
    let target = disk.below(&name("not/there"));
    let done = rewritten(opened(&disk, &path), &plan, &target, Transport::Link).unwrap();
    assert_eq!((done.linked.files, done.written.files), (runs, 3));
}

#[test]
fn no_state_gets_the_id_of_one_that_was_dropped() {
    let (store, target) = (Store::open("memory://").unwrap(), Store::open("memory://").unwrap());
    let mut job = block_on(LocalJob::open(store.clone(), "job")).unwrap();
    let mut backend = job.backend("op", KeyGroupRange::ALL);
    let kept = backend.open(ValueDescriptor::<u64, u64>::new("kept")).unwrap();
    let late = backend.open(ValueDescriptor::<u64, u64>::new("late")).unwrap();
    for key in 0..50 {
        backend.state(kept).unwrap().update(&key, &(), key).unwrap();
        backend.state(late).unwrap().update(&key, &(), 1 + key).unwrap();
    }
    block_on(job.checkpoint(std::slice::from_mut(&mut backend))).unwrap();
    let old = backend.infos().into_iter().find(|info| info.name == "late").unwrap().id;

    let mut plan = RewritePlan::default();
    plan.state("op", "late").drop = true;
    let snapshot = opened(&store, &name("chk-1-1/_metadata"));
    let manifest = rewritten(snapshot, &plan, &target, Transport::Link).unwrap().manifest;
    let operator = &manifest.operators[0];
    assert_eq!(operator.dropped, [old]);

    // One of its name, and of another kind: what runs hold of the old one is not its.
    let mut backend = HeapBackend::restoring(operator, KeyGroupRange::ALL);
    let kept = backend.open(ValueDescriptor::<u64, u64>::new("kept")).unwrap();
    let late = backend.open(ListDescriptor::<u64, String>::new("late")).unwrap();
    let settings = SnapshotSettings::default();
    block_on(backend.restore(&target, &manifest, &settings)).unwrap();
    assert_eq!(backend.states().entries(), 50);
    for key in 0..50 {
        assert_eq!(backend.state(kept).unwrap().get(&key, &()).unwrap(), Some(key));
        assert!(backend.state(late).unwrap().get(&key, &()).unwrap().is_empty());
    }
    assert!(backend.infos().iter().all(|info| info.id != old));
    assert_eq!(backend.states().dropped_ids(), [old], "for the next manifest");
}
