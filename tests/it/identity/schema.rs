//! Snapshots of a program restored by the next version of it, operator state among them; what of it
//! is a backend's alone is in the conformance suite.

use super::{lines, small};
use crate::backends::{Tested, of_each_backend};
use esker::backend::operator::OperatorBackend;
use esker::backend::{Backend, ListCalls, MapCalls, ValueCalls};
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind, StateInfo};
use esker::snapshot::{
    Chain, NewOperator, OperatorCapture, PartId, PartInput, read_operator_state, write_manifest,
    write_part,
};
use esker::state::{
    BroadcastDescriptor, ListDescriptor, MapDescriptor, OperatorListDescriptor, ReducingDescriptor,
    TtlConfig, ValueDescriptor,
};
use esker::{Error, ErrorKind, Result, Store, block_on};
use esker_conformance::store::new_store;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const ALL: KeyGroupRange = KeyGroupRange::ALL;
const HOUR: TtlConfig = TtlConfig::new(3_600_000);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Old {
    id: u16,
    name: String,
}

/// Wider, renamed, and with more in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct New {
    id: u64,
    #[serde(alias = "name")]
    title: String,
    #[serde(default)]
    added: i32,
}

/// What cannot be read from `Old`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrong {
    id: u16,
    name: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Narrow {
    id: u8,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct More {
    id: u16,
    name: String,
    required: u32,
}

/// Writes a checkpoint of a backend that is the only subtask.
fn write(
    backend: &mut impl Backend,
    chain: Chain,
    operator: Option<(Arc<dyn OperatorCapture>, Vec<StateInfo>)>,
    store: &Store,
    checkpoint: u64,
) -> Manifest {
    let kind = SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint, generation: 1, operator: 0, subtask: 0 };
    let captures = vec![backend.capture().unwrap()];
    let (operator, more) = operator.unzip();
    let input = PartInput { id, range: ALL, captures, operator, chain };
    let written = block_on(write_part(store, input, &small())).unwrap();
    let mut states = [backend.infos(), more.unwrap_or_default()].concat();
    states.sort_unstable_by_key(|state| state.id);
    let (key, extra) = (backend.key().cloned(), Default::default());
    let operator =
        Operator { uid: "op".into(), key, states, dropped: Vec::new(), parts: Vec::new(), extra };
    let manifest = Manifest {
        job: "schema".into(),
        kind,
        checkpoint,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let operators = vec![NewOperator { operator, parts: vec![(written.chain.part, None)] }];
    block_on(write_manifest(store, manifest, operators)).unwrap().manifest
}

fn old(id: u16) -> Old {
    Old { id, name: format!("n{id}") }
}

fn new(id: u64) -> New {
    New { id, title: format!("n{id}"), added: 0 }
}

fn values_of_all_kinds<F: Tested>() {
    let (factory, store) = (F::new(), new_store());
    let mut backend = factory.make("op", ALL, None).unwrap();
    let value = backend.open(ValueDescriptor::<u64, Old>::new("value")).unwrap();
    let list = backend.open(ListDescriptor::<u64, Old>::new("list").with_ttl(HOUR)).unwrap();
    let map = backend.open(MapDescriptor::<u64, u8, Old>::new("map").with_ttl(HOUR)).unwrap();
    let keep = |_: &mut Old, _: Old| {};
    let first = backend.open(ReducingDescriptor::<u64, Old>::new("first", keep)).unwrap();
    backend.set_time_ms(500);
    for key in 0..300 {
        let one = old(key as u16);
        backend.state(value).unwrap().update(&key, &(), one.clone()).unwrap();
        backend.state(list).unwrap().append_all(&key, &(), [one.clone(), old(7)]).unwrap();
        backend.state(map).unwrap().put(&key, &(), &3, one.clone()).unwrap();
        backend.state(first).unwrap().add(&key, &(), one).unwrap();
    }
    let mut operator = OperatorBackend::new("op");
    let offsets = operator.open(OperatorListDescriptor::<Old>::split("offsets")).unwrap();
    let rules = operator.open(BroadcastDescriptor::<u8, Old>::new("rules")).unwrap();
    operator.state(offsets).unwrap().add(old(1));
    operator.state(rules).unwrap().put(9, old(2));
    let captured = Some((operator.capture().unwrap(), operator.infos()));
    let manifest = write(&mut backend, Chain::default(), captured, &store, 1);
    let before = lines::of(&store, &manifest);

    let stored = &manifest.operators[0];
    let mut backend = factory.make("op", ALL, Some(stored)).unwrap();
    let value = backend.open(ValueDescriptor::<u64, New>::new("value")).unwrap();
    let list = backend.open(ListDescriptor::<u64, New>::new("list").with_ttl(HOUR)).unwrap();
    let map = backend.open(MapDescriptor::<u64, u8, New>::new("map").with_ttl(HOUR)).unwrap();
    let keep = |_: &mut New, _: New| {};
    let first = backend.open(ReducingDescriptor::<u64, New>::new("first", keep)).unwrap();
    let restored = block_on(backend.restore(&store, &manifest, &small())).unwrap();
    for key in 0..300 {
        let one = new(key);
        assert_eq!(backend.state(value).unwrap().get(&key, &()).unwrap(), Some(one.clone()));
        assert_eq!(backend.state(list).unwrap().get(&key, &()).unwrap(), [one.clone(), new(7)]);
        assert_eq!(backend.state(map).unwrap().get(&key, &(), &3).unwrap(), Some(one.clone()));
        assert_eq!(backend.state(first).unwrap().get(&key, &()).unwrap(), Some(one));
    }
    let mut operator = OperatorBackend::restoring(stored);
    let offsets = operator.open(OperatorListDescriptor::<New>::split("offsets")).unwrap();
    let rules = operator.open(BroadcastDescriptor::<u8, New>::new("rules")).unwrap();
    let elements = block_on(read_operator_state(&store, stored)).unwrap();
    operator.restore(&elements, 0, 1).unwrap();
    assert_eq!(operator.state(offsets).unwrap().get(), [new(1)]);
    assert_eq!(operator.state(rules).unwrap().get(&9), Some(&new(2)));

    // What is written next is all of the new shape, whatever the chain was.
    let captured = Some((operator.capture().unwrap(), operator.infos()));
    let manifest = write(&mut backend, restored.chain, captured, &store, 2);
    let after = lines::of(&store, &manifest);
    let renamed = |line: &String| line.replace(r#""name":"#, r#""title":"#);
    let strip = |line: &String| line.replace(r#","added":0"#, "");
    assert_eq!(
        before.iter().map(renamed).collect::<Vec<_>>(),
        after.iter().map(strip).collect::<Vec<_>>()
    );
}

/// That a snapshot with the state `value` of `Old` is refused for what `open` opens.
fn refused<F: Tested>(open: impl FnOnce(&mut F::Backend) -> Result<()>) -> String {
    let (factory, store) = (F::new(), new_store());
    let mut backend = factory.make("op", ALL, None).unwrap();
    let value = backend.open(ValueDescriptor::<u64, Old>::new("value")).unwrap();
    backend.state(value).unwrap().update(&1, &(), old(300)).unwrap();
    let manifest = write(&mut backend, Chain::default(), None, &store, 1);
    let mut backend = factory.make("op", ALL, Some(&manifest.operators[0])).unwrap();
    open(&mut backend).unwrap();
    let error: Error = block_on(backend.restore(&store, &manifest, &small())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    error.to_string()
}

#[track_caller]
fn names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

fn incompatible_types<F: Tested>() {
    let open = ValueDescriptor::<u64, Wrong>::new("value");
    let error = refused::<F>(|backend| backend.open(open).map(drop));
    let both = "stored as \"string\", asked for as \"u32\"";
    names(&error, &["state=value", "path=.name", "string \"n300\"", both]);
    let open = ValueDescriptor::<u64, Narrow>::new("value");
    let error = refused::<F>(|backend| backend.open(open).map(drop));
    names(&error, &["state=value", "path=.id", "300", "stored as \"u16\", asked for as \"u8\""]);
    let open = ValueDescriptor::<u64, More>::new("value");
    let error = refused::<F>(|backend| backend.open(open).map(drop));
    names(&error, &["state=value", "missing field `required`"]);
}

fn operator_state<F: Tested>() {
    let (factory, store) = (F::new(), new_store());
    let mut backend = factory.make("op", ALL, None).unwrap();
    backend.open(ValueDescriptor::<u64, u32>::new("value")).unwrap();
    let mut operator = OperatorBackend::new("op");
    operator.open(OperatorListDescriptor::<u32>::split("offsets")).unwrap();
    let captured = Some((operator.capture().unwrap(), operator.infos()));
    let manifest = write(&mut backend, Chain::default(), captured, &store, 1);
    let stored = &manifest.operators[0];

    let mut operator = OperatorBackend::restoring(stored);
    let union = OperatorListDescriptor::<u32>::union("offsets");
    let error = operator.open(union).unwrap_err().to_string();
    names(&error, &["state=offsets", "kind is operator-list", "not operator-union"]);
    let error = operator.open(OperatorListDescriptor::<u32>::split("value")).unwrap_err();
    names(&error.to_string(), &["state=value", "kind is value"]);
    let error = operator.restore(&[], 0, 1).unwrap_err();
    names(&error.to_string(), &["operator=op", "state=offsets", "not open"]);
    let poisoned = operator.capture().err().unwrap();
    assert_eq!(poisoned.kind(), ErrorKind::Poisoned);
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn values_of_all_kinds_are_migrated() {
            super::values_of_all_kinds::<$factory>();
        }

        #[test]
        fn an_incompatible_type_is_refused_with_the_difference_named() {
            super::incompatible_types::<$factory>();
        }

        #[test]
        fn operator_state_is_checked_in_the_same_way() {
            super::operator_state::<$factory>();
        }
    };
}
of_each_backend!(tests);
