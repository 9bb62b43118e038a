//! What a table held at one moment.

use super::TableKey;
use super::arena::Arena;
use super::node::{self, Link, Search};
use super::shape::Shape;
use super::walk::Iter;
use esker_format::KeyGroupRange;
use std::sync::Arc;

/// The content of a table at a [`freeze`](super::CowTable::freeze), and what changed since the
/// freeze before. It never changes, may outlive the table, and may be read and dropped on any
/// thread; clones are cheap.
///
/// The previous content, less [`removed`](Self::removed), then with
/// [`scan_changed`](Self::scan_changed) put over it, is this content. (A key that was removed and
/// inserted again is in both.)
pub struct Frozen<K: TableKey, V> {
    root: Link<K, V>,
    shape: Shape,
    len: usize,
    /// Nothing is allocated for none.
    removed: Option<Arc<Vec<K>>>,
    arena: Arc<Arena>,
}

// SAFETY: it shares entries with the table and with other threads' clones by counted references,
// like `Arc`, hence both bounds.
unsafe impl<K: TableKey, V: Send + Sync> Send for Frozen<K, V> {}
// SAFETY: as above; a shared reference reads and clones.
unsafe impl<K: TableKey, V: Send + Sync> Sync for Frozen<K, V> {}

impl<K: TableKey, V> Frozen<K, V> {
    /// Takes over a reference to the root; its content is not changed while it is counted.
    pub(super) unsafe fn new(
        root: Link<K, V>,
        shape: Shape,
        len: usize,
        removed: Vec<K>,
        arena: Arc<Arena>,
    ) -> Self {
        let removed = (!removed.is_empty()).then(|| Arc::new(removed));
        Self { root, shape, len, removed, arena }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.get_raw(key.key_group(), key.seeded_hash(self.shape.seed), |k| k == key)
    }

    /// The value of the key with this key group and hash that `eq` accepts.
    pub fn get_raw(&self, group: u16, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<&V> {
        let position = self.shape.position(group, hash);
        // SAFETY: the root is live while `self` is, and what it holds is not changed; a found slot
        // is full.
        unsafe {
            match node::find(self.root, position, hash, eq) {
                Search::Found(place, _) => Some(&(*place.entry).value),
                Search::Missing(_) | Search::Unknown => None,
            }
        }
    }

    /// All entries; see [`Iter`] for the order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        // SAFETY: the root is live and unchanged while `self` is borrowed.
        unsafe { Iter::new(self.root, &self.shape, self.shape.range, false) }
    }

    /// Calls `f` with each entry of the key groups in `range`; see [`Iter`] for the order.
    pub fn scan(&self, range: KeyGroupRange, mut f: impl FnMut(&K, &V)) {
        // SAFETY: as in `iter`.
        unsafe { Iter::new(self.root, &self.shape, range, false) }.for_each(|(k, v)| f(k, v));
    }

    /// Calls `f` with each entry of the key groups in `range` that was inserted or written since the
    /// freeze before. What is unchanged is skipped by the page, and by the 512 pages.
    pub fn scan_changed(&self, range: KeyGroupRange, mut f: impl FnMut(&K, &V)) {
        // SAFETY: as in `iter`.
        unsafe { Iter::new(self.root, &self.shape, range, true) }.for_each(|(k, v)| f(k, v));
    }

    /// Keys that the freeze before held and that were removed since, each once. They may have been
    /// inserted again.
    pub fn removed(&self) -> &[K] {
        self.removed.as_ref().map_or(&[], |removed| removed.as_slice())
    }
}

impl<K: TableKey, V> Clone for Frozen<K, V> {
    fn clone(&self) -> Self {
        // SAFETY: the root is live while `self` is; the clone gives the reference up when dropped.
        unsafe { self.root.retain() };
        let (removed, arena) = (self.removed.clone(), Arc::clone(&self.arena));
        Self { removed, arena, ..*self }
    }
}

impl<K: TableKey, V> Drop for Frozen<K, V> {
    fn drop(&mut self) {
        // SAFETY: `self` held a reference to the root, and gives it up once.
        unsafe { self.root.release(0, &self.arena) };
    }
}

impl<K: TableKey, V> std::fmt::Debug for Frozen<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen")
            .field("range", &self.shape.range)
            .field("len", &self.len)
            .field("removed", &self.removed().len())
            .finish_non_exhaustive()
    }
}
