//! The nodes of a [`Tree`](super::tree::Tree).

use arrayvec::ArrayVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// Entries of a leaf and children of an inner node, at most.
pub(super) const FAN_OUT: usize = 64;
/// Below this a node is merged if it can be.
const SPARSE: usize = FAN_OUT / 4;

/// Entries side by side, in order.
#[derive(Debug, Clone)]
pub(super) struct Leaf<T> {
    epoch: u32,
    pub(super) entries: ArrayVec<T, FAN_OUT>,
}

impl<T> Leaf<T> {
    pub(super) fn new(epoch: u32, entries: ArrayVec<T, FAN_OUT>) -> Self {
        Self { epoch, entries }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Inner<T> {
    pub(super) epoch: u32,
    /// Between two children: not above the entries of the second, above those of the first.
    pub(super) bounds: ArrayVec<T, FAN_OUT>,
    pub(super) children: ArrayVec<Link<T>, FAN_OUT>,
}

#[derive(Debug, Clone)]
pub(super) enum Link<T> {
    Leaf(Arc<Leaf<T>>),
    Inner(Arc<Inner<T>>),
}

/// What a write needs to know of the tree.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) epoch: u32,
    pub(super) nodes_copied: u64,
}

/// How an insertion ended below a node.
pub(super) enum Inserted<T> {
    Present,
    Done,
    /// The node was split: the bound of the new right part, and that.
    Split(T, Link<T>),
}

impl Writer {
    /// The node, to be changed: a copy of its own if it is shared.
    #[inline]
    pub(super) fn own<'a, N: Clone>(&mut self, node: &'a mut Arc<N>) -> &'a mut N {
        if Arc::strong_count(node) != 1 {
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

impl<T> Inner<T> {
    /// The child in which an entry is, if it is in the tree.
    #[inline]
    pub(super) fn child(&self, order: impl Fn(&T) -> Ordering) -> usize {
        self.bounds.partition_point(|bound| order(bound) != Ordering::Greater)
    }

    fn remove_child(&mut self, at: usize) -> Link<T> {
        if !self.bounds.is_empty() {
            self.bounds.remove(at.saturating_sub(1));
        }
        self.children.remove(at)
    }
}

impl<T: Clone> Inner<T> {
    fn insert_child(&mut self, at: usize, bound: T, right: Link<T>) {
        self.bounds.insert(at, bound);
        self.children.insert(at + 1, right);
    }

    /// Splits a full node and returns the bound of the right part, and that. It has one child if
    /// `last`, half of them otherwise.
    fn split(&mut self, last: bool) -> (T, Self) {
        let cut = if last { FAN_OUT - 1 } else { FAN_OUT / 2 };
        let children = self.children.drain(cut..).collect();
        let bounds = self.bounds.drain(cut..).collect();
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
                to.entries.extend(writer.take(from).entries);
            }
            (Link::Inner(from), Link::Inner(to)) => {
                let (to, from) = (writer.own(to), writer.take(from));
                to.epoch = writer.epoch;
                to.bounds.push(bound);
                to.bounds.extend(from.bounds);
                to.children.extend(from.children);
            }
            // Never so: all leaves are equally deep.
            (right, _) => self.insert_child(left, bound, right),
        }
    }
}

impl<T> Link<T> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.entries.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    pub(super) fn for_leaves(&self, epoch: Option<u32>, f: &mut impl FnMut(&Arc<Leaf<T>>)) {
        let wanted = |of: u32| epoch.is_none_or(|epoch| epoch == of);
        match self {
            Self::Leaf(leaf) if wanted(leaf.epoch) => f(leaf),
            Self::Inner(inner) if wanted(inner.epoch) => {
                inner.children.iter().for_each(|child| child.for_leaves(epoch, f));
            }
            _ => {}
        }
    }
}

impl<T: Clone> Link<T> {
    /// `last`: whether there is nothing behind this node. What is registered in ascending order then
    /// fills nodes to the brim.
    pub(super) fn insert(
        &mut self,
        writer: &mut Writer,
        last: bool,
        order: &impl Fn(&T) -> Ordering,
        make: impl FnOnce() -> T,
    ) -> Inserted<T> {
        match self {
            Self::Leaf(leaf) => {
                let Err(at) = leaf.entries.binary_search_by(order) else {
                    return Inserted::Present;
                };
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                if !leaf.entries.is_full() {
                    leaf.entries.insert(at, make());
                    return Inserted::Done;
                }
                let cut = if last && at == FAN_OUT { FAN_OUT } else { FAN_OUT / 2 };
                let mut right: ArrayVec<T, FAN_OUT> = leaf.entries.drain(cut..).collect();
                if at < FAN_OUT && at <= cut {
                    leaf.entries.insert(at, make());
                } else {
                    right.insert(at - cut, make());
                }
                let right = Leaf::new(writer.epoch, right);
                Inserted::Split(right.entries[0].clone(), Self::Leaf(Arc::new(right)))
            }
            Self::Inner(inner) => {
                let at = inner.child(order);
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let last = last && at + 1 == inner.children.len();
                let (bound, right) = match inner.children[at].insert(writer, last, order, make) {
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
        order: &impl Fn(&T) -> Ordering,
    ) -> Option<T> {
        match self {
            Self::Leaf(leaf) => {
                let at = leaf.entries.binary_search_by(order).ok()?;
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                Some(leaf.entries.remove(at))
            }
            Self::Inner(inner) => {
                let at = inner.child(order);
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let removed = inner.children[at].remove(writer, order)?;
                inner.settle(writer, at);
                Some(removed)
            }
        }
    }

    /// Takes the first leaf out of a node, which it may leave empty.
    pub(super) fn take_first(&mut self, writer: &mut Writer) -> ArrayVec<T, FAN_OUT> {
        match self {
            Self::Leaf(leaf) => {
                let leaf = writer.own(leaf);
                leaf.epoch = writer.epoch;
                std::mem::take(&mut leaf.entries)
            }
            Self::Inner(inner) => {
                let inner = writer.own(inner);
                inner.epoch = writer.epoch;
                let Some(first) = inner.children.first_mut() else { return ArrayVec::new() };
                let taken = first.take_first(writer);
                if first.len() == 0 {
                    inner.remove_child(0);
                }
                taken
            }
        }
    }
}
