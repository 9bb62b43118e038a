//! What a run is made of, as arguments give it and as results record it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What the state is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum WorkloadName {
    /// One value per key: get, update, read-modify-write
    Value,
    /// Lists of some ten elements: append, read whole, clear
    List,
    /// Maps of a hundred entries: get, put, remove, iterate
    Map,
    /// Keyed tumbling windows: aggregate per key and window, timers that fire them
    Window,
    /// The state accesses of Nexmark queries 3, 4, 5, 8, 11 and 18
    Nexmark,
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Map => "map",
            Self::Window => "window",
            Self::Nexmark => "nexmark",
        })
    }
}

/// Which keys are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Distribution {
    /// Every key as often
    Uniform,
    /// Few keys most often: Zipf's law with exponent 0.99
    Zipf,
    /// One after the other, round and round
    Sequential,
}

/// From the beginning of one checkpoint to that of the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Interval {
    /// So many operations, of all subtasks together.
    Operations(u64),
    /// So much time.
    Seconds(f64),
    /// None is taken while operations run.
    Never,
}

/// When the measured part ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Length {
    /// After so many operations, of all subtasks together.
    Operations(u64),
    /// After so much time.
    Seconds(f64),
}

/// What two runs must have in common to be compared; a part of the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    /// Values, list elements, map entries or keys of windows; events of Nexmark.
    pub(super) entries: u64,
    /// Bytes of a key.
    pub(super) key_size: usize,
    /// Bytes of a value.
    pub(super) value_size: usize,
    pub(super) distribution: Distribution,
    /// Of operations on values, lists and maps, the part that reads.
    pub(super) read_share: f64,
    pub(super) checkpoint_every: Interval,
    pub(super) length: Length,
    pub(super) seed: u64,
    /// Subtasks, each with a backend and a thread of its own.
    pub(super) parallelism: u32,
    /// Bytes of RocksDB's budget.
    pub(super) memory: u64,
}

/// A number of things: `200000`, `200k`, `3m`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let units = [('k', 1_000), ('m', 1_000_000), ('g', 1_000_000_000)];
    let count = scaled(text, &units).ok_or("a number from 1 on: 200000, 200k or 3m")?;
    Ok(count)
}

/// A number of bytes: `67108864`, `64M`, `1G`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)];
    Ok(scaled(text, &units).ok_or("a number of bytes from 1 on: 67108864, 64M or 1G")?)
}

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let unit = units.iter().find_map(|(name, unit)| Some((lower.strip_suffix(*name)?, *unit)));
    let (digits, unit) = unit.unwrap_or((lower.as_str(), 1));
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|number| *number > 0)
}

/// `100k` operations, `2s`, `500ms` or `never`.
pub(super) fn interval(text: &str) -> Result<Interval, String> {
    if text == "never" {
        return Ok(Interval::Never);
    }
    let seconds = match text.strip_suffix("ms") {
        Some(millis) => millis.parse::<f64>().ok().map(|millis| millis / 1e3),
        None => text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok()),
    };
    let refused = "a time (2s, 500ms), a number of operations (100k) or never";
    match seconds {
        Some(seconds) => is_time(seconds).then_some(Interval::Seconds(seconds)),
        None => count(text).ok().map(Interval::Operations),
    }
    .ok_or_else(|| refused.to_owned())
}

/// A time in seconds: `10`, `0.5`.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| is_time(*seconds));
    seconds.ok_or_else(|| "a number of seconds above 0 and up to a million".to_owned())
}

fn is_time(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= 1e6 && Duration::try_from_secs_f64(seconds).is_ok()
}

/// A part of a whole: `0.9`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_nothing_else_is_one() {
        assert_eq!(count("200k"), Ok(200_000));
        assert_eq!(count("7"), Ok(7));
        assert_eq!(bytes("64M"), Ok(64 << 20));
        for refused in ["", "0", "-1", "k", "1.5m", "99999999999g", "1kk"] {
            assert!(count(refused).is_err(), "{refused}");
            assert!(bytes(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_interval_is_a_time_a_number_or_never() {
        assert_eq!(interval("2s"), Ok(Interval::Seconds(2.0)));
        assert_eq!(interval("500ms"), Ok(Interval::Seconds(0.5)));
        assert_eq!(interval("100k"), Ok(Interval::Operations(100_000)));
        assert_eq!(interval("never"), Ok(Interval::Never));
        for refused in ["0s", "-1s", "nans", "s", "infs", "0", "often"] {
            assert!(interval(refused).is_err(), "{refused}");
        }
        assert!(seconds("inf").is_err() && seconds("0").is_err() && seconds("0.5").is_ok());
        assert!(share("1.1").is_err() && share("NaN").is_err() && share("1").is_ok());
    }
}
