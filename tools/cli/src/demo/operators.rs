//! The demo's two keyed operators, each a subtask's share.

use super::flights::Flight;
use super::recount::{IDLE_MS, LATE_MINUTES};
use esker::Result;
use esker::backend::{
    Aggregating, Backend, Handle, ListCalls, MapCalls, Reducing, TimerCalls, ValueCalls,
};
use esker::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    TimerDescriptor, ValueDescriptor,
};
use serde::{Deserialize, Serialize};

/// The uid of the source, whose operator state is the number of rows read.
pub(super) const SOURCE: &str = "flights";
/// The name of that state.
pub(super) const OFFSET: &str = "offset";
/// The uid of the operator keyed by aircraft.
pub(super) const FLEET: &str = "fleet";
/// The uid of the operator keyed by carrier.
pub(super) const CARRIERS: &str = "carriers";

/// A subtask of a keyed operator.
pub(super) trait Operator: Send {
    /// What holds its states.
    type Backend: Backend;

    /// Its states.
    fn backend(&mut self) -> &mut Self::Backend;

    /// Event time has come to `time_ms`.
    fn watermark(&mut self, time_ms: i64) -> Result<()>;

    /// A row whose key is of this subtask.
    fn row(&mut self, flight: &Flight) -> Result<()>;
}

/// The latest row of an aircraft.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Leg {
    origin: String,
    dest: String,
    time_hour: String,
}

/// How late an aircraft arrives, in minutes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Delay {
    count: u64,
    sum: i64,
    max: i64,
}

struct Delays;

impl Aggregate for Delays {
    type Input = i64;
    type Accumulator = Delay;
    /// The mean, in minutes.
    type Output = i64;

    fn create(&self) -> Delay {
        Delay { count: 0, sum: 0, max: i64::MIN }
    }

    fn add(&self, delay: &mut Delay, minutes: i64) {
        delay.count += 1;
        delay.sum += minutes;
        delay.max = delay.max.max(minutes);
    }

    fn result(&self, delay: &Delay) -> i64 {
        delay.sum / i64::try_from(delay.count).unwrap_or(i64::MAX)
    }
}

/// What is known of each aircraft.
pub(super) struct Fleet<B: Backend> {
    backend: B,
    last_leg: Handle<B::Value<String, (), Leg>>,
    routes: Handle<B::Map<String, (), String, u64>>,
    late: Handle<B::List<String, (), i64>>,
    miles: Handle<Reducing<B, String, (), u64>>,
    delay: Handle<Aggregating<B, String, (), Delays>>,
    idle: Handle<B::Timers<String, ()>>,
    idle_spells: Handle<B::Value<String, (), u64>>,
}

impl<B: Backend> Fleet<B> {
    pub(super) fn open(mut backend: B) -> Result<Self> {
        let add = |miles: &mut u64, more| *miles += more;
        Ok(Self {
            last_leg: backend.open(ValueDescriptor::new("last_leg"))?,
            routes: backend.open(MapDescriptor::new("routes"))?,
            late: backend.open(ListDescriptor::new("late"))?,
            miles: backend.open(ReducingDescriptor::new("miles", add))?,
            delay: backend.open(AggregatingDescriptor::new("delay", Delays))?,
            idle: backend.open(TimerDescriptor::event("idle"))?,
            idle_spells: backend.open(ValueDescriptor::new("idle_spells"))?,
            backend,
        })
    }

    fn idle_spell(&mut self, tailnum: &String) -> Result<()> {
        let count = |spells: &mut Option<u64>| *spells = Some(spells.unwrap_or(0) + 1);
        self.backend.state(self.idle_spells)?.rmw(tailnum, &(), count)
    }
}

impl<B: Backend> Operator for Fleet<B> {
    type Backend = B;

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn watermark(&mut self, time_ms: i64) -> Result<()> {
        while let Some((_, tailnum, ())) = self.backend.state(self.idle)?.pop_due(time_ms)? {
            self.idle_spell(&tailnum)?;
        }
        Ok(())
    }

    fn row(&mut self, flight: &Flight) -> Result<()> {
        let Some(tailnum) = &flight.tailnum else { return Ok(()) };
        let Flight { origin, dest, time_hour, .. } = flight.clone();
        let route = format!("{origin}-{dest}");
        let backend = &mut self.backend;
        let leg = Leg { origin, dest, time_hour };
        let before = backend.state(self.last_leg)?.rmw(tailnum, &(), |slot| slot.replace(leg))?;
        let count = |rows: &mut Option<u64>| *rows = Some(rows.unwrap_or(0) + 1);
        backend.state(self.routes)?.rmw(tailnum, &(), &route, count)?;
        if let Some(minutes) = flight.arr_delay {
            if minutes >= LATE_MINUTES {
                backend.state(self.late)?.append(tailnum, &(), minutes)?;
            }
            backend.state(self.delay)?.add(tailnum, &(), minutes)?;
        }
        backend.state(self.miles)?.add(tailnum, &(), flight.distance)?;

        let idle = backend.state(self.idle)?;
        let mut was_idle = false;
        // Where the row before cannot be read as a time, it set no timer either.
        if let Some(before) = before.and_then(|leg| time_ms(&leg.time_hour)) {
            let due_ms = before + IDLE_MS;
            // The watermark waits for the slower lane; the row itself says as well that the time has come.
            was_idle = due_ms <= flight.time_ms && idle.contains(due_ms, tailnum, &())?;
            idle.delete(due_ms, tailnum, &())?;
        }
        idle.register(flight.time_ms + IDLE_MS, tailnum, &())?;
        if was_idle {
            self.idle_spell(tailnum)?;
        }
        Ok(())
    }
}

fn time_ms(time_hour: &str) -> Option<i64> {
    time_hour.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond())
}

/// The rows of each carrier.
pub(super) struct Carriers<B: Backend> {
    backend: B,
    flights: Handle<B::Value<String, (), u64>>,
}

impl<B: Backend> Carriers<B> {
    pub(super) fn open(mut backend: B) -> Result<Self> {
        Ok(Self { flights: backend.open(ValueDescriptor::new("flights"))?, backend })
    }
}

impl<B: Backend> Operator for Carriers<B> {
    type Backend = B;

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn watermark(&mut self, _time_ms: i64) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, flight: &Flight) -> Result<()> {
        let count = |rows: &mut Option<u64>| *rows = Some(rows.unwrap_or(0) + 1);
        self.backend.state(self.flights)?.rmw(&flight.carrier, &(), count)
    }
}
