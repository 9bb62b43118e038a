//! Chains of checkpoints: whatever completes or not, is merged or folded, restores to the model.

use super::world::*;
use crate::block_on;
use crate::snapshot::*;
use esker_format::manifest::SnapshotKind;
use esker_format::part::RunRef;
use esker_format::run::{IndexLocation, RunOptions, RunReader, RunWriter};
use esker_format::{Key, KeyGroup, KeyGroupRange, RelativeName};
use esker_test_support::soak;
use proptest::prelude::*;
use std::collections::BTreeSet;

type Epoch = (Vec<(u64, Option<u64>)>, bool);

fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
    let ops = proptest::collection::vec((0..300_u64, any::<Option<u64>>()), 0..60);
    proptest::collection::vec((ops, prop::bool::weighted(0.7)), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::count(160)))]

    /// I8: aborted checkpoints, slices and folds included, at other parallelisms, and going on
    /// from there.
    #[test]
    fn a_chain_restores_to_what_was_there(
        first in epochs(),
        second in epochs(),
        (before, after) in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11)), Just((3, 64))],
        merge_factor in prop_oneof![Just(0.0), Just(0.5), Just(2.5)],
        runs_max in prop_oneof![Just(5_usize), Just(48)],
    ) {
        let mut job = Job::new(before, SnapshotSettings { merge_factor, runs_max, ..small() });
        for (ops, completes) in first {
            ops.into_iter().for_each(|(key, value)| job.set(key, value));
            job.checkpoint(completes);
        }
        job.checkpoint(true);
        let mut job = { let restored = job.restored(after).unwrap();
            prop_assert_eq!(&restored.model, &job.model);
            restored };
        for (ops, completes) in second {
            ops.into_iter().for_each(|(key, value)| job.set(key, value));
            job.checkpoint(completes);
        }
        job.checkpoint(true);
        prop_assert!(job.depth() <= runs_max + 4, "depth {}", job.depth());
        let again = job.restored(before).unwrap();
        prop_assert_eq!(&again.model, &job.model);

        // The chain merger gives what a full snapshot has, byte for byte.
        for (subtask, lineage) in again.lineages.iter().enumerate() {
            let range = KeyGroupRange::of_subtask(subtask as u32, before).unwrap();
            let chain = block_on(ChainReader::open(&job.store, &lineage.chain().part.runs)).unwrap();
            let mut merged = Vec::new();
            chain.merge(range, None, &mut |entry| {
                merged.push((entry.key.to_vec(), entry.op, entry.value.to_vec()));
                Ok(())
            }).unwrap();
            prop_assert_eq!(merged, super::merge::full_entries(&again, subtask));
        }
    }
}

#[test]
fn a_hundred_incremental_checkpoints_equal_a_full_one_in_bounded_runs_and_bytes() {
    for (merge_factor, runs_max) in [(2.5, 48), (0.0, 8), (0.2, 12)] {
        let settings = SnapshotSettings { merge_factor, runs_max, ..small() };
        let mut job = Job::new(2, settings);
        (0..KEYS).for_each(|key| job.set(key, Some(key)));
        job.checkpoint(true);
        let full: u64 = job.stats.iter().map(|stats| stats.written_len_bytes).sum();
        let (mut written, mut changed) = (0, 0);
        for round in 0..100_u64 {
            (0..KEYS / 25).for_each(|i| job.set((round * 7919 + i * 31) % KEYS, Some(round)));
            job.checkpoint(true);
            written += job.stats.iter().map(|stats| stats.written_len_bytes).sum::<u64>();
            changed += job.stats.iter().map(|stats| stats.changed_len_bytes).sum::<u64>();
            assert!(job.depth() <= runs_max, "depth {}", job.depth());
        }
        assert_eq!(job.restored(3).unwrap().model, job.model);
        let held: u64 = job.lineages.iter().map(|lineage| lineage.chain().len_bytes()).sum();
        println!(
            "factor={merge_factor} depth={} full={full} held={held} changed={changed} written={written}",
            job.depth()
        );
        assert!(merge_factor == 0.0 || held < 4 * full, "held={held} full={full}");
        assert!((written as f64) < 6.0 * changed as f64, "written={written} changed={changed}");
    }
}

