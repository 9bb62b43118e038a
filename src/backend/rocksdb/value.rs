//! Value state in a column family.

use super::capture::Capture;
use super::cells::Cells;
use super::db::Family;
use super::entries::{Ahead, Decoder, ValueEntries};
use super::keys::Keys;
use crate::Result;
use crate::backend::{EntryDecoder, KeyedState, StateCapture, StateValue, ValueCalls};
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// One value of type `V` per key `K` and namespace `N`. A write reads nothing; a read decodes the
/// value where it lies.
pub struct ValueState<K, N, V> {
    keys: Keys,
    pub(super) cells: Cells<V>,
    types: PhantomData<fn(K, N)>,
}

impl<K: Key, N: Key, V: StateValue> ValueState<K, N, V> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(super) fn new(
        (id, range): (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<V> + 'static,
    ) -> Result<Self> {
        K::check()?;
        N::check()?;
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

impl<K: Key, N: Key, V: StateValue> ValueCalls<K, N, V> for ValueState<K, N, V> {
    #[inline]
    fn get(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.cells.get(self.keys.of(key, namespace)?)
    }

    #[inline]
    fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        Ok(f(self.get(key, namespace)?.as_ref()))
    }

    #[inline]
    fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<()> {
        self.cells.put(self.keys.of(key, namespace)?, &value)
    }

    #[inline]
    fn rmw<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(&mut Option<V>) -> R) -> Result<R> {
        self.cells.rmw(self.keys.of(key, namespace)?, f)
    }

    #[inline]
    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        self.cells.delete(self.keys.of(key, namespace)?)
    }
}

impl<K: Key, N: Key, V: StateValue> KeyedState for ValueState<K, N, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.capture())
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.cells.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(key) = self.keys.applies::<K, N>(entry)? else { return Ok(()) };
        self.cells.apply::<ValueEntries<()>>(&key, entry)
    }

    fn decoder(&self) -> Option<Arc<dyn EntryDecoder>> {
        Some(Arc::new(Decoder::<K, N, V, ValueEntries<()>>::new(
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
