//! Timers at one moment, and their way into runs.
//!
//! The tree is in order of time, a run in order of key group and key. The first piece that is
//! written makes an index of all (8 bytes for each timer) that the others share.

use super::super::rows::{Rows, for_pieces};
use super::node::Leaf;
use super::order::{Probe, Timer};
use super::sorted::Sorted;
use super::tree::Tree;
use crate::Result;
use crate::backend::{EntrySink, StateCapture};
use esker_format::run::Op;
use esker_format::{Key, KeyGroupRange};
use std::sync::OnceLock;
use triomphe::Arc;

/// Timers at one moment; they never change (I4), and can be written on any thread.
pub struct TimerCapture<K, N> {
    id: u32,
    range: KeyGroupRange,
    /// The next few to fire.
    front: Arc<Leaf<K, N>>,
    tree: Tree<K, N>,
    removed: Vec<Timer<K, N>>,
    full: OnceLock<Index<K, N>>,
    changes: OnceLock<Index<K, N>>,
}

impl<K: Key, N: Key> TimerCapture<K, N> {
    /// `next` are the next few to fire, the last one first.
    pub(super) fn new(
        id: u32,
        range: KeyGroupRange,
        next: &[Timer<K, N>],
        tree: Tree<K, N>,
        removed: Vec<Timer<K, N>>,
    ) -> Self {
        let mut timers = Sorted::new();
        next.iter().rev().for_each(|timer| timers.push(timer.clone()));
        let front = Arc::new(Leaf { epoch: tree.epoch(), timers });
        let (full, changes) = (OnceLock::new(), OnceLock::new());
        Self { id, range, front, tree, removed, full, changes }
    }

    /// How many timers there were.
    pub fn len(&self) -> usize {
        self.front.timers.len() + self.tree.len()
    }

    /// Whether there was no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holds(&self, timer: &Timer<K, N>) -> bool {
        let probe = timer.probe();
        self.front.timers.search(&probe).is_ok() || self.tree.contains(&probe)
    }

    fn index(&self, changed: bool) -> Index<K, N> {
        let mut index = Index { leaves: Vec::new(), live: Vec::new(), gone: Vec::new() };
        let wanted = |born| !changed || born == self.tree.epoch();
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
                add(&mut rows, &timer, Op::Put);
            }
            for (_, number) in index.gone(piece) {
                add(&mut rows, &self.removed[*number].probe(), Op::Delete);
            }
            rows.flush(sink)
        })
    }
}

fn add<K: Key, N: Key>(rows: &mut Rows, timer: &Probe<'_, K, N>, op: Op) {
    let Probe { time_ms, key, namespace, .. } = *timer;
    rows.add_with(key, namespace, |out| time_ms.encode_into(out), op, |_| Ok(()));
}

/// Timers by key group.
struct Index<K, N> {
    leaves: Vec<Arc<Leaf<K, N>>>,
    /// Key group (16 bits), leaf (40), slot (8).
    live: Vec<u64>,
    /// Key group and number among the removed ones.
    gone: Vec<(u16, usize)>,
}

impl<K, N> Index<K, N> {
    fn add(&mut self, leaf: &Arc<Leaf<K, N>>, wanted: impl Fn(u32) -> bool) {
        let number = (self.leaves.len() as u64) << 8;
        for slot in 0..leaf.timers.len() {
            if let Some((timer, born)) = leaf.timers.get(slot)
                && wanted(born)
            {
                self.live.push(u64::from(timer.group) << 48 | number | slot as u64);
            }
        }
        self.leaves.push(Arc::clone(leaf));
    }

    fn live(&self, range: KeyGroupRange) -> impl Iterator<Item = Probe<'_, K, N>> {
        let group = |packed: &u64| (packed >> 48) as u16;
        let start = self.live.partition_point(|packed| group(packed) < range.first());
        let end = self.live.partition_point(|packed| group(packed) <= range.last());
        self.live[start..end].iter().filter_map(|packed| {
            let leaf = (packed >> 8) & ((1 << 40) - 1);
            let timers = &self.leaves[leaf as usize].timers;
            timers.get((packed & 0xff) as usize).map(|(timer, _)| timer)
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
        self.front.timers.first_ms().or_else(|| self.tree.first_ms())
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write(self.full.get_or_init(|| self.index(false)), range, sink)
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write(self.changes.get_or_init(|| self.index(true)), range, sink)
    }
}
