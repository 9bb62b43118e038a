//! Memory under skew.

use super::super::{CowTable, TableKey};
use super::{Key, content};
use esker_format::KeyGroupRange;

/// At most 2 bytes of directory per entry, and 64 KiB.
fn check_directory<V: Clone>(table: &CowTable<Key, V>) {
    let (bytes, limit) = (table.directory_bytes(), 2 * table.len() + 64 * 1024);
    assert!(bytes <= limit, "directory of {bytes} bytes, limit {limit}");
    println!("{} entries: directory of {bytes} bytes", table.len());
}

#[test]
fn one_hot_key_group() {
    let mut table = CowTable::new(KeyGroupRange::ALL, 1);
    for i in 0..1_000_000 {
        table.insert(Key(4711, i), i);
    }
    check_directory(&table);
    assert!((0..1_000_000).all(|i| table.get(&Key(4711, i)) == Some(&i)));
}

#[test]
fn even_entries() {
    let mut table = CowTable::new(KeyGroupRange::ALL, 1);
    for i in 0..100_000_u64 {
        table.insert(Key((i * 40_503) as u16, i), i);
    }
    check_directory(&table);
}

#[test]
fn narrow_range() {
    let mut table = CowTable::new(KeyGroupRange::new(640, 703).unwrap(), 1);
    for i in 0..100_000 {
        table.insert(Key(640 + (i % 64) as u16, i), i);
    }
    check_directory(&table);
    let mut groups = Vec::new();
    table.freeze().scan(KeyGroupRange::ALL, |k, _| groups.push(k.0));
    assert!(groups.is_sorted(), "pages hold one group each, so the order is exact");
}

/// A key whose hash says nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Constant(u64);

impl TableKey for Constant {
    fn key_group(&self) -> u16 {
        17
    }

    fn seeded_hash(&self, _: u64) -> u64 {
        0xDEAD_BEEF
    }
}

#[test]
fn constant_hash() {
    let mut table = CowTable::new(KeyGroupRange::ALL, 1);
    for i in 0..2000 {
        assert_eq!(table.insert(Constant(i), i), None);
    }
    let frozen = table.freeze();
    for i in 0..2000 {
        assert_eq!(table.get(&Constant(i)), Some(&i));
        assert_eq!(table.remove(&Constant(i)), Some(i));
    }
    assert!(table.is_empty() && content(&frozen).len() == 2000);
    assert_eq!(table.freeze().removed().len(), 2000);
}

#[test]
fn churn_sweeps_tombstones() {
    let mut table = CowTable::new(KeyGroupRange::ALL, 1);
    for i in 0..200_000 {
        table.insert(Key(3, i), i);
        if i >= 150 {
            assert_eq!(table.remove(&Key(3, i - 150)), Some(i - 150));
        }
    }
    assert_eq!(table.len(), 150);
    check_directory(&table);
}
