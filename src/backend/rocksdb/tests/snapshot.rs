//! Snapshots of one backend restored into the other.

use super::super::RocksBackends;
use super::all::{All, Call, call, runs};
use super::{manifest, options};
use crate::backend::heap::{HeapBackend, HeapBackends};
use crate::backend::{Backend, BackendFactory};
use crate::snapshot::{
    Chain, Lineage, PartId, PartInput, SnapshotSettings, WrittenPart, write_part,
};
use crate::state::TtlConfig;
use crate::{Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::{Manifest, SnapshotKind};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const CONFIG: TtlConfig = TtlConfig::new(30);

fn settings() -> SnapshotSettings {
    SnapshotSettings { file_len_bytes: 4096, block_len_bytes: 512, ..SnapshotSettings::default() }
}

fn part<B: Backend>(store: &Store, all: &mut All<B>, subtask: u32, chain: Chain) -> WrittenPart {
    let (kind, captures) = (SnapshotKind::Checkpoint, vec![all.capture()]);
    let id = PartId { kind, checkpoint: 1, generation: 1, operator: 0, subtask };
    let range = all.backend.range();
    let input = PartInput { id, range, captures, operator: None, chain };
    block_on(write_part(store, input, &settings())).unwrap()
}

/// A snapshot of the subtasks of one operator.
fn snapshot<B: Backend>(store: &Store, subtasks: &mut [All<B>]) -> Manifest {
    let parts = subtasks
        .iter_mut()
        .enumerate()
        .map(|(number, all)| part(store, all, number as u32, Chain::default()).chain.part);
    let parts = parts.collect();
    manifest(store, 1, &subtasks[0].backend, parts)
}

fn restored<F: BackendFactory>(
    factory: &F,
    (store, manifest): (&Store, &Manifest),
    parallelism: u32,
) -> Vec<All<F::Backend>> {
    let subtask = |index| {
        let range = KeyGroupRange::of_subtask(index, parallelism).unwrap();
        let backend = factory.make("all", range, Some(&manifest.operators[0])).unwrap();
        let mut all = All::open(backend, CONFIG);
        block_on(all.backend.restore(store, manifest, &settings())).unwrap();
        all
    };
    (0..parallelism).map(subtask).collect()
}

/// A heap with a few of everything, some of it expired.
fn heap() -> All<HeapBackend> {
    let mut heap = All::open(HeapBackend::new("all", KeyGroupRange::ALL), CONFIG);
    let mut runner = TestRunner::deterministic();
    for step in 0..4000_u64 {
        let call = call().new_tree(&mut runner).unwrap().current();
        heap.call(&Call { key: call.key + 6 * (step % 60), ..call });
        heap.backend.set_time_ms(step as i64 / 40);
    }
    heap
}

#[test]
fn either_backend_restores_what_the_other_wrote_at_any_parallelism() {
    let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    let factory = RocksBackends::new(folder.path(), options()).unwrap();
    let mut heap = heap();
    let wanted = runs(&heap.capture());
    let of_heap = snapshot(&store, std::slice::from_mut(&mut heap));

    let mut rocks = restored(&factory, (&store, &of_heap), 3);
    let other = Store::open("memory://").unwrap();
    let of_rocks = snapshot(&other, &mut rocks);
    let mut both: [Vec<Vec<u8>>; 2] = Default::default();
    both[0] = runs(&restored(&HeapBackends, (&other, &of_rocks), 1)[0].capture());
    both[1] = runs(&restored(&factory, (&other, &of_rocks), 1)[0].capture());
    assert_eq!(both[0], wanted);
    assert_eq!(both[1], wanted);
}

#[test]
fn a_part_says_how_much_is_live_and_is_always_full() {
    let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    let factory = RocksBackends::new(folder.path(), options()).unwrap();
    let mut heap = heap();
    let manifest = snapshot(&store, std::slice::from_mut(&mut heap));
    let of_heap = part(&store, &mut heap, 0, Chain::default()).chain.part;
    let mut rocks = restored(&factory, (&store, &manifest), 1).remove(0);
    let mut chain = Chain::default();
    for _ in 0..2 {
        let written = part(&store, &mut rocks, 0, chain);
        assert_eq!(written.stats.changed_entries, 0);
        assert!(written.stats.full_entries > 1000);
        for (rocks, heap) in written.chain.part.states.iter().zip(&of_heap.states) {
            assert_eq!((rocks.id, rocks.ttl_time_ms), (heap.id, heap.ttl_time_ms));
            assert_eq!(rocks.earliest_timer_ms, heap.earliest_timer_ms);
            // Of a state with TTL, the heap counts what has expired and is still there.
            if rocks.ttl_time_ms.is_none() {
                assert_eq!(rocks.entries, heap.entries, "state {}", rocks.id);
            }
        }
        chain = written.chain;
    }
    // A lineage keeps no captures for changes that nobody knows.
    let mut lineage = Lineage::new(chain);
    for checkpoint in 3..5 {
        let (captures, chain) = lineage.begin(checkpoint, rocks.capture(), 4);
        assert_eq!((captures.len(), lineage.pending()), (1, 0));
        assert!(chain.part.runs.is_empty());
    }
}
