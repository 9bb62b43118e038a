//! What must hold once all is over.

use super::ledger::Connection;
use super::owner::Plot;
use super::world::world;
use super::{COUNTER, IN_FLIGHT, LISTS, OFFSETS, PARTITIONS, Record, SINK, SOURCE, key};
use crate::backend::heap::{HeapBackend, HeapBackends};
use crate::backend::operator::OperatorBackend;
use crate::backend::{Backend, BackendFactory};
use crate::checkpoint::{Job, read_log};
use crate::engine::barrier::InFlight;
use crate::engine::{End, TwoPhaseCommit};
use crate::format::manifest::Manifest;
use crate::format::{KeyGroupRange, RelativeName};
use crate::snapshot::{
    MANIFEST_NAME, ManifestReferences, find_operator, read_manifest, read_operator_state,
};
use crate::state::{ListDescriptor, OperatorListDescriptor};
use crate::{ErrorKind, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a snapshot holds.
struct Held {
    offsets: Vec<Record>,
    /// What was processed, sorted, and what was in flight.
    records: Vec<Record>,
    in_flight: Vec<Record>,
}

fn below(offsets: &[Record]) -> Vec<Record> {
    let mut records: Vec<_> =
        offsets.iter().flat_map(|(of, next)| (0..*next).map(|number| (*of, number))).collect();
    records.sort_unstable();
    records
}

/// That both, which are sorted, hold the same as often.
fn assert_same(found: &[Record], expected: &[Record], what: &str) {
    if found != expected {
        let times = |of: &[Record], record| of.iter().filter(|other| **other == record).count();
        let all: BTreeSet<_> = found.iter().chain(expected).copied().collect();
        let wrong = all.into_iter().map(|of| (of, times(found, of), times(expected, of)));
        let wrong: Vec<_> = wrong.filter(|(_, found, expected)| found != expected).collect();
        panic!("{what}: record, how often it is there, how often it should be: {wrong:?}");
    }
}

/// Reads a snapshot; every record up to where its sources were is there once.
async fn held(store: &Store, manifest: &Manifest) -> Held {
    let all = KeyGroupRange::ALL;
    let make = |uid| -> HeapBackend {
        HeapBackends.make(uid, all, Some(find_operator(manifest, uid).unwrap())).unwrap()
    };
    let stored = find_operator(manifest, SOURCE).unwrap();
    let mut operator = OperatorBackend::restoring(stored);
    let offsets = operator.open(OperatorListDescriptor::<Record>::split(OFFSETS)).unwrap();
    let elements = read_operator_state(store, stored).await.unwrap();
    operator.restore(&elements, 0, 1).unwrap();
    let offsets = operator.state(offsets).unwrap().get().to_vec();
    let partitions: BTreeSet<_> = offsets.iter().map(|(partition, _)| *partition).collect();
    assert_eq!((offsets.len(), partitions.len()), (PARTITIONS as usize, PARTITIONS as usize));

    let mut backend = make(COUNTER);
    let lists = backend.open(ListDescriptor::<u64, Record>::new(LISTS)).unwrap();
    backend.restore(store, manifest, &Default::default()).await.unwrap();
    let mut records = Vec::new();
    for of in 0..super::KEYS {
        let list = backend.state(lists).unwrap().get(&of, &()).unwrap();
        // Records of one partition and key do not pass each other.
        for partition in 0..PARTITIONS {
            assert!(list.iter().filter(|record| record.0 == partition).is_sorted());
        }
        assert!(list.iter().all(|record| key(*record) == of));
        records.extend(list);
    }
    records.sort_unstable();

    let mut in_flight = InFlight::<_, u64, Record>::new(make(IN_FLIGHT)).unwrap();
    in_flight.backend().restore(store, manifest, &Default::default()).await.unwrap();
    let in_flight: Vec<_> =
        in_flight.replay().unwrap().into_iter().map(|(_, record)| record).collect();
    let mut found = records.clone();
    found.extend(&in_flight);
    found.sort_unstable();
    assert_same(&found, &below(&offsets), &format!("checkpoint {}", manifest.checkpoint));
    Held { offsets, records, in_flight }
}

/// A restart of the sinks from `manifest`.
async fn recover(plot: &Plot, store: &Store, manifest: &Manifest) {
    let stored = find_operator(manifest, SINK).unwrap();
    let mut operator = OperatorBackend::restoring(stored);
    let (ledger, written) = (plot.ledger.clone(), Default::default());
    let mut sink = TwoPhaseCommit::open(Connection { ledger, written }, &mut operator).unwrap();
    let elements = read_operator_state(store, stored).await.unwrap();
    operator.restore(&elements, 0, 1).unwrap();
    sink.recover(&mut operator).await.unwrap();
}

pub(super) async fn manifest_of(store: &Store) -> Manifest {
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    read_manifest(store, &name, None).await.unwrap()
}

/// The generation that owns the job, whatever the store's mood.
pub(super) async fn generation(store: &Store) -> u64 {
    loop {
        match read_log(store).await {
            Ok(log) => return log.generation(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Retry, "{error}"),
        }
    }
}

pub(super) async fn all(plot: &Plot, end: &End) {
    let savepoints = plot.savepoints.borrow().clone();
    for savepoint in savepoints {
        held(&savepoint, &manifest_of(&savepoint).await).await;
    }
    let store = &plot.store;
    let mut job = Job::claim(store.clone(), Arc::new(ManifestReferences)).await.unwrap();
    job.sweep().await.unwrap();
    job.retain(&plot.settings.retention.into()).await.unwrap();
    let retained = job.state().retained().clone();
    let mut last = None;
    for published in retained.values() {
        let (path, digest) = (&published.manifest_path, Some(published.manifest_digest));
        let manifest = read_manifest(store, path, digest).await.unwrap();
        last = Some((held(store, &manifest).await, manifest));
    }
    let (held, _) = match end {
        End::Stopped(_) => {
            let target = plot.stop.as_ref().unwrap();
            let manifest = manifest_of(target).await;
            recover(plot, target, &manifest).await;
            (self::held(target, &manifest).await, manifest)
        }
        _ => {
            let (held, manifest) = last.unwrap();
            recover(plot, store, &manifest).await;
            let ends: Vec<_> = held.offsets.iter().map(|(_, next)| *next).collect();
            assert_eq!(ends, [plot.records; PARTITIONS as usize]);
            assert_eq!(held.in_flight, []);
            (held, manifest)
        }
    };
    assert_same(&plot.ledger.committed(), &held.records, "the ledger");

    let mut reached: BTreeSet<RelativeName> = BTreeSet::new();
    for published in retained.values() {
        use crate::checkpoint::ReferenceSource;
        reached.extend(ManifestReferences.references(store, published).await.unwrap());
        reached.insert(published.manifest_path.clone());
    }
    let files = store.list(None).await.unwrap().into_iter().map(|(name, _)| name);
    let left: Vec<_> = files
        .filter(|name| !name.as_str().starts_with("log/") && !reached.contains(name))
        .collect();
    assert_eq!(left, [], "nothing refers to these");
    world().note("files", reached.len());
}
