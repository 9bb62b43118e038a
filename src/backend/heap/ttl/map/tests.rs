use super::super::tests::{DURATION_MS, configs, stored};
use super::*;
use crate::backend::heap::testing::{changes, full, owner, restore, subtasks};
use crate::format::manifest::TtlUpdate;
use esker_format::Ordered;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type State = TtlMapState<u64, u8, u16, u32>;
/// Value and time of the last update; what has expired stays.
type Model = BTreeMap<(u64, u8, u16), (u32, i64)>;

fn state(range: KeyGroupRange, config: TtlConfig) -> State {
    TtlMapState::new(7, range, Ordered, config).unwrap()
}

#[derive(Debug, Clone)]
enum Call {
    Get(u64, u8, u16),
    All(u64, u8),
    Put(u64, u8, u16, u32),
    Remove(u64, u8, u16),
    Clear(u64, u8),
    Later(i64),
}

fn call() -> impl Strategy<Value = Call> {
    // Few maps, so that some are large.
    let at = || (0..6_u64, 0..2_u8, 0..60_u16);
    prop_oneof![
        3 => at().prop_map(|(k, n, u)| Call::Get(k, n, u)),
        1 => at().prop_map(|(k, n, _)| Call::All(k, n)),
        9 => (at(), any::<u32>()).prop_map(|((k, n, u), v)| Call::Put(k, n, u, v)),
        1 => at().prop_map(|(k, n, u)| Call::Remove(k, n, u)),
        1 => at().prop_map(|(k, n, _)| Call::Clear(k, n)),
        1 => (0..3_i64).prop_map(Call::Later),
    ]
}

fn seen(model: &Model, at: (u64, u8, u16), now_ms: i64) -> Option<u32> {
    let live = model.get(&at).filter(|(_, t)| now_ms < t + DURATION_MS as i64);
    live.map(|(value, _)| *value)
}

fn seen_all(model: &Model, key: u64, namespace: u8, now_ms: i64) -> BTreeMap<u16, u32> {
    let all = (0..60).filter_map(|u| Some((u, seen(model, (key, namespace, u), now_ms)?)));
    all.collect()
}

