//! The full chunks of a list: a tree that is only appended to, shared between versions.
//!
//! Idea: the persistent vectors of Clojure.

use std::sync::Arc;

/// Children of an inner node.
const FANOUT: usize = 64;

/// Full chunks of elements, in order. A clone costs one reference; a push onto a shared tree copies
/// one path of it.
#[derive(Clone)]
pub(super) struct Chunks<E> {
    root: Arc<Node<E>>,
    height: u32,
    count: usize,
}

enum Node<E> {
    Leaf(Vec<E>),
    Inner(Vec<Arc<Node<E>>>),
}

impl<E> Chunks<E> {
    /// One chunk.
    pub(super) fn one(chunk: Vec<E>) -> Self {
        Self { root: Arc::new(Node::Leaf(chunk)), height: 0, count: 1 }
    }

    /// How many chunks there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The chunk with this number.
    pub(super) fn get(&self, number: usize) -> &[E] {
        let (mut node, mut rest, mut span) = (&*self.root, number, FANOUT.pow(self.height));
        loop {
            match node {
                Node::Leaf(chunk) => return chunk,
                Node::Inner(children) => {
                    span /= FANOUT;
                    node = &children[rest / span];
                    rest %= span;
                }
            }
        }
    }

    /// Puts a chunk behind the others.
    pub(super) fn push(&mut self, chunk: Vec<E>) {
        if self.count == FANOUT.pow(self.height) {
            self.root = Arc::new(Node::Inner(vec![self.root.clone()]));
            self.height += 1;
        }
        push(&mut self.root, self.height, self.count, Arc::new(Node::Leaf(chunk)));
        self.count += 1;
    }
}

/// Puts a leaf at `number` below a node of this height that has room there.
fn push<E>(node: &mut Arc<Node<E>>, height: u32, number: usize, leaf: Arc<Node<E>>) {
    let mut children = match Arc::get_mut(node) {
        Some(Node::Inner(children)) => std::mem::take(children),
        _ => match &**node {
            Node::Inner(children) => {
                let mut copy = Vec::with_capacity(FANOUT);
                copy.extend(children.iter().cloned());
                copy
            }
            Node::Leaf(_) => Vec::new(),
        },
    };
    let span = FANOUT.pow(height - 1);
    match children.get_mut(number / span) {
        Some(child) => push(child, height - 1, number % span, leaf),
        None => {
            let wrap = |child, _| Arc::new(Node::Inner(vec![child]));
            children.push((1..height).fold(leaf, wrap));
        }
    }
    match Arc::get_mut(node) {
        Some(node) => *node = Node::Inner(children),
        None => *node = Arc::new(Node::Inner(children)),
    }
}
