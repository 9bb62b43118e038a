//! A map state at one moment.

use super::body::Body;
use super::view::MapView;
use crate::Result;
use crate::backend::heap::address::Address;
use crate::backend::heap::rows::{Removed, Rows, for_pieces};
use crate::backend::heap::table::Frozen;
use crate::backend::{EntrySink, StateCapture};
use esker_format::run::Op;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;
use triomphe::Arc as Shared;

/// A map state at one moment; it never changes (I4), and can be written on any thread.
pub struct MapCapture<K: Key, N: Key, U: Key, V> {
    pub(super) id: u32,
    pub(super) frozen: Frozen<Address<K, N>, Shared<Body<U, V>>>,
    pub(super) entries: u64,
    pub(super) epoch: u32,
    pub(super) range: KeyGroupRange,
    pub(super) codec: Arc<dyn ValueCodec<V>>,
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> MapCapture<K, N, U, V> {
    /// How many maps there were.
    pub fn maps(&self) -> usize {
        self.frozen.len()
    }

    /// The map at that moment, empty where there was none.
    pub fn get(&self, key: &K, namespace: &N) -> MapView<'_, U, V> {
        let address = Address { key: key.clone(), namespace: namespace.clone() };
        MapView::new(self.frozen.get(&address).map(|body| &**body))
    }

    /// Writes the entries in the key groups of `range` whose values are `wanted`.
    pub(in crate::backend::heap) fn write_where(
        &self,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<()> {
        let mut rows = Rows::new(self.id);
        for_pieces(self.range, range, self.entries as usize, |piece| {
            self.frozen.scan(piece, |address, body| {
                let entries = MapView::new(Some(&**body)).iter().filter(|(_, v)| wanted(v));
                entries.for_each(|(k, v)| self.add(&mut rows, address, k, Some(v)));
            });
            rows.flush(sink)
        })
    }

    /// Adds one entry: its value, or that it is gone.
    fn add(&self, rows: &mut Rows, address: &Address<K, N>, user_key: &U, value: Option<&V>) {
        let op = if value.is_some() { Op::Put } else { Op::Delete };
        rows.add_with(
            &address.key,
            &address.namespace,
            |out| user_key.encode_into(out),
            op,
            |out| value.map_or(Ok(()), |value| self.codec.encode(value, out)),
        );
    }
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> StateCapture
    for MapCapture<K, N, U, V>
{
    fn id(&self) -> u32 {
        self.id
    }

    fn entries(&self) -> u64 {
        self.entries
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.write_where(range, sink, |_| true)
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        // A map that was removed, and perhaps filled again: it is cleared, then come its entries.
        let removed = Removed::new(self.frozen.removed(), range, |_| true);
        let mut rows = Rows::new(self.id);
        let entries = self.entries as usize + self.frozen.removed().len();
        for_pieces(self.range, range, entries, |piece| {
            for Address { key, namespace } in removed.of(piece) {
                rows.add(key, namespace, Op::Clear, |_| Ok(()));
            }
            self.frozen.scan_changed(piece, |address, body| {
                body.for_changes(self.epoch, |k, v| self.add(&mut rows, address, k, v));
            });
            rows.flush(sink)
        })
    }
}