fn all(state: &mut State, key: u64, namespace: u8) -> BTreeMap<u16, u32> {
    let mut all = BTreeMap::new();
    let each = |u: &u16, v: &u32| assert_eq!(all.insert(*u, *v), None, "met twice");
    state.for_each(&key, &namespace, each).unwrap();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// As for values, of each entry by itself (I8).
    #[test]
    fn what_is_visible_depends_on_times_alone(
        config in configs(),
        epochs in proptest::collection::vec(proptest::collection::vec(call(), 0..300), 1..5),
        (before, after) in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let mut states = subtasks(before, |range| state(range, config));
        let (mut model, mut now_ms) = (Model::new(), 0);
        let (mut fulls, mut chain_runs) = (Vec::new(), Vec::new());
        let renews = config.update == TtlUpdate::ReadAndWrite;
        for epoch in epochs {
            for call in epoch {
                match call {
                    Call::Get(k, n, u) => {
                        let value = seen(&model, (k, n, u), now_ms);
                        prop_assert_eq!(owner(&mut states, &k).get(&k, &n, &u).unwrap(), value);
                        if let Some(value) = value.filter(|_| renews) {
                            model.insert((k, n, u), (value, now_ms));
                        }
                    }
                    Call::All(k, n) => {
                        let wanted = seen_all(&model, k, n, now_ms);
                        prop_assert_eq!(all(owner(&mut states, &k), k, n), wanted.clone());
                        for (u, value) in wanted.into_iter().filter(|_| renews) {
                            model.insert((k, n, u), (value, now_ms));
                        }
                    }
                    Call::Put(k, n, u, value) => {
                        let old = owner(&mut states, &k).put(&k, &n, &u, value).unwrap();
                        prop_assert_eq!(old, seen(&model, (k, n, u), now_ms));
                        model.insert((k, n, u), (value, now_ms));
                    }
                    Call::Remove(k, n, u) => {
                        let old = owner(&mut states, &k).remove(&k, &n, &u).unwrap();
                        prop_assert_eq!(old, seen(&model, (k, n, u), now_ms));
                        model.remove(&(k, n, u));
                    }
                    Call::Clear(k, n) => {
                        let live = owner(&mut states, &k).clear(&k, &n).unwrap();
                        prop_assert_eq!(live, !seen_all(&model, k, n, now_ms).is_empty());
                        model.retain(|(key, namespace, _), _| (*key, *namespace) != (k, n));
                    }
                    Call::Later(by_ms) => {
                        now_ms += by_ms;
                        states.iter_mut().for_each(|state| state.set_time_ms(now_ms));
                    }
                }
            }
            fulls.clear();
            for state in &mut states {
                let capture = state.capture_state();
                chain_runs.push(changes(&*capture));
                fulls.push(full(&*capture));
            }
        }
        let restored = |runs: &[Vec<u8>]| {
            let mut states = subtasks(after, |range| state(range, config));
            for state in &mut states {
                state.captured_at(now_ms);
                state.begin_restore(&stored(DURATION_MS)).unwrap();
            }
            runs.iter().for_each(|run| restore(&mut states, run));
            states.iter_mut().for_each(|state| state.end_restore());
            states
        };
        let (mut of_fulls, mut of_chain) = (restored(&fulls), restored(&chain_runs));
        let live = model.keys().filter(|at| seen(&model, **at, now_ms).is_some()).count();
        prop_assert_eq!(of_chain.iter().map(|state| state.entries()).sum::<u64>(), live as u64);
        for (a, b) in of_fulls.iter_mut().zip(&mut of_chain) {
            prop_assert_eq!(full(&*a.capture_state()), full(&*b.capture_state()));
        }
        for (key, namespace) in (0..6).flat_map(|key| [(key, 0), (key, 1)]) {
            let wanted = seen_all(&model, key, namespace, now_ms);
            for states in [&mut states, &mut of_fulls, &mut of_chain] {
                prop_assert_eq!(&all(owner(states, &key), key, namespace), &wanted);
            }
        }
    }
}

#[test]
fn cleaning_looks_at_few_entries_of_large_maps_too() {
    let config = TtlConfig { clean_entries_per_call: 8, ..TtlConfig::new(DURATION_MS) };
    let mut state = state(KeyGroupRange::ALL, config);
    for user_key in 0..5000 {
        state.put(&u64::from(user_key % 3), &0, &user_key, 1).unwrap();
        state.put(&u64::from(user_key), &1, &0, 1).unwrap();
    }
    state.set_time_ms(10);
    for call in 0..10_000 / 8 + 500 {
        let before = state.entries();
        state.put(&1_000_000, &0, &0, 0).unwrap();
        assert!(before <= state.entries() + 8 + 31, "more than asked for and a small map");
        if call % 10 == 0 {
            drop(state.capture());
        }
    }
    assert_eq!((state.maps(), state.entries()), (1, 1), "all but the one that is written");
}

#[test]
fn each_entry_is_met_once_in_a_round() {
    let mut maps = MapState::<u64, (), u16, u32>::new(1, KeyGroupRange::ALL, Ordered).unwrap();
    for user_key in 0..2000_u16 {
        maps.put(&u64::from(user_key % 7 * (user_key % 2)), &(), &user_key, 0).unwrap();
    }
    for limit in [1, 5, 40, 10_000] {
        let (mut cursor, mut met) = (MapCursor::default(), BTreeSet::new());
        let mut calls = 0;
        while met.len() < 2000 {
            maps.visit(&mut cursor, limit, |_, (), user_key, _| {
                assert!(met.insert(*user_key), "{user_key} twice");
            });
            calls += 1;
            assert!(calls < 20_000, "the walk does not end");
        }
    }
}
