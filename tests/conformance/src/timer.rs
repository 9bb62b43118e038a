//! Timers.

use crate::harness::{CASES, for_cases, fresh};
use esker::backend::{Backend, BackendFactory, TimerCalls};
use esker::format::{Key, KeyGroup};
use esker::state::TimerDescriptor;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A timer as it sorts: time, key group, bytes of the key, bytes of the namespace.
type Place = (i64, KeyGroup, Vec<u8>, Vec<u8>);

fn place(time_ms: i64, key: &str, namespace: i16) -> Place {
    let bytes = |key: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        key(&mut bytes);
        bytes
    };
    let key = key.to_owned();
    let group = key.with_encoded(KeyGroup::of);
    let namespace = bytes(&|out| namespace.encode_into(out));
    (time_ms, group, bytes(&|out| key.encode_into(out)), namespace)
}

#[derive(Debug, Clone)]
enum Call {
    Register(i64, String, i16),
    Delete(i64, String, i16),
    Contains(i64, String, i16),
    PopOne(i64),
    PopAll(i64),
}

fn call() -> impl Strategy<Value = Call> {
    let times = || prop_oneof![9 => -5..40_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let at = || (times(), "[a-c]{0,2}", -1..2_i16);
    prop_oneof![
        8 => at().prop_map(|(time, key, n)| Call::Register(time, key, n)),
        3 => at().prop_map(|(time, key, n)| Call::Delete(time, key, n)),
        2 => at().prop_map(|(time, key, n)| Call::Contains(time, key, n)),
        2 => times().prop_map(Call::PopOne),
        1 => (-5..40_i64).prop_map(Call::PopAll),
    ]
}

/// Timers fire in order of time, key group, key and namespace; each is there once, until it fires or
/// is deleted.
pub fn timers_follow_a_model<F: BackendFactory>(factory: &F) {
    for_cases(CASES, vec(call(), 0..250), |calls| {
        let mut backend = fresh(factory);
        let handle = backend.open(TimerDescriptor::<String, i16>::event("state")).unwrap();
        let state = backend.state(handle).unwrap();
        let mut model = BTreeSet::<Place>::new();
        for call in calls {
            let first = model.first().map(|first| first.0);
            assert_eq!(state.peek().unwrap(), first);
            match call {
                Call::Register(time_ms, key, n) => {
                    state.register(time_ms, &key, &n).unwrap();
                    model.insert(place(time_ms, &key, n));
                }
                Call::Delete(time_ms, key, n) => {
                    state.delete(time_ms, &key, &n).unwrap();
                    model.remove(&place(time_ms, &key, n));
                }
                Call::Contains(time_ms, key, n) => {
                    let known = model.contains(&place(time_ms, &key, n));
                    assert_eq!(state.contains(time_ms, &key, &n).unwrap(), known);
                }
                Call::PopOne(until_ms) => {
                    pop(state, &mut model, until_ms);
                }
                Call::PopAll(until_ms) => while pop(state, &mut model, until_ms) {},
            }
        }
        while pop(state, &mut model, i64::MAX) {}
        assert_eq!((state.peek().unwrap(), model.len()), (None, 0));
    });
}

/// Takes the next timer; whether there was one.
fn pop(
    state: &mut impl TimerCalls<String, i16>,
    model: &mut BTreeSet<Place>,
    until_ms: i64,
) -> bool {
    let popped = state.pop_due(until_ms).unwrap();
    let expected = model.first().filter(|first| first.0 <= until_ms).cloned();
    assert_eq!(popped.map(|(time_ms, key, n)| place(time_ms, &key, n)), expected);
    expected.is_some_and(|expected| model.remove(&expected))
}

/// A timer that is registered while others fire comes in its turn, be it before those that are left.
pub fn timers_that_are_set_while_others_fire_come_in_turn<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(TimerDescriptor::<u64>::processing("state")).unwrap();
    let state = backend.state(handle).unwrap();
    for time_ms in 0..300 {
        state.register(time_ms * 10, &1, &()).unwrap();
    }
    for time_ms in 0..300 {
        assert_eq!(state.pop_due(i64::MAX).unwrap(), Some((time_ms * 10, 1, ())));
        if time_ms % 3 == 0 {
            // Behind what has fired, and before what is next.
            state.register(time_ms * 10 - 5, &2, &()).unwrap();
            state.register(time_ms * 10 + 5, &2, &()).unwrap();
            assert_eq!(state.pop_due(i64::MAX).unwrap(), Some((time_ms * 10 - 5, 2, ())));
            assert_eq!(state.peek().unwrap(), Some(time_ms * 10 + 5));
            state.delete(time_ms * 10 + 5, &2, &()).unwrap();
        }
    }
    assert_eq!(state.pop_due(i64::MAX).unwrap(), None);
}
