//! All that the job holds after a number of rows, as plain maps.

use super::rows::{Change, changes};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) values: BTreeMap<u64, String>,
    pub(crate) lists: BTreeMap<u64, Vec<u64>>,
    pub(crate) maps: BTreeMap<u64, BTreeMap<u64, u64>>,
    pub(crate) timers: BTreeSet<(i64, u64)>,
    /// Timers that fired, by key.
    pub(crate) fired: BTreeMap<u64, u64>,
    pub(crate) sums: BTreeMap<u64, u64>,
}

impl Content {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Set(key, value) => drop(self.values.insert(key, value)),
            Change::Unset(key) => drop(self.values.remove(&key)),
            Change::Append(key, element) => self.lists.entry(key).or_default().push(element),
            Change::Replace(key, element) => drop(self.lists.insert(key, vec![element])),
            Change::Drop(key) => drop(self.lists.remove(&key)),
            Change::Put(key, user_key, value) => {
                self.maps.entry(key).or_default().insert(user_key, value);
            }
            Change::Remove(key, user_key) => {
                if let Some(map) = self.maps.get_mut(&key) {
                    map.remove(&user_key);
                    if map.is_empty() {
                        self.maps.remove(&key);
                    }
                }
            }
            Change::ClearMap(key) => drop(self.maps.remove(&key)),
            Change::Register(time_ms, key) => drop(self.timers.insert((time_ms, key))),
            Change::Unregister(time_ms, key) => drop(self.timers.remove(&(time_ms, key))),
            Change::Add(key, input) => *self.sums.entry(key).or_default() += input,
            Change::Watermark(time_ms) => {
                let later = self.timers.split_off(&(time_ms + 1, 0));
                for (_, key) in std::mem::replace(&mut self.timers, later) {
                    *self.fired.entry(key).or_default() += 1;
                }
            }
        }
    }

    /// The first difference from `other`, if there is any.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let timers = |content: &Self| content.timers.iter().map(|timer| (*timer, ())).collect();
        None.or_else(|| first("value", &self.values, &other.values))
            .or_else(|| first("list", &self.lists, &other.lists))
            .or_else(|| first("map", &self.maps, &other.maps))
            .or_else(|| first("timer", &timers(self), &timers(other)))
            .or_else(|| first("fired", &self.fired, &other.fired))
            .or_else(|| first("sum", &self.sums, &other.sums))
    }
}

fn first<K: Ord + Copy + Debug, V: PartialEq + Debug>(
    state: &str,
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> Option<String> {
    let keys: BTreeSet<K> = found.keys().chain(expected.keys()).copied().collect();
    let key = keys.into_iter().find(|key| found.get(key) != expected.get(key))?;
    let (found, expected) = (found.get(&key), expected.get(&key));
    Some(format!("{state} of {key:?}: found {found:?}, expected {expected:?}"))
}

/// The content after any number of rows, as they go up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) seed: u64,
    pub(crate) rows: u64,
    pub(crate) content: Content,
}

impl Model {
    /// Goes on to `rows`, which are not fewer than before.
    pub(crate) fn advance(&mut self, rows: u64) {
        assert!(rows >= self.rows, "rows went back from {} to {rows}", self.rows);
        while self.rows < rows {
            self.rows += 1;
            changes(self.seed, self.rows).into_iter().for_each(|change| self.content.apply(change));
        }
    }
}
