//! What was salvaged, and what was lost.

use crate::Error;
use crate::processor::WrittenSavepoint;
use esker_format::composite::CompositeKey;
use esker_format::manifest::StateKind;
use esker_format::{KeyGroup, KeyGroupRange};
use std::collections::BTreeMap;

/// What [`salvage()`](super::salvage()) did. Snapshots are numbered in the order in which they were given.
#[derive(Debug)]
pub struct Salvaged {
    /// What was written.
    pub written: WrittenSavepoint,
    /// What is damaged: of the first snapshot all that counts, of others what was asked of them.
    pub damage: Vec<SalvageDamage>,
    /// What was lost with it.
    pub lost: Vec<LostRange>,
    /// The states of the result, in the manifest's order.
    pub states: Vec<StateSalvaged>,
    /// States of older snapshots that could have been asked for what was lost, and were not.
    pub not_asked: Vec<NotAsked>,
}

/// A file that is damaged or missing, or some of its blocks.
#[derive(Debug)]
pub struct SalvageDamage {
    /// The number of the snapshot.
    pub source: usize,
    /// What is wrong, with the file as its path.
    pub error: Error,
    /// How many entries it held, dead ones included, where that is known.
    pub entries: Option<u64>,
}

/// Keys of a state that a snapshot lost: all of them that it held, unless a newer run decided them.
///
/// Keys are encoded, and ascend by key group, key, namespace and user key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    /// The number of the snapshot; that of an older one for what it was asked for in vain.
    pub source: usize,
    /// The number of the damage among all.
    pub damage: usize,
    /// The operator's uid.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// Its kind.
    pub kind: StateKind,
    /// Of operator state, the subtask whose elements they are; its key groups say nothing.
    pub subtask: Option<u32>,
    /// The key groups.
    pub groups: KeyGroupRange,
    /// The least, in the first of the key groups; none for all from there on.
    pub from: Option<LostKey>,
    /// The greatest, in the last of the key groups; none for all up to there.
    pub to: Option<LostKey>,
    /// The snapshot that was asked for them: the same one where another subtask holds the same. None if
    /// there is no such: they are gone.
    pub older: Option<usize>,
}

/// One end of a [`LostRange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostKey {
    /// The encoded key; of a list of operator state the position, u64 BE, of a broadcast map the user key.
    pub key: Vec<u8>,
    /// The encoded namespace; empty where there is none.
    pub namespace: Vec<u8>,
    /// The encoded user key, or the time of a timer; at the end of a range none for all of its key and
    /// namespace.
    pub user_key: Option<Vec<u8>>,
}

/// A state of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSalvaged {
    /// The operator's uid.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// Its kind.
    pub kind: StateKind,
    /// How many values, list elements, map entries, timers or elements were live, as the first snapshot's
    /// parts say; none where one cannot be read.
    pub before: Option<u64>,
    /// How many there are in the result.
    pub entries: u64,
    /// How many keys were taken from older snapshots, by their numbers, a map entry or timer being a key
    /// of its own; under 0 those of another subtask that holds the same.
    pub taken: BTreeMap<usize, u64>,
    /// How many keys in lost ranges are left out of which the first snapshot still holds something, which
    /// may be stale.
    pub withheld: u64,
}

/// A state of an older snapshot that was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsked {
    /// The number of the snapshot.
    pub source: usize,
    /// The operator's uid.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// Why.
    pub why: String,
}

impl Salvaged {
    /// Whether nothing was lost, nor taken from an older snapshot.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl LostRange {
    /// Whether a key lies in the range.
    pub fn covers(&self, key: &CompositeKey<'_>) -> bool {
        let KeyGroup(group) = key.group;
        let (first, last) = (self.groups.first(), self.groups.last());
        let from = self.from.as_ref().filter(|_| group == first);
        let to = self.to.as_ref().filter(|_| group == last);
        let at = (&*key.key, &*key.namespace);
        let is_behind = |end: &LostKey| {
            let ends = (end.key.as_slice(), end.namespace.as_slice());
            let user_key = end.user_key.as_deref().unwrap_or_default();
            (at, &*key.user_key) >= (ends, user_key)
        };
        let is_before = |end: &LostKey| {
            let ends = (end.key.as_slice(), end.namespace.as_slice());
            at < ends
                || at == ends && end.user_key.as_ref().is_none_or(|last| *key.user_key <= **last)
        };
        self.groups.contains(key.group) && from.is_none_or(is_behind) && to.is_none_or(is_before)
    }
}
