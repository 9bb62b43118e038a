//! The entries of one map, and what was done to them since the last capture.

use super::small::Small;
use super::view::MapView;
use crate::backend::heap::address::hash;
use crate::backend::heap::table::{Seed, SharedTable, TableKey};
use esker_format::{Key, KeyGroupRange};

/// A user key as a table holds it. All of a map's entries are of one key group, which says nothing
/// here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserKey<U>(pub(super) U);

impl<U: Key> TableKey for UserKey<U> {
    #[inline]
    fn key_group(&self) -> u16 {
        0
    }

    #[inline]
    fn seeded_hash(&self, seed: Seed) -> u64 {
        hash(&self.0, &(), seed)
    }
}

/// The entries of one map. A write to a map that a capture shares copies a small map, or a page of
/// a large one.
#[derive(Clone)]
pub(super) struct Body<U: Key, V> {
    pub(super) kind: Kind<U, V>,
    /// The capture that will first see the newest change.
    epoch: u32,
    /// Whether all entries are new in this epoch: there was no such map before, or another one.
    fresh: bool,
}

/// How the entries are held.
#[derive(Clone)]
pub(super) enum Kind<U: Key, V> {
    Small(Small<U, V>),
    /// The user keys beside the table were removed in this epoch while the map was small.
    Large(SharedTable<UserKey<U>, V>, Vec<U>),
}

impl<U: Key, V: Clone + Send + Sync + 'static> Body<U, V> {
    /// A map of one entry, which takes the place of whatever there was.
    pub(super) fn one(epoch: u32, user_key: U, value: V) -> Self {
        let mut small = Small::new();
        small.push(user_key, value);
        Self { kind: Kind::Small(small), epoch, fresh: true }
    }

    /// Makes ready for a change in this epoch; a new one forgets what changed before.
    #[inline]
    pub(super) fn begin(&mut self, epoch: u32) {
        if self.epoch != epoch {
            self.begin_new(epoch);
        }
    }

    #[cold]
    fn begin_new(&mut self, epoch: u32) {
        (self.epoch, self.fresh) = (epoch, false);
        match &mut self.kind {
            Kind::Small(small) => small.forget_changes(),
            Kind::Large(table, removed) => {
                table.write(true);
                removed.clear();
            }
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match &self.kind {
            Kind::Small(small) => small.len(),
            Kind::Large(table, _) => table.table().len(),
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, user_key: &U) -> Option<&V> {
        match &self.kind {
            Kind::Small(small) => small.get(user_key),
            Kind::Large(table, _) => Self::get_large(table, user_key),
        }
    }

    #[inline(never)]
    fn get_large<'a>(table: &'a SharedTable<UserKey<U>, V>, user_key: &U) -> Option<&'a V> {
        let table = table.table();
        table.get_raw(0, hash(user_key, &(), table.seed()), |k| k.0 == *user_key)
    }

    /// Sets the value of a user key and returns the one before. `begin` has been called.
    #[inline(always)]
    pub(super) fn put(&mut self, user_key: &U, value: V) -> Option<V> {
        let Kind::Small(small) = &mut self.kind else {
            return self.rmw(user_key, |slot| slot.replace(value));
        };
        let before = small.put(user_key, value);
        self.enlarge_if_many();
        before
    }

    /// Calls `f` with the value of a user key, or with `None`, and keeps what it leaves there.
    /// `begin` has been called.
    #[inline]
    pub(super) fn rmw<R>(&mut self, user_key: &U, f: impl FnOnce(&mut Option<V>) -> R) -> R {
        match &mut self.kind {
            Kind::Small(small) => {
                let result = small.rmw(user_key, f);
                self.enlarge_if_many();
                result
            }
            Kind::Large(table, _) => {
                let table = table.write(false);
                let hash = hash(user_key, &(), table.seed());
                let make_key = || UserKey(user_key.clone());
                table.rmw_raw(0, hash, |k| k.0 == *user_key, make_key, f)
            }
        }
    }

    #[inline]
    fn enlarge_if_many(&mut self) {
        if matches!(&self.kind, Kind::Small(small) if small.len() > Small::<U, V>::MAX) {
            self.enlarge();
        }
    }

    /// Puts the entries of a small map into a table, which then knows as much of what changed.
    #[cold]
    fn enlarge(&mut self) {
        let Kind::Small(small) = &mut self.kind else { return };
        let Ok(range) = KeyGroupRange::new(0, 0) else { return };
        let mut shared = SharedTable::new(range, Seed::of(0));
        let table = shared.write(false);
        let small = std::mem::replace(small, Small::new());
        let (entries, removed) = small.into_parts();
        let mut changed = Vec::new();
        let mut born = Vec::new();
        for entry in entries {
            if entry.born {
                born.push(entry);
                continue;
            }
            let user_key = UserKey(entry.user_key);
            if entry.changed {
                changed.push(user_key.clone());
            }
            table.insert(user_key, entry.value);
        }
        drop(table.freeze());
        for user_key in &changed {
            // What may be changed counts as changed.
            table.get_mut(user_key);
        }
        for entry in born {
            table.insert(UserKey(entry.user_key), entry.value);
        }
        self.kind = Kind::Large(shared, removed);
    }
}

impl<U: Key, V: Clone + Send + Sync + 'static> Body<U, V> {
    /// Calls `f` with each user key that this epoch changed, and its value now; `None` if it is
    /// gone. If all are new, `f` is called for all.
    pub(super) fn for_changes(&self, epoch: u32, mut f: impl FnMut(&U, Option<&V>)) {
        if self.epoch != epoch {
            return;
        }
        if self.fresh {
            return MapView::new(Some(self)).iter().for_each(|(k, v)| f(k, Some(v)));
        }
        let mut gone = |user_key: &U| {
            if self.get(user_key).is_none() {
                f(user_key, None);
            }
        };
        match &self.kind {
            Kind::Small(small) => {
                small.removed().iter().for_each(&mut gone);
                small.changed().for_each(|(k, v)| f(k, Some(v)));
            }
            Kind::Large(table, removed) => {
                removed.iter().for_each(&mut gone);
                table.removed().iter().for_each(|k| gone(&k.0));
                table.changed().for_each(|(k, v)| f(&k.0, Some(v)));
            }
        }
    }
}
