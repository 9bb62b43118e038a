//! Key and namespace, as the tables of keyed state hold them.

use super::table::TableKey;
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroup, KeyGroupRange};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};

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
    fn seeded_hash(&self, seed: u64) -> u64 {
        hash(&self.key, &self.namespace, seed)
    }
}

/// The hash of an address by its parts, so that a look-up need not own them.
#[inline]
pub(super) fn hash<K: Key, N: Key>(key: &K, namespace: &N, seed: u64) -> u64 {
    // The seed is a hash itself, so hashbrown's own quick form of foldhash does.
    let mut hasher = FoldHasher::with_seed(seed, SharedSeed::global_random());
    key.hash(&mut hasher);
    namespace.hash(&mut hasher);
    hasher.finish()
}

/// A seed of this process alone: who chooses keys cannot know where they fall.
pub(super) fn seed(state: u32) -> u64 {
    RandomState::default().hash_one(state)
}

/// Key group and hash of an address, once its key group is known to be owned.
///
/// # Errors
/// `Invalid` for a key outside `range`.
#[inline]
pub(super) fn locate<K: Key, N: Key>(
    range: KeyGroupRange,
    seed: u64,
    key: &K,
    namespace: &N,
) -> Result<(u16, u64)> {
    let group = key.with_encoded(KeyGroup::of);
    check_owned(range, group)?;
    Ok((group.0, hash(key, namespace, seed)))
}

/// # Errors
/// `Invalid` for a key group outside `range`.
#[inline]
pub(super) fn check_owned(range: KeyGroupRange, group: KeyGroup) -> Result<()> {
    if range.contains(group) { Ok(()) } else { refuse(range, group) }
}

#[cold]
fn refuse<T>(range: KeyGroupRange, group: KeyGroup) -> Result<T> {
    let (first, last) = (range.first(), range.last());
    let message = format!(
        "key of key group {} does not belong to the subtask of {first}..={last}: route records by \
         KeyGroup::of(encoded key)",
        group.0
    );
    Err(Error::new(ErrorKind::Invalid, message))
}
