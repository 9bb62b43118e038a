//! Barriers between sources and subtasks with state: whatever the order in which records and barriers arrive,
//! a job that dies and goes on at another parallelism from its last checkpoint has counted every record
//! exactly once, or at least once where that is what was asked for.

mod job;
mod subtask;

use esker::backend::operator::OperatorBackend;
use esker::block_on;
use esker::engine::barrier::{Limits, Mode, UnkeyedInFlight, in_flight_uid};
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::snapshot::{
    Chain, NewOperator, PartId, PartInput, SnapshotSettings, find_operator, read_operator_state,
    write_manifest, write_part,
};
use esker_conformance::store::new_store;
use esker_test_support::soak;
use job::{Job, RECORDS, SOURCES, Seen};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn counted(mode: Mode, limits: Limits, seed: u64, parallelisms: &[u32]) -> Seen {
    let mut job = Job::new(mode, limits, seed, parallelisms[0]);
    for parallelism in &parallelisms[1..] {
        job.live();
        job.restart(*parallelism);
    }
    job.live();
    job.finish();
    for source in 0..SOURCES {
        for number in 0..RECORDS {
            let times = job.times(source, number);
            match mode {
                Mode::AtLeastOnce => assert!(times > 0, "record {number} of {source} is lost"),
                _ => assert_eq!(times, 1, "record {number} of {source}"),
            }
        }
    }
    if mode != Mode::AtLeastOnce {
        job.check_order();
    }
    job.seen
}

fn lives(mode: Mode, check: impl Fn(Seen)) {
    let (completed, replayed, twice) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let config = ProptestConfig { cases: soak::count(600), ..ProptestConfig::default() };
    let limits = (0..200_u64, prop_oneof![Just(u64::MAX), 1..60_u64]);
    proptest!(config, |(
        (buffered_len_bytes_max, in_flight_len_bytes_max) in limits,
        seed in any::<u64>(),
        parallelisms in proptest::collection::vec(1..6_u32, 2..5),
    )| {
        let limits = Limits { buffered_len_bytes_max, in_flight_len_bytes_max, ..Limits::default() };
        let seen = counted(mode, limits, seed, &parallelisms);
        completed.fetch_add(seen.completed, Ordering::Relaxed);
        replayed.fetch_add(seen.replayed, Ordering::Relaxed);
        twice.fetch_add(seen.twice, Ordering::Relaxed);
    });
    let [completed, replayed, twice] = [completed, replayed, twice].map(AtomicU64::into_inner);
    assert!(completed > u64::from(soak::count(600)), "{completed} checkpoints were complete");
    check(Seen { completed, replayed, twice });
}

#[test]
fn aligned_checkpoints_count_every_record_once() {
    lives(Mode::ExactlyOnce { timeout: None }, |seen| assert_eq!(seen.replayed, 0));
}

#[test]
fn unaligned_checkpoints_count_every_record_once() {
    lives(Mode::Unaligned, |seen| assert!(seen.replayed > 0, "nothing was in flight"));
}

#[test]
fn checkpoints_that_become_unaligned_count_every_record_once() {
    let mode = Mode::ExactlyOnce { timeout: Some(Duration::from_millis(15)) };
    lives(mode, |seen| assert!(seen.replayed > 0, "nothing was in flight"));
}

#[test]
fn checkpoints_that_do_not_align_count_every_record_once_or_more() {
    lives(Mode::AtLeastOnce, |seen| {
        assert_eq!(seen.replayed, 0);
        assert!(seen.twice > 0, "no record was counted twice");
    });
}

#[test]
fn in_flight_records_without_keys_are_dealt_out() {
    let (store, settings) = (new_store(), SnapshotSettings::default());
    let uid = in_flight_uid("print", false);
    let open = |backend| UnkeyedInFlight::<(u32, String)>::new(backend).unwrap();
    let mut restored = open(OperatorBackend::new(&uid));
    let mut infos = Vec::new();
    for (checkpoint, (before, after)) in (1..).zip([(3_u32, 2_u32), (2, 5), (5, 1)]) {
        let mut parts = Vec::new();
        for subtask in 0..before {
            let mut in_flight = match subtask {
                0 => std::mem::replace(&mut restored, open(OperatorBackend::new(&uid))),
                _ => open(OperatorBackend::new(&uid)),
            };
            let records = (0..4).map(|number| (subtask, format!("{checkpoint}.{number}")));
            let operator = Some(in_flight.capture(records).unwrap());
            assert_eq!(in_flight.replay().unwrap(), [], "captured, and gone");
            infos = in_flight.backend().infos();
            let kind = SnapshotKind::Checkpoint;
            let id = PartId { kind, checkpoint, generation: 1, operator: 0, subtask };
            let range = KeyGroupRange::of_subtask(subtask, before).unwrap();
            let (captures, chain) = (Vec::new(), Chain::default());
            let input = PartInput { id, range, captures, operator, chain };
            parts.push((block_on(write_part(&store, input, &settings)).unwrap().chain.part, None));
        }
        let operator = Operator {
            uid: uid.clone(),
            key: None,
            states: infos.clone(),
            dropped: vec![],
            parts: vec![],
            extra: Default::default(),
        };
        let manifest = Manifest {
            job: "unkeyed".into(),
            kind: SnapshotKind::Checkpoint,
            checkpoint,
            generation: 1,
            operators: vec![],
            extra: Default::default(),
        };
        let written = write_manifest(&store, manifest, vec![NewOperator { operator, parts }]);
        let manifest = block_on(written).unwrap().manifest;
        let stored = find_operator(&manifest, &uid).unwrap();
        let elements = block_on(read_operator_state(&store, stored)).unwrap();
        let mut all = Vec::new();
        for subtask in 0..after {
            let mut in_flight = open(OperatorBackend::restoring(stored));
            in_flight.backend().restore(&elements, subtask, after).unwrap();
            let replayed = in_flight.replay().unwrap();
            assert!(replayed.len() as u32 >= 4 * before / after);
            all.extend(replayed);
            restored = in_flight;
        }
        all.sort_unstable();
        let wanted = (0..before)
            .flat_map(|of| (0..4).map(move |number| (of, format!("{checkpoint}.{number}"))));
        assert!(all.into_iter().eq(wanted), "checkpoint {checkpoint}");
    }
}
