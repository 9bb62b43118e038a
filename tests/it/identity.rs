//! I8 of whole backends: restore(snapshot(s)) = s at any parallelism, a chain equals a full snapshot;
//! every kind of state, with namespaces and without, with TTL and without, and operator state.
//!
//! What is compared are canonical lines: of the chain, of a savepoint of what was restored from it, of
//! a full snapshot of the original, and of a model. `ESKER_SOAK` says how many cases run.

pub(crate) mod job;
mod schema;

use crate::backends::{Tested, of_each_backend};
use esker::snapshot::SnapshotSettings;
use esker_conformance::every::{Call, settings as small};
use esker_conformance::lines;
use esker_test_support::soak;
use job::Job;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The calls before each checkpoint, and whether it completes.
type Epoch = (Vec<Call>, bool);

fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
    let calls = proptest::collection::vec(job::call(), 0..250);
    proptest::collection::vec((calls, prop::bool::weighted(0.7)), 1..9)
}

fn settings() -> impl Strategy<Value = SnapshotSettings> {
    let merge_factor = prop_oneof![Just(0.0), Just(0.5), Just(2.5)];
    (merge_factor, prop_oneof![Just(5_usize), Just(48)])
        .prop_map(|(merge_factor, runs_max)| SnapshotSettings { merge_factor, runs_max, ..small() })
}

fn run<F: Tested>(job: &mut Job<F>, epochs: Vec<Epoch>) {
    for (calls, completes) in epochs {
        calls.into_iter().for_each(|call| job.call(call));
        job.checkpoint(completes);
    }
    job.checkpoint(true);
}

fn identity<F: Tested>(before: u32, after: u32) {
    let config = Config { cases: soak::count(50), failure_persistence: None, ..Config::default() };
    let strategy = (settings(), epochs(), epochs());
    TestRunner::new(config)
        .run(&strategy, |(settings, first, second)| {
            let same = |what: &str, a: &[String], b: &[String]| {
                let difference = lines::difference(a, b);
                prop_assert!(difference.is_empty(), "{}: {:#?}", what, difference);
                Ok(())
            };
            let mut job = Job::<F>::new(before, settings);
            run(&mut job, first);
            let chain = lines::of(&job.store, job.last());
            same("chain", &chain, &job.model.lines())?;
            let mut restored = job.restored(after);
            same("restored", &restored.savepoint_lines(), &chain)?;
            same("in full", &job.savepoint_lines(), &chain)?;

            // And on from there, to where it came from.
            run(&mut restored, second);
            let chain = lines::of(&restored.store, restored.last());
            same("chain after a restore", &chain, &restored.model.lines())?;
            let mut again = restored.restored(before);
            same("restored twice", &again.savepoint_lines(), &chain)?;
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{before} -> {after}: {error}"));
}

fn chain_of_a_hundred<F: Tested>() {
    let settings = SnapshotSettings { merge_factor: 0.5, runs_max: 12, ..small() };
    let mut job = Job::<F>::new(2, settings);
    let mut random = TestRunner::deterministic();
    let (mut sliced, mut folded) = (0, 0);
    for round in 1..=100 {
        let calls = proptest::collection::vec(job::call(), 60).new_tree(&mut random).unwrap();
        proptest::strategy::ValueTree::current(&calls).into_iter().for_each(|call| job.call(call));
        // One in eight does not complete; the hundredth does.
        job.checkpoint(round % 8 != 0);
        sliced += job.stats.iter().filter(|stats| round > 1 && stats.full_entries > 0).count();
        folded += job.stats.iter().filter(|stats| stats.folded_entries > 0).count();
        if round % 25 == 0 {
            job.checkpoint(true);
            let chain = lines::of(&job.store, job.last());
            assert_eq!(chain, job.model.lines(), "round {round}");
        }
    }
    if F::WRITES_CHANGES {
        assert!(sliced > 10 && folded > 10, "slices {sliced}, folds {folded}");
    }
    let chain = lines::of(&job.store, job.last());
    assert!(chain.len() > 500, "{} lines", chain.len());
    assert_eq!(job.restored(3).savepoint_lines(), chain);
    assert_eq!(job.savepoint_lines(), chain);
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn one_subtask_becomes_two() {
            super::identity::<$factory>(1, 2);
        }

        #[test]
        fn two_subtasks_become_one() {
            super::identity::<$factory>(2, 1);
        }

        #[test]
        fn seven_subtasks_become_eleven() {
            super::identity::<$factory>(7, 11);
        }

        #[test]
        fn three_subtasks_become_sixty_four() {
            super::identity::<$factory>(3, 64);
        }

        #[test]
        fn a_chain_of_a_hundred_checkpoints_equals_a_full_one() {
            super::chain_of_a_hundred::<$factory>();
        }
    };
}
of_each_backend!(tests);
