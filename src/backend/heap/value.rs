//! Value state: one value per key and namespace, in a copy-on-write table.

use super::table::{CowTable, Frozen, TableKey};
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op, RunWriter};
use esker_format::{Key, KeyGroup, KeyGroupRange, ValueCodec};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// A capture is encoded and sorted in pieces of about this many entries, which bounds its memory.
const PIECE_ENTRIES: usize = 32_768;

/// Key and namespace, as the table holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address<K, N> {
    key: K,
    namespace: N,
}

impl<K: Key, N: Key> Address<K, N> {
    #[inline]
    fn is(&self, key: &K, namespace: &N) -> bool {
        self.key == *key && self.namespace == *namespace
    }
}

impl<K: Key, N: Key> TableKey for Address<K, N> {
    #[inline]
    fn key_group(&self) -> u16 {
        self.key.with_encoded(KeyGroup::of).0
    }

    #[inline]
    fn seeded_hash(&self, seed: u64) -> u64 {
        hash(&self.key, &self.namespace, seed)
    }
}

/// The hash of an address by its parts, so that a look-up need not own them.
#[inline]
fn hash<K: Key, N: Key>(key: &K, namespace: &N, seed: u64) -> u64 {
    // The seed is a hash itself, so hashbrown's own quick form of foldhash does.
    let mut hasher = FoldHasher::with_seed(seed, SharedSeed::global_random());
    key.hash(&mut hasher);
    namespace.hash(&mut hasher);
    hasher.finish()
}

