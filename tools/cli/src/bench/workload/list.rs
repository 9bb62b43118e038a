//! One list per key.

use super::super::{draw::Draw, probe::Probe, settings::Settings};
use super::Workload;
use esker::Result;
use esker::backend::{Backend, Handle, ListCalls};
use esker::format::Ordered;
use esker::state::ListDescriptor;

const APPEND: usize = 0;
const READ: usize = 1;
const CLEAR: usize = 2;

/// Elements of a list at the beginning.
const LIST_LEN: u64 = 10;

/// Appends and whole reads; a list that is read with twice its elements or more is cleared, so that lists
/// stay as long as they are, unless nothing reads them.
pub(in crate::bench) struct Lists<B: Backend> {
    backend: B,
    lists: Handle<B::List<String, (), Vec<u8>>>,
    key: String,
}

impl<B: Backend> Workload<B> for Lists<B> {
    const CALLS: &'static [&'static str] = &["append", "read", "clear"];

    fn keys(settings: &Settings) -> u64 {
        settings.entries.div_ceil(LIST_LEN)
    }

    fn open(mut backend: B, _settings: &Settings) -> Result<Self> {
        let lists = backend.open(ListDescriptor::with_codec("lists", Ordered))?;
        Ok(Self { backend, lists, key: String::new() })
    }

    fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn load(&mut self, draw: &mut Draw, _probe: &mut Probe) -> Result<()> {
        let lists = self.backend.state(self.lists)?;
        // All lists grow side by side, as they do in a stream.
        for _ in 0..LIST_LEN {
            for position in 0..draw.len() {
                draw.key_at(position, &mut self.key);
                lists.append(&self.key, &(), draw.value())?;
            }
        }
        Ok(())
    }

    fn step(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()> {
        let key = &mut self.key;
        draw.key(key);
        let lists = self.backend.state(self.lists)?;
        if !draw.reads() {
            let element = draw.value();
            return probe.time(APPEND, || lists.append(key, &(), element));
        }
        let (mut elements, mut len_bytes) = (0, 0);
        let read =
            |element: &Vec<u8>| (elements, len_bytes) = (elements + 1, len_bytes + element.len());
        probe.time(READ, || lists.for_each(key, &(), read))?;
        match elements >= 2 * LIST_LEN {
            true => probe.time(CLEAR, || lists.clear(key, &())),
            false => Ok(()),
        }
    }
}
