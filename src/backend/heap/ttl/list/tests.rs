use super::super::tests::{DURATION_MS, configs, stored};
use super::*;
use crate::backend::heap::testing::{changes, full, ops, owner, restore, subtasks};
use crate::format::manifest::TtlUpdate;
use crate::state::TtlVisibility;
use esker_format::Ordered;
use esker_format::run::Op;
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = TtlListState<u64, u8, u32>;
/// Elements with the time of their last update; what has expired stays.
type Model = BTreeMap<(u64, u8), Vec<(u32, i64)>>;

fn state(range: KeyGroupRange, config: TtlConfig) -> State {
    TtlListState::new(7, range, Ordered, config).unwrap()
}

#[derive(Debug, Clone)]
enum Call {
    Get(u64, u8),
    Append(u64, u8, u32),
    Update(u64, u8, Vec<u32>),
    Clear(u64, u8),
    Later(i64),
}

fn call() -> impl Strategy<Value = Call> {
    let at = || (0..20_u64, 0..2_u8);
    prop_oneof![
        3 => at().prop_map(|(k, n)| Call::Get(k, n)),
        8 => (at(), any::<u32>()).prop_map(|((k, n), e)| Call::Append(k, n, e)),
        1 => (at(), proptest::collection::vec(any::<u32>(), 0..5))
            .prop_map(|((k, n), all)| Call::Update(k, n, all)),
        1 => at().prop_map(|(k, n)| Call::Clear(k, n)),
        1 => (0..5_i64).prop_map(Call::Later),
    ]
}

fn seen(model: &Model, key: u64, namespace: u8, now_ms: i64) -> Vec<u32> {
    let list = model.get(&(key, namespace)).into_iter().flatten();
    list.filter(|(_, t)| now_ms < t + DURATION_MS as i64).map(|(e, _)| *e).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// As for values: what is seen is what the times say, whatever was dropped when, and in the order
    /// of the appends; a restore leaves out what had expired (I8).
    #[test]
    fn what_is_visible_depends_on_times_alone(
        config in configs(),
        epochs in proptest::collection::vec(proptest::collection::vec(call(), 0..150), 1..5),
        (before, after) in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let mut states = subtasks(before, |range| state(range, config));
        let (mut model, mut now_ms) = (Model::new(), 0);
        let (mut fulls, mut chain_runs) = (Vec::new(), Vec::new());
        for epoch in epochs {
            for call in epoch {
                match call {
                    Call::Get(k, n) => {
                        let list = seen(&model, k, n, now_ms);
                        prop_assert_eq!(owner(&mut states, &k).get(&k, &n).unwrap(), list);
                        if config.update == TtlUpdate::ReadAndWrite {
                            let live = seen(&model, k, n, now_ms).into_iter();
                            model.insert((k, n), live.map(|e| (e, now_ms)).collect());
                        }
                    }
                    Call::Append(k, n, e) => {
                        owner(&mut states, &k).append(&k, &n, e).unwrap();
                        model.entry((k, n)).or_default().push((e, now_ms));
                    }
                    Call::Update(k, n, all) => {
                        owner(&mut states, &k).update(&k, &n, all.clone()).unwrap();
                        model.insert((k, n), all.into_iter().map(|e| (e, now_ms)).collect());
                    }
                    Call::Clear(k, n) => {
                        let live = owner(&mut states, &k).clear(&k, &n).unwrap();
                        prop_assert_eq!(live, !seen(&model, k, n, now_ms).is_empty());
                        model.remove(&(k, n));
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
        let live: usize =
            model.keys().map(|(key, n)| seen(&model, *key, *n, now_ms).len()).sum();
        prop_assert_eq!(of_chain.iter().map(|state| state.entries()).sum::<u64>(), live as u64);
        for (a, b) in of_fulls.iter_mut().zip(&mut of_chain) {
            prop_assert_eq!(full(&*a.capture_state()), full(&*b.capture_state()));
        }
        for key in 0..20 {
            for namespace in 0..2 {
                let list = seen(&model, key, namespace, now_ms);
                for states in [&mut states, &mut of_fulls, &mut of_chain] {
                    prop_assert_eq!(&owner(states, &key).get(&key, &namespace).unwrap(), &list);
                }
            }
        }
    }
}

#[test]
fn a_list_that_expires_at_its_front_is_seldom_rewritten() {
    let mut state = state(KeyGroupRange::ALL, TtlConfig::new(100));
    let (mut rewritten, mut most) = (0, 0);
    for now_ms in 0..1000_i64 {
        state.set_time_ms(now_ms);
        state.append(&1, &0, now_ms as u32).unwrap();
        let live: Vec<_> = ((now_ms - 99).max(0) as u32..=now_ms as u32).collect();
        assert_eq!(state.get(&1, &0).unwrap(), live);
        rewritten += usize::from(ops(&changes(&*state.capture_state()))[0].0 == Op::Put);
        most = most.max(state.entries());
    }
    assert!((5..20).contains(&rewritten), "{rewritten} of a thousand");
    assert!(most <= 200, "{most} elements held");
}

#[test]
fn cleaning_drops_lists_that_nobody_reads() {
    let config = TtlConfig { clean_entries_per_call: 4, ..TtlConfig::new(DURATION_MS) };
    let mut state = state(KeyGroupRange::ALL, config);
    for key in 0..1000 {
        state.append_all(&key, &0, 0..5).unwrap();
    }
    state.set_time_ms(10);
    for _ in 0..1000 / 4 + 100 {
        state.update(&1_000_000, &0, [0]).unwrap();
    }
    assert_eq!((state.lists(), state.entries()), (1, 1));
}

#[test]
fn an_expired_element_may_be_seen_once() {
    let visibility = TtlVisibility::UntilCleanedUp;
    let mut state = state(KeyGroupRange::ALL, TtlConfig { visibility, ..TtlConfig::new(10) });
    state.append(&1, &0, 1).unwrap();
    state.set_time_ms(9);
    state.append_all(&1, &0, 2..5).unwrap();
    state.set_time_ms(10);
    assert_eq!(state.get(&1, &0).unwrap(), [1, 2, 3, 4]);
    assert_eq!(state.get(&1, &0).unwrap(), [2, 3, 4]);
}
