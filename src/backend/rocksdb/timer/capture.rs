//! Timers at one moment, and their way into runs: the first piece that is written sorts them for all
//! others, where they fit into memory.

use super::super::capture::changes_unknown;
use super::super::db::{Family, Frozen};
use super::sorted::{Sorted, sorted, write_pieces};
use crate::Result;
use crate::backend::{EntrySink, StateCapture};
use esker_format::KeyGroupRange;
use std::sync::{Arc, OnceLock};

/// Timers at one moment; they never change (I4).
pub(super) struct TimerCapture {
    id: u32,
    frozen: Frozen,
    entries: u64,
    earliest_ms: Option<i64>,
    /// All of them, if they fit.
    all: OnceLock<Option<Sorted>>,
}

impl TimerCapture {
    pub(super) fn new(id: u32, family: &Arc<Family>, earliest_ms: Option<i64>) -> Self {
        let (frozen, entries) = (family.freeze(), family.keys_estimate());
        Self { id, frozen, entries, earliest_ms, all: OnceLock::new() }
    }

    fn read(&self, f: &mut dyn FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        self.frozen.for_each(&[], &[], |key, _| f(key))
    }
}

impl StateCapture for TimerCapture {
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.entries
    }

    fn is_counted(&self) -> bool {
        false
    }

    fn earliest_timer_ms(&self) -> Option<i64> {
        self.earliest_ms
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let read = |f: &mut dyn FnMut(&[u8]) -> Result<bool>| self.read(f);
        match self.all.get_or_init(|| sorted(&read)) {
            Some(all) => all.write(self.id, range, sink),
            None => write_pieces(&read, self.id, range, sink),
        }
    }

    fn write_changes(&self, _: KeyGroupRange, _: &mut dyn EntrySink) -> Result<()> {
        Err(changes_unknown())
    }
}
