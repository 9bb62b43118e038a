use super::*;
use esker_format::Ordered;
use esker_format::ValueCodec;
use esker_format::manifest::{StateInfo, StateKind, TypeInfo};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Row = (Vec<u8>, Op, Vec<u8>);

#[derive(Default)]
struct Rows(Vec<Row>);

impl EntrySink for Rows {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        assert!(self.0.last().is_none_or(|last| *last.0 < *entry.key), "out of order");
        self.0.push((entry.key.to_vec(), entry.op, entry.value.to_vec()));
        Ok(())
    }
}

fn rows(capture: &Arc<dyn OperatorCapture>) -> Vec<Row> {
    let mut rows = Rows::default();
    capture.write(&mut rows).unwrap();
    assert_eq!(vec![rows.0.len() as u64], capture.states().iter().map(|s| s.1).collect::<Vec<_>>());
    rows.0
}

fn entry((key, op, value): &Row) -> Entry<'_> {
    Entry { key, op: *op, value }
}

fn stored(kind: StateKind, value: TypeInfo) -> StateInfo {
    StateInfo {
        id: 1,
        name: "offsets".into(),
        kind,
        namespace: None,
        user_key: None,
        value: Some(value),
        ttl: None,
        extra: Default::default(),
    }
}

fn numbers() -> TypeInfo {
    ValueCodec::<u32>::info(&Ordered).unwrap()
}

proptest! {
    /// I8: split deals out as the pure function says, union gives all to all.
    #[test]
    fn lists_are_redistributed(
        lists in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 0..30), 1..8),
        after in 1..12_u32,
        union in any::<bool>(),
    ) {
        let how = if union { Redistribution::Union } else { Redistribution::Split };
        let captures: Vec<_> = lists.iter()
            .map(|elements| {
                let mut state = OperatorListState::new(1, how, Ordered);
                let (first, rest) = elements.split_at(elements.len() / 2);
                state.update(first.to_vec());
                rest.iter().for_each(|element| state.add(*element));
                let capture = state.capture();
                // What follows does not show in the capture.
                state.add(9);
                state.clear();
                capture
            })
            .collect();
        let split = split_round_robin(lists.concat(), after as usize);
        for subtask in 0..after {
            let mut state = OperatorListState::<u32>::new(1, how, Ordered);
            state.begin_restore(&stored(state.kind(), numbers())).unwrap();
            for row in captures.iter().flat_map(rows) {
                state.apply(entry(&row), subtask, after).unwrap();
            }
            state.end_restore();
            let wanted = if union { lists.concat() } else { split[subtask as usize].clone() };
            prop_assert_eq!(state.get(), wanted);
        }
    }

    /// A broadcast state is a map, and its capture that map at one moment (I4, I8).
    #[test]
    fn broadcast_state_is_a_map(
        calls in proptest::collection::vec((".{0,3}", any::<Option<u32>>()), 0..60),
        at in 0..60_usize,
    ) {
        let mut state = BroadcastState::<String, u32>::new(1, Ordered).unwrap();
        let mut model = BTreeMap::new();
        let mut captured = (state.capture(), model.clone());
        for (i, (key, value)) in calls.into_iter().enumerate() {
            match value {
                Some(value) => {
                    prop_assert_eq!(state.put(key.clone(), value), model.insert(key, value));
                }
                None => prop_assert_eq!(state.remove(&key), model.remove(&key)),
            }
            if i == at {
                captured = (state.capture(), model.clone());
            }
        }
        prop_assert!(state.iter().eq(&model));
        let (capture, model) = captured;
        let mut restored = BroadcastState::<String, u32>::new(1, Ordered).unwrap();
        restored.begin_restore(&stored(StateKind::OperatorBroadcast, numbers())).unwrap();
        for row in rows(&capture) {
            restored.apply(entry(&row)).unwrap();
        }
        restored.end_restore();
        prop_assert!(restored.iter().eq(&model));
        prop_assert!(model.iter().all(|(key, value)| restored.get(key) == Some(value)));
        prop_assert_eq!(rows(&restored.capture()), rows(&capture));
    }
}

