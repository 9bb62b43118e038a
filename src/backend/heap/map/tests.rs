use super::*;
use crate::backend::heap::rows::PIECE_ENTRIES;
use crate::backend::heap::testing::{changes, full, ops, restore, restored, subtask_of, subtasks};
use esker_format::Ordered;
use esker_format::composite::CompositeKey;
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = MapState<u64, u8, u16, u64>;
type Maps = BTreeMap<(u64, u8), BTreeMap<u16, u64>>;

fn state(range: KeyGroupRange) -> State {
    MapState::new(7, range, Ordered).unwrap()
}

#[derive(Debug, Clone)]
enum Change {
    Put(u16, u64),
    Rmw(u16, Option<u64>),
    Remove(u16),
    PutMany(u16, u16),
    RemoveMany(u16, u16),
    Clear,
}

fn change() -> impl Strategy<Value = Change> {
    // Often about as many as make a small map large; sometimes pages of them.
    let key = || prop_oneof![3 => 0..40_u16, 1 => 0..1000_u16];
    let count = || prop_oneof![3 => 0..40_u16, 1 => 0..700_u16];
    prop_oneof![
        6 => (key(), any::<u64>()).prop_map(|(k, v)| Change::Put(k, v)),
        3 => (key(), any::<Option<u64>>()).prop_map(|(k, v)| Change::Rmw(k, v)),
        3 => key().prop_map(Change::Remove),
        1 => (key(), count()).prop_map(|(k, n)| Change::PutMany(k, n)),
        1 => (key(), count()).prop_map(|(k, n)| Change::RemoveMany(k, n)),
        1 => Just(Change::Clear),
    ]
}

fn apply(state: &mut State, maps: &mut Maps, key: u64, namespace: u8, change: Change) {
    let map = maps.entry((key, namespace)).or_default();
    let (k, n) = (&key, &namespace);
    match change {
        Change::Put(u, v) => {
            assert_eq!(state.put(k, n, &u, v).unwrap(), map.insert(u, v));
        }
        Change::Rmw(u, v) => {
            let before = state.rmw(k, n, &u, |slot| std::mem::replace(slot, v)).unwrap();
            let expected = match v {
                Some(v) => map.insert(u, v),
                None => map.remove(&u),
            };
            assert_eq!(before, expected);
        }
        Change::Remove(u) => assert_eq!(state.remove(k, n, &u).unwrap(), map.remove(&u)),
        Change::PutMany(first, count) => {
            for u in first..first + count {
                assert_eq!(state.put(k, n, &u, 1).unwrap(), map.insert(u, 1));
            }
        }
        Change::RemoveMany(first, count) => {
            for u in first..first + count {
                assert_eq!(state.remove(k, n, &u).unwrap(), map.remove(&u));
            }
        }
        Change::Clear => {
            assert_eq!(state.clear(k, n).unwrap(), !map.is_empty());
            map.clear();
        }
    }
    assert_eq!(state.len(k, n).unwrap(), map.len());
    assert_eq!(state.is_empty(k, n).unwrap(), map.is_empty());
    let mut keys = state.keys(k, n).unwrap();
    keys.sort_unstable();
    assert!(keys.iter().eq(map.keys()));
    for u in (0..1700).step_by(100).chain(0..40).step_by(3) {
        assert_eq!(state.get(k, n, &u).unwrap(), map.get(&u).copied());
        assert_eq!(state.contains(k, n, &u).unwrap(), map.contains_key(&u));
    }
    if map.is_empty() {
        maps.remove(&(key, namespace));
    }
}

fn of_view(view: MapView<'_, u16, u64>) -> BTreeMap<u16, u64> {
    let map: BTreeMap<_, _> = view.iter().map(|(u, v)| (*u, *v)).collect();
    assert_eq!(map.len(), view.len(), "an entry is held twice");
    map
}

