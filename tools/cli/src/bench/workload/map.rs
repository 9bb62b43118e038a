//! One map per key.

use super::super::{draw::Draw, probe::Probe, settings::Settings};
use super::Workload;
use esker::Result;
use esker::backend::{Backend, Handle, MapCalls};
use esker::format::Ordered;
use esker::state::MapDescriptor;

const GET: usize = 0;
const PUT: usize = 1;
const REMOVE: usize = 2;
const ITERATE: usize = 3;

/// Entries of a map at the beginning, and user keys that are asked for.
const MAP_LEN: u64 = 100;
/// Of reads one in this many is of a whole map, and of writes one is a removal.
const RARE: u64 = 16;

/// Single entries read and put; now and then a map is read whole, or an entry removed.
pub(in crate::bench) struct Maps<B: Backend> {
    backend: B,
    maps: Handle<B::Map<String, (), u64, Vec<u8>>>,
    key: String,
    /// User keys per key.
    len: u64,
}

impl<B: Backend> Workload<B> for Maps<B> {
    const CALLS: &'static [&'static str] = &["get", "put", "remove", "iterate"];

    fn keys(settings: &Settings) -> u64 {
        settings.entries.div_ceil(MAP_LEN)
    }

    fn open(mut backend: B, settings: &Settings) -> Result<Self> {
        let maps = backend.open(MapDescriptor::with_codec("maps", Ordered))?;
        let len = MAP_LEN.min(settings.entries);
        Ok(Self { backend, maps, key: String::new(), len })
    }

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn load(&mut self, draw: &mut Draw, _probe: &mut Probe) -> Result<()> {
        let maps = self.backend.state(self.maps)?;
        for user_key in 0..self.len {
            for position in 0..draw.len() {
                draw.key_at(position, &mut self.key);
                maps.put(&self.key, &(), &user_key, draw.value())?;
            }
        }
        Ok(())
    }

    fn step(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        let key = &mut self.key;
        draw.key(key);
        let (user_key, rare) = (draw.below(self.len), draw.below(RARE) == 0);
        let maps = self.backend.state(self.maps)?;
        match (draw.reads(), rare) {
            (true, false) => {
                let read = |value: Option<&Vec<u8>>| value.map_or(0, Vec::len);
                probe.time(GET, || maps.get_with(key, &(), &user_key, read)).map(|_| ())
            }
            (true, true) => {
                let mut sum = 0;
                let read = |user_key: &u64, value: &Vec<u8>| sum += *user_key + value.len() as u64;
                probe.time(ITERATE, || maps.for_each(key, &(), read))
            }
            (false, false) => {
                let value = draw.value();
                probe.time(PUT, || maps.put(key, &(), &user_key, value))
            }
            (false, true) => probe.time(REMOVE, || maps.remove(key, &(), &user_key)),
        }
    }
}
