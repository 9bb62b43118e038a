//! Every kind of state against a model, while it is brought: calls, batches, checkpoints that complete or
//! do not, savepoints, in any order.

use crate::backends::LazyHeap;
use crate::identity::job::{self, Job};
use esker::backend::heap::HeapBackends;
use esker::format::manifest::{Manifest, StateKind};
use esker::format::{KeyGroupRange, list};
use esker::snapshot::{ChainReader, SnapshotSettings, read_part};
use esker::{Store, block_on};
use esker_conformance::every::{Call, settings as small};
use esker_conformance::lines;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Call(Call),
    /// In every subtask, so many entries.
    Bring(usize),
    /// Whether it completes.
    Checkpoint(bool),
    Savepoint,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => job::call().prop_map(Step::Call),
        3 => (1..40_usize).prop_map(Step::Bring),
        3 => prop::bool::weighted(0.7).prop_map(Step::Checkpoint),
        1 => Just(Step::Savepoint),
    ]
}

fn settings() -> impl Strategy<Value = SnapshotSettings> {
    let merge_factor = prop_oneof![Just(0.0), Just(0.5), Just(2.5), Just(50.0)];
    (merge_factor, prop_oneof![Just(5_usize), Just(48)])
        .prop_map(|(merge_factor, runs_max)| SnapshotSettings { merge_factor, runs_max, ..small() })
}

/// That parts say how many entries are live, and when the first timer is due, as their runs have it.
fn counted(store: &Store, manifest: &Manifest) {
    let operator = &manifest.operators[0];
    for part in &operator.parts {
        let part = block_on(read_part(store, part)).unwrap();
        let chain = block_on(ChainReader::open(store, &part.runs)).unwrap();
        let mut found: BTreeMap<u32, u64> = BTreeMap::new();
        for info in operator.states.iter().filter(|info| info.kind.is_keyed()) {
            let mut count = 0;
            chain
                .merge(KeyGroupRange::ALL, Some(info.id), &mut |entry| {
                    count += match info.kind {
                        StateKind::List => list::elements(entry.value).count() as u64,
                        _ => 1,
                    };
                    Ok(())
                })
                .unwrap();
            found.insert(info.id, count);
        }
        for info in operator.states.iter().filter(|info| info.kind.is_keyed()) {
            let said = part.states.iter().find(|state| state.id == info.id);
            if info.ttl.is_none() {
                let said = said.map_or(0, |state| state.entries);
                assert_eq!(said, found[&info.id], "{}", info.name);
            }
        }
    }
}

fn model(before: u32, after: u32) {
    let config = Config { cases: soak::count(80), failure_persistence: None, ..Config::default() };
    let first = proptest::collection::vec(
        (proptest::collection::vec(job::call(), 0..250), any::<bool>()),
        1..4,
    );
    let strategy = (settings(), first, proptest::collection::vec(step(), 0..400));
    TestRunner::new(config)
        .run(&strategy, |(settings, first, steps)| {
            let same = |what: &str, a: &[String], b: &[String]| {
                let difference = lines::difference(a, b);
                prop_assert!(difference.is_empty(), "{}: {:#?}", what, difference);
                Ok(())
            };
            let mut job = Job::<LazyHeap>::new(before, settings.clone());
            for (calls, completes) in first {
                calls.into_iter().for_each(|call| job.call(call));
                job.checkpoint(completes);
            }
            job.checkpoint(true);
            let mut job = job.restored(after);
            for step in steps {
                match step {
                    Step::Call(call) => job.call(call),
                    Step::Bring(entries) => job.bring(entries),
                    Step::Savepoint => {
                        same("savepoint", &job.savepoint_lines(), &job.model.lines())?;
                    }
                    Step::Checkpoint(completes) => {
                        job.checkpoint(completes);
                        if completes {
                            let (store, last) = (&job.store, job.last());
                            same("chain", &lines::of(store, last), &job.model.lines())?;
                            counted(store, last);
                        }
                    }
                }
            }
            job.checkpoint(true);
            let eager = Job::<HeapBackends>::restore(&job.store, job.last(), before, &settings);
            let mut eager = block_on(eager).unwrap();
            same("restored at once", &eager.savepoint_lines(), &job.model.lines())?;
            job.bring(usize::MAX);
            same("all of it", &job.savepoint_lines(), &job.model.lines())?;
            job.checkpoint(true);
            same("chain", &lines::of(&job.store, job.last()), &job.model.lines())?;
            counted(&job.store, job.last());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{before} -> {after}: {error}"));
}

#[test]
fn one_subtask_stays_one() {
    model(1, 1);
}

#[test]
fn two_subtasks_become_three() {
    model(2, 3);
}

#[test]
fn three_subtasks_become_two() {
    model(3, 2);
}
