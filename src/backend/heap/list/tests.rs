use super::*;
use crate::ErrorKind;
use crate::backend::heap::testing::{changes, full, ops, restore, restored, subtask_of, subtasks};
use esker_format::Ordered;
use esker_format::composite::CompositeKey;
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = ListState<u64, u8, u64>;
type Model = BTreeMap<(u64, u8), Vec<u64>>;
const CHUNK: u64 = Body::<u64>::CHUNK_ELEMENTS as u64;

fn state(range: KeyGroupRange) -> State {
    ListState::new(7, range, Ordered).unwrap()
}

#[derive(Debug, Clone)]
enum Change {
    Append(u64),
    AppendAll(u64, u64),
    Update(u64, u64),
    Clear,
}

fn change() -> impl Strategy<Value = Change> {
    let count = || prop_oneof![4 => 0..4_u64, 1 => 0..3 * CHUNK];
    prop_oneof![
        4 => any::<u64>().prop_map(Change::Append),
        3 => (any::<u64>(), count()).prop_map(|(first, n)| Change::AppendAll(first, n)),
        1 => (any::<u64>(), count()).prop_map(|(first, n)| Change::Update(first, n)),
        1 => Just(Change::Clear),
    ]
}

fn elements_of(first: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |i| first.wrapping_add(i))
}

fn apply(state: &mut State, model: &mut Model, key: u64, namespace: u8, change: Change) {
    let list = model.entry((key, namespace)).or_default();
    match change {
        Change::Append(element) => {
            state.append(&key, &namespace, element).unwrap();
            list.push(element);
        }
        Change::AppendAll(first, count) => {
            state.append_all(&key, &namespace, elements_of(first, count)).unwrap();
            list.extend(elements_of(first, count));
        }
        Change::Update(first, count) => {
            state.update(&key, &namespace, elements_of(first, count)).unwrap();
            *list = elements_of(first, count).collect();
        }
        Change::Clear => {
            assert_eq!(state.clear(&key, &namespace).unwrap(), !list.is_empty());
            list.clear();
        }
    }
    assert_eq!(state.len(&key, &namespace).unwrap(), list.len());
    assert_eq!(state.get(&key, &namespace).unwrap(), *list);
    if list.is_empty() {
        model.remove(&(key, namespace));
    }
}

fn content(states: &[State]) -> Model {
    let mut content = Model::new();
    for state in states {
        for (address, body) in state.table.iter() {
            let list = ListView::new(Some(body)).to_vec();
            assert!(!list.is_empty(), "an empty list is held");
            let before = content.insert((address.key, address.namespace), list);
            assert_eq!(before, None, "a key is held by two subtasks");
        }
    }
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// I8 for list state.
    #[test]
    fn restore_is_the_identity(
        epochs in proptest::collection::vec(
            proptest::collection::vec((0..60_u64, 0..2_u8, change()), 0..120), 1..6),
        parallelism in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let mut model = Model::new();
        let restored = restored(parallelism, state, epochs, |states, epoch| {
            for (key, namespace, change) in epoch {
                let state = &mut states[subtask_of(key, parallelism.0)];
                apply(state, &mut model, key, namespace, change);
            }
        });
        prop_assert_eq!(content(&restored), model);
    }

    /// I4 for list state.
    #[test]
    fn captures_never_change(
        epochs in proptest::collection::vec(
            proptest::collection::vec((0..20_u64, 0..2_u8, change()), 0..60), 1..6),
    ) {
        let (mut state, mut model) = (state(KeyGroupRange::ALL), Model::new());
        let mut held = Vec::new();
        for (number, epoch) in epochs.into_iter().enumerate() {
            for (key, namespace, change) in epoch {
                apply(&mut state, &mut model, key, namespace, change);
            }
            held.push((state.capture(), model.clone()));
            if number % 3 == 2 {
                held.remove(0);
            }
        }
        for (capture, model) in held {
            prop_assert_eq!(capture.lists(), model.len());
            for ((key, namespace), list) in model {
                let view = capture.get(&key, &namespace);
                prop_assert!(view.iter().eq(&list) && view.len() == list.len());
                for (i, element) in list.iter().enumerate() {
                    prop_assert_eq!(view.get(i), Some(element));
                }
                prop_assert_eq!(view.get(list.len()), None);
            }
        }
    }
}

