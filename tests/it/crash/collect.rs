//! Files that nothing needs, after crash upon crash: what is found of them is what a recount finds, and what
//! goes is nothing else.

use super::cycle::{Then, call_count, cycle, failing, job, memory, names};
use crate::backends::{Tested, of_each_backend};
use crate::world::{Models, check_names, unreferenced};
use esker::checkpoint::orphan::Verdict;
use esker::checkpoint::{Collection, Job as Owner, Which};
use esker::snapshot::ManifestReferences;
use esker::store::fault::When;
use esker::{Result, Store, block_on};
use esker_test_support::soak::{self, Random};
use object_store::memory::InMemory;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

const CRASHES: u64 = 100;
/// After one crash of so many everything that is left goes.
const COLLECT_EVERY: u64 = 2;

/// The names of the files that nothing needs, as a dry run tells them: those that go, and those that are left to the
/// owner.
pub(super) async fn told(store: &Store) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let found = Collection::of(store, &ManifestReferences).await?;
    assert!(found.unread().is_empty());
    let of = |is_it: &dyn Fn(Verdict) -> bool| -> BTreeSet<String> {
        let files = found.files().iter().filter(|file| is_it(file.verdict));
        files.map(|file| file.name.to_string()).collect()
    };
    let owners = of(&|verdict| matches!(verdict, Verdict::Owners { .. }));
    Ok((of(&Verdict::may_go), owners))
}

/// That a dry run names exactly the files of `found` that no record or checkpoint needs. Returns how many of them go.
pub(super) async fn check_told(store: &Store, found: BTreeSet<String>) -> Result<usize> {
    let (goes, owners) = told(store).await?;
    let unneeded: BTreeSet<_> = goes.union(&owners).cloned().collect();
    assert_eq!(unneeded, unreferenced(store, found).await?);
    Ok(goes.len())
}

/// A new owner comes, and dies before it sweeps: all that is unneeded is of a fenced generation, and goes.
pub(super) async fn collect(store: &Store) -> Result<usize> {
    drop(Owner::claim(store.clone(), Arc::new(ManifestReferences)).await?);
    let found = Collection::of(store, &ManifestReferences).await?;
    let mut gone = 0;
    found.delete(Which::default(), |_| gone += 1).await?;
    Ok(gone)
}

fn crashes<F: Tested>(factory: &F) {
    let (seed, started) = (soak::seed(), Instant::now());
    let objects = Arc::new(InMemory::new());
    let store = memory(&objects);
    let mut models: Models = job(factory, &store, seed);
    let calls = call_count(factory, &memory(&Arc::new(objects.fork())), seed, models.clone());
    let (random, crashes) = (Random::new(seed), CRASHES / F::FAILS_ONE_OF);
    let (mut told, mut gone) = (0, 0);
    for crash in 1..=crashes {
        let when = if random.draw(0..2) == 0 { When::Before } else { When::After };
        // Beyond the last call it dies when all is done.
        let (_, dying) = failing(&store, random.draw(1..calls + 4), when, Then::Die);
        let _ = block_on(cycle(factory, &dying, seed, Then::Die, &mut models));
        told += block_on(async { check_told(&store, names(&store).await?).await }).unwrap();
        if crash.is_multiple_of(COLLECT_EVERY) {
            let unneeded = block_on(async { unreferenced(&store, names(&store).await?).await });
            let went = block_on(collect(&store)).unwrap();
            assert_eq!(went, unneeded.unwrap().len(), "crash={crash}");
            block_on(async { check_names(&store, names(&store).await?).await }).unwrap();
            gone += went;
        }
        // Every file of what is retained by its digest, and every block of its runs.
        models.check(factory, &store, if crash == crashes { &[1, 2] } else { &[] });
    }
    // A few crashes may leave nothing.
    assert!(gone > 0 || crashes < CRASHES, "nothing was left by {crashes} crashes");
    println!(
        "collected, in memory, {}: ESKER_SEED={seed} crashes={crashes} files told while their owner lived={told} \
         gone={gone}; {:.1} s",
        F::NAME,
        started.elapsed().as_secs_f64()
    );
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn what_crashes_leave_is_told_exactly_and_nothing_else_goes() {
            super::crashes(&<$factory as $crate::backends::Tested>::new());
        }
    };
}
of_each_backend!(tests);
