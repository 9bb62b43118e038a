//! A backend's own database at one moment: what a native checkpoint is made of.

use crate::Result;
use esker_format::KeyGroupRange;
use std::path::PathBuf;

/// A file of a database, on the local disk. It does not change while the capture lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its name within the database: one segment.
    pub local: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Whether the database never gives this name to other bytes: a checkpoint that completed with a
    /// file of this name holds this one.
    pub is_final: bool,
    /// Where it holds entries: the state's id, and the key groups from its first entry's to its last
    /// one's.
    pub holds: Option<(u32, KeyGroupRange)>,
}

/// What a capture knows of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeState {
    /// The state's id.
    pub id: u32,
    /// About how many values, lists, map entries or timers there are.
    pub entries: u64,
    /// The earliest timer, in milliseconds.
    pub earliest_timer_ms: Option<i64>,
    /// The time at which entries with TTL were captured, in milliseconds.
    pub ttl_time_ms: Option<i64>,
}

/// A backend's own database at one moment, as files that stay as they are while it lives (I4);
/// dropping it gives their disk space back.
pub trait NativeCapture: Send + Sync {
    /// The database: `rocksdb`.
    fn engine(&self) -> &str;

    /// All files that it takes to open the database again, names ascending. Waits until they are
    /// there.
    ///
    /// # Errors
    /// The backend's.
    fn files(&self) -> Result<Vec<LocalFile>>;

    /// Its states, ids ascending.
    fn states(&self) -> &[NativeState];
}
