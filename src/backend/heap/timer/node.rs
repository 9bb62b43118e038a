//! The nodes of a [`Tree`](super::tree::Tree).

use super::order::{Probe, Timer};
use super::sorted::{FAN_OUT, Sorted};
use arrayvec::ArrayVec;
use esker_format::Key;
use triomphe::Arc;

/// Below this a node is merged if it can be.
const SPARSE: usize = FAN_OUT / 4;

/// Timers side by side, in order.
#[derive(Debug, Clone)]
pub(super) struct Leaf<K, N> {
    pub(super) epoch: u32,
    pub(super) timers: Sorted<K, N>,
}

#[derive(Debug, Clone)]
pub(super) struct Inner<K, N> {
    pub(super) epoch: u32,
    /// Between two children: not above the timers of the second, above those of the first.
    pub(super) bounds: Sorted<K, N>,
    pub(super) children: ArrayVec<Link<K, N>, FAN_OUT>,
}

#[derive(Debug, Clone)]
pub(super) enum Link<K, N> {
    Leaf(Arc<Leaf<K, N>>),
    Inner(Arc<Inner<K, N>>),
}

/// What a write needs to know of the tree.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) epoch: u32,
    pub(super) nodes_copied: u64,
}

/// How an insertion ended below a node.
pub(super) enum Inserted<K, N> {
    Present,
    Done,
    /// The node was split: the bound of the new right part, and that.
    Split(Timer<K, N>, Link<K, N>),
}

impl Writer {
    /// The node, to be changed: a copy of its own if it is shared.
    #[inline]
    pub(super) fn own<'a, N: Clone>(&mut self, node: &'a mut Arc<N>) -> &'a mut N {
        if !node.is_unique() {
            self.nodes_copied += 1;
        }
        Arc::make_mut(node)
    }

    /// The node's content.
    pub(super) fn take<N: Clone>(&mut self, node: Arc<N>) -> N {
        Arc::try_unwrap(node).unwrap_or_else(|shared| {
            self.nodes_copied += 1;
            (*shared).clone()
        })
    }
}

impl<K: Key, N: Key> Inner<K, N> {
    /// The child in which a timer is, if it is in the tree.
    #[inline]
    pub(super) fn child(&self, probe: &Probe<'_, K, N>) -> usize {
        self.bounds.search(probe).map_or_else(|at| at, |at| at + 1)
    }

    fn remove_child(&mut self, at: usize) -> Link<K, N> {
        if self.bounds.len() > 0 {
            self.bounds.remove(at.saturating_sub(1));
        }
        self.children.remove(at)
    }

    fn insert_child(&mut self, at: usize, bound: Timer<K, N>, right: Link<K, N>) {
        self.bounds.insert(at, bound);
        self.children.insert(at + 1, right);
    }

    /// Splits a full node and returns the bound of the right part, and that. It has one child if
    /// `last`, half of them otherwise.
    fn split(&mut self, last: bool) -> (Timer<K, N>, Self) {
        let cut = if last { FAN_OUT - 1 } else { FAN_OUT / 2 };
        let children = self.children.drain(cut..).collect();
        let bounds = self.bounds.split_off(cut);
        (self.bounds.remove(cut - 1), Self { epoch: self.epoch, bounds, children })
    }

    /// Removes a child that has fallen empty, or merges a sparse one with a neighbour.
    fn settle(&mut self, writer: &mut Writer, at: usize) {
        if self.children[at].len() >= SPARSE {
            return;
        }
        if self.children[at].len() == 0 {
            self.remove_child(at);
            return;
        }
        let fit = |left: usize| match self.children.get(left..left + 2) {
            Some([a, b]) => a.len() + b.len() <= FAN_OUT,
            _ => false,
        };
        let left = match at {
            1.. if fit(at - 1) => at - 1,
            _ if fit(at) => at,
            _ => return,
        };
        let bound = self.bounds.remove(left);
        match (self.children.remove(left + 1), &mut self.children[left]) {
            (Link::Leaf(from), Link::Leaf(to)) => {
                let to = writer.own(to);
                to.epoch = writer.epoch;
                to.timers.append(writer.take(from).timers);
            }
            (Link::Inner(from), Link::Inner(to)) => {
                let (to, from) = (writer.own(to), writer.take(from));
                to.epoch = writer.epoch;
                to.bounds.push(bound);
                to.bounds.append(from.bounds);
                to.children.extend(from.children);
            }
            // Never so: all leaves are equally deep.
            (right, _) => self.insert_child(left, bound, right),
        }
    }
}

