//! What manifests say differently, and states that are compared as lines; whole jobs are compared in
//! `tests/it/diff.rs`.

use super::*;
use crate::backend::EntrySink;
use crate::backend::KeyedState;
use crate::backend::heap::ValueState;
use crate::snapshot::{
    Captures, Chain, NewOperator, OperatorCapture, PartId, PartInput, SnapshotSettings,
    open_snapshot, write_manifest, write_part,
};
use crate::{Store, block_on};
use esker_format::composite::CompositeKey;
use esker_format::manifest::{Manifest, SnapshotKind, Ttl, TtlUpdate, TypeInfo};
use esker_format::run::{Entry, Op};
use esker_format::{Bincode, Key, KeyGroup, Ordered, ValueCodec};
use std::sync::Arc;

fn info(id: u32, name: &str, kind: StateKind, value: TypeInfo) -> StateInfo {
    let (namespace, user_key, ttl, value) = (None, None, None, Some(value));
    StateInfo {
        id,
        name: name.into(),
        kind,
        namespace,
        user_key,
        value,
        ttl,
        extra: Default::default(),
    }
}

fn numbers() -> TypeInfo {
    ValueCodec::<u64>::info(&Ordered).unwrap()
}

/// The elements of an operator state, of one subtask.
struct Elements(u32, Vec<u64>);

impl OperatorCapture for Elements {
    fn states(&self) -> Vec<(u32, u64)> {
        vec![(self.0, self.1.len() as u64)]
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        for (position, element) in self.1.iter().enumerate() {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            let at = (position as u64).to_be_bytes();
            CompositeKey::new(self.0, KeyGroup(0), &at, b"", b"").encode_into(&mut key);
            ValueCodec::encode(&Ordered, element, &mut value)?;
            sink.add(Entry { key: &key, op: Op::Put, value: &value })?;
        }
        Ok(())
    }
}

/// A savepoint of one operator, whose subtasks hold `elements` and each of `captures`.
fn written(
    operator: (&str, Option<TypeInfo>, Vec<StateInfo>),
    mut captures: Vec<Captures>,
    elements: Option<(u32, Vec<Vec<u64>>)>,
) -> OpenSnapshot {
    let store = Store::open("memory://").unwrap();
    let (uid, key, states) = operator;
    let subtasks = elements.as_ref().map_or(captures.len(), |(_, lists)| lists.len());
    captures.resize(subtasks, Vec::new());
    let mut parts = Vec::new();
    for (subtask, captured) in captures.into_iter().enumerate() {
        let range = KeyGroupRange::of_subtask(subtask as u32, subtasks as u32).unwrap();
        let kind = SnapshotKind::Savepoint;
        let id =
            PartId { kind, checkpoint: 1, generation: 1, operator: 0, subtask: subtask as u32 };
        let operator = elements.as_ref().map(|(id, lists)| {
            Arc::new(Elements(*id, lists[subtask].clone())) as Arc<dyn OperatorCapture>
        });
        let (captures, chain) = (vec![captured], Chain::default());
        let input = PartInput { id, range, captures, operator, chain };
        let part = block_on(write_part(&store, input, &SnapshotSettings::default())).unwrap();
        parts.push((part.chain.part, None));
    }
    let manifest = Manifest {
        job: "flights".into(),
        kind: SnapshotKind::Savepoint,
        checkpoint: 1,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let (uid, extra) = (uid.to_owned(), Default::default());
    let operator = Operator { uid, key, states, parts: Vec::new(), dropped: Vec::new(), extra };
    let operators = vec![NewOperator { operator, parts }];
    block_on(write_manifest(&store, manifest, operators)).unwrap();
    block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap()
}

fn compared(a: &OpenSnapshot, b: &OpenSnapshot) -> (Diff, Vec<String>) {
    let mut lines = Vec::new();
    let mut each = |side: Side, line: &str| {
        lines.push(format!("{side:?} {line}"));
        Ok(())
    };
    let found = diff(a, b, &DiffFilter::default(), &mut |_| {}, &mut each).unwrap();
    assert!(found.damage.is_empty(), "{:?}", found.damage);
    (found, lines)
}

fn counts(found: &Diff) -> Vec<[u64; 4]> {
    let of = |state: &StateDiff| [state.only_in_a, state.only_in_b, state.changed, state.equal];
    found.states.iter().map(of).collect()
}

fn elements(kind: StateKind, id: u32, lists: &[&[u64]]) -> OpenSnapshot {
    let states = vec![info(id, "offsets", kind, numbers())];
    let lists = lists.iter().map(|list| list.to_vec()).collect();
    written(("source", None, states), Vec::new(), Some((id, lists)))
}

#[test]
fn operator_state_is_what_its_subtasks_hold_together() {
    let list = |id, lists: &[&[u64]]| elements(StateKind::OperatorList, id, lists);
    let (found, lines) = compared(&list(1, &[&[1, 2, 3], &[2]]), &list(7, &[&[2], &[3], &[1, 2]]));
    assert!(found.is_same() && lines.is_empty());
    assert_eq!(counts(&found), [[0, 0, 0, 4]]);
    let (found, lines) = compared(&list(1, &[&[1, 2, 2], &[9]]), &list(1, &[&[2, 5]]));
    assert_eq!(counts(&found), [[3, 1, 0, 1]]);
    let head = r#"{"operator":"source","state":"offsets","kind":"operator-list","value":"#;
    let expected = [("A", 1), ("A", 2), ("B", 5), ("A", 9)];
    assert_eq!(lines, expected.map(|(side, value)| format!("{side} {head}{value}}}")));

    // What every subtask holds counts once, if there are more of them on one side.
    let union = |lists: &[&[u64]]| elements(StateKind::OperatorUnion, 1, lists);
    let (found, _) = compared(&union(&[&[1, 2], &[1, 2]]), &union(&[&[2, 1]]));
    assert_eq!(counts(&found), [[0, 0, 0, 2]]);
    let (found, _) = compared(&union(&[&[1, 2], &[1, 2]]), &union(&[&[1, 2], &[2]]));
    assert_eq!(counts(&found), [[1, 0, 0, 3]]);
}

/// A snapshot of one value state under ids, types and values of one's own.
fn values<K: Key + Clone, V: Clone + Send + Sync + 'static>(
    (id, key, value): (u32, TypeInfo, TypeInfo),
    codec: impl ValueCodec<V> + Clone + 'static,
    entries: &[(K, V)],
) -> OpenSnapshot {
    let mut state = ValueState::<K, (), V>::new(id, KeyGroupRange::ALL, codec).unwrap();
    for (key, value) in entries {
        state.update(key, &(), value.clone()).unwrap();
    }
    let states = vec![info(id, "count", StateKind::Value, value)];
    written(("delays", Some(key), states), vec![vec![state.capture_state()]], None)
}

