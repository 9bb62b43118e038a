//! How long tests run, and by which seed.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The part of a full soak that runs where `ESKER_SOAK` does not say otherwise.
const SHARE: f64 = 0.05;
const SEED: u64 = 20_260_101;

/// How many of `full` cases run: the fraction `ESKER_SOAK` of them, or a twentieth; at least one.
pub(crate) fn count(full: usize) -> usize {
    let share = match std::env::var("ESKER_SOAK") {
        Ok(share) => share.parse().unwrap_or_else(|_| panic!("ESKER_SOAK={share}: 0.0 to 1.0")),
        Err(_) => SHARE,
    };
    count_of(full, share)
}

fn count_of(full: usize, share: f64) -> usize {
    ((full as f64 * share).round() as usize).clamp(1, full.max(1))
}

/// `ESKER_SEED`, or one that is always the same.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ESKER_SEED").ok();
    seed.map_or(SEED, |seed| seed.parse().unwrap_or_else(|_| panic!("ESKER_SEED={seed}: a u64")))
}

/// A number that looks drawn at random and is a function of `seed` and `number` alone (splitmix64).
pub(crate) fn hash(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers drawn by seed.
pub(crate) struct Random {
    seed: u64,
    drawn: AtomicU64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(1) }
    }

    pub(crate) fn draw(&self, range: Range<u64>) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        range.start + hash(self.seed, number) % (range.end - range.start)
    }
}

#[test]
fn a_share_of_a_soak_is_never_none_and_never_more_than_all() {
    assert_eq!((count_of(200, 1.0), count_of(200, 0.05), count_of(200, 0.5)), (200, 10, 100));
    assert_eq!((count_of(3, 0.05), count_of(0, 1.0), count_of(7, 2.0)), (1, 1, 7));
}
