//! Keys of a state's column family: composite keys without the state's id.
//!
//! The family says which state it is. Four bytes less of each key is less to compare, to keep in
//! memory and to filter; a capture puts them in front again while it copies the key.

use crate::backend::owned::check_owned;
use crate::{Error, ErrorKind, Result};
use esker_format::composite::{CompositeKey, end_part};
use esker_format::run::Entry;
use esker_format::{Key, KeyGroup, KeyGroupRange};

/// How long a state's id is in a composite key.
pub(super) const ID_LEN_BYTES: usize = 4;
const GROUP_LEN_BYTES: usize = size_of::<u16>();

/// What a backend holds of one state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owned {
    pub(super) id: u32,
    pub(super) range: KeyGroupRange,
}

impl Owned {
    /// Whether an entry of a run with this `key` is one of the state in an owned key group.
    ///
    /// # Errors
    /// `Corrupt` if its parts cannot be read, or it lies in another key group than its own.
    #[inline]
    pub(super) fn has<K: Key, N: Key>(self, key: &CompositeKey<'_>) -> Result<bool> {
        if key.state != self.id || !self.range.contains(key.group) {
            return Ok(false);
        }
        K::decode(&key.key)?;
        N::decode(&key.namespace)?;
        if KeyGroup::of(&key.key) != key.group {
            let message = format!("a key lies in key group {}, not in its own", key.group.0);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(true)
    }
}

/// Makes the keys of one state, in buffers that are used again.
pub(super) struct Keys {
    owned: Owned,
    /// The key made last.
    made: Vec<u8>,
    /// What comes after all keys that begin with it.
    end: Vec<u8>,
}

impl Keys {
    /// Keys of the state `id`, in the key groups of `range`.
    pub(super) fn new(id: u32, range: KeyGroupRange) -> Self {
        Self { owned: Owned { id, range }, made: Vec::new(), end: Vec::new() }
    }

    pub(super) fn id(&self) -> u32 {
        self.owned.id
    }

    pub(super) fn owned(&self) -> Owned {
        self.owned
    }

    /// The database's key of key and namespace; of a map, what all keys of its entries begin with.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    #[inline]
    pub(super) fn of<K: Key, N: Key>(&mut self, key: &K, namespace: &N) -> Result<&[u8]> {
        self.made.clear();
        append(self.owned.range, key, namespace, &mut self.made)?;
        Ok(&self.made)
    }

    /// The database's key of an entry of a map.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    #[inline]
    pub(super) fn of_entry<K: Key, N: Key, U: Key>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
    ) -> Result<&[u8]> {
        self.of(key, namespace)?;
        user_key.encode_into(&mut self.made);
        Ok(&self.made)
    }

    /// Puts the database's key of a timer into `out`: its time, then what [`of`](Self::of) makes.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    #[inline]
    pub(super) fn of_timer<K: Key, N: Key>(
        &self,
        time_ms: i64,
        key: &K,
        namespace: &N,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.clear();
        time_ms.encode_into(out);
        append(self.owned.range, key, namespace, out)
    }

    /// The first key of a map, and what comes after its last one.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub(super) fn of_map<K: Key, N: Key>(
        &mut self,
        key: &K,
        namespace: &N,
    ) -> Result<(&[u8], &[u8])> {
        self.of(key, namespace)?;
        // Key and namespace end with two zeros, after which no part goes on with a one.
        let end = &mut self.end;
        end.clear();
        end.extend_from_slice(&self.made);
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Ok((&self.made, end))
    }

    /// The database's key that was made last.
    pub(super) fn made(&self) -> &[u8] {
        &self.made
    }

    /// The parts of the key of an entry of a run, if it is one of this state in an owned key group.
    ///
    /// # Errors
    /// As for [`Owned::has`].
    pub(super) fn applies<'a, K: Key, N: Key>(
        &self,
        entry: Entry<'a>,
    ) -> Result<Option<CompositeKey<'a>>> {
        let parts = CompositeKey::decode(entry.key)?;
        Ok(self.owned.has::<K, N>(&parts)?.then_some(parts))
    }
}

/// Appends key group, key and namespace to `out`, each encoded where it stands: this goes before every
/// call on a state.
#[inline]
fn append<K: Key, N: Key>(
    range: KeyGroupRange,
    key: &K,
    namespace: &N,
    out: &mut Vec<u8>,
) -> Result<()> {
    let group_at = out.len();
    let key_at = group_at + GROUP_LEN_BYTES;
    out.extend_from_slice(&[0; GROUP_LEN_BYTES]);
    key.encode_into(out);
    let group = KeyGroup::of(out.get(key_at..).unwrap_or_default());
    check_owned(range, group)?;
    if let Some(place) = out.get_mut(group_at..key_at) {
        place.copy_from_slice(&group.0.to_be_bytes());
    }
    end_part(out, key_at);
    let namespace_at = out.len();
    namespace.encode_into(out);
    end_part(out, namespace_at);
    Ok(())
}

/// The database's key of an entry of a run.
pub(super) fn stored<'a>(entry: &Entry<'a>) -> &'a [u8] {
    entry.key.get(ID_LEN_BYTES..).unwrap_or_default()
}

/// The keys of the key groups of `range`: from the first on, and before the second; an empty one is
/// the end.
pub(super) fn bounds(range: KeyGroupRange) -> (Vec<u8>, Vec<u8>) {
    let end = range.last().checked_add(1).map(u16::to_be_bytes);
    (range.first().to_be_bytes().to_vec(), end.map(Vec::from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_the_composite_key_without_the_id(
            // Zeros are what is escaped.
            key in proptest::collection::vec(0..3_u8, 0..10),
            namespace in proptest::collection::vec(0..3_u8, 0..4),
            user_key in any::<u64>(),
        ) {
            let mut keys = Keys::new(7, KeyGroupRange::ALL);
            let group = KeyGroup::of(&key);
            let mut composite = Vec::new();
            CompositeKey::new(7, group, &key, &namespace, &user_key.to_be_bytes())
                .encode_into(&mut composite);
            let entry = keys.of_entry(&key, &namespace, &user_key).unwrap();
            prop_assert_eq!(entry, &composite[ID_LEN_BYTES..]);
            let mut timer = vec![1];
            keys.of_timer(-1, &key, &namespace, &mut timer).unwrap();
            let time_len_bytes = timer.len() - keys.of(&key, &namespace).unwrap().len();
            prop_assert_eq!(i64::decode(&timer[..time_len_bytes]).unwrap(), -1);
            prop_assert_eq!(&timer[time_len_bytes..], keys.made());
        }
    }
}