#[test]
fn types_ids_and_codecs_are_told_and_values_are_compared_all_the_same() {
    let wide = || ValueCodec::<u64>::info(&Ordered).unwrap();
    let narrow = ValueCodec::<u32>::info(&Ordered).unwrap();
    let varint = ValueCodec::<u64>::info(&Bincode).unwrap();
    let a = values((1, wide(), wide()), Ordered, &[(1_u64, 10_u64), (2, 20), (3, 30)]);

    // Another id, in another run.
    let b = values((5, wide(), wide()), Ordered, &[(1_u64, 10_u64), (2, 21), (4, 40)]);
    let (found, lines) = compared(&a, &b);
    assert!(found.metadata.is_empty());
    assert_eq!(counts(&found), [[1, 1, 1, 1]]);
    assert_eq!(lines.len(), 4);

    // Another codec of values, the same values.
    let b = values((1, wide(), varint.clone()), Bincode, &[(1_u64, 10_u64), (2, 20), (3, 31)]);
    let (found, _) = compared(&a, &b);
    assert_eq!(counts(&found), [[0, 0, 1, 2]]);
    let what = What::Type(TypeRole::Value, Box::new([Some(wide()), Some(varint)]));
    let (operator, state) = ("delays".to_owned(), Some("count".to_owned()));
    assert_eq!(found.metadata, [Difference { operator: operator.clone(), state, what }]);
    assert!(!found.is_same());

    // Another type of keys, which lie in other key groups.
    let b = values((1, narrow.clone(), wide()), Ordered, &[(1_u32, 10_u64), (2, 21), (3, 30)]);
    let (found, lines) = compared(&a, &b);
    assert_eq!(counts(&found), [[1, 1, 0, 2]]);
    assert!(
        lines[0].starts_with("A ") && lines[0].ends_with(r#""key":2,"namespace":null,"value":20}"#)
    );
    let what = What::Type(TypeRole::Key, Box::new([Some(wide()), Some(narrow)]));
    assert_eq!(found.metadata, [Difference { operator, state: None, what }]);
}

#[test]
fn states_and_operators_of_one_side_alone_are_all_different() {
    let ttl = Ttl { duration_ms: Some(5), update: TtlUpdate::Write };
    let state = |id, name: &str, kind| info(id, name, kind, numbers());
    let of = |uid: &str, states| written((uid, Some(numbers()), states), vec![Vec::new()], None);
    let mut timed = state(3, "timed", StateKind::Value);
    timed.ttl = Some(ttl);
    let a = of(
        "delays",
        vec![
            state(1, "count", StateKind::Value),
            state(2, "late", StateKind::List),
            state(3, "timed", StateKind::Value),
        ],
    );
    let b = of("delays", vec![state(2, "late", StateKind::Reducing), timed]);
    let (found, _) = compared(&a, &b);
    let what: Vec<_> = found.metadata.into_iter().map(|found| (found.state, found.what)).collect();
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        what,
        [
            (name("count"), What::OnlyIn(Side::A)),
            (name("late"), What::Kind([StateKind::List, StateKind::Reducing])),
            (name("timed"), What::Ttl([None, Some(ttl)])),
        ]
    );
    let stands: Vec<_> =
        found.states.iter().map(|state| (&state.state[..], state.stands_in)).collect();
    let late = [("late", [true, false]), ("late", [false, true])];
    assert_eq!(stands, [("count", [true, false]), late[0], late[1], ("timed", [true, true])]);

    let c = of("others", Vec::new());
    let (found, _) = compared(&a, &c);
    let what: Vec<_> =
        found.metadata.into_iter().map(|found| (found.operator, found.what)).collect();
    let of = |uid: &str, side| (uid.to_owned(), What::OnlyIn(side));
    assert_eq!(what, [of("delays", Side::A), of("others", Side::B)]);
}

#[test]
fn what_neither_has_is_refused() {
    let a = written(("delays", Some(numbers()), vec![]), vec![Vec::new()], None);
    for (operator, state, says) in [
        (Some("x"), None, r#"neither snapshot has an operator "x"; they have ["delays"]"#),
        (None, Some("y"), r#"neither snapshot has a state "y"; they have {}"#),
    ] {
        let (operator, state) = (operator.map(str::to_owned), state.map(str::to_owned));
        let filter = DiffFilter { operator, state, ..DiffFilter::default() };
        let refused = diff(&a, &a, &filter, &mut |_| {}, &mut |_, _| Ok(())).unwrap_err();
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Invalid, says.to_owned()));
    }
}
