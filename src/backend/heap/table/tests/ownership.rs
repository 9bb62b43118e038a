//! Who drops what, on which thread, and when user code panics.

use super::super::{CowTable, Seed, TableKey};
use super::{Key, content};
use esker_format::KeyGroupRange;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// A value counted while it lives, which can be told to panic when cloned.
struct Counted {
    value: u64,
    alive: Arc<AtomicIsize>,
    panic_in: Arc<AtomicUsize>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        if self.panic_in.fetch_sub(1, Ordering::Relaxed) == 1 {
            panic!("told to");
        }
        self.alive.fetch_add(1, Ordering::Relaxed);
        Self { value: self.value, alive: self.alive.clone(), panic_in: self.panic_in.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Default)]
struct Counter {
    alive: Arc<AtomicIsize>,
    panic_in: Arc<AtomicUsize>,
}

impl Counter {
    fn value(&self, value: u64) -> Counted {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Counted { value, alive: self.alive.clone(), panic_in: self.panic_in.clone() }
    }

    fn alive(&self) -> isize {
        self.alive.load(Ordering::Relaxed)
    }
}

#[test]
fn every_value_is_dropped_once() {
    let counter = Counter::default();
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    let mut threads = Vec::new();
    for round in 0..20_u64 {
        for i in 0..3000 {
            let key = Key((i * 7) as u16, i % 2500);
            match (i * 31 + round * 17) % 5 {
                0 => drop(table.remove(&key)),
                1 => table.rmw(key, |slot| *slot = slot.take().xor(Some(counter.value(i)))),
                2 => table.get_mut(&key).map_or((), |v| v.value += 1),
                _ => drop(table.insert(key, counter.value(i))),
            }
        }
        let frozen = table.freeze();
        if round == 0 {
            assert_eq!(counter.alive(), table.len() as isize, "nothing is copied before a write");
        }
        let sum: u64 = frozen.iter().map(|(_, v)| v.value).sum();
        threads.push(std::thread::spawn(move || {
            std::thread::yield_now();
            assert_eq!(frozen.iter().map(|(_, v)| v.value).sum::<u64>(), sum);
        }));
    }
    let last = table.freeze();
    let len = last.len();
    drop(table);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(counter.alive(), len as isize);
    std::thread::spawn(move || drop(last)).join().unwrap();
    assert_eq!(counter.alive(), 0);
}

#[test]
fn pages_that_nobody_shares_are_taken_over() {
    let counter = Counter::default();
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    (0..1000).for_each(|i| drop(table.insert(Key(i as u16, i), counter.value(i))));
    drop(table.freeze());
    counter.panic_in.store(1, Ordering::Relaxed);
    for i in 0..1000 {
        table.get_mut(&Key(i as u16, i)).unwrap().value += 1;
    }
    let mut changed = 0;
    table.freeze().scan_changed(KeyGroupRange::ALL, |_, _| changed += 1);
    assert_eq!(changed, 1000);
    table.get_mut(&Key(3, 3)).unwrap();
    let mut changed = Vec::new();
    table.freeze().scan_changed(KeyGroupRange::ALL, |k, _| changed.push(k.clone()));
    assert_eq!(changed, [Key(3, 3)]);
    table.freeze().scan_changed(KeyGroupRange::ALL, |_, _| panic!("nothing changed"));
}

#[test]
fn a_clone_that_panics_leaves_the_table_whole() {
    let counter = Counter::default();
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    (0..1000).for_each(|i| drop(table.insert(Key(i as u16, i), counter.value(i))));
    let frozen = table.freeze();
    counter.panic_in.store(20, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(|| table.remove(&Key(5, 5)).is_some()));
    assert!(result.is_err());
    assert!((0..1000).all(|i| table.get(&Key(i as u16, i)).unwrap().value == i));
    assert!(table.remove(&Key(5, 5)).is_some());
    assert_eq!((table.len(), table.iter().count(), content(&frozen).len()), (999, 999, 1000));
    drop((table, frozen));
    assert_eq!(counter.alive(), 0);
}

#[test]
fn a_closure_that_panics_keeps_what_it_left() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    let text = |i: u64| format!("a value on the heap, number {i}");
    (0..300).for_each(|i| drop(table.insert(Key(0, i), text(i))));
    let held = table.freeze();
    let mut fail = |key: Key, left: Option<String>| {
        let result = catch_unwind(AssertUnwindSafe(|| {
            table.rmw(key.clone(), |slot| {
                *slot = left.clone();
                panic!("told to");
            })
        }));
        assert!(result.is_err());
        table.get(&key).cloned()
    };
    assert_eq!(fail(Key(0, 1), None), None);
    assert_eq!(fail(Key(0, 2), Some(text(9))), Some(text(9)));
    assert_eq!(fail(Key(0, 999), Some(text(9))), None);
    assert_eq!((table.len(), table.iter().count()), (299, 299));
    assert_eq!(table.freeze().removed(), [Key(0, 1)]);
    assert_eq!(held.get(&Key(0, 1)), Some(&text(1)));
}

/// A key whose hash or equality panics when told to.
#[derive(Clone, PartialEq, Eq)]
struct Fragile(Key, bool);

impl TableKey for Fragile {
    fn key_group(&self) -> u16 {
        self.0.key_group()
    }

    fn seeded_hash(&self, seed: Seed) -> u64 {
        assert!(!FAIL.get() || !self.1, "told to");
        self.0.seeded_hash(seed)
    }
}

thread_local! {
    static FAIL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn a_hash_that_panics_during_a_split_leaves_the_table_whole() {
    let mut table = CowTable::new(KeyGroupRange::ALL, Seed::fixed(1));
    table.insert(Fragile(Key(0, 0), true), "first".to_string());
    FAIL.set(true);
    let mut inserted = 1;
    for i in 1..1000 {
        let key = Fragile(Key(0, i), false);
        let result = catch_unwind(AssertUnwindSafe(|| table.insert(key, i.to_string())));
        inserted += usize::from(result.is_ok());
    }
    FAIL.set(false);
    assert!(inserted < 1000);
    assert_eq!((table.len(), table.iter().count()), (inserted, inserted));
}

#[test]
fn raw_look_ups_agree() {
    let mut table = CowTable::<Key, u64>::new(KeyGroupRange::ALL, Seed::fixed(9));
    let hash = Key(5, 6).seeded_hash(table.seed());
    table.rmw_raw(5, hash, |k| k.1 == 6, || Key(5, 6), |slot| *slot = Some(1));
    assert_eq!(table.get(&Key(5, 6)), Some(&1));
    *table.get_mut_raw(5, hash, |k| k.1 == 6).unwrap() += 1;
    assert_eq!(table.freeze().get_raw(5, hash, |k| k.1 == 6), Some(&2));
    assert_eq!(table.remove_raw(5, hash, |k| k.1 == 6), Some(2));
    assert!(table.is_empty());
}
