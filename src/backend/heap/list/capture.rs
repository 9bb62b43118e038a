//! A list state at one moment.

use super::body::{Body, Change, ListView};
use crate::Result;
use crate::backend::heap::address::Address;
use crate::backend::heap::rows::{Removed, Rows, for_pieces};
use crate::backend::heap::table::Frozen;
use crate::backend::{EntrySink, StateCapture};
use esker_format::list::put_element;
use esker_format::run::Op;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;
use triomphe::Arc as Shared;

/// A list state at one moment; it never changes (I4), and can be written on any thread.
pub struct ListCapture<K: Key, N: Key, E> {
    pub(super) id: u32,
    pub(super) frozen: Frozen<Address<K, N>, Shared<Body<E>>>,
    pub(super) elements: u64,
    pub(super) epoch: u32,
    pub(super) range: KeyGroupRange,
    pub(super) codec: Arc<dyn ValueCodec<E>>,
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> ListCapture<K, N, E> {
    /// How many lists there were.
    pub fn lists(&self) -> usize {
        self.frozen.len()
    }

    /// The list at that moment, empty where there was none.
    pub fn get(&self, key: &K, namespace: &N) -> ListView<'_, E> {
        let address = Address { key: key.clone(), namespace: namespace.clone() };
        ListView::new(self.frozen.get(&address).map(|body| &**body))
    }

    /// Writes the elements in the key groups of `range` that are `wanted`; a list of which none is,
    /// is left out.
    pub(in crate::backend::heap) fn write_where(
        &self,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
        wanted: impl Fn(&E) -> bool,
    ) -> Result<()> {
        let mut rows = Rows::new(self.id);
        for_pieces(self.range, range, self.elements as usize, |piece| {
            self.frozen.scan(piece, |address, body| {
                let mut elements = ListView::new(Some(&**body)).iter().filter(|one| wanted(one));
                let Some(first) = elements.next() else { return };
                rows.add(&address.key, &address.namespace, Op::Put, |out| {
                    let mut elements = std::iter::once(first).chain(elements);
                    elements.try_for_each(|one| put_element(out, |out| self.codec.encode(one, out)))
                });
            });
            rows.flush(sink)
        })
    }

    /// Adds the elements of a list from `from` on.
    fn add(&self, rows: &mut Rows, address: &Address<K, N>, op: Op, body: &Body<E>, from: usize) {
        rows.add(&address.key, &address.namespace, op, |out| {
            let mut elements = ListView::new(Some(body)).iter_from(from);
            elements.try_for_each(|one| put_element(out, |out| self.codec.encode(one, out)))
        });
    }
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> StateCapture for ListCapture<K, N, E> {
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.elements
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let mut rows = Rows::new(self.id);
        for_pieces(self.range, range, self.elements as usize, |piece| {
            self.frozen.scan(piece, |address, body| self.add(&mut rows, address, Op::Put, body, 0));
            rows.flush(sink)
        })
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        // A list that was removed and filled again is a put.
        let gone = |address: &Address<K, N>| self.frozen.get(address).is_none();
        let removed = Removed::new(self.frozen.removed(), range, gone);
        let mut rows = Rows::new(self.id);
        let entries = self.elements as usize + self.frozen.removed().len();
        for_pieces(self.range, range, entries, |piece| {
            self.frozen.scan_changed(piece, |address, body| match body.change(self.epoch) {
                Some(Change::Replaced) => self.add(&mut rows, address, Op::Put, body, 0),
                Some(Change::Appended(from)) => {
                    self.add(&mut rows, address, Op::Append, body, from);
                }
                None => {}
            });
            for Address { key, namespace } in removed.of(piece) {
                rows.add(key, namespace, Op::Delete, |_| Ok(()));
            }
            rows.flush(sink)
        })
    }
}
