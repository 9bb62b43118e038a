//! Entries of runs as changes of a column family: one by one, or a block at a time on any thread.

use super::db::{Change, Changes, Pool};
use super::keys::{Owned, stored};
use crate::backend::state::{decoded_len_bytes_max, entries_of};
use crate::backend::stored::Stored;
use crate::backend::{DecodedEntries, EntryDecoder};
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::list::{elements, put_element};
use esker_format::run::{Block, Entry, Op};
use esker_format::{Key, KeyGroup};
use std::any::Any;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// What entries of a kind of state are to its column family, with values of type `V`.
pub(super) trait EntriesOf<V>: 'static {
    /// What becomes of the key of `entry`, and its value; `None` if there is nothing to do. A value of
    /// another shape than the state's is put into `buffer`.
    ///
    /// # Errors
    /// `Corrupt` if key or value cannot be read, or the state holds no such entries.
    fn change<'a>(
        key: &CompositeKey<'_>,
        values: &Stored<V>,
        entry: Entry<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<(Change, &'a [u8])>>;
}

/// One value for each key; of a map for each user key, elsewhere that is `()`.
pub(super) struct ValueEntries<U>(PhantomData<fn(U)>);

impl<U: Key, V: 'static> EntriesOf<V> for ValueEntries<U> {
    fn change<'a>(
        key: &CompositeKey<'_>,
        values: &Stored<V>,
        entry: Entry<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<(Change, &'a [u8])>> {
        U::decode(&key.user_key)?;
        match entry.op {
            Op::Put => {
                let value = values.decode(entry.value)?;
                if !values.migrates() {
                    return Ok(Some((Change::Put, entry.value)));
                }
                buffer.clear();
                values.encode(&value, buffer)?;
                Ok(Some((Change::Put, buffer)))
            }
            Op::Delete => Ok(Some((Change::Delete, &[]))),
            op => {
                let message = format!("a state of single values holds no {op:?} entries");
                Err(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }
}

/// A list for each key.
pub(super) struct ListEntries;

impl<E: 'static> EntriesOf<E> for ListEntries {
    fn change<'a>(
        _key: &CompositeKey<'_>,
        values: &Stored<E>,
        entry: Entry<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<(Change, &'a [u8])>> {
        let mut list = entry.value;
        let decoded = |element: esker_format::Result<_>| values.decode(element?);
        if values.migrates() {
            buffer.clear();
            for element in elements(entry.value).map(decoded) {
                let element = element?;
                put_element(buffer, |out| values.encode(&element, out))?;
            }
            list = buffer;
        } else {
            // All are looked at before one is taken: an entry is applied as a whole or not at all.
            elements(entry.value).try_for_each(|element| decoded(element).map(drop))?;
        }
        Ok(match entry.op {
            Op::Append if list.is_empty() => None,
            Op::Append => Some((Change::Merge, list)),
            Op::Put if !list.is_empty() => Some((Change::Put, list)),
            Op::Put | Op::Delete | Op::Clear => Some((Change::Delete, &[])),
        })
    }
}

/// Makes changes of the entries of a state with keys `K` and namespaces `N`.
pub(super) struct Decoder<K, N, V, S> {
    owned: Owned,
    values: Stored<V>,
    pool: Arc<Pool>,
    types: PhantomData<fn(K, N) -> S>,
}

impl<K: Key, N: Key, V: 'static, S: EntriesOf<V>> Decoder<K, N, V, S> {
    /// Decodes into memory of `pool`.
    pub(super) fn new(owned: Owned, values: &Stored<V>, pool: Arc<Pool>) -> Self {
        Self { owned, values: values.clone(), pool, types: PhantomData }
    }
}

impl<K: Key, N: Key, V: 'static, S: EntriesOf<V>> EntryDecoder for Decoder<K, N, V, S> {
    fn decode(
        &self,
        block: &Block,
        counts: &mut dyn FnMut(KeyGroup) -> bool,
    ) -> Result<Option<DecodedEntries>> {
        let (count, len_bytes_max) = (block.entries() as usize, decoded_len_bytes_max(block));
        // Keys that share much take far more in full.
        if block.entries_len_bytes() > len_bytes_max {
            return Ok(None);
        }
        let mut groups = Vec::with_capacity(count);
        let mut changes = Changes::within(&self.pool, count, block.entries_len_bytes());
        let mut buffer = Vec::new();
        let all = entries_of(block, self.owned.id, counts, |key, entry, counts| {
            if entry.op == Op::Clear {
                return Ok(false);
            }
            if counts
                && self.owned.has::<K, N>(key)?
                && let Some((change, value)) = S::change(key, &self.values, entry, &mut buffer)?
            {
                groups.push(key.group.0);
                changes.push(change, stored(&entry), value)?;
            }
            // Values of another shape may take far more too.
            Ok(changes.len_bytes() <= 2 * len_bytes_max)
        })?;
        if !all {
            return Ok(None);
        }
        changes.shrink();
        let left = groups.len();
        let entries = Box::new(Ahead { changes: Arc::new(changes), at: 0, left });
        Ok(Some(DecodedEntries { groups, entries }))
    }
}

/// Changes that were decoded ahead of a restore.
pub(super) struct Ahead {
    changes: Arc<Changes>,
    /// Where those begin that were not taken, and how many they are.
    at: usize,
    left: usize,
}

impl Ahead {
    /// The next `count` changes of `entries`: of which, and where.
    ///
    /// # Errors
    /// `Corrupt` if these are another state's.
    pub(super) fn take(
        entries: &mut (dyn Any + Send),
        count: usize,
    ) -> Result<(&Arc<Changes>, Range<usize>)> {
        let Some(Self { changes, at, left }) = entries.downcast_mut() else {
            return Err(Error::new(ErrorKind::Corrupt, "entries of another type of state"));
        };
        let (from, end) = (*at, changes.len_bytes());
        *at = end;
        if count < *left {
            let mut rest = changes.of(from..end);
            rest.by_ref().take(count).for_each(drop);
            *at = end - rest.len_bytes();
        }
        *left = left.saturating_sub(count);
        Ok((changes, from..*at))
    }
}
