//! List state: a list per key and namespace, in a copy-on-write table of copy-on-write lists.

use super::address::{Address, locate, prefetch};
use super::lazy::{self, Lazy, lazily};
use super::table::{CowTable, Cursor, Seed};
use crate::Result;
use crate::backend::KeyedState;
use crate::backend::StateCapture;
use crate::backend::cold::Cold;
use crate::backend::stored::Stored;
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroupRange, ValueCodec, list::elements};
use std::sync::Arc;
use triomphe::Arc as Shared;

mod body;
mod capture;
mod chunks;
#[cfg(test)]
mod tests;

use body::Body;
pub use body::ListView;
pub use capture::ListCapture;

type Table<K, N, E> = CowTable<Address<K, N>, Shared<Body<E>>>;

/// A list of elements `E` per key `K` and namespace `N` (`()` where there is none); an empty list
/// does not exist.
///
/// Calls take no lock and do no I/O. A capture costs the same whatever the number of lists and
/// elements, and what is appended after it copies the list's last chunk (4 KiB, 128 elements) at
/// most. In a run a list is one entry, so it takes at most 2^28 - 64 bytes there. Where it was restored
/// lazily, it is as [`ValueState`](super::ValueState) then.
///
/// ```
/// # use esker::backend::heap::ListState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// let mut delays = ListState::<String, (), i64>::new(1, KeyGroupRange::ALL, Ordered)?;
/// delays.append_all(&"UA".into(), &(), [-4, 11])?;
/// let capture = delays.capture();
/// delays.append(&"UA".into(), &(), 7)?;
/// assert_eq!(delays.get(&"UA".into(), &())?, [-4, 11, 7]);
/// assert_eq!(capture.get(&"UA".into(), &()).to_vec(), [-4, 11]);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct ListState<K: Key, N: Key, E> {
    id: u32,
    table: Table<K, N, E>,
    elements: u64,
    /// The number of the next capture, which tells a list changed since the last one.
    epoch: u32,
    stored: Stored<E>,
    cold: Option<Box<Cold>>,
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> ListState<K, N, E> {
    /// An empty state with numeric id `id` for the key groups in `range`; `codec` is that of one
    /// element.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(id: u32, range: KeyGroupRange, codec: impl ValueCodec<E> + 'static) -> Result<Self> {
        K::check()?;
        N::check()?;
        let table = CowTable::new(range, Seed::of(id));
        Ok(Self { id, table, elements: 0, epoch: 1, stored: Stored::new(codec), cold: None })
    }

    #[inline]
    fn locate(&mut self, key: &K, namespace: &N) -> Result<(u16, u64)> {
        locate!(self, key, namespace)
    }

    /// Says that a list is about to be asked for; see
    /// [`ValueState::prefetch`](super::ValueState::prefetch). The elements are not fetched.
    #[inline]
    pub fn prefetch(&self, key: &K, namespace: &N) {
        prefetch(&self.table, key, namespace);
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.table.len()
    }

    /// How many elements the list has; 0 where there is none.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn len(&mut self, key: &K, namespace: &N) -> Result<usize> {
        self.get_with(key, namespace, |list| list.len())
    }

    /// Whether there is no list.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    pub fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
        self.get_with(key, namespace, |list| list.is_empty())
    }

    /// A copy of the list, empty where there is none.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
        self.get_with(key, namespace, |list| list.to_vec())
    }

    /// Lets `f` read the list in place.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    #[inline]
    pub fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(ListView<'_, E>) -> R,
    ) -> Result<R> {
        let (group, hash) = self.locate(key, namespace)?;
        let body = self.table.get_raw(group, hash, |address| address.is(key, namespace));
        Ok(f(ListView::new(body.map(|body| &**body))))
    }

    /// Calls `f` with each element in place, in order.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    pub fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&E)) -> Result<()> {
        self.get_with(key, namespace, |list| list.chunks().flatten().for_each(f))
    }

    /// Puts an element behind the others.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    #[inline]
    pub fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()> {
        let (group, hash) = self.locate(key, namespace)?;
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        match self.table.get_mut_raw(group, hash, eq) {
            Some(body) => Self::own(body, self.epoch).push(element),
            None => {
                let mut body = Body::new(self.epoch);
                body.push(element);
                let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
                self.table.insert_raw(group, hash, eq, make_key, Shared::new(body));
            }
        }
        self.elements += 1;
        Ok(())
    }

    /// The body of a list, this state's alone, to be changed in this epoch.
    #[inline]
    fn own(body: &mut Shared<Body<E>>, epoch: u32) -> &mut Body<E> {
        let body = Shared::make_mut(body);
        body.begin(epoch);
        body
    }

    /// Puts elements behind the others. If the iterator panics, those it gave before are there.
    ///
    /// # Errors
    /// As for [`len`](Self::len); then none was taken.
    pub fn append_all(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let (group, hash) = self.locate(key, namespace)?;
        // No elements leave the list as it is; the first sees to it that there is one.
        let mut elements = elements.into_iter();
        let Some(first) = elements.next() else { return Ok(()) };
        self.append(key, namespace, first)?;
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        if let Some(body) = self.table.get_mut_raw(group, hash, eq) {
            let body = Shared::make_mut(body);
            for element in elements {
                body.push(element);
                self.elements += 1;
            }
        }
        Ok(())
    }

    /// Replaces all elements; by none, it clears the list.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    pub fn update(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let (group, hash) = self.locate(key, namespace)?;
        let mut new = Body::new(self.epoch);
        elements.into_iter().for_each(|element| new.push(element));
        if new.len() == 0 {
            return self.clear(key, namespace).map(drop);
        }
        self.elements += new.len() as u64;
        let make_key = || Address { key: key.clone(), namespace: namespace.clone() };
        let eq = |address: &Address<K, N>| address.is(key, namespace);
        let old =
            self.table.rmw_raw(group, hash, eq, make_key, |slot| slot.replace(Shared::new(new)));
        self.elements -= old.map_or(0, |old| old.len() as u64);
        Ok(())
    }

    /// Removes the list. Returns whether there was one.
    ///
    /// # Errors
    /// As for [`len`](Self::len).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let (group, hash) = self.locate(key, namespace)?;
        let old = self.table.remove_raw(group, hash, |address| address.is(key, namespace));
        self.elements -= old.as_ref().map_or(0, |old| old.len() as u64);
        Ok(old.is_some())
    }

    /// Calls `f` with the next few lists; see [`CowTable::visit`].
    pub(super) fn visit(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        mut f: impl FnMut(&K, &N, ListView<'_, E>),
    ) {
        self.table.visit(cursor, limit, |address, body| {
            f(&address.key, &address.namespace, ListView::new(Some(&**body)));
        });
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> ListCapture<K, N, E> {
        let epoch = self.epoch;
        self.epoch = self.epoch.wrapping_add(1);
        ListCapture {
            id: self.id,
            frozen: self.table.freeze(),
            elements: self.elements,
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
        let Some((_, Address { key, namespace })) = found else { return Ok(false) };
        // All are decoded before one is taken: an entry is applied as a whole or not at all.
        let list: Vec<E> = elements(entry.value)
            .map(|element| self.stored.decode(element?))
            .collect::<esker_format::Result<_>>()?;
        match entry.op {
            Op::Put => self.update(&key, &namespace, list)?,
            Op::Append => self.append_all(&key, &namespace, list)?,
            Op::Delete | Op::Clear => drop(self.clear(&key, &namespace)?),
        }
        Ok(true)
    }
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> KeyedState for ListState<K, N, E> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily!(stored);

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        ListState::apply(self, entry).map(drop)
    }

    fn end_restore(&mut self) {
        self.stored.end_restore();
        drop(self.capture());
    }

    fn entries(&self) -> u64 {
        self.elements + self.cold().map_or(0, Cold::entries)
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> Lazy for ListState<K, N, V> {
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