#[test]
fn the_same_input_gives_the_same_runs() {
    let runs = || {
        let mut job = Job::new(2, small());
        (0..KEYS).for_each(|key| job.set(key, Some(key)));
        for round in 0..8 {
            job.checkpoint(true);
            (0..KEYS / 25).for_each(|i| job.set((round * 7919 + i * 31) % KEYS, Some(round)));
        }
        let runs = job.lineages.iter().flat_map(|lineage| lineage.chain().part.runs.clone());
        runs.map(|run| (run.digest, run.range)).collect::<Vec<_>>()
    };
    let first = runs();
    assert!(first.len() > 20, "{}", first.len());
    (0..3).for_each(|_| assert_eq!(runs(), first));
}

#[test]
fn runs_of_changes_have_a_filter_and_those_in_full_have_none() {
    let mut job = Job::new(1, SnapshotSettings { merge_factor: 0.0, ..small() });
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);
    job.set(5, Some(6));
    job.checkpoint(true);
    for run in &job.lineages[0].chain().part.runs {
        let file = block_on(job.store.get(&run.file)).unwrap().unwrap();
        let filter = RunReader::open_file(&file).unwrap().index().filter;
        assert_eq!(filter.is_some(), run.base.is_empty(), "{run:?}");
    }
}

#[test]
fn a_checkpoint_without_changes_writes_no_run_and_no_part() {
    let settings = SnapshotSettings { merge_factor: 0.0, ..small() };
    let mut job = Job::new(4, settings);
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);
    let before = block_on(job.store.list(None)).unwrap().len();
    job.checkpoint(true);
    let written = job.written.as_ref().unwrap();
    assert_eq!(written.names, BTreeSet::from([written.published.manifest_path.clone()]));
    assert_eq!(block_on(job.store.list(None)).unwrap().len(), before + 1);
    job.set(5, Some(6));
    job.checkpoint(true);
    assert_eq!(job.written.as_ref().unwrap().names.len(), 2, "one part and the manifest");
    assert_eq!(job.restored(4).unwrap().model, job.model);
}

#[test]
fn a_state_that_became_empty_restores_empty() {
    let mut job = Job::new(2, small());
    (0..200).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);
    (0..200).for_each(|key| job.set(key, None));
    for _ in 0..30 {
        job.checkpoint(true);
        assert!(job.restored(1).unwrap().model.is_empty());
    }
    job.set(7, Some(7));
    job.checkpoint(true);
    assert_eq!(job.restored(3).unwrap().model, job.model);
}

#[test]
fn captures_of_failed_checkpoints_are_written_later_and_given_up_in_the_end() {
    let mut job = Job::new(1, small());
    (0..KEYS).for_each(|key| job.set(key, Some(0)));
    job.checkpoint(true);
    for failures in 0..6_u64 {
        for failure in 0..failures {
            (0..20).for_each(|key| job.set(failure * 20 + key, Some(failures)));
            job.checkpoint(false);
        }
        job.set(2000, Some(failures));
        job.checkpoint(true);
        let full = job.stats[0].full_entries == KEYS;
        assert_eq!(full, failures >= 3, "after {failures} failures");
        assert_eq!(job.lineages[0].pending(), 0);
        assert_eq!(job.restored(2).unwrap().model, job.model);
    }
}

#[test]
fn references_are_what_a_restore_needs() {
    let mut job = Job::new(2, small());
    for round in 0..12 {
        (0..KEYS / 3).for_each(|i| job.set((round * 997 + i) % KEYS, Some(round)));
        job.checkpoint(round % 4 != 3);
    }
    job.checkpoint(true);
    let names = block_on(references(&job.store, &job.written.as_ref().unwrap().published)).unwrap();
    let mut swept = 0;
    for (name, _) in block_on(job.store.list(None)).unwrap() {
        if !names.contains(&name) {
            block_on(job.store.delete(&name)).unwrap();
            swept += 1;
        }
    }
    assert!(swept > 10, "{swept}");
    assert_eq!(job.restored(3).unwrap().model, job.model);
    let path = &job.written.as_ref().unwrap().published.manifest_path;
    let open = block_on(open_snapshot(&job.store, path)).unwrap();
    assert!(open.damage.is_empty() && block_on(open.missing_runs()).unwrap().is_empty());
    let runs: BTreeSet<_> = open.runs().iter().map(|run| run.file.clone()).collect();
    assert!(runs.is_subset(&names) && !runs.is_empty());
}

