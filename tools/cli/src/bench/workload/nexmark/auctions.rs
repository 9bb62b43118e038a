//! Auctions and the bids on them.

use super::{Access, call};
use ::nexmark::event::{Auction, Bid};
use esker::Result;
use esker::backend::{Aggregating, Backend, Handle, MapCalls, TimerCalls, ValueCalls};
use esker::format::Ordered;
use esker::state::{
    Aggregate, AggregatingDescriptor, MapDescriptor, TimerDescriptor, ValueDescriptor,
};

struct Mean;

impl Aggregate for Mean {
    type Input = u64;
    /// Sum and number.
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, (sum, count): &mut (u64, u64), price: u64) {
        *sum = sum.saturating_add(price);
        *count += 1;
    }

    fn result(&self, (sum, count): &(u64, u64)) -> u64 {
        sum / count.max(&1)
    }
}

/// When an auction ends, its category, the least price, and the best bid.
type Offer = (i64, u64, u64, u64);

/// Query 4: an auction is kept until it ends; its best bid then counts for its category, if that is of this
/// subtask too: an engine would send it to whose it is.
pub(super) struct Prices<B: Backend> {
    auctions: Handle<B::Value<u64, (), Offer>>,
    timers: Handle<B::Timers<u64, ()>>,
    averages: Handle<Aggregating<B, u64, (), Mean>>,
}

impl<B: Backend> Prices<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        let averages = AggregatingDescriptor::with_codec("q4_averages", Ordered, Mean);
        Ok(Self {
            auctions: backend.open(ValueDescriptor::with_codec("q4_auctions", Ordered))?,
            timers: backend.open(TimerDescriptor::event("q4_timers"))?,
            averages: backend.open(averages)?,
        })
    }

    pub(super) fn auction(&self, access: &mut Access<'_, B>, auction: &Auction) -> Result<()> {
        let (key, ends_ms) = (auction.id as u64, auction.expires as i64);
        if !access.owns(key) {
            return Ok(());
        }
        let offer = (ends_ms, auction.category as u64, auction.reserve as u64, 0);
        let auctions = access.backend.state(self.auctions)?;
        access.probe.time(call::Q4_PUT, || auctions.update(&key, &(), offer))?;
        let timers = access.backend.state(self.timers)?;
        access.probe.time(call::Q4_TIMER, || timers.register(ends_ms, &key, &()))
    }

    pub(super) fn bid(&self, access: &mut Access<'_, B>, bid: &Bid) -> Result<()> {
        let (key, price, time_ms) = (bid.auction as u64, bid.price as u64, bid.date_time as i64);
        if !access.owns(key) {
            return Ok(());
        }
        let auctions = access.backend.state(self.auctions)?;
        let raise = |slot: &mut Option<Offer>| {
            if let Some((ends_ms, _, reserve, best)) = slot
                && time_ms <= *ends_ms
                && price >= *reserve
            {
                *best = price.max(*best);
            }
        };
        access.probe.time(call::Q4_RMW, || auctions.rmw(&key, &(), raise))
    }

    pub(super) fn watermark(&self, access: &mut Access<'_, B>, time_ms: i64) -> Result<()> {
        loop {
            let timers = access.backend.state(self.timers)?;
            let due = access.probe.time(call::Q4_TIMER, || timers.pop_due(time_ms))?;
            let Some((_, key, ())) = due else { return Ok(()) };
            let auctions = access.backend.state(self.auctions)?;
            let sold = access.probe.time(call::Q4_TAKE, || {
                let sold = auctions.get(&key, &())?;
                auctions.clear(&key, &())?;
                Ok(sold)
            })?;
            if let Some((_, category, _, best @ 1..)) = sold
                && access.owns(category)
            {
                let averages = access.backend.state(self.averages)?;
                access.probe.time(call::Q4_ADD, || averages.add(&category, &(), best))?;
            }
        }
    }
}

/// Time and price by auction.
type Bids<B> = <B as Backend>::Map<u64, (), u64, (i64, u64)>;

/// Query 18: the last bid of a bidder on each auction, for ever.
pub(super) struct LastBids<B: Backend> {
    bids: Handle<Bids<B>>,
}

impl<B: Backend> LastBids<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        Ok(Self { bids: backend.open(MapDescriptor::with_codec("q18_bids", Ordered))? })
    }

    pub(super) fn bid(&self, access: &mut Access<'_, B>, bid: &Bid) -> Result<()> {
        let (key, auction, time_ms) = (bid.bidder as u64, bid.auction as u64, bid.date_time as i64);
        if !access.owns(key) {
            return Ok(());
        }
        let bids = access.backend.state(self.bids)?;
        let newest = |before: Option<&(i64, u64)>| before.is_none_or(|(at, _)| *at <= time_ms);
        let get = || bids.get_with(&key, &(), &auction, newest);
        if access.probe.time(call::Q18_GET, get)? {
            let put = || bids.put(&key, &(), &auction, (time_ms, bid.price as u64));
            access.probe.time(call::Q18_PUT, put)?;
        }
        Ok(())
    }
}
