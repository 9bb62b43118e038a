//! What the next version of a program makes of the state of the version before.

use crate::harness::{UID, fresh};
use crate::lines;
use crate::store::new_store;
use esker::backend::{
    Backend, BackendFactory, Handle, ListCalls, MapCalls, Reducing, ReducingState, ValueCalls,
};
use esker::engine::LocalJob;
use esker::format::manifest::Manifest;
use esker::format::{KeyGroupRange, RelativeName};
use esker::snapshot::{MANIFEST_NAME, SnapshotSettings, find_operator, read_manifest};
use esker::state::{ListDescriptor, MapDescriptor, ReducingDescriptor, TtlConfig, ValueDescriptor};
use esker::{Result, Store, block_on};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const KEYS: u64 = 100;
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

fn old(id: u64) -> Old {
    Old { id: id as u16, name: format!("n{id}") }
}

fn new(id: u64) -> New {
    New { id, title: format!("n{id}"), added: 0 }
}

type Brief<B, V> = <B as Backend>::TtlValue<u64, (), V>;

/// States of values `V`.
struct States<B: Backend, V: Clone + Send + Sync + 'static> {
    value: Handle<B::Value<u64, (), V>>,
    brief: Handle<Brief<B, V>>,
    list: Handle<B::List<u64, (), V>>,
    ttl_list: Handle<B::TtlList<u64, (), V>>,
    map: Handle<B::Map<u64, (), u8, V>>,
    ttl_map: Handle<B::TtlMap<u64, (), u8, V>>,
    first: Handle<Reducing<B, u64, (), V>>,
    ttl_first: Handle<ReducingState<u64, (), V, Brief<B, V>>>,
}

impl<B: Backend, V> States<B, V>
where
    V: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    fn open(backend: &mut B) -> Result<Self> {
        let keep = |_: &mut V, _: V| {};
        let ttl_map = MapDescriptor::<u64, u8, V>::new("ttl-map").with_ttl(HOUR);
        let ttl_first = ReducingDescriptor::<u64, V>::new("ttl-first", keep).with_ttl(HOUR);
        Ok(Self {
            value: backend.open(ValueDescriptor::<u64, V>::new("value"))?,
            brief: backend.open(ValueDescriptor::<u64, V>::new("brief").with_ttl(HOUR))?,
            list: backend.open(ListDescriptor::<u64, V>::new("list"))?,
            ttl_list: backend.open(ListDescriptor::<u64, V>::new("ttl-list").with_ttl(HOUR))?,
            map: backend.open(MapDescriptor::<u64, u8, V>::new("map"))?,
            ttl_map: backend.open(ttl_map)?,
            first: backend.open(ReducingDescriptor::<u64, V>::new("first", keep))?,
            ttl_first: backend.open(ttl_first)?,
        })
    }

    fn fill(&self, backend: &mut B, of: impl Fn(u64) -> V) -> Result<()> {
        for key in 0..KEYS {
            let (k, two) = (&key, [of(key), of(7)]);
            backend.state(self.value)?.update(k, &(), of(key))?;
            backend.state(self.brief)?.update(k, &(), of(key))?;
            backend.state(self.list)?.append_all(k, &(), two.clone())?;
            backend.state(self.ttl_list)?.append_all(k, &(), two)?;
            backend.state(self.map)?.put(k, &(), &3, of(key))?;
            backend.state(self.ttl_map)?.put(k, &(), &3, of(key))?;
            backend.state(self.first)?.add(k, &(), of(key))?;
            backend.state(self.ttl_first)?.add(k, &(), of(key))?;
        }
        Ok(())
    }

    /// All that is there of `key`, in the order of the states.
    fn all(&self, backend: &mut B, key: u64) -> Result<Vec<V>> {
        let (k, mut all) = (&key, Vec::new());
        all.extend(backend.state(self.value)?.get(k, &())?);
        all.extend(backend.state(self.brief)?.get(k, &())?);
        all.extend(backend.state(self.list)?.get(k, &())?);
        all.extend(backend.state(self.ttl_list)?.get(k, &())?);
        all.extend(backend.state(self.map)?.get(k, &(), &3)?);
        all.extend(backend.state(self.ttl_map)?.get(k, &(), &3)?);
        all.extend(backend.state(self.first)?.get(k, &())?);
        all.extend(backend.state(self.ttl_first)?.get(k, &())?);
        Ok(all)
    }
}

