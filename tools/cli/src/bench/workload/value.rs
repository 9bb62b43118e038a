//! One value per key.

use super::super::{draw::Draw, probe::Probe, settings::Settings};
use super::Workload;
use esker::Result;
use esker::backend::{Backend, Handle, ValueCalls};
use esker::format::Ordered;
use esker::state::ValueDescriptor;

const GET: usize = 0;
const UPDATE: usize = 1;
const RMW: usize = 2;

/// Reads, and as many blind updates as read-modify-writes.
pub(in crate::bench) struct Values<B: Backend> {
    backend: B,
    values: Handle<B::Value<String, (), Vec<u8>>>,
    key: String,
    /// Whether the next write is a blind one.
    blind: bool,
}

impl<B: Backend> Workload<B> for Values<B> {
    const CALLS: &'static [&'static str] = &["get", "update", "rmw"];

    fn keys(settings: &Settings) -> u64 {
        settings.entries
    }

    fn open(mut backend: B, _settings: &Settings) -> Result<Self> {
        let values = backend.open(ValueDescriptor::with_codec("values", Ordered))?;
        Ok(Self { backend, values, key: String::new(), blind: false })
    }

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn load(&mut self, draw: &mut Draw, _probe: &mut Probe) -> Result<()> {
        let values = self.backend.state(self.values)?;
        for position in 0..draw.len() {
            draw.key_at(position, &mut self.key);
            values.update(&self.key, &(), draw.value())?;
        }
        Ok(())
    }

    fn step(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        let key = &mut self.key;
        draw.key(key);
        let values = self.backend.state(self.values)?;
        if draw.reads() {
            let read = |value: Option<&Vec<u8>>| value.map_or(0, Vec::len);
            probe.time(GET, || values.get_with(key, &(), read))?;
            return Ok(());
        }
        let value = draw.value();
        self.blind = !self.blind;
        match self.blind {
            true => probe.time(UPDATE, || values.update(key, &(), value)),
            false => probe.time(RMW, || values.rmw(key, &(), |slot| *slot = Some(value))),
        }
    }
}
