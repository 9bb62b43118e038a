//! A small map: its entries side by side, and a byte of hash for each, searched sixteen at a time.

use crate::backend::heap::address::hash;
use crate::backend::heap::table::{Seed, equal_bytes};
use esker_format::Key;

/// Few entries, and which of them changed since the last capture.
#[derive(Clone)]
pub(super) struct Small<U, V> {
    entries: Vec<(U, V)>,
    /// A byte of hash per entry; it says no without a look at the entries.
    tags: [[u8; 16]; 2],
    /// User keys that the last capture held, removed since, each once; they may be back. Boxed, as
    /// most maps have none.
    #[allow(clippy::box_collection)]
    removed: Option<Box<Vec<U>>>,
    /// A bit per entry: changed since the last capture.
    changed: u32,
    /// A bit per entry: inserted since the last capture.
    born: u32,
}

/// An entry that moves into a table.
pub(super) struct Moved<U, V> {
    pub(super) user_key: U,
    pub(super) value: V,
    pub(super) changed: bool,
    pub(super) born: bool,
}

#[inline]
fn tag<U: Key>(user_key: &U) -> u8 {
    (hash(user_key, &(), Seed::common()) >> 56) as u8
}

impl<U: Key, V> Small<U, V> {
    /// A map of more entries is not small: 4 KiB of them, 8 to 31.
    pub(super) const MAX: usize = match 4096 / (size_of::<(U, V)>() + 1) {
        0..8 => 8,
        fits @ 8..31 => fits,
        _ => 31,
    };

    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), tags: [[0; 16]; 2], removed: None, changed: 0, born: 0 }
    }

    pub(super) fn forget_changes(&mut self) {
        (self.removed, self.changed, self.born) = (None, 0, 0);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[(U, V)] {
        &self.entries
    }

    /// Entries inserted or changed since the last capture.
    pub(super) fn changed(&self) -> impl Iterator<Item = &(U, V)> {
        let changed = self.changed;
        self.entries.iter().enumerate().filter(move |(i, _)| changed >> i & 1 == 1).map(|(_, e)| e)
    }

    pub(super) fn removed(&self) -> &[U] {
        self.removed.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The entries, and the user keys removed.
    pub(super) fn into_parts(self) -> (impl Iterator<Item = Moved<U, V>>, Vec<U>) {
        let (changed, born) = (self.changed, self.born);
        let entries = self.entries.into_iter().enumerate().map(move |(i, (user_key, value))| {
            let [changed, born] = [changed, born].map(|bits| bits >> i & 1 == 1);
            Moved { user_key, value, changed, born }
        });
        (entries, self.removed.map_or_else(Vec::new, |removed| *removed))
    }

    #[inline(always)]
    fn find(&self, user_key: &U) -> Option<usize> {
        let tag = tag(user_key);
        // All tags at once: a branch on how many there are, or on where the equal one is, would
        // often be guessed wrong.
        let [low, high] = &self.tags;
        let tagged = equal_bytes(low, tag) | equal_bytes(high, tag) << 16;
        let mut equal = tagged & ((1 << self.entries.len()) - 1);
        while equal != 0 {
            let index = equal.trailing_zeros() as usize;
            if self.entries.get(index).is_some_and(|(k, _)| k == user_key) {
                return Some(index);
            }
            equal &= equal - 1;
        }
        None
    }

    #[inline(always)]
    pub(super) fn get(&self, user_key: &U) -> Option<&V> {
        self.find(user_key).map(|index| &self.entries[index].1)
    }

    /// Adds an entry that is not there.
    pub(super) fn push(&mut self, user_key: U, value: V) {
        let index = self.entries.len();
        self.tags[index / 16][index % 16] = tag(&user_key);
        let bit = 1 << index;
        self.changed |= bit;
        self.born |= bit;
        self.entries.push((user_key, value));
    }

    /// Sets the value of a user key and returns the one before.
    #[inline]
    pub(super) fn put(&mut self, user_key: &U, value: V) -> Option<V> {
        match self.find(user_key) {
            Some(i) => {
                self.changed |= 1 << i;
                Some(std::mem::replace(&mut self.entries[i].1, value))
            }
            None => {
                self.push(user_key.clone(), value);
                None
            }
        }
    }

    /// Calls `f` with the value of a user key, or with `None`, and keeps what it leaves there, also
    /// if it panics; an entry that is missing stays missing then.
    pub(super) fn rmw<R>(&mut self, user_key: &U, f: impl FnOnce(&mut Option<V>) -> R) -> R {
        let Some(index) = self.find(user_key) else {
            let mut value = None;
            let result = f(&mut value);
            if let Some(value) = value {
                self.push(user_key.clone(), value);
            }
            return result;
        };
        let (user_key, value) = self.entries.swap_remove(index);
        let mut taken = Taken { small: self, index, user_key: Some(user_key), value: Some(value) };
        f(&mut taken.value)
    }

    /// Says that the entry `index` has gone, and the last one stands in its place.
    fn forget_entry(&mut self, index: usize) {
        let last = self.entries.len();
        self.tags[index / 16][index % 16] = self.tags[last / 16][last % 16];
        for bits in [&mut self.changed, &mut self.born] {
            let moved = *bits >> last & 1;
            *bits &= !(1 << index | 1 << last);
            if index != last {
                *bits |= moved << index;
            }
        }
    }
}

/// An entry whose value is with the user's closure; its drop puts back what the closure left.
struct Taken<'a, U: Key, V> {
    small: &'a mut Small<U, V>,
    index: usize,
    user_key: Option<U>,
    value: Option<V>,
}

impl<U: Key, V> Drop for Taken<'_, U, V> {
    fn drop(&mut self) {
        let Some(user_key) = self.user_key.take() else { return };
        let Self { small, index, value, .. } = self;
        if let Some(value) = value.take() {
            let last = small.entries.len();
            small.entries.push((user_key, value));
            small.entries.swap(*index, last);
            small.changed |= 1 << *index;
            return;
        }
        if small.born >> *index & 1 == 0 {
            small.removed.get_or_insert_default().push(user_key);
        }
        small.forget_entry(*index);
    }
}
