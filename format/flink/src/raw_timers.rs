//! Timers as a raw keyed state: those of the heap beside a RocksDB (SPEC.md, "Raw timers").

use crate::entry::Entry;
use crate::text::read_utf;
use crate::{Input, Result, Serializer};

const MARKER: [u8; 4] = [0xf1, 0xcd, 0x85, 0x9f];
const VERSION: i32 = 2;
/// Name, two serializers and two counts.
const SERVICE_LEN_BYTES_MIN: usize = 22;
/// The time alone.
const TIMER_LEN_BYTES_MIN: usize = 8;
/// In front of a service's name, the name of its state in other formats.
const EVENT: &str = "_timer_state/event_";
const PROCESSING: &str = "_timer_state/processing_";

/// The timers of a key group, of one service after the other.
#[derive(Debug, Clone)]
pub struct RawTimers<'a> {
    key_group: u16,
    input: Input<'a>,
    services: usize,
    current: Option<Service>,
}

/// Timers of one name, with the same types of key and namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What writes the keys.
    pub key: Serializer,
    /// What writes the namespaces.
    pub namespace: Serializer,
    /// Which of its queues comes next, and how much of it is left.
    event_time: bool,
    left: usize,
}

/// A timer, and which of its service's two queues it is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawTimer<'t, 'a> {
    /// Its service.
    pub service: &'t Service,
    /// Whether it waits for event time, and else for processing time.
    pub event_time: bool,
    /// Key, namespace and time; the state's id says nothing.
    pub entry: Entry<'a>,
}

impl Service {
    /// The name that the queue of these timers has as a state, in all other formats.
    pub fn state_name(&self, event_time: bool) -> String {
        let prefix = if event_time { EVENT } else { PROCESSING };
        format!("{prefix}{}", self.name)
    }
}

impl<'a> RawTimers<'a> {
    /// Reads `input`, all of the key group's data, from its offset to the next one, or to the end of the stream.
    ///
    /// # Errors
    /// `Corrupt` if it is no such state; `UnsupportedVersion` if Flink 1.4 or an older one wrote it.
    pub fn new(key_group: u16, mut input: Input<'a>) -> Result<Self> {
        let at = input.clone();
        if input.array()? != MARKER {
            return Err(at.corrupt("no timers: raw keyed state that begins with other bytes"));
        }
        let at = input.clone();
        let version = input.i32()?;
        if version != VERSION {
            return Err(
                at.unsupported(format!("timers of version {version}, where {VERSION} is read"))
            );
        }
        let services = input.count(SERVICE_LEN_BYTES_MIN)?;
        Ok(Self { key_group, input, services, current: None })
    }

    /// The next timer; `None` behind the last.
    ///
    /// # Errors
    /// `Corrupt`; `Incompatible` or `UnsupportedVersion` with the class where a service's keys or namespaces cannot be read. It then goes on with
    /// nothing.
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Option<RawTimer<'_, 'a>>> {
        match self.advance() {
            Ok(Some((event_time, entry))) => {
                let service = self.current.as_ref();
                Ok(service.map(|service| RawTimer { service, event_time, entry }))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                (self.services, self.current) = (0, None);
                self.input.skip(usize::MAX);
                Err(error)
            }
        }
    }

    fn advance(&mut self) -> Result<Option<(bool, Entry<'a>)>> {
        loop {
            let Some(service) = &mut self.current else {
                if self.services == 0 {
                    return self.input.end().map(|()| None);
                }
                self.services -= 1;
                self.current = Some(Service::read(&mut self.input)?);
                continue;
            };
            if service.left > 0 {
                service.left -= 1;
                let entry = service.timer(self.key_group, &mut self.input)?;
                return Ok(Some((service.event_time, entry)));
            }
            if service.event_time {
                service.event_time = false;
                service.left = self.input.count(TIMER_LEN_BYTES_MIN)?;
            } else {
                self.current = None;
            }
        }
    }
}

impl Service {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        let name = read_utf(input)?;
        let key = Serializer::read(input)?;
        let namespace = Serializer::read(input)?;
        let left = input.count(TIMER_LEN_BYTES_MIN)?;
        Ok(Self { name, key, namespace, event_time: true, left })
    }

    fn timer<'a>(&self, key_group: u16, input: &mut Input<'a>) -> Result<Entry<'a>> {
        let start = input.position();
        self.key.skip(input)?;
        let key = input.since(start);
        let start = input.position();
        self.namespace.skip(input)?;
        let namespace = input.since(start);
        let timestamp_ms = Some(input.i64()?);
        Ok(Entry { state: 0, key_group, key, namespace, user_key: None, timestamp_ms, value: &[] })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]
    use super::*;
    use crate::key_group::key_group;
    use crate::metadata::KeyedHandle;
    use crate::testing::goldens;
    use std::collections::BTreeMap;

    /// Every timer of the goldens with timers on the heap: as many as their expected lines, in the key group of its key.
    #[test]
    fn goldens_hold_the_timers_that_they_should() {
        let mut checked = 0;
        for golden in goldens() {
            let mut counts = BTreeMap::new();
            for operator in &golden.metadata.operators {
                let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_ref());
                for handle in states.filter_map(|state| state.keyed_raw.as_ref()) {
                    let KeyedHandle::KeyGroups(handle) = handle else { panic!("{handle:?}") };
                    let stream = golden.stream(&handle.stream);
                    for (group, extent) in handle.extents(stream.len() as u64, true).unwrap() {
                        let bytes = &stream[extent.start as usize..extent.end as usize];
                        let input = Input::new("test", bytes).based_at(extent.start);
                        let mut timers = RawTimers::new(group, input).unwrap();
                        while let Some(timer) = timers.next().unwrap() {
                            let key = &mut Input::new("key", timer.entry.key);
                            let hash = timer.service.key.hash_bytes(key).unwrap();
                            assert_eq!(key_group(hash, operator.max_parallelism), group);
                            assert!(timer.entry.timestamp_ms.unwrap() > 1_000_000_000_000);
                            *counts
                                .entry(timer.service.state_name(timer.event_time))
                                .or_insert(0) += 1;
                        }
                    }
                }
            }
            if !counts.is_empty() {
                let mut timers = golden.expected(true);
                timers.retain(|state, _| state.starts_with("_timer_state"));
                assert_eq!(counts, timers, "{}", golden.name);
                checked += 1;
            }
        }
        assert_eq!(checked, 3);
    }

    fn timers(bytes: &[u8]) -> Result<usize> {
        let mut timers = RawTimers::new(0, Input::new("test", bytes))?;
        let mut number = 0;
        while timers.next()?.is_some() {
            number += 1;
        }
        Ok(number)
    }

    #[test]
    fn refusals_say_where() {
        let mut bytes = MARKER.to_vec();
        bytes.extend([0, 0, 0, 2, 0, 0, 0, 1, 0, 1, b's']);
        Serializer::long().write(&mut bytes);
        Serializer::void_namespace().write(&mut bytes);
        bytes.extend([0, 0, 0, 1]);
        bytes.extend([[7; 8], [0; 8]].concat());
        bytes.push(0);
        bytes.extend([0, 0, 0, 0]);
        assert_eq!(timers(&bytes), Ok(1));
        for len in 0..bytes.len() {
            assert!(timers(&bytes[..len]).is_err(), "{len}");
        }
        assert!(
            timers(&[&bytes[..], &[0]].concat()).unwrap_err().message.contains("follow its end")
        );
        assert!(timers(b"abcd\0\0\0\x02").unwrap_err().message.contains("no timers"));
    }
}
