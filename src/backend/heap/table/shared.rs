//! A table as a value of another table: clones share it, and the first who writes goes its own way.

use super::page::Page;
use super::walk::Iter;
use super::{CowTable, Seed, TableKey};
use esker_format::KeyGroupRange;
use std::sync::atomic::{AtomicBool, Ordering};
use triomphe::Arc;

/// A table that costs one reference to clone. A write to one clone is not seen by the others, and
/// copies what [`CowTable::freeze`] would have it copy.
pub struct SharedTable<K: TableKey, V>(Arc<Inner<K, V>>);

struct Inner<K: TableKey, V> {
    table: CowTable<K, V>,
    /// Whether another table was forked from this one, so that its links own nothing any more.
    forked: AtomicBool,
}

impl<K: TableKey, V> SharedTable<K, V> {
    /// An empty table for the key groups in `range`, hashing with `seed`. Its pages are allocated one
    /// by one: such tables are many and small, and their forks share no memory but pages.
    pub fn new(range: KeyGroupRange, seed: Seed) -> Self {
        let table = CowTable::with_pages(range, seed, Page::<K, V>::unpooled());
        Self(Arc::new(Inner { table, forked: AtomicBool::new(false) }))
    }

    /// The table to read.
    #[inline]
    pub fn table(&self) -> &CowTable<K, V> {
        &self.0.table
    }

    /// Entries inserted or written since changes were last forgotten, in the order of [`Iter`].
    pub fn changed(&self) -> Iter<'_, K, V> {
        let table = self.table();
        // SAFETY: the root is live and unchanged while `self` is borrowed.
        unsafe { Iter::new(table.root, &table.shape, table.shape.range, true) }
    }

    /// Keys that were there when changes were last forgotten, removed since, each once. They may
    /// have been inserted again.
    pub fn removed(&self) -> &[K] {
        &self.table().removed
    }

    /// The table to write, this clone's alone: in constant time, also where it was shared. Changes
    /// are forgotten first if `forget` says so, or if another clone was written while both shared it.
    #[inline]
    pub fn write(&mut self, forget: bool) -> &mut CowTable<K, V> {
        // `make_mut` clones what is shared, and `Inner`'s clone is a fork.
        let inner = Arc::make_mut(&mut self.0);
        if forget || *inner.forked.get_mut() {
            *inner.forked.get_mut() = false;
            // Like a freeze whose frozen content is dropped: where a fork holds the root, the count
            // says so, and it will be copied.
            inner.table.root = inner.table.root.unowned();
            inner.table.removed.clear();
        }
        &mut inner.table
    }
}

impl<K: TableKey, V> Clone for Inner<K, V> {
    /// Another table with the same content, in constant time.
    #[cold]
    fn clone(&self) -> Self {
        // Whoever finds itself the only holder of this table later, and would write, sees the flag:
        // the count of holders orders the two.
        self.forked.store(true, Ordering::Release);
        // SAFETY: the root is live, and the added reference is the new table's, which owns nothing
        // below. The old one's links own nothing either from here on: nobody writes to it but by
        // `SharedTable::write`, which takes the root's owned bit first because of the flag.
        unsafe { self.table.root.retain() };
        let table = CowTable {
            root: self.table.root.unowned(),
            shape: self.table.shape,
            len: self.table.len,
            removed: Vec::new(),
            pages: Page::<K, V>::unpooled(),
        };
        Self { table, forked: AtomicBool::new(false) }
    }
}

impl<K: TableKey, V> Clone for SharedTable<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
