//! A copy-on-write B+tree: a capture costs one reference, and knows what changed.
//!
//! Nodes are counted; a write copies those on its path that are shared (root, inner nodes, leaf) and
//! changes the others in place. Each node carries the **epoch** of its last change, so that what a
//! capture holds unchanged since the one before is skipped by the node. Entries know their own
//! epoch; the tree compares none, but asks a closure how an entry stands to the one looked for.
//!
//! Leaves but the root's are never empty. A node that falls below a quarter is merged with a
//! neighbour where both fit into one. Idea: the B-trees of Bayer and McCreight (1972), copied by the
//! path (Driscoll et al., 1989).

use super::node::{FAN_OUT, Inner, Inserted, Leaf, Link, Writer};
use arrayvec::ArrayVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// The tree, or what it held at one moment.
#[derive(Debug, Clone)]
pub(super) struct Tree<T> {
    root: Link<T>,
    len: usize,
    writer: Writer,
}

impl<T: Clone> Tree<T> {
    pub(super) fn new() -> Self {
        let root = Link::Leaf(Arc::new(Leaf::new(0, ArrayVec::new())));
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

    pub(super) fn first(&self) -> Option<&T> {
        let mut link = &self.root;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf.entries.first(),
                Link::Inner(inner) => link = inner.children.first()?,
            }
        }
    }

    /// Whether there is an entry that is `Equal`.
    pub(super) fn contains(&self, order: impl Fn(&T) -> Ordering) -> bool {
        let mut link = &self.root;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf.entries.binary_search_by(order).is_ok(),
                Link::Inner(inner) => link = &inner.children[inner.child(&order)],
            }
        }
    }

    /// Inserts what `make` gives where `order` says; `false` if there is an entry that is `Equal`.
    pub(super) fn insert(
        &mut self,
        order: impl Fn(&T) -> Ordering,
        make: impl FnOnce() -> T,
    ) -> bool {
        match self.root.insert(&mut self.writer, true, &order, make) {
            Inserted::Present => return false,
            Inserted::Done => {}
            Inserted::Split(bound, right) => {
                let empty = Inner {
                    epoch: self.writer.epoch,
                    bounds: ArrayVec::new(),
                    children: ArrayVec::new(),
                };
                let left = std::mem::replace(&mut self.root, Link::Inner(Arc::new(empty)));
                if let Link::Inner(root) = &mut self.root {
                    let root = self.writer.own(root);
                    root.bounds.push(bound);
                    root.children.extend([left, right]);
                }
            }
        }
        self.len += 1;
        true
    }

    /// Removes the entry that is `Equal`.
    pub(super) fn remove(&mut self, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let removed = self.root.remove(&mut self.writer, &order)?;
        self.len -= 1;
        self.lower_root();
        Some(removed)
    }

    /// Takes the first leaf out.
    pub(super) fn take_first(&mut self) -> ArrayVec<T, FAN_OUT> {
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
            let empty = || Link::Leaf(Arc::new(Leaf::new(self.writer.epoch, ArrayVec::new())));
            self.root = only.unwrap_or_else(empty);
        }
    }

    /// Calls `f` with each leaf, in order; with `changed` only those changed in the last epoch.
    pub(super) fn for_leaves(&self, changed: bool, f: &mut impl FnMut(&Arc<Leaf<T>>)) {
        self.root.for_leaves(changed.then_some(self.writer.epoch), f);
    }
}

#[cfg(test)]
mod tests;
