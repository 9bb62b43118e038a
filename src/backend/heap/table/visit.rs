//! A walk over a table a few entries at a time, while it is written.

use super::CowTable;
use super::TableKey;

/// How far such a walk has come. It means something in every table, and at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    position: u64,
    /// Slots of the page at `position` that were looked at.
    slots: usize,
}

impl<K: TableKey, V> CowTable<K, V> {
    /// Calls `f` with the next entries behind `cursor`, and moves it on; behind the last one it
    /// starts anew. At most `limit` entries and empty pages are looked at. An entry that is neither
    /// inserted nor moved by a split meanwhile is met once in each round.
    pub fn visit(&self, cursor: &mut Cursor, limit: usize, mut f: impl FnMut(&K, &V)) {
        let mut left = limit;
        while left > 0 {
            let (mut node, mut base) = (self.root, 0);
            // SAFETY: the root is live and unchanged while `self` is borrowed, and so is all below
            // it; indices of positions lie in their nodes, entries in full slots.
            let (depth, done) = unsafe {
                let child = loop {
                    let child = *node.slot(node.index(cursor.position, base));
                    if !child.is_node() {
                        break child;
                    }
                    base += node.bits();
                    node = child;
                };
                let run = node.run(child, base);
                let mut done = true;
                if child.is_null() {
                    left -= 1;
                } else {
                    let page = child.page();
                    // An empty page counts as an entry.
                    let mut looked_at = 0;
                    let skip = cursor.slots;
                    for slot in page.slots().filter(|slot| *slot >= skip) {
                        if looked_at == left {
                            done = false;
                            break;
                        }
                        let entry = &*page.entry(slot);
                        f(&entry.key, &entry.value);
                        cursor.slots = slot + 1;
                        looked_at += 1;
                    }
                    left -= looked_at.max(1);
                }
                (base + node.bits() - run.trailing_zeros(), done)
            };
            if !done {
                return;
            }
            let last = cursor.position | u64::MAX.checked_shr(depth).unwrap_or(0);
            *cursor = Cursor { position: last.wrapping_add(1), slots: 0 };
            if cursor.position == 0 {
                return;
            }
        }
    }
}
