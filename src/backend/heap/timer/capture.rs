//! Timers at one moment, and their way into runs.
//!
//! The tree is in order of time, a run in order of key group and key. The first piece that is
//! written makes an index of all (8 bytes for each timer) that the others share.

use super::super::rows::{Rows, for_pieces};
use super::node::{FAN_OUT, Leaf};
use super::order::Timer;
use super::tree::Tree;
use crate::Result;
use crate::backend::{EntrySink, StateCapture};
use arrayvec::ArrayVec;
use esker_format::run::Op;
use esker_format::{Key, KeyGroupRange};
use std::sync::{Arc, OnceLock};

/// Timers at one moment; they never change (I4), and can be written on any thread.
pub struct TimerCapture<K, N> {
    id: u32,
    range: KeyGroupRange,
    /// The next few to fire, the last one first.
    front: Arc<Leaf<Timer<K, N>>>,
    tree: Tree<Timer<K, N>>,
    removed: Vec<Timer<K, N>>,
    full: OnceLock<Index<K, N>>,
    changes: OnceLock<Index<K, N>>,
}

impl<K: Key, N: Key> TimerCapture<K, N> {
    pub(super) fn new(
        id: u32,
        range: KeyGroupRange,
        front: ArrayVec<Timer<K, N>, FAN_OUT>,
        tree: Tree<Timer<K, N>>,
        removed: Vec<Timer<K, N>>,
    ) -> Self {
        let front = Arc::new(Leaf::new(tree.epoch(), front));
        let (full, changes) = (OnceLock::new(), OnceLock::new());
        Self { id, range, front, tree, removed, full, changes }
    }

    /// How many timers there were.
    pub fn len(&self) -> usize {
        self.front.entries.len() + self.tree.len()
    }

    /// Whether there was no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holds(&self, timer: &Timer<K, N>) -> bool {
        let probe = timer.probe();
        let is = |other: &Timer<K, N>| probe.order(other).is_eq();
        self.front.entries.iter().any(is) || self.tree.contains(|other| probe.order(other))
    }

    fn index(&self, changed: bool) -> Index<K, N> {
        let mut index = Index { leaves: Vec::new(), live: Vec::new(), gone: Vec::new() };
        let wanted = |timer: &Timer<K, N>| !changed || timer.born == self.tree.epoch();
        index.add(&self.front, wanted);
        self.tree.for_leaves(changed, &mut |leaf| index.add(leaf, wanted));
        index.live.sort_unstable();
        if changed {
            let numbered = self.removed.iter().enumerate();
            // One that was registered again is a put.
            let gone = numbered.filter(|(_, timer)| !self.holds(timer));
            index.gone = gone.map(|(number, timer)| (timer.group, number)).collect();
            index.gone.sort_unstable();
        }
        index
    }

    fn write(
        &self,
        index: &Index<K, N>,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
    ) -> Result<()> {
        let mut rows = Rows::new(self.id);
        for_pieces(self.range, range, index.live.len() + index.gone.len(), |piece| {
            for timer in index.live(piece) {
                add(&mut rows, timer, Op::Put);
            }
            for (_, number) in index.gone(piece) {
                add(&mut rows, &self.removed[*number], Op::Delete);
            }
            rows.flush(sink)
        })
    }
}

fn add<K: Key, N: Key>(rows: &mut Rows, timer: &Timer<K, N>, op: Op) {
    let Timer { time_ms, key, namespace, .. } = timer;
    rows.add_with(key, namespace, |out| time_ms.encode_into(out), op, |_| Ok(()));
}

/// Timers by key group.
struct Index<K, N> {
    leaves: Vec<Arc<Leaf<Timer<K, N>>>>,
    /// Key group (16 bits), leaf (40), slot (8).
    live: Vec<u64>,
    /// Key group and number among the removed ones.
    gone: Vec<(u16, usize)>,
}

impl<K, N> Index<K, N> {
    fn add(&mut self, leaf: &Arc<Leaf<Timer<K, N>>>, wanted: impl Fn(&Timer<K, N>) -> bool) {
        let number = (self.leaves.len() as u64) << 8;
        for (slot, timer) in leaf.entries.iter().enumerate().filter(|(_, timer)| wanted(timer)) {
            self.live.push(u64::from(timer.group) << 48 | number | slot as u64);
        }
        self.leaves.push(Arc::clone(leaf));
    }

    fn live(&self, range: KeyGroupRange) -> impl Iterator<Item = &Timer<K, N>> {
        let group = |packed: &u64| (packed >> 48) as u16;
        let start = self.live.partition_point(|packed| group(packed) < range.first());
        let end = self.live.partition_point(|packed| group(packed) <= range.last());
        self.live[start..end].iter().map(|packed| {
            let leaf = (packed >> 8) & ((1 << 40) - 1);
            &self.leaves[leaf as usize].entries[(packed & 0xff) as usize]
        })
    }

    fn gone(&self, range: KeyGroupRange) -> &[(u16, usize)] {
        let start = self.gone.partition_point(|(group, _)| *group < range.first());
        let end = self.gone.partition_point(|(group, _)| *group <= range.last());
        &self.gone[start..end]
    }
}

impl<K: Key, N: Key> StateCapture for TimerCapture<K, N> {
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.len() as u64
    }

    fn earliest_timer_ms(&self) -> Option<i64> {
        self.front.entries.last().or_else(|| self.tree.first()).map(|timer| timer.time_ms)
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write(self.full.get_or_init(|| self.index(false)), range, sink)
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write(self.changes.get_or_init(|| self.index(true)), range, sink)
    }
}
