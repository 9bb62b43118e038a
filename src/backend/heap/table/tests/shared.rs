//! Shared tables against maps: clones go their own ways, and know what changed.

use super::super::{Seed, SharedTable};
use super::Key;
use esker_format::KeyGroupRange;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Map = BTreeMap<Key, String>;

/// A shared table, what it should hold, and what it held when changes were last forgotten.
#[derive(Clone)]
struct Holder {
    table: SharedTable<Key, String>,
    now: Map,
    base: Map,
    /// Keys written since then; a write may leave a value as it was.
    written: BTreeSet<Key>,
}

impl Holder {
    fn check(&self) {
        let table = self.table.table();
        let all: Map = table.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!((&all, table.len()), (&self.now, self.now.len()));
        let changed: Map = self.table.changed().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert!(changed.keys().eq(self.written.iter().filter(|k| self.now.contains_key(k))));
        let mut applied = self.base.clone();
        for key in self.table.removed() {
            assert!(applied.remove(key).is_some(), "was not there, or is told twice");
        }
        applied.extend(changed);
        assert_eq!(applied, self.now);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write { forget: bool, first: u64, count: u64, remove: bool },
    Clone,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let count = prop_oneof![Just(1), 1..400_u64];
    let write = (any::<bool>(), 0..2000_u64, count, any::<bool>())
        .prop_map(|(forget, first, count, remove)| Step::Write { forget, first, count, remove });
    prop_oneof![6 => write, 3 => Just(Step::Clone), 2 => Just(Step::Drop)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clones_go_their_own_ways(
        steps in proptest::collection::vec((step(), any::<prop::sample::Index>()), 1..40),
    ) {
        let table = SharedTable::new(KeyGroupRange::new(0, 0).unwrap(), Seed::fixed(1));
        let (now, base, written) = (Map::new(), Map::new(), BTreeSet::new());
        let mut clones = vec![Holder { table, now, base, written }];
        // How many clones share a table with the one here, itself included.
        let mut shared = vec![0_usize];
        for (number, (step, index)) in steps.into_iter().enumerate() {
            let at = index.index(clones.len());
            match step {
                Step::Clone => {
                    clones.push(clones[at].clone());
                    shared.push(shared[at]);
                }
                Step::Drop if clones.len() > 1 => {
                    clones.swap_remove(at);
                    shared.swap_remove(at);
                }
                Step::Drop => {}
                Step::Write { forget, first, count, remove } => {
                    let alone = shared.iter().filter(|of| **of == shared[at]).count() == 1;
                    let clone = &mut clones[at];
                    let before = clone.table.changed().count() + clone.table.removed().len();
                    clone.table.write(forget);
                    let mut forgot = forget || !alone;
                    if !alone {
                        shared[at] = number + 1;
                    }
                    // A table that others were forked from forgets as well; that it did is seen.
                    if !forgot && before > 0 {
                        forgot = clone.table.changed().count() + clone.table.removed().len() == 0;
                    }
                    if forgot {
                        clone.base = clone.now.clone();
                        clone.written.clear();
                    }
                    let table = clone.table.write(false);
                    for key in (first..first + count).map(|i| Key(0, i)) {
                        if remove {
                            assert_eq!(table.remove(&key), clone.now.remove(&key));
                            clone.written.remove(&key);
                        } else {
                            let value = format!("{number}");
                            let old = table.insert(key.clone(), value.clone());
                            assert_eq!(old, clone.now.insert(key.clone(), value));
                            clone.written.insert(key);
                        }
                    }
                }
            }
            clones.iter().for_each(Holder::check);
        }
    }
}

/// The one that was forked from must not write to what the fork shares with it.
#[test]
fn the_older_of_two_may_write_too() {
    let mut older = SharedTable::new(KeyGroupRange::new(0, 0).unwrap(), Seed::fixed(1));
    (0..500).for_each(|i| drop(older.write(false).insert(Key(0, i), i.to_string())));
    let mut newer = older.clone();
    newer.write(false).insert(Key(0, 1), "newer".into());
    older.write(false).insert(Key(0, 2), "older".into());
    assert_eq!(newer.table().get(&Key(0, 2)), Some(&"2".into()));
    assert_eq!(older.table().get(&Key(0, 1)), Some(&"1".into()));
    assert_eq!((newer.changed().count(), older.changed().count()), (1, 1));
    std::thread::spawn(move || drop(older)).join().unwrap();
    (0..500).for_each(|i| drop(newer.write(false).remove(&Key(0, i))));
    assert!(newer.table().is_empty() && newer.removed().len() == 500);
}
