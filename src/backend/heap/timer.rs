//! Timers: ordered by time, deduplicated, deletable, in a copy-on-write tree.
//!
//! The next few to fire stand apart in `front`, the last one first: firing takes them off its end,
//! and refills it with the tree's first leaf. All of `front` come before all in the tree.

mod capture;
mod node;
mod order;
mod sorted;
#[cfg(test)]
mod tests;
mod tree;

pub use capture::TimerCapture;

use super::address::{self, Address};
use super::lazy::{self, Lazy, lazily};
use crate::backend::cold::Cold;
use crate::backend::{KeyedState, StateCapture};
use crate::state::TimeDomain;
use crate::{Error, ErrorKind, Result};
use arrayvec::ArrayVec;
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroup, KeyGroupRange};
use order::{Probe, Timer};
use sorted::FAN_OUT;
use std::cmp::Ordering;
use std::sync::Arc;
use tree::Tree;

/// Timers of one time domain, each of a time in milliseconds, a key `K` and a namespace `N`.
///
/// ```
/// # use esker::backend::heap::TimerState;
/// # use esker::state::TimeDomain;
/// # use esker::format::KeyGroupRange;
/// let mut timers =
///     TimerState::<String, ()>::new(1, TimeDomain::Event, KeyGroupRange::ALL)?;
/// timers.register(20, &"UA".into(), &())?;
/// timers.register(10, &"AA".into(), &())?;
/// while let Some((time_ms, key, ())) = timers.pop_due(15)? {
///     assert_eq!((time_ms, key.as_str()), (10, "AA"));
///     timers.register(time_ms + 100, &key, &())?;
/// }
/// assert_eq!(timers.peek()?, Some(20));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TimerState<K, N> {
    id: u32,
    domain: TimeDomain,
    range: KeyGroupRange,
    front: ArrayVec<Timer<K, N>, FAN_OUT>,
    tree: Tree<K, N>,
    /// Timers that the last capture held, gone since.
    removed: Vec<Timer<K, N>>,
    cold: Option<Box<Cold>>,
    /// Whether all timers are there.
    open: bool,
}

