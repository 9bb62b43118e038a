//! Entries that come late, and count as if they had been there all the time.

use super::{CowTable, TableKey, shape};
use esker_format::KeyGroupRange;

impl<K: TableKey, V> CowTable<K, V> {
    /// Whether [`owns`](Self::owns) says yes to the key groups of the table's range, as it does at first,
    /// or to none: whoever looks up is then to see first to what the table may not hold yet. Look-ups
    /// themselves do not ask.
    pub fn set_open(&mut self, open: bool) {
        self.shape.set_open(open);
    }

    /// What [`set_open`](Self::set_open) said last.
    pub fn is_open(&self) -> bool {
        self.shape.owns(self.shape.range.first())
    }

    /// Says that what the table holds of the key groups in `range` was there at the last freeze, and did
    /// not change since. Costs the pages of those key groups.
    pub fn forget_changes(&mut self, range: KeyGroupRange) {
        let Some((first, last)) = self.shape.bounds(range) else { return };
        let mut position = first;
        loop {
            let (mut node, mut base, mut owned) = (self.root, 0, self.root.is_owned());
            // SAFETY: the root is live while `self` is borrowed, and so is all below it; indices of
            // positions lie in their nodes, entries in full slots. What owned links alone lead to is
            // this table's, so that its bits may be changed; elsewhere they mean nothing.
            let depth = unsafe {
                let child = loop {
                    let child = *node.slot(node.index(position, base));
                    owned &= child.is_owned();
                    if !child.is_node() {
                        break child;
                    }
                    base += node.bits();
                    node = child;
                };
                let run = node.run(child, base);
                if owned && !child.is_null() {
                    let page = child.page();
                    for slot in page.slots() {
                        if shape::contains(range, (*page.entry(slot)).key.key_group()) {
                            page.forget_change(slot);
                        }
                    }
                }
                base + node.bits() - run.trailing_zeros()
            };
            let end = position | u64::MAX.checked_shr(depth).unwrap_or(0);
            if end >= last {
                return;
            }
            position = end + 1;
        }
    }
}
