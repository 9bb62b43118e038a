//! List state in a column family: a value is a list of runs, an append is an operand behind it.

use super::capture::Capture;
use super::db::Family;
use super::entries::{Ahead, Decoder, EntriesOf, ListEntries};
use super::keys::{Keys, stored};
use crate::Result;
use crate::backend::stored::Stored;
use crate::backend::{EntryDecoder, KeyedState, ListCalls, StateCapture, StateValue};
use esker_format::list::{elements, put_element};
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// A list of elements `E` per key `K` and namespace `N`. What is appended is written alone; a read
/// decodes the whole list. As in a run, a list takes at most 2^28 - 64 bytes.
pub struct ListState<K, N, E> {
    keys: Keys,
    pub(super) family: Arc<Family>,
    stored: Stored<E>,
    /// A list's bytes; used again.
    buffer: Vec<u8>,
    types: PhantomData<fn(K, N)>,
}

impl<K: Key, N: Key, E: StateValue> ListState<K, N, E> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(super) fn new(
        (id, range): (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<E> + 'static,
    ) -> Result<Self> {
        K::check()?;
        N::check()?;
        let (keys, stored) = (Keys::new(id, range), Stored::new(codec));
        Ok(Self { keys, family, stored, buffer: Vec::new(), types: PhantomData })
    }

    pub(super) fn capture(&self) -> Capture {
        Capture::new(self.keys.id(), &self.family).of_lists()
    }

    /// All elements of a list.
    pub(super) fn read(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
        let key = self.keys.of(key, namespace)?;
        let all = self.family.get(key, |list| decoded(&self.stored, list.unwrap_or_default()))?;
        Ok(all?)
    }

    /// Encodes elements into the buffer.
    fn encode(&mut self, elements: impl IntoIterator<Item = E>) -> Result<()> {
        self.buffer.clear();
        for element in elements {
            put_element(&mut self.buffer, |out| self.stored.encode(&element, out))?;
        }
        Ok(())
    }
}

fn decoded<E: 'static>(stored: &Stored<E>, list: &[u8]) -> esker_format::Result<Vec<E>> {
    elements(list).map(|element| stored.decode(element?)).collect()
}

impl<K: Key, N: Key, E: StateValue> ListCalls<K, N, E> for ListState<K, N, E> {
    fn get(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
        self.read(key, namespace)
    }

    fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&E)) -> Result<()> {
        self.read(key, namespace)?.iter().for_each(f);
        Ok(())
    }

    #[inline]
    fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()> {
        self.append_all(key, namespace, [element])
    }

    fn append_all(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        self.keys.of(key, namespace)?;
        self.encode(elements)?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.family.merge(self.keys.made(), &self.buffer)
    }

    fn update(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        self.keys.of(key, namespace)?;
        self.encode(elements)?;
        if self.buffer.is_empty() {
            return self.family.delete(self.keys.made());
        }
        self.family.put(self.keys.made(), &self.buffer)
    }

    #[inline]
    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        self.family.delete(self.keys.of(key, namespace)?)
    }
}

impl<K: Key, N: Key, E: StateValue> KeyedState for ListState<K, N, E> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.capture())
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(key) = self.keys.applies::<K, N>(entry)? else { return Ok(()) };
        match ListEntries::change(&key, &self.stored, entry, &mut self.buffer)? {
            Some((change, list)) => self.family.restore(change, stored(&entry), list),
            None => Ok(()),
        }
    }

    fn decoder(&self) -> Option<Arc<dyn EntryDecoder>> {
        Some(Arc::new(Decoder::<K, N, E, ListEntries>::new(
            self.keys.owned(),
            &self.stored,
            self.family.pool(),
        )))
    }

    fn apply_decoded(&mut self, entries: &mut (dyn Any + Send), count: usize) -> Result<()> {
        let (changes, range) = Ahead::take(entries, count)?;
        self.family.restore_all(changes, range)
    }

    fn end_restore(&mut self) {
        self.stored.end_restore();
    }

    fn entries(&self) -> u64 {
        self.family.keys_estimate()
    }
}
