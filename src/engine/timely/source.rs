//! Sources: they read, end epochs where the coordinator says so, and do not run away.

use super::desk::{Desk, Notice};
use super::event::{Event, SourceOutlet};
use super::flow::Probe;
use super::subtask::Subtask;
use super::time::{Time, begin_of, epoch_of, next_batch};
use super::wire::Up;
use crate::backend::heap::HeapBackend;
use crate::backend::operator::OperatorBackend;
use crate::checkpoint::coordinator::Kind;
use crate::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::scheduling::Activator;

/// From one look at how far operators have come to the next, while a source may not go on.
const WAIT: Duration = Duration::from_micros(200);

/// What a source is asked for: to read, a little at a time.
///
/// What it has read so far is its operator state, which it was [opened](super::Flow::source) with and restored
/// from: a barrier comes between any two calls of [`read`](Self::read), and a snapshot holds the state as the call
/// before the barrier left it.
pub trait Source: 'static {
    /// What it reads.
    type Item: ExchangeData + Clone;

    /// Reads some records, puts them into `out` and how far it has come into `state`: what of this call is in a
    /// snapshot is both or neither. Barriers wait for its end, so that a call is to read some hundred records
    /// rather than a million, and not to block.
    ///
    /// # Errors
    /// Any of them ends the job.
    fn read(
        &mut self,
        state: &mut OperatorBackend,
        out: &mut SourceOutlet<Self::Item>,
    ) -> Result<Next>;

    /// A snapshot with what this subtask contributed is complete: what was read before its barrier can be
    /// acknowledged to where it came from.
    fn completed(&mut self, checkpoint: u64) {
        let _ = checkpoint;
    }
}

/// When a source is to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more.
    Now,
    /// After so long: there is nothing just now.
    After(Duration),
    /// Never: there will be nothing more.
    End,
}

/// A source subtask in its dataflow.
pub(super) struct SourceSubtask<S: Source> {
    pub(super) source: S,
    pub(super) state: OperatorBackend,
    /// Sources have no keyed state.
    pub(super) keyed: HeapBackend,
    pub(super) subtask: Subtask,
    pub(super) activator: Activator,
    pub(super) capability: Capability<Time>,
    pub(super) out: SourceOutlet<S::Item>,
    pub(super) probe: Probe,
    /// Batches that were not handled everywhere when that was looked at last.
    pub(super) under_way: VecDeque<Time>,
    pub(super) has_ended: bool,
    /// The savepoint that is to stop the job: nothing is read behind its barrier, unless it fails.
    pub(super) stops: Option<(u64, bool)>,
}

/// Where a source's events go.
type Output<'a, D> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Event<D>>>>;

impl<S: Source> SourceSubtask<S> {
    /// Reads a batch, if it may, after the barriers that are due.
    pub(super) fn schedule(&mut self, output: &mut Output<'_, S::Item>) {
        let desk = Rc::clone(&self.subtask.desk);
        if desk.has_failed() {
            return;
        }
        self.notices();
        self.barriers(output);
        if self.has_ended || self.stops.is_some() {
            return;
        }
        let is_handled = |time: &Time| !self.probe.less_equal(time);
        while self.under_way.front().is_some_and(is_handled) {
            self.under_way.pop_front();
        }
        if self.under_way.len() >= desk.process.ahead {
            self.activator.activate_after(WAIT);
            return;
        }
        match self.source.read(&mut self.state, &mut self.out) {
            Ok(next) => self.sent(next, &desk, output),
            Err(error) => desk.fail(&error),
        }
    }

    fn sent(&mut self, next: Next, desk: &Desk, output: &mut Output<'_, S::Item>) {
        match next {
            Next::Now => self.activator.activate(),
            Next::After(time) => self.activator.activate_after(time),
            Next::End => {
                self.has_ended = true;
                self.out.end();
            }
        }
        self.flush(output);
        // After what it says is under way: a barrier that is asked for now comes behind it.
        if self.has_ended {
            desk.say(Up::Ended);
        }
    }

    /// Sends what was read as one batch.
    fn flush(&mut self, output: &mut Output<'_, S::Item>) {
        let mut events = self.out.outlet.take();
        if events.is_empty() {
            return;
        }
        output.session(&self.capability).give_container(&mut events);
        let time = *self.capability.time();
        self.under_way.push_back(time);
        self.capability.downgrade(&next_batch(time));
    }

    fn notices(&mut self) {
        let (source, stops) = (&mut self.source, &mut self.stops);
        let (mut resumes, mut is_drained) = (false, false);
        self.subtask.notices(|notice| match notice {
            Notice::Completed(checkpoint) => source.completed(*checkpoint),
            Notice::Aborted(checkpoint) => {
                if let Some((_, drained)) = stops.take_if(|(stop, _)| stop == checkpoint) {
                    (resumes, is_drained) = (!drained, drained);
                }
            }
        });
        if is_drained {
            // Every timer has fired, and event time is at its end: what came now would be late for ever.
            let message = "the savepoint failed that the job was drained for: start the job again, it goes on \
                           from the last complete checkpoint";
            self.subtask.desk.fail(&Error::new(ErrorKind::Retry, message));
        }
        if resumes {
            self.activator.activate();
        }
    }

    /// Ends the epochs that are to end: all that was read is in them.
    fn barriers(&mut self, output: &mut Output<'_, S::Item>) {
        loop {
            let epoch = epoch_of(*self.capability.time());
            let Some(order) = self.subtask.order(epoch) else { return };
            if let Kind::Stop { drain } = order.kind
                && !self.subtask.is_aborted(order.checkpoint)
            {
                self.stops = Some((order.checkpoint, drain));
                if drain {
                    self.out.watermark(i64::MAX);
                    self.flush(output);
                }
            }
            let state = (&mut self.keyed, Some(&self.state));
            self.subtask.capture(epoch, &order, state, (Duration::ZERO, self.has_ended));
            self.capability.downgrade(&begin_of(epoch + 1));
        }
    }
}
