//! Value state, and what stands on it: reducing and aggregating state.

use crate::every::{Mean, Means};
use crate::harness::{CASES, for_cases, fresh, live};
use crate::lines;
use esker::backend::{Backend, BackendFactory, KeyedState, ListCalls, MapCalls, ValueCalls};
use esker::format::Ordered;
use esker::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    ValueDescriptor,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Keys, namespaces: few of them, so that calls meet.
type At = (u64, i16);

fn at() -> impl Strategy<Value = At> {
    (0..30_u64, -1..2_i16)
}

#[derive(Debug, Clone)]
enum Call {
    Get(At),
    Update(At, String),
    Clear(At),
    /// Sets what was not there, removes what was longer than a byte, makes the rest longer.
    Rmw(At),
    /// Looks, and leaves it as it is.
    Look(At),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => at().prop_map(Call::Get),
        4 => (at(), "[a-z\0]{0,12}").prop_map(|(at, value)| Call::Update(at, value)),
        1 => at().prop_map(Call::Clear),
        3 => at().prop_map(Call::Rmw),
        1 => at().prop_map(Call::Look),
    ]
}

fn grow(slot: &mut Option<String>) -> Option<String> {
    let before = slot.clone();
    *slot = match slot.take() {
        None => Some(String::new()),
        Some(text) if text.len() > 1 => None,
        Some(text) => Some(text + "x"),
    };
    before
}

/// What `get`, `get_with` and `rmw` see of a value is what was set last in that key and namespace.
pub fn values_follow_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(call(), 0..200), |calls| {
        let mut backend = fresh(factory);
        let handle = backend.open(ValueDescriptor::<u64, String, i16>::new("state")).unwrap();
        let mut model = BTreeMap::<At, String>::new();
        let state = backend.state(handle).unwrap();
        for call in calls {
            match call {
                Call::Get(at) => {
                    assert_eq!(state.get(&at.0, &at.1).unwrap(), model.get(&at).cloned());
                }
                Call::Update(at, value) => {
                    state.update(&at.0, &at.1, value.clone()).unwrap();
                    model.insert(at, value);
                }
                Call::Clear(at) => {
                    state.clear(&at.0, &at.1).unwrap();
                    model.remove(&at);
                }
                Call::Look(at) => {
                    let is_some = state.rmw(&at.0, &at.1, |slot| slot.is_some()).unwrap();
                    assert_eq!(is_some, model.contains_key(&at));
                }
                Call::Rmw(at) => {
                    let mut slot = model.remove(&at);
                    assert_eq!(state.rmw(&at.0, &at.1, grow).unwrap(), grow(&mut slot));
                    slot.into_iter().for_each(|value| drop(model.insert(at, value)));
                }
            }
        }
        for key in 0..30 {
            for namespace in -1..2 {
                let len = state.get_with(&key, &namespace, |value| value.map(String::len)).unwrap();
                assert_eq!(len, model.get(&(key, namespace)).map(String::len));
            }
        }
        assert_eq!(state.get(&99, &0).unwrap(), None);
        let entries = state.entries();
        let capture = &backend.capture().unwrap()[0];
        assert_eq!(live(&**capture), model.len() as u64);
        assert!(entries == model.len() as u64 || !capture.is_counted(), "{entries}");
    });
}

#[derive(Debug, Clone)]
enum Fold {
    Add(At, u32),
    Clear(At),
    /// Namespaces 0 and 1 into -1.
    Merge(u64),
    Get(At),
}

fn fold() -> impl Strategy<Value = Fold> {
    prop_oneof![
        6 => (at(), 0..1000_u32).prop_map(|(at, input)| Fold::Add(at, input)),
        1 => at().prop_map(Fold::Clear),
        1 => (0..30_u64).prop_map(Fold::Merge),
        2 => at().prop_map(Fold::Get),
    ]
}

fn add(sum: &mut u32, input: u32) {
    *sum += input;
}

/// Inputs are folded into one value, which is read, removed and merged across namespaces.
pub fn reducing_state_follows_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(fold(), 0..200), |calls| {
        let mut backend = fresh(factory);
        let descriptor = ReducingDescriptor::<u64, u32, i16>::with_codec("state", Ordered, add);
        let handle = backend.open(descriptor).unwrap();
        let mut model = BTreeMap::<At, u32>::new();
        for call in calls {
            let state = backend.state(handle).unwrap();
            match call {
                Fold::Add(at, input) => {
                    state.add(&at.0, &at.1, input).unwrap();
                    *model.entry(at).or_default() += input;
                }
                Fold::Clear(at) => {
                    assert_eq!(state.clear(&at.0, &at.1).unwrap(), model.remove(&at));
                }
                Fold::Merge(key) => {
                    state.merge_namespaces(&key, &[0, 1], &-1).unwrap();
                    for sum in [0, 1].map(|from| model.remove(&(key, from))).into_iter().flatten() {
                        *model.entry((key, -1)).or_default() += sum;
                    }
                }
                Fold::Get(at) => {
                    assert_eq!(state.get(&at.0, &at.1).unwrap(), model.get(&at).copied());
                }
            }
        }
        let state = backend.state(handle).unwrap();
        for (at, sum) in &model {
            assert_eq!(state.get(&at.0, &at.1).unwrap(), Some(*sum));
        }
    });
}

