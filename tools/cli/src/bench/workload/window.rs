//! Keyed tumbling windows.

use super::super::{draw::Draw, probe::Probe, settings::Settings};
use super::Workload;
use esker::Result;
use esker::backend::{Aggregating, Backend, Handle, TimerCalls};
use esker::format::Ordered;
use esker::state::{Aggregate, AggregatingDescriptor, TimerDescriptor};

const ADD: usize = 0;
const REGISTER: usize = 1;
const POP: usize = 2;
const TAKE: usize = 3;

/// A watermark comes after this many records.
pub(super) const WATERMARK_EVERY: i64 = 64;

/// The number of records, and the last one.
pub(super) struct Latest;

impl Aggregate for Latest {
    type Input = Vec<u8>;
    type Accumulator = (u64, Vec<u8>);
    type Output = u64;

    fn create(&self) -> (u64, Vec<u8>) {
        (0, Vec::new())
    }

    fn add(&self, (count, last): &mut (u64, Vec<u8>), record: Vec<u8>) {
        *count += 1;
        *last = record;
    }

    fn result(&self, (count, _): &(u64, Vec<u8>)) -> u64 {
        *count
    }
}

/// Each record is folded into the accumulator of its key and window, whose start is the namespace, and sets
/// the timer of that window; a watermark fires windows, which are read and cleared.
///
/// A record is a millisecond of event time, and a window lasts as many as there are keys. Windows of
/// different keys start at different times, so that about one of them fires for each record.
pub(in crate::bench) struct Windows<B: Backend> {
    backend: B,
    panes: Handle<Aggregating<B, String, i64, Latest>>,
    timers: Handle<B::Timers<String, i64>>,
    key: String,
    now_ms: i64,
}

impl<B: Backend> Windows<B> {
    /// Folds a record of the key at `position` in.
    fn record(&mut self, position: u64, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        let len_ms = draw.len().max(1) as i64;
        let start_ms = start_ms(self.now_ms, position as i64, len_ms);
        let (key, record) = (&self.key, draw.value());
        let panes = self.backend.state(self.panes)?;
        probe.time(ADD, || panes.add(key, &start_ms, record))?;
        let timers = self.backend.state(self.timers)?;
        probe.time(REGISTER, || timers.register(start_ms + len_ms - 1, key, &start_ms))
    }

    fn watermark(&mut self, probe: &mut Probe) -> Result<()> {
        loop {
            let timers = self.backend.state(self.timers)?;
            let due = probe.time(POP, || timers.pop_due(self.now_ms - 1))?;
            let Some((_, key, start_ms)) = due else { return Ok(()) };
            let panes = self.backend.state(self.panes)?;
            probe.time(TAKE, || {
                let count = panes.get(&key, &start_ms)?;
                panes.clear(&key, &start_ms)?;
                Ok(count)
            })?;
        }
    }
}

/// Where the window starts that holds `now_ms`, of windows that are `offset_ms` late.
fn start_ms(now_ms: i64, offset_ms: i64, len_ms: i64) -> i64 {
    now_ms - (now_ms - offset_ms).rem_euclid(len_ms)
}

impl<B: Backend> Workload<B> for Windows<B> {
    const CALLS: &'static [&'static str] = &["add", "register", "pop", "take"];

    fn keys(settings: &Settings) -> u64 {
        settings.entries
    }

    fn open(mut backend: B, _settings: &Settings) -> Result<Self> {
        let panes = AggregatingDescriptor::with_codec("panes", Ordered, Latest);
        let panes = backend.open(panes)?;
        let timers = backend.open(TimerDescriptor::event("timers"))?;
        Ok(Self { backend, panes, timers, key: String::new(), now_ms: 0 })
    }

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn load(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        for position in 0..draw.len() {
            draw.key_at(position, &mut self.key);
            self.record(position, draw, probe)?;
        }
        Ok(())
    }

    fn step(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        self.now_ms += 1;
        let position = draw.key(&mut self.key);
        self.record(position, draw, probe)?;
        match self.now_ms % WATERMARK_EVERY {
            0 => self.watermark(probe),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_a_key_lie_side_by_side() {
        for (now_ms, start) in [(0, -7), (2, -7), (3, 3), (12, 3), (13, 13)] {
            assert_eq!(start_ms(now_ms, 3, 10), start, "{now_ms}");
        }
    }
}
