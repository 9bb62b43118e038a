//! Values by the keys of their column family: what value and map state share.

use super::db::Family;
use super::entries::EntriesOf;
use super::keys::stored;
use crate::Result;
use crate::backend::stored::Stored;
use esker_format::ValueCodec;
use esker_format::composite::CompositeKey;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use std::sync::Arc;

/// The values of one column family.
pub(super) struct Cells<V> {
    pub(super) family: Arc<Family>,
    stored: Stored<V>,
    /// A value's bytes before and after a call; used again.
    before: Vec<u8>,
    after: Vec<u8>,
}

impl<V: 'static> Cells<V> {
    pub(super) fn new(family: Arc<Family>, codec: impl ValueCodec<V> + 'static) -> Self {
        let (before, after) = (Vec::new(), Vec::new());
        Self { family, stored: Stored::new(codec), before, after }
    }

    /// The value of `bytes`.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<V> {
        Ok(self.stored.decode(bytes)?)
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<V>> {
        let found =
            self.family.get(key, |bytes| bytes.map(|bytes| self.stored.decode(bytes)).transpose());
        Ok(found??)
    }

    #[inline]
    pub(super) fn contains(&self, key: &[u8]) -> Result<bool> {
        self.family.get(key, |bytes| bytes.is_some())
    }

    #[inline]
    pub(super) fn put(&mut self, key: &[u8], value: &V) -> Result<()> {
        self.after.clear();
        self.stored.encode(value, &mut self.after)?;
        self.family.put(key, &self.after)
    }

    #[inline]
    pub(super) fn delete(&self, key: &[u8]) -> Result<()> {
        self.family.delete(key)
    }

    /// One read, and one write if the value's bytes are others then.
    pub(super) fn rmw<R>(&mut self, key: &[u8], f: impl FnOnce(&mut Option<V>) -> R) -> Result<R> {
        let (stored, before) = (&self.stored, &mut self.before);
        let found = self.family.get(key, |bytes| {
            let bytes = bytes?;
            before.clear();
            before.extend_from_slice(bytes);
            Some(stored.decode(bytes))
        })?;
        let mut value = found.transpose()?;
        let was_there = value.is_some();
        let result = f(&mut value);
        match value {
            Some(value) => {
                self.after.clear();
                self.stored.encode(&value, &mut self.after)?;
                if !was_there || self.before != self.after {
                    self.family.put(key, &self.after)?;
                }
            }
            None if was_there => self.family.delete(key)?,
            None => {}
        }
        Ok(result)
    }

    pub(super) fn stored(&self) -> &Stored<V> {
        &self.stored
    }

    pub(super) fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)
    }

    pub(super) fn end_restore(&mut self) {
        self.stored.end_restore();
    }

    /// Applies an entry of a run with the composite `key`.
    ///
    /// # Errors
    /// Those of [`EntriesOf::change`] and [`Family::restore`].
    pub(super) fn apply<S: EntriesOf<V>>(
        &mut self,
        key: &CompositeKey<'_>,
        entry: Entry<'_>,
    ) -> Result<()> {
        match S::change(key, &self.stored, entry, &mut self.after)? {
            Some((change, value)) => self.family.restore(change, stored(&entry), value),
            None => Ok(()),
        }
    }
}
