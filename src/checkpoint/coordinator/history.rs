//! What checkpoints took: of each, and of each subtask.

use super::{Cause, Kind, Subtask};
use std::collections::{BTreeMap, VecDeque};

/// What a subtask says of its share of a checkpoint. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubtaskStats {
    /// For how long the stream stood still for the capture.
    pub sync_ms: u64,
    /// For how long files were written beside the stream.
    pub async_ms: u64,
    /// From the first barrier to the last one.
    pub alignment_ms: u64,
    /// Bytes that waited for barriers.
    pub buffered_len_bytes: u64,
    /// Bytes of records that became state of the channels.
    pub in_flight_len_bytes: u64,
    /// Bytes of all files that were written.
    pub written_len_bytes: u64,
    /// Bytes of all files that the part names.
    pub referenced_len_bytes: u64,
    /// Entries that were written.
    pub entries: u64,
}

/// How a checkpoint ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    InFlight,
    /// It is complete.
    Completed,
    /// It was given up.
    Aborted(Cause),
}

/// One checkpoint or savepoint. Times are in milliseconds, of the clock that the coordinator is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Its number.
    pub checkpoint: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether it was asked for, rather than due.
    pub is_by_hand: bool,
    /// When it was triggered.
    pub triggered_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// When each subtask acknowledged it, and what it said.
    pub subtasks: BTreeMap<Subtask, (u64, SubtaskStats)>,
}

impl CheckpointStats {
    pub(super) fn new(checkpoint: u64, kind: Kind, is_by_hand: bool, triggered_ms: u64) -> Self {
        let (ended_ms, outcome, subtasks) = (None, Outcome::InFlight, BTreeMap::new());
        Self { checkpoint, kind, is_by_hand, triggered_ms, ended_ms, outcome, subtasks }
    }

    /// Of all subtasks together; of times the longest.
    pub fn summed(&self) -> SubtaskStats {
        let stats = self.subtasks.values().map(|(_, stats)| stats);
        stats.fold(SubtaskStats::default(), |sum, of| SubtaskStats {
            sync_ms: sum.sync_ms.max(of.sync_ms),
            async_ms: sum.async_ms.max(of.async_ms),
            alignment_ms: sum.alignment_ms.max(of.alignment_ms),
            buffered_len_bytes: sum.buffered_len_bytes.saturating_add(of.buffered_len_bytes),
            in_flight_len_bytes: sum.in_flight_len_bytes.saturating_add(of.in_flight_len_bytes),
            written_len_bytes: sum.written_len_bytes.saturating_add(of.written_len_bytes),
            referenced_len_bytes: sum.referenced_len_bytes.saturating_add(of.referenced_len_bytes),
            entries: sum.entries.saturating_add(of.entries),
        })
    }

    /// From the trigger to the end.
    pub fn duration_ms(&self) -> Option<u64> {
        Some(self.ended_ms?.saturating_sub(self.triggered_ms))
    }
}

/// The checkpoints that ended last, and how many there were in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    len_max: usize,
    ended: VecDeque<CheckpointStats>,
    completed: u64,
    aborted: u64,
}

impl History {
    pub(super) fn new(len_max: usize) -> Self {
        Self { len_max, ended: VecDeque::new(), completed: 0, aborted: 0 }
    }

    pub(super) fn push(&mut self, stats: CheckpointStats) {
        match stats.outcome {
            Outcome::Completed => self.completed += 1,
            _ => self.aborted += 1,
        }
        self.ended.push_back(stats);
        while self.ended.len() > self.len_max {
            self.ended.pop_front();
        }
    }

    /// Those that are remembered, in the order in which they ended.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &CheckpointStats> {
        self.ended.iter()
    }

    /// How many were completed, savepoints among them.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How many were given up.
    pub fn aborted(&self) -> u64 {
        self.aborted
    }
}
