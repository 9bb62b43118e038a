//! Copies of snapshots: what they restore to, what stops them, and what an interruption leaves.

use super::native::{fetched, write};
use super::world::*;
use crate::processor::{Copied, copy};
use crate::snapshot::*;
use crate::store::fault::{FaultStore, Operation, When};
use crate::{ErrorKind, Result, Store, block_on};
use esker_format::RelativeName;
use esker_format::manifest::SnapshotKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const PIECE_LEN_BYTES: u64 = 8 << 20;

pub(super) fn memory() -> Store {
    Store::open("memory://").unwrap()
}

pub(super) fn name(name: &str) -> RelativeName {
    RelativeName::new(name).unwrap()
}

pub(super) fn opened(job: &Job) -> OpenSnapshot {
    let path = &job.written.as_ref().unwrap().published.manifest_path;
    block_on(open_snapshot(&job.store, path)).unwrap()
}

fn copied(snapshot: OpenSnapshot, target: &Store) -> Result<Copied> {
    block_on(copy(snapshot, target, &SnapshotSettings::default(), &|_| {}))
}

pub(super) fn content(store: &Store) -> BTreeMap<RelativeName, Vec<u8>> {
    let files = block_on(store.list(None)).unwrap().into_iter();
    files.map(|(name, _)| (name.clone(), read(store, &name))).collect()
}

fn read(store: &Store, name: &RelativeName) -> Vec<u8> {
    block_on(store.get(name)).unwrap().unwrap().to_vec()
}

/// Calls of the store pass through what is returned beside it.
pub(super) fn faulty(store: &Store) -> (FaultStore, Store) {
    let mut fault = None;
    let store = store.clone().map_object_store(|objects| {
        let store = FaultStore::new(objects);
        fault = Some(store.clone());
        Arc::new(store)
    });
    (fault.unwrap(), store)
}

#[test]
fn a_copy_of_a_chain_stands_alone_and_is_a_savepoint() {
    let (mut job, target) = (job(), memory());
    let told = AtomicU64::new(0);
    let tell = |bytes| {
        told.fetch_add(bytes, Ordering::Relaxed);
    };
    let of_data: u64 = opened(&job).files().values().sum();
    let settings = SnapshotSettings::default();
    let done = block_on(copy(opened(&job), &target, &settings, &tell)).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), of_data);
    let files = content(&target);
    assert_eq!((done.copied.files, done.present.files), (files.len() as u64, 0));
    let len_bytes: usize = files.values().map(Vec::len).sum();
    assert_eq!(done.copied.len_bytes, len_bytes as u64);
    assert!(opened(&job).runs().len() > 6, "a chain");

    // Again: nothing is left to do, and the copy of the copy is the same to the byte.
    let again = copied(opened(&job), &target).unwrap();
    assert_eq!((again.copied.files, again.present), (0, done.copied));
    let second = memory();
    let open = block_on(open_snapshot(&target, &name(MANIFEST_NAME))).unwrap();
    assert!(open.damage.is_empty() && block_on(open.missing_runs()).unwrap().is_empty());
    assert_eq!(open.manifest, done.manifest);
    copied(open, &second).unwrap();
    assert_eq!(content(&second), files);

    // Elsewhere, the source gone.
    let published = job.written.as_mut().map(|written| &mut written.published).unwrap();
    published.manifest_path = name(MANIFEST_NAME);
    published.manifest_digest = esker_format::Digest::of(&files[&name(MANIFEST_NAME)]);
    let moved = memory().below(&name("a/b"));
    for (name, bytes) in files {
        block_on(moved.put(&name, bytes.into())).unwrap();
    }
    let model = job.model.clone();
    job.store = moved;
    for parallelism in [1, 2, 5] {
        let restored = job.restored(parallelism).unwrap();
        assert_eq!(restored.model, model);
        // The next checkpoint names none of its files.
        assert!(restored.lineages.iter().all(|lineage| lineage.chain().part.runs.is_empty()));
    }
}

#[test]
fn a_copy_runs_on_any_executor() {
    let (job, target) = (job(), memory());
    let settings = SnapshotSettings::default();
    let sent: Box<dyn Future<Output = _> + Send> =
        Box::new(copy(opened(&job), &target, &settings, &|_| {}));
    futures::executor::block_on(Box::into_pin(sent)).unwrap();
    assert!(content(&target).contains_key(&name(MANIFEST_NAME)));
}

