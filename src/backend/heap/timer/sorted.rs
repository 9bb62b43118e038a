//! Timers side by side, in order: what a node of the tree holds.
//!
//! Times, key groups and keys stand apart, so that a search touches few cache lines: one time of
//! each line of eight, all asked for at once, then that line, and the rest only where times are equal.

use super::order::{Probe, Timer, by_bytes};
use arrayvec::ArrayVec;
use esker_format::Key;

/// Timers at most.
pub(super) const FAN_OUT: usize = 64;
/// Times of a cache line.
const LINE: usize = 8;

#[derive(Debug, Clone)]
pub(super) struct Sorted<K, N> {
    /// The greatest there is behind the last one, and so for key groups.
    times_ms: [i64; FAN_OUT],
    groups: [u16; FAN_OUT],
    born: [u32; FAN_OUT],
    keys: ArrayVec<(K, N), FAN_OUT>,
}

impl<K, N> Sorted<K, N> {
    pub(super) fn new() -> Self {
        let (times_ms, groups, born) = ([i64::MAX; FAN_OUT], [u16::MAX; FAN_OUT], [0; FAN_OUT]);
        Self { times_ms, groups, born, keys: ArrayVec::new() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.keys.is_full()
    }

    /// The timer at `at`, and the epoch in which it was registered.
    pub(super) fn get(&self, at: usize) -> Option<(Probe<'_, K, N>, u32)> {
        let (key, namespace) = self.keys.get(at)?;
        let (time_ms, group) = (self.times_ms[at], self.groups[at]);
        Some((Probe { time_ms, group, key, namespace }, self.born[at]))
    }

    /// The earliest time, in milliseconds.
    pub(super) fn first_ms(&self) -> Option<i64> {
        (self.len() > 0).then_some(self.times_ms[0])
    }

    /// Puts a timer at `at`, where it belongs; there is room.
    pub(super) fn insert(&mut self, at: usize, timer: Timer<K, N>) {
        let len = self.len();
        self.keys.insert(at, (timer.key, timer.namespace));
        insert(&mut self.times_ms, at, len, timer.time_ms);
        insert(&mut self.groups, at, len, timer.group);
        insert(&mut self.born, at, len, timer.born);
    }

    pub(super) fn push(&mut self, timer: Timer<K, N>) {
        self.insert(self.len(), timer);
    }

    pub(super) fn remove(&mut self, at: usize) -> Timer<K, N> {
        let len = self.len();
        let (key, namespace) = self.keys.remove(at);
        let (time_ms, group, born) = (self.times_ms[at], self.groups[at], self.born[at]);
        self.times_ms.copy_within(at + 1..len, at);
        self.times_ms[len - 1] = i64::MAX;
        self.groups.copy_within(at + 1..len, at);
        self.groups[len - 1] = u16::MAX;
        self.born.copy_within(at + 1..len, at);
        Timer { time_ms, group, born, key, namespace }
    }

    /// Takes out the timers from `cut` on.
    pub(super) fn split_off(&mut self, cut: usize) -> Self {
        let mut other = Self::new();
        let (len, rest) = (self.len(), self.len() - cut);
        other.times_ms[..rest].copy_from_slice(&self.times_ms[cut..len]);
        other.groups[..rest].copy_from_slice(&self.groups[cut..len]);
        other.born[..rest].copy_from_slice(&self.born[cut..len]);
        other.keys.extend(self.keys.drain(cut..));
        self.times_ms[cut..].fill(i64::MAX);
        self.groups[cut..].fill(u16::MAX);
        other
    }

    /// Puts those of `other` behind these; there is room.
    pub(super) fn append(&mut self, other: Self) {
        let (len, all) = (self.len(), self.len() + other.len());
        self.times_ms[len..all].copy_from_slice(&other.times_ms[..all - len]);
        self.groups[len..all].copy_from_slice(&other.groups[..all - len]);
        self.born[len..all].copy_from_slice(&other.born[..all - len]);
        self.keys.extend(other.keys);
    }

    /// The timers, the last one first.
    pub(super) fn into_reversed(self) -> impl Iterator<Item = Timer<K, N>> {
        let Self { times_ms, groups, born, keys } = self;
        keys.into_iter().enumerate().rev().map(move |(at, (key, namespace))| {
            let (time_ms, group, born) = (times_ms[at], groups[at], born[at]);
            Timer { time_ms, group, born, key, namespace }
        })
    }
}

impl<K: Key, N: Key> Sorted<K, N> {
    /// Where a timer is, or else where it belongs.
    #[inline]
    pub(super) fn search(&self, probe: &Probe<'_, K, N>) -> Result<usize, usize> {
        // By counting, without a branch to be guessed wrong.
        let is_earlier = |at: usize| {
            let (time_ms, group) = (self.times_ms[at], self.groups[at]);
            let same_time = (time_ms == probe.time_ms) & (group < probe.group);
            usize::from((time_ms < probe.time_ms) | same_time)
        };
        let lines: usize = (1..FAN_OUT / LINE).map(|line| is_earlier(line * LINE - 1)).sum();
        let at = lines * LINE + (0..LINE).map(|i| is_earlier(lines * LINE + i)).sum::<usize>();
        if at >= self.len() || self.times_ms[at] != probe.time_ms || self.groups[at] != probe.group
        {
            return Err(at);
        }
        let (key, namespace) = &self.keys[at];
        if key == probe.key && namespace == probe.namespace {
            return Ok(at);
        }
        self.search_group(at, probe)
    }

    /// [`search`](Self::search) among the timers of its time and group, which begin at `start`.
    #[cold]
    fn search_group(&self, start: usize, probe: &Probe<'_, K, N>) -> Result<usize, usize> {
        let is_below = |at: &usize| {
            let (key, namespace) = &self.keys[*at];
            self.times_ms[*at] == probe.time_ms
                && self.groups[*at] == probe.group
                && by_bytes(key, probe.key)
                    .then_with(|| by_bytes(namespace, probe.namespace))
                    .is_lt()
        };
        let at = (start..self.len()).take_while(is_below).last().map_or(start, |last| last + 1);
        match self.get(at) {
            Some((found, _)) if found.is(probe) => Ok(at),
            _ => Err(at),
        }
    }
}

/// Puts an item among the first `len` of `items`.
#[inline]
fn insert<T: Copy>(items: &mut [T; FAN_OUT], at: usize, len: usize, item: T) {
    items.copy_within(at..len, at + 1);
    items[at] = item;
}
