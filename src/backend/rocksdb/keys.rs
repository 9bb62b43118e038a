//! Keys of a state's column family: composite keys without the state's id.
//!
//! The family says which state it is. Four bytes less of each key is less to compare, to keep in
//! memory and to filter; a capture puts them in front again while it copies the key.

use crate::backend::owned::check_owned;
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroup, KeyGroupRange};

/// How long a state's id is in a composite key.
pub(super) const ID_LEN_BYTES: usize = 4;

/// Makes the keys of one state, in buffers that are used again.
pub(super) struct Keys {
    id: u32,
    range: KeyGroupRange,
    parts: (Vec<u8>, Vec<u8>),
    /// The composite key made last, id and all.
    composite: Vec<u8>,
    /// What comes after all keys that begin with it.
    end: Vec<u8>,
}

impl Keys {
    /// Keys of the state `id`, in the key groups of `range`.
    pub(super) fn new(id: u32, range: KeyGroupRange) -> Self {
        let (parts, composite, end) = (Default::default(), Vec::new(), Vec::new());
        Self { id, range, parts, composite, end }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The database's key of key and namespace; of a map, what all keys of its entries begin with.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    #[inline]
    pub(super) fn of<K: Key, N: Key>(&mut self, key: &K, namespace: &N) -> Result<&[u8]> {
        let (key_bytes, namespace_bytes) = &mut self.parts;
        key_bytes.clear();
        namespace_bytes.clear();
        key.encode_into(key_bytes);
        namespace.encode_into(namespace_bytes);
        let group = KeyGroup::of(key_bytes);
        check_owned(self.range, group)?;
        self.composite.clear();
        CompositeKey::new(self.id, group, key_bytes, namespace_bytes, &[])
            .encode_into(&mut self.composite);
        Ok(self.made())
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
        user_key.encode_into(&mut self.composite);
        Ok(self.made())
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
        end.extend_from_slice(self.composite.get(ID_LEN_BYTES..).unwrap_or_default());
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Ok((self.composite.get(ID_LEN_BYTES..).unwrap_or_default(), end))
    }

    /// The database's key that was made last.
    pub(super) fn made(&self) -> &[u8] {
        self.composite.get(ID_LEN_BYTES..).unwrap_or_default()
    }

    /// The parts of the key of an entry of a run, if it is one of this state in an owned key group.
    ///
    /// # Errors
    /// `Corrupt` if its key cannot be read, or lies in another key group than its own.
    pub(super) fn applies<'a, K: Key, N: Key>(
        &self,
        entry: Entry<'a>,
    ) -> Result<Option<CompositeKey<'a>>> {
        let parts = CompositeKey::decode(entry.key)?;
        if parts.state != self.id || !self.range.contains(parts.group) {
            return Ok(None);
        }
        K::decode(&parts.key)?;
        N::decode(&parts.namespace)?;
        if KeyGroup::of(&parts.key) != parts.group {
            let message = format!("a key lies in key group {}, not in its own", parts.group.0);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(Some(parts))
    }
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