fn content(states: &[State]) -> Maps {
    let mut content = Maps::new();
    for state in states {
        for (address, body) in state.table.iter() {
            let map = of_view(MapView::new(Some(body)));
            assert!(!map.is_empty(), "an empty map is held");
            let before = content.insert((address.key, address.namespace), map);
            assert_eq!(before, None, "a key is held by two subtasks");
        }
    }
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// I8 for map state.
    #[test]
    fn restore_is_the_identity(
        epochs in proptest::collection::vec(
            proptest::collection::vec((0..12_u64, 0..2_u8, change()), 0..80), 1..6),
        parallelism in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let mut maps = Maps::new();
        let restored = restored(parallelism, state, epochs, |states, epoch| {
            for (key, namespace, change) in epoch {
                let state = &mut states[subtask_of(key, parallelism.0)];
                apply(state, &mut maps, key, namespace, change);
            }
        });
        prop_assert_eq!(content(&restored), maps);
    }

    /// I4 for map state, and that the chain of changes is right while captures are held or let go.
    #[test]
    fn captures_never_change(
        epochs in proptest::collection::vec(
            (proptest::collection::vec((0..4_u64, 0..2_u8, change()), 0..60), any::<bool>()), 1..6),
    ) {
        let (mut state, mut maps) = (state(KeyGroupRange::ALL), Maps::new());
        let mut copy = subtasks(1, self::state);
        let mut held = Vec::new();
        for (epoch, hold) in epochs {
            for (key, namespace, change) in epoch {
                apply(&mut state, &mut maps, key, namespace, change);
            }
            let capture = state.capture();
            restore(&mut copy, &changes(&capture));
            prop_assert_eq!(&content(&copy), &maps);
            if hold {
                held.push((capture, maps.clone()));
            }
        }
        for (capture, maps) in held {
            prop_assert_eq!(capture.maps(), maps.len());
            for ((key, namespace), map) in maps {
                let view = capture.get(&key, &namespace);
                prop_assert_eq!(of_view(view), map.clone());
                prop_assert!((0..1000).all(|u| view.get(&u) == map.get(&u)));
            }
        }
    }
}

fn fill(state: &mut State, key: u64, count: u16) {
    for user_key in 0..count {
        state.put(&key, &0, &user_key, 0).unwrap();
    }
}

