//! The state accesses of stateful Nexmark queries, side by side on one stream of events.
//!
//! Events are those of the generator `nexmark`: of fifty, one is a person, three are auctions, and
//! forty-six are bids, ten thousand in a second of event time. Nothing but state is of interest, so a query
//! is what it does to state; every query has states of its own, in one backend, keyed by `u64`.
//!
//! | query | asks | of a person | of an auction | of a bid | when a timer fires |
//! |---|---|---|---|---|---|
//! | 3 | who sells in some states | put, read auctions | append, get person | | |
//! | 4 | average price by category | | put, set timer | raise the maximum | take, add to the average |
//! | 5 | hot items, 10 s by 2 s | | | count in five windows, set their timers | take |
//! | 8 | new users who sell, 10 s | put, set timer | get person, append, set timer | | take both |
//! | 11 | bids in a session | | | extend, move the timer | take |
//! | 18 | last bid by auction | | | get, put in a map | |

mod auctions;
mod joins;
mod windows;

use super::super::{draw::Draw, probe::Probe, settings::Settings};
use super::Workload;
use super::window::WATERMARK_EVERY;
use ::nexmark::EventGenerator;
use ::nexmark::config::NexmarkConfig;
use ::nexmark::event::Event;
use auctions::{LastBids, Prices};
use esker::Result;
use esker::backend::Backend;
use esker::format::{KeyGroup, KeyGroupRange};
use joins::{LocalSellers, NewSellers};
use windows::{HotItems, Sessions};

/// The time of the first event, in milliseconds.
const BASE_TIME_MS: u64 = 1_436_918_400_000;
/// Fifty events are a round of persons, auctions and bids.
const ROUND: usize = 50;
/// Seeds draw apart by this many rounds, more than any run has.
const SEED_ROUNDS: usize = 1_000_000_000;
/// So many seeds are told apart.
const SEEDS: u64 = 1_000_000;

/// Six queries on one backend.
pub(in crate::bench) struct Nexmark<B: Backend> {
    backend: B,
    queries: Queries<B>,
    events: EventGenerator,
    range: KeyGroupRange,
    load: u64,
    seen: i64,
}

struct Queries<B: Backend> {
    local_sellers: LocalSellers<B>,
    prices: Prices<B>,
    hot_items: HotItems<B>,
    new_sellers: NewSellers<B>,
    sessions: Sessions<B>,
    last_bids: LastBids<B>,
}

/// What the queries do with an event.
struct Access<'a, B> {
    backend: &'a mut B,
    probe: &'a mut Probe,
    range: KeyGroupRange,
}

impl<B> Access<'_, B> {
    /// Whether `key` is of this subtask.
    fn owns(&self, key: u64) -> bool {
        self.range == KeyGroupRange::ALL || self.range.contains(KeyGroup::of(&key.to_be_bytes()))
    }
}

/// The calls, by their place in [`Nexmark::CALLS`].
mod call {
    pub(super) const Q3_PUT: usize = 0;
    pub(super) const Q3_GET: usize = 1;
    pub(super) const Q3_APPEND: usize = 2;
    pub(super) const Q3_READ: usize = 3;
    pub(super) const Q4_PUT: usize = 4;
    pub(super) const Q4_RMW: usize = 5;
    pub(super) const Q4_TIMER: usize = 6;
    pub(super) const Q4_TAKE: usize = 7;
    pub(super) const Q4_ADD: usize = 8;
    pub(super) const Q5_ADD: usize = 9;
    pub(super) const Q5_TIMER: usize = 10;
    pub(super) const Q5_TAKE: usize = 11;
    pub(super) const Q8_PUT: usize = 12;
    pub(super) const Q8_GET: usize = 13;
    pub(super) const Q8_APPEND: usize = 14;
    pub(super) const Q8_TIMER: usize = 15;
    pub(super) const Q8_TAKE: usize = 16;
    pub(super) const Q11_RMW: usize = 17;
    pub(super) const Q11_TIMER: usize = 18;
    pub(super) const Q11_TAKE: usize = 19;
    pub(super) const Q18_GET: usize = 20;
    pub(super) const Q18_PUT: usize = 21;
}

