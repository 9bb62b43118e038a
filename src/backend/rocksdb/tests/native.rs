//! Native checkpoints: linked, put, and opened again at any parallelism.

use super::super::{Budget, RocksBackends, RocksOptions};
use super::all::{All, Call, call};
use super::{manifest, options};
use crate::backend::heap::HeapBackend;
use crate::backend::{
    Backend, BackendFactory, EntrySink, ListCalls, NativeCapture, StateCapture, ValueCalls,
};
use crate::snapshot::{
    Chain, PartId, PartInput, Restored, SnapshotSettings, WrittenPart, write_native_part,
};
use crate::state::{ListDescriptor, TtlConfig, ValueDescriptor};
use crate::{Error, ErrorKind, Store, block_on};
use esker_format::manifest::{Manifest, SnapshotKind};
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroup, KeyGroupRange};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::Arc;

const CONFIG: TtlConfig = TtlConfig::new(30);

fn settings() -> SnapshotSettings {
    SnapshotSettings::default()
}

fn range(index: u32, parallelism: u32) -> KeyGroupRange {
    KeyGroupRange::of_subtask(index, parallelism).unwrap()
}

fn written<B: Backend>(
    store: &Store,
    backend: &mut B,
    (checkpoint, subtask): (u64, u32),
    chain: Chain,
) -> WrittenPart {
    let native = backend.capture_native().unwrap().unwrap();
    written_of(store, (backend.range(), native), (checkpoint, subtask), chain)
}

fn written_of(
    store: &Store,
    (range, native): (KeyGroupRange, Arc<dyn NativeCapture>),
    (checkpoint, subtask): (u64, u32),
    chain: Chain,
) -> WrittenPart {
    let kind = SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint, generation: 1, operator: 0, subtask };
    let (captures, operator) = (Vec::new(), None);
    let input = PartInput { id, range, captures, operator, chain };
    block_on(write_native_part(store, input, native, &settings())).unwrap()
}

fn restored<F: BackendFactory>(
    factory: &F,
    (store, manifest): (&Store, &Manifest),
    range: KeyGroupRange,
) -> Result<(All<F::Backend>, Restored), Error> {
    let backend = factory.make("all", range, Some(&manifest.operators[0])).unwrap();
    let mut all = All::open(backend, CONFIG);
    let restored = block_on(all.backend.restore(store, manifest, &settings()))?;
    Ok((all, restored))
}

/// What captures hold of the key groups of `range`.
#[derive(Default, PartialEq)]
struct Held(BTreeMap<Vec<u8>, Vec<u8>>);

impl EntrySink for Held {
    fn add(&mut self, entry: Entry<'_>) -> crate::Result<()> {
        assert_eq!(entry.op, Op::Put);
        self.0.insert(entry.key.to_vec(), entry.value.to_vec());
        Ok(())
    }
}

impl Held {
    fn by(captures: &[Arc<dyn StateCapture>], range: KeyGroupRange) -> Self {
        let mut held = Self::default();
        captures.iter().for_each(|capture| capture.write_full(range, &mut held).unwrap());
        held
    }
}

/// Calls `each` with calls that are the same for all, and the time of each.
fn calls(seed: u64, count: u64, mut each: impl FnMut(&Call, i64)) {
    let mut runner = TestRunner::deterministic();
    for step in 0..count {
        let call = call().new_tree(&mut runner).unwrap().current();
        each(&Call { key: call.key + 6 * ((step + seed) % 60), ..call }, (step + seed) as i64 / 40);
    }
}