#[test]
fn a_savepoint_is_copied_to_the_byte() {
    let mut job = Job::new(3, small());
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.written = Some(job.savepoint());
    let names = block_on(references(&job.store, &job.written.as_ref().unwrap().published)).unwrap();
    let target = memory();
    copied(opened(&job), &target).unwrap();
    let expected: BTreeMap<_, _> =
        names.into_iter().map(|name| (name.clone(), read(&job.store, &name))).collect();
    assert_eq!(content(&target), expected);
}

#[test]
fn what_is_damaged_is_named_and_a_later_copy_does_what_is_left() {
    let job = job();
    let all = opened(&job);
    let manifest = name(MANIFEST_NAME);
    for (file, len_bytes) in all.files().into_iter().step_by(3) {
        let good = read(&job.store, file);
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let longer = [&good[..], b"."].concat();
        for bad in [Some(&flipped[..]), Some(&good[..good.len() - 1]), Some(&longer[..]), None] {
            match bad {
                Some(bad) => block_on(job.store.put(file, bad.to_vec().into())).unwrap(),
                None => block_on(job.store.delete(file)).unwrap(),
            }
            let target = memory();
            let error = copied(opened(&job), &target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert_eq!(error.path(), Some(file.as_str()), "{error}");
            let left = content(&target);
            assert!(!left.contains_key(&manifest), "{error}");
            block_on(job.store.put(file, good.clone().into())).unwrap();
            let done = copied(opened(&job), &target).unwrap();
            assert_eq!(done.present.files, left.len() as u64);
            assert!(done.copied.len_bytes > len_bytes);
        }
    }
    // A part that is gone is damage that the snapshot was opened with.
    let part = all.manifest.operators[0].parts[0].name().unwrap();
    block_on(job.store.delete(&part)).unwrap();
    let error = copied(opened(&job), &memory()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(part.as_str())));
}

#[test]
fn a_target_that_holds_something_else_is_left_as_it_is() {
    let mut job = job();
    let before = opened(&job);
    job.set(1, Some(77));
    job.checkpoint(true);
    let refused = |target: &Store, reason: &str, kind| {
        let before = content(target);
        let error = copied(opened(&job), target).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(reason), "{error}");
        assert_eq!(content(target), before);
    };
    let target = memory();
    copied(before, &target).unwrap();
    let reason = "another snapshot, checkpoint=4 job=\"flights\"";
    refused(&target, reason, ErrorKind::Conflict);
    let target = memory();
    block_on(target.put(&name(MANIFEST_NAME), "what".into())).unwrap();
    refused(&target, "a manifest that cannot be read", ErrorKind::Conflict);
    let target = memory();
    block_on(target.put(&name("notes/of mine"), "what".into())).unwrap();
    refused(&target, "not of this snapshot, notes/of mine", ErrorKind::Conflict);
    refused(&job.store, "lies there", ErrorKind::Invalid);

    // A manifest that somebody else writes meanwhile stays, too.
    let inner = memory();
    let (fault, target) = faulty(&inner);
    let other = Mutex::new(inner.clone());
    fault.on_call(move |call| {
        if call.operation == Operation::Create {
            let other = other.lock().unwrap();
            block_on(other.put(&name(MANIFEST_NAME), "what".into())).unwrap();
        }
    });
    let error = copied(opened(&job), &target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(read(&inner, &name(MANIFEST_NAME)), b"what");
}

#[test]
fn any_one_failing_call_leaves_no_snapshot_or_all_of_it() {
    let job = job();
    let whole = memory();
    copied(opened(&job), &whole).unwrap();
    let whole = content(&whole);
    let manifest = name(MANIFEST_NAME);
    for of_source in [true, false] {
        let mut failed = 0;
        for number in 1.. {
            let mut met = false;
            for when in [When::Before, When::After] {
                let inner = memory();
                let (fault, faulty) = faulty(if of_source { &job.store } else { &inner });
                fault.fail_at(number, when);
                let mut snapshot = opened(&job);
                let target = match of_source {
                    true => &inner,
                    false => &faulty,
                };
                if of_source {
                    snapshot.store = faulty.clone();
                }
                let done = copied(snapshot, target);
                met |= fault.call_count() >= number;
                failed += u32::from(done.is_err());
                let left = content(&inner);
                assert!(done.is_err() || left == whole, "call={number} {when:?}");
                assert!(left.iter().all(|(name, bytes)| whole.get(name) == Some(bytes)));
                assert!(!left.contains_key(&manifest) || left == whole, "call={number} {when:?}");
                let again = copied(opened(&job), &inner).unwrap();
                assert_eq!(again.present.files, left.len() as u64, "call={number} {when:?}");
                assert_eq!(content(&inner), whole, "call={number} {when:?}");
            }
            if !met {
                break;
            }
        }
        assert!(failed > 20, "{failed} calls failed");
    }
}

