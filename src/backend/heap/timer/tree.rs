//! A copy-on-write B+tree: a capture costs one reference, and knows what changed.
//!
//! Nodes are counted; a write copies those on its path that are shared (root, inner nodes, leaf) and
//! changes the others in place. Each node carries the **epoch** of its last change, so that what a
//! capture holds unchanged since the one before is skipped by the node. Timers know in which epoch
//! they were registered.
//!
//! Leaves but the root's are never empty. A node that falls below a quarter is merged with a
//! neighbour where both fit into one. Idea: the B-trees of Bayer and McCreight (1972), copied by the
//! path (Driscoll et al., 1989).

use super::node::{Inner, Inserted, Leaf, Link, Writer};
use super::order::{Probe, Timer};
use super::sorted::Sorted;
use arrayvec::ArrayVec;
use esker_format::Key;
use triomphe::Arc;

/// The tree, or what it held at one moment.
#[derive(Debug, Clone)]
pub(super) struct Tree<K, N> {
    root: Link<K, N>,
    len: usize,
    writer: Writer,
}

impl<K: Key, N: Key> Tree<K, N> {
    pub(super) fn new() -> Self {
        let root = Link::leaf(0, Sorted::new());
        Self { root, len: 0, writer: Writer { epoch: 0, nodes_copied: 0 } }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of freezes so far.
    pub(super) fn epoch(&self) -> u32 {
        self.writer.epoch
    }

    /// How many nodes were copied because a freeze held them.
    pub(super) fn nodes_copied(&self) -> u64 {
        self.writer.nodes_copied
    }

    /// The tree as it is now, in constant time; a new epoch begins.
    pub(super) fn freeze(&mut self) -> Self {
        let frozen = self.clone();
        self.writer.epoch = self.writer.epoch.wrapping_add(1);
        frozen
    }

    /// The earliest time, in milliseconds.
    pub(super) fn first_ms(&self) -> Option<i64> {
        let mut link = &self.root;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf.timers.first_ms(),
                Link::Inner(inner) => link = inner.children.first()?,
            }
        }
    }

    /// Whether there is such a timer.
    pub(super) fn contains(&self, probe: &Probe<'_, K, N>) -> bool {
        let mut link = &self.root;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf.timers.search(probe).is_ok(),
                Link::Inner(inner) => link = &inner.children[inner.child(probe)],
            }
        }
    }

    /// Inserts a timer registered in epoch `born`; `false` if it is there.
    pub(super) fn insert(&mut self, probe: &Probe<'_, K, N>, born: u32) -> bool {
        match self.root.insert(&mut self.writer, true, probe, born) {
            Inserted::Present => return false,
            Inserted::Done => {}
            Inserted::Split(bound, right) => {
                let (epoch, mut bounds) = (self.writer.epoch, Sorted::new());
                bounds.push(bound);
                let root = Inner { epoch, bounds, children: ArrayVec::new() };
                let left = std::mem::replace(&mut self.root, Link::Inner(Arc::new(root)));
                if let Link::Inner(root) = &mut self.root {
                    self.writer.own(root).children.extend([left, right]);
                }
            }
        }
        self.len += 1;
        true
    }

    /// Removes a timer.
    pub(super) fn remove(&mut self, probe: &Probe<'_, K, N>) -> Option<Timer<K, N>> {
        let removed = self.root.remove(&mut self.writer, probe)?;
        self.len -= 1;
        self.lower_root();
        Some(removed)
    }

    /// Takes the first leaf out.
    pub(super) fn take_first(&mut self) -> Sorted<K, N> {
        let taken = self.root.take_first(&mut self.writer);
        self.len -= taken.len();
        self.lower_root();
        taken
    }

    fn lower_root(&mut self) {
        while let Link::Inner(root) = &mut self.root
            && root.children.len() < 2
        {
            let only = self.writer.own(root).children.pop();
            self.root = only.unwrap_or_else(|| Link::leaf(self.writer.epoch, Sorted::new()));
        }
    }

    /// Calls `f` with each leaf, in order; with `changed` only those changed in the last epoch.
    pub(super) fn for_leaves(&self, changed: bool, f: &mut impl FnMut(&Arc<Leaf<K, N>>)) {
        self.root.for_leaves(changed.then_some(self.writer.epoch), f);
    }
}
