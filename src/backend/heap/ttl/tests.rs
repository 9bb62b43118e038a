use super::super::testing::{changes, full, owner, restore, subtasks};
use super::*;
use crate::backend::{Backend, KeyedState, ReducingState};
use crate::backend::{Timed, TimedCodec};
use crate::format::manifest::TtlUpdate;
use crate::state::{TtlConfig, TtlVisibility};
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::{KeyGroupRange, Ordered, ValueCodec};
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = TtlValueState<u64, u8, u64>;
/// Value and time of the last update; what has expired stays.
type Model = BTreeMap<(u64, u8), (u64, i64)>;

pub(super) const DURATION_MS: u64 = 10;

pub(super) fn configs() -> impl Strategy<Value = TtlConfig> {
    let update = prop_oneof![Just(TtlUpdate::Write), Just(TtlUpdate::ReadAndWrite)];
    (update, any::<bool>(), 0..9_usize).prop_map(|(update, clean_full_snapshots, few)| TtlConfig {
        update,
        clean_full_snapshots,
        clean_entries_per_call: few,
        ..TtlConfig::new(DURATION_MS)
    })
}

/// What a manifest says of a state whose entries live so long.
pub(super) fn stored(duration_ms: u64) -> StateInfo {
    StateInfo {
        id: 7,
        name: "state".into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: None,
        ttl: Some(TtlConfig::new(duration_ms).ttl()),
        extra: Default::default(),
    }
}

fn state(range: KeyGroupRange, config: TtlConfig) -> State {
    TtlValueState::new(7, range, Ordered, config).unwrap()
}

