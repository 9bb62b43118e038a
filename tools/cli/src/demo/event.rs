//! What the job tells the process that kills it, a line of JSON each.

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
    /// From the first capture until it was published.
    pub(crate) write_ms: u64,
    /// None where the backend does not know.
    pub(crate) entries_changed: Option<u64>,
    pub(crate) bytes_written: u64,
    pub(crate) bytes_referenced: u64,
}

/// What happened in the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Event {
    /// The job runs, from the checkpoint it was restored from, or from the start.
    Running { generation: u64, checkpoint: Option<u64>, row: u64, swept: u64 },
    /// So many rows were read.
    Row(u64),
    /// A checkpoint began: its barrier is under way.
    Begun(u64),
    /// It is complete.
    Complete(CheckpointRow),
    /// It failed; the next one holds its changes.
    Aborted { checkpoint: u64, why: String },
    /// A call at the store is under way that was to be killed; the job waits in it.
    Held { activity: Activity, path: String, done: bool },
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
