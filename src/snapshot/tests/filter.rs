//! Rewrites that look at entries: what a call that fails leaves, and what ends what was begun.

use super::copy::{content, faulty, memory, name, opened};
use super::world::*;
use crate::processor::{RewritePlan, Rewritten, Transport, rewrite};
use crate::snapshot::*;
use crate::store::fault::{Operation, When};
use crate::{ErrorKind, Result, Store, block_on};
use esker_format::{Key, KeyGroup, RelativeName};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn filtered(job: &Job, filter: &str, target: &Store) -> Result<Rewritten> {
    let plan = RewritePlan { filter: Some(filter.into()), ..RewritePlan::default() };
    block_on(rewrite(opened(job), &plan, target, Transport::Link, &small(), &|_| {}))
}

/// Fails at an entry of the last subtask, once runs of the first are written.
fn failing() -> String {
    let last = (0..KEYS).max_by_key(|key| key.with_encoded(KeyGroup::of)).unwrap();
    format!("key != {last}u || value.x > 1")
}

fn files(target: &Store, ends: &str) -> Vec<RelativeName> {
    let names = content(target).into_keys();
    names.filter(|name| name.as_str().ends_with(ends)).collect()
}

#[test]
fn a_filter_that_fails_at_an_entry_leaves_the_folder_as_it_was() {
    let (job, stale) = (job(), name(&format!("{}.run", "0".repeat(64))));
    for is_empty in [true, false] {
        let (fault, target) = faulty(&memory());
        if !is_empty {
            block_on(target.put(&stale, "of another one".into())).unwrap();
        }
        let before = content(&target);
        let puts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&puts);
        fault.on_done(move |call| {
            counted.fetch_add(u64::from(call.operation == Operation::Put), Ordering::Relaxed);
        });
        let error = filtered(&job, &failing(), &target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(puts.swap(0, Ordering::Relaxed) > 2);
        assert_eq!(content(&target), before);

        // Another plan.
        let done = filtered(&job, "value > 1", &target);
        assert!(puts.load(Ordering::Relaxed) > 2);
        match done {
            Ok(done) => assert!(is_empty && done.left[0].entries > 0),
            Err(error) => {
                assert!(!is_empty && error.kind() == ErrorKind::Conflict, "{error}");
                assert_eq!(content(&target), before, "somebody's copy can be ended");
            }
        }
    }
}

#[test]
fn what_cannot_be_deleted_hides_no_error_and_what_a_manifest_may_name_stays() {
    let job = job();
    let (fault, target) = faulty(&memory());
    fault.delay_deletes();
    let error = filtered(&job, &failing(), &target).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("key="), "{error}");
    assert!(!files(&target, ".run").is_empty());

    // Somebody ends a snapshot there meanwhile.
    let (fault, target) = faulty(&memory());
    let inner = target.clone();
    let manifest = name(MANIFEST_NAME);
    fault.on_done(move |call| {
        if call.operation == Operation::Put && call.path.ends_with(".run") {
            let created = inner.create(&manifest, "of another one".into());
            let created = std::thread::scope(|scope| {
                scope.spawn(|| futures::executor::block_on(created).is_ok()).join()
            });
            assert!(created.unwrap());
        }
    });
    let error = filtered(&job, "value > 1", &target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(!files(&target, ".run").is_empty());
}

#[test]
fn a_whole_one_that_lost_files_is_ended_by_the_same_plan_and_by_no_other() {
    let (job, target) = (job(), memory());
    filtered(&job, "value > 1", &target).unwrap();
    let whole = content(&target);
    let (runs, parts) = (files(&target, ".run"), files(&target, ".part"));
    assert!(runs.len() > 2 && parts.len() == 2);
    for lost in [&runs[..1], &runs[1..], &parts[..1], &parts[..]] {
        lost.iter().for_each(|name| block_on(target.delete(name)).unwrap());
        let left = content(&target);
        let error = filtered(&job, "value > 2", &target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(content(&target), left);
        let done = filtered(&job, "value > 1", &target).unwrap();
        assert_eq!(done.written.files, lost.len() as u64);
        assert_eq!(content(&target), whole);
    }
    // What a lost part names is not known.
    for lost in runs.iter().chain(&parts) {
        block_on(target.delete(lost)).unwrap();
    }
    let error = filtered(&job, "value > 1", &target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let said = error.to_string();
    assert!(said.contains("or what is left of this one (") && said.contains(".part"), "{said}");
}

#[test]
fn any_one_failing_call_leaves_no_snapshot_or_all_of_it() {
    let job = job();
    let whole = memory();
    filtered(&job, "value > 1", &whole).unwrap();
    let whole = content(&whole);
    let mut failed = 0;
    for number in 1.. {
        let (fault, target) = faulty(&memory());
        fault.fail_at(number, When::After);
        let done = filtered(&job, "value > 1", &target);
        if fault.call_count() < number {
            break;
        }
        failed += u32::from(done.is_err());
        let left = content(&target);
        let is_whole = left == whole;
        assert!(is_whole || !left.contains_key(&name(MANIFEST_NAME)), "call={number}");
        filtered(&job, "value > 1", &target).unwrap();
        assert_eq!(content(&target), whole, "call={number}");
    }
    assert!(failed > 5, "{failed}");
}
