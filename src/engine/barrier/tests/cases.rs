//! What is decided case by case.

use crate::ErrorKind;
use crate::engine::barrier::{
    AbortReason, Action, Aligned, Aligner, AlignmentStats, Limits, Mode, Mode::*,
};
use std::time::Duration;

const EXACTLY_ONCE: Mode = ExactlyOnce { timeout: None };
const EVERY: [Mode; 4] =
    [EXACTLY_ONCE, ExactlyOnce { timeout: Some(Duration::ZERO) }, AtLeastOnce, Unaligned];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn aligner(channels: usize, mode: Mode) -> Aligner<u32> {
    Aligner::new(channels, mode, Limits::default()).unwrap()
}

fn all(aligner: &mut Aligner<u32>) -> Vec<Action<u32>> {
    std::iter::from_fn(|| aligner.next_action().unwrap()).collect()
}

fn process(channel: usize, record: u32) -> Action<u32> {
    Action::Process { channel, record }
}

fn capture(checkpoint: u64) -> Action<u32> {
    Action::Capture { checkpoint }
}

fn aborted(checkpoint: u64, reason: AbortReason, captured: bool) -> Action<u32> {
    Action::Aborted { checkpoint, reason, captured }
}

/// What was aligned, and what was in flight.
fn aligned(action: &Action<u32>) -> (u64, Vec<(usize, u32)>) {
    match action {
        Action::Aligned(Aligned { checkpoint, in_flight, .. }) => (*checkpoint, in_flight.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_channel_waits_for_the_others() {
    let mut aligner = aligner(2, EXACTLY_ONCE);
    aligner.record(0, 1, 5).unwrap();
    aligner.barrier(0, 1, ms(10)).unwrap();
    aligner.record(0, 2, 6).unwrap();
    // Of the next checkpoint, which begins once this one is aligned.
    aligner.barrier(0, 2, ms(11)).unwrap();
    aligner.record(0, 3, 7).unwrap();
    aligner.record(1, 4, 8).unwrap();
    assert_eq!(all(&mut aligner), [process(0, 1), process(1, 4)]);
    assert!(aligner.pending().eq([1]));
    aligner.barrier(1, 1, ms(30)).unwrap();
    let stats = AlignmentStats {
        time: ms(20),
        capture_delay: ms(20),
        buffered_records: 2,
        buffered_len_bytes: 13,
        processed_records: 1,
        processed_len_bytes: 8,
        ..AlignmentStats::default()
    };
    let of_first = Aligned { checkpoint: 1, in_flight: vec![], stats };
    assert_eq!(all(&mut aligner), [capture(1), Action::Aligned(of_first), process(0, 2)]);
    assert!(aligner.pending().eq([2]));
    aligner.end(1, ms(41)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!(actions[..2], [Action::Ended { channel: 1 }, capture(2)]);
    let Action::Aligned(of_second) = &actions[2] else { panic!("{actions:?}") };
    assert_eq!(of_second.stats.time, ms(30), "since it arrived, not since its turn");
    assert_eq!(actions[3..], [process(0, 3)]);
}

#[test]
fn no_channel_waits_where_at_least_once_is_enough() {
    let mut aligner = aligner(2, AtLeastOnce);
    aligner.barrier(0, 1, ms(0)).unwrap();
    aligner.record(0, 1, 1).unwrap();
    aligner.barrier(0, 2, ms(0)).unwrap();
    aligner.record(1, 2, 1).unwrap();
    assert_eq!(all(&mut aligner), [process(0, 1), process(1, 2)]);
    assert!(aligner.pending().eq([1, 2]));
    aligner.barrier(1, 1, ms(0)).unwrap();
    aligner.barrier(1, 2, ms(0)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!((&actions[0], &actions[2]), (&capture(1), &capture(2)));
    assert_eq!((aligned(&actions[1]), aligned(&actions[3])), ((1, vec![]), (2, vec![])));
}

#[test]
fn records_before_late_barriers_are_in_flight_for_every_checkpoint_that_waits_for_them() {
    let mut aligner = aligner(2, Unaligned);
    for (checkpoint, record) in [(1, 10), (2, 20)] {
        aligner.barrier(0, checkpoint, ms(checkpoint)).unwrap();
        aligner.record(1, record, 3).unwrap();
        aligner.record(0, record + 1, 3).unwrap();
        assert_eq!(
            all(&mut aligner),
            [capture(checkpoint), process(1, record), process(0, record + 1)]
        );
    }
    aligner.barrier(1, 1, ms(5)).unwrap();
    aligner.record(1, 30, 3).unwrap();
    aligner.barrier(1, 2, ms(6)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!(aligned(&actions[0]), (1, vec![(1, 10), (1, 20)]));
    assert_eq!(actions[1], process(1, 30));
    assert_eq!(aligned(&actions[2]), (2, vec![(1, 20), (1, 30)]));
    let Action::Aligned(Aligned { stats, .. }) = &actions[2] else { panic!() };
    let AlignmentStats { time, capture_delay, is_unaligned, in_flight_len_bytes, .. } = *stats;
    assert_eq!((time, capture_delay, is_unaligned, in_flight_len_bytes), (ms(4), ms(0), true, 6));
}

#[test]
fn a_checkpoint_that_aligns_for_too_long_becomes_unaligned() {
    let mut aligner = aligner(2, ExactlyOnce { timeout: Some(ms(10)) });
    assert_eq!(aligner.deadline(), None);
    aligner.barrier(0, 1, ms(5)).unwrap();
    aligner.record(0, 1, 1).unwrap();
    assert_eq!(aligner.deadline(), Some(ms(15)));
    aligner.tick(ms(14));
    aligner.record(1, 2, 1).unwrap();
    assert_eq!(all(&mut aligner), [process(1, 2)]);
    aligner.tick(ms(15));
    aligner.record(1, 3, 1).unwrap();
    assert_eq!(all(&mut aligner), [capture(1), process(1, 3), process(0, 1)]);
    // The next one aligns, while the first one still waits for a barrier.
    aligner.barrier(0, 2, ms(16)).unwrap();
    aligner.record(0, 4, 1).unwrap();
    assert_eq!((all(&mut aligner), aligner.deadline()), (vec![], Some(ms(26))));
    aligner.barrier(1, 1, ms(20)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!((aligned(&actions[0]), actions.len()), ((1, vec![(1, 3)]), 1));
    aligner.barrier(1, 2, ms(21)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!((&actions[0], aligned(&actions[1])), (&capture(2), (2, vec![])));
    assert_eq!(actions[2..], [process(0, 4)]);
}

#[test]
fn a_barrier_may_pass_records_that_wait_in_front_of_it() {
    let mut aligner = aligner(1, Unaligned);
    aligner.record(0, 1, 1).unwrap();
    aligner.announce(0, 1, ms(0)).unwrap();
    aligner.record(0, 2, 1).unwrap();
    aligner.barrier(0, 1, ms(9)).unwrap();
    aligner.record(0, 3, 1).unwrap();
    let actions = all(&mut aligner);
    assert_eq!(actions[..3], [process(0, 1), capture(1), process(0, 2)]);
    assert_eq!((aligned(&actions[3]), &actions[4]), ((1, vec![(0, 2)]), &process(0, 3)));

    // Where channels wait, the time begins to run.
    let mut aligner = self::aligner(1, ExactlyOnce { timeout: Some(ms(10)) });
    aligner.announce(0, 1, ms(3)).unwrap();
    assert_eq!((all(&mut aligner), aligner.deadline()), (vec![], Some(ms(13))));
    let mut aligner = self::aligner(1, EXACTLY_ONCE);
    aligner.announce(0, 1, ms(3)).unwrap();
    assert_eq!(aligner.pending().count(), 0);
}

#[test]
fn one_input_never_waits_and_no_records_are_enough() {
    for mode in EVERY {
        for channels in [1, 3] {
            let mut aligner = aligner(channels, mode);
            (0..channels).for_each(|channel| aligner.barrier(channel, 7, ms(1)).unwrap());
            let actions = all(&mut aligner);
            assert_eq!((&actions[0], aligned(&actions[1])), (&capture(7), (7, vec![])), "{mode:?}");
            aligner.record(0, 1, 1).unwrap();
            assert_eq!(all(&mut aligner), [process(0, 1)]);
        }
    }
}

#[test]
fn a_newer_barrier_aborts_a_checkpoint_that_a_channel_will_never_bring() {
    for (mode, captured) in [(EXACTLY_ONCE, false), (AtLeastOnce, false), (Unaligned, true)] {
        let mut aligner = aligner(2, mode);
        aligner.barrier(0, 1, ms(0)).unwrap();
        all(&mut aligner);
        aligner.record(0, 1, 1).unwrap();
        aligner.barrier(1, 2, ms(0)).unwrap();
        let actions = all(&mut aligner);
        assert!(actions.contains(&aborted(1, AbortReason::Overtaken(2), captured)), "{mode:?}");
        assert!(actions.contains(&process(0, 1)), "{mode:?}");
        // It is late, and was there before.
        aligner.barrier(1, 1, ms(0)).unwrap();
        aligner.barrier(0, 1, ms(0)).unwrap();
        assert_eq!(all(&mut aligner), []);
        aligner.barrier(0, 2, ms(0)).unwrap();
        assert_eq!(all(&mut aligner).iter().map(aligned_or_none).max(), Some(Some(2)));
        assert_eq!(aligner.ignored_barriers(), 2);
    }
}

fn aligned_or_none(action: &Action<u32>) -> Option<u64> {
    matches!(action, Action::Aligned(_)).then(|| aligned(action).0)
}

#[test]
fn what_is_cancelled_ends_or_never_begins() {
    for mode in EVERY {
        let mut aligner = aligner(2, mode);
        let cancelled = |n, captured| aborted(n, AbortReason::Cancelled, captured);
        aligner.cancel(2).unwrap();
        aligner.cancel(2).unwrap();
        assert_eq!(all(&mut aligner), [cancelled(2, false)], "once");
        aligner.barrier(0, 1, ms(0)).unwrap();
        aligner.record(0, 1, 1).unwrap();
        let captured = all(&mut aligner).contains(&capture(1));
        aligner.cancel(1).unwrap();
        let actions = all(&mut aligner);
        assert_eq!(actions[0], cancelled(1, captured), "{mode:?}");
        for channel in [1, 0] {
            aligner.barrier(channel, 2, ms(0)).unwrap();
            aligner.record(channel, 5, 1).unwrap();
            assert_eq!(all(&mut aligner), [process(channel, 5)], "nothing waits");
        }
        aligner.barrier(1, 1, ms(0)).unwrap();
        assert_eq!(aligner.ignored_barriers(), 3);
        aligner.barrier(0, 3, ms(0)).unwrap();
        aligner.barrier(1, 3, ms(0)).unwrap();
        aligner.cancel(3).unwrap();
        let actions = all(&mut aligner);
        assert_eq!(actions.last().map(|last| aligned(last).0), Some(3), "too late");
    }
}

#[test]
fn cancellations_that_are_remembered_are_counted() {
    let mut aligner = aligner(2, AtLeastOnce);
    (1..=1025).for_each(|checkpoint| aligner.cancel(checkpoint).unwrap());
    all(&mut aligner);
    aligner.barrier(0, 1, ms(0)).unwrap();
    assert!(aligner.pending().eq([1]), "forgotten");
    aligner.barrier(1, 2, ms(0)).unwrap();
    let overtaken = aborted(1, AbortReason::Overtaken(2), false);
    assert_eq!((all(&mut aligner), aligner.pending().count()), (vec![overtaken], 0));
}

#[test]
fn a_channel_that_waits_is_stopped_when_there_is_no_room() {
    let limits = Limits { buffered_len_bytes_max: 10, ..Limits::default() };
    let mut aligner = Aligner::<u32>::new(3, EXACTLY_ONCE, limits).unwrap();
    let (stop, resume) = (|channel| Action::Stop { channel }, |channel| Action::Resume { channel });
    aligner.barrier(0, 1, ms(0)).unwrap();
    aligner.record(0, 1, 9).unwrap();
    assert_eq!(all(&mut aligner), []);
    aligner.record(0, 2, 1).unwrap();
    assert_eq!(all(&mut aligner), [stop(0)]);
    // One that waits now is stopped at once; what is under way is taken.
    aligner.barrier(1, 1, ms(0)).unwrap();
    aligner.record(0, 3, 100).unwrap();
    assert_eq!((all(&mut aligner), aligner.buffered_len_bytes()), (vec![stop(1)], 110));
    aligner.barrier(2, 1, ms(0)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!(actions[2..], [process(0, 1), process(0, 2), process(0, 3), resume(0), resume(1)]);

    let limits = Limits { buffered_len_bytes_max: 0, ..limits };
    let mut aligner = Aligner::<u32>::new(2, EXACTLY_ONCE, limits).unwrap();
    aligner.barrier(0, 1, ms(0)).unwrap();
    assert_eq!(all(&mut aligner), [stop(0)]);
    aligner.cancel(1).unwrap();
    assert_eq!(all(&mut aligner), [aborted(1, AbortReason::Cancelled, false), resume(0)]);
}

#[test]
fn checkpoints_and_in_flight_records_are_bounded() {
    let limits = Limits { in_flight_len_bytes_max: 10, pending_max: 2, ..Limits::default() };
    let mut aligner = Aligner::<u32>::new(2, Unaligned, limits).unwrap();
    aligner.barrier(0, 1, ms(0)).unwrap();
    aligner.record(1, 1, 10).unwrap();
    aligner.barrier(0, 2, ms(0)).unwrap();
    aligner.record(1, 2, 1).unwrap();
    let too_much = aborted(1, AbortReason::TooMuchInFlight, true);
    assert_eq!(all(&mut aligner), [capture(1), process(1, 1), capture(2), too_much, process(1, 2)]);
    (3..5).for_each(|checkpoint| aligner.barrier(0, checkpoint, ms(0)).unwrap());
    let too_many = aborted(2, AbortReason::TooManyPending, true);
    assert_eq!(all(&mut aligner), [capture(3), too_many, capture(4)]);
    // Lengths that cannot be.
    aligner.record(1, 3, u64::MAX).unwrap();
    aligner.record(1, 4, u64::MAX).unwrap();
    assert_eq!(aligner.pending().count(), 0);
}

#[test]
fn facts_that_cannot_be_are_refused() {
    let none = Aligner::<u32>::new(0, Unaligned, Limits::default()).err().unwrap();
    assert_eq!(none.kind(), ErrorKind::Invalid);
    let mut aligner = aligner(2, EXACTLY_ONCE);
    aligner.barrier(0, 1, ms(0)).unwrap();
    aligner.end(0, ms(0)).unwrap();
    for (channel, says) in [(0, "channel=0 has ended"), (2, "channel=2: there are 2")] {
        let refused = [
            aligner.record(channel, 1, 1).unwrap_err(),
            aligner.barrier(channel, 1, ms(0)).unwrap_err(),
            aligner.announce(channel, 1, ms(0)).unwrap_err(),
            aligner.end(channel, ms(0)).unwrap_err(),
        ];
        for error in refused {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, says.to_owned()));
        }
    }
    aligner.end(1, ms(0)).unwrap();
    let actions = all(&mut aligner);
    assert_eq!(actions[..2], [Action::Ended { channel: 1 }, capture(1)]);
    assert_eq!(actions[3..], [Action::Ended { channel: 0 }]);
}
