//! How long tests run, and by which seed.
//!
//! `ESKER_SOAK` is the fraction of the full counts that runs: over 0 and up to 1, a twentieth where
//! nothing is said. `ESKER_SEED` chooses what is drawn.

use std::env::{self, VarError};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that says which fraction of the full counts runs.
pub const SHARE_VARIABLE: &str = "ESKER_SOAK";
/// The environment variable that chooses what is drawn.
pub const SEED_VARIABLE: &str = "ESKER_SEED";
/// The fraction of the full counts that runs where nothing is said.
const SHARE: f64 = 0.05;
const SEED: u64 = 20_260_101;

/// How many of `full` cases run; one at least.
///
/// # Panics
/// If `ESKER_SOAK` is no fraction.
#[must_use]
pub fn count(full: u32) -> u32 {
    count_of(full, or_panic(share()))
}

/// `ESKER_SEED`, or one that is always the same.
///
/// # Panics
/// If it is no number.
#[must_use]
pub fn seed() -> u64 {
    or_panic(seed_or_default())
}

/// The fraction of the full counts that `ESKER_SOAK` says, or a twentieth.
///
/// # Errors
/// If it is no fraction.
pub fn share() -> Result<f64, String> {
    said(SHARE_VARIABLE)?.map_or(Ok(SHARE), |text| share_of(&text))
}

/// As [`seed`].
///
/// # Errors
/// If `ESKER_SEED` is no number.
pub fn seed_or_default() -> Result<u64, String> {
    said(SEED_VARIABLE)?.map_or(Ok(SEED), |text| seed_of(&text))
}

fn said(variable: &str) -> Result<Option<String>, String> {
    match env::var(variable) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(text)) => Err(format!("{variable}={text:?}: not UTF-8")),
    }
}

fn share_of(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| format!("{SHARE_VARIABLE}={text:?}: a number over 0 and up to 1, say 0.05"))
}

fn seed_of(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{SEED_VARIABLE}={text:?}: {error}; 0 to 2^64 - 1"))
}

fn count_of(full: u32, share: f64) -> u32 {
    ((f64::from(full) * share).round() as u32).max(1)
}

#[allow(clippy::panic, reason = "a test that cannot know what to run fails")]
fn or_panic<V>(said: Result<V, String>) -> V {
    said.unwrap_or_else(|message| panic!("{message}"))
}

/// A number that looks drawn at random and is a function of `seed` and `number` alone (splitmix64).
#[must_use]
pub fn hash(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers drawn by seed.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    drawn: AtomicU64,
}

impl Random {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(1) }
    }

    /// The next one, in `range`, which is not empty.
    #[must_use]
    pub fn draw(&self, range: Range<u64>) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        range.start + hash(self.seed, number) % (range.end - range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_soak_is_never_none_and_never_more_than_all() {
        assert_eq!((count_of(200, 1.0), count_of(200, 0.05), count_of(200, 0.5)), (200, 10, 100));
        assert_eq!((count_of(3, 0.05), count_of(0, 1.0)), (1, 1));
    }

    #[test]
    fn a_share_is_a_fraction_and_anything_else_is_refused_by_name() {
        assert_eq!(
            (share_of("1"), share_of("0.25"), share_of("1e-3")),
            (Ok(1.0), Ok(0.25), Ok(1e-3))
        );
        for bad in ["0", "-1", "1.01", "20", "NaN", "inf", "", "full", "1/20"] {
            let message = share_of(bad).unwrap_err();
            assert!(message.starts_with(&format!("ESKER_SOAK={bad:?}: a number")), "{message}");
        }
    }

    #[test]
    fn a_seed_is_a_number_and_anything_else_is_refused_by_name() {
        assert_eq!(seed_of("18446744073709551615"), Ok(u64::MAX));
        for bad in ["-1", "", "x", "18446744073709551616"] {
            let message = seed_of(bad).unwrap_err();
            assert!(message.starts_with(&format!("ESKER_SEED={bad:?}: ")), "{message}");
        }
    }
}
