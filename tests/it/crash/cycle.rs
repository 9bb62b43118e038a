//! A store that fails its k-th call, for every k of a cycle: claim, sweep, restore, checkpoint,
//! publish, retire, give up, sweep.

use crate::backends::{Tested, of_each_backend};
use crate::world::{Models, Restored, Writer, check_files, check_names, restore};
use esker::checkpoint::Job as Owner;
use esker::snapshot::{ManifestReferences, read_manifest};
use esker::store::fault::{FaultStore, When};
use esker::{Error, ErrorKind, Result, Store, block_on};
use esker_conformance::store::new_store_with_bucket;
use esker_test_support::soak;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ROWS: u64 = 120;
const PARALLELISM: u32 = 2;
/// No call of a cycle is tried more often.
const TRIES: u32 = 4;

/// What a job does about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Tries the step again; what cannot be written it gives up, and goes on to the next.
    Retry,
    /// Gives up the checkpoint, be it written, and goes on to the next.
    Abandon,
    /// Nothing: the process is dead.
    Die,
}

/// Does `step`, again if it fails in a way that invites it.
async fn done<T, F: Future<Output = Result<T>>>(then: Then, step: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match step().await {
            Err(error) if goes_on(then, &error) => {}
            done => return done,
        }
    }
    step().await
}

fn goes_on(then: Then, error: &Error) -> bool {
    then != Then::Die && error.kind() == ErrorKind::Retry
}

/// One cycle of the job in `store`, with two checkpoints that complete.
pub(super) async fn cycle(
    factory: &impl Tested,
    store: &Store,
    seed: u64,
    then: Then,
    models: &mut Models,
) -> Result<()> {
    let mut owner =
        done(then, || Owner::claim(store.clone(), Arc::new(ManifestReferences))).await?;
    while let Err(error) = owner.sweep().await {
        if !goes_on(then, &error) {
            return Err(error);
        }
    }
    let last = owner.state().retained().last_key_value().map(|(_, last)| last.clone());
    let kept = match &last {
        Some(last) => {
            let (path, digest) = (&last.manifest_path, Some(last.manifest_digest));
            Some(done(then, || read_manifest(store, path, digest)).await?)
        }
        None => None,
    };
    let restored = done(then, || restore(factory, store, kept.as_ref(), PARALLELISM, seed)).await?;
    let Restored { mut rows, lineages } = restored;
    let mut writer = Writer::new(owner, &rows, lineages, kept)?;
    let mut completed = 0;
    while completed < 2 {
        (0..ROWS).try_for_each(|_| rows.advance())?;
        let open = writer.begin(rows.capture()?)?;
        let checkpoint = open.checkpoint;
        let is_complete = match writer.write(open).await {
            Ok(written) => loop {
                match writer.publish(&written).await {
                    Ok(()) => break true,
                    Err(error) if !goes_on(then, &error) => return Err(error),
                    Err(_) if then == Then::Abandon => break false,
                    Err(_) => {}
                }
            },
            Err(error) if goes_on(then, &error) => false,
            Err(error) => return Err(error),
        };
        if !is_complete {
            writer.owner.abandon(checkpoint);
            continue;
        }
        models.completed(checkpoint);
        completed += 1;
        if let Err(error) = writer.retain().await
            && !goes_on(then, &error)
        {
            return Err(error);
        }
    }
    // One that is never published, and swept away.
    (0..ROWS).try_for_each(|_| rows.advance())?;
    let open = writer.begin(rows.capture()?)?;
    let checkpoint = open.checkpoint;
    match writer.write(open).await {
        Err(error) if !goes_on(then, &error) => return Err(error),
        _ => writer.owner.abandon(checkpoint),
    }
    while let Err(error) = writer.owner.sweep().await {
        if !goes_on(then, &error) {
            return Err(error);
        }
    }
    Ok(())
}