#[derive(Debug, Clone)]
enum Call {
    Get(u64, u8),
    Update(u64, u8, u64),
    Clear(u64, u8),
    Later(i64),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..80_u64, 0..2_u8).prop_map(|(k, n)| Call::Get(k, n)),
        6 => (0..80_u64, 0..2_u8, any::<u64>()).prop_map(|(k, n, v)| Call::Update(k, n, v)),
        1 => (0..80_u64, 0..2_u8).prop_map(|(k, n)| Call::Clear(k, n)),
        1 => (0..5_i64).prop_map(Call::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is seen is what the times say, whatever was cleaned up when; so it is after a restore
    /// at any parallelism, from a full snapshot or from a chain (I8).
    #[test]
    fn what_is_visible_depends_on_times_alone(
        config in configs(),
        epochs in proptest::collection::vec(proptest::collection::vec(call(), 0..150), 1..5),
        (before, after) in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let mut states = subtasks(before, |range| state(range, config));
        let mut chain = subtasks(after, |range| state(range, config));
        let (mut model, mut now_ms) = (Model::new(), 0);
        let mut fulls = Vec::new();
        let seen = |model: &Model, key: u64, namespace: u8, now_ms: i64| {
            let live = model.get(&(key, namespace)).filter(|(_, t)| now_ms < t + DURATION_MS as i64);
            live.map(|(value, _)| *value)
        };
        for epoch in epochs {
            for call in epoch {
                match call {
                    Call::Get(k, n) => {
                        let value = seen(&model, k, n, now_ms);
                        prop_assert_eq!(owner(&mut states, &k).get(&k, &n).unwrap(), value);
                        if config.update == TtlUpdate::ReadAndWrite && let Some(value) = value {
                            model.insert((k, n), (value, now_ms));
                        }
                    }
                    Call::Update(k, n, value) => {
                        let old = owner(&mut states, &k).update(&k, &n, value).unwrap();
                        prop_assert_eq!(old, seen(&model, k, n, now_ms));
                        model.insert((k, n), (value, now_ms));
                    }
                    Call::Clear(k, n) => {
                        let old = owner(&mut states, &k).clear(&k, &n).unwrap();
                        prop_assert_eq!(old, seen(&model, k, n, now_ms));
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
                prop_assert_eq!(capture.ttl_time_ms(), Some(now_ms));
                restore(&mut chain, &changes(&*capture));
                fulls.push(full(&*capture));
            }
        }
        let mut restored = subtasks(after, |range| state(range, config));
        fulls.iter().for_each(|file| restore(&mut restored, file));
        for (a, b) in restored.iter_mut().zip(&mut chain) {
            a.set_time_ms(now_ms);
            b.set_time_ms(now_ms);
            let entries = a.entries();
            let (a, b) = (full(&*a.capture_state()), full(&*b.capture_state()));
            prop_assert_eq!(a, b);
            if config.clean_full_snapshots {
                let live = model.values().filter(|(_, t)| now_ms < t + DURATION_MS as i64).count();
                prop_assert!(entries as usize <= live);
            }
        }
        for key in 0..80 {
            for namespace in 0..2 {
                let value = seen(&model, key, namespace, now_ms);
                for states in [&mut states, &mut restored, &mut chain] {
                    let state = owner(states, &key);
                    prop_assert_eq!(state.get(&key, &namespace).unwrap(), value);
                }
            }
        }
    }
}

#[test]
fn cleaning_goes_round_across_captures() {
    let config = TtlConfig { clean_entries_per_call: 8, ..TtlConfig::new(DURATION_MS) };
    let mut state = state(KeyGroupRange::ALL, config);
    for key in 0..5000 {
        state.update(&key, &0, key).unwrap();
    }
    assert_eq!(state.len(), 5000);
    state.set_time_ms(10);
    for call in 0..5000 / 8 + 100 {
        let before = state.len();
        state.update(&1_000_000, &0, 0).unwrap();
        assert!(before < state.len() + 9, "more than eight were looked at");
        if call % 10 == 0 {
            drop(state.capture());
        }
    }
    assert_eq!(state.len(), 1, "all but the one that is written");
}

#[test]
fn an_expired_value_may_be_seen_once() {
    let config =
        TtlConfig { visibility: TtlVisibility::UntilCleanedUp, ..TtlConfig::new(DURATION_MS) };
    for update in [TtlUpdate::Write, TtlUpdate::ReadAndWrite] {
        let mut state = state(KeyGroupRange::ALL, TtlConfig { update, ..config });
        state.update(&1, &0, 5).unwrap();
        state.set_time_ms(10);
        assert_eq!(state.get(&1, &0).unwrap(), Some(5));
        assert_eq!((state.get(&1, &0).unwrap(), state.len()), (None, 0));
    }
}

#[test]
fn a_restore_leaves_out_what_had_expired_by_the_duration_of_then() {
    // It does not clean up, so that what has expired is in the run.
    let config = TtlConfig { clean_full_snapshots: false, ..TtlConfig::new(DURATION_MS) };
    let mut old = state(KeyGroupRange::ALL, config);
    old.update(&1, &0, 1).unwrap();
    old.set_time_ms(5);
    old.update(&2, &0, 2).unwrap();
    old.set_time_ms(10);
    let capture = old.capture_state();
    for (duration_ms, wanted) in [(DURATION_MS, [None, Some(2)]), (2, [None; 2])] {
        let mut new = state(KeyGroupRange::ALL, TtlConfig::new(1000));
        new.captured_at(10);
        new.begin_restore(&stored(duration_ms)).unwrap();
        restore(std::slice::from_mut(&mut new), &full(&*capture));
        new.end_restore();
        assert_eq!([1, 2].map(|key| new.get(&key, &0).unwrap()), wanted);
        assert_eq!(new.entries(), wanted.iter().flatten().count() as u64);
    }
}

#[test]
fn time_does_not_go_back() {
    let mut state = state(KeyGroupRange::ALL, TtlConfig::new(DURATION_MS));
    state.set_time_ms(-100);
    state.update(&1, &0, 1).unwrap();
    state.set_time_ms(-90);
    assert_eq!(state.capture_state().ttl_time_ms(), Some(-90));
    // The capture left the value out, so it must not be seen again.
    state.set_time_ms(-95);
    assert_eq!(state.get(&1, &0).unwrap(), None);
}

#[test]
fn reducing_state_may_expire() {
    let values = state(KeyGroupRange::ALL, TtlConfig::new(DURATION_MS));
    let mut sums = ReducingState::over(values, |value, input| *value += input);
    sums.add(&1, &0, 5).unwrap();
    sums.set_time_ms(9);
    sums.add(&1, &0, 6).unwrap();
    sums.set_time_ms(18);
    assert_eq!(sums.get(&1, &0).unwrap(), Some(11));
    sums.set_time_ms(19);
    sums.add(&1, &0, 1).unwrap();
    assert_eq!(sums.get(&1, &0).unwrap(), Some(1));
}

#[test]
fn times_at_the_ends_neither_wrap_nor_revive() {
    let config = TtlConfig::new(u64::MAX);
    assert!(!config.is_expired(0, i64::MAX - 1) && !TtlConfig::new(1).is_expired(5, i64::MIN));
    assert!(TtlConfig::new(1).is_expired(i64::MIN, 0) && TtlConfig::new(0).is_expired(3, 3));
}

#[test]
fn bytes_are_pinned() {
    let mut out = vec![9];
    let timed = Timed { time_ms: -2, value: 7_u16 };
    TimedCodec(Ordered).encode(&timed, &mut out).unwrap();
    assert_eq!(out, [9, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0, 7]);
    assert_eq!(ValueCodec::<Timed<u16>>::decode(&TimedCodec(Ordered), &out[1..]).unwrap(), timed);
    assert!(ValueCodec::<Timed<u16>>::decode(&TimedCodec(Ordered), &out[1..8]).is_err());
}

#[test]
fn a_state_opened_later_has_the_time_of_its_backend() {
    use crate::backend::heap::HeapBackend;
    use crate::state::ValueDescriptor;
    let mut backend = HeapBackend::new("op", KeyGroupRange::ALL);
    backend.set_time_ms(1000);
    let descriptor = ValueDescriptor::<u64, u64>::new("state");
    let handle = backend.open(descriptor.with_ttl(TtlConfig::new(DURATION_MS))).unwrap();
    backend.state(handle).unwrap().update(&1, &(), 7).unwrap();
    backend.set_time_ms(1005);
    assert_eq!(backend.state(handle).unwrap().get(&1, &()).unwrap(), Some(7));
}
