//! What records, barriers and ends mean for the checkpoints that wait for them, when their turn comes.

use super::Aligner;
use crate::engine::barrier::action::{AbortReason, Action, Mode};
use crate::engine::barrier::pending::Pending;
use std::time::Duration;

impl<R: Clone> Aligner<R> {
    pub(super) fn pass(&mut self, channel: usize, record: R, len_bytes: u64) {
        if !self.pending.is_empty() {
            let last = self.channels.get(channel).and_then(|of| of.last);
            for pending in &mut self.pending {
                pending.processed(channel, last, &record, len_bytes);
            }
            self.abort_too_much();
        }
        self.actions.push_back(Action::Process { channel, record });
    }

    fn abort_too_much(&mut self) {
        let max = self.limits.in_flight_len_bytes_max;
        let over = |pending: &Pending<R>| pending.stats.in_flight_len_bytes > max;
        while let Some(pending) = self.pending.iter().find(|pending| over(pending)) {
            self.abort(pending.checkpoint, AbortReason::TooMuchInFlight);
        }
    }

    /// A barrier's turn, which arrived at `at`.
    pub(super) fn aligned_at(&mut self, channel: usize, checkpoint: u64, at: Duration) {
        let Some(of) = self.channels.get_mut(channel) else { return };
        let before = of.last;
        if before >= Some(checkpoint) {
            self.ignored_barriers += 1;
            return;
        }
        of.last = Some(checkpoint);
        // In order as channels are, this one brings the barriers of older checkpoints no more.
        let missed =
            |pending: &&Pending<R>| pending.checkpoint < checkpoint && pending.awaits(before);
        while let Some(pending) = self.pending.iter().find(missed) {
            self.abort(pending.checkpoint, AbortReason::Overtaken(checkpoint));
        }
        match self.pending.iter_mut().find(|pending| pending.checkpoint == checkpoint) {
            Some(pending) => pending.awaited -= 1,
            None if self.newest < Some(checkpoint) && !self.cancelled.contains(&checkpoint) => {
                self.begin(checkpoint, at);
            }
            None => {
                self.seen(checkpoint);
                self.ignored_barriers += 1;
                return;
            }
        }
        let holds_back = matches!(self.mode, Mode::ExactlyOnce { .. });
        let aligns = self.aligning().is_some_and(|pending| pending.checkpoint == checkpoint);
        if let Some(of) = self.channels.get_mut(channel).filter(|_| holds_back && aligns) {
            of.waits_for = Some(checkpoint);
            self.unsteady.push(channel);
        }
        self.complete(checkpoint);
        self.time_out();
    }

    /// The turn of a channel's end.
    pub(super) fn over(&mut self, channel: usize) {
        let Some(of) = self.channels.get_mut(channel) else { return };
        of.is_over = true;
        let last = of.last;
        self.actions.push_back(Action::Ended { channel });
        let mut aligned = Vec::new();
        for pending in self.pending.iter_mut().filter(|pending| pending.awaits(last)) {
            pending.awaited -= 1;
            aligned.push(pending.checkpoint);
        }
        aligned.into_iter().for_each(|checkpoint| self.complete(checkpoint));
    }

    /// The checkpoint that is not captured, where it is what channels wait for.
    pub(super) fn aligning(&self) -> Option<&Pending<R>> {
        self.pending.back().filter(|pending| !pending.captured)
    }

    fn seen(&mut self, checkpoint: u64) {
        if self.newest < Some(checkpoint) {
            self.newest = Some(checkpoint);
            self.cancelled.retain(|cancelled| *cancelled > checkpoint);
        }
    }

    /// Begins a checkpoint, newer than all others, whose first barrier arrived at `at`.
    pub(super) fn begin(&mut self, checkpoint: u64, at: Duration) {
        self.seen(checkpoint);
        while self.pending.len() >= self.limits.pending_max.max(1) {
            let Some(oldest) = self.pending.front() else { break };
            self.abort(oldest.checkpoint, AbortReason::TooManyPending);
        }
        let awaits = self.channels.iter().filter(|of| !of.is_over && of.last < Some(checkpoint));
        self.pending.push_back(Pending::new(checkpoint, at, awaits.count()));
        if self.mode == Mode::Unaligned {
            self.capture_early();
        }
    }

    /// Captures the newest checkpoint before all its barriers have come: no channel waits for it any more.
    fn capture_early(&mut self) {
        let Some(pending) = self.pending.back_mut() else { return };
        let checkpoint = pending.checkpoint;
        pending.capture(self.now);
        self.actions.push_back(Action::Capture { checkpoint });
        self.release(checkpoint);
    }

    pub(super) fn time_out(&mut self) {
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.capture_early();
        }
    }

    /// Ends a checkpoint if all its barriers have come.
    fn complete(&mut self, checkpoint: u64) {
        let is_complete =
            |pending: &Pending<R>| pending.checkpoint == checkpoint && pending.awaited == 0;
        let at = self.pending.iter().position(is_complete);
        let Some(mut pending) = at.and_then(|at| self.pending.remove(at)) else { return };
        if !pending.captured {
            pending.capture(self.now);
            self.actions.push_back(Action::Capture { checkpoint });
        }
        self.actions.push_back(Action::Aligned(pending.aligned(self.now)));
        self.release(checkpoint);
    }

    pub(super) fn abort(&mut self, checkpoint: u64, reason: AbortReason) {
        let at = self.pending.iter().position(|pending| pending.checkpoint == checkpoint);
        let Some(pending) = at.and_then(|at| self.pending.remove(at)) else { return };
        let captured = pending.captured;
        self.actions.push_back(Action::Aborted { checkpoint, reason, captured });
        self.release(checkpoint);
    }

    /// No channel waits for a checkpoint any more.
    fn release(&mut self, checkpoint: u64) {
        for (channel, of) in self.channels.iter_mut().enumerate() {
            if of.waits_for == Some(checkpoint) {
                of.waits_for = None;
                self.released.push_back(channel);
                self.unsteady.push(channel);
            }
        }
    }
}
