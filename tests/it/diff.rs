//! What `processor::diff` says of two snapshots is what their lines say: any two of a job with every
//! kind of state, at any parallelism, chains and in full. `ESKER_SOAK` says how many cases run.

use crate::identity::job::{self, Job};
use esker::backend::heap::HeapBackends;
use esker::format::canonical::Expired;
use esker::format::manifest::{Manifest, SnapshotKind};
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::processor::{DiffFilter, Side, diff};
use esker::snapshot::{OpenSnapshot, SnapshotSettings, manifest_folder, open_snapshot};
use esker::store::fault::FaultStore;
use esker::{Store, block_on};
use esker_conformance::every::{Call, settings as small};
use esker_conformance::lines;
use esker_conformance::store::new_store;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Snapshot<'a> = (&'a Store, &'a Manifest);

fn opened((store, manifest): Snapshot<'_>) -> OpenSnapshot {
    let folder = manifest_folder(manifest).unwrap();
    let name = folder.map_or("_metadata".to_owned(), |folder| format!("{folder}/_metadata"));
    block_on(open_snapshot(store, &name.parse().unwrap())).unwrap()
}

/// The lines that differ, sorted, by a comparison of all.
fn expected(a: Snapshot<'_>, b: Snapshot<'_>) -> Vec<String> {
    let once = a.1.operators[0].parts.len() != b.1.operators[0].parts.len();
    let lines_of = |(store, manifest): Snapshot<'_>| match once {
        true => lines::of(store, manifest),
        false => lines::all(store, manifest),
    };
    let mut counts = BTreeMap::<String, i64>::new();
    lines_of(a).into_iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    lines_of(b).into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let signed = counts.into_iter().flat_map(|(line, count)| {
        let sign = if count < 0 { '-' } else { '+' };
        std::iter::repeat_n(format!("{sign}{line}"), count.unsigned_abs() as usize)
    });
    let mut signed: Vec<_> = signed.collect();
    signed.sort_unstable();
    signed
}

/// The lines that `diff` finds, sorted; its counts are theirs.
fn found(a: &OpenSnapshot, b: &OpenSnapshot, filter: &DiffFilter) -> Vec<String> {
    let mut found = Vec::new();
    let mut each = |side: Side, line: &str| {
        let sign = if side == Side::A { '-' } else { '+' };
        found.push(format!("{sign}{line}"));
        Ok(())
    };
    let mut groups = 0;
    let diff = diff(a, b, filter, &mut |done| groups += done, &mut each).unwrap();
    assert!(diff.damage.is_empty() && diff.metadata.is_empty(), "{diff:?}");
    assert_eq!(groups, u64::from(filter.range.count()));
    let count = |sign: char| found.iter().filter(|line| line.starts_with(sign)).count() as u64;
    let alone = |side: fn(&esker::processor::StateDiff) -> u64| -> u64 {
        diff.states.iter().map(|state| side(state) + state.changed).sum()
    };
    assert_eq!((alone(|s| s.only_in_a), alone(|s| s.only_in_b)), (count('-'), count('+')));
    assert_eq!(diff.is_same(), found.is_empty());
    found.sort_unstable();
    found
}

fn epochs(calls: usize) -> impl Strategy<Value = Vec<(Vec<Call>, bool)>> {
    let calls = proptest::collection::vec(job::call(), 0..calls);
    proptest::collection::vec((calls, prop::bool::weighted(0.8)), 0..5)
}

fn run(job: &mut Job<HeapBackends>, epochs: Vec<(Vec<Call>, bool)>) {
    for (calls, completes) in epochs {
        calls.into_iter().for_each(|call| job.call(call));
        job.checkpoint(completes);
    }
    job.checkpoint(true);
}