/// `store`, whose call `number` fails, and with [`Then::Die`] every one after it.
pub(super) fn failing(store: &Store, number: u64, when: When, then: Then) -> (FaultStore, Store) {
    let mut fault = None;
    let wrapped = store.clone().map_object_store(|objects| {
        let store = FaultStore::new(objects);
        fault = Some(store.clone());
        Arc::new(store)
    });
    let fault = fault.unwrap();
    fault.fail_at(number, when);
    if then == Then::Die {
        let dying = fault.clone();
        fault.on_call(move |call| {
            if call.number >= number {
                dying.fail_always(true);
            }
        });
    }
    (fault, wrapped)
}

/// A job that died in the middle of a checkpoint, with as many retained as there may be.
pub(super) fn job(factory: &impl Tested, store: &Store, seed: u64) -> Models {
    let mut models = Models::new(seed);
    block_on(async {
        cycle(factory, store, seed, Then::Die, &mut models).await?;
        let (fault, counted) = failing(store, u64::MAX, When::Before, Then::Die);
        cycle(factory, &counted, seed, Then::Die, &mut models).await?;
        let (_, dying) = failing(store, fault.call_count() / 2, When::After, Then::Die);
        let died = cycle(factory, &dying, seed, Then::Die, &mut models).await;
        assert!(died.is_err());
        Ok(())
    })
    .unwrap();
    // At both, so that what each case finds unchanged it need not restore again.
    models.check(factory, store, &[PARALLELISM, PARALLELISM + 1]);
    models
}

/// How many calls a cycle makes.
pub(super) fn call_count(
    factory: &impl Tested,
    store: &Store,
    seed: u64,
    mut models: Models,
) -> u64 {
    let (fault, counted) = failing(store, u64::MAX, When::Before, Then::Die);
    block_on(cycle(factory, &counted, seed, Then::Die, &mut models)).unwrap();
    fault.call_count()
}

/// A cycle in which call `number` fails, what is left of it, and a cycle after it.
fn fail_once(
    factory: &impl Tested,
    store: &Store,
    (number, when, then): (u64, When, Then),
    models: &mut Models,
    exact: impl Fn(),
) {
    let seed = soak::seed();
    let (_, wrapped) = failing(store, number, when, then);
    let done = block_on(cycle(factory, &wrapped, seed, then, models));
    let what = format!("call={number} {when:?} {then:?}");
    match then {
        Then::Die => {
            assert!(done.is_err(), "{what}: the cycle has fewer calls");
            models.check(factory, store, &[PARALLELISM]);
            let claimed = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences)));
            block_on(claimed.unwrap().sweep()).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        _ => assert!(done.is_ok(), "{what}: {done:?}"),
    }
    exact();
    models.check(factory, store, &[PARALLELISM + 1]);
    let again = block_on(cycle(factory, store, seed, Then::Die, models));
    assert!(again.is_ok(), "{what}, and the cycle after it: {again:?}");
    exact();
    models.check(factory, store, &[PARALLELISM]);
}

const CASES: [(When, Then); 6] = [
    (When::Before, Then::Retry),
    (When::After, Then::Retry),
    (When::Before, Then::Abandon),
    (When::After, Then::Abandon),
    (When::Before, Then::Die),
    (When::After, Then::Die),
];

/// Numbers of calls, of `all` as many as a soak of `full` has, evenly spread from one on that the seed draws for
/// the `case`.
fn spread(all: u64, full: u64, case: usize) -> impl Iterator<Item = u64> {
    let count = u64::from(soak::count(u32::try_from(full).unwrap()));
    let first = soak::hash(soak::seed(), case as u64) % all;
    (0..count).map(move |number| 1 + (first + number * all / count) % all)
}

/// What every case begins with: a store that is copied.
enum Template {
    Memory(Arc<InMemory>),
    Bucket(Store),
}

impl Template {
    fn new() -> Self {
        match new_store_with_bucket() {
            (_, None) => Self::Memory(Arc::new(InMemory::new())),
            (store, Some(_)) => Self::Bucket(store),
        }
    }