impl<B: Backend> Nexmark<B> {
    fn event(&mut self, probe: &mut Probe) -> Result<()> {
        let Some(event) = self.events.next() else { return Ok(()) };
        let access = &mut Access { backend: &mut self.backend, probe, range: self.range };
        let queries = &self.queries;
        match &event {
            Event::Person(person) => {
                queries.local_sellers.person(access, person)?;
                queries.new_sellers.person(access, person)?;
            }
            Event::Auction(auction) => {
                queries.local_sellers.auction(access, auction)?;
                queries.prices.auction(access, auction)?;
                queries.new_sellers.auction(access, auction)?;
            }
            Event::Bid(bid) => {
                queries.prices.bid(access, bid)?;
                queries.hot_items.bid(access, bid)?;
                queries.sessions.bid(access, bid)?;
                queries.last_bids.bid(access, bid)?;
            }
        }
        self.seen += 1;
        if self.seen % WATERMARK_EVERY != 0 {
            return Ok(());
        }
        // Events come in order of time.
        let time_ms = event.timestamp() as i64 - 1;
        queries.prices.watermark(access, time_ms)?;
        queries.hot_items.watermark(access, time_ms)?;
        queries.new_sellers.watermark(access, time_ms)?;
        queries.sessions.watermark(access, time_ms)
    }
}

impl<B: Backend> Workload<B> for Nexmark<B> {
    const CALLS: &'static [&'static str] = &[
        "q3.put",
        "q3.get",
        "q3.append",
        "q3.read",
        "q4.put",
        "q4.rmw",
        "q4.timer",
        "q4.take",
        "q4.add",
        "q5.add",
        "q5.timer",
        "q5.take",
        "q8.put",
        "q8.get",
        "q8.append",
        "q8.timer",
        "q8.take",
        "q11.rmw",
        "q11.timer",
        "q11.take",
        "q18.get",
        "q18.put",
    ];

    fn keys(_settings: &Settings) -> u64 {
        0
    }

    fn open(mut backend: B, settings: &Settings) -> Result<Self> {
        let queries = Queries {
            local_sellers: LocalSellers::open(&mut backend)?,
            prices: Prices::open(&mut backend)?,
            hot_items: HotItems::open(&mut backend)?,
            new_sellers: NewSellers::open(&mut backend)?,
            sessions: Sessions::open(&mut backend)?,
            last_bids: LastBids::open(&mut backend)?,
        };
        let (events, range) = (generator(settings.seed), backend.range());
        Ok(Self { backend, queries, events, range, load: settings.entries, seen: 0 })
    }

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn load(&mut self, _draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        (0..self.load).try_for_each(|_| self.event(probe))
    }

    fn step(&mut self, _draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        self.event(probe)
    }
}

/// Events that depend on `seed` alone: the generator draws each one by its number.
fn generator(seed: u64) -> EventGenerator {
    let first_event_id = (seed % SEEDS) as usize * SEED_ROUNDS * ROUND;
    EventGenerator::new(NexmarkConfig {
        base_time: BASE_TIME_MS,
        first_event_id,
        ..NexmarkConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_the_seed_alone_and_in_the_benchmark_s_proportions() {
        let of = |seed| generator(seed).take(5000).collect::<Vec<_>>();
        let events = of(7);
        assert_eq!(events, of(7));
        assert_ne!(events, of(8));
        let persons = events.iter().filter(|event| matches!(event, Event::Person(_))).count();
        let bids = events.iter().filter(|event| matches!(event, Event::Bid(_))).count();
        assert_eq!((persons, bids), (100, 4600));
        assert!(events.is_sorted_by_key(Event::timestamp));
    }
}
