//! A copy-on-write hash table: a capture costs one reference, and knows what changed.
//!
//! A radix trie over an entry's **position** (64 bits: the key group relative to the owned range,
//! then a seeded hash of the key) ends in swiss-table pages of about 4 KiB. Pages split one at a
//! time, so the table never rehashes as a whole; nodes grow only where entries are; pages in order
//! of position are in key group order.
//!
//! [`CowTable::freeze`] counts a reference to the root. A write makes what is on its path **owned**:
//! what a [`Frozen`] shares is copied (root, node, page), what none shares any more is taken over.
//! A bit in each link says "owned since the last freeze", so that the hot path touches no count.
//!
//! Invariants:
//! - Reachable by owned links alone = reachable from this table only; nothing else is ever changed.
//! - Each distinct child of a node is one counted reference; memory goes with the last one.
//! - Change bits mean something only where the whole path is owned; elsewhere nothing changed.
//! - The trie is valid whenever user code (clone, eq, hash, drop, a closure) runs: if it panics,
//!   entries may leak, and an entry under [`CowTable::rmw`] holds what the closure left.
//!
//! What makes it quick: control bytes stand as densely as a flat table's (see `arena`), the line an
//! entry most likely is in is fetched while they are looked at (`home`), and what is rare is out of
//! line: a look-up's time grows with its instructions, as those bound how many misses overlap.
//!
//! Pages that fall empty are kept for what comes next, and so is the memory of pages that a capture
//! gave back, until table and captures are gone. Ideas: extendible hashing (Fagin et al.,
//! 1979), swiss tables (Abseil), `CopyOnWriteStateMap` (Flink).
#![allow(unsafe_code)]

mod arena;
mod bytes;
mod frozen;
mod group;
mod node;
mod page;
mod seed;
mod settle;
mod shape;
mod shared;
#[cfg(test)]
mod tests;
mod visit;
mod walk;
mod write;

pub use bytes::equal_bytes;
pub use frozen::Frozen;
pub use seed::Seed;
pub use shared::SharedTable;
pub use visit::Cursor;
pub use walk::Iter;

use arena::Pages;
use esker_format::KeyGroupRange;
use node::{Link, Search};
use page::{Entry, Page, Place, Vacant};
use shape::Shape;

/// A key: it knows its key group and hashes itself. Equal keys give equal groups and hashes; a key
/// that does not keep to this may not be found again, and nothing worse.
pub trait TableKey: Eq + Clone + Send + Sync + 'static {
    /// The key group, which should lie in the table's range: scans may miss an entry outside it.
    fn key_group(&self) -> u16;

    /// A well mixed hash of the key under a seed.
    fn seeded_hash(&self, seed: Seed) -> u64;
}

/// A hash table from which the content at one moment can be frozen at any time, in constant time.
pub struct CowTable<K: TableKey, V> {
    root: Link<K, V>,
    shape: Shape,
    len: usize,
    /// Keys that the last freeze held, removed since.
    removed: Vec<K>,
    pages: Pages,
}

// SAFETY: it shares entries with `Frozen`s on other threads by counted references, hence both bounds.
unsafe impl<K: TableKey, V: Send + Sync> Send for CowTable<K, V> {}
// SAFETY: as above; a shared reference only reads.
unsafe impl<K: TableKey, V: Send + Sync> Sync for CowTable<K, V> {}

impl<K: TableKey, V> CowTable<K, V> {
    /// An empty table for the key groups in `range`, hashing with `seed`.
    pub fn new(range: KeyGroupRange, seed: Seed) -> Self {
        Self::with_pages(range, seed, Page::<K, V>::pages())
    }

    fn with_pages(range: KeyGroupRange, seed: Seed, pages: Pages) -> Self {
        let shape = Shape::new(range, seed);
        Self { root: Link::new_node(node::BITS_MAX), shape, len: 0, removed: Vec::new(), pages }
    }

    /// The key groups it is for.
    pub fn range(&self) -> KeyGroupRange {
        self.shape.range
    }

    /// Whether it is for a key group.
    #[inline]
    pub fn owns(&self, group: u16) -> bool {
        self.shape.owns(group)
    }

    /// The seed that raw look-ups hash with.
    pub fn seed(&self) -> Seed {
        self.shape.seed
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes taken by the trie's nodes; it looks at all of them.
    pub fn directory_bytes(&self) -> usize {
        // SAFETY: the root is live while `self` is.
        unsafe { walk::directory_bytes(self.root) }
    }

    /// The content as it is now, in constant time. Changes are tracked anew from here.
    pub fn freeze(&mut self) -> Frozen<K, V> {
        // SAFETY: the root is live. The frozen content gets the added reference, with the owned bits
        // of this epoch; without its own, this table changes nothing below the root in place.
        unsafe {
            self.root.retain();
            let removed = std::mem::take(&mut self.removed);
            let arena = self.pages.arena().clone();
            let frozen = Frozen::new(self.root, self.shape, self.len, removed, arena);
            self.root = self.root.unowned();
            frozen
        }
    }

    /// All entries; see [`Iter`] for the order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        // SAFETY: the root is live and unchanged while `self` is borrowed.
        unsafe { Iter::new(self.root, &self.shape, self.shape.range, false) }
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.get_raw(key.key_group(), key.seeded_hash(self.shape.seed), |k| k == key)
    }