    fn store(&self) -> Store {
        match self {
            Self::Memory(objects) => memory(objects),
            Self::Bucket(store) => store.clone(),
        }
    }

    fn copied(&self) -> Store {
        match self {
            Self::Memory(objects) => memory(&Arc::new(objects.fork())),
            Self::Bucket(store) => {
                let copy = new_store_with_bucket().0;
                block_on(async {
                    for (name, _) in store.list(None).await? {
                        copy.put(&name, store.get(&name).await?.unwrap()).await?;
                    }
                    Ok(())
                })
                .unwrap();
                copy
            }
        }
    }

    /// Of the calls of a cycle one of so many fails in a soak: those of a bucket are slow.
    fn fails_one_of(&self) -> u64 {
        match self {
            Self::Memory(_) => 1,
            Self::Bucket(_) => 20,
        }
    }
}

fn in_memory<F: Tested>(factory: &F) {
    let (seed, started) = (soak::seed(), Instant::now());
    let template = Template::new();
    let models = job(factory, &template.store(), seed);
    let calls = call_count(factory, &template.copied(), seed, models.clone());
    let mut cases = 0;
    for (case, (when, then)) in CASES.into_iter().enumerate() {
        for number in spread(calls, calls / (F::FAILS_ONE_OF * template.fails_one_of()), case) {
            let store = template.copied();
            let exact =
                || block_on(async { check_names(&store, names(&store).await?).await }).unwrap();
            fail_once(factory, &store, (number, when, then), &mut models.clone(), exact);
            cases += 1;
        }
    }
    println!(
        "k-th call, {}, {}: ESKER_SEED={seed} calls of a cycle={calls} cases={cases}; {:.1} s",
        match template {
            Template::Memory(_) => "in memory",
            Template::Bucket(_) => "in a bucket",
        },
        F::NAME,
        started.elapsed().as_secs_f64()
    );
}

pub(super) fn memory(objects: &Arc<InMemory>) -> Store {
    Store::from_object_store(Arc::clone(objects) as Arc<dyn ObjectStore>, None)
}

pub(super) async fn names(store: &Store) -> Result<BTreeSet<String>> {
    let listed = store.list(None).await?;
    Ok(listed.into_iter().map(|(name, _)| name.to_string()).collect())
}

fn on_disk<F: Tested>(factory: &F) {
    let (seed, started) = (soak::seed(), Instant::now());
    let template = tempfile::tempdir().unwrap();
    let open = |folder: &Path| Store::open(folder.to_str().unwrap()).unwrap();
    let models = job(factory, &open(template.path()), seed);
    let copied = || {
        let folder = tempfile::tempdir().unwrap();
        copy(template.path(), folder.path());
        folder
    };
    let calls = call_count(factory, &open(copied().path()), seed, models.clone());
    let mut cases = 0;
    for (case, (when, then)) in CASES.into_iter().enumerate() {
        for number in spread(calls, calls / (5 * F::FAILS_ONE_OF), case) {
            let folder = copied();
            let store = open(folder.path());
            let exact = || check_files(&store, folder.path().to_str().unwrap());
            fail_once(factory, &store, (number, when, then), &mut models.clone(), exact);
            cases += 1;
        }
    }
    println!(
        "k-th call, on disk, {}: ESKER_SEED={seed} calls of a cycle={calls} cases={cases}; {:.1} s",
        F::NAME,
        started.elapsed().as_secs_f64()
    );
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                std::fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to);
            }
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn any_call_of_a_cycle_may_fail() {
            super::in_memory(&<$factory as $crate::backends::Tested>::new());
        }

        #[test]
        fn any_call_of_a_cycle_may_fail_on_disk() {
            super::on_disk(&<$factory as $crate::backends::Tested>::new());
        }
    };
}
of_each_backend!(tests);
