//! Several checkpoints of a subtask under way at once, which end in any order: each that completes holds all
//! that was there at its capture.

use super::world::{Model, State, small};
use crate::backend::KeyedState;
use crate::format::composite::CompositeKey;
use crate::format::manifest::SnapshotKind;
use crate::format::{KeyGroupRange, Ordered};
use crate::snapshot::*;
use crate::{Store, block_on};
use esker_test_support::soak;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Set(u64, Option<u64>),
    Begin,
    /// One of those in flight, by its place among them.
    Complete(usize),
    Abort(usize),
    Savepoint,
    /// Someone else takes a capture.
    Foreign,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..40_u64, prop::option::weighted(0.8, any::<u64>()))
            .prop_map(|(key, value)| Step::Set(key, value)),
        6 => Just(Step::Begin),
        4 => (0..4_usize).prop_map(Step::Complete),
        2 => (0..4_usize).prop_map(Step::Abort),
        1 => Just(Step::Savepoint),
        1 => Just(Step::Foreign),
    ]
}

fn content(store: &Store, chain: &Chain) -> Model {
    let mut found = Model::new();
    let reader = block_on(ChainReader::open(store, &chain.part.runs)).unwrap();
    let merged = reader.merge(KeyGroupRange::ALL, None, &mut |entry| {
        let key = CompositeKey::decode(entry.key)?.key;
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        assert_eq!(found.insert(number(&key), number(entry.value)), None);
        Ok(())
    });
    merged.unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::count(2000)))]

    #[test]
    fn checkpoints_that_are_under_way_at_once_hold_what_was_there_at_their_captures(
        steps in proptest::collection::vec(step(), 1..80),
        pending_max in 1..6_usize,
    ) {
        let store = Store::open("memory://").unwrap();
        let settings = SnapshotSettings { pending_max, ..small() };
        let mut state = State::new(1, KeyGroupRange::ALL, Ordered).unwrap();
        let (mut lineage, mut model, mut number) = (Lineage::default(), Model::new(), 0);
        let mut in_flight = BTreeMap::new();
        for step in steps {
            match step {
                Step::Set(key, Some(value)) => {
                    state.update(&key, &(), value).unwrap();
                    model.insert(key, value);
                }
                Step::Set(key, None) => {
                    state.clear(&key, &()).unwrap();
                    model.remove(&key);
                }
                Step::Begin => {
                    number += 1;
                    let capture = vec![state.capture_state()];
                    let (captures, chain) = lineage.begin(number, capture, pending_max);
                    let kind = SnapshotKind::Checkpoint;
                    let id = PartId { kind, checkpoint: number, generation: 1, operator: 0, subtask: 0 };
                    let range = KeyGroupRange::ALL;
                    let input = PartInput { id, range, captures, operator: None, chain };
                    let written = block_on(write_part(&store, input, &settings)).unwrap();
                    in_flight.insert(number, (written.chain, model.clone()));
                }
                Step::Complete(nth) | Step::Abort(nth) if in_flight.is_empty() => {
                    let _ = nth;
                }
                Step::Complete(nth) => {
                    let completed = *in_flight.keys().nth(nth % in_flight.len()).unwrap();
                    let (chain, expected) = in_flight.remove(&completed).unwrap();
                    in_flight.retain(|of, _| *of > completed);
                    prop_assert_eq!(content(&store, &chain), expected);
                    lineage.completed(completed, chain);
                }
                Step::Abort(nth) => {
                    let aborted = *in_flight.keys().nth(nth % in_flight.len()).unwrap();
                    in_flight.remove(&aborted);
                    lineage.aborted(aborted);
                }
                Step::Savepoint => {
                    number += 1;
                    lineage.set_aside(number, vec![state.capture_state()]);
                }
                Step::Foreign => {
                    drop(state.capture_state());
                    lineage.fall_back();
                }
            }
        }
    }
}
