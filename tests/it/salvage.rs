//! Random damage to snapshots of every kind of state: what is salvaged is right, all of it, and what is
//! not there is told. 200 damages on several chains, ten on a server; `ESKER_SEED` chooses them.

mod oracle;

use crate::identity::job::Job;
use esker::backend::heap::HeapBackends;
use esker::format::RelativeName;
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Manifest, SnapshotKind, StateKind};
use esker::processor::{LostRange, Salvaged, salvage};
use esker::snapshot::{MANIFEST_NAME, OpenSnapshot, SnapshotSettings, open_snapshot};
use esker::store::fault::FaultStore;
use esker::{Error, Store, block_on};
use esker_conformance::every::Call;
use esker_conformance::store::new_store;
use esker_test_support::server;
use esker_test_support::soak::{self, Random};
use oracle::{Files, Oracle, Place, Truth, truth_of};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// In memory.
const CASES: u64 = 200;
/// On a server, where each is hundreds of calls.
const CASES_ON_A_SERVER: u64 = 10;
/// Key groups and ranks of runs change in the last one.
const WORLDS: u64 = 5;
/// One whose older snapshot is a chain, and the last one, whose is a savepoint.
const WORLDS_ON_A_SERVER: [u64; 2] = [1, WORLDS - 1];

fn settings() -> SnapshotSettings {
    SnapshotSettings {
        // As many files as a server gives in time.
        file_len_bytes: if server::is_chosen() { 32 << 10 } else { 4 << 10 },
        block_len_bytes: 400,
        threads: 2,
        runs_max: 12,
        ..SnapshotSettings::default()
    }
}

/// A snapshot, older ones of the same job, and what all hold.
struct World {
    oracle: Oracle,
    files: Files,
    manifest_name: RelativeName,
    /// The one before, which shares files with it, and damage.
    before_name: RelativeName,
    before_truth: Truth,
    /// One that is sound.
    older: Store,
    older_name: RelativeName,
    older_manifest: Manifest,
    older_truth: Truth,
    /// The same without subtasks.
    older_anywhere: BTreeMap<(bool, Vec<u8>), Vec<u8>>,
}

fn call(random: &Random) -> Call {
    // Few maps and lists grow long, and are cleared now and then.
    let key = match random.draw(0..4) {
        0 => random.draw(0..4),
        _ => random.draw(0..150),
    };
    Call {
        what: random.draw(0..35) as u8,
        spaced: random.draw(0..2) == 0,
        key,
        namespace: random.draw(0..3) as i16 - 1,
        user_key: random.draw(0..50) as u8,
        amount: random.draw(0..1000) as u32,
    }
}

fn files_of(store: &Store) -> Files {
    let listed = block_on(store.list(None)).unwrap();
    let read = |name: RelativeName| {
        let bytes = block_on(store.get(&name)).unwrap().unwrap().to_vec();
        (name, bytes)
    };
    listed.into_iter().map(|(name, _)| read(name)).collect()
}

fn store_of(files: &Files) -> Store {
    let store = new_store();
    bring(&store, &Files::new(), files);
    store
}

/// Makes a store that has the files of `from` have those of `to`, by as few calls as it takes.
fn bring(store: &Store, from: &Files, to: &Files) {
    for (name, bytes) in to.iter().filter(|(name, bytes)| from.get(*name) != Some(bytes)) {
        block_on(store.put(name, bytes.clone().into())).unwrap();
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        block_on(store.delete(name)).unwrap();
    }
}

