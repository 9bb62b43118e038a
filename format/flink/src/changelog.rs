//! Changes of keyed state, as the changelog backend logs them (SPEC.md, "Changelogs").
//!
//! A handle names sets of changes, in files or inside `_metadata`; replayed in order on what was materialized before, they are the state. The
//! log defines each state before it changes it. It does not say what writes the keys: that is taken from what was materialized, from a
//! queue of timers, which says it, or from the key groups ([`KeySearch`]), or given by whoever reads.

mod change;
mod key;
#[cfg(test)]
mod tests;

pub use change::{Change, Definition, Operation};
pub use key::KeySearch;

use crate::{Input, Result, Serializer, snappy};
use std::collections::BTreeMap;

const WHAT: &str = "changelog";
/// A count, a key group and a change's length.
const GROUP_LEN_BYTES_MIN: usize = 8;
/// In place of a key group: what follows defines states.
const METADATA: i32 = -1;

/// A change as it is logged.
#[derive(Debug, Clone)]
pub struct LoggedChange<'a> {
    /// Its key group; `None` of one that defines a state.
    pub key_group: Option<u16>,
    /// What it says: see [`Changelog::read`].
    pub bytes: Input<'a>,
}

/// The changes of one set, in order.
#[derive(Debug, Clone)]
pub struct LoggedChanges<'a> {
    input: Input<'a>,
    groups: usize,
    key_group: Option<u16>,
    left: usize,
}

/// What a stream of changes holds, uncompressed: what offsets of [`ChangeFile`](crate::metadata::ChangeFile)s count in.
///
/// # Errors
/// `Corrupt` with the offset.
pub fn open(stream: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>> {
    let mut input = Input::new(WHAT, stream);
    let at = input.clone();
    match input.u8()? {
        0 => Ok(input.rest().into()),
        1 => {
            // Tasks share the file, each with a stream of its own behind the one before.
            let mut held = Vec::new();
            while !input.is_empty() {
                held.append(&mut snappy::decompress(&mut input)?);
            }
            Ok(held.into())
        }
        flag => Err(at.corrupt(format!("{flag} where 0 or 1 says whether it is compressed"))),
    }
}

impl<'a> LoggedChanges<'a> {
    /// The set that begins where `input` stands, in what [`open`] returned. What follows it is not looked at.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn new(mut input: Input<'a>) -> Result<Self> {
        let groups = input.count(GROUP_LEN_BYTES_MIN)?;
        Ok(Self { input, groups, key_group: None, left: 0 })
    }

    fn change(&mut self) -> Result<Option<LoggedChange<'a>>> {
        while self.left == 0 {
            if self.groups == 0 {
                return Ok(None);
            }
            self.groups -= 1;
            let at = self.input.clone();
            self.left = self.input.count(4)?;
            self.key_group = match self.input.i32()? {
                METADATA => None,
                group => Some(
                    u16::try_from(group).map_err(|_| at.corrupt(format!("key group {group}")))?,
                ),
            };
        }
        self.left -= 1;
        Ok(Some(LoggedChange { key_group: self.key_group, bytes: self.input.nested()? }))
    }
}

impl<'a> Iterator for LoggedChanges<'a> {
    type Item = Result<LoggedChange<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let change = self.change();
        if change.is_err() {
            (self.groups, self.left) = (0, 0);
        }
        change.transpose()
    }
}

/// What a log has defined so far: what its changes are read by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changelog {
    key: Option<Serializer>,
    states: BTreeMap<u16, Definition>,
}

impl Changelog {
    /// Nothing defined. `key` is what writes the keys, where that is known: from the header of what was materialized.
    pub fn new(key: Option<Serializer>) -> Self {
        Self { key, states: BTreeMap::new() }
    }

    /// What writes the keys, if anything has said so.
    pub fn key(&self) -> Option<&Serializer> {
        self.key.as_ref()
    }

    /// The states by their ids, as defined so far.
    pub fn states(&self) -> &BTreeMap<u16, Definition> {
        &self.states
    }

    /// Reads a change, and keeps what it defines. Parts are slices of it; the value, which comes last, is all that is left.
    ///
    /// Changes can come before the queue that says what writes keys: who has no key goes through all changes twice.
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` naming the class of a serializer that is not known; `Incompatible` if keys or namespaces cannot be told
    /// apart, or nothing has said what writes the keys.
    pub fn read<'a>(&mut self, change: &LoggedChange<'a>) -> Result<Change<'a>> {
        let mut input = change.bytes.clone().named(WHAT);
        let change = change::read(&mut input, self)?;
        if let Operation::Define(definition) = &change.operation {
            self.define(change.state, (**definition).clone());
        }
        Ok(change)
    }

    fn define(&mut self, state: u16, definition: Definition) {
        if self.key.is_none() {
            self.key = definition.timer().map(|(key, _)| key.clone());
        }
        self.states.insert(state, definition);
    }
}
