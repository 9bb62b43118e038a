//! What was measured: the shape of `--json`, which stays as it is within a version.

use super::settings::{Settings, WorkloadName};
use serde::{Deserialize, Serialize};

/// The version of this shape; a reader refuses others.
pub(super) const VERSION: u32 = 1;

/// Everything of one call of the command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) version: u32,
    /// The version of esker.
    pub(super) esker: String,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    /// In the order in which they ran: each workload on each backend.
    pub(super) runs: Vec<Run>,
}

/// What it was measured on; parts that the system does not tell are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    pub(super) processor: Option<String>,
    pub(super) processors: usize,
    pub(super) memory_bytes: Option<u64>,
    pub(super) system: String,
    /// Whether the tool was built with optimizations; figures of one that was not mean nothing.
    pub(super) optimized: bool,
    /// What reading the clock adds to each latency: the median, in nanoseconds.
    pub(super) timer_ns: u64,
    /// When the first run began, UTC.
    pub(super) began: String,
}

/// One workload on one backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) workload: WorkloadName,
    pub(super) backend: String,
    pub(super) load: Load,
    /// Calls on state in the measured part.
    pub(super) operations: u64,
    /// How long the measured part took.
    pub(super) seconds: f64,
    /// Of all subtasks together, over the time spent in calls and captures alone.
    pub(super) operations_per_second: f64,
    /// Of the measured part, how long the subtasks together waited for a processor that others had; null
    /// where the system does not tell. Beside much of it high percentiles are the machine's.
    pub(super) waited_seconds: Option<f64>,
    /// All calls.
    pub(super) all: Phases,
    /// Each kind of call, in the workload's order.
    pub(super) calls: Vec<Call>,
    /// The last one was taken with no calls beside it, to restore from.
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) restore: Restore,
    /// Null where the system does not tell.
    pub(super) memory: Option<Memory>,
    /// Bytes on the local disk at the end; null for a backend without.
    pub(super) local_bytes: Option<u64>,
    pub(super) series: Series,
}

/// Filling the state before anything is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Load {
    pub(super) seconds: f64,
    /// Entries afterwards, as the backend counts them.
    pub(super) entries: u64,
}

/// Calls of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) phases: Phases,
}

/// Latencies apart by whether a checkpoint was under way when the call began; null if no call was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Phases {
    /// With no checkpoint under way.
    pub(super) quiet: Option<Latency>,
    /// From a capture until the checkpoint is complete.
    pub(super) checkpoint: Option<Latency>,
}

/// Latencies in nanoseconds, within a thousandth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) mean_ns: f64,
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) max_ns: u64,
    /// Quantile and nanoseconds, ascending.
    pub(super) curve: Vec<(f64, u64)>,
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    pub(super) checkpoint: u64,
    /// Whether it refers to no file of an earlier one.
    pub(super) full: bool,
    /// Whether calls went on beside it.
    pub(super) busy: bool,
    /// From the beginning of the measured part to its capture.
    pub(super) at_seconds: f64,
    /// How long calls stood still for the capture: of the subtasks, the longest.
    pub(super) capture_seconds: f64,
    /// From the capture until it is complete.
    pub(super) total_seconds: f64,
    /// Bytes written for it.
    pub(super) written_bytes: u64,
    /// Bytes of all files that it refers to.
    pub(super) referenced_bytes: u64,
}

/// Restoring the last checkpoint, at the same parallelism, into new backends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restore {
    pub(super) seconds: f64,
    /// Entries before, as the backend counts them.
    pub(super) entries_before: u64,
    /// Entries afterwards.
    pub(super) entries: u64,
}

/// Resident memory of the process, which is the run's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    /// Before the state was filled.
    pub(super) empty_bytes: u64,
    /// Once it was filled.
    pub(super) loaded_bytes: u64,
    /// The most until the end of the measured part.
    pub(super) peak_bytes: u64,
}

/// Calls over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Series {
    pub(super) bucket_seconds: f64,
    /// Calls that ended in each bucket, of all subtasks.
    pub(super) operations: Vec<u64>,
}
