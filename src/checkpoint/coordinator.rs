//! The coordinator of a job's checkpoints: what to trigger, whom to wait for, when one is complete and when it
//! is given up, decided without I/O from facts that its driver observes.
//!
//! The rules are those of Flink's checkpoint coordinator, and the idea of a consistent snapshot by markers
//! that flow with the data is Chandy's and Lamport's (1985), as Carbone and others use it for streams (2015).

mod history;
mod machine;
mod settings;
#[cfg(test)]
mod tests;

pub use history::{CheckpointStats, History, Outcome, SubtaskStats};
pub use machine::{Action, Coordinator, Fact, Refusal};
pub use settings::CoordinatorSettings;

use std::fmt;

/// A subtask of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtask {
    /// The operator's position in the job.
    pub operator: u32,
    /// The position among the operator's subtasks.
    pub subtask: u32,
}

impl fmt::Display for Subtask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator {} subtask {}", self.operator, self.subtask)
    }
}

/// What kind of snapshot is asked of the subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The engine's own, of which the next one builds on the last.
    Checkpoint,
    /// The user's, of no consequence for checkpoints.
    Savepoint,
    /// A savepoint after which the job stops. Where it drains, sources emit the highest watermark before
    /// the barrier, so that every timer fires; the job is not to be gone on with from it then.
    Stop {
        /// Whether it drains.
        drain: bool,
    },
}

impl Kind {
    /// Whether it is written to where the user asked for it.
    pub fn is_savepoint(self) -> bool {
        self != Self::Checkpoint
    }
}

/// Why a checkpoint was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It took longer than [`CoordinatorSettings::timeout_ms`].
    Timeout,
    /// A subtask could not take part.
    Declined {
        /// The subtask.
        subtask: Subtask,
        /// What it said.
        why: String,
    },
    /// Its manifest, or the record of it, could not be written.
    NotPublished {
        /// The error.
        why: String,
    },
    /// A newer one is complete.
    Subsumed {
        /// The newer one.
        by: u64,
    },
    /// The job began anew from the last complete one.
    Restarted,
    /// The job ends: too many failed, or it was stopped by a savepoint.
    Ended,
}

impl Cause {
    /// Whether it counts towards [`CoordinatorSettings::tolerated_failures`].
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Timeout | Self::Declined { .. } | Self::NotPublished { .. })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("not all subtasks acknowledged it in time"),
            Self::Declined { subtask, why } => write!(f, "{subtask} declined it: {why}"),
            Self::NotPublished { why } => write!(f, "it could not be published: {why}"),
            Self::Subsumed { by } => write!(f, "checkpoint={by} is complete, which is newer"),
            Self::Restarted => f.write_str("the job was restarted"),
            Self::Ended => f.write_str("the job ends"),
        }
    }
}