impl World {
    fn new(number: u64) -> Self {
        let random = Random::new(soak::seed().wrapping_add(1000 * number));
        let parallelism = 1 + (number % 3) as u32;
        let mut job = Job::<HeapBackends>::new(parallelism, settings());
        let (mut older, mut before) = (None, None);
        for epoch in 0..7 {
            for _ in 0..if epoch == 0 { 3000 } else { 250 } {
                job.call(call(&random));
            }
            if epoch == 4 && number.is_multiple_of(2) {
                let store = new_store();
                let written = block_on(job.write(&store, SnapshotKind::Savepoint, true));
                let name = MANIFEST_NAME.to_owned();
                older = written.unwrap().0.map(|manifest| (store, name, manifest));
            }
            if epoch == 6 {
                before = Some(job.last().clone());
            }
            job.checkpoint(true);
            if epoch == 4 {
                older.get_or_insert_with(|| {
                    // A chain, whose files are damaged in no case.
                    let manifest = job.last().clone();
                    let name = format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint);
                    (store_of(&files_of(&job.store)), name, manifest)
                });
                if number == WORLDS - 1 {
                    job = job.restored(parallelism + 1);
                }
            }
        }
        let manifest = job.last().clone();
        let files = files_of(&job.store);
        let oracle = Oracle::new(&job.store, &manifest, &files);
        let (older, older_name, older_manifest) = older.unwrap();
        let older_name = RelativeName::new(older_name).unwrap();
        let older_truth = truth_of(&older, &older_manifest);
        let name_of = |manifest: &Manifest| {
            RelativeName::new(format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint)).unwrap()
        };
        let manifest_name = name_of(&manifest);
        let before = before.unwrap();
        let (before_name, before_truth) = (name_of(&before), truth_of(&job.store, &before));
        let anywhere = older_truth.iter().map(|((_, keyed, key), value)| {
            let place = (*keyed, key.clone());
            (place, value.clone())
        });
        let older_anywhere = anywhere.collect();
        Self {
            oracle,
            files,
            manifest_name,
            before_name,
            before_truth,
            older,
            older_name,
            older_manifest,
            older_truth,
            older_anywhere,
        }
    }

    fn older(&self) -> OpenSnapshot {
        block_on(open_snapshot(&self.older, &self.older_name)).unwrap()
    }

    /// What the older snapshot has in the place of one.
    fn older_value(&self, place: &Place) -> Option<&Vec<u8>> {
        let (_, keyed, key) = place;
        let subtasks =
            |manifest: &Manifest| manifest.operators.first().map(|operator| operator.parts.len());
        let is_same = subtasks(&self.older_manifest) == subtasks(&self.oracle.manifest);
        let is_alike = self.state(key).1 == StateKind::OperatorBroadcast;
        match *keyed || is_alike {
            true => self.older_anywhere.get(&(*keyed, key.clone())),
            false if is_same => self.older_truth.get(place),
            false => None,
        }
    }

    fn state(&self, key: &[u8]) -> (&str, StateKind) {
        let id = u32::from_be_bytes(*key.first_chunk().unwrap());
        let states = &self.oracle.manifest.operators[0].states;
        let info = states.iter().find(|info| info.id == id).unwrap();
        (&info.name, info.kind)
    }

    /// Whether a place lies in one of the ranges that the report names of the snapshot itself.
    fn is_told(&self, place: &Place, lost: &[LostRange]) -> bool {
        let (subtask, keyed, key) = place;
        let (state, _) = self.state(key);
        let key = CompositeKey::decode(key).unwrap();
        lost.iter().any(|range| {
            range.source == 0
                && range.state == state
                && range.subtask == (!keyed).then_some(*subtask as u32)
                && range.covers(&key)
        })
    }
}

/// Damages some files; says which, and how.
fn damage(world: &World, random: &Random) -> (Files, String) {
    let mut files = world.files.clone();
    let mut names = world.oracle.names();
    names.push(world.manifest_name.clone());
    let mut done = String::new();
    for _ in 0..1 + random.draw(0..3) * random.draw(0..2) {
        let name = &names[random.draw(0..names.len() as u64) as usize];
        let Some(bytes) = files.get_mut(name).filter(|bytes| !bytes.is_empty()) else { continue };
        let at = random.draw(0..bytes.len() as u64) as usize;
        match random.draw(0..8) {
            0 => {
                files.remove(name);
                done += &format!("{name} removed; ");
            }
            1 => {
                bytes.truncate(at);
                done += &format!("{name} cut off at {at}; ");
            }
            _ => {
                bytes[at] ^= 1 << random.draw(0..8);
                done += &format!("{name} flipped at {at}; ");
            }
        }
    }
    (files, done)
}

