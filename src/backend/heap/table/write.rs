//! Writes: making a path owned, and making room.

use super::node::{Link, POSITION_BITS};
use super::page::{Entry, Page, Place};
use super::{CowTable, TableKey};

/// The node that holds a page: where the link to it is, and how many bits deep it is.
struct Holder<K, V> {
    link: *mut Link<K, V>,
    base: u32,
}

impl<K: TableKey, V: Clone> CowTable<K, V> {
    /// Makes everything on the path to `position` owned: what only this table holds is taken over,
    /// what is shared is copied, entries in the same slots. The page's slot may be null.
    fn own_path(&mut self, position: u64) -> Holder<K, V> {
        let mut link: *mut Link<K, V> = &raw mut self.root;
        let mut base = 0;
        // SAFETY: `link` points to the root or into an owned node, which is this table's alone, and
        // is always a link to a live node. A copy replaces its original before the reference to it
        // is given up, so that a user's clone or drop that panics leaves a valid trie.
        unsafe {
            loop {
                let old = *link;
                if !old.is_owned() {
                    if old.is_unique() {
                        old.forget_changes();
                        *link = old.owned();
                    } else {
                        *link = old.copied(base);
                        old.release(base, self.pages.arena());
                    }
                }
                let node = *link;
                let index = node.index(position, base);
                let child = *node.slot(index);
                if child.is_node() {
                    link = node.slot(index);
                    base += node.bits();
                    continue;
                }
                if !child.is_null() && !child.is_owned() {
                    let run = node.run(child, base);
                    if child.is_unique() {
                        child.page().forget_changes();
                        node.set_run(index, run, child.owned());
                    } else {
                        let page = child.page().copy(&mut self.pages);
                        crate::metrics::copied(page.len_bytes());
                        node.set_run(index, run, Link::to_page(page));
                        child.release(base, self.pages.arena());
                    }
                }
                return Holder { link, base };
            }
        }
    }

