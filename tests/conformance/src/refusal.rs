//! What is refused, and how.

use crate::harness::{UID, fresh, keys_of, live, of_range, refused};
use crate::store::new_store;
use esker::ErrorKind::{Incompatible, Invalid, Poisoned};
use esker::backend::{Backend, BackendFactory, ListCalls, MapCalls, TimerCalls, ValueCalls};
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::format::manifest::Manifest;
use esker::format::{Ordered, RelativeName};
use esker::snapshot::{MANIFEST_NAME, SnapshotSettings, find_operator, read_manifest};
use esker::state::{ListDescriptor, MapDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor};
use esker::{Result, Store, block_on};

const HOUR: TtlConfig = TtlConfig::new(3_600_000);

/// Every call with a key of key groups that are not owned is `Invalid`, and changes nothing.
pub fn keys_of_other_subtasks_are_refused<F: BackendFactory>(factory: &F) {
    let [mine, other] = [0, 1].map(|index| KeyGroupRange::of_subtask(index, 2).unwrap());
    let (mut backend, k) = (of_range(factory, mine), &keys_of(other).next().unwrap());
    let value = backend.open(ValueDescriptor::<u64, u32>::new("value")).unwrap();
    let brief = backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR)).unwrap();
    let list = backend.open(ListDescriptor::<u64, u32>::new("list")).unwrap();
    let ttl_list =
        backend.open(ListDescriptor::<u64, u32>::new("ttl-list").with_ttl(HOUR)).unwrap();
    let map = backend.open(MapDescriptor::<u64, u8, u32>::new("map")).unwrap();
    let ttl_map =
        backend.open(MapDescriptor::<u64, u8, u32>::new("ttl-map").with_ttl(HOUR)).unwrap();
    let timers = backend.open(TimerDescriptor::<u64>::event("timers")).unwrap();
    macro_rules! refused {
        ($($state:ident: $call:ident($($argument:expr),*);)*) => {$(
            let result = backend.state($state).unwrap().$call($($argument),*).map(drop);
            assert_eq!(
                result.map_err(|error| error.kind()),
                Err(Invalid),
                "{}.{}", stringify!($state), stringify!($call)
            );
        )*};
    }
    refused! {
        value: get(k, &());
        value: update(k, &(), 1);
        value: rmw(k, &(), |slot| *slot = Some(1));
        value: clear(k, &());
        brief: get(k, &());
        brief: update(k, &(), 1);
        brief: rmw(k, &(), |slot| *slot = Some(1));
        brief: clear(k, &());
        list: get(k, &());
        list: append(k, &(), 1);
        list: append_all(k, &(), [1]);
        list: update(k, &(), [1]);
        list: clear(k, &());
        ttl_list: get(k, &());
        ttl_list: append(k, &(), 1);
        ttl_list: append_all(k, &(), [1]);
        ttl_list: update(k, &(), [1]);
        ttl_list: clear(k, &());
        map: get(k, &(), &1);
        map: contains(k, &(), &1);
        map: for_each(k, &(), |_, _| {});
        map: keys(k, &());
        map: is_empty(k, &());
        map: put(k, &(), &1, 1);
        map: rmw(k, &(), &1, |slot| *slot = Some(1));
        map: remove(k, &(), &1);
        map: clear(k, &());
        ttl_map: get(k, &(), &1);
        ttl_map: contains(k, &(), &1);
        ttl_map: for_each(k, &(), |_, _| {});
        ttl_map: keys(k, &());
        ttl_map: is_empty(k, &());
        ttl_map: put(k, &(), &1, 1);
        ttl_map: rmw(k, &(), &1, |slot| *slot = Some(1));
        ttl_map: remove(k, &(), &1);
        ttl_map: clear(k, &());
        timers: register(1, k, &());
        timers: delete(1, k, &());
        timers: contains(1, k, &());
    }
    let captures = backend.capture().unwrap();
    assert_eq!(captures.iter().map(|capture| live(&**capture)).sum::<u64>(), 0);
    // The backend goes on.
    let mine = &keys_of(mine).next().unwrap();
    backend.state(value).unwrap().update(mine, &(), 1).unwrap();
    assert_eq!(backend.state(value).unwrap().get(mine, &()).unwrap(), Some(1));
}