fn opened(store: &Store, name: &RelativeName) -> Result<OpenSnapshot, Error> {
    block_on(open_snapshot(store, name))
}

/// What came of the cases, so that it is known that they ask something.
#[derive(Debug, Default)]
struct Seen {
    whole: u64,
    lost: u64,
    manifests: u64,
    withheld: u64,
    taken: u64,
    /// From another subtask that holds the same.
    alike: u64,
    keys_lost: u64,
    keys_told: u64,
    operator_state: u64,
}

/// Salvages, and compares with what is known. `older`: with an older snapshot that is sound.
fn check(
    world: &World,
    (store, files): (&Store, &Files),
    older: bool,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut snapshots = match opened(store, &world.manifest_name) {
        Ok(snapshot) => vec![snapshot],
        Err(_) => {
            seen.manifests += 1;
            return Ok(());
        }
    };
    let before = opened(store, &world.before_name);
    let is_asked = older && before.is_ok();
    if older {
        snapshots.extend(before);
        snapshots.push(world.older());
    }
    let before = |place: &Place| world.before_truth.get(place).filter(|_| is_asked);
    let target = new_store();
    let settings = SnapshotSettings { file_len_bytes: 4 * settings().file_len_bytes, ..settings() };
    let done: Salvaged = block_on(salvage(snapshots, &target, &settings, &|_| {}))
        .map_err(|error| format!("salvage failed: {error}"))?;
    let result = truth_of(&target, &done.written.manifest);
    let truth = &world.oracle.truth;
    let show = |place: &Place| format!("{} {place:x?}", world.state(&place.2).0);

    for place in world.oracle.certain(files) {
        match result.get(place) {
            Some(value) if *value == truth[place] => {}
            found => return Err(format!("certain, and {found:?} is there: {}", show(place))),
        }
    }
    for (place, value) in &result {
        if truth.get(place) == Some(value) {
            continue;
        }
        let is_told = world.is_told(place, &done.lost);
        let old = [before(place), world.older_value(place)];
        if !(older && is_told && old.contains(&Some(value))) {
            let right = truth.get(place);
            return Err(format!(
                "told={is_told}: {value:x?} is there, older is {old:x?}, right is {right:x?}: {}",
                show(place)
            ));
        }
    }
    for (place, value) in truth {
        let found = result.get(place);
        if found == Some(value) {
            seen.keys_told += u64::from(world.is_told(place, &done.lost));
            continue;
        }
        seen.keys_lost += 1;
        seen.operator_state += u64::from(!place.1);
        if !world.is_told(place, &done.lost) {
            return Err(format!("nobody tells that it is lost: {}", show(place)));
        }
        let had_before = !is_asked || world.before_truth.contains_key(place);
        if older && found.is_none() && had_before && world.older_value(place).is_some() {
            return Err(format!("the older snapshot has it: {}", show(place)));
        }
    }
    seen.whole += u64::from(done.is_whole());
    seen.lost += u64::from(!done.lost.is_empty());
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, _, key) in result.keys() {
        *counted.entry(world.state(key).0).or_default() += 1;
    }
    for state in &done.states {
        seen.withheld += state.withheld;
        let taken: u64 = state.taken.values().sum();
        let alike = state.taken.get(&0).copied().unwrap_or(0);
        seen.alike += alike;
        seen.taken += taken - alike;
        let is_list = state.kind == StateKind::List;
        let keys = counted.get(state.state.as_str()).copied().unwrap_or(0);
        if taken > keys || !is_list && state.entries != keys {
            return Err(format!("keys={keys}, and {state:?} is told"));
        }
    }
    if done.is_whole() && result != *truth {
        return Err("it is whole, and differs".to_owned());
    }
    Ok(())
}