#[test]
fn every_new_subtask_has_a_source_of_broadcast_state() {
    let sources: Vec<_> = (0..5).map(|subtask| broadcast_source(subtask, 2)).collect();
    assert_eq!(sources, [Some(0), Some(1), Some(0), Some(1), Some(0)]);
    assert_eq!(broadcast_source(0, 0), None);
    assert!(split_round_robin([1, 2], 0).is_empty());
}

#[test]
fn states_of_a_backend_are_found_by_name_and_written_in_order_of_id() {
    use crate::state::{BroadcastDescriptor, OperatorListDescriptor};
    let mut backend = OperatorBackend::new("source");
    let offsets = backend.open(OperatorListDescriptor::<u32>::split("offsets")).unwrap();
    let rules = backend.open(BroadcastDescriptor::<String, u32>::new("rules")).unwrap();
    let all = backend.open(OperatorListDescriptor::<u32>::union("all")).unwrap();
    backend.state(offsets).unwrap().update(vec![1, 2]);
    backend.state(rules).unwrap().put("limit".into(), 10);
    backend.state(all).unwrap().add(7);
    let capture = backend.capture().unwrap();
    backend.state(all).unwrap().clear();
    let mut rows = Rows::default();
    capture.write(&mut rows).unwrap();
    assert_eq!(rows.0.len(), 4);
    let counted = capture.states();
    let counts: BTreeMap<_, _> = counted.iter().copied().collect();
    let infos = backend.infos();
    let named = infos.iter().map(|info| (info.name.as_str(), counts[&info.id]));
    assert_eq!(
        named.collect::<BTreeMap<_, _>>(),
        [("all", 1), ("offsets", 2), ("rules", 1)].into()
    );
    assert!(counted.is_sorted());
    let twice = backend.open(OperatorListDescriptor::<u32>::split("rules")).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Invalid);
}

#[test]
fn bytes_are_pinned() {
    let mut list = OperatorListState::<u16>::new(3, Redistribution::Union, Ordered);
    list.add(0x0102);
    let [(key, op, value)] = &rows(&list.capture())[..] else { panic!("one element") };
    // State 3, key group 0, position 0 with escaped zeros, empty namespace.
    let position = [0, 0xff].repeat(8);
    let wanted = [&[0, 0, 0, 3, 0, 0][..], &position, &[0, 0, 0, 0]].concat();
    assert_eq!((&key[..], *op, &value[..]), (&wanted[..], Op::Put, &[1, 2][..]));
}

#[test]
fn what_is_no_element_is_corrupt() {
    let mut list = OperatorListState::<u16>::new(3, Redistribution::Split, Ordered);
    let mut rules = BroadcastState::<u16, u16>::new(3, Ordered).unwrap();
    let mut refused = |group: u16, key: &[u8], user_key: &[u8], op, value: &[u8]| {
        let mut bytes = Vec::new();
        CompositeKey::new(3, KeyGroup(group), key, &[], user_key).encode_into(&mut bytes);
        let entry = Entry { key: &bytes, op, value };
        for error in [list.apply(entry, 0, 1).unwrap_err(), rules.apply(entry).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    };
    refused(1, &[0; 8], &[], Op::Put, &[0, 0]);
    refused(0, &[0; 8], &[1], Op::Put, &[0, 0]);
    refused(0, &[0; 8], &[], Op::Delete, &[]);
    refused(0, &[0; 7], &[], Op::Put, &[0, 0]);
    refused(0, &[0; 8], &[], Op::Put, &[0]);
    let other = ValueCodec::<String>::info(&Ordered).unwrap();
    let error = list.begin_restore(&stored(StateKind::OperatorList, other)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
}
