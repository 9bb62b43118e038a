//! Key and namespace, as the tables of keyed state hold them.

use super::table::{CowTable, Seed, TableKey};
pub(super) use crate::backend::owned::check_owned;
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroup, KeyGroupRange};
use std::hash::Hasher;

/// Key and namespace, as the tables of keyed state hold them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address<K, N> {
    pub(super) key: K,
    pub(super) namespace: N,
}

impl<K: Key, N: Key> Address<K, N> {
    #[inline]
    pub(super) fn is(&self, key: &K, namespace: &N) -> bool {
        self.key == *key && self.namespace == *namespace
    }

    /// The composite key of an entry, and its address, if it is one of `state` in a key group of
    /// `range`.
    ///
    /// # Errors
    /// `Corrupt` if the key cannot be read, or lies in another key group than its own.
    pub(super) fn of_entry<'a>(
        entry: Entry<'a>,
        state: u32,
        range: KeyGroupRange,
    ) -> Result<Option<(CompositeKey<'a>, Self)>> {
        let parts = CompositeKey::decode(entry.key)?;
        if parts.state != state || !range.contains(parts.group) {
            return Ok(None);
        }
        let address = Self::decode(&parts)?;
        Ok(Some((parts, address)))
    }

    /// The address in a composite key.
    ///
    /// # Errors
    /// As for [`of_entry`](Self::of_entry).
    #[inline]
    pub(super) fn decode(parts: &CompositeKey<'_>) -> Result<Self> {
        let address = Self { key: K::decode(&parts.key)?, namespace: N::decode(&parts.namespace)? };
        if address.key_group() == parts.group.0 {
            return Ok(address);
        }
        let message = format!("a key lies in key group {}, not in its own", parts.group.0);
        Err(Error::new(ErrorKind::Corrupt, message))
    }
}

impl<K: Key, N: Key> TableKey for Address<K, N> {
    #[inline]
    fn key_group(&self) -> u16 {
        self.key.with_encoded(KeyGroup::of).0
    }

    #[inline]
    fn seeded_hash(&self, seed: Seed) -> u64 {
        hash(&self.key, &self.namespace, seed)
    }
}

/// The hash of an address by its parts, so that a look-up need not own them.
#[inline]
pub(super) fn hash<K: Key, N: Key>(key: &K, namespace: &N, seed: Seed) -> u64 {
    let mut hasher = seed.hasher();
    key.hash(&mut hasher);
    namespace.hash(&mut hasher);
    hasher.finish()
}

/// Key group and hash of an address in a state's `$table`, once its key group is known to be owned and
/// what there is of it to be there: as `Result<(u16, u64)>`. A key outside the table's range is `Invalid`.
macro_rules! locate {
    ($state:expr, $key:expr, $namespace:expr) => {{
        let group = $key.with_encoded(esker_format::KeyGroup::of);
        if $state.table.owns(group.0) {
            Ok(group)
        } else {
            $crate::backend::heap::lazy::touch($state, group).map(|()| group)
        }
        .map(|group| {
            let seed = $state.table.seed();
            (group.0, $crate::backend::heap::address::hash($key, $namespace, seed))
        })
    }};
}
pub(super) use locate;

/// Fetches what a look-up of an address will read, if its key group is owned.
#[inline]
pub(super) fn prefetch<K: Key, N: Key, V>(
    table: &CowTable<Address<K, N>, V>,
    key: &K,
    namespace: &N,
) {
    let group = key.with_encoded(KeyGroup::of).0;
    if table.owns(group) {
        table.prefetch(group, hash(key, namespace, table.seed()));
    }
}
