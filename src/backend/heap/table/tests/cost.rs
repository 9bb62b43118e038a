//! Memory under skew.

use super::super::{CowTable, Seed, TableKey};
use super::{Key, content};
use esker_format::KeyGroupRange;

/// At most 2 bytes of directory per entry, and 64 KiB.
fn check_directory<K: TableKey, V: Clone>(table: &CowTable<K, V>) {
    let (bytes, limit) = (table.directory_bytes(), 2 * table.len() + 64 * 1024);
    assert!(bytes <= limit, "directory of {bytes} bytes, limit {limit}");
    println!("{} entries: directory of {bytes} bytes", table.len());
}

#[test]
fn one_hot_key_group() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    for i in 0..1_000_000 {
        table.insert(Key(4711, i), i);
    }
    check_directory(&table);
    assert!((0..1_000_000).all(|i| table.get(&Key(4711, i)) == Some(&i)));
}

#[test]
fn even_entries() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    for i in 0..100_000_u64 {
        table.insert(Key((i * 40_503) as u16, i), i);
    }
    check_directory(&table);
}

#[test]
fn narrow_range() {
    let mut table = CowTable::new(KeyGroupRange::new(640, 703).unwrap(), Seed::fixed(1));
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

    fn seeded_hash(&self, _: Seed) -> u64 {
        0xDEAD_BEEF
    }
}

#[test]
fn constant_hash() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
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

/// A key that brings its hash along.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hashed(u64, u64);

impl TableKey for Hashed {
    fn key_group(&self) -> u16 {
        17
    }

    fn seeded_hash(&self, _: Seed) -> u64 {
        self.1
    }
}

#[test]
fn hashes_that_share_bits() {
    for shared in [16, 24, 32, 48, 64] {
        for top in [true, false] {
            // Searches among entries of one position (a group's 16 bits and the hash's lower 48) are
            // linear, so that fewer of them say as much.
            let linear = shared == 64 || shared == 48 && !top;
            let len = if linear { 4000 } else { 100_000 };
            let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
            for i in 0..len {
                let mixed = super::foldhash(i, Seed::fixed(7));
                let hash =
                    if top { mixed.unbounded_shr(shared) } else { mixed.unbounded_shl(shared) };
                table.insert(Hashed(i, hash), i);
            }
            check_directory(&table);
            let held = table.freeze();
            assert_eq!((table.iter().count(), held.len()), (len as usize, len as usize));
        }
    }
}

#[test]
fn one_key_with_many_namespaces() {
    let range = KeyGroupRange::new(4711, 4711).unwrap();
    let mut table = CowTable::new(range, Seed::fixed(1));
    for i in 0..1_000_000 {
        table.insert(Key(4711, i), i);
    }
    check_directory(&table);
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    for i in 0..1_000_000 {
        table.insert(Hashed(i, super::foldhash((7_u64, i), Seed::fixed(3))), i);
    }
    check_directory(&table);
}

#[test]
fn churn_sweeps_tombstones() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    for i in 0..200_000 {
        table.insert(Key(3, i), i);
        if i >= 150 {
            assert_eq!(table.remove(&Key(3, i - 150)), Some(i - 150));
        }
    }
    assert_eq!(table.len(), 150);
    check_directory(&table);
}
