use super::super::testing::{changes, full, owner, restore, run, subtasks};
use super::*;
use esker_format::composite::CompositeKey;
use proptest::prelude::*;
use std::collections::BTreeSet;

type Timers = TimerState<u64, u8>;
/// In the order of firing.
type Model = BTreeSet<(i64, u16, [u8; 8], u8)>;

fn timers(range: KeyGroupRange) -> Timers {
    TimerState::new(5, TimeDomain::Event, range).unwrap()
}

fn row(time_ms: i64, key: u64, namespace: u8) -> (i64, u16, [u8; 8], u8) {
    (time_ms, key.with_encoded(KeyGroup::of).0, key.to_be_bytes(), namespace)
}

fn content(timers: &Timers) -> Vec<(i64, u16, [u8; 8], u8)> {
    let mut all = Vec::new();
    let mut add = |timer: Probe<'_, u64, u8>| {
        all.push(row(timer.time_ms, *timer.key, *timer.namespace));
    };
    timers.front.iter().rev().for_each(|timer| add(timer.probe()));
    timers.tree.for_leaves(false, &mut |leaf| {
        (0..leaf.timers.len())
            .filter_map(|at| leaf.timers.get(at))
            .for_each(|(timer, _)| add(timer));
    });
    all
}

#[derive(Debug, Clone)]
enum Call {
    Register(i64, u64, u8),
    /// As many as fill a few leaves, at times and keys that differ by these.
    RegisterMany(i64, u64, i64, u64),
    Delete(i64, u64, u8),
    DeleteMany(i64, u64, i64, u64),
    /// Fires up to a time; each fired timer may register another, that much later.
    Fire(i64, Option<i64>),
}

