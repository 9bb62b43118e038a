//! A timer, and the order in which timers fire: time, key group, key bytes, namespace bytes. At one
//! time it is the order of runs, and the same in every process and on every backend.

use esker_format::{Key, KeyGroup};
use std::cmp::Ordering;

/// A timer as the tree holds it: flat, with what is compared first in front.
#[derive(Debug, Clone)]
pub(super) struct Timer<K, N> {
    pub(super) time_ms: i64,
    pub(super) group: u16,
    /// The epoch in which it was registered; see [`Tree`](super::tree::Tree).
    pub(super) born: u32,
    pub(super) key: K,
    pub(super) namespace: N,
}

/// A timer's parts, borrowed to look it up.
pub(super) struct Probe<'a, K, N> {
    pub(super) time_ms: i64,
    pub(super) group: u16,
    pub(super) key: &'a K,
    pub(super) namespace: &'a N,
}

impl<'a, K: Key, N: Key> Probe<'a, K, N> {
    pub(super) fn new(time_ms: i64, key: &'a K, namespace: &'a N) -> Self {
        Self { time_ms, group: key.with_encoded(KeyGroup::of).0, key, namespace }
    }

    /// The timer itself, registered in epoch `born`.
    pub(super) fn to_timer(&self, born: u32) -> Timer<K, N> {
        let (key, namespace) = (self.key.clone(), self.namespace.clone());
        Timer { time_ms: self.time_ms, group: self.group, born, key, namespace }
    }

    /// Whether it is the same timer.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.time_ms, self.group) == (other.time_ms, other.group)
            && self.key == other.key
            && self.namespace == other.namespace
    }

    /// How `timer` stands to the one that is looked for.
    #[inline]
    pub(super) fn order(&self, timer: &Timer<K, N>) -> Ordering {
        (timer.time_ms.cmp(&self.time_ms))
            .then(timer.group.cmp(&self.group))
            .then_with(|| by_bytes(&timer.key, self.key))
            .then_with(|| by_bytes(&timer.namespace, self.namespace))
    }
}

impl<K, N> Timer<K, N> {
    /// The timer's parts.
    pub(super) fn probe(&self) -> Probe<'_, K, N> {
        let Self { time_ms, group, key, namespace, .. } = self;
        Probe { time_ms: *time_ms, group: *group, key, namespace }
    }
}

/// Keys are equal if and only if their bytes are, and equality is the cheaper question.
pub(super) fn by_bytes<K: Key>(a: &K, b: &K) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    a.with_encoded(|a| b.with_encoded(|b| a.cmp(b)))
}