/// A handle that another backend gave is `Invalid`, where no state of its type is in that place.
pub fn handles_of_other_backends_are_refused<F: BackendFactory>(factory: &F) {
    let (mut one, mut other) = (fresh(factory), fresh(factory));
    let first = one.open(ValueDescriptor::<u64, u32>::new("first")).unwrap();
    let second = one.open(ValueDescriptor::<u64, u32>::new("second")).unwrap();
    refused(other.state(first).map(drop), Invalid, &["handle"]);
    other.open(ValueDescriptor::<u64, u64>::new("first")).unwrap();
    refused(other.state(first).map(drop), Invalid, &["handle"]);
    refused(other.state(second).map(drop), Invalid, &["handle"]);
}

/// Two backends share nothing, be they of one operator and the same key groups.
pub fn backends_share_nothing<F: BackendFactory>(factory: &F) {
    let mut backends = [fresh(factory), fresh(factory)];
    let handles = [0, 1]
        .map(|at: usize| backends[at].open(ValueDescriptor::<u64, u32>::new("state")).unwrap());
    backends[0].state(handles[0]).unwrap().update(&1, &(), 1).unwrap();
    assert_eq!(backends[1].state(handles[1]).unwrap().get(&1, &()).unwrap(), None);
    let [one, other] = backends;
    drop(one);
    let mut third = fresh(factory);
    let handle = third.open(ValueDescriptor::<u64, u32>::new("state")).unwrap();
    assert_eq!(third.state(handle).unwrap().get(&1, &()).unwrap(), None);
    drop(other);
    third.state(handle).unwrap().update(&1, &(), 3).unwrap();
    assert_eq!(live(&*third.capture().unwrap()[0]), 1);
}

/// A name is opened once, by one type of key.
pub fn names_are_opened_once<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(ValueDescriptor::<u64, u32>::new("state")).unwrap();
    backend.state(handle).unwrap().update(&1, &(), 1).unwrap();
    let again = backend.open(ValueDescriptor::<u64, u32>::new("state"));
    refused(again, Invalid, &["state=state", "open already"]);
    refused(backend.open(ListDescriptor::<u64, u32>::new("state")), Invalid, &["state=state"]);
    let strings = backend.open(ValueDescriptor::<String, u32>::new("strings"));
    refused(strings, Incompatible, &["operator=op", "keys are", "state=strings"]);
    assert_eq!(backend.infos().len(), 1);
    assert_eq!(backend.state(handle).unwrap().get(&1, &()).unwrap(), Some(1));
}

/// A savepoint of a value, a value with TTL, a map and timers, and its manifest.
fn savepoint<F: BackendFactory>(factory: &F) -> (Store, Manifest) {
    let (store, aside) = (new_store(), new_store());
    let mut job = block_on(LocalJob::open(store, "refusal")).unwrap();
    let mut backend = job.backend_of(factory, UID, KeyGroupRange::ALL).unwrap();
    let value = backend.open(ValueDescriptor::<u64, u32>::new("value")).unwrap();
    let brief = backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR)).unwrap();
    let map = backend.open(MapDescriptor::<u64, u8, u32>::new("map")).unwrap();
    let wake = backend.open(TimerDescriptor::<u64>::event("wake")).unwrap();
    backend.state(value).unwrap().update(&1, &(), 300).unwrap();
    backend.state(brief).unwrap().update(&1, &(), 5).unwrap();
    backend.state(map).unwrap().put(&1, &(), &2, 3).unwrap();
    backend.state(wake).unwrap().register(10, &1, &()).unwrap();
    block_on(job.savepoint(&mut [backend], &aside)).unwrap();
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    let manifest = block_on(read_manifest(&aside, &name, None)).unwrap();
    (aside, manifest)
}

fn restore<B: Backend>(backend: &mut B, store: &Store, manifest: &Manifest) -> Result<()> {
    block_on(backend.restore(store, manifest, &SnapshotSettings::default())).map(drop)
}

