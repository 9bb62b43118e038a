//! How much there was of a state, and how much is left.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much a plan leaves of a state of Flink's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkStateLeft {
    /// The operator, as the plan calls it.
    pub operator: String,
    /// The state, by its name in the source.
    pub state: String,
    /// How many values, list elements, map entries, timers or elements there were, and the bytes of their keys and values. A list
    /// whose elements cannot be told counts as one.
    pub before: (u64, u64),
    /// How many are left, and their bytes.
    pub left: (u64, u64),
}

/// Entries and bytes of a state.
#[derive(Debug, Default)]
pub(super) struct Count {
    entries: AtomicU64,
    len_bytes: AtomicU64,
}

impl Count {
    pub(super) fn add(&self, entries: u64, len_bytes: usize) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.len_bytes.fetch_add(len_bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> (u64, u64) {
        (self.entries.load(Ordering::Relaxed), self.len_bytes.load(Ordering::Relaxed))
    }
}
