//! Entries of an operator in any order, sorted outside of memory: by key group and state, elements by subtask and state.

use super::{Element, ElementSink, KeyedEntry, KeyedSink, OperatorEntries};
use crate::flink::format::key_group::KeyGroupRange;
use crate::format::composite::CompositeKey;
use crate::format::list::{elements, put_encoded};
use crate::format::{KeyGroup, KeyGroupRange as AnyRange};
use crate::processor::{Fold, Spool, Spooled};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// Entries that are sorted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Keyed,
    Elements(u32),
    Broadcast,
}

/// There is one entry of each key.
struct Once;

impl Fold for Once {
    type Lane = Lane;

    fn fold(
        &self,
        _lane: Lane,
        key: &[u8],
        values: &mut dyn Iterator<Item = Result<&[u8]>>,
        list: &mut Vec<u8>,
    ) -> Result<()> {
        if let Some(value) = values.next() {
            put_encoded(list, value?);
        }
        match values.next() {
            None => Ok(()),
            Some(_) => {
                let key = CompositeKey::decode(key)?.key;
                let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                let message =
                    format!("two entries of one key of a state: state and key are {digits}");
                Err(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }
}

/// Takes the entries of an operator in any order. Memory: 48 MiB; the rest lies in the system's temporary folder.
pub(crate) struct Sort {
    spool: Spool<Once>,
    /// How many elements each subtask has of a state.
    elements: BTreeMap<(u16, u32), u64>,
    broadcast: BTreeMap<usize, u64>,
    key: Vec<u8>,
    tail: Vec<u8>,
}

/// All of them, sorted. The temporary files go with it.
pub(crate) struct Sorted {
    spooled: Spooled<Once>,
    broadcast: BTreeMap<usize, u64>,
}

impl Sort {
    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            spool: Spool::new(Once)?,
            elements: BTreeMap::new(),
            broadcast: BTreeMap::new(),
            key: Vec::new(),
            tail: Vec::new(),
        })
    }

    /// # Errors
    /// Those of [`Spool::add`].
    pub(crate) fn keyed(&mut self, entry: KeyedEntry<'_>) -> Result<()> {
        let KeyedEntry { key_group, state, key, value } = entry;
        self.add(Lane::Keyed, key_group, &[&state.to_be_bytes(), key], value)
    }

    /// An element of a list, the next one of a subtask.
    ///
    /// # Errors
    /// Those of [`Spool::add`].
    pub(crate) fn element(&mut self, subtask: u32, state: u16, value: &[u8]) -> Result<()> {
        let position = self.elements.entry((state, subtask)).or_default();
        let number = position.to_be_bytes();
        *position += 1;
        self.add(Lane::Elements(subtask), 0, &[&state.to_be_bytes(), &number], value)
    }

    /// An entry of broadcast state, of which every subtask has all.
    ///
    /// # Errors
    /// Those of [`Spool::add`].
    pub(crate) fn broadcast(&mut self, state: u16, user_key: &[u8], value: &[u8]) -> Result<()> {
        *self.broadcast.entry(state.into()).or_default() += 1;
        self.add(Lane::Broadcast, 0, &[&state.to_be_bytes(), user_key], value)
    }

    fn add(&mut self, lane: Lane, group: u16, tail: &[&[u8]], value: &[u8]) -> Result<()> {
        self.key.clear();
        self.tail.clear();
        tail.iter().for_each(|part| self.tail.extend_from_slice(part));
        let key = CompositeKey::new(0, KeyGroup(group), &self.tail, &[], &[]);
        key.encode_into(&mut self.key);
        self.spool.add(lane, &self.key, value)
    }

    /// # Errors
    /// Those of [`Spool::finish`]; `Corrupt` if two entries have one key, as far as that was seen.
    pub(crate) fn finish(self) -> Result<Sorted> {
        Ok(Sorted { spooled: self.spool.finish()?, broadcast: self.broadcast })
    }
}

/// Takes key group, state, rest of the key and value.
type Each<'a> = dyn FnMut(u16, u16, &[u8], &[u8]) -> Result<()> + 'a;

impl Sorted {
    /// Calls `each` with what is in `lane`.
    fn each(&self, lane: Lane, range: AnyRange, each: &mut Each<'_>) -> Result<()> {
        let (chain, _) = self.spooled.open(&[lane])?;
        let mut list = Vec::new();
        chain.merge(range, None, &mut |entry| {
            // What several runs hold of one key comes as one list.
            let mut found = elements(entry.value);
            let value = found.next().ok_or_else(damaged)??;
            if found.next().is_some() {
                let mut values = elements(entry.value).map(|value| Ok(value?));
                return Once.fold(lane, entry.key, &mut values, &mut list);
            }
            let key = CompositeKey::decode(entry.key)?;
            let (state, rest) = key.key.split_first_chunk().ok_or_else(damaged)?;
            each(key.group.0, u16::from_be_bytes(*state), rest, value)
        })
    }
}

impl OperatorEntries for Sorted {
    fn keyed(&self, range: KeyGroupRange, each: &mut KeyedSink<'_>) -> Result<()> {
        let groups = range.key_groups();
        let Some(last) = groups.end.checked_sub(1).filter(|last| *last >= groups.start) else {
            return Ok(());
        };
        let range = AnyRange::new(groups.start, last)?;
        self.each(Lane::Keyed, range, &mut |key_group, state, key, value| {
            each(KeyedEntry { key_group, state, key, value })
        })
    }

    fn elements(&self, subtask: u32, each: &mut ElementSink<'_>) -> Result<()> {
        self.each(Lane::Elements(subtask), AnyRange::ALL, &mut |_, state, _, value| {
            each(Element { state, user_key: &[], value })
        })?;
        self.each(Lane::Broadcast, AnyRange::ALL, &mut |_, state, user_key, value| {
            each(Element { state, user_key, value })
        })
    }

    fn broadcast_len(&self, state: usize) -> u64 {
        self.broadcast.get(&state).copied().unwrap_or(0)
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Retry, "a run of the temporary folder is damaged")
}
