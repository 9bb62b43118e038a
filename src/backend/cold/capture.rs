//! A capture of a state of which a part is in the files still that it was restored from.

use super::marks::Marks;
use super::{Cold, Counts, Unexpired};
use crate::backend::ttl::Clock;
use crate::backend::{EntrySink, StateCapture};
use crate::snapshot::{ChainCursor, ColdChain};
use crate::{Error, ErrorKind, Result};
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError};

/// What was brought, as it was then, and the key groups that were cold, from the files: these never change
/// either. Where key groups are written in full, entries of cold ones are copied from there.
pub(super) struct ColdCapture {
    hot: Arc<dyn StateCapture>,
    chain: Arc<ColdChain>,
    cold: Marks,
    clock: Option<Clock>,
    /// How many entries the cold key groups hold, once that is known, and about as many.
    entries: OnceLock<u64>,
    estimate: u64,
    counts: Counts,
}

impl ColdCapture {
    pub(super) fn new(hot: Arc<dyn StateCapture>, cold: &Cold) -> Self {
        let (chain, clock) = (Arc::clone(&cold.chain), cold.clock.clone());
        let entries = OnceLock::new();
        let estimate = cold.entries();
        if chain.entries(cold.id).1 {
            let _ = entries.set(estimate);
        }
        let counts = Arc::clone(&cold.counts);
        Self { hot, chain, cold: cold.marks.clone(), clock, entries, estimate, counts }
    }

    /// The cold key groups of `range` in one, with others between them.
    fn hull(&self, range: KeyGroupRange) -> Option<KeyGroupRange> {
        let range = range.intersect(self.cold.range())?;
        let first = self.cold.next(KeyGroup(range.first()), 1)?.first();
        let last = (first..=range.last()).rev().find(|at| self.cold.contains(KeyGroup(*at)))?;
        KeyGroupRange::new(first, last).ok()
    }
}

impl StateCapture for ColdCapture {
    fn id(&self) -> u32 {
        self.hot.id()
    }

    fn entries(&self) -> u64 {
        self.hot.entries() + self.entries.get().copied().unwrap_or(self.estimate)
    }

    fn is_prepared(&self) -> bool {
        self.entries.get().is_some()
    }

    fn prepare(&self) -> Result<()> {
        if self.is_prepared() {
            return Ok(());
        }
        let Some(hull) = self.hull(self.cold.range()) else {
            let _ = self.entries.set(0);
            return Ok(());
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let cold = || (hull.first()..=hull.last()).filter(|at| self.cold.contains(KeyGroup(*at)));
        if !cold().all(|at| counts.contains_key(&at)) {
            let mut counted: BTreeMap<u16, u64> = cold().map(|at| (at, 0)).collect();
            self.chain.read(self.id(), hull, &mut |group, entry| {
                if let Some(count) = counted.get_mut(&group.0) {
                    *count += self.chain.live(self.id(), entry)?;
                }
                Ok(())
            })?;
            *counts = counted;
        }
        let entries = cold().filter_map(|at| counts.get(&at)).sum();
        drop(counts);
        let _ = self.entries.set(entries);
        Ok(())
    }

    fn earliest_timer_ms(&self) -> Option<i64> {
        // A state of timers has brought all of them when it is captured.
        self.hot.earliest_timer_ms()
    }

    fn ttl_time_ms(&self) -> Option<i64> {
        self.hot.ttl_time_ms()
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let Some(hull) = self.hull(range) else { return self.hot.write_full(range, sink) };
        let expiry = self.clock.as_ref().zip(self.ttl_time_ms());
        let unexpired = Unexpired::new(expiry, self.chain.is_list(self.id()));
        let mut files = Files { cursor: self.chain.cursor(self.id(), hull), is_open: false };
        let mut next = u32::from(range.first());
        while let Ok(first) = u16::try_from(next)
            && first <= range.last()
        {
            let cold = self.cold.next(KeyGroup(first), u32::MAX);
            let cold = cold.and_then(|cold| cold.intersect(range));
            let hot_end = cold.map_or(u32::from(range.last()) + 1, |cold| cold.first().into());
            if hot_end > next {
                self.hot.write_full(KeyGroupRange::new(first, (hot_end - 1) as u16)?, sink)?;
            }
            let Some(cold) = cold else { break };
            files.write(cold, &mut |entry| unexpired.of(entry, |entry| sink.add(entry)))?;
            next = u32::from(cold.last()) + 1;
        }
        Ok(())
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        // What is cold did not change.
        self.hot.write_changes(range, sink)
    }
}

/// The entries of the files, read from the first to the last.
struct Files<'a> {
    cursor: ChainCursor<'a>,
    /// Whether the cursor stands on an entry.
    is_open: bool,
}

impl Files<'_> {
    /// Calls `f` with the entries in `range`, which is behind those before; what is in front of it is
    /// passed over.
    fn write(
        &mut self,
        range: KeyGroupRange,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        loop {
            if !self.is_open && !self.cursor.advance()? {
                return Ok(());
            }
            self.is_open = true;
            let key = self.cursor.key();
            let group =
                key.first_chunk::<6>().map(|&[.., high, low]| u16::from_be_bytes([high, low]));
            let Some(group) = group else {
                return Err(Error::new(ErrorKind::Corrupt, "a key of a run is too short"));
            };
            if group > range.last() {
                return Ok(());
            }
            if group >= range.first() {
                f(Entry { key, op: Op::Put, value: self.cursor.value() })?;
            }
            self.is_open = false;
        }
    }
}
