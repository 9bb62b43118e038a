//! Value state: one value per key and namespace, in a copy-on-write table.

mod decode;

use super::address::{Address, locate, prefetch};
use super::lazy::{self, Lazy, lazily};
use super::rows::{Removed, Rows, for_pieces};
use super::table::{CowTable, Cursor, Frozen, Seed};
use crate::backend::cold::Cold;
use crate::backend::stored::Stored;
use crate::backend::{EntryDecoder, KeyedState};
use crate::backend::{EntrySink, StateCapture};
use crate::{Error, ErrorKind, Result};
use decode::{Decoded, Decoder, value_of};
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::any::Any;
use std::sync::Arc;
use std::vec::IntoIter;

/// One value of type `V` per key `K` and namespace `N` (`()` where there is none).
///
/// Calls take no lock and do no I/O, and are inlined: a look-up that hits the cache takes less time
/// than to hand over its result. A capture costs the same whatever the number of entries.
///
/// Where it was restored lazily, the first call for a key group reads it (see
/// [`HeapBackend`](super::HeapBackend)); counts and [`capture`](Self::capture) are of what is there by then.
///
/// ```
/// # use esker::backend::heap::ValueState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// let mut flights = ValueState::<String, (), u64>::new(1, KeyGroupRange::ALL, Ordered)?;
/// flights.rmw(&"UA".into(), &(), |count| *count = Some(count.unwrap_or(0) + 1))?;
/// let mut capture = flights.capture();
/// flights.clear(&"UA".into(), &())?;
/// assert_eq!(capture.get(&"UA".into(), &()), Some(&1));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct ValueState<K: Key, N: Key, V> {
    id: u32,
    table: CowTable<Address<K, N>, V>,
    stored: Stored<V>,
    cold: Option<Box<Cold>>,
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> ValueState<K, N, V> {
    /// An empty state with numeric id `id` for the key groups in `range`.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(id: u32, range: KeyGroupRange, codec: impl ValueCodec<V> + 'static) -> Result<Self> {
        K::check()?;
        N::check()?;
        let table = CowTable::new(range, Seed::of(id));
        Ok(Self { id, table, stored: Stored::new(codec), cold: None })
    }

    #[inline]
    fn locate(&mut self, key: &K, namespace: &N) -> Result<(u16, u64)> {
        locate!(self, key, namespace)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    #[inline]
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.get_with(key, namespace, |value| value.cloned())
    }

    /// Lets `f` read the value in place.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline(always)]
    pub fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let (group, hash) = self.locate(key, namespace)?;
        Ok(f(self.table.get_raw(group, hash, |address| address.is(key, namespace))))
    }

    /// Says that a key is about to be asked for: what its look-up reads is fetched from memory while
    /// the caller goes on. Worth it in a batch of records, some eight ahead, where the state is
    /// larger than the processor's cache.
    #[inline]
    pub fn prefetch(&self, key: &K, namespace: &N) {
        prefetch(&self.table, key, namespace);
    }

    /// Sets the value and returns the one before.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline(always)]
    pub fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<Option<V>> {
        let (group, hash) = self.locate(key, namespace)?;
        let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        Ok(self.table.insert_raw(group, hash, eq, make_key, value))
    }

    /// Reads, changes, sets or removes the value in one look-up.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline(always)]
    pub fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        let (group, hash) = self.locate(key, namespace)?;
        let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        Ok(self.table.rmw_raw(group, hash, eq, make_key, f))
    }

    /// Removes the value and returns it.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        let (group, hash) = self.locate(key, namespace)?;
        Ok(self.table.remove_raw(group, hash, |address| address.is(key, namespace)))
    }

    /// A copy of a value that is there, wherever its key belongs.
    #[cfg(test)]
    pub(crate) fn there(&self, key: &K, namespace: &N) -> Option<V> {
        let address = Address { key: key.clone(), namespace: namespace.clone() };
        self.table.get(&address).cloned()
    }

    /// Calls `f` with the next few values; see [`CowTable::visit`].
    pub(super) fn visit(&self, cursor: &mut Cursor, limit: usize, mut f: impl FnMut(&K, &N, &V)) {
        self.table
            .visit(cursor, limit, |address, value| f(&address.key, &address.namespace, value));
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> ValueCapture<K, N, V> {
        let frozen = self.table.freeze();
        ValueCapture { id: self.id, frozen, range: self.table.range(), codec: self.stored.codec() }
    }

    /// Applies one entry of a run of this state; entries of key groups not owned are passed over.
    /// Returns whether it was applied.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    pub fn apply(&mut self, entry: Entry<'_>) -> Result<bool> {
        let found = Address::of_entry(entry, self.id, self.table.range())?;
        let Some((_, address)) = found else { return Ok(false) };
        match value_of(&self.stored, entry)? {
            Some(value) => drop(self.table.insert(address, value)),
            None => drop(self.table.remove(&address)),
        }
        Ok(true)
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> KeyedState for ValueState<K, N, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily!(stored);

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)
    }

    fn decoder(&self) -> Option<Arc<dyn EntryDecoder>> {
        let (range, seed) = (self.table.range(), self.table.seed());
        Some(Arc::new(Decoder::<K, N, V>::new(self.id, range, seed, self.stored.clone())))
    }

    fn apply_decoded(&mut self, entries: &mut (dyn Any + Send), count: usize) -> Result<()> {
        let Some(entries) = entries.downcast_mut::<IntoIter<Decoded<K, N, V>>>() else {
            return Err(Error::new(ErrorKind::Corrupt, "entries of another type of state"));
        };
        for Decoded { group, hash, address, value } in entries.take(count) {
            let eq = |other: &Address<K, N>| *other == address;
            match value {
                Some(value) => {
                    drop(self.table.insert_raw(group, hash, eq, || address.clone(), value));
                }
                None => drop(self.table.remove_raw(group, hash, eq)),
            }
        }
        Ok(())
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        ValueState::apply(self, entry).map(drop)
    }

    fn end_restore(&mut self) {
        self.stored.end_restore();
        drop(self.table.freeze());
    }

    fn entries(&self) -> u64 {
        self.table.len() as u64 + self.cold().map_or(0, Cold::entries)
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> Lazy for ValueState<K, N, V> {
    lazy::of_table!();

    fn put_cold(&mut self, entry: Entry<'_>) -> Result<()> {
        ValueState::apply(self, entry).map(drop)
    }
}

/// A value state at one moment; it never changes (I4), and can be written on any thread.
pub struct ValueCapture<K: Key, N: Key, V> {
    id: u32,
    frozen: Frozen<Address<K, N>, V>,
    range: KeyGroupRange,
    codec: Arc<dyn ValueCodec<V>>,
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> ValueCapture<K, N, V> {
    /// How many values there were.
    pub fn len(&self) -> usize {
        self.frozen.len()
    }

    /// Whether there was no value.
    pub fn is_empty(&self) -> bool {
        self.frozen.is_empty()
    }

    /// The value at that moment.
    pub fn get(&mut self, key: &K, namespace: &N) -> Option<&V> {
        self.frozen.get(&Address { key: key.clone(), namespace: namespace.clone() })
    }

    /// Writes the values in the key groups of `range` that are `wanted`.
    pub(super) fn write_where(
        &self,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<()> {
        let mut rows = Rows::new(self.id);
        for_pieces(self.range, range, self.frozen.len(), |piece| {
            self.frozen.scan(piece, |address, value| {
                if wanted(value) {
                    self.put(&mut rows, address, value);
                }
            });
            rows.flush(sink)
        })
    }

    fn put(&self, rows: &mut Rows, address: &Address<K, N>, value: &V) {
        rows.add(&address.key, &address.namespace, Op::Put, |out| self.codec.encode(value, out));
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> StateCapture for ValueCapture<K, N, V> {
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.frozen.len() as u64
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write_where(range, sink, |_| true)
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        // A key that was removed and set again is a put.
        let gone = |address: &Address<K, N>| self.frozen.get(address).is_none();
        let removed = Removed::new(self.frozen.removed(), range, gone);
        let mut rows = Rows::new(self.id);
        let entries = self.frozen.len() + self.frozen.removed().len();
        for_pieces(self.range, range, entries, |piece| {
            self.frozen.scan_changed(piece, |address, value| self.put(&mut rows, address, value));
            for Address { key, namespace } in removed.of(piece) {
                rows.add(key, namespace, Op::Delete, |_| Ok(()));
            }
            rows.flush(sink)
        })
    }
}

#[cfg(test)]
mod tests;