impl<K: Key, N: Key> Link<K, N> {
    pub(super) fn leaf(epoch: u32, timers: Sorted<K, N>) -> Self {
        Self::Leaf(Arc::new(Leaf { epoch, timers }))
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.timers.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    pub(super) fn for_leaves(&self, epoch: Option<u32>, f: &mut impl FnMut(&Arc<Leaf<K, N>>)) {
        let wanted = |of: u32| epoch.is_none_or(|epoch| epoch == of);
        match self {
            Self::Leaf(leaf) if wanted(leaf.epoch) => f(leaf),
            Self::Inner(inner) if wanted(inner.epoch) => {
                inner.children.iter().for_each(|child| child.for_leaves(epoch, f));
            }
            _ => {}
        }
    }

    /// `last`: whether there is nothing behind this node. What is registered in ascending order then
    /// fills nodes to the brim.
    pub(super) fn insert(
        &mut self,
        writer: &mut Writer,
        last: bool,
        probe: &Probe<'_, K, N>,
        born: u32,
    ) -> Inserted<K, N> {
        match self {
            Self::Leaf(leaf) => {
                let Err(at) = leaf.timers.search(probe) else {
                    return Inserted::Present;
                };
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                if leaf.timers.is_full() {
                    return leaf.split(at, last, probe.to_timer(born));
                }
                leaf.timers.insert(at, probe.to_timer(born));
                Inserted::Done
            }
            Self::Inner(inner) => {
                let at = inner.child(probe);
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let last = last && at + 1 == inner.children.len();
                let (bound, right) = match inner.children[at].insert(writer, last, probe, born) {
                    Inserted::Split(bound, right) => (bound, right),
                    ended => return ended,
                };
                if !inner.children.is_full() {
                    inner.insert_child(at, bound, right);
                    return Inserted::Done;
                }
                let (middle, mut other) = inner.split(last);
                let cut = inner.children.len();
                if at < cut {
                    inner.insert_child(at, bound, right);
                } else {
                    other.insert_child(at - cut, bound, right);
                }
                Inserted::Split(middle, Self::Inner(Arc::new(other)))
            }
        }
    }

    pub(super) fn remove(
        &mut self,
        writer: &mut Writer,
        probe: &Probe<'_, K, N>,
    ) -> Option<Timer<K, N>> {
        match self {
            Self::Leaf(leaf) => {
                let at = leaf.timers.search(probe).ok()?;
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                Some(leaf.timers.remove(at))
            }
            Self::Inner(inner) => {
                let at = inner.child(probe);
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let removed = inner.children[at].remove(writer, probe)?;
                inner.settle(writer, at);
                Some(removed)
            }
        }
    }

    /// Takes the first leaf out of a node, which it may leave empty.
    pub(super) fn take_first(&mut self, writer: &mut Writer) -> Sorted<K, N> {
        match self {
            Self::Leaf(leaf) => {
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                std::mem::replace(&mut leaf.timers, Sorted::new())
            }
            Self::Inner(inner) => {
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let Some(first) = inner.children.first_mut() else { return Sorted::new() };
                let taken = first.take_first(writer);
                if first.len() == 0 {
                    inner.remove_child(0);
                }
                taken
            }
        }
    }
}

impl<K: Key, N: Key> Leaf<K, N> {
    /// Puts a timer at `at` of a full leaf, and half of them, or the new one alone, into another.
    #[cold]
    fn split(&mut self, at: usize, last: bool, timer: Timer<K, N>) -> Inserted<K, N> {
        let cut = if last && at == FAN_OUT { FAN_OUT } else { FAN_OUT / 2 };
        let mut right = self.timers.split_off(cut);
        if at < FAN_OUT && at <= cut {
            self.timers.insert(at, timer);
        } else {
            right.insert(at - cut, timer);
        }
        let Some((bound, born)) = right.get(0) else { return Inserted::Done };
        Inserted::Split(bound.to_timer(born), Link::leaf(self.epoch, right))
    }
}
