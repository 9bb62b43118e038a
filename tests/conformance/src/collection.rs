//! List and map state.

use crate::harness::{CASES, for_cases, fresh};
use esker::backend::{Backend, BackendFactory, ListCalls, MapCalls};
use esker::state::{ListDescriptor, MapDescriptor};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

type At = (u64, i16);

fn at() -> impl Strategy<Value = At> {
    (0..12_u64, -1..2_i16)
}

#[derive(Debug, Clone)]
enum ListCall {
    Get(At),
    Append(At, u32),
    AppendAll(At, Vec<u32>),
    Update(At, Vec<u32>),
    Clear(At),
}

fn list_call() -> impl Strategy<Value = ListCall> {
    prop_oneof![
        3 => at().prop_map(ListCall::Get),
        6 => (at(), any::<u32>()).prop_map(|(at, one)| ListCall::Append(at, one)),
        2 => (at(), vec(any::<u32>(), 0..9)).prop_map(|(at, all)| ListCall::AppendAll(at, all)),
        1 => (at(), vec(any::<u32>(), 0..9)).prop_map(|(at, all)| ListCall::Update(at, all)),
        1 => at().prop_map(ListCall::Clear),
    ]
}

/// Lists keep their order, whatever is appended, set or removed; an empty one is none.
pub fn lists_follow_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(list_call(), 0..250), |calls| {
        let mut backend = fresh(factory);
        let handle = backend.open(ListDescriptor::<u64, u32, i16>::new("state")).unwrap();
        let mut model = BTreeMap::<At, Vec<u32>>::new();
        let state = backend.state(handle).unwrap();
        for call in calls {
            match call {
                ListCall::Get((k, n)) => {
                    let known = model.get(&(k, n)).cloned().unwrap_or_default();
                    assert_eq!(state.get(&k, &n).unwrap(), known);
                }
                ListCall::Append((k, n), one) => {
                    state.append(&k, &n, one).unwrap();
                    model.entry((k, n)).or_default().push(one);
                }
                ListCall::AppendAll((k, n), all) => {
                    state.append_all(&k, &n, all.iter().copied()).unwrap();
                    model.entry((k, n)).or_default().extend(all);
                }
                ListCall::Update((k, n), all) => {
                    state.update(&k, &n, all.iter().copied()).unwrap();
                    model.insert((k, n), all);
                }
                ListCall::Clear((k, n)) => {
                    state.clear(&k, &n).unwrap();
                    model.remove(&(k, n));
                }
            }
        }
        for key in 0..12 {
            for namespace in -1..2 {
                let mut seen = Vec::new();
                state.for_each(&key, &namespace, |one| seen.push(*one)).unwrap();
                assert_eq!(seen, model.remove(&(key, namespace)).unwrap_or_default());
            }
        }
        // Those that are empty stand nowhere.
        let captures = backend.capture().unwrap();
        let lines = crate::lines::of_captures(&backend, &captures).unwrap();
        assert!(lines.iter().all(|line| !line.contains("[]")), "{lines:?}");
    });
}

/// A long list is read as it was appended, element by element.
pub fn long_lists_keep_their_order<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(ListDescriptor::<u64, u32>::new("state")).unwrap();
    let state = backend.state(handle).unwrap();
    for one in 0..5000 {
        state.append(&u64::from(one % 2), &(), one).unwrap();
    }
    for key in 0..2 {
        let expected = (0..5000).filter(|one| one % 2 == key).collect::<Vec<_>>();
        assert_eq!(state.get(&key.into(), &()).unwrap(), expected);
    }
}

#[derive(Debug, Clone)]
enum MapCall {
    Get(At, u8),
    Put(At, u8, String),
    Remove(At, u8),
    /// Sets what was not there, removes what was.
    Rmw(At, u8),
    Clear(At),
    All(At),
}

