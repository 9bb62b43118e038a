//! What the job tells the process that kills it, a line of JSON each.

use super::guarantee::Rows;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write};

/// What the job is doing at its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Activity {
    /// Writing a file of a checkpoint.
    Upload,
    /// Appending the record that makes a checkpoint complete.
    Publish,
    /// Deleting a file that nothing needs.
    Sweep,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upload => "an upload",
            Self::Publish => "a publish",
            Self::Sweep => "a sweep",
        })
    }
}

/// A completed checkpoint, as the table at the end shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckpointRow {
    pub(crate) id: u64,
    /// Whether it needs no file of an earlier one.
    pub(crate) full: bool,
    /// The longest that a subtask stood still for it.
    pub(crate) capture_us: u64,
    /// The longest that the barrier of one lane waited for that of the other.
    pub(crate) align_ms: u64,
    /// Rows that it holds which come again after a restore.
    pub(crate) early: Rows,
    /// From the first capture until it was published.
    pub(crate) write_ms: u64,
    /// None where the backend does not know.
    pub(crate) entries_changed: Option<u64>,
    pub(crate) bytes_written: u64,
    pub(crate) bytes_referenced: u64,
}

/// A checkpoint: its number may have been begun by more owners than one, of which one at most published it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Taken {
    pub(crate) checkpoint: u64,
    /// Of the owner.
    pub(crate) generation: u64,
}

/// What happened in the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Event {
    /// The job runs, from the checkpoint it was restored from, which an owner of that generation took, or
    /// from the start.
    Running { generation: u64, checkpoint: Option<Taken>, row: u64, swept: u64, parallelism: u32 },
    /// The source passed over rows that no state holds any more, as many as these.
    Lost(Rows),
    /// So many rows were read, and the states hold so many entries.
    Row { row: u64, entries: u64 },
    /// A checkpoint began: its barrier is under way.
    Begun(u64),
    /// All its parts are written, and hold so many rows that come again after a restore; it is published next.
    Written { checkpoint: Taken, early: Rows },
    /// It is complete.
    Complete(CheckpointRow),
    /// It failed; the next one holds its changes.
    Aborted { checkpoint: u64, why: String },
    /// A call at the store is under way that the job is to be killed in, and waits.
    Held { activity: Activity, path: String, done: bool },
    /// Another process owns the job by now; this one was refused, and ends.
    Fenced { generation: u64, why: String },
    /// The savepoint is written and the job has ended.
    Ended { row: u64 },
}

impl Event {
    /// Tells it; that nobody listens any more is the listener's affair.
    pub(crate) fn tell(&self) {
        let mut out = io::stdout().lock();
        let _ = serde_json::to_writer(&mut out, self).map_err(io::Error::from);
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    }
}