fn worlds() -> &'static [World] {
    static ALL: OnceLock<Vec<World>> = OnceLock::new();
    ALL.get_or_init(|| match server::is_chosen() {
        false => (0..WORLDS).map(World::new).collect(),
        true => WORLDS_ON_A_SERVER.map(World::new).into(),
    })
}

/// How many cases of `full` run: all in memory.
fn cases(full: u64) -> u64 {
    if server::is_chosen() { full * CASES_ON_A_SERVER / CASES } else { full }
}

fn damages(older: bool) -> Seen {
    let worlds = worlds();
    let random = Random::new(soak::seed().wrapping_add(7));
    let stores: Vec<Store> = worlds.iter().map(|world| store_of(&world.files)).collect();
    let (mut seen, cases) = (Seen::default(), cases(CASES));
    for case in 0..cases {
        let number = case as usize % worlds.len();
        let (world, store) = (&worlds[number], &stores[number]);
        let (files, done) = damage(world, &random);
        bring(store, &world.files, &files);
        if let Err(message) = check(world, (store, &files), older, &mut seen) {
            panic!("case {case}, world {number}: {done}{message}");
        }
        bring(store, &files, &world.files);
    }
    println!("{seen:?}");
    assert!(seen.lost > cases / 4 && seen.keys_told > cases * 10, "{seen:?}");
    if cases == CASES {
        assert!(seen.manifests > 0 && seen.operator_state > 0 && seen.alike > 0, "{seen:?}");
    }
    seen
}

#[test]
fn what_is_sound_is_salvaged_and_what_is_lost_is_told() {
    let seen = damages(false);
    assert!(seen.keys_lost > cases(CASES) * 10 && seen.withheld > cases(CASES), "{seen:?}");
    assert_eq!(seen.taken, 0);
}

#[test]
fn what_is_lost_is_taken_from_an_older_snapshot_and_told() {
    let seen = damages(true);
    assert!(seen.taken > cases(CASES) * 10, "{seen:?}");
}

#[test]
fn what_a_disk_does_not_give_back_is_lost_as_what_is_flipped_is() {
    let random = Random::new(soak::seed().wrapping_add(23));
    let salvaged = |world: &World, store: &Store| {
        let target = new_store();
        let snapshots = vec![opened(store, &world.manifest_name).unwrap()];
        let done = block_on(salvage(snapshots, &target, &settings(), &|_| {})).unwrap();
        (truth_of(&target, &done.written.manifest), done)
    };
    let stores: Vec<Store> = worlds().iter().map(|world| store_of(&world.files)).collect();
    let (mut lost, cases) = (0, cases(60));
    for case in 0..cases {
        let number = case as usize % stores.len();
        let (world, store) = (&worlds()[number], &stores[number]);
        let names = world.oracle.names();
        let name = &names[random.draw(0..names.len() as u64) as usize];
        let mut flipped = world.files.clone();
        let bytes = flipped.get_mut(name).unwrap();
        let at = random.draw(0..bytes.len() as u64);
        bytes[at as usize] ^= 4;
        let sectors = store.clone().map_object_store(|objects| {
            let faults = FaultStore::new(objects);
            faults.lose(name.as_str(), at..at + 1);
            Arc::new(faults)
        });
        let (found, done) = salvaged(world, &sectors);
        bring(store, &world.files, &flipped);
        let (expected, of_flipped) = salvaged(world, store);
        bring(store, &flipped, &world.files);
        assert!(found == expected, "{name} at {at}");
        assert_eq!(done.lost, of_flipped.lost, "{name} at {at}");
        assert_eq!(done.states, of_flipped.states, "{name} at {at}");
        for damage in &done.damage {
            let (text, path) = (damage.error.to_string(), damage.error.path());
            assert!(
                text.contains("cannot read the file: ") && path == Some(name.as_str()),
                "{text}"
            );
        }
        lost += done.damage.len();
    }
    assert!(lost as u64 > cases / 3, "{lost}");
}