/// Of a small map, a large one, and one that grows meanwhile.
#[test]
fn deltas_hold_what_changed() {
    for (before, grown) in [(20, 0), (3000, 0), (20, 1000)] {
        let mut state = state(KeyGroupRange::ALL);
        (0..4).for_each(|key| fill(&mut state, key, before));
        let first = ops(&changes(&state.capture()));
        assert_eq!(first, vec![(Op::Put, 8); 4 * usize::from(before)]);

        state.put(&0, &0, &1, 7).unwrap();
        state.remove(&0, &0, &2).unwrap();
        state.remove(&0, &0, &3).unwrap();
        state.put(&0, &0, &3, 7).unwrap();
        state.put(&0, &0, &5000, 7).unwrap();
        state.remove(&0, &0, &5000).unwrap();
        for user_key in 6000..6000 + grown {
            state.put(&0, &0, &user_key, 7).unwrap();
        }
        state.clear(&1, &0).unwrap();
        state.clear(&2, &0).unwrap();
        state.put(&2, &0, &1, 7).unwrap();
        for user_key in 0..before {
            state.remove(&3, &0, &user_key).unwrap();
        }
        fill(&mut state, 9, 5);
        state.clear(&9, &0).unwrap();
        let mut seen = ops(&changes(&state.capture()));
        seen.sort_unstable();
        let mut expected = vec![(Op::Clear, 0); 3];
        expected.extend(vec![(Op::Put, 8); 3 + usize::from(grown)]);
        expected.push((Op::Delete, 0));
        assert_eq!(seen, expected, "of {before} entries, {grown} more");
        assert_eq!(ops(&changes(&state.capture())), []);
        // No capture is held now: changes are forgotten all the same.
        state.put(&0, &0, &1, 8).unwrap();
        assert_eq!(ops(&changes(&state.capture())), [(Op::Put, 8)]);
    }
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
fn a_write_after_a_capture_copies_one_page_at_most() {
    let mut state =
        MapState::<u64, (), u64, Counted>::new(1, KeyGroupRange::ALL, CountedCodec).unwrap();
    // Neighbours in the same page of the table, and one large map.
    for key in 0..50 {
        for user_key in 0..if key == 7 { 100_000 } else { 30 } {
            state.put(&key, &(), &user_key, Counted(user_key)).unwrap();
        }
    }
    for (key, held) in [(7, true), (8, true), (7, false), (8, false)] {
        CLONES.set(0);
        let capture = held.then(|| state.capture());
        assert_eq!(CLONES.get(), 0, "a capture copies nothing");
        state.put(&key, &(), &5, Counted(1)).unwrap();
        assert!(CLONES.get() <= 256, "{}", CLONES.get());
        assert_eq!(CLONES.get() > 0, held);
        CLONES.set(0);
        state.put(&key, &(), &5, Counted(2)).unwrap();
        assert_eq!(CLONES.get(), 0);
        drop(capture);
    }
}

#[test]
fn a_closure_that_panics_leaves_the_map_whole() {
    for count in [20, 3000] {
        let mut state = state(KeyGroupRange::ALL);
        fill(&mut state, 1, count);
        let capture = state.capture();
        let before = of_view(capture.get(&1, &0));
        for user_key in [5, 60_000] {
            let call = std::panic::AssertUnwindSafe(|| {
                state.rmw(&1, &0, &user_key, |_: &mut Option<u64>| panic!("of the user"))
            });
            assert!(std::panic::catch_unwind(call).is_err());
            assert_eq!(state.read(&1, &0, of_view).unwrap(), before);
            assert_eq!(KeyedState::entries(&state), u64::from(count));
        }
    }
}

#[test]
fn one_key_may_hold_more_than_a_piece() {
    let count = 4 * PIECE_ENTRIES as u64;
    let make = |range| MapState::<u64, (), u64, u64>::new(1, range, Ordered).unwrap();
    let mut state = make(KeyGroupRange::ALL);
    for user_key in 0..count {
        state.put(&1, &(), &user_key, user_key).unwrap();
    }
    let mut copy = subtasks(2, make);
    restore(&mut copy, &full(&state.capture()));
    let copy = &mut copy[subtask_of(1, 2)];
    assert_eq!(copy.len(&1, &()).unwrap() as u64, count);
    assert!((0..count).all(|u| copy.get(&1, &(), &u).unwrap() == Some(u)));
}

#[test]
fn foreign_keys_and_entries_are_refused() {
    let mut states = subtasks(2, state);
    let foreign = &mut states[1 - subtask_of(1, 2)];
    assert_eq!(foreign.put(&1, &0, &1, 1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.get(&1, &0, &1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.remove(&1, &0, &1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(foreign.clear(&1, &0).unwrap_err().kind(), ErrorKind::Invalid);

    let state = &mut states[subtask_of(1, 2)];
    let group = esker_format::KeyGroup::of(&1_u64.to_be_bytes());
    let mut apply = |user_key: &[u8], op, value| {
        let mut key = Vec::new();
        CompositeKey::new(7, group, &1_u64.to_be_bytes(), &[0], user_key).encode_into(&mut key);
        state.apply(Entry { key: &key, op, value })
    };
    assert!(apply(&[0, 1], Op::Put, &[0; 8]).unwrap());
    for (user_key, op, value) in [
        (&[0, 1][..], Op::Put, &[0; 7][..]),
        (&[0], Op::Put, &[0; 8]),
        (&[0], Op::Delete, &[]),
        (&[0, 1], Op::Append, &[0; 8]),
    ] {
        assert_eq!(apply(user_key, op, value).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn an_empty_user_key_stands_behind_its_clear() {
    let mut state = MapState::<u64, (), String, u64>::new(1, KeyGroupRange::ALL, Ordered).unwrap();
    state.put(&1, &(), &String::new(), 1).unwrap();
    drop(state.capture());
    state.clear(&1, &()).unwrap();
    state.put(&1, &(), &String::new(), 2).unwrap();
    assert_eq!(ops(&changes(&state.capture())), [(Op::Clear, 0), (Op::Put, 8)]);
}