    /// The value of the key with this key group and hash that `eq` accepts, so that borrowed forms
    /// of a key can be looked up.
    #[inline]
    pub fn get_raw(&self, group: u16, hash: u64, mut eq: impl FnMut(&K) -> bool) -> Option<&V> {
        let position = self.shape.position(group, hash);
        // SAFETY: the root is live and nobody changes the table while `self` is borrowed; a found
        // slot is full.
        unsafe {
            match node::find_fast(self.root, position, hash, &mut eq) {
                Search::Found(place, _) => Some(&(*place.entry).value),
                Search::Missing(_) => None,
                Search::Unknown => self.get_anywhere(position, hash, eq),
            }
        }
    }

    /// Asks for the cache lines that a look-up by this key group and hash will read.
    #[inline]
    pub fn prefetch(&self, group: u16, hash: u64) {
        // SAFETY: the root is live and nobody changes the table while `self` is borrowed.
        unsafe { node::prefetch(self.root, self.shape.position(group, hash), hash) }
    }

    #[cold]
    #[inline(never)]
    fn get_anywhere(&self, position: u64, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<&V> {
        // SAFETY: as in `get_raw`.
        unsafe {
            match node::find(self.root, position, hash, eq) {
                Search::Found(place, _) => Some(&(*place.entry).value),
                Search::Missing(_) | Search::Unknown => None,
            }
        }
    }
}

impl<K: TableKey, V: Clone> CowTable<K, V> {
    /// The place of an entry, which may be changed; else what [`Search::Missing`] tells.
    #[inline(always)]
    fn find_owned(
        &mut self,
        position: u64,
        hash: u64,
        mut eq: impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, Option<Vacant<K, V>>> {
        // SAFETY: the root is live and nobody else changes the table while `self` is borrowed.
        match unsafe { node::find_fast(self.root, position, hash, &mut eq) } {
            Search::Found(place, true) => Ok(place),
            Search::Missing(vacant) => Err(vacant),
            Search::Found(_, false) | Search::Unknown => {
                self.find_owned_anywhere(position, hash, eq)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn find_owned_anywhere(
        &mut self,
        position: u64,
        hash: u64,
        eq: impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, Option<Vacant<K, V>>> {
        // SAFETY: as in `find_owned`; the place is in a live page, found under this position.
        unsafe {
            match node::find(self.root, position, hash, eq) {
                Search::Found(place, true) => Ok(place),
                Search::Found(place, false) => Ok(self.own_entry(position, place)),
                Search::Missing(vacant) => Err(vacant),
                Search::Unknown => Err(None),
            }
        }
    }

    /// Inserts an entry whose key the table does not hold; `vacant` is where it was looked for.
    #[inline(always)]
    fn insert_new(
        &mut self,
        vacant: Option<Vacant<K, V>>,
        position: u64,
        hash: u64,
        mut entry: Entry<K, V>,
    ) {
        if let Some(vacant) = vacant {
            // SAFETY: a page that a search ended at on an owned path is this table's alone, and
            // ordinary; nothing changed since.
            match unsafe { Page::put_first(vacant, hash, entry) } {
                Ok(()) => {
                    self.len += 1;
                    return;
                }
                Err(refused) => entry = refused,
            }
        }
        self.insert_slow(position, hash, entry);
    }

    /// The value of a key, which counts as changed.
    #[inline]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.get_mut_raw(key.key_group(), key.seeded_hash(self.shape.seed), |k| k == key)
    }

    /// [`get_mut`](Self::get_mut) by key group, hash and equality.
    #[inline]
    pub fn get_mut_raw(
        &mut self,
        group: u16,
        hash: u64,
        eq: impl FnMut(&K) -> bool,
    ) -> Option<&mut V> {
        let position = self.shape.position(group, hash);
        let place = self.find_owned(position, hash, eq).ok()?;
        // SAFETY: the page is owned, the slot full; the borrow of `self` keeps others away.
        unsafe {
            Page::set_dirty(&place);
            Some(&mut (*place.entry).value)
        }
    }

    /// Sets the value of a key and returns the one it had.
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (hash, position) = self.shape.locate(&key);
        match self.find_owned(position, hash, |k| *k == key) {
            Ok(place) => Some(Self::replace(&place, value)),
            Err(vacant) => {
                self.insert_new(vacant, position, hash, Entry { key, value });
                None
            }
        }
    }

    /// [`insert`](Self::insert) by key group, hash and equality; `make_key` is called if the key is
    /// new, and must return a key of that group and hash.
    #[inline(always)]
    pub fn insert_raw(
        &mut self,
        group: u16,
        hash: u64,
        eq: impl FnMut(&K) -> bool,
        make_key: impl FnOnce() -> K,
        value: V,
    ) -> Option<V> {
        let position = self.shape.position(group, hash);
        match self.find_owned(position, hash, eq) {
            Ok(place) => Some(Self::replace(&place, value)),
            Err(vacant) => {
                self.insert_new(vacant, position, hash, Entry { key: make_key(), value });
                None
            }
        }
    }

    /// Sets the value at a place that [`find_owned`](Self::find_owned) found.
    #[inline]
    fn replace(place: &Place<K, V>, value: V) -> V {
        // SAFETY: the page is owned, the slot full.
        unsafe {
            Page::set_dirty(place);
            std::mem::replace(&mut (*place.entry).value, value)
        }
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.remove_raw(key.key_group(), key.seeded_hash(self.shape.seed), |k| k == key)
    }

    /// [`remove`](Self::remove) by key group, hash and equality.
    pub fn remove_raw(&mut self, group: u16, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<V> {
        let position = self.shape.position(group, hash);
        let place = self.find_owned(position, hash, eq).ok()?;
        // SAFETY: the page is owned, the slot full; the value is read once, before `erase` lets go
        // of the key and of the slot.
        unsafe {
            let value = (&raw const (*place.entry).value).read();
            let _dropped_last = self.erase(&place);
            Some(value)
        }
    }

    /// Calls `f` with the value of a key, or with `None`, and keeps what it leaves there: one
    /// look-up to read, change, insert or remove. An entry counts as changed. If `f` panics, an
    /// entry keeps what `f` left there, and a missing one stays missing.
    #[inline]
    pub fn rmw<R>(&mut self, key: K, f: impl FnOnce(&mut Option<V>) -> R) -> R {
        let (hash, position) = self.shape.locate(&key);
        match self.find_owned(position, hash, |k| *k == key) {
            Ok(place) => self.rmw_found(place, f),
            Err(vacant) => self.rmw_missing(vacant, position, hash, || key, f),
        }
    }

    /// [`rmw`](Self::rmw) by key group, hash and equality; `make_key` is called if an entry is
    /// inserted, and must return a key of that group and hash.
    #[inline(always)]
    pub fn rmw_raw<R>(
        &mut self,
        group: u16,
        hash: u64,
        eq: impl FnMut(&K) -> bool,
        make_key: impl FnOnce() -> K,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> R {
        let position = self.shape.position(group, hash);
        match self.find_owned(position, hash, eq) {
            Ok(place) => self.rmw_found(place, f),
            Err(vacant) => self.rmw_missing(vacant, position, hash, make_key, f),
        }
    }

    #[inline(always)]
    fn rmw_found<R>(&mut self, place: Place<K, V>, f: impl FnOnce(&mut Option<V>) -> R) -> R {
        // SAFETY: the page is owned, the slot full. The value is moved out, and nobody can see the
        // gap: `f` cannot reach the borrowed table, and `taken` closes it, also if `f` panics.
        let value = Some(unsafe { (&raw const (*place.entry).value).read() });
        let mut taken = Taken { table: self, place, value };
        f(&mut taken.value)
    }

    #[inline(always)]
    fn rmw_missing<R>(
        &mut self,
        vacant: Option<Vacant<K, V>>,
        position: u64,
        hash: u64,
        make_key: impl FnOnce() -> K,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> R {
        let mut value = None;
        let result = f(&mut value);
        if let Some(value) = value {
            self.insert_new(vacant, position, hash, Entry { key: make_key(), value });
        }
        result
    }

    /// Lets go of a full slot whose value has been moved out. The key is returned unless the last
    /// freeze held it.
    #[inline(never)]
    unsafe fn erase(&mut self, place: &Place<K, V>) -> Option<K> {
        // SAFETY: the page is owned, the slot full; the key is moved out once.
        let (key, born) = unsafe {
            let slot = place.slot();
            let born = place.page.is_born(slot);
            place.page.erase(slot);
            ((&raw const (*place.entry).key).read(), born)
        };
        self.len -= 1;
        if born {
            return Some(key);
        }
        self.removed.push(key);
        None
    }
}

/// An entry whose value is with the user's closure; its drop puts back what the closure left.
struct Taken<'a, K: TableKey, V: Clone> {
    table: &'a mut CowTable<K, V>,
    place: Place<K, V>,
    value: Option<V>,
}

impl<K: TableKey, V: Clone> Drop for Taken<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the page is owned and the slot's value moved out, as `rmw_found` left them.
        unsafe {
            match self.value.take() {
                Some(value) => {
                    (&raw mut (*self.place.entry).value).write(value);
                    Page::set_dirty(&self.place);
                }
                None => drop(self.table.erase(&self.place)),
            }
        }
    }
}

impl<K: TableKey, V> Drop for CowTable<K, V> {
    fn drop(&mut self) {
        // SAFETY: the table held a reference to the root, and gives it up once.
        unsafe { self.root.release(0, self.pages.arena()) };
    }
}

impl<K: TableKey, V> std::fmt::Debug for CowTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CowTable")
            .field("range", &self.shape.range)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