#[test]
fn a_savepoint_is_complete_and_can_be_moved() {
    let mut job = Job::new(3, small());
    for round in 0..5 {
        (0..KEYS / 2).for_each(|i| job.set((round * 997 + i) % KEYS, Some(round)));
        job.checkpoint(true);
    }
    let model = job.model.clone();
    let checkpoints = job.store.clone();
    job.store = crate::Store::open("memory://").unwrap();
    let savepoint = job.savepoint();
    let names = block_on(references(&job.store, &savepoint.published)).unwrap();
    assert!(names.iter().all(|name| !name.as_str().contains("shared")), "{names:?}");

    // All of it lies below its folder, and restores from another place.
    let moved = crate::Store::open("memory://").unwrap();
    let moved = moved.below(&RelativeName::new("a/b").unwrap());
    for (name, _) in block_on(job.store.list(None)).unwrap() {
        let bytes = block_on(job.store.get(&name)).unwrap().unwrap();
        block_on(moved.put(&name, bytes)).unwrap();
    }
    (job.store, job.written) = (moved, Some(savepoint));
    let restored = job.restored(5).unwrap();
    assert_eq!(restored.model, model);
    assert!(restored.lineages.iter().all(|lineage| lineage.chain().part.runs.is_empty()));

    // The checkpoints go on, the savepoint's captures set aside.
    job.store = checkpoints;
    job.written = None;
    (0..100).for_each(|key| job.set(key, Some(77)));
    job.checkpoint(true);
    assert_eq!(job.restored(2).unwrap().model, job.model);
}

#[test]
fn a_savepoint_names_no_part_of_a_checkpoint() {
    // Two parts without a run are byte-equal.
    let mut job = Job::new(1, small());
    job.checkpoint(true);
    let before = job.written.as_ref().unwrap().manifest.operators[0].parts[0].clone();
    let part = job.lineages[0].chain().part.clone();
    let savepoint = job.manifest(SnapshotKind::Savepoint, vec![(part, Some(before))]);
    let names: Vec<_> = savepoint.references.iter().map(RelativeName::as_str).collect();
    assert!(names.len() == 1 && names[0].starts_with("parts/"), "{names:?}");
    assert!(savepoint.names.is_superset(&savepoint.references));
}

#[test]
fn runs_that_fold_into_nothing_go_on_hiding_what_is_older() {
    let settings =
        SnapshotSettings { merge_factor: 0.0, runs_max: 5, file_len_bytes: 1 << 20, ..small() };
    let mut job = Job::new(1, settings);
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);

    // A slice in the midst of the run before, in which nothing is left.
    let slice = KeyGroupRange::new(20_000, 30_000).unwrap();
    let is_in = |key: &u64| slice.contains(key.with_encoded(KeyGroup::of));
    let keys: Vec<u64> = (0..KEYS).filter(is_in).collect();
    keys.iter().for_each(|key| job.set(*key, None));
    let (bytes, summary) = RunWriter::new(RunOptions::default()).finish().unwrap();
    let file = RelativeName::new("shared/1/empty.run").unwrap();
    block_on(job.store.put(&file, bytes.into())).unwrap();
    let index = IndexLocation {
        offset: summary.index_offset,
        len_bytes: summary.index_len_bytes,
        digest: summary.index_digest,
    };
    let (len_bytes, digest) = (summary.len_bytes, summary.digest);
    let (range, base, entries) = (slice, vec![slice], 0);
    let mut chain = job.lineages[0].chain().clone();
    chain.part.runs.push(RunRef { file, len_bytes, digest, index, range, base, entries });
    job.lineages[0] = Lineage::new(chain);

    // Removals, then a value that comes and goes.
    for round in 0..4 {
        job.checkpoint(true);
        assert_eq!(job.restored(2).unwrap().model, job.model, "round {round}");
        job.set(keys[0], Some(1).filter(|_| round % 2 == 0));
    }
    assert!(job.stats[0].folded_entries == 0 && job.depth() <= 3, "depth {}", job.depth());
    let runs = &job.lineages[0].chain().part.runs;
    assert!(runs.iter().any(|run| run.entries == 0 && run.base == [slice]), "{runs:?}");
}
