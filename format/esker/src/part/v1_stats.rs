//! The frozen shape of statistics in version 1 of parts: what is zero or empty is left out.

use crate::digest::{hex, hex_bytes};
use crate::run::{Counts, LARGEST_MAX, LargeEntry, StateStats};
use crate::{FormatError, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Stats {
    entries: u64,
    live: u64,
    key_bytes: u64,
    value_bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key_sizes: Vec<(u8, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    value_sizes: Vec<(u8, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slices: Vec<(u8, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    largest: Vec<Large>,
}

/// Key in hex, its whole length, the value's length.
#[derive(Serialize, Deserialize)]
struct Large(String, u64, u64);

impl Stats {
    pub(super) fn of(stats: &StateStats) -> Self {
        let large = |e: &LargeEntry| Large(hex(&e.key), e.key_len_bytes, e.value_len_bytes);
        Self {
            entries: stats.entries,
            live: stats.live,
            key_bytes: stats.key_bytes,
            value_bytes: stats.value_bytes,
            key_sizes: stats.key_sizes.iter().collect(),
            value_sizes: stats.value_sizes.iter().collect(),
            slices: stats.slices.iter().collect(),
            largest: stats.largest.iter().map(large).collect(),
        }
    }

    pub(super) fn into_stats(self, state: u32) -> Result<StateStats> {
        let refused = |what: &str| {
            let message = format!("{what} of a state are not in their form: id={state}");
            FormatError::corrupt(super::check::WHAT, message)
        };
        let large = |Large(key, key_len_bytes, value_len_bytes)| {
            Some(LargeEntry { key: hex_bytes(&key)?, key_len_bytes, value_len_bytes })
        };
        let largest = self.largest.into_iter().take(LARGEST_MAX + 1).map(large);
        let stats = StateStats {
            entries: self.entries,
            live: self.live,
            key_bytes: self.key_bytes,
            value_bytes: self.value_bytes,
            key_sizes: Counts::of(self.key_sizes).ok_or_else(|| refused("key sizes"))?,
            value_sizes: Counts::of(self.value_sizes).ok_or_else(|| refused("value sizes"))?,
            slices: Counts::of(self.slices).ok_or_else(|| refused("slices"))?,
            largest: largest.collect::<Option<_>>().ok_or_else(|| refused("largest entries"))?,
        };
        if stats.largest_fit() { Ok(stats) } else { Err(refused("largest entries")) }
    }
}
