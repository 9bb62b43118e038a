//! What the demo's job must end with, counted from the file without esker's state.

use super::flights::{Flight, Flights};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An aircraft that does not fly for this long is idle.
pub(crate) const IDLE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// From this delay on, in minutes, an arrival is late.
pub(crate) const LATE_MINUTES: i64 = 60;

#[derive(Default)]
struct Aircraft {
    last_leg: Option<Flight>,
    routes: BTreeMap<String, u64>,
    late: Vec<i64>,
    miles: u64,
    delay: Option<(u64, i64, i64)>,
    idle: Option<i64>,
    idle_spells: u64,
}

/// What the job must end with.
pub(crate) struct Recount {
    /// The rows of the file.
    pub(crate) rows: u64,
    /// The canonical lines of the whole job's state at the end of the file, in byte order.
    pub(crate) lines: BTreeSet<String>,
}

/// Reads the whole file.
///
/// # Errors
/// The first bad row.
pub(crate) fn recount(input: Option<&Path>) -> Result<Recount, String> {
    let mut fleet = BTreeMap::<String, Aircraft>::new();
    let mut carriers = BTreeMap::<String, u64>::new();
    let mut timers = BTreeSet::<(i64, String)>::new();
    let mut rows = 0_u64;
    for flight in Flights::open(input)? {
        let flight = flight?;
        rows += 1;
        while timers.first().is_some_and(|(time_ms, _)| *time_ms <= flight.time_ms) {
            if let Some((_, tailnum)) = timers.pop_first() {
                let aircraft = fleet.entry(tailnum).or_default();
                aircraft.idle = None;
                aircraft.idle_spells += 1;
            }
        }
        *carriers.entry(flight.carrier.clone()).or_default() += 1;
        let Some(tailnum) = flight.tailnum.clone() else { continue };
        let aircraft = fleet.entry(tailnum.clone()).or_default();
        if let Some(before) = aircraft.idle.replace(flight.time_ms + IDLE_MS) {
            timers.remove(&(before, tailnum.clone()));
        }
        timers.insert((flight.time_ms + IDLE_MS, tailnum));
        aircraft.count(flight);
    }
    let mut lines = BTreeSet::new();
    lines.insert(format!(
        r#"{{"operator":"flights","state":"offset","kind":"operator-list","value":{rows}}}"#
    ));
    for (carrier, rows) in &carriers {
        lines.insert(keyed("carriers", "flights", "value", carrier, rows));
    }
    for (tailnum, aircraft) in &fleet {
        lines.extend(aircraft.lines(tailnum));
    }
    Ok(Recount { rows, lines })
}

impl Aircraft {
    fn count(&mut self, flight: Flight) {
        *self.routes.entry(format!("{}-{}", flight.origin, flight.dest)).or_default() += 1;
        self.miles += flight.distance;
        if let Some(minutes) = flight.arr_delay {
            if minutes >= LATE_MINUTES {
                self.late.push(minutes);
            }
            let (count, sum, max) = self.delay.unwrap_or((0, 0, i64::MIN));
            self.delay = Some((count + 1, sum + minutes, max.max(minutes)));
        }
        self.last_leg = Some(flight);
    }

    fn lines(&self, tailnum: &str) -> Vec<String> {
        let mut lines = vec![keyed("fleet", "miles", "reducing", tailnum, &self.miles)];
        if let Some(leg) = &self.last_leg {
            let (origin, dest, time_hour) = (&leg.origin, &leg.dest, &leg.time_hour);
            lines.push(keyed(
                "fleet",
                "last_leg",
                "value",
                tailnum,
                &Leg { origin, dest, time_hour },
            ));
        }
        for (route, rows) in &self.routes {
            let user_key = Some(route.as_str());
            lines.push(
                Keyed { user_key, ..line("fleet", "routes", "map", tailnum, rows) }.to_json(),
            );
        }
        if !self.late.is_empty() {
            lines.push(keyed("fleet", "late", "list", tailnum, &self.late));
        }
        if let Some((count, sum, max)) = self.delay {
            let delay = Delay { count, sum, max };
            lines.push(keyed("fleet", "delay", "aggregating", tailnum, &delay));
        }
        if let Some(time_ms) = self.idle {
            lines.push(keyed("fleet", "idle", "timer-event", tailnum, &time_ms));
        }
        if self.idle_spells > 0 {
            lines.push(keyed("fleet", "idle_spells", "value", tailnum, &self.idle_spells));
        }
        lines
    }
}

#[derive(Serialize)]
struct Leg<'a> {
    origin: &'a str,
    dest: &'a str,
    time_hour: &'a str,
}

#[derive(Serialize)]
struct Delay {
    count: u64,
    sum: i64,
    max: i64,
}

/// A canonical line; its fields in their order.
#[derive(Serialize)]
struct Keyed<'a, V> {
    operator: &'a str,
    state: &'a str,
    kind: &'a str,
    key: &'a str,
    namespace: (),
    #[serde(rename = "userKey", skip_serializing_if = "Option::is_none")]
    user_key: Option<&'a str>,
    value: &'a V,
}

impl<V: Serialize> Keyed<'_, V> {
    fn to_json(&self) -> String {
        // Text and numbers: that they cannot be written does not happen, and would be seen.
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }
}

fn line<'a, V>(
    operator: &'a str,
    state: &'a str,
    kind: &'a str,
    key: &'a str,
    value: &'a V,
) -> Keyed<'a, V> {
    Keyed { operator, state, kind, key, namespace: (), user_key: None, value }
}

fn keyed(operator: &str, state: &str, kind: &str, key: &str, value: &impl Serialize) -> String {
    line(operator, state, kind, key, value).to_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_lines_are_there() {
        let Recount { rows, lines } = recount(None).unwrap();
        assert_eq!(rows, 336_776);
        for line in [
            r#"{"operator":"carriers","state":"flights","kind":"value","key":"UA","namespace":null,"value":58665}"#,
            r#"{"operator":"flights","state":"offset","kind":"operator-list","value":336776}"#,
        ] {
            assert!(lines.contains(line), "{line}");
        }
        let of = |state: &str| lines.iter().filter(|line| line.contains(state)).count();
        assert_eq!(of(r#""state":"flights","#), 16);
        assert_eq!(of(r#""state":"miles","#), 4_043);
    }
}