/// Opens what the savepoint holds, but for what `open` opens in place of `but`, and restores it.
fn restored<F: BackendFactory>(
    factory: &F,
    but: &str,
    open: impl FnOnce(&mut F::Backend) -> Result<()>,
) -> Result<()> {
    let (store, manifest) = savepoint(factory);
    let stored = find_operator(&manifest, UID).unwrap();
    let mut backend = factory.make(UID, KeyGroupRange::ALL, Some(stored)).unwrap();
    if but != "value" {
        backend.open(ValueDescriptor::<u64, u32>::new("value"))?;
    }
    if but != "brief" {
        backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR))?;
    }
    if but != "map" {
        backend.open(MapDescriptor::<u64, u8, u32>::new("map"))?;
    }
    if but != "wake" {
        backend.open(TimerDescriptor::<u64>::event("wake"))?;
    }
    open(&mut backend)?;
    restore(&mut backend, &store, &manifest)
}

/// A state that a snapshot holds with another kind, TTL, key, namespace, user key, type or codec is
/// refused, and both are named; so is one that is not open.
pub fn states_that_became_others_are_refused<F: BackendFactory>(factory: &F) {
    restored(factory, "", |_| Ok(())).unwrap();
    macro_rules! refused {
        ($($but:literal => $descriptor:expr, $parts:expr;)*) => {$(
            let result = restored(factory, $but, |backend| backend.open($descriptor).map(drop));
            refused(result, Incompatible, &$parts);
        )*};
    }
    refused! {
        "value" => ListDescriptor::<u64, u32>::new("value"),
            ["state=value", "kind is value", "not list"];
        "value" => ValueDescriptor::<u64, u32>::new("value").with_ttl(HOUR),
            ["state=value", "without TTL in the snapshot, not with TTL"];
        "brief" => ValueDescriptor::<u64, u32>::new("brief"),
            ["state=brief", "with TTL in the snapshot, not without TTL"];
        "value" => ValueDescriptor::<u64, u32, u8>::new("value"), ["state=value", "namespace is none"];
        "value" => ValueDescriptor::<String, u32>::new("value"),
            ["operator=op", "keys are", "state=value"];
        "map" => MapDescriptor::<u64, u16, u32>::new("map"), ["state=map", "user key is"];
        "wake" => TimerDescriptor::<u64>::processing("wake"),
            ["state=wake", "timer-event", "timer-processing"];
        "value" => ValueDescriptor::<u64, u32>::with_codec("value", Ordered), ["state=value", "codec"];
        "value" => ValueDescriptor::<u64, String>::new("value"), ["state=value", "string"];
        "value" => ValueDescriptor::<u64, u8>::new("value"), ["state=value", "300", "u8"];
        "brief" => ValueDescriptor::<u64, u32>::new("short").with_ttl(HOUR),
            ["state=brief", "not open"];
    }
    let result = restored(factory, "wake", |_| Ok(()));
    refused(result, Incompatible, &["operator=op", "state=wake", "timer-event", "not open"]);
}

/// After a restore that failed every call says so, and so does a backend that was poisoned; another
/// one made from the same snapshot is fine.
pub fn a_failed_restore_poisons<F: BackendFactory>(factory: &F) {
    let (store, manifest) = savepoint(factory);
    let stored = find_operator(&manifest, UID).unwrap();
    let open = || {
        let mut backend = factory.make(UID, KeyGroupRange::ALL, Some(stored)).unwrap();
        let value = backend.open(ValueDescriptor::<u64, u32>::new("value")).unwrap();
        backend.open(ValueDescriptor::<u64, u32>::new("brief").with_ttl(HOUR)).unwrap();
        backend.open(MapDescriptor::<u64, u8, u32>::new("map")).unwrap();
        backend.open(TimerDescriptor::<u64>::event("wake")).unwrap();
        (backend, value)
    };
    let (mut backend, value) = open();
    // Nothing of what the manifest names is there.
    assert!(restore(&mut backend, &new_store(), &manifest).is_err());
    refused(backend.state(value).map(drop), Poisoned, &["restore failed"]);
    refused(backend.capture().map(drop), Poisoned, &["restore failed"]);
    drop(backend);

    let (mut backend, value) = open();
    restore(&mut backend, &store, &manifest).unwrap();
    assert_eq!(backend.state(value).unwrap().get(&1, &()).unwrap(), Some(300));
    backend.poison("the disk is full");
    refused(backend.state(value).map(drop), Poisoned, &["the disk is full"]);
    refused(backend.capture().map(drop), Poisoned, &["the disk is full"]);
}
