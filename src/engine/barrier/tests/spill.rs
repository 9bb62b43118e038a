//! What waits in a file comes back as it would from memory, or not at all.

use super::world::World;
use crate::ErrorKind;
use crate::engine::barrier::{Action, Aligner, Limits, Mode};
use crate::format::Ordered;
use esker_test_support::soak;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EXACTLY_ONCE: Mode = Mode::ExactlyOnce { timeout: None };

#[test]
fn a_snapshot_holds_the_same_where_records_are_spilled() {
    static SPILLED: AtomicBool = AtomicBool::new(false);
    let config = ProptestConfig::with_cases(soak::count(40_000));
    let timeout = proptest::option::of((1..30_u64).prop_map(Duration::from_millis));
    let cases =
        (timeout, 2..5_usize, (0..6_u64, 1..20_u64), any::<bool>(), vec(any::<u16>(), 0..100));
    proptest!(config, |((timeout, channels, (buffered, spilled), obeys, steps) in cases)| {
        let limits = Limits {
            buffered_len_bytes_max: buffered * 10,
            spilled_len_bytes_max: spilled * 10,
            ..Limits::default()
        };
        let mode = Mode::ExactlyOnce { timeout };
        let mut world = World::new(channels, mode, (limits, obeys), true);
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
        SPILLED.fetch_or(world.spilled, Ordering::Relaxed);
    });
    assert!(SPILLED.load(Ordering::Relaxed), "nothing was ever spilled");
}

/// An aligner one of whose channels waits, with records in a file.
fn waiting() -> Aligner<u64> {
    let limits =
        Limits { buffered_len_bytes_max: 0, spilled_len_bytes_max: 80, ..Limits::default() };
    let mut aligner = Aligner::new(2, EXACTLY_ONCE, limits).unwrap();
    aligner = aligner.spilling(std::env::temp_dir(), Ordered);
    aligner.barrier(0, 1, Duration::ZERO).unwrap();
    aligner.record(0, 1, 1000).unwrap();
    aligner.record(0, 2, 1000).unwrap();
    // Records before it are written, so that order is kept.
    aligner.barrier(0, 2, Duration::ZERO).unwrap();
    aligner
}

#[test]
fn a_channel_is_stopped_when_the_file_is_full_too() {
    let mut aligner = waiting();
    assert_eq!(aligner.next_action().unwrap(), None);
    assert_eq!(aligner.buffered_len_bytes(), 128, "a barrier, and where the records are");
    assert_eq!(aligner.spilled_len_bytes(), 18);
    (0..7).for_each(|record| aligner.record(0, record, 1000).unwrap());
    assert_eq!(aligner.next_action().unwrap(), Some(Action::Stop { channel: 0 }));
    aligner.cancel(1).unwrap();
    aligner.cancel(2).unwrap();
    let actions = std::iter::from_fn(|| aligner.next_action().unwrap());
    assert_eq!(actions.filter(|action| matches!(action, Action::Process { .. })).count(), 9);
    assert_eq!((aligner.buffered_len_bytes(), aligner.spilled_len_bytes()), (0, 0));
}

#[test]
fn a_channel_cannot_be_filled_with_barriers() {
    let mut aligner = waiting();
    let mut checkpoint = 2;
    while aligner.next_action().unwrap().is_none() {
        checkpoint += 1;
        aligner.barrier(0, checkpoint, Duration::ZERO).unwrap();
    }
    assert_eq!((checkpoint, aligner.buffered_len_bytes()), (16384, 1 << 20));
}

#[test]
fn a_file_that_holds_something_else_is_noticed() {
    let mut aligner = waiting();
    let file = aligner.room.spill.as_mut().unwrap().file_mut().unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    file.write_all(&[77]).unwrap();
    aligner.cancel(1).unwrap();
    assert!(aligner.next_action().unwrap().is_some());
    assert_eq!(aligner.next_action().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(aligner.record(1, 1, 1).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(aligner.next_action().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn a_folder_that_is_missing_ends_the_subtask() {
    let limits = Limits { buffered_len_bytes_max: 0, ..Limits::default() };
    let missing = std::env::temp_dir().join("esker-no-such-folder");
    let mut aligner =
        Aligner::<u64>::new(2, EXACTLY_ONCE, limits).unwrap().spilling(missing, Ordered);
    aligner.barrier(0, 1, Duration::ZERO).unwrap();
    aligner.record(0, 1, 1).unwrap();
    let error = aligner.barrier(0, 2, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("esker-no-such-folder"), "{error}");
    assert_eq!(aligner.cancel(1).unwrap_err().kind(), ErrorKind::Poisoned);
}
