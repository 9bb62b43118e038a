//! Bids counted in windows.

use super::{Access, call};
use ::nexmark::event::Bid;
use esker::Result;
use esker::backend::{Backend, Handle, Reducing, TimerCalls, ValueCalls};
use esker::format::Ordered;
use esker::state::{ReducingDescriptor, TimerDescriptor, ValueDescriptor};

/// How long the windows of query 5 are, and how far apart they start, in milliseconds.
const WINDOW_MS: i64 = 10_000;
const SLIDE_MS: i64 = 2_000;
/// After so many milliseconds without a bid a session of query 11 is over.
const GAP_MS: i64 = 10_000;

/// Query 5: bids of each auction in sliding windows, whose starts are the namespaces.
pub(super) struct HotItems<B: Backend> {
    counts: Handle<Reducing<B, u64, i64, u64>>,
    timers: Handle<B::Timers<u64, i64>>,
}

impl<B: Backend> HotItems<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        let add = |sum: &mut u64, more| *sum += more;
        Ok(Self {
            counts: backend.open(ReducingDescriptor::with_codec("q5_counts", Ordered, add))?,
            timers: backend.open(TimerDescriptor::event("q5_timers"))?,
        })
    }

    pub(super) fn bid(&self, access: &mut Access<'_, B>, bid: &Bid) -> Result<()> {
        let (key, time_ms) = (bid.auction as u64, bid.date_time as i64);
        if !access.owns(key) {
            return Ok(());
        }
        let last_ms = time_ms - time_ms.rem_euclid(SLIDE_MS);
        for slide in 0..WINDOW_MS / SLIDE_MS {
            let start_ms = last_ms - slide * SLIDE_MS;
            let counts = access.backend.state(self.counts)?;
            access.probe.time(call::Q5_ADD, || counts.add(&key, &start_ms, 1))?;
            let timers = access.backend.state(self.timers)?;
            let ends_ms = start_ms + WINDOW_MS - 1;
            access.probe.time(call::Q5_TIMER, || timers.register(ends_ms, &key, &start_ms))?;
        }
        Ok(())
    }

    pub(super) fn watermark(&self, access: &mut Access<'_, B>, time_ms: i64) -> Result<()> {
        loop {
            let timers = access.backend.state(self.timers)?;
            let due = access.probe.time(call::Q5_TIMER, || timers.pop_due(time_ms))?;
            let Some((_, key, start_ms)) = due else { return Ok(()) };
            let counts = access.backend.state(self.counts)?;
            access.probe.time(call::Q5_TAKE, || counts.clear(&key, &start_ms))?;
        }
    }
}

/// Query 11: bids of each bidder until there is none for a while.
pub(super) struct Sessions<B: Backend> {
    /// When the session ends if nothing comes, and its bids.
    sessions: Handle<B::Value<u64, (), (i64, u64)>>,
    timers: Handle<B::Timers<u64, ()>>,
}

impl<B: Backend> Sessions<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        Ok(Self {
            sessions: backend.open(ValueDescriptor::with_codec("q11_sessions", Ordered))?,
            timers: backend.open(TimerDescriptor::event("q11_timers"))?,
        })
    }

    pub(super) fn bid(&self, access: &mut Access<'_, B>, bid: &Bid) -> Result<()> {
        let (key, ends_ms) = (bid.bidder as u64, bid.date_time as i64 + GAP_MS);
        if !access.owns(key) {
            return Ok(());
        }
        let sessions = access.backend.state(self.sessions)?;
        let extend = |slot: &mut Option<(i64, u64)>| {
            let before = slot.map(|(before_ms, _)| before_ms);
            *slot = Some((ends_ms, slot.map_or(0, |(_, bids)| bids) + 1));
            before
        };
        let before = access.probe.time(call::Q11_RMW, || sessions.rmw(&key, &(), extend))?;
        let timers = access.backend.state(self.timers)?;
        access.probe.time(call::Q11_TIMER, || {
            if let Some(before_ms) = before {
                timers.delete(before_ms, &key, &())?;
            }
            timers.register(ends_ms, &key, &())
        })
    }

    pub(super) fn watermark(&self, access: &mut Access<'_, B>, time_ms: i64) -> Result<()> {
        loop {
            let timers = access.backend.state(self.timers)?;
            let due = access.probe.time(call::Q11_TIMER, || timers.pop_due(time_ms))?;
            let Some((_, key, ())) = due else { return Ok(()) };
            let sessions = access.backend.state(self.sessions)?;
            access.probe.time(call::Q11_TAKE, || {
                let session = sessions.get(&key, &())?;
                sessions.clear(&key, &())?;
                Ok(session)
            })?;
        }
    }
}