fn map_call() -> impl Strategy<Value = MapCall> {
    prop_oneof![
        3 => (at(), 0..60_u8).prop_map(|(at, u)| MapCall::Get(at, u)),
        9 => (at(), 0..60_u8, "[a-z]{0,8}").prop_map(|(at, u, v)| MapCall::Put(at, u, v)),
        3 => (at(), 0..60_u8).prop_map(|(at, u)| MapCall::Remove(at, u)),
        3 => (at(), 0..60_u8).prop_map(|(at, u)| MapCall::Rmw(at, u)),
        1 => at().prop_map(MapCall::Clear),
        1 => at().prop_map(MapCall::All),
    ]
}

/// Entries of maps are put, read, changed, removed one by one and all together; an empty map is none.
pub fn maps_follow_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(map_call(), 0..300), |calls| {
        let mut backend = fresh(factory);
        let handle = backend.open(MapDescriptor::<u64, u8, String, i16>::new("state")).unwrap();
        let mut model = BTreeMap::<At, BTreeMap<u8, String>>::new();
        let state = backend.state(handle).unwrap();
        for call in calls {
            match call {
                MapCall::Get((k, n), u) => {
                    let known = model.entry((k, n)).or_default().get(&u).cloned();
                    assert_eq!(state.contains(&k, &n, &u).unwrap(), known.is_some());
                    assert_eq!(state.get(&k, &n, &u).unwrap(), known);
                }
                MapCall::Put((k, n), u, value) => {
                    state.put(&k, &n, &u, value.clone()).unwrap();
                    model.entry((k, n)).or_default().insert(u, value);
                }
                MapCall::Remove((k, n), u) => {
                    state.remove(&k, &n, &u).unwrap();
                    model.entry((k, n)).or_default().remove(&u);
                }
                MapCall::Rmw((k, n), u) => {
                    let toggle = |slot: &mut Option<String>| {
                        let was = slot.take();
                        *slot = was.is_none().then(|| "new".to_owned());
                        was
                    };
                    let map = model.entry((k, n)).or_default();
                    let was = map.remove(&u);
                    assert_eq!(state.rmw(&k, &n, &u, toggle).unwrap(), was);
                    if was.is_none() {
                        map.insert(u, "new".to_owned());
                    }
                }
                MapCall::Clear((k, n)) => {
                    state.clear(&k, &n).unwrap();
                    model.remove(&(k, n));
                }
                MapCall::All((k, n)) => same(state, (k, n), model.entry((k, n)).or_default()),
            }
        }
        for key in 0..12 {
            for namespace in -1..2 {
                same(state, (key, namespace), model.entry((key, namespace)).or_default());
            }
        }
    });
}

fn same(state: &mut impl MapCalls<u64, i16, u8, String>, at: At, map: &BTreeMap<u8, String>) {
    let (k, n) = at;
    let (mut found, mut count) = (BTreeMap::new(), 0);
    let each = |user_key: &u8, value: &String| {
        found.insert(*user_key, value.clone());
        count += 1;
    };
    state.for_each(&k, &n, each).unwrap();
    assert_eq!((&found, count), (map, map.len()));
    let mut keys = state.keys(&k, &n).unwrap();
    keys.sort_unstable();
    assert!(keys.iter().eq(map.keys()));
    assert_eq!(state.is_empty(&k, &n).unwrap(), map.is_empty());
}

/// A large map under one key, beside a small one under a key next to it.
pub fn large_maps_stay_apart<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(MapDescriptor::<String, String, u32>::new("state")).unwrap();
    let state = backend.state(handle).unwrap();
    let (large, small) = ("a".to_owned(), "a\0".to_owned());
    for number in 0..2000 {
        state.put(&large, &(), &number.to_string(), number).unwrap();
    }
    state.put(&small, &(), &"1".to_owned(), 7).unwrap();
    let mut sum = 0;
    state.for_each(&large, &(), |_, value| sum += value).unwrap();
    assert_eq!((sum, state.keys(&small, &()).unwrap().len()), (1999 * 1000, 1));
    state.clear(&large, &()).unwrap();
    assert!(state.is_empty(&large, &()).unwrap());
    assert_eq!(state.get(&small, &(), &"1".to_owned()).unwrap(), Some(7));
    assert_eq!(state.get(&large, &(), &"1".to_owned()).unwrap(), None);
}
