//! What the processes of the job tell the one that started them, a line of JSON each.

use serde::{Deserialize, Serialize};
use std::io::{self, Write};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Event {
    /// A process listens here.
    Listens(String),
    /// The source runs, from the checkpoint that it was restored from, or from the start.
    Running { checkpoint: Option<u64>, row: u64 },
    /// So many rows were read.
    Row(u64),
    /// A checkpoint is complete.
    Complete(u64),
    /// It failed; the next one holds its changes.
    Aborted { checkpoint: u64, why: String },
    /// The savepoint is written and the job has ended.
    Ended { row: u64 },
}

impl Event {
    /// Tells it; that nobody listens any more is the listener's affair.
    pub(super) fn tell(&self) {
        let mut out = io::stdout().lock();
        let _ = serde_json::to_writer(&mut out, self).map_err(io::Error::from);
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    }
}
