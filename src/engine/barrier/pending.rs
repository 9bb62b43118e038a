//! A checkpoint between its first barrier and its last.

use super::action::{Aligned, AlignmentStats};
use std::time::Duration;

pub(super) struct Pending<R> {
    pub(super) checkpoint: u64,
    /// When the first barrier came.
    pub(super) since: Duration,
    /// How many channels are still to bring its barrier, or to end.
    pub(super) awaited: usize,
    pub(super) captured: bool,
    in_flight: Vec<(usize, R)>,
    pub(super) stats: AlignmentStats,
}

impl<R> Pending<R> {
    pub(super) fn new(checkpoint: u64, since: Duration, awaited: usize) -> Self {
        let (captured, in_flight, stats) = (false, Vec::new(), AlignmentStats::default());
        Self { checkpoint, since, awaited, captured, in_flight, stats }
    }

    /// Whether a channel is awaited that brought barrier `last` as its last one.
    pub(super) fn awaits(&self, last: Option<u64>) -> bool {
        last < Some(self.checkpoint)
    }

    /// Its capture is taken.
    pub(super) fn capture(&mut self, now: Duration) {
        self.captured = true;
        self.stats.capture_delay = now.saturating_sub(self.since);
        self.stats.is_unaligned = self.awaited > 0;
    }

    /// A record of channel `channel`, which brought barrier `last` as its last one, is processed.
    pub(super) fn processed(
        &mut self,
        channel: usize,
        last: Option<u64>,
        record: &R,
        len_bytes: u64,
    ) where
        R: Clone,
    {
        self.stats.processed_records += 1;
        add(&mut self.stats.processed_len_bytes, len_bytes);
        if self.captured && self.awaits(last) {
            self.stats.in_flight_records += 1;
            add(&mut self.stats.in_flight_len_bytes, len_bytes);
            self.in_flight.push((channel, record.clone()));
        }
    }

    /// A record is held back.
    pub(super) fn buffered(&mut self, len_bytes: u64) {
        self.stats.buffered_records += 1;
        add(&mut self.stats.buffered_len_bytes, len_bytes);
    }

    /// All barriers have come.
    pub(super) fn aligned(mut self, now: Duration) -> Aligned<R> {
        self.stats.time = now.saturating_sub(self.since);
        let Self { checkpoint, in_flight, stats, .. } = self;
        Aligned { checkpoint, in_flight, stats }
    }
}

/// What the engine says of lengths is not to be trusted to end the program.
fn add(sum: &mut u64, len_bytes: u64) {
    *sum = sum.saturating_add(len_bytes);
}
