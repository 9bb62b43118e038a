//! Map state in a column family: an entry for each user key, side by side.

use super::capture::Capture;
use super::cells::Cells;
use super::db::Family;
use super::entries::{Ahead, Decoder, ValueEntries};
use super::keys::Keys;
use crate::Result;
use crate::backend::{EntryDecoder, KeyedState, MapCalls, StateCapture, StateValue};
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// Of a map that is cleared, up to this many entries are removed one by one.
const CLEAR_POINTS_MAX: usize = if cfg!(test) { 2 } else { 256 };

/// A map from user keys `U` to values `V` per key `K` and namespace `N`. Entries are found one by one,
/// and iterated over in order of the encoded user key; a write reads nothing.
pub struct MapState<K, N, U, V> {
    keys: Keys,
    pub(super) cells: Cells<V>,
    types: PhantomData<fn(K, N, U)>,
}

impl<K: Key, N: Key, U: Key, V: StateValue> MapState<K, N, U, V> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(super) fn new(
        (id, range): (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<V> + 'static,
    ) -> Result<Self> {
        K::check()?;
        N::check()?;
        U::check()?;
        Ok(Self {
            keys: Keys::new(id, range),
            cells: Cells::new(family, codec),
            types: PhantomData,
        })
    }

    pub(super) fn capture(&self) -> Capture {
        Capture::new(self.keys.id(), &self.cells.family)
    }
}

impl<K: Key, N: Key, U: Key, V: StateValue> MapCalls<K, N, U, V> for MapState<K, N, U, V> {
    #[inline]
    fn get(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        self.cells.get(self.keys.of_entry(key, namespace, user_key)?)
    }

    #[inline]
    fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        Ok(f(self.get(key, namespace, user_key)?.as_ref()))
    }

    #[inline]
    fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool> {
        self.cells.contains(self.keys.of_entry(key, namespace, user_key)?)
    }

    fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&U, &V)) -> Result<()> {
        let (from, to) = self.keys.of_map(key, namespace)?;
        self.cells.family.for_each(from, to, |found, value| {
            let user_key = U::decode(found.get(from.len()..).unwrap_or_default())?;
            f(&user_key, &self.cells.decode(value)?);
            Ok(true)
        })
    }

    fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let (from, to) = self.keys.of_map(key, namespace)?;
        let mut is_empty = true;
        self.cells.family.for_each(from, to, |_, _| {
            is_empty = false;
            Ok(false)
        })?;
        Ok(is_empty)
    }

    #[inline]
    fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<()> {
        self.cells.put(self.keys.of_entry(key, namespace, user_key)?, &value)
    }

    #[inline]
    fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        self.cells.rmw(self.keys.of_entry(key, namespace, user_key)?, f)
    }

    #[inline]
    fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<()> {
        self.cells.delete(self.keys.of_entry(key, namespace, user_key)?)
    }

    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        let (from, to) = self.keys.of_map(key, namespace)?;
        self.cells.family.delete_all(from, to, CLEAR_POINTS_MAX)
    }
}

impl<K: Key, N: Key, U: Key, V: StateValue> KeyedState for MapState<K, N, U, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.capture())
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.cells.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(parts) = self.keys.applies::<K, N>(entry)? else { return Ok(()) };
        if entry.op == Op::Clear {
            let (key, namespace) = (K::decode(&parts.key)?, N::decode(&parts.namespace)?);
            // It looks for what is there.
            self.cells.family.end_import()?;
            return self.clear(&key, &namespace);
        }
        self.cells.apply::<ValueEntries<U>>(&parts, entry)
    }

    fn decoder(&self) -> Option<Arc<dyn EntryDecoder>> {
        Some(Arc::new(Decoder::<K, N, V, ValueEntries<U>>::new(
            self.keys.owned(),
            self.cells.stored(),
            self.cells.family.pool(),
        )))
    }

    fn apply_decoded(&mut self, entries: &mut (dyn Any + Send), count: usize) -> Result<()> {
        let (changes, range) = Ahead::take(entries, count)?;
        self.cells.family.restore_all(changes, range)
    }

    fn end_restore(&mut self) {
        self.cells.end_restore();
    }

    fn entries(&self) -> u64 {
        self.cells.family.keys_estimate()
    }
}
