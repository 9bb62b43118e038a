//! Random interleavings of everything that can happen to a subtask's inputs.

use super::world::World;
use crate::engine::barrier::AbortReason;
use crate::engine::barrier::{Limits, Mode};
use esker_test_support::soak::{self, Random};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

fn limits(buffered: u64, in_flight: u64, pending_max: usize) -> Limits {
    Limits {
        buffered_len_bytes_max: buffered,
        in_flight_len_bytes_max: in_flight,
        pending_max,
        ..Limits::default()
    }
}

fn walk(mode: Mode, channels: usize, (limits, obeys): (Limits, bool), steps: &[u16]) -> World {
    let mut world = World::new(channels, mode, (limits, obeys), false);
    for step in steps {
        world.step(*step);
        if obeys {
            world.act();
            world.check_room();
        }
    }
    world.finish();
    world
}

fn mode() -> impl Strategy<Value = Mode> {
    (0..6_u64).prop_map(|number| match number {
        0 | 1 => Mode::ExactlyOnce { timeout: None },
        2 | 3 => Mode::ExactlyOnce { timeout: Some(Duration::from_millis(number * 7 - 14)) },
        4 => Mode::Unaligned,
        _ => Mode::AtLeastOnce,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::count(1_000_000)))]

    /// A snapshot holds what came before the barriers and nothing else, or no less where at least once is
    /// enough; records are processed once and in order; what can be aligned is.
    #[test]
    fn a_snapshot_holds_what_came_before_the_barriers(
        mode in mode(),
        channels in 1..5_usize,
        (buffered, in_flight) in (0..12_u64, 2..20_u64),
        pending_max in 1..6_usize,
        obeys in any::<bool>(),
        steps in vec(any::<u16>(), 0..100),
    ) {
        let limits = limits(buffered * 10, in_flight * 10, pending_max);
        walk(mode, channels, (limits, obeys), &steps);
    }
}

/// Every way that a checkpoint can go comes up in these walks, or the test above shows nothing.
#[test]
fn everything_comes_up() {
    let (random, second) = (Random::new(1), Duration::from_secs(1));
    let timed = Mode::ExactlyOnce { timeout: Some(second / 100) };
    for mode in [Mode::ExactlyOnce { timeout: None }, timed, Mode::Unaligned, Mode::AtLeastOnce] {
        let (mut aligned, mut came_up, mut reasons) = (0, [0; 4], [false; 4]);
        for _ in 0..300 {
            let steps: Vec<_> = (0..100).map(|_| random.draw(0..1 << 16) as u16).collect();
            let limits = limits(random.draw(0..6) * 10, random.draw(1..9) * 10, 3);
            let world = walk(mode, 3, (limits, random.draw(0..2) > 0), &steps);
            aligned += world.aligned.len();
            came_up.iter_mut().zip(world.came_up).for_each(|(all, one)| *all += one);
            for reason in world.aborted.values() {
                reasons[match reason {
                    AbortReason::Cancelled => 0,
                    AbortReason::Overtaken(_) => 1,
                    AbortReason::TooMuchInFlight => 2,
                    AbortReason::TooManyPending => 3,
                }] = true;
            }
        }
        let waits = matches!(mode, Mode::ExactlyOnce { .. });
        let early = mode == timed || mode == Mode::Unaligned;
        assert!(aligned > 300, "{mode:?}: {aligned}");
        assert_eq!(
            came_up.map(|times| times > 0),
            [waits, early, true, !waits || early],
            "{mode:?}"
        );
        assert_eq!(reasons[..3], [true, true, early], "{mode:?}");
        assert!(reasons[3] != waits || mode == timed, "{mode:?}");
    }
}