#[test]
fn a_native_checkpoint_is_restored_at_any_parallelism() {
    for (before, after) in [(1, 1), (2, 2), (1, 3), (3, 2), (2, 1)] {
        let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
        let factory = RocksBackends::new(folder.path(), options()).unwrap();
        let heap = |index| All::open(HeapBackend::new("all", range(index, before)), CONFIG);
        let make = |index| factory.make("all", range(index, before), None).unwrap();
        let mut heaps: Vec<_> = (0..before).map(heap).collect();
        let mut rocks: Vec<_> = (0..before).map(|index| All::open(make(index), CONFIG)).collect();
        let owner = |call: &Call| {
            let group = call.key.with_encoded(KeyGroup::of);
            (0..before).position(|index| range(index, before).contains(group)).unwrap()
        };
        let mut chains = vec![Chain::default(); before as usize];
        let mut last = None;
        for checkpoint in 1..=3 {
            calls(checkpoint * 1000, 1000, |call, time_ms| {
                let owner = owner(call);
                assert_eq!(heaps[owner].call(call), rocks[owner].call(call), "{call:?}");
                heaps.iter_mut().for_each(|all| all.backend.set_time_ms(time_ms));
                rocks.iter_mut().for_each(|all| all.backend.set_time_ms(time_ms));
            });
            for (subtask, (all, chain)) in (0..).zip(rocks.iter_mut().zip(&mut chains)) {
                let part = written(&store, &mut all.backend, (checkpoint, subtask), chain.clone());
                *chain = part.chain;
            }
            let parts = chains.iter().map(|chain| chain.part.clone()).collect();
            last = Some(manifest(&store, checkpoint, &rocks[0].backend, parts));
        }
        let wanted: Vec<_> = heaps.iter_mut().flat_map(All::capture).collect();
        let manifest = last.unwrap();
        // What was written to after a checkpoint is not in it.
        calls(7, 500, |call, _| {
            rocks[owner(call)].call(call);
        });
        for index in 0..after {
            let range = range(index, after);
            let (mut all, restored) = restored(&factory, (&store, &manifest), range).unwrap();
            assert_eq!(restored.chain.part.native.is_some(), before == after);
            let (held, wanted) = (Held::by(&all.capture(), range), Held::by(&wanted, range));
            assert!(held == wanted && !held.0.is_empty(), "{before} to {after}");
            // It goes on: what was restored as it is, is not put again, but for what compactions wrote.
            let reused = |part: &WrittenPart| {
                let files = part.chain.part.native.as_ref().unwrap().files.iter();
                let old = files.filter(|file| !part.names.contains(&file.file));
                old.filter(|file| file.local.ends_with(".sst")).count()
            };
            let part = written(&store, &mut all.backend, (9, index), restored.chain);
            assert_eq!(reused(&part) > 0, before == after, "{before} to {after}");
        }
    }
}

#[test]
fn files_of_a_savepoint_are_named_by_no_checkpoint() {
    let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    let factory = RocksBackends::new(folder.path(), options()).unwrap();
    let backend = factory.make("all", KeyGroupRange::ALL, None).unwrap();
    let mut rocks = All::open(backend, CONFIG);
    calls(0, 1000, |call, _| drop(rocks.call(call)));
    let part = written(&store, &mut rocks.backend, (1, 0), Chain::default());
    let checkpoint = manifest(&store, 1, &rocks.backend, vec![part.chain.part]);
    let savepoint = Manifest { kind: SnapshotKind::Savepoint, ..checkpoint.clone() };
    let wanted = Held::by(&rocks.capture(), KeyGroupRange::ALL);
    for (manifest, goes_on) in [(checkpoint, true), (savepoint, false)] {
        let (mut all, restored) =
            restored(&factory, (&store, &manifest), KeyGroupRange::ALL).unwrap();
        assert_eq!(restored.chain.part.native.is_some(), goes_on);
        assert!(Held::by(&all.capture(), KeyGroupRange::ALL) == wanted);
    }
}

#[test]
fn damage_to_any_file_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store");
    std::fs::create_dir(&at).unwrap();
    let store = Store::open(at.to_str().unwrap()).unwrap();
    let factory = RocksBackends::new(folder.path().join("local"), options()).unwrap();
    let backend = factory.make("all", KeyGroupRange::ALL, None).unwrap();
    let mut rocks = All::open(backend, CONFIG);
    calls(0, 1000, |call, _| drop(rocks.call(call)));
    let part = written(&store, &mut rocks.backend, (1, 0), Chain::default());
    let files = part.chain.part.native.clone().unwrap().files;
    let manifest = manifest(&store, 1, &rocks.backend, vec![part.chain.part]);
    assert!(files.iter().any(|file| file.holds.is_some()));
    for file in files.into_iter().filter(|file| file.len_bytes > 0) {
        let path = at.join(file.file.as_str());
        let sound = std::fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let Err(error) = restored(&factory, (&store, &manifest), KeyGroupRange::ALL) else {
            panic!("{} is damaged, and is restored", file.local);
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(file.file.as_str()), "{error}");
        let holds = file.holds.map(|(id, groups)| {
            let states = &manifest.operators[0].states;
            let name = &states.iter().find(|info| info.id == id).unwrap().name;
            format!("state={name} key groups {}-{}:", groups.first(), groups.last())
        });
        let lost = holds.unwrap_or_else(|| "without it no state can be read".to_owned());
        assert!(error.to_string().contains(&lost), "{error}");
        std::fs::write(&path, sound).unwrap();
    }
    assert!(restored(&factory, (&store, &manifest), KeyGroupRange::ALL).is_ok());
}