/// One value of type `V` per key `K` and namespace `N` (`()` where there is none).
///
/// Calls take no lock and do no I/O. A capture costs the same whatever the number of entries.
///
/// ```
/// # use esker::backend::heap::ValueState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// let mut flights = ValueState::<String, (), u64>::new(1, KeyGroupRange::ALL, Ordered)?;
/// flights.rmw(&"UA".into(), &(), |count| *count = Some(count.unwrap_or(0) + 1))?;
/// let capture = flights.capture();
/// flights.clear(&"UA".into(), &())?;
/// assert_eq!(capture.get(&"UA".into(), &()), Some(&1));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct ValueState<K: Key, N: Key, V> {
    id: u32,
    table: CowTable<Address<K, N>, V>,
    codec: Arc<dyn ValueCodec<V>>,
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> ValueState<K, N, V> {
    /// An empty state with numeric id `id` for the key groups in `range`.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(id: u32, range: KeyGroupRange, codec: impl ValueCodec<V> + 'static) -> Result<Self> {
        K::check()?;
        N::check()?;
        // Of this process alone: who chooses keys cannot know where they fall.
        let seed = RandomState::default().hash_one(id);
        Ok(Self { id, table: CowTable::new(range, seed), codec: Arc::new(codec) })
    }

    /// Key group and hash of an address, once its key group is known to be owned.
    #[inline]
    fn locate(&self, key: &K, namespace: &N) -> Result<(u16, u64)> {
        let group = key.with_encoded(KeyGroup::of);
        if !self.table.owns(group.0) {
            return Err(self.not_owned(group));
        }
        Ok((group.0, hash(key, namespace, self.table.seed())))
    }

    #[cold]
    #[inline(never)]
    fn not_owned(&self, group: KeyGroup) -> Error {
        let range = self.table.range();
        let (first, last) = (range.first(), range.last());
        let message = format!(
            "key of key group {} does not belong to the subtask of {first}..={last}: route records \
             by KeyGroup::of(encoded key)",
            group.0
        );
        Error::new(ErrorKind::Invalid, message)
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
    pub fn get(&self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.get_with(key, namespace, |value| value.cloned())
    }

    /// Lets `f` read the value in place.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub fn get_with<R>(
        &self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let (group, hash) = self.locate(key, namespace)?;
        Ok(f(self.table.get_raw(group, hash, |address| address.is(key, namespace))))
    }

    /// Sets the value and returns the one before.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
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
    #[inline]
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

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> ValueCapture<K, N, V> {
        let frozen = self.table.freeze();
        ValueCapture { id: self.id, frozen, range: self.table.range(), codec: self.codec.clone() }
    }

    /// Applies one entry of a run of this state; entries of key groups not owned are passed over.
    /// Returns whether it was applied.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    pub fn apply(&mut self, entry: Entry<'_>) -> Result<bool> {
        let parts = CompositeKey::decode(entry.key)?;
        if parts.state != self.id || !self.table.range().contains(parts.group) {
            return Ok(false);
        }
        let (key, namespace) = (K::decode(&parts.key)?, N::decode(&parts.namespace)?);
        let address = Address { key, namespace };
        if address.key_group() != parts.group.0 {
            let message = format!("a key lies in key group {}, not in its own", parts.group.0);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        match entry.op {
            Op::Put => drop(self.table.insert(address, self.codec.decode(entry.value)?)),
            Op::Delete | Op::Clear => drop(self.table.remove(&address)),
            _ => {
                let message = format!("a value state holds no {:?} entries", entry.op);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
        Ok(true)
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
    pub fn get(&self, key: &K, namespace: &N) -> Option<&V> {
        self.frozen.get(&Address { key: key.clone(), namespace: namespace.clone() })
    }

    /// Writes every value of the key groups in `range`, in run order.
    ///
    /// # Errors
    /// `Invalid` if a value cannot be encoded, or the writer already holds higher keys.
    pub fn write_full(&self, range: KeyGroupRange, run: &mut RunWriter) -> Result<()> {
        self.write_pieces(range, run, |piece, rows| {
            self.frozen.scan(piece, |address, value| rows.put(address, value));
        })
    }

    /// Writes what changed between the capture before this one and this one, removals included.
    ///
    /// # Errors
    /// As for [`write_full`](Self::write_full).
    pub fn write_changes(&self, range: KeyGroupRange, run: &mut RunWriter) -> Result<()> {
        // A key that was removed and set again is a put.
        let mut removed: Vec<_> = self
            .frozen
            .removed()
            .iter()
            .filter(|address| self.frozen.get(address).is_none())
            .map(|address| (address.key_group(), address))
            .collect();
        removed.sort_unstable_by_key(|(group, _)| *group);
        self.write_pieces(range, run, |piece, rows| {
            self.frozen.scan_changed(piece, |address, value| rows.put(address, value));
            let start = removed.partition_point(|(group, _)| *group < piece.first());
            let end = removed.partition_point(|(group, _)| *group <= piece.last());
            for (_, address) in &removed[start..end] {
                rows.delete(address);
            }
        })
    }

    fn write_pieces(
        &self,
        range: KeyGroupRange,
        run: &mut RunWriter,
        mut collect: impl FnMut(KeyGroupRange, &mut Rows<'_, V>),
    ) -> Result<()> {
        let Some(range) = range.intersect(self.range) else { return Ok(()) };
        let pieces = (self.frozen.len() / PIECE_ENTRIES + 1) as u32;
        let step = self.range.count().div_ceil(pieces);
        let mut rows = Rows::new(self.id, &*self.codec);
        let mut first = u32::from(range.first());
        while first <= u32::from(range.last()) {
            let last = (first + step - 1).min(range.last().into());
            let piece = KeyGroupRange::new(first as u16, last as u16)?;
            collect(piece, &mut rows);
            rows.write(run)?;
            first = last + 1;
        }
        Ok(())
    }
}

/// The encoded entries of one piece, side by side in one buffer until they are sorted.
struct Rows<'a, V> {
    state: u32,
    codec: &'a dyn ValueCodec<V>,
    bytes: Vec<u8>,
    parts: (Vec<u8>, Vec<u8>),
    rows: Vec<Row>,
    failed: Option<esker_format::FormatError>,
}

struct Row {
    key: std::ops::Range<usize>,
    value_end: usize,
    op: Op,
}

impl<'a, V> Rows<'a, V> {
    fn new(state: u32, codec: &'a dyn ValueCodec<V>) -> Self {
        Self {
            state,
            codec,
            bytes: Vec::new(),
            parts: (Vec::new(), Vec::new()),
            rows: Vec::new(),
            failed: None,
        }
    }

    fn put<K: Key, N: Key>(&mut self, address: &Address<K, N>, value: &V) {
        self.row(address, Some(value));
    }

    fn delete<K: Key, N: Key>(&mut self, address: &Address<K, N>) {
        self.row(address, None);
    }

    fn row<K: Key, N: Key>(&mut self, address: &Address<K, N>, value: Option<&V>) {
        let start = self.bytes.len();
        let (key, namespace) = &mut self.parts;
        key.clear();
        namespace.clear();
        address.key.encode_into(key);
        address.namespace.encode_into(namespace);
        let group = KeyGroup::of(key);
        CompositeKey::new(self.state, group, key, namespace, &[]).encode_into(&mut self.bytes);
        let key = start..self.bytes.len();
        let op = if value.is_some() { Op::Put } else { Op::Delete };
        if let Some(Err(error)) = value.map(|value| self.codec.encode(value, &mut self.bytes)) {
            self.failed.get_or_insert(error);
        }
        self.rows.push(Row { key, value_end: self.bytes.len(), op });
    }

    fn write(&mut self, run: &mut RunWriter) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let bytes = &self.bytes;
        self.rows.sort_unstable_by(|a, b| bytes[a.key.clone()].cmp(&bytes[b.key.clone()]));
        for row in &self.rows {
            let value = &bytes[row.key.end..row.value_end];
            run.add(Entry { key: &bytes[row.key.clone()], op: row.op, value })?;
        }
        self.bytes.clear();
        self.rows.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