#[test]
fn two_snapshots_differ_as_their_lines_do() {
    let config = Config { cases: soak::count(400), failure_persistence: None, ..Config::default() };
    let parallelism = prop_oneof![Just((1, 1)), Just((2, 2)), Just((2, 3)), Just((5, 2))];
    let merge_factor = prop_oneof![Just(0.0), Just(2.5)];
    let strategy = (parallelism, merge_factor, epochs(250), epochs(40));
    let differences = Cell::new(0);
    let tested =
        TestRunner::new(config).run(&strategy, |((from, to), merge_factor, first, second)| {
            let settings = SnapshotSettings { merge_factor, runs_max: 5, ..small() };
            let mut job = Job::<HeapBackends>::new(from, settings);
            run(&mut job, first);
            let (store, before) = (job.store.clone(), job.last().clone());
            if from != to {
                job = job.restored(to);
            }
            run(&mut job, second);
            let after = job.last().clone();
            let full = new_store();
            let saved =
                block_on(job.write(&full, SnapshotKind::Savepoint, true)).unwrap().0.unwrap();
            let (before, after, saved) = ((&store, &before), (&store, &after), (&full, &saved));
            for (a, b) in [(before, after), (after, before), (before, saved), (after, saved)] {
                let found = found(&opened(a), &opened(b), &DiffFilter::default());
                let expected = expected(a, b);
                prop_assert_eq!(&found, &expected);
                differences.set(differences.get() + found.len());
            }
            prop_assert!(found(&opened(after), &opened(saved), &DiffFilter::default()).is_empty());
            // Two halves of the key groups are all of keyed state.
            let all = found(&opened(before), &opened(after), &DiffFilter::default());
            let mut halves = Vec::new();
            for (first, last) in [(0, 29_999), (30_000, u16::MAX)] {
                let range = KeyGroupRange::new(first, last).unwrap();
                let filter = DiffFilter { range, ..DiffFilter::default() };
                halves.extend(found(&opened(before), &opened(after), &filter));
            }
            halves.sort_unstable();
            let keyed = all.into_iter().filter(|line| !line.contains(r#""kind":"operator-"#));
            prop_assert_eq!(halves, keyed.collect::<Vec<_>>());
            Ok(())
        });
    tested.unwrap_or_else(|error| panic!("{error}"));
    assert!(differences.get() > 100, "{}", differences.get());
}

#[test]
fn two_checkpoints_that_share_their_runs_are_told_apart_by_the_rest() {
    let settings = SnapshotSettings {
        file_len_bytes: 32 << 10,
        block_len_bytes: 1 << 10,
        merge_factor: 3.2,
        ..SnapshotSettings::default()
    };
    let mut job = Job::<HeapBackends>::new(2, settings);
    let (what, spaced, namespace, user_key) = (0, false, 0, 0);
    let value = |key: u64, amount| Call { what, spaced, key, namespace, user_key, amount };
    for key in 0..40_000 {
        job.call(value(key, (key as u32).wrapping_mul(2_654_435_761)));
    }
    job.checkpoint(true);
    let before = job.last().clone();
    // A few keys of neighbouring key groups.
    let near = |key: &u64| key.with_encoded(KeyGroup::of).0 / 64 == 77;
    let changed: Vec<u64> = (0..40_000).filter(near).collect();
    changed.iter().for_each(|key| job.call(value(*key, 7)));
    job.checkpoint(true);
    let after = job.last().clone();

    let read = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&read);
    let counting = job.store.clone().map_object_store(|objects| {
        let faults = FaultStore::new(objects);
        faults.on_done(move |call| {
            sum.fetch_add(call.len_bytes, Ordering::Relaxed);
        });
        Arc::new(faults)
    });
    let (a, b) = (opened((&counting, &before)), opened((&counting, &after)));
    let len_bytes = |snapshot: &OpenSnapshot| snapshot.files().values().sum::<u64>();
    let named = |snapshot: &OpenSnapshot| {
        let runs = snapshot.runs().into_iter().map(|run| (run.digest, run.len_bytes));
        runs.collect::<BTreeMap<_, _>>()
    };
    let (of_a, of_b) = (named(&a), named(&b));
    let shared: u64 =
        of_b.iter().filter(|(run, _)| of_a.contains_key(run)).map(|(_, len)| len).sum();
    assert!(shared * 100 > len_bytes(&b) * 98, "{shared} of {} are shared", len_bytes(&b));
    for expired in [Expired::Shown, Expired::Hidden] {
        read.store(0, Ordering::Relaxed);
        let filter = DiffFilter { expired, ..DiffFilter::default() };
        assert_eq!(found(&a, &b, &filter).len(), 2 * changed.len());
        let (read, both) = (read.load(Ordering::Relaxed), len_bytes(&a) + len_bytes(&b));
        assert!(read > 0 && read * 100 < both * 3, "{read} bytes of {both}");
    }
    // What is the same is not read at all.
    read.store(0, Ordering::Relaxed);
    assert!(
        found(&a, &a, &DiffFilter { expired: Expired::Shown, ..DiffFilter::default() }).is_empty()
    );
    assert_eq!(read.load(Ordering::Relaxed), 0);
}
