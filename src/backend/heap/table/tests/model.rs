//! Against a `BTreeMap`, with captures held and dropped.

use super::super::{CowTable, Frozen, Seed, TableKey};
use super::{Key, content, foldhash};
use esker_format::KeyGroupRange;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Debug, Clone)]
enum Op {
    Insert(u16, u64, u64),
    InsertMany(u16, u64, u64),
    Remove(u16, u64),
    RemoveMany(u16, u64, u64),
    GetMut(u16, u64, u64),
    Rmw(u16, u64, Option<u64>),
    Freeze,
    FreezeUnheld,
    DropHeld(usize),
}

fn op(first: u16, groups: u16, keys: u64) -> impl Strategy<Value = Op> {
    let group = move || first..first + groups;
    prop_oneof![
        8 => (group(), 0..keys, any::<u64>()).prop_map(|(g, k, v)| Op::Insert(g, k, v)),
        2 => (group(), 0..keys, 1..400_u64).prop_map(|(g, k, n)| Op::InsertMany(g, k, n)),
        6 => (group(), 0..keys).prop_map(|(g, k)| Op::Remove(g, k)),
        1 => (group(), 0..keys, 1..400_u64).prop_map(|(g, k, n)| Op::RemoveMany(g, k, n)),
        6 => (group(), 0..keys, any::<u64>()).prop_map(|(g, k, v)| Op::GetMut(g, k, v)),
        6 => (group(), 0..keys, any::<Option<u64>>()).prop_map(|(g, k, v)| Op::Rmw(g, k, v)),
        3 => Just(Op::Freeze),
        1 => Just(Op::FreezeUnheld),
        2 => any::<usize>().prop_map(Op::DropHeld),
    ]
}

struct Model<K: TableKey + Ord, V> {
    table: CowTable<K, V>,
    now: BTreeMap<K, V>,
    last: BTreeMap<K, V>,
    held: Vec<(Frozen<K, V>, BTreeMap<K, V>)>,
    range: KeyGroupRange,
}

impl<K: TableKey + Ord + Debug, V: Clone + PartialEq + Debug + Send + Sync> Model<K, V> {
    fn check_freeze(&mut self) -> Frozen<K, V> {
        let frozen = self.table.freeze();
        assert_eq!(content(&frozen), self.now);
        let mut replayed = std::mem::take(&mut self.last);
        for key in frozen.removed() {
            assert!(replayed.remove(key).is_some(), "removed, but was not there: {key:?}");
        }
        frozen.scan_changed(KeyGroupRange::ALL, |k, v| {
            replayed.insert(k.clone(), v.clone());
        });
        assert_eq!(replayed, self.now);
        self.last = self.now.clone();
        let (first, last) = (self.range.first(), self.range.last());
        let half =
            KeyGroupRange::new(first + (last - first) / 3, last - (last - first) / 3).unwrap();
        let mut part = BTreeMap::new();
        frozen.scan(half, |k, v| assert!(part.insert(k.clone(), v.clone()).is_none()));
        let within = |k: &K| (half.first()..=half.last()).contains(&k.key_group());
        let expected = self.now.iter().filter(|(k, _)| within(k));
        assert_eq!(part, expected.map(|(k, v)| (k.clone(), v.clone())).collect());
        frozen
    }

    fn apply(&mut self, op: Op, key: &impl Fn(u16, u64) -> K, value: &impl Fn(u64) -> V) {
        match op {
            Op::Insert(g, k, v) => {
                let old = self.table.insert(key(g, k), value(v));
                assert_eq!(old, self.now.insert(key(g, k), value(v)));
            }
            Op::InsertMany(g, k, n) => {
                for i in k..k + n {
                    self.apply(Op::Insert(g, i, n), key, value);
                }
            }
            Op::Remove(g, k) => {
                assert_eq!(self.table.remove(&key(g, k)), self.now.remove(&key(g, k)));
            }
            Op::RemoveMany(g, k, n) => {
                for i in k..k + n {
                    self.apply(Op::Remove(g, i), key, value);
                }
            }
            Op::GetMut(g, k, v) => {
                let (a, b) = (self.table.get_mut(&key(g, k)), self.now.get_mut(&key(g, k)));
                assert_eq!(a, b);
                if let (Some(a), Some(b)) = (a, b) {
                    (*a, *b) = (value(v), value(v));
                }
            }
            Op::Rmw(g, k, v) => {
                let old = self.table.rmw(key(g, k), |slot| std::mem::replace(slot, v.map(value)));
                let expected = match v {
                    Some(v) => self.now.insert(key(g, k), value(v)),
                    None => self.now.remove(&key(g, k)),
                };
                assert_eq!(old, expected);
            }
            Op::Freeze => {
                let frozen = self.check_freeze();
                self.held.push((frozen, self.now.clone()));
            }
            Op::FreezeUnheld => drop(self.check_freeze()),
            Op::DropHeld(i) => {
                if !self.held.is_empty() {
                    let (frozen, then) = self.held.swap_remove(i % self.held.len());
                    assert_eq!(content(&frozen.clone()), then);
                    drop(frozen);
                }
            }
        }
        assert_eq!(self.table.len(), self.now.len());
    }
}

fn run<K, V>(
    range: KeyGroupRange,
    ops: Vec<Op>,
    key: impl Fn(u16, u64) -> K,
    value: impl Fn(u64) -> V,
) where
    K: TableKey + Ord + Debug,
    V: Clone + PartialEq + Debug + Send + Sync,
{
    let (now, last) = (BTreeMap::new(), BTreeMap::new());
    let mut model =
        Model { table: CowTable::new(range, Seed::fixed(7)), now, last, held: Vec::new(), range };
    for op in ops {
        model.apply(op, &key, &value);
    }
    let iterated: BTreeMap<K, V> =
        model.table.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(iterated, model.now);
    for (k, v) in &model.now {
        assert_eq!(model.table.get(k), Some(v));
    }
    let Model { table, held, .. } = model;
    drop(table);
    for (frozen, then) in held {
        assert_eq!(content(&frozen), then);
        assert!(then.iter().all(|(k, v)| frozen.get(k) == Some(v)));
    }
}

/// A key that owns memory, and whose hash has only a few bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Text(u16, String);

impl TableKey for Text {
    fn key_group(&self) -> u16 {
        self.0
    }

    fn seeded_hash(&self, seed: Seed) -> u64 {
        foldhash(&self.1, seed) & 0xC000_0000_0000_0003
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn numbers_in_all_groups(ops in prop::collection::vec(op(0, 40, 60), 0..400)) {
        run(KeyGroupRange::ALL, ops, |g, k| Key(g * 1600, k), |v| v);
    }

    #[test]
    fn numbers_in_a_few_groups(ops in prop::collection::vec(op(1000, 5, 900), 0..300)) {
        run(KeyGroupRange::new(1000, 1004).unwrap(), ops, Key, |v| v);
    }

    #[test]
    fn strings_with_a_poor_hash(ops in prop::collection::vec(op(9, 1, 150), 0..150)) {
        let range = KeyGroupRange::new(9, 9).unwrap();
        run(range, ops, |g, k| Text(g, k.to_string()), |v| v.to_string());
    }

    #[test]
    fn large_values(ops in prop::collection::vec(op(3, 3, 90), 0..150)) {
        run(KeyGroupRange::new(3, 5).unwrap(), ops, Key, |v| [v; 40]);
    }
}