#[test]
fn what_is_put_after_a_capture_is_not_in_it() {
    let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    // With little memory, what is put after a capture may get to files before what was put before it.
    let options = RocksOptions::new(Budget::new(256 << 20));
    let factory = RocksBackends::new(folder.path(), options).unwrap();
    let mut rocks = All::open(factory.make("all", KeyGroupRange::ALL, None).unwrap(), CONFIG);
    let mut chain = Chain::default();
    for checkpoint in 1..=4 {
        calls(checkpoint * 500, 500, |call, time_ms| {
            rocks.call(call);
            rocks.backend.set_time_ms(time_ms);
        });
        let wanted = Held::by(&rocks.capture(), KeyGroupRange::ALL);
        let native = rocks.backend.capture_native().unwrap().unwrap();
        calls(checkpoint * 500 + 90, 500, |call, _| drop(rocks.call(call)));
        let part = written_of(&store, (KeyGroupRange::ALL, native), (checkpoint, 0), chain);
        chain = part.chain;
        let manifest = manifest(&store, checkpoint, &rocks.backend, vec![chain.part.clone()]);
        let from = (&store, &manifest);
        let (mut restored, _) = restored(&factory, from, KeyGroupRange::ALL).unwrap();
        assert!(Held::by(&restored.capture(), KeyGroupRange::ALL) == wanted, "{checkpoint}");
    }
}

#[test]
fn what_a_manifest_no_longer_names_goes() {
    let (store, folder) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    let factory = RocksBackends::new(folder.path(), options()).unwrap();
    let mut rocks = All::open(factory.make("all", KeyGroupRange::ALL, None).unwrap(), CONFIG);
    calls(0, 1000, |call, _| drop(rocks.call(call)));
    let part = written(&store, &mut rocks.backend, (1, 0), Chain::default());
    let mut manifest = manifest(&store, 1, &rocks.backend, vec![part.chain.part]);
    let wanted: Vec<_> = (0..360)
        .map(|key| rocks.backend.state(rocks.value).unwrap().get(&key, &0).unwrap())
        .collect();

    // As a rewrite does that drops states: the database has them still.
    let operator = &mut manifest.operators[0];
    let dropped = operator.states.extract_if(.., |info| info.name != "value");
    let dropped: Vec<_> = dropped.map(|info| (info.name, info.id)).collect();
    operator.dropped = dropped.iter().map(|(_, id)| *id).collect();
    let map_id = dropped.iter().find(|(name, _)| name == "map").unwrap().1;
    // As it is, and clipped.
    for range in [KeyGroupRange::ALL, range(0, 2)] {
        let stored = Some(&manifest.operators[0]);
        let mut backend = factory.make("all", range, stored).unwrap();
        let value = backend.open(ValueDescriptor::<u64, u32, u8>::new("value")).unwrap();
        // Of the name of one that was dropped, and a kind of its own: nothing of that one is its.
        let list = backend.open(ListDescriptor::<u64, u32>::new("map")).unwrap();
        let restored = block_on(backend.restore(&store, &manifest, &settings())).unwrap();
        assert!(backend.infos().iter().all(|info| info.id != map_id));
        for key in (0..360_u64).filter(|key| range.contains(key.with_encoded(KeyGroup::of))) {
            let found = backend.state(value).unwrap().get(&key, &0).unwrap();
            assert_eq!(found, wanted[key as usize], "{key}");
            assert!(backend.state(list).unwrap().get(&key, &()).unwrap().is_empty());
        }
        let key = &(0..).find(|key: &u64| range.contains(key.with_encoded(KeyGroup::of))).unwrap();
        backend.state(list).unwrap().append(key, &(), 5).unwrap();
        let part = written(&store, &mut backend, (2, 0), restored.chain);
        let states: Vec<u32> = part.chain.part.states.iter().map(|state| state.id).collect();
        assert_eq!(states.len(), 2);
        let files = part.chain.part.native.unwrap().files;
        assert!(files.iter().filter_map(|file| file.holds).all(|(id, _)| states.contains(&id)));
    }
}
