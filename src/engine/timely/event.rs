//! What flows between operators: records, and in band with them watermarks and ends.

use serde::{Deserialize, Serialize};
use std::mem;

/// One thing on its way to an operator. From any one origin they arrive in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event<D> {
    Record(D),
    /// Nothing before `time_ms` is to come from subtask `from`.
    Watermark {
        from: u32,
        to: u32,
        time_ms: i64,
    },
    /// Nothing at all is to come from it.
    End {
        from: u32,
        to: u32,
    },
}

/// Where a [`Keyed`](super::Keyed) operator puts what it sends on.
pub struct Outlet<D> {
    pub(super) events: Vec<Event<D>>,
}

impl<D> Outlet<D> {
    pub(super) fn new() -> Self {
        Self { events: Vec::new() }
    }

    /// Sends a record on. It is on its way when the call that the outlet was given to returns.
    pub fn emit(&mut self, record: D) {
        self.events.push(Event::Record(record));
    }

    pub(super) fn take(&mut self) -> Vec<Event<D>> {
        mem::take(&mut self.events)
    }
}

/// Where a [`Source`](super::Source) puts what it reads.
pub struct SourceOutlet<D> {
    pub(super) outlet: Outlet<D>,
    pub(super) subtask: u32,
    /// Watermarks never go back.
    pub(super) watermark_ms: Option<i64>,
}

impl<D> SourceOutlet<D> {
    pub(super) fn new(subtask: u32) -> Self {
        Self { outlet: Outlet::new(), subtask, watermark_ms: None }
    }

    /// Sends a record. It is on its way when [`read`](super::Source::read) returns.
    pub fn emit(&mut self, record: D) {
        self.outlet.emit(record);
    }

    /// Says that no record of a time before `time_ms` follows from this subtask. It reaches every subtask of the
    /// operators behind, after all that was emitted before it and ahead of all that is emitted after it. One that
    /// is not later than the last says nothing.
    pub fn watermark(&mut self, time_ms: i64) {
        if self.watermark_ms.is_none_or(|last_ms| last_ms < time_ms) {
            self.watermark_ms = Some(time_ms);
            let (from, to) = (self.subtask, 0);
            self.outlet.events.push(Event::Watermark { from, to, time_ms });
        }
    }

    pub(super) fn end(&mut self) {
        self.outlet.events.push(Event::End { from: self.subtask, to: 0 });
    }
}

/// How far event time has come at an operator with several origins: as far as the last of those that have not
/// ended.
pub(super) struct Watermarks {
    of_origins: Vec<Origin>,
    last_ms: Option<i64>,
}

#[derive(Clone, Copy, Default)]
struct Origin {
    /// None before its first watermark.
    time_ms: Option<i64>,
    has_ended: bool,
}

impl Watermarks {
    pub(super) fn new(origins: u32) -> Self {
        Self { of_origins: vec![Origin::default(); origins as usize], last_ms: None }
    }

    /// An origin's watermark has come; event time, if it goes on.
    pub(super) fn advance(&mut self, from: u32, time_ms: i64) -> Option<i64> {
        self.of_origins.get_mut(from as usize)?.time_ms = Some(time_ms);
        self.next()
    }

    /// An origin has ended; event time, if it goes on without that. Where all have, it goes on only with the
    /// watermarks of a job that is drained.
    pub(super) fn end(&mut self, from: u32) -> Option<i64> {
        self.of_origins.get_mut(from as usize)?.has_ended = true;
        self.next()
    }

    /// Whether all have.
    pub(super) fn have_ended(&self) -> bool {
        self.of_origins.iter().all(|origin| origin.has_ended)
    }

    fn next(&mut self) -> Option<i64> {
        let have_ended = self.have_ended();
        let mut least_ms: Option<i64> = None;
        for origin in &self.of_origins {
            match origin {
                Origin { has_ended: true, .. } if !have_ended => {}
                Origin { time_ms: Some(time_ms), .. } => {
                    least_ms = Some(least_ms.map_or(*time_ms, |least| least.min(*time_ms)));
                }
                Origin { time_ms: None, has_ended: true } => {}
                Origin { time_ms: None, .. } => return None,
            }
        }
        let next_ms = least_ms.filter(|least| self.last_ms.is_none_or(|last| last < *least))?;
        self.last_ms = Some(next_ms);
        Some(next_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_is_that_of_the_slowest_which_has_not_ended() {
        let mut watermarks = Watermarks::new(3);
        assert_eq!(watermarks.advance(0, 10), None);
        assert_eq!(watermarks.advance(1, 5), None);
        assert_eq!(watermarks.advance(2, 7), Some(5));
        assert_eq!(watermarks.advance(1, 6), Some(6));
        assert_eq!(watermarks.advance(2, 9), None);
        assert_eq!(watermarks.end(1), Some(9));
        assert_eq!((watermarks.end(2), watermarks.have_ended()), (Some(10), false));
        assert_eq!((watermarks.end(0), watermarks.have_ended()), (None, true));
        // Drained, though they have ended.
        let drained = [0, 1, 2].map(|from| watermarks.advance(from, i64::MAX));
        assert_eq!((drained, watermarks.have_ended()), ([None, None, Some(i64::MAX)], true));
    }

    #[test]
    fn a_sources_watermarks_never_go_back() {
        let mut out = SourceOutlet::<u64>::new(4);
        [7, 7, 3, 8].into_iter().for_each(|time_ms| out.watermark(time_ms));
        let sent: Vec<_> = out.outlet.take();
        let of = |time_ms| Event::Watermark { from: 4, to: 0, time_ms };
        assert_eq!(sent, [of(7), of(8)]);
    }
}