impl<K: Key, N: Key> TimerState<K, N> {
    /// No timers yet, with numeric id `id`, for the key groups in `range`.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(id: u32, domain: TimeDomain, range: KeyGroupRange) -> Result<Self> {
        K::check()?;
        N::check()?;
        let (front, tree, removed) = (ArrayVec::new(), Tree::new(), Vec::new());
        Ok(Self { id, domain, range, front, tree, removed, cold: None, open: true })
    }

    /// The kind of the state in manifests.
    pub fn kind(&self) -> StateKind {
        match self.domain {
            TimeDomain::Event => StateKind::TimerEvent,
            TimeDomain::Processing => StateKind::TimerProcessing,
        }
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        self.front.len() + self.tree.len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many nodes of at most 64 timers were copied because a capture held them.
    pub fn nodes_copied(&self) -> u64 {
        self.tree.nodes_copied()
    }

    /// Registers a timer; `false` if there was the same one.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn register(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool> {
        let probe = self.probe(time_ms, key, namespace)?;
        Ok(self.insert(&probe, self.tree.epoch()))
    }

    /// Deletes a timer; `false` if there was none.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    pub fn delete(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool> {
        let probe = self.probe(time_ms, key, namespace)?;
        Ok(self.remove(&probe))
    }

    /// Whether there is such a timer.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    pub fn contains(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool> {
        let probe = self.probe(time_ms, key, namespace)?;
        Ok(match self.find_front(&probe) {
            Some(found) => found.is_ok(),
            None => self.tree.contains(&probe),
        })
    }

    /// The earliest time, in milliseconds.
    ///
    /// # Errors
    /// None but where it was restored lazily and brings its timers first.
    pub fn peek(&mut self) -> Result<Option<i64>> {
        self.bring_due(i64::MAX)?;
        Ok(self.first_ms())
    }

    /// The earliest time of those that are there.
    fn first_ms(&self) -> Option<i64> {
        self.front.last().map(|timer| timer.time_ms).or_else(|| self.tree.first_ms())
    }

    /// Brings all timers if one that is not there yet may be the first, and due at `time_ms`.
    #[inline]
    fn bring_due(&mut self, time_ms: i64) -> Result<()> {
        if self.open {
            return Ok(());
        }
        lazy::check(self)?;
        let Some(cold) = &self.cold else { return Ok(()) };
        let earliest_ms = cold.earliest_timer_ms();
        let is_first = self.first_ms().is_none_or(|first_ms| earliest_ms <= first_ms);
        if earliest_ms <= time_ms && is_first { lazy::bring_all(self) } else { Ok(()) }
    }

    /// Takes the first timer off, if its time is not after `time_ms`: a watermark, or the time on
    /// the clock. Timers come in order of time, then key group, key and namespace, by their bytes.
    /// More may be registered and deleted before the next call.
    ///
    /// # Errors
    /// None but where it was restored lazily: the first watermark that a timer may be due at waits for all
    /// of them. Nothing was taken off then.
    #[inline]
    pub fn pop_due(&mut self, time_ms: i64) -> Result<Option<(i64, K, N)>> {
        self.bring_due(time_ms)?;
        Ok(self.pop(time_ms))
    }

    fn pop(&mut self, time_ms: i64) -> Option<(i64, K, N)> {
        if self.front.is_empty() {
            if self.tree.first_ms()? > time_ms {
                return None;
            }
            self.front.extend(self.tree.take_first().into_reversed());
        }
        if self.front.last()?.time_ms > time_ms {
            return None;
        }
        let timer = self.front.pop()?;
        if timer.born != self.tree.epoch() {
            self.removed.push(timer.clone());
        }
        Some((timer.time_ms, timer.key, timer.namespace))
    }

    /// The timers as they are now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> TimerCapture<K, N> {
        let removed = std::mem::take(&mut self.removed);
        TimerCapture::new(self.id, self.range, &self.front, self.tree.freeze(), removed)
    }

    fn probe<'a>(&mut self, time_ms: i64, key: &'a K, namespace: &'a N) -> Result<Probe<'a, K, N>> {
        let probe = Probe::new(time_ms, key, namespace);
        address::check_owned(self.range, KeyGroup(probe.group))?;
        if !self.open {
            lazy::touch(self, KeyGroup(probe.group))?;
        }
        Ok(probe)
    }

    /// Where in `front` a timer is or belongs; `None` if that is in the tree.
    #[inline]
    fn find_front(&self, probe: &Probe<'_, K, N>) -> Option<std::result::Result<usize, usize>> {
        if probe.order(self.front.first()?) == Ordering::Less {
            return None;
        }
        Some(self.front.binary_search_by(|timer| probe.order(timer).reverse()))
    }

    /// Inserts a timer registered in epoch `born`; `false` if it is there.
    fn insert(&mut self, probe: &Probe<'_, K, N>, born: u32) -> bool {
        match self.find_front(probe) {
            Some(Ok(_)) => false,
            Some(Err(at)) if !self.front.is_full() => {
                self.front.insert(at, probe.to_timer(born));
                true
            }
            Some(Err(_)) => {
                for timer in self.front.drain(..FAN_OUT / 2).collect::<ArrayVec<_, FAN_OUT>>() {
                    self.tree.insert(&timer.probe(), timer.born);
                }
                self.insert(probe, born)
            }
            None => self.tree.insert(probe, born),
        }
    }

    fn remove(&mut self, probe: &Probe<'_, K, N>) -> bool {
        let removed = match self.find_front(probe) {
            Some(Ok(at)) => Some(self.front.remove(at)),
            Some(Err(_)) => None,
            None => self.tree.remove(probe),
        };
        let Some(timer) = removed else { return false };
        if timer.born != self.tree.epoch() {
            self.removed.push(timer);
        }
        true
    }
}

impl<K: Key, N: Key> KeyedState for TimerState<K, N> {
    fn settle(&mut self) -> Result<()> {
        // A part says when its earliest timer is due.
        lazy::bring_all(self)
    }

    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    fn begin_lazy(&mut self, _stored: &StateInfo, cold: Cold) -> Result<bool> {
        lazy::begin(self, cold);
        Ok(true)
    }

    lazily!();

    fn begin_restore(&mut self, _stored: &StateInfo) -> Result<()> {
        // Timers have no values.
        Ok(())
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        self.apply_as(entry, self.tree.epoch())
    }

    fn end_restore(&mut self) {
        self.removed.clear();
        drop(self.tree.freeze());
    }

    fn entries(&self) -> u64 {
        self.len() as u64 + self.cold().map_or(0, Cold::entries)
    }
}

impl<K: Key, N: Key> TimerState<K, N> {
    /// Applies an entry of a run; a timer that it registers was in epoch `born`.
    fn apply_as(&mut self, entry: Entry<'_>, born: u32) -> Result<()> {
        let found = Address::<K, N>::of_entry(entry, self.id, self.range)?;
        let Some((parts, Address { key, namespace })) = found else { return Ok(()) };
        let probe = Probe::new(i64::decode(&parts.user_key)?, &key, &namespace);
        match entry.op {
            Op::Put if entry.value.is_empty() => self.insert(&probe, born),
            Op::Delete => self.remove(&probe),
            op => {
                let message =
                    format!("no timer: {op:?} with a value of {} bytes", entry.value.len());
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        };
        Ok(())
    }
}

impl<K: Key, N: Key> Lazy for TimerState<K, N> {
    fn owned(&self) -> KeyGroupRange {
        self.range
    }

    fn cold_mut(&mut self) -> &mut Option<Box<Cold>> {
        &mut self.cold
    }

    fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn put_cold(&mut self, entry: Entry<'_>) -> Result<()> {
        self.apply_as(entry, self.tree.epoch().wrapping_sub(1))
    }

    fn brought(&mut self, _group: KeyGroup) {}
}
