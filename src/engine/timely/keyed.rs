//! Keyed operators: records of an epoch, its barrier, then the records of the next one, which waited.

use super::desk::Notice;
use super::event::{Event, Outlet, Watermarks};
use super::subtask::Subtask;
use super::time::{Time, begin_of, epoch_of};
use crate::Result;
use crate::backend::Backend;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilderSession;

/// A subtask of a keyed operator: it owns the key groups of its backend, and sees the records of their keys alone.
pub trait Keyed: 'static {
    /// What holds its states.
    type Backend: Backend;
    /// What comes to it.
    type Input: ExchangeData + Clone;
    /// What it sends on.
    type Output: ExchangeData + Clone;

    /// Its states, opened before it is restored.
    fn backend(&mut self) -> &mut Self::Backend;

    /// A record whose key is of this subtask. Those of a subtask before come in the order in which it sent them.
    ///
    /// # Errors
    /// Any of them ends the job.
    fn record(&mut self, record: Self::Input, out: &mut Outlet<Self::Output>) -> Result<()>;

    /// Event time has come to `time_ms`: timers up to it are due. The same goes to the operators behind by itself,
    /// after what this puts into `out`.
    ///
    /// # Errors
    /// Any of them ends the job.
    fn watermark(&mut self, time_ms: i64, out: &mut Outlet<Self::Output>) -> Result<()> {
        let _ = (time_ms, out);
        Ok(())
    }

    /// A snapshot with what this subtask contributed is complete: a sink commits what it prepared.
    fn completed(&mut self, checkpoint: u64) {
        let _ = checkpoint;
    }

    /// A snapshot was given up.
    fn aborted(&mut self, checkpoint: u64) {
        let _ = checkpoint;
    }
}

/// A subtask of a keyed operator in its dataflow.
pub(super) struct KeyedSubtask<O: Keyed> {
    pub(super) operator: O,
    pub(super) subtask: Subtask,
    /// One, held until what it stands for is done: without it later operators would see the barrier first.
    pub(super) capability: Capability<Time>,
    pub(super) watermarks: Watermarks,
    pub(super) out: Outlet<O::Output>,
    /// What is of later epochs.
    pub(super) waiting: BTreeMap<u64, Vec<Event<O::Input>>>,
    /// When the first of them came.
    pub(super) waits_since: Option<Instant>,
}

/// Where an operator's events go.
type Output<'a, D> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Event<D>>>>;

impl<O: Keyed> KeyedSubtask<O> {
    /// Takes in a container of events.
    pub(super) fn receive(&mut self, time: Time, events: Vec<Event<O::Input>>) {
        let epoch = epoch_of(time);
        if epoch == self.epoch() {
            self.handle(events);
        } else {
            self.waits_since.get_or_insert_with(Instant::now);
            self.waiting.entry(epoch).or_default().extend(events);
        }
    }

    /// Sends what follows from what was received, and takes the barriers that the frontier has passed; there is none
    /// once nothing more can come.
    pub(super) fn advance(&mut self, frontier: Option<Time>, output: &mut Output<'_, O::Output>) {
        let operator = &mut self.operator;
        self.subtask.notices(|notice| match notice {
            Notice::Completed(checkpoint) => operator.completed(*checkpoint),
            Notice::Aborted(checkpoint) => operator.aborted(*checkpoint),
        });
        self.flush(output);
        // Without a source there is nothing to wait for, nor any barrier.
        let Some(frontier) = frontier else { return };
        while !self.subtask.desk.has_failed() && epoch_of(frontier) > self.epoch() {
            let epoch = self.epoch();
            // The word of it is on its way here.
            let Some(order) = self.subtask.order(epoch) else { return };
            let waited = self.waits_since.take().map_or(Duration::ZERO, |since| since.elapsed());
            let state = (self.operator.backend(), None);
            let is_last = self.watermarks.have_ended();
            self.subtask.capture(epoch, &order, state, (waited, is_last));
            self.capability.downgrade(&begin_of(epoch + 1));
            if let Some(events) = self.waiting.remove(&(epoch + 1)) {
                self.handle(events);
                self.flush(output);
            }
            if !self.waiting.is_empty() {
                self.waits_since = Some(Instant::now());
            }
        }
        if epoch_of(frontier) == self.epoch() {
            self.capability.downgrade(&frontier);
        }
    }

    fn epoch(&self) -> u64 {
        epoch_of(*self.capability.time())
    }

    fn handle(&mut self, events: Vec<Event<O::Input>>) {
        let desk = Rc::clone(&self.subtask.desk);
        for event in events {
            if desk.has_failed() {
                return;
            }
            if let Err(error) = self.event(event) {
                desk.fail(&error);
            }
        }
    }

    fn event(&mut self, event: Event<O::Input>) -> Result<()> {
        let from = self.subtask.desk.index;
        let advanced = match event {
            Event::Record(record) => return self.operator.record(record, &mut self.out),
            Event::Watermark { from, time_ms, .. } => self.watermarks.advance(from, time_ms),
            Event::End { from, .. } => self.watermarks.end(from),
        };
        if let Some(time_ms) = advanced {
            self.operator.watermark(time_ms, &mut self.out)?;
            self.out.events.push(Event::Watermark { from, to: 0, time_ms });
        }
        if self.watermarks.have_ended() {
            self.out.events.push(Event::End { from, to: 0 });
        }
        Ok(())
    }

    fn flush(&mut self, output: &mut Output<'_, O::Output>) {
        let mut events = self.out.take();
        if !events.is_empty() {
            output.session(&self.capability).give_container(&mut events);
        }
    }
}
