#![allow(clippy::unwrap_used)]
mod cost;
mod model;
mod ownership;
mod shared;
mod visit;

use super::{Frozen, Seed, TableKey};
use std::collections::BTreeMap;
use std::hash::Hasher;

fn foldhash(value: impl std::hash::Hash, seed: Seed) -> u64 {
    let mut hasher = seed.hasher();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A key with its group in plain sight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u16, u64);

impl TableKey for Key {
    fn key_group(&self) -> u16 {
        self.0
    }

    fn seeded_hash(&self, seed: Seed) -> u64 {
        foldhash(self.1, seed)
    }
}

/// All entries, each once, in key group order as far as pages go.
fn content<K: TableKey + Ord, V: Clone>(frozen: &Frozen<K, V>) -> BTreeMap<K, V> {
    let mut all = BTreeMap::new();
    frozen.scan(esker_format::KeyGroupRange::ALL, |k, v| {
        assert!(all.insert(k.clone(), v.clone()).is_none(), "an entry was scanned twice");
    });
    assert_eq!(all.len(), frozen.len());
    all
}
