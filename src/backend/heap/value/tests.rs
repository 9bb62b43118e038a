use super::*;
use crate::backend::heap::rows::PIECE_ENTRIES;
use crate::backend::heap::testing::{self, changes, full, owner, restore};
use esker_format::KeyGroup;
use esker_format::run::RunReader;
use esker_format::{Bincode, Ordered};
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = ValueState<u64, u8, u64>;
type Model = BTreeMap<(u64, u8), u64>;
type Capture = ValueCapture<u64, u8, u64>;

fn state(range: KeyGroupRange) -> State {
    ValueState::new(7, range, Ordered).unwrap()
}

fn content(states: &[State]) -> Model {
    let mut content = Model::new();
    for state in states {
        for (address, value) in state.table.iter() {
            let before = content.insert((address.key, address.namespace), *value);
            assert_eq!(before, None, "a key is held by two subtasks");
        }
    }
    content
}

fn subtasks(parallelism: u32) -> Vec<State> {
    testing::subtasks(parallelism, state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// I8 for value state: restored at any parallelism it is the same, and a chain of changes
    /// equals a full snapshot, byte for byte.
    #[test]
    fn restore_is_the_identity(
        epochs in proptest::collection::vec(
            proptest::collection::vec((0..300_u64, 0..2_u8, any::<Option<u64>>()), 0..200), 1..6),
        parallelism in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11)), Just((3, 64))],
    ) {
        let (before, after) = parallelism;
        let mut states = subtasks(before);
        let mut model = Model::new();
        let mut runs = Vec::new();
        let mut fulls = Vec::new();
        for epoch in epochs {
            for (key, namespace, value) in epoch {
                let state = owner(&mut states, &key);
                match value {
                    Some(value) => {
                        let old = state.update(&key, &namespace, value).unwrap();
                        prop_assert_eq!(old, model.insert((key, namespace), value));
                    }
                    None => {
                        let old = state.clear(&key, &namespace).unwrap();
                        prop_assert_eq!(old, model.remove(&(key, namespace)));
                    }
                }
            }
            fulls.clear();
            for state in &mut states {
                let capture = state.capture();
                fulls.push(full(&capture));
                runs.push(changes(&capture));
            }
        }
        let (mut of_fulls, mut of_chain) = (subtasks(after), subtasks(after));
        fulls.iter().for_each(|file| restore(&mut of_fulls, file));
        runs.iter().for_each(|file| restore(&mut of_chain, file));
        prop_assert_eq!(&content(&of_fulls), &model);
        prop_assert_eq!(&content(&of_chain), &model);
        for (a, b) in of_fulls.iter_mut().zip(&mut of_chain) {
            prop_assert_eq!(full(&a.capture()), full(&b.capture()));
        }
    }
}

#[test]
fn many_pieces_are_written_in_order() {
    let mut state = state(KeyGroupRange::ALL);
    for key in 0..3 * PIECE_ENTRIES as u64 {
        state.update(&key, &0, key).unwrap();
    }
    let capture = std::thread::scope(|scope| {
        let capture = state.capture();
        scope.spawn(move || (full(&capture), capture)).join().unwrap()
    });
    let mut restored = subtasks(1);
    restore(&mut restored, &capture.0);
    assert_eq!(content(&restored), content(&[state]));
}

#[test]
fn changes_are_those_since_the_last_capture_alone() {
    let mut state = state(KeyGroupRange::ALL);
    for key in 0..1000 {
        state.update(&key, &0, 1).unwrap();
    }
    drop(state.capture());
    state.update(&5, &0, 2).unwrap();
    state.clear(&6, &0).unwrap();
    state.clear(&7, &0).unwrap();
    state.update(&7, &0, 3).unwrap();
    state.update(&5000, &0, 1).unwrap();
    state.clear(&5000, &0).unwrap();
    let capture = state.capture();
    let file = changes(&capture);
    let stats = RunReader::open_file(&file).unwrap().index().stats[&7].clone();
    assert_eq!((stats.entries, stats.live), (3, 2), "puts of 5 and 7, delete of 6");
    let capture = state.capture();
    let file = changes(&capture);
    assert!(RunReader::open_file(&file).unwrap().index().blocks.is_empty());
}

#[test]
fn a_key_of_another_subtask_is_refused_by_name() {
    let mut states = subtasks(65_536);
    let group = 1_u64.with_encoded(KeyGroup::of).0;
    let error = states[usize::from(group) ^ 1].update(&1, &0, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&format!("key group {group}")), "{error}");
    states[usize::from(group)].update(&1, &0, 0).unwrap();
}

#[test]
fn a_key_may_be_prefetched_whether_it_is_there_or_not_or_another_subtasks() {
    let mut states = subtasks(2);
    for key in 0..5_000 {
        for state in &mut states {
            state.prefetch(&key, &0);
            let _ = state.update(&key, &0, key);
        }
    }
    assert_eq!(content(&states).len(), 5_000);
}

#[test]
fn serde_values_and_text_keys_round_trip() {
    let mut legs =
        ValueState::<String, (), (String, i64)>::new(1, KeyGroupRange::ALL, Bincode).unwrap();
    legs.update(&"N14228".into(), &(), ("EWR".into(), -4)).unwrap();
    let capture = legs.capture();
    let file = full(&capture);
    let mut restored =
        ValueState::<String, (), (String, i64)>::new(1, KeyGroupRange::ALL, Bincode).unwrap();
    let reader = RunReader::open_file(&file).unwrap();
    let handle = reader.index().blocks[0].clone();
    let start = handle.offset as usize;
    let block = reader.block(0, &file[start..start + handle.len_bytes as usize]).unwrap();
    block.for_each(|entry| restored.apply(entry).map(|_| ()).map_err(|_| unreachable!())).unwrap();
    assert_eq!(restored.get(&"N14228".into(), &()).unwrap(), Some(("EWR".into(), -4)));
}

#[test]
fn entries_that_would_grow_in_memory_are_not_decoded_ahead() {
    fn decoded<V: Clone + Send + Sync + 'static>(value: V) -> bool
    where
        Bincode: ValueCodec<V>,
    {
        let mut state = ValueState::<u64, (), V>::new(1, KeyGroupRange::ALL, Bincode).unwrap();
        for key in 0..1000 {
            state.update(&key, &(), value.clone()).unwrap();
        }
        let file = full(&state.capture());
        let reader = RunReader::open_file(&file).unwrap();
        let handle = &reader.index().blocks[0];
        let start = handle.offset as usize;
        let block = reader.block(0, &file[start..start + handle.len_bytes as usize]).unwrap();
        let decoder = state.decoder().unwrap();
        decoder.decode(&block, &mut |_| true).unwrap().is_some()
    }
    assert!(decoded(7_u64));
    // A byte in a run, 1,032 in memory.
    assert!(!decoded(None::<[[u64; 32]; 4]>));
}

fn is_send<T: Send>() {}

#[test]
fn states_and_captures_are_send() {
    is_send::<State>();
    is_send::<Capture>();
}
