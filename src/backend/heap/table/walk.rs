//! Walks over a trie, in order of position.

use super::TableKey;
use super::group::Mask;
use super::node::Link;
use super::page::Page;
use super::shape::{Shape, contains};
use esker_format::KeyGroupRange;
use std::marker::PhantomData;

/// A node on the way, `base` bits deep, whose slots before `next` are done; `prefix` is its first
/// position.
struct Step<K, V> {
    node: Link<K, V>,
    next: usize,
    base: u32,
    prefix: u64,
}

impl<K, V> Step<K, V> {
    /// Before the first child of a node that can hold positions from `from` on. The node is live.
    unsafe fn new(node: Link<K, V>, base: u32, prefix: u64, from: u64) -> Self {
        let mut next = 0;
        if from > prefix {
            next = node.index(from, base);
            // SAFETY: an index is below the number of slots; children of a live node are live.
            unsafe { next &= !(node.run(*node.slot(next), base) - 1) };
        }
        Self { node, next, base, prefix }
    }
}

/// So many slots ahead pages are asked for: what comes of one takes less time than a line from
/// memory.
const SLOTS_AHEAD: usize = 8;

/// Iterator over entries in key group order: pages in order of position, any order within a page.
/// A page may hold several key groups.
pub struct Iter<'a, K, V> {
    path: Vec<Step<K, V>>,
    bounds: (u64, u64),
    changed_only: bool,
    /// If not all key groups are wanted: which.
    filter: Option<KeyGroupRange>,
    page: Option<Page<K, V>>,
    /// Whether the page can hold entries of other key groups.
    mixed: bool,
    /// The page after it, and the same of that one.
    ahead: Option<(Page<K, V>, bool)>,
    group: usize,
    mask: Mask,
    borrowed: PhantomData<&'a (K, V)>,
}

// SAFETY: an iterator is a shared reference to a table or frozen content (see `PhantomData`), which
// may go to another thread if entries may be read there.
unsafe impl<K: Sync, V: Sync> Send for Iter<'_, K, V> {}
// SAFETY: as above; a shared iterator gives out nothing.
unsafe impl<K: Sync, V: Sync> Sync for Iter<'_, K, V> {}

impl<'a, K: TableKey, V> Iter<'a, K, V> {
    /// A walk over what `root` holds of `range`.
    ///
    /// # Safety
    /// The root is live and unchanged for `'a`.
    pub(super) unsafe fn new(
        root: Link<K, V>,
        shape: &Shape,
        range: KeyGroupRange,
        changed_only: bool,
    ) -> Self {
        let bounds = shape.bounds(range);
        let skip = bounds.is_none() || changed_only && !root.is_owned();
        let mut path = Vec::new();
        if let (false, Some((first, _))) = (skip, bounds) {
            // SAFETY: the root is live.
            path.push(unsafe { Step::new(root, 0, 0, first) });
        }
        Self {
            path,
            bounds: bounds.unwrap_or_default(),
            changed_only,
            filter: (!shape.is_all(range)).then_some(range),
            page: None,
            mixed: false,
            ahead: None,
            group: 0,
            mask: Mask(0),
            borrowed: PhantomData,
        }
    }

    /// Goes to the next page, and asks for what will be read of the one after it.
    fn advance(&mut self) -> Option<Page<K, V>> {
        let (page, mixed) = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.next_page()?,
        };
        self.mixed = mixed;
        self.ahead = self.next_page();
        if let (true, Some((ahead, _))) = (self.changed_only, self.ahead) {
            // SAFETY: the page is live.
            unsafe { ahead.prefetch_dirty() };
        }
        Some(page)
    }

    /// The next page, and whether it can hold entries of key groups that are not wanted.
    fn next_page(&mut self) -> Option<(Page<K, V>, bool)> {
        loop {
            let step = self.path.last_mut()?;
            let (node, index, base) = (step.node, step.next, step.base);
            if index >> node.bits() != 0 {
                self.path.pop();
                continue;
            }
            if (index + SLOTS_AHEAD) >> node.bits() == 0 {
                // SAFETY: the index is below the number of slots; what a live root holds is live.
                let far = unsafe { *node.slot(index + SLOTS_AHEAD) };
                if !far.is_null() && !far.is_node() && (!self.changed_only || far.is_owned()) {
                    far.page().prefetch_groups();
                }
            }
            // SAFETY: the index is below the number of slots; what a live root holds is live.
            let (child, run) = unsafe {
                let child = *node.slot(index);
                (child, node.run(child, base))
            };
            step.next += run;
            let depth = base + node.bits() - run.trailing_zeros();
            let first = step.prefix | (index as u64) << (u64::BITS - base - node.bits());
            let last = first | u64::MAX.checked_shr(depth).unwrap_or(0);
            if first > self.bounds.1 {
                self.path.clear();
                return None;
            }
            if last < self.bounds.0 || child.is_null() || self.changed_only && !child.is_owned() {
                continue;
            }
            if child.is_node() {
                // SAFETY: what a live root holds is live.
                self.path.push(unsafe { Step::new(child, depth, first, self.bounds.0) });
            } else {
                return Some((child.page(), first < self.bounds.0 || last > self.bounds.1));
            }
        }
    }
}

impl<'a, K: TableKey, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(page) = self.page else {
                self.page = Some(self.advance()?);
                self.group = 0;
                continue;
            };
            // SAFETY: the page is live and unchanged for `'a`; groups are inside it, slots in the
            // mask full.
            unsafe {
                let log2_groups = page.log2_groups();
                if let Some(i) = self.mask.next() {
                    let entry = &*page.entry((self.group - 1) * 16 + i);
                    // Only a page at the border is asked for the key group of each entry, a hash.
                    let wanted = |range| contains(range, entry.key.key_group());
                    if !self.mixed || self.filter.is_none_or(wanted) {
                        return Some((&entry.key, &entry.value));
                    }
                } else if self.group >> log2_groups != 0 {
                    self.page = None;
                } else {
                    self.mask = if self.changed_only {
                        page.dirty(self.group)
                    } else {
                        page.group(self.group).full()
                    };
                    self.group += 1;
                }
            }
        }
    }
}

/// Bytes of all nodes below and with a live node.
pub(super) unsafe fn directory_bytes<K, V>(node: Link<K, V>) -> usize {
    let mut total = node.node_len_bytes();
    for i in 0..1 << node.bits() {
        // SAFETY: the index is below the number of slots; children of a live node are live. A child
        // that is a node stands in one slot.
        unsafe {
            let child = *node.slot(i);
            if !child.is_null() && child.is_node() {
                total += directory_bytes(child);
            }
        }
    }
    total
}
