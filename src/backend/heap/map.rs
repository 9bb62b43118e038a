//! Map state: a map per key and namespace, in a copy-on-write table of copy-on-write maps.

use super::address::{Address, locate, prefetch};
use super::lazy::{self, Lazy, lazily};
use super::table::{CowTable, Seed};
use crate::backend::KeyedState;
use crate::backend::StateCapture;
use crate::backend::cold::Cold;
use crate::backend::stored::Stored;
use crate::{Error, ErrorKind, Result};
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;
use triomphe::Arc as Shared;

mod body;
mod capture;
mod small;
mod sweep;
#[cfg(test)]
mod tests;
mod view;

use body::Body;
pub use capture::MapCapture;
pub(super) use sweep::MapCursor;
pub use view::{MapIter, MapView};

/// A map from user keys `U` to values `V` per key `K` and namespace `N` (`()` where there is none);
/// an empty map does not exist. Maps are iterated over in an order that means nothing and may
/// differ from one call to the next.
///
/// Calls take no lock and do no I/O. A capture costs the same whatever the number of maps and
/// entries, and the first write to a map after it copies that map if it is small (31 entries, fewer
/// if they are large), else a page of it. Where it was restored lazily, it is as
/// [`ValueState`](super::ValueState) then.
///
/// ```
/// # use esker::backend::heap::MapState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// let mut routes = MapState::<String, (), String, u64>::new(1, KeyGroupRange::ALL, Ordered)?;
/// let (carrier, route) = ("UA".to_owned(), "EWR-IAH".to_owned());
/// routes.put(&carrier, &(), &route, 1)?;
/// let capture = routes.capture();
/// routes.rmw(&carrier, &(), &route, |count| *count = Some(count.unwrap_or(0) + 1))?;
/// assert_eq!(routes.get(&carrier, &(), &route)?, Some(2));
/// assert_eq!(capture.get(&carrier, &()).get(&route), Some(&1));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct MapState<K: Key, N: Key, U: Key, V> {
    id: u32,
    table: CowTable<Address<K, N>, Shared<Body<U, V>>>,
    entries: u64,
    /// The number of the next capture, which tells a map changed since the last one.
    epoch: u32,
    stored: Stored<V>,
    cold: Option<Box<Cold>>,
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> MapState<K, N, U, V> {
    /// An empty state with numeric id `id` for the key groups in `range`; `codec` is that of one
    /// value.
    ///
    /// # Errors
    /// `Incompatible` if the type of key, namespace or user key has no deterministic encoding.
    pub fn new(id: u32, range: KeyGroupRange, codec: impl ValueCodec<V> + 'static) -> Result<Self> {
        K::check()?;
        N::check()?;
        U::check()?;
        let table = CowTable::new(range, Seed::of(id));
        Ok(Self { id, table, entries: 0, epoch: 1, stored: Stored::new(codec), cold: None })
    }

    #[inline(always)]
    fn locate(&mut self, key: &K, namespace: &N) -> Result<(u16, u64)> {
        locate!(self, key, namespace)
    }

    #[inline(always)]
    fn body(&mut self, key: &K, namespace: &N) -> Result<Option<&Body<U, V>>> {
        let (group, hash) = self.locate(key, namespace)?;
        let body = self.table.get_raw(group, hash, |address| address.is(key, namespace));
        Ok(body.map(|body| &**body))
    }

    /// Says that a map is about to be asked for; see
    /// [`ValueState::prefetch`](super::ValueState::prefetch). What the map itself holds is not fetched.
    #[inline]
    pub fn prefetch(&self, key: &K, namespace: &N) {
        prefetch(&self.table, key, namespace);
    }

    /// How many maps there are.
    pub fn maps(&self) -> usize {
        self.table.len()
    }

    /// Lets `f` read the whole map in place; it is empty where there is none.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    #[inline]
    pub fn read<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(MapView<'_, U, V>) -> R,
    ) -> Result<R> {
        Ok(f(MapView::new(self.body(key, namespace)?)))
    }

    /// How many entries the map has; 0 where there is none.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn len(&mut self, key: &K, namespace: &N) -> Result<usize> {
        self.read(key, namespace, |map| map.len())
    }

    /// Whether there is no map.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
        self.read(key, namespace, |map| map.is_empty())
    }

    /// Calls `f` with each entry of the map, in no order that means anything.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&U, &V)) -> Result<()> {
        self.read(key, namespace, |map| map.iter().for_each(|(k, v)| f(k, v)))
    }

    /// Copies of the map's user keys, in no order that means anything.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn keys(&mut self, key: &K, namespace: &N) -> Result<Vec<U>> {
        self.read(key, namespace, |map| map.iter().map(|(k, _)| k.clone()).collect())
    }

    /// A copy of an entry's value.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    pub fn get(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        self.get_with(key, namespace, user_key, |value| value.cloned())
    }

    /// Lets `f` read an entry's value in place.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    pub fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        Ok(f(self.body(key, namespace)?.and_then(|body| body.get(user_key))))
    }

    /// Whether the map has an entry.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    pub fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool> {
        self.get_with(key, namespace, user_key, |value| value.is_some())
    }

    /// Sets an entry's value and returns the one before.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    pub fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<Option<V>> {
        let (group, hash) = self.locate(key, namespace)?;
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        let before = match self.table.get_mut_raw(group, hash, eq) {
            Some(body) => Self::own(body, self.epoch).put(user_key, value),
            None => {
                let body = Shared::new(Body::one(self.epoch, user_key.clone(), value));
                let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
                self.table.insert_raw(group, hash, eq, make_key, body);
                None
            }
        };
        self.entries += u64::from(before.is_none());
        Ok(before)
    }

    /// Reads, changes, sets or removes an entry's value in one look-up.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    pub fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        self.change(key, namespace, |slot, epoch| {
            if let Some(body) = slot {
                return Self::own(body, epoch).rmw(user_key, f);
            }
            let mut value = None;
            let result = f(&mut value);
            *slot = value.map(|value| Shared::new(Body::one(epoch, user_key.clone(), value)));
            result
        })
    }

    /// Removes an entry and returns its value; the last one's map goes with it.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        // What is not there need not be copied to be removed.
        if !self.contains(key, namespace, user_key)? {
            return Ok(None);
        }
        self.rmw(key, namespace, user_key, Option::take)
    }

    /// Removes the map. Returns whether there was one.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<bool> {
        self.change(key, namespace, |slot, _| slot.take().is_some())
    }

    /// The body of a map, this state's alone, to be changed in this epoch.
    #[inline]
    fn own(body: &mut Shared<Body<U, V>>, epoch: u32) -> &mut Body<U, V> {
        let body = Shared::make_mut(body);
        body.begin(epoch);
        body
    }

    /// Changes a map: counts what comes and goes, and drops it if it is left empty.
    #[inline]
    fn change<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(&mut Option<Shared<Body<U, V>>>, u32) -> R,
    ) -> Result<R> {
        let (group, hash) = self.locate(key, namespace)?;
        let (epoch, entries) = (self.epoch, &mut self.entries);
        let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        let len = |slot: &Option<Shared<Body<U, V>>>| slot.as_ref().map_or(0, |body| body.len());
        Ok(self.table.rmw_raw(group, hash, eq, make_key, |slot| {
            let before = len(slot);
            let result = f(slot, epoch);
            let after = len(slot);
            if after == 0 {
                *slot = None;
            }
            *entries = (*entries + after as u64).wrapping_sub(before as u64);
            result
        }))
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> MapCapture<K, N, U, V> {
        let epoch = self.epoch;
        self.epoch = self.epoch.wrapping_add(1);
        MapCapture {
            id: self.id,
            frozen: self.table.freeze(),
            entries: self.entries,
            epoch,
            range: self.table.range(),
            codec: self.stored.codec(),
        }
    }

    /// Applies one entry of a run of this state; entries of key groups not owned are passed over.
    /// Returns whether it was applied.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    pub fn apply(&mut self, entry: Entry<'_>) -> Result<bool> {
        let found = Address::of_entry(entry, self.id, self.table.range())?;
        let Some((parts, Address { key, namespace })) = found else { return Ok(false) };
        if entry.op == Op::Clear {
            return self.clear(&key, &namespace).map(|_| true);
        }
        let user_key = U::decode(&parts.user_key)?;
        match entry.op {
            Op::Put => {
                let value = self.stored.decode(entry.value)?;
                self.put(&key, &namespace, &user_key, value)?;
            }
            Op::Delete => drop(self.remove(&key, &namespace, &user_key)?),
            _ => {
                let message = format!("a map state holds no {:?} entries", entry.op);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
        Ok(true)
    }
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> KeyedState for MapState<K, N, U, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily!(stored);

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        MapState::apply(self, entry).map(drop)
    }

    fn end_restore(&mut self) {
        self.stored.end_restore();
        drop(self.capture());
    }

    fn entries(&self) -> u64 {
        self.entries + self.cold().map_or(0, Cold::entries)
    }
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> Lazy for MapState<K, N, U, V> {
    lazy::of_table!();

    fn put_cold(&mut self, entry: Entry<'_>) -> Result<()> {
        // As in the epoch before: what changes from here on does not count as new.
        let epoch = self.epoch;
        self.epoch = epoch.wrapping_sub(1);
        let done = self.apply(entry);
        self.epoch = epoch;
        done.map(drop)
    }
}
