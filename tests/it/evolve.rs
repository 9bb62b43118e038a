//! A program is deployed anew over the state of the last one: checked against its snapshot, then restored.

use esker::backend::Backend;
use esker::backend::heap::HeapBackend;
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::format::schema::Fate;
use esker::format::schema_file::{SchemaFile, Stands};
use esker::snapshot::{MANIFEST_NAME, SnapshotSettings, find_operator, read_manifest};
use esker::state::{ListDescriptor, MapDescriptor, ProgramSchema, ValueDescriptor};
use esker::{ErrorKind, Store, block_on};
use esker_conformance::store::new_store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod old {
    use super::{BTreeMap, Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) id: u16,
        pub(super) customer: String,
        pub(super) coupon: String,
        pub(super) lines: Vec<Line>,
        pub(super) state: State,
        pub(super) notes: BTreeMap<u8, Vec<Line>>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Line {
        pub(super) price: f32,
        pub(super) pieces: i8,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) enum State {
        Open,
        Sent(u32),
        Split { into: Vec<Order> },
    }
}

mod new {
    use super::{BTreeMap, Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) state: Option<State>,
        #[serde(alias = "customer")]
        pub(super) buyer: String,
        pub(super) id: u64,
        pub(super) lines: Vec<Line>,
        pub(super) notes: BTreeMap<u32, Vec<Line>>,
        #[serde(default = "one")]
        pub(super) weight: u32,
    }

    pub(super) fn one() -> u32 {
        1
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Line {
        pub(super) pieces: i32,
        pub(super) price: f64,
        pub(super) discount: Option<u8>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) enum State {
        Cancelled { why: String },
        Open,
        Split { into: Vec<Order> },
        Sent(u64),
    }
}

fn order(id: u16, state: old::State) -> old::Order {
    let line = |pieces| old::Line { price: 0.1, pieces };
    old::Order {
        id,
        customer: format!("c{id}"),
        coupon: "none".into(),
        lines: vec![line(-3), line(4)],
        state,
        notes: [(7, vec![line(1)])].into(),
    }
}

/// What is to become of it, written by hand.
fn expected(id: u64, state: new::State) -> new::Order {
    let line = |pieces| new::Line { pieces, price: f64::from(0.1_f32), discount: None };
    new::Order {
        state: Some(state),
        buyer: format!("c{id}"),
        id,
        lines: vec![line(-3), line(4)],
        notes: [(7, vec![line(1)])].into(),
        weight: 1,
    }
}

fn saved() -> (Store, esker::format::manifest::Manifest) {
    let aside = new_store();
    let mut backend = HeapBackend::new("orders", KeyGroupRange::ALL);
    let last = backend.open(ValueDescriptor::<u64, old::Order>::new("last")).unwrap();
    let all = backend.open(ListDescriptor::<u64, old::Order>::new("all")).unwrap();
    let by_id = backend.open(MapDescriptor::<u64, u16, old::Order>::new("by-id")).unwrap();
    for key in 0..200_u16 {
        let split = old::State::Split { into: vec![order(key, old::State::Sent(5))] };
        let one = order(key, if key % 2 == 0 { old::State::Open } else { split });
        backend.state(last).unwrap().update(&key.into(), &(), one.clone()).unwrap();
        backend.state(all).unwrap().append(&key.into(), &(), one.clone()).unwrap();
        backend.state(by_id).unwrap().put(&key.into(), &(), &key, one).unwrap();
    }
    let mut job = block_on(LocalJob::open(new_store(), "shop")).unwrap();
    block_on(job.savepoint(&mut [backend], &aside)).unwrap();
    let manifest = block_on(read_manifest(&aside, &MANIFEST_NAME.parse().unwrap(), None)).unwrap();
    (aside, manifest)
}

#[test]
fn a_program_with_changed_types_finds_what_the_last_one_left() {
    let (store, manifest) = saved();
    let mut schema = ProgramSchema::default();
    schema.keyed("orders", &ValueDescriptor::<u64, new::Order>::new("last")).unwrap();
    schema.keyed("orders", &ListDescriptor::<u64, new::Order>::new("all")).unwrap();
    schema.keyed("orders", &MapDescriptor::<u64, u16, new::Order>::new("by-id")).unwrap();
    schema.keyed("orders", &ValueDescriptor::<u64, u8>::new("fresh")).unwrap();
    let program = SchemaFile::parse(&schema.file().to_text().unwrap()).unwrap();
    for verdict in SchemaFile::of(&manifest).restored_by(&program) {
        if verdict.state.as_deref() == Some("fresh") {
            assert_eq!((verdict.stands, verdict.fate), (Stands::Program, Fate::Compatible));
            continue;
        }
        assert_eq!(verdict.fate, Fate::Lossy, "{verdict:?}");
        let lost = verdict.changes.iter().filter(|change| change.fate == Fate::Lossy);
        let lost: Vec<_> = lost.map(|change| &*change.path).collect();
        assert_eq!(lost, ["value.coupon"]);
    }

    let stored = find_operator(&manifest, "orders").unwrap();
    let mut backend = HeapBackend::restoring(stored, KeyGroupRange::ALL);
    let last = backend.open(ValueDescriptor::<u64, new::Order>::new("last")).unwrap();
    let all = backend.open(ListDescriptor::<u64, new::Order>::new("all")).unwrap();
    let by_id = backend.open(MapDescriptor::<u64, u16, new::Order>::new("by-id")).unwrap();
    let fresh = backend.open(ValueDescriptor::<u64, u8>::new("fresh")).unwrap();
    block_on(backend.restore(&store, &manifest, &SnapshotSettings::default())).unwrap();
    for key in 0..200_u64 {
        let split = new::State::Split { into: vec![expected(key, new::State::Sent(5))] };
        let one = expected(key, if key % 2 == 0 { new::State::Open } else { split });
        assert_eq!(backend.state(last).unwrap().get(&key, &()).unwrap(), Some(one.clone()));
        assert_eq!(backend.state(all).unwrap().get(&key, &()).unwrap(), std::slice::from_ref(&one));
        let found = backend.state(by_id).unwrap().get(&key, &(), &(key as u16)).unwrap();
        assert_eq!(found, Some(one));
        assert_eq!(backend.state(fresh).unwrap().get(&key, &()).unwrap(), None);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    id: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    count: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[test]
fn a_type_whose_bytes_would_be_read_wrongly_is_refused_when_it_is_opened() {
    let mut backend = HeapBackend::new("op", KeyGroupRange::ALL);
    let error = backend.open(ValueDescriptor::<u64, Counted>::new("counted")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    for part in ["Counted", "the field count is left out (skip_serializing_if)", "path=.count"] {
        assert!(error.to_string().contains(part), "{part:?} is not in {error}");
    }
    let error = backend.open(ListDescriptor::<u64, Counted>::new("counted")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
}
