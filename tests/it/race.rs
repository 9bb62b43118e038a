//! Owners of one job, each with a client of its own, that claim and publish at once: exactly one publishes.

use crate::backends::Tested;
use crate::stores::Root;
use crate::world::{Models, Restored, Writer, check_files, restore};
use esker::backend::heap::HeapBackends;
use esker::checkpoint::{Job as Owner, read_log};
use esker::snapshot::{ManifestReferences, read_manifest};
use esker::{ErrorKind, Result, Store, block_on};
use esker_test_support::soak;
use std::sync::{Arc, Barrier};

const RACERS: u32 = 3;

/// A job's owner with a checkpoint that is written and not published, or nothing if a newer one claimed the job.
async fn about_to_publish(store: &Store, seed: u64) -> Result<(Writer, crate::world::Written)> {
    let owner = Owner::claim(store.clone(), Arc::new(ManifestReferences)).await?;
    let last = owner.state().retained().last_key_value().map(|(_, last)| last.clone());
    let kept = match last {
        Some(last) => {
            Some(read_manifest(store, &last.manifest_path, Some(last.manifest_digest)).await?)
        }
        None => None,
    };
    let restored = restore(&HeapBackends::new(), store, kept.as_ref(), 1, seed).await?;
    let Restored { mut rows, lineages } = restored;
    let mut writer = Writer::new(owner, &rows, lineages, kept)?;
    (0..30).try_for_each(|_| rows.advance())?;
    let open = writer.begin(rows.capture()?)?;
    let written = writer.write(open).await?;
    Ok((writer, written))
}

/// Whether it was the one; the only reason not to be is that another one is newer.
fn won<T>(done: &Result<T>) -> bool {
    match done {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            false
        }
    }
}

#[test]
fn of_owners_that_publish_at_once_exactly_one_does() {
    let seed = soak::seed();
    let root = Root::new();
    let mut models = Models::new(seed);
    for round in 1..=u64::from(soak::count(1000)) {
        let (ready, go) =
            (Arc::new(Barrier::new(RACERS as usize)), Arc::new(Barrier::new(RACERS as usize)));
        let racers = (0..RACERS).map(|_| {
            let (store, ready, go) = (root.client(), Arc::clone(&ready), Arc::clone(&go));
            std::thread::spawn(move || {
                ready.wait();
                let written = block_on(about_to_publish(&store, seed));
                // Whoever was fenced already is in the race no more.
                go.wait();
                won(&written) && {
                    let (mut writer, written) = written.unwrap();
                    won(&block_on(writer.publish(&written)))
                }
            })
        });
        let racers: Vec<_> = racers.collect();
        let winners = racers.into_iter().map(|racer| racer.join().unwrap());
        assert_eq!(winners.filter(|won| *won).count(), 1, "round {round}");
        let state = block_on(read_log(&root.store)).unwrap();
        assert_eq!(state.checkpoint_last(), round, "one more is published");
    }
    let claimed = block_on(Owner::claim(root.store.clone(), Arc::new(ManifestReferences)));
    block_on(claimed.unwrap().sweep()).unwrap();
    check_files(&root.store, &root.at);
    models.check(&HeapBackends::new(), &root.store, &[1, 2]);
}

#[test]
fn an_owner_that_publishes_while_another_claims_has_published_or_has_not() {
    let seed = soak::seed();
    let root = Root::new();
    let (mut published, mut fenced) = (0, 0);
    for round in 1..=soak::count(1000) {
        let (mut writer, written) = block_on(about_to_publish(&root.store, seed)).unwrap();
        let (store, start) = (root.client(), Arc::new(Barrier::new(2)));
        let starts = Arc::clone(&start);
        let claims = std::thread::spawn(move || {
            starts.wait();
            block_on(Owner::claim(store, Arc::new(ManifestReferences)))
        });
        start.wait();
        let won = won(&block_on(writer.publish(&written)));
        let claimed = claims.join().unwrap().unwrap();
        // What the publisher was told is what the claimer knows.
        let checkpoint = written.manifest.manifest.checkpoint;
        let is_known = claimed.state().retained().contains_key(&checkpoint);
        assert_eq!(is_known, won, "round {round}");
        if won { published += 1 } else { fenced += 1 }
    }
    println!("published={published} fenced={fenced}");
}