/// A checkpoint of files that stand for a database, one of two pieces and some, two alike.
fn native() -> (Job, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let large: Vec<u8> = (0..2 * PIECE_LEN_BYTES + 99).map(|i| ((i * i) >> 7) as u8).collect();
    put("1.sst", &large);
    put("2.log", b"");
    put("3.log", b"");
    put("CURRENT", b"");
    let mut job = Job::new(1, small());
    let part = write(&job.store, 1, dir.path(), &Chain::default()).unwrap().chain.part;
    job.written = Some(job.manifest(SnapshotKind::Checkpoint, vec![(part, None)]));
    (job, dir)
}

#[test]
fn a_native_checkpoint_is_copied_in_pieces_with_the_names_of_its_database() {
    let (job, _dir) = native();
    let inner = memory();
    let (fault, target) = faulty(&inner);
    let longest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&longest);
    fault.on_call(move |call| {
        seen.fetch_max(call.len_bytes, Ordering::Relaxed);
    });
    copied(opened(&job), &target).unwrap();
    assert_eq!(longest.load(Ordering::Relaxed), PIECE_LEN_BYTES);
    let path = &job.written.as_ref().unwrap().published.manifest_path;
    let before = block_on(open_snapshot(&job.store, path)).unwrap();
    let after = block_on(open_snapshot(&inner, &name(MANIFEST_NAME))).unwrap();
    let files = |store: &Store, open: &OpenSnapshot| {
        fetched(store, open.parts[0][0].as_ref().unwrap()).unwrap()
    };
    assert_eq!(files(&job.store, &before), files(&inner, &after));
    assert_eq!(after.files().len(), 4, "two of a name would be refused");

    // Damage in any piece is met before the file has its name.
    let (file, len_bytes) = before.files().into_iter().max_by_key(|(_, len)| *len).unwrap();
    let good = read(&job.store, file);
    for at in [0, len_bytes / 2, len_bytes - 1] {
        let mut bad = good.clone();
        bad[at as usize] ^= 1;
        block_on(job.store.put(file, bad.into())).unwrap();
        let target = memory();
        let error = copied(opened(&job), &target).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(file.as_str())));
        assert!(content(&target).values().all(|bytes| bytes.len() < 99));
    }
    block_on(job.store.put(file, [&good[..], b"."].concat().into())).unwrap();
    assert_eq!(copied(opened(&job), &memory()).unwrap_err().path(), Some(file.as_str()));
}

#[test]
fn any_call_for_a_piece_may_fail() {
    let (job, _dir) = native();
    let whole = memory();
    let (fault, target) = faulty(&whole);
    copied(opened(&job), &target).unwrap();
    let whole = content(&whole);
    for number in 1..=fault.call_count() {
        for when in [When::Before, When::After] {
            let inner = memory();
            let (fault, target) = faulty(&inner);
            fault.fail_at(number, when);
            let done = copied(opened(&job), &target);
            let left = content(&inner);
            assert!(left.iter().all(|(name, bytes)| whole.get(name) == Some(bytes)));
            assert!(done.is_err() || left == whole, "call={number} {when:?}");
            assert!(!left.contains_key(&name(MANIFEST_NAME)) || left == whole);
            copied(opened(&job), &inner).unwrap();
            assert_eq!(content(&inner), whole);
        }
    }
}

#[test]
fn what_a_killed_copy_left_half_written_is_removed() {
    let job = job();
    let folder = tempfile::tempdir().unwrap();
    let target = Store::open(folder.path().to_str().unwrap()).unwrap();
    let run = opened(&job).runs()[0].digest;
    let half = folder.path().join(format!("{run}.run#1"));
    let mine = folder.path().join("mine#1");
    std::fs::write(&half, "half").unwrap();
    std::fs::write(&mine, "mine").unwrap();
    copied(opened(&job), &target).unwrap();
    assert!(!half.exists() && mine.exists());
}