fn call() -> impl Strategy<Value = Call> {
    let time = prop_oneof![8 => -50..50_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let step = prop_oneof![Just((0, 1)), Just((1, 0)), Just((1, 7)), Just((-1, 3))];
    let many = (-500..500_i64, 0..300_u64, step);
    prop_oneof![
        6 => (time.clone(), 0..20_u64, 0..2_u8).prop_map(|(t, k, n)| Call::Register(t, k, n)),
        3 => many.clone().prop_map(|(t, k, (a, b))| Call::RegisterMany(t, k, a, b)),
        4 => (time.clone(), 0..20_u64, 0..2_u8).prop_map(|(t, k, n)| Call::Delete(t, k, n)),
        2 => many.prop_map(|(t, k, (a, b))| Call::DeleteMany(t, k, a, b)),
        2 => (time, proptest::option::of(1..40_i64)).prop_map(|(t, again)| Call::Fire(t, again)),
    ]
}

fn many(time_ms: i64, key: u64, steps: (i64, u64)) -> impl Iterator<Item = (i64, u64)> {
    (0..200).map(move |i| (time_ms + i * steps.0, key + i as u64 * steps.1))
}

fn register(states: &mut [Timers], model: &mut Model, (time_ms, key, namespace): (i64, u64, u8)) {
    let new = owner(states, &key).register(time_ms, &key, &namespace).unwrap();
    assert_eq!(new, model.insert(row(time_ms, key, namespace)));
}

fn delete(states: &mut [Timers], model: &mut Model, (time_ms, key, namespace): (i64, u64, u8)) {
    let state = owner(states, &key);
    let was = model.remove(&row(time_ms, key, namespace));
    assert_eq!(state.contains(time_ms, &key, &namespace).unwrap(), was);
    assert_eq!(state.delete(time_ms, &key, &namespace).unwrap(), was);
}

fn perform(states: &mut [Timers], model: &mut Model, call: Call) {
    match call {
        Call::Register(t, k, n) => register(states, model, (t, k, n)),
        Call::RegisterMany(t, k, a, b) => {
            many(t, k, (a, b)).for_each(|(t, k)| register(states, model, (t, k, 0)));
        }
        Call::Delete(t, k, n) => delete(states, model, (t, k, n)),
        Call::DeleteMany(t, k, a, b) => {
            many(t, k, (a, b)).for_each(|(t, k)| delete(states, model, (t, k, 0)));
        }
        Call::Fire(time_ms, again) => {
            for i in 0..states.len() {
                let range = states[i].range;
                while let Some((t, key, namespace)) = states[i].pop_due(time_ms).unwrap() {
                    let first = model.iter().find(|row| range.contains(KeyGroup(row.1))).copied();
                    assert_eq!(first, Some(row(t, key, namespace)), "fired out of order");
                    model.remove(&row(t, key, namespace));
                    if let Some(later) = again.filter(|_| t < 60) {
                        register(states, model, (t.saturating_add(later).max(-60), key, 1));
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Timers are an ordered set; restored at any parallelism they are the same (I8), and a chain
    /// of changes equals a full snapshot, byte for byte; captures never change (I4).
    #[test]
    fn restore_is_the_identity(
        epochs in proptest::collection::vec(proptest::collection::vec(call(), 0..20), 1..5),
        (before, after) in prop_oneof![Just((1, 1)), Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let (mut states, mut chain) = (subtasks(before, timers), subtasks(after, timers));
        let mut model = Model::new();
        let mut fulls = Vec::new();
        for epoch in epochs {
            epoch.into_iter().for_each(|call| perform(&mut states, &mut model, call));
            fulls.clear();
            let mut earliest = Vec::new();
            for state in &mut states {
                let capture = state.capture();
                prop_assert_eq!(capture.earliest_timer_ms(), state.peek().unwrap());
                prop_assert_eq!(capture.len(), state.len());
                earliest.extend(capture.earliest_timer_ms());
                restore(&mut chain, &changes(&capture));
                fulls.push((full(&capture), capture));
            }
            prop_assert_eq!(earliest.into_iter().min(), model.first().map(|row| row.0));
        }
        // Later writes do not show in captures.
        let mut later = model.clone();
        perform(&mut states, &mut later, Call::RegisterMany(-100, 0, 1, 1));
        perform(&mut states, &mut later, Call::Fire(20, None));
        let mut restored = subtasks(after, timers);
        for (file, capture) in &fulls {
            prop_assert_eq!(file, &full(capture));
            restore(&mut restored, file);
        }
        let mut all: Vec<_> = restored.iter().flat_map(content).collect();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(model));
        for (a, b) in restored.iter_mut().zip(&mut chain) {
            prop_assert_eq!(full(&a.capture()), full(&b.capture()));
        }
    }
}

#[test]
fn the_first_write_after_a_capture_copies_its_path_alone() {
    let mut state = timers(KeyGroupRange::ALL);
    for key in 0..200_000 {
        state.register((key % 1000) as i64, &key, &0).unwrap();
    }
    assert!(state.pop_due(0).unwrap().is_some());
    assert_eq!(state.nodes_copied(), 0);
    let capture = state.capture();
    state.register(500, &1_000_000, &0).unwrap();
    let path = state.nodes_copied();
    assert!((3..=4).contains(&path), "{path} nodes");
    state.delete(500, &1_000_000, &0).unwrap();
    assert_eq!(state.nodes_copied(), path);
    // Firing what stands in front copies nothing.
    assert!(state.pop_due(0).unwrap().is_some());
    assert_eq!(state.nodes_copied(), path);
    assert_eq!(capture.len(), 199_999);
}

/// They differ by their last bytes alone, and the last ones are as late as can be: nothing in a node
/// may be taken for what stands behind its timers.
#[test]
fn timers_of_one_time_and_key_group_are_in_order_of_namespace() {
    let (mut state, mut model) = ([timers(KeyGroupRange::ALL)], Model::new());
    for i in 0..=255_u8 {
        for time_ms in [i64::MIN, 7, i64::MAX] {
            register(&mut state, &mut model, (time_ms, 1, i.wrapping_mul(101)));
            register(&mut state, &mut model, (time_ms, 1, i / 2));
        }
    }
    for i in (0..=255_u8).step_by(3) {
        delete(&mut state, &mut model, (7, 1, i));
        delete(&mut state, &mut model, (i64::MAX, 1, i));
        delete(&mut state, &mut model, (i64::MAX, 2, i));
    }
    assert!(content(&state[0]).into_iter().eq(model.iter().copied()));
    perform(&mut state, &mut model, Call::Fire(i64::MAX, None));
    assert!(state[0].is_empty() && model.is_empty());
}

#[test]
fn changes_are_those_since_the_last_capture_alone() {
    let mut state = timers(KeyGroupRange::ALL);
    for key in 0..1000 {
        state.register(key as i64, &key, &0).unwrap();
    }
    drop(state.capture());
    state.register(2000, &1, &0).unwrap();
    state.register(2001, &1, &0).unwrap();
    state.delete(2001, &1, &0).unwrap();
    assert_eq!(state.pop_due(0).unwrap(), Some((0, 0, 0)));
    state.delete(700, &700, &0).unwrap();
    state.delete(701, &701, &0).unwrap();
    state.register(701, &701, &0).unwrap();
    let capture = state.capture();
    let file = changes(&capture);
    let stats = esker_format::run::RunReader::open_file(&file).unwrap().index().stats[&5].clone();
    assert_eq!((stats.entries, stats.live), (4, 2), "puts of 2000 and 701, deletes of 0 and 700");
    let none = changes(&state.capture());
    assert!(esker_format::run::RunReader::open_file(&none).unwrap().index().blocks.is_empty());
}

#[test]
fn pieces_are_parts_of_the_whole() {
    let mut state = timers(KeyGroupRange::ALL);
    for key in 0..100_000_u64 {
        state.register((key * 7919 % 5000) as i64, &key, &0).unwrap();
    }
    let capture = state.capture();
    let pieces = run(|writer| {
        (0..64).try_for_each(|i| capture.write_full(KeyGroupRange::of_subtask(i, 64)?, writer))
    });
    assert_eq!(pieces, full(&capture));
}

#[test]
fn what_is_no_timer_is_corrupt() {
    let mut state = timers(KeyGroupRange::ALL);
    let bytes = 1_u64.to_be_bytes();
    let group = KeyGroup::of(&bytes);
    let mut apply = |op, value: &[u8], user_key: &[u8]| {
        let mut key = Vec::new();
        CompositeKey::new(5, group, &bytes, &[0], user_key).encode_into(&mut key);
        KeyedState::apply(&mut state, Entry { key: &key, op, value })
    };
    let time = [0x80, 0, 0, 0, 0, 0, 0, 9];
    for (op, value, user_key) in [
        (Op::Put, &[1_u8][..], &time[..]),
        (Op::Append, &[], &time),
        (Op::Clear, &[], &time),
        (Op::Put, &[], &time[1..]),
        (Op::Put, &[], &[]),
    ] {
        assert_eq!(apply(op, value, user_key).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    apply(Op::Put, &[], &time).unwrap();
    assert_eq!(state.peek().unwrap(), Some(9));
}