/// What each key holds of `of`, in the order of the states.
fn expected<V>(key: u64, of: impl Fn(u64) -> V) -> Vec<V> {
    [key, key, key, 7, key, 7, key, key, key, key].map(of).into()
}

/// Values of every kind are migrated to types that are wider, renamed or have more in them, from a
/// checkpoint and from a savepoint; what is written next is of the new type.
pub fn values_of_every_kind_are_migrated<F: BackendFactory>(factory: &F) {
    let (store, aside) = (new_store(), new_store());
    let open = || block_on(LocalJob::open(store.clone(), "schema")).unwrap();
    {
        let mut job = open();
        let mut backend = job.backend_of(factory, UID, KeyGroupRange::ALL).unwrap();
        let states = States::<_, Old>::open(&mut backend).unwrap();
        backend.set_time_ms(500);
        states.fill(&mut backend, old).unwrap();
        block_on(job.checkpoint(std::slice::from_mut(&mut backend))).unwrap();
        block_on(job.savepoint(&mut [backend], &aside)).unwrap();
    }
    let check = |backend: &mut F::Backend, states: &States<F::Backend, New>| {
        for key in 0..KEYS {
            assert_eq!(states.all(backend, key).unwrap(), expected(key, new), "key={key}");
        }
    };
    for _ in 0..2 {
        // Migrated, and then as it was written.
        let mut job = open();
        let mut backend = job.backend_of(factory, UID, KeyGroupRange::ALL).unwrap();
        let states = States::open(&mut backend).unwrap();
        block_on(job.restore(&mut backend)).unwrap();
        check(&mut backend, &states);
        block_on(job.checkpoint(&mut [backend])).unwrap();
    }
    let manifest = manifest(&aside);
    let stored = find_operator(&manifest, UID).unwrap();
    let mut backend = factory.make(UID, KeyGroupRange::ALL, Some(stored)).unwrap();
    let states = States::open(&mut backend).unwrap();
    block_on(backend.restore(&aside, &manifest, &SnapshotSettings::default())).unwrap();
    check(&mut backend, &states);
}

fn manifest(store: &Store) -> Manifest {
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    block_on(read_manifest(store, &name, None)).unwrap()
}

/// Another duration holds from the restore on, and brings back nothing that had expired by the one
/// before it when the snapshot was captured.
pub fn another_duration_revives_nothing<F: BackendFactory>(factory: &F) {
    let aside = new_store();
    let mut backend = fresh(factory);
    let kept = TtlConfig { clean_full_snapshots: false, ..HOUR };
    let brief = backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(kept)).unwrap();
    backend.state(brief).unwrap().update(&1, &(), 5).unwrap();
    backend.set_time_ms(1_800_000);
    backend.state(brief).unwrap().update(&2, &(), 6).unwrap();
    backend.set_time_ms(3_600_000);
    let mut job = block_on(LocalJob::open(new_store(), "schema")).unwrap();
    block_on(job.savepoint(&mut [backend], &aside)).unwrap();
    let manifest = manifest(&aside);
    for (duration_ms, wanted) in [(7_200_000, Some(6)), (3_600_000, Some(6)), (1_000, None)] {
        let stored = find_operator(&manifest, UID).unwrap();
        let mut backend = factory.make(UID, KeyGroupRange::ALL, Some(stored)).unwrap();
        let ttl = TtlConfig::new(duration_ms);
        let brief = backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(ttl)).unwrap();
        block_on(backend.restore(&aside, &manifest, &SnapshotSettings::default())).unwrap();
        let state = backend.state(brief).unwrap();
        assert_eq!([1, 2].map(|key| state.get(&key, &()).unwrap()), [None, wanted]);
        // It is as late as it was there.
        let captures = backend.capture().unwrap();
        assert_eq!(captures[0].ttl_time_ms(), Some(3_600_000));
        // Nor is there more in what is written next, though it says another duration.
        let lines = lines::of_captures(&backend, &captures).unwrap().join("\n");
        assert_eq!(lines.contains(r#""value":6"#), wanted.is_some());
        assert!(!lines.contains(r#""value":5"#));
    }
}
