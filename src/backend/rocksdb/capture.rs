//! A column family at one moment, as a run has it: keys are in its order, and values are copied as
//! they are.

use super::db::{Family, Frozen};
use super::expiry::Hold;
use super::filter::Content;
use super::keys::{ID_LEN_BYTES, bounds};
use crate::backend::ttl::time_of;
use crate::backend::{EntrySink, StateCapture};
use crate::state::TtlConfig;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::list::{elements, put_encoded};
use esker_format::run::{Entry, Op};
use std::sync::Arc;

/// Values, lists or entries of maps at one moment; they never change (I4).
pub(super) struct Capture {
    id: u32,
    frozen: Frozen,
    content: Content,
    entries: u64,
    ttl: Option<Ttl>,
}

struct Ttl {
    config: TtlConfig,
    time_ms: i64,
    _hold: Hold,
}

impl Capture {
    pub(super) fn new(id: u32, family: &Arc<Family>) -> Self {
        let (frozen, entries) = (family.freeze(), family.keys_estimate());
        Self { id, frozen, content: Content::Values, entries, ttl: None }
    }

    pub(super) fn of_lists(self) -> Self {
        Self { content: Content::Lists, ..self }
    }

    /// The same of a state with TTL, captured at `time_ms`.
    pub(super) fn of_ttl(self, config: TtlConfig, time_ms: i64, hold: Hold) -> Self {
        Self { ttl: Some(Ttl { config, time_ms, _hold: hold }), ..self }
    }

    /// What is left of a value that had expired in part; `None` if nothing is. `live` is a buffer.
    fn live<'a>(&self, value: &'a [u8], live: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>> {
        let Some(ttl) = self.ttl.as_ref().filter(|ttl| ttl.config.clean_full_snapshots) else {
            return Ok(Some(value));
        };
        let had_expired = |timed: &[u8]| match time_of(timed) {
            Some(time_ms) => Ok(ttl.config.is_expired(time_ms, ttl.time_ms)),
            None => Err(Error::new(ErrorKind::Corrupt, "a value with TTL has no time")),
        };
        if self.content == Content::Values {
            return Ok((!had_expired(value)?).then_some(value));
        }
        live.clear();
        for element in elements(value) {
            let element = element?;
            if !had_expired(element)? {
                put_encoded(live, element);
            }
        }
        Ok((!live.is_empty()).then_some(live))
    }
}

impl StateCapture for Capture {
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.entries
    }

    fn is_counted(&self) -> bool {
        false
    }

    fn entries_of(&self, entry: Entry<'_>) -> u64 {
        match self.content {
            Content::Values => 1,
            Content::Lists => elements(entry.value).count() as u64,
        }
    }

    fn ttl_time_ms(&self) -> Option<i64> {
        self.ttl.as_ref().map(|ttl| ttl.time_ms)
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let (from, to) = bounds(range);
        let (mut composite, mut live) = (self.id.to_be_bytes().to_vec(), Vec::new());
        self.frozen.for_each(&from, &to, |key, value| {
            if let Some(value) = self.live(value, &mut live)? {
                composite.truncate(ID_LEN_BYTES);
                composite.extend_from_slice(key);
                sink.add(Entry { key: &composite, op: Op::Put, value })?;
            }
            Ok(true)
        })
    }

    fn write_changes(&self, _: KeyGroupRange, _: &mut dyn EntrySink) -> Result<()> {
        Err(changes_unknown())
    }
}

/// Nobody asks for changes of what is not counted.
pub(super) fn changes_unknown() -> Error {
    Error::new(ErrorKind::Unsupported, "RocksDB does not know what changed since a capture")
}