#[test]
fn deltas_hold_what_changed() {
    let mut state = state(KeyGroupRange::ALL);
    for key in 0..6 {
        state.append_all(&key, &0, elements_of(0, 1000)).unwrap();
    }
    assert_eq!(ops(&changes(&state.capture())), [(Op::Put, 9000); 6]);
    state.append(&0, &0, 1).unwrap();
    state.append_all(&0, &0, [2]).unwrap();
    state.append_all(&1, &0, []).unwrap();
    state.update(&2, &0, [1]).unwrap();
    state.clear(&3, &0).unwrap();
    state.clear(&4, &0).unwrap();
    state.append(&4, &0, 1).unwrap();
    state.append(&9, &0, 1).unwrap();
    state.clear(&9, &0).unwrap();
    let mut seen = ops(&changes(&state.capture()));
    seen.sort_unstable();
    assert_eq!(seen, [(Op::Put, 9), (Op::Put, 9), (Op::Delete, 0), (Op::Append, 18)]);
    assert_eq!(ops(&changes(&state.capture())), []);
}

/// Counts its clones.
#[derive(Debug, PartialEq)]
struct Counted(u64);

thread_local! {
    static CLONES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0)
    }
}

struct CountedCodec;

impl ValueCodec<Counted> for CountedCodec {
    fn id(&self) -> esker_format::CodecId {
        ValueCodec::<u64>::id(&Ordered)
    }

    fn schema(&self) -> esker_format::Result<esker_format::Schema> {
        ValueCodec::<u64>::schema(&Ordered)
    }

    fn encode(&self, value: &Counted, out: &mut Vec<u8>) -> esker_format::Result<()> {
        Ordered.encode(&value.0, out)
    }

    fn decode(&self, bytes: &[u8]) -> esker_format::Result<Counted> {
        Ordered.decode(bytes).map(Counted)
    }
}

#[test]
fn an_append_after_a_capture_copies_one_chunk_at_most() {
    let mut state =
        ListState::<u64, (), Counted>::new(1, KeyGroupRange::ALL, CountedCodec).unwrap();
    // Neighbours in the same page of the table, and one large list.
    for key in 0..50 {
        state.append_all(&key, &(), (0..100).map(Counted)).unwrap();
    }
    state.append_all(&7, &(), (0..1_000_100).map(Counted)).unwrap();
    for (key, held) in [(7, true), (8, true), (7, false)] {
        CLONES.set(0);
        let capture = held.then(|| state.capture());
        assert_eq!(CLONES.get(), 0, "a capture copies nothing");
        state.append(&key, &(), Counted(1)).unwrap();
        assert!(CLONES.get() <= Body::<Counted>::CHUNK_ELEMENTS, "{}", CLONES.get());
        assert_eq!(CLONES.get() > 0, held);
        CLONES.set(0);
        state.append(&key, &(), Counted(1)).unwrap();
        assert_eq!(CLONES.get(), 0);
        drop(capture);
    }
}

#[test]
fn trees_of_several_levels_are_shared() {
    let mut state = state(KeyGroupRange::ALL);
    let mut captures = Vec::new();
    let mut len = 0;
    // 64 chunks fill a level; the next one stands a level higher.
    for grow in [63 * CHUNK, 1, CHUNK - 1, 1, CHUNK, 64 * CHUNK, 64 * 64 * CHUNK, 5] {
        state.append_all(&1, &0, elements_of(len, grow)).unwrap();
        len += grow;
        captures.push((state.capture(), len));
    }
    for (capture, len) in captures {
        assert!(capture.get(&1, &0).iter().copied().eq(0..len));
        let mut restored = subtasks(2, self::state);
        restore(&mut restored, &full(&capture));
        assert_eq!(content(&restored)[&(1, 0)].len() as u64, len);
    }
}

#[test]
fn foreign_keys_and_entries_are_refused() {
    let mut states = subtasks(2, state);
    let foreign = &mut states[1 - subtask_of(1, 2)];
    assert_eq!(foreign.append(&1, &0, 1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.get(&1, &0).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.update(&1, &0, [1]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.clear(&1, &0).unwrap_err().kind(), ErrorKind::Invalid);

    let state = &mut states[subtask_of(1, 2)];
    let mut key = Vec::new();
    let group = esker_format::KeyGroup::of(&1_u64.to_be_bytes());
    CompositeKey::new(7, group, &1_u64.to_be_bytes(), &[0], &[]).encode_into(&mut key);
    let mut put = |value: &[u8]| state.apply(Entry { key: &key, op: Op::Put, value });
    assert!(put(&[8, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap());
    for cut in 1..9 {
        let error = put(&[8, 0, 0, 0, 0, 0, 0, 0, 1][..cut]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    assert_eq!(state.get(&1, &0).unwrap(), [1]);
}
