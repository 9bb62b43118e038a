//! Persons beside the auctions that they open.

use super::{Access, call};
use ::nexmark::event::{Auction, Person};
use esker::Result;
use esker::backend::{Backend, Handle, ListCalls, TimerCalls, ValueCalls};
use esker::format::Ordered;
use esker::state::{ListDescriptor, TimerDescriptor, ValueDescriptor};

/// The category and the states that query 3 asks for.
const CATEGORY: usize = 10;
const STATES: [&str; 3] = ["or", "id", "ca"];

/// The window of query 8, in milliseconds.
const WINDOW_MS: i64 = 10_000;

type Auctions<B, N> = <B as Backend>::List<u64, N, u64>;

/// Query 3: both sides of the join are kept for ever.
pub(super) struct LocalSellers<B: Backend> {
    persons: Handle<B::Value<u64, (), Vec<u8>>>,
    auctions: Handle<Auctions<B, ()>>,
}

impl<B: Backend> LocalSellers<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        Ok(Self {
            persons: backend.open(ValueDescriptor::with_codec("q3_persons", Ordered))?,
            auctions: backend.open(ListDescriptor::with_codec("q3_auctions", Ordered))?,
        })
    }

    pub(super) fn person(&self, access: &mut Access<'_, B>, person: &Person) -> Result<()> {
        let key = person.id as u64;
        if !access.owns(key) || !STATES.contains(&person.state.as_str()) {
            return Ok(());
        }
        let row = format!("{}, {}, {}", person.name, person.city, person.state).into_bytes();
        let persons = access.backend.state(self.persons)?;
        access.probe.time(call::Q3_PUT, || persons.update(&key, &(), row))?;
        let auctions = access.backend.state(self.auctions)?;
        let mut matches = 0;
        access.probe.time(call::Q3_READ, || auctions.for_each(&key, &(), |_| matches += 1))
    }

    pub(super) fn auction(&self, access: &mut Access<'_, B>, auction: &Auction) -> Result<()> {
        let (key, id) = (auction.seller as u64, auction.id as u64);
        if !access.owns(key) || auction.category != CATEGORY {
            return Ok(());
        }
        let auctions = access.backend.state(self.auctions)?;
        access.probe.time(call::Q3_APPEND, || auctions.append(&key, &(), id))?;
        let persons = access.backend.state(self.persons)?;
        let is_there = |person: Option<&Vec<u8>>| person.is_some();
        access.probe.time(call::Q3_GET, || persons.get_with(&key, &(), is_there)).map(|_| ())
    }
}

/// Query 8: both sides of the join are kept for a window, whose start is their namespace.
pub(super) struct NewSellers<B: Backend> {
    persons: Handle<B::Value<u64, i64, Vec<u8>>>,
    auctions: Handle<Auctions<B, i64>>,
    timers: Handle<B::Timers<u64, i64>>,
}

impl<B: Backend> NewSellers<B> {
    pub(super) fn open(backend: &mut B) -> Result<Self> {
        Ok(Self {
            persons: backend.open(ValueDescriptor::with_codec("q8_persons", Ordered))?,
            auctions: backend.open(ListDescriptor::with_codec("q8_auctions", Ordered))?,
            timers: backend.open(TimerDescriptor::event("q8_timers"))?,
        })
    }

    pub(super) fn person(&self, access: &mut Access<'_, B>, person: &Person) -> Result<()> {
        let (key, start_ms) = (person.id as u64, start_ms(person.date_time));
        if !access.owns(key) {
            return Ok(());
        }
        let (persons, name) = (access.backend.state(self.persons)?, person.name.clone());
        access.probe.time(call::Q8_PUT, || persons.update(&key, &start_ms, name.into_bytes()))?;
        self.register(access, key, start_ms)
    }

    pub(super) fn auction(&self, access: &mut Access<'_, B>, auction: &Auction) -> Result<()> {
        let (key, start_ms) = (auction.seller as u64, start_ms(auction.date_time));
        if !access.owns(key) {
            return Ok(());
        }
        let persons = access.backend.state(self.persons)?;
        let is_there = |person: Option<&Vec<u8>>| person.is_some();
        access.probe.time(call::Q8_GET, || persons.get_with(&key, &start_ms, is_there))?;
        let (auctions, id) = (access.backend.state(self.auctions)?, auction.id as u64);
        access.probe.time(call::Q8_APPEND, || auctions.append(&key, &start_ms, id))?;
        self.register(access, key, start_ms)
    }

    fn register(&self, access: &mut Access<'_, B>, key: u64, start_ms: i64) -> Result<()> {
        let timers = access.backend.state(self.timers)?;
        let time_ms = start_ms + WINDOW_MS - 1;
        access.probe.time(call::Q8_TIMER, || timers.register(time_ms, &key, &start_ms))
    }

    pub(super) fn watermark(&self, access: &mut Access<'_, B>, time_ms: i64) -> Result<()> {
        loop {
            let timers = access.backend.state(self.timers)?;
            let due = access.probe.time(call::Q8_TIMER, || timers.pop_due(time_ms))?;
            let Some((_, key, start_ms)) = due else { return Ok(()) };
            let persons = access.backend.state(self.persons)?;
            access.probe.time(call::Q8_TAKE, || persons.clear(&key, &start_ms))?;
            let auctions = access.backend.state(self.auctions)?;
            let mut matches = 0;
            access.probe.time(call::Q8_TAKE, || {
                auctions.for_each(&key, &start_ms, |_| matches += 1)?;
                auctions.clear(&key, &start_ms)
            })?;
        }
    }
}

fn start_ms(time_ms: u64) -> i64 {
    let time_ms = time_ms as i64;
    time_ms - time_ms.rem_euclid(WINDOW_MS)
}