/// Inputs are folded into an accumulator of another type, which alone is stored.
pub fn aggregating_state_follows_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(fold(), 0..200), |calls| {
        let mut backend = fresh(factory);
        let descriptor = AggregatingDescriptor::<u64, Means, i16>::new("state", Means);
        let handle = backend.open(descriptor).unwrap();
        let mut model = BTreeMap::<At, Mean>::new();
        for call in calls {
            let state = backend.state(handle).unwrap();
            match call {
                Fold::Add(at, input) => {
                    state.add(&at.0, &at.1, input).unwrap();
                    Means.add(model.entry(at).or_default(), input);
                }
                Fold::Clear(at) => {
                    assert_eq!(state.clear(&at.0, &at.1).unwrap(), model.remove(&at));
                }
                // Means do not merge.
                Fold::Merge(key) => assert_eq!(state.get(&key, &7).unwrap(), None),
                Fold::Get(at) => {
                    let mean = model.get(&at);
                    assert_eq!(state.accumulator(&at.0, &at.1).unwrap().as_ref(), mean);
                    let output = mean.map(|mean| Means.result(mean));
                    assert_eq!(state.get(&at.0, &at.1).unwrap(), output);
                }
            }
        }
        let state = backend.state(handle).unwrap();
        for (at, mean) in &model {
            assert_eq!(state.accumulator(&at.0, &at.1).unwrap().as_ref(), Some(mean));
        }
    });
}

/// A value may be of no byte or of many, and one of none is there; so are elements and entries of maps.
pub fn values_are_of_any_size<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let value =
        backend.open(ValueDescriptor::<u64, Vec<u8>>::with_codec("value", Ordered)).unwrap();
    let none = backend.open(ValueDescriptor::<u64, ()>::new("none")).unwrap();
    let list = backend.open(ListDescriptor::<u64, ()>::new("list")).unwrap();
    let map = backend.open(MapDescriptor::<u64, String, ()>::new("map")).unwrap();
    let lens = [0, 1, 127, 128, 70_000, 1_000_000];
    let of = |key: usize| vec![key as u8; lens[key]];
    for key in 0..lens.len() {
        let k = &(key as u64);
        backend.state(value).unwrap().update(k, &(), of(key)).unwrap();
        backend.state(none).unwrap().update(k, &(), ()).unwrap();
        backend.state(list).unwrap().append_all(k, &(), vec![(); key]).unwrap();
        backend.state(map).unwrap().put(k, &(), &String::new(), ()).unwrap();
    }
    for key in 0..lens.len() {
        let k = &(key as u64);
        assert!(backend.state(value).unwrap().get(k, &()).unwrap() == Some(of(key)), "{key}");
        assert_eq!(backend.state(none).unwrap().get(k, &()).unwrap(), Some(()));
        assert_eq!(backend.state(list).unwrap().get(k, &()).unwrap().len(), key);
        assert_eq!(backend.state(map).unwrap().keys(k, &()).unwrap(), [""]);
    }
    let captures = backend.capture().unwrap();
    let lines = lines::of_captures(&backend, &captures).unwrap();
    // The list of no element is none.
    assert_eq!(lines.len(), 4 * lens.len() - 1);
}

/// Keys and namespaces are told apart by all of their bytes: zeros, prefixes of each other, and
/// where one ends and the other begins.
pub fn addresses_are_told_apart<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(ValueDescriptor::<String, u32, Vec<u8>>::new("state")).unwrap();
    let state = backend.state(handle).unwrap();
    let keys = ["", "\0", "\0\0", "\0\u{1}", "a", "a\0", "aa", "ab", "b", "\u{10ffff}"];
    let namespaces: [&[u8]; 7] = [b"", b"\0", b"\0\xff", b"\xff", b"\xff\xff", b"a", b"aa"];
    let addresses = || keys.iter().flat_map(|key| namespaces.iter().map(move |n| (key, n)));
    for (number, (key, namespace)) in (0..).zip(addresses()) {
        state.update(&(*key).to_owned(), &namespace.to_vec(), number).unwrap();
    }
    for (number, (key, namespace)) in (0..).zip(addresses()) {
        let found = state.get(&(*key).to_owned(), &namespace.to_vec()).unwrap();
        assert_eq!(found, Some(number), "{key:?} {namespace:?}");
        state.clear(&(*key).to_owned(), &namespace.to_vec()).unwrap();
        assert_eq!(state.get(&(*key).to_owned(), &namespace.to_vec()).unwrap(), None);
    }
}
