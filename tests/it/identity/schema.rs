//! Snapshots of a program restored by the next version of it: types that changed, states that came,
//! went or became others.

use super::job::small;
use super::lines;
use esker::backend::Backend;
use esker::backend::heap::HeapBackend;
use esker::backend::operator::OperatorBackend;
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind, StateInfo};
use esker::snapshot::{
    Chain, NewOperator, OperatorCapture, PartId, PartInput, read_operator_state, write_manifest,
    write_part,
};
use esker::state::{
    BroadcastDescriptor, ListDescriptor, MapDescriptor, OperatorListDescriptor, ReducingDescriptor,
    TimerDescriptor, TtlConfig, ValueDescriptor,
};
use esker::{Error, ErrorKind, Result, Store, block_on};
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
    backend: &mut HeapBackend,
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
    let operator = Operator { uid: "op".into(), key, states, parts: Vec::new(), extra };
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

fn memory() -> Store {
    Store::open("memory://").unwrap()
}

fn old(id: u16) -> Old {
    Old { id, name: format!("n{id}") }
}

fn new(id: u64) -> New {
    New { id, title: format!("n{id}"), added: 0 }
}

#[test]
fn values_of_all_kinds_are_migrated() {
    let store = memory();
    let mut backend = HeapBackend::new("op", ALL);
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
    let mut backend = HeapBackend::restoring(stored, ALL);
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

/// A snapshot of a value state `value` of `Old`, one with TTL, and one of timers.
fn sample() -> (Store, Manifest) {
    let store = memory();
    let mut backend = HeapBackend::new("op", ALL);
    let value = backend.open(ValueDescriptor::<u64, Old>::new("value")).unwrap();
    let brief = backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR)).unwrap();
    let wake = backend.open(TimerDescriptor::<u64>::event("wake")).unwrap();
    backend.state(value).unwrap().update(&1, &(), old(300)).unwrap();
    backend.state(brief).unwrap().update(&1, &(), 5).unwrap();
    backend.set_time_ms(1_800_000);
    backend.state(brief).unwrap().update(&2, &(), 6).unwrap();
    backend.state(wake).unwrap().register(10, &1, &()).unwrap();
    // The first has expired; a cleanup has not met it.
    backend.set_time_ms(3_600_000);
    let manifest = write(&mut backend, Chain::default(), None, &store, 1);
    (store, manifest)
}

/// Opens what `sample` holds, but for what `open` opens in its place, and restores it.
fn restored(
    manifest: &Manifest,
    store: &Store,
    but: &str,
    open: impl FnOnce(&mut HeapBackend) -> Result<()>,
) -> Result<HeapBackend> {
    let mut backend = HeapBackend::restoring(&manifest.operators[0], ALL);
    if but != "value" {
        backend.open(ValueDescriptor::<u64, Old>::new("value"))?;
    }
    if but != "brief" {
        backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR))?;
    }
    if but != "wake" {
        backend.open(TimerDescriptor::<u64>::event("wake"))?;
    }
    open(&mut backend)?;
    block_on(backend.restore(store, manifest, &small()))?;
    Ok(backend)
}

fn refused(but: &str, open: impl FnOnce(&mut HeapBackend) -> Result<()>) -> String {
    let (store, manifest) = sample();
    let error: Error = restored(&manifest, &store, but, open).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    error.to_string()
}

#[track_caller]
fn names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn an_incompatible_type_is_refused_with_the_difference_named() {
    let error = refused("value", |b| b.open(ValueDescriptor::<u64, Wrong>::new("value")).map(drop));
    names(&error, &["state=value", "field name", "string \"n300\"", "u32"]);
    let error =
        refused("value", |b| b.open(ValueDescriptor::<u64, Narrow>::new("value")).map(drop));
    names(&error, &["state=value", "field id", "300", "u8"]);
    let error = refused("value", |b| b.open(ValueDescriptor::<u64, More>::new("value")).map(drop));
    names(&error, &["state=value", "missing field `required`"]);
}

#[test]
fn a_state_that_is_missing_or_renamed_is_refused_by_name() {
    let error = refused("wake", |_| Ok(()));
    names(&error, &["operator=op", "state=wake", "timer-event", "not open"]);
    let error = refused("brief", |b| {
        b.open(ValueDescriptor::<u64, u32>::new("short").with_ttl(HOUR)).map(drop)
    });
    names(&error, &["state=brief", "not open"]);
}

#[test]
fn a_state_that_became_another_is_refused_when_it_is_opened() {
    let error = refused("value", |b| b.open(ListDescriptor::<u64, Old>::new("value")).map(drop));
    names(&error, &["state=value", "kind is value", "not list"]);
    let error =
        refused("value", |b| b.open(ValueDescriptor::<u64, Old, u8>::new("value")).map(drop));
    names(&error, &["state=value", "namespace is none"]);
    let error = refused("wake", |b| b.open(TimerDescriptor::<u64>::processing("wake")).map(drop));
    names(&error, &["state=wake", "timer-event", "timer-processing"]);
    let error =
        refused("value", |b| b.open(ValueDescriptor::<String, Old>::new("value")).map(drop));
    names(&error, &["operator=op", "keys are", "state=value"]);
    let error = refused("brief", |b| b.open(ValueDescriptor::<u64, u32>::new("brief")).map(drop));
    names(&error, &["state=brief", "with TTL in the snapshot, not without TTL"]);
    let error = refused("value", |b| {
        b.open(ValueDescriptor::<u64, Old>::new("value").with_ttl(HOUR)).map(drop)
    });
    names(&error, &["state=value", "without TTL in the snapshot, not with TTL"]);
}

#[test]
fn another_duration_is_fine_and_revives_nothing() {
    for (duration_ms, wanted) in [(7_200_000, Some(6)), (3_600_000, Some(6)), (1_000, None)] {
        let (store, manifest) = sample();
        let config = TtlConfig::new(duration_ms);
        let mut brief = None;
        let mut backend = restored(&manifest, &store, "brief", |b| {
            let descriptor = ValueDescriptor::<u64, u32>::new("brief").with_ttl(config);
            brief = Some(b.open(descriptor)?);
            Ok(())
        })
        .unwrap();
        let state = backend.state(brief.unwrap()).unwrap();
        assert_eq!([1, 2].map(|key| state.get(&key, &()).unwrap()), [None, wanted]);
        // Nor do the lines of what is written next, though its manifest says another duration.
        let manifest = write(&mut backend, Chain::default(), None, &store, 2);
        let shown = lines::of(&store, &manifest).join("\n");
        assert_eq!(shown.contains(r#""value":6"#), wanted.is_some());
        assert!(!shown.contains(r#""value":5"#));
    }
}

#[test]
fn operator_state_is_checked_in_the_same_way() {
    let (store, mut backend) = (memory(), HeapBackend::new("op", ALL));
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