    /// The entry found under `position`, on a path made owned.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn own_entry(&mut self, position: u64, place: Place<K, V>) -> Place<K, V> {
        // SAFETY: the caller's place is in a live page.
        let slot = unsafe { place.slot() };
        let Holder { link, base } = self.own_path(position);
        // SAFETY: the holder's link is to a live node; an entry was found here, so there is a page,
        // and the slot is full in a copy too, which has the same layout.
        unsafe {
            let page = (*(*link).slot((*link).index(position, base))).page();
            page.place(slot)
        }
    }

    /// Inserts an entry whose key the table does not hold.
    #[cold]
    #[inline(never)]
    pub(super) fn insert_slow(&mut self, position: u64, hash: u64, entry: Entry<K, V>) {
        loop {
            let holder = self.own_path(position);
            // SAFETY: the holder's link is to an owned node, and `own_path` made its child owned:
            // both are this table's alone.
            unsafe {
                let node = *holder.link;
                let index = node.index(position, holder.base);
                let child = *node.slot(index);
                if child.is_null() {
                    self.fill_run(&holder, index);
                    continue;
                }
                let page = child.page();
                if page.has_room() {
                    page.put(page.log2_groups(), hash, entry, true, true);
                    self.len += 1;
                    return;
                }
                self.make_room(holder, page, position);
            }
        }
    }

    /// Puts an empty page in the widest run of empty slots around an index, so that a node grown
    /// for one hot key group has no page per slot.
    unsafe fn fill_run(&mut self, holder: &Holder<K, V>, index: usize) {
        // SAFETY: the holder's link is to an owned node; all indices are below its number of slots.
        unsafe {
            let node = *holder.link;
            let mut log2_run = 0;
            while log2_run < node.bits() {
                let buddy = ((index >> log2_run) ^ 1) << log2_run;
                if (0..1 << log2_run).any(|i| !(*node.slot(buddy + i)).is_null()) {
                    break;
                }
                log2_run += 1;
            }
            let depth = holder.base + node.bits() - log2_run;
            let page = Page::new(&mut self.pages, depth, Page::<K, V>::LOG2_GROUPS);
            node.set_run(index, 1 << log2_run, Link::to_page(page));
        }
    }

    /// Makes room in a full page for an entry at `position`, or brings it one bit nearer to that.
    #[cold]
    unsafe fn make_room(&mut self, mut holder: Holder<K, V>, page: Page<K, V>, position: u64) {
        // SAFETY: the holder's link is to an owned node that holds the owned page, so both are this
        // table's alone. The keys' hashes are taken first: no user code runs once entries move.
        // Moved entries stay behind as bytes in a page that is freed without dropping them.
        unsafe {
            let log2_groups = page.log2_groups();
            let mut all = Vec::with_capacity(page.items());
            for slot in page.slots() {
                let (hash, position) = self.shape.locate(&(*page.entry(slot)).key);
                all.push((slot, hash, position));
            }
            // Bits in which positions differ: among the page's, and from the new one.
            let first = all.first().map_or(position, |one| one.2);
            let differing = all.iter().fold(0, |bits, one| bits | one.2 ^ first);
            let depth = page.depth();
            let crowded = page.items() > page.capacity() / 2;
            let apart = depth < POSITION_BITS && (differing | position ^ first) != 0;
            if !(crowded && apart) {
                // Only tombstones to sweep, or nothing to tell entries apart by: a larger page.
                let new = Page::new(&mut self.pages, depth, log2_groups + u32::from(crowded));
                move_entries(page, new, new, u32::MAX, &all);
                let node = *holder.link;
                let index = node.index(position, holder.base);
                let run = node.run(*node.slot(index), holder.base);
                node.set_run(index, run, Link::to_page(new));
                page.free(self.pages.arena());
                return;
            }
            while depth == holder.base + (*holder.link).bits() {
                let node = *holder.link;
                if node.bits() < Link::<K, V>::bits_max(holder.base) {
                    *holder.link = node.doubled();
                    continue;
                }
                // The node's bits are used up: the slot becomes a node that tells more.
                let slot = node.slot(node.index(position, holder.base));
                let child = Link::new_node(1);
                child.set_run(0, 2, *slot);
                *slot = child;
                holder = Holder { link: slot, base: holder.base + node.bits() };
            }
            let node = *holder.link;
            let index = node.index(position, holder.base);
            let run = node.run(*node.slot(index), holder.base);
            let start = index & !(run - 1);
            let bit = 1_u64 << (POSITION_BITS - 1 - depth);
            if differing & bit == 0 {
                // All on one side: the other one's slots are set free.
                let empty = if first & bit == 0 { start + run / 2 } else { start };
                node.set_run(empty, run / 2, Link::NULL);
                page.set_depth(depth + 1);
                return;
            }
            let low =
                Page::new(&mut self.pages, depth + 1, Page::<K, V>::LOG2_GROUPS.max(log2_groups));
            let high =
                Page::new(&mut self.pages, depth + 1, Page::<K, V>::LOG2_GROUPS.max(log2_groups));
            move_entries(page, low, high, POSITION_BITS - 1 - depth, &all);
            node.set_run(start, run / 2, Link::to_page(low));
            node.set_run(start + run / 2, run / 2, Link::to_page(high));
            page.free(self.pages.arena());
        }
    }
}

/// Moves entries (slot, hash, position) into `low` or `high`, by the bit of position that is `shift`
/// bits from the lowest; all into `low` if there is no such bit. Both have room for all.
unsafe fn move_entries<K, V>(
    page: Page<K, V>,
    low: Page<K, V>,
    high: Page<K, V>,
    shift: u32,
    all: &[(usize, u64, u64)],
) {
    for &(slot, hash, position) in all {
        let goes_high = position.checked_shr(shift).unwrap_or(0) & 1 == 1;
        // SAFETY: the slot is full, each is moved once, and the caller forgets the page's entries.
        unsafe {
            let entry = page.entry(slot).read();
            let to = if goes_high { high } else { low };
            to.put(to.log2_groups(), hash, entry, page.is_dirty(slot), page.is_born(slot));
        }
    }
}
