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
        let start = Step { node: root, next: 0, base: 0, prefix: 0 };
        Self {
            path: if skip { Vec::new() } else { vec![start] },
            bounds: bounds.unwrap_or_default(),
            changed_only,
            filter: (!shape.is_all(range)).then_some(range),
            page: None,
            mixed: false,
            group: 0,
            mask: Mask(0),
            borrowed: PhantomData,
        }
    }

    fn next_page(&mut self) -> Option<Page<K, V>> {
        loop {
            let step = self.path.last_mut()?;
            let (node, index, base) = (step.node, step.next, step.base);
            if index >> node.bits() != 0 {
                self.path.pop();
                continue;
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
            let wanted = first <= self.bounds.1 && last >= self.bounds.0;
            if !wanted || child.is_null() || self.changed_only && !child.is_owned() {
                continue;
            }
            if child.is_node() {
                self.path.push(Step { node: child, next: 0, base: depth, prefix: first });
            } else {
                self.mixed = first < self.bounds.0 || last > self.bounds.1;
                return Some(child.page());
            }
        }
    }
}

impl<'a, K: TableKey, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(page) = self.page else {
                self.page = Some(self.next_page()?);
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
