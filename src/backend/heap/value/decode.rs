//! Entries of a value state out of blocks, decoded on any thread.

use crate::backend::heap::address::{Address, hash};
use crate::backend::heap::table::Seed;
use crate::backend::state::{decoded_len_bytes_max, entries_of};
use crate::backend::stored::Stored;
use crate::backend::{DecodedEntries, EntryDecoder};
use crate::{Error, ErrorKind, Result};
use esker_format::run::{Block, Entry, Op};
use esker_format::{Key, KeyGroup, KeyGroupRange};
use std::marker::PhantomData;

/// The value that an entry puts, if it puts one.
///
/// # Errors
/// `Corrupt` if the entry is none of a value state.
#[inline]
pub(super) fn value_of<V: 'static>(stored: &Stored<V>, entry: Entry<'_>) -> Result<Option<V>> {
    match entry.op {
        Op::Put => Ok(Some(stored.decode(entry.value)?)),
        Op::Delete | Op::Clear => Ok(None),
        op => {
            let message = format!("a value state holds no {op:?} entries");
            Err(Error::new(ErrorKind::Corrupt, message))
        }
    }
}

/// Decodes entries, with all that the table asks of their keys.
pub(super) struct Decoder<K, N, V> {
    id: u32,
    range: KeyGroupRange,
    seed: Seed,
    stored: Stored<V>,
    types: PhantomData<fn() -> (K, N)>,
}

/// An entry, and where it goes.
pub(super) struct Decoded<K, N, V> {
    pub(super) group: u16,
    pub(super) hash: u64,
    pub(super) address: Address<K, N>,
    /// None of one that is removed.
    pub(super) value: Option<V>,
}

impl<K, N, V> Decoder<K, N, V> {
    /// For the state `id` of the key groups in `range`, whose table hashes with `seed`; values that
    /// are stored in another shape are migrated.
    pub(super) fn new(id: u32, range: KeyGroupRange, seed: Seed, stored: Stored<V>) -> Self {
        Self { id, range, seed, stored, types: PhantomData }
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> EntryDecoder for Decoder<K, N, V> {
    fn decode(
        &self,
        block: &Block,
        counts: &mut dyn FnMut(KeyGroup) -> bool,
    ) -> Result<Option<DecodedEntries>> {
        let len = block.entries() as usize;
        // Entries of few bytes may be of a large type.
        let len_bytes = len.saturating_mul(size_of::<Decoded<K, N, V>>());
        if len_bytes > decoded_len_bytes_max(block) {
            return Ok(None);
        }
        let (mut groups, mut entries) = (Vec::with_capacity(len), Vec::with_capacity(len));
        let counts = |group| self.range.contains(group) && counts(group);
        let all = entries_of(block, self.id, counts, |key, entry, counts| {
            if !counts {
                return Ok(true);
            }
            let address = Address::<K, N>::decode(key)?;
            let hash = hash(&address.key, &address.namespace, self.seed);
            let value = value_of(&self.stored, entry)?;
            groups.push(key.group.0);
            entries.push(Decoded { group: key.group.0, hash, address, value });
            Ok(true)
        })?;
        if !all {
            return Ok(None);
        }
        Ok(Some(DecodedEntries { groups, entries: Box::new(entries.into_iter()) }))
    }
}
