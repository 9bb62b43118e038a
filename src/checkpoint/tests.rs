//! A job's owner against stores that fail, pause and die.

mod beside;
mod collect;
mod cycle;
mod damage;
mod race;

use super::log::Refusal;
use super::*;
use crate::format::record::{Extra, Published};
use crate::format::{Digest, RelativeName};
use crate::store::fault::FaultStore;
use crate::store::{Store, block_on};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

type Names = BTreeSet<RelativeName>;

/// Manifests of the tests: the names, one a line.
struct Lines;

#[async_trait]
impl ReferenceSource for Lines {
    async fn references(&self, store: &Store, published: &Published) -> Result<Names> {
        let path = &published.manifest_path;
        let bytes = store.get(path).await?.unwrap_or_default();
        if Digest::of(&bytes) != published.manifest_digest {
            let message = "the manifest is not what was published";
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(path.as_str()));
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Ok(text.lines().map(name).collect())
    }
}

fn name(text: &str) -> RelativeName {
    RelativeName::new(text).unwrap()
}

fn keep(last_count: u32) -> Retention {
    Retention::last(NonZeroU32::new(last_count).unwrap())
}

async fn claim(store: &Store) -> Result<Job> {
    Job::claim(store.clone(), Arc::new(Lines)).await
}

fn memory() -> (Arc<dyn ObjectStore>, Store) {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    (Arc::clone(&objects), Store::from_object_store(objects, None))
}

/// A store that fails on demand, around `store`.
fn faulty(store: &Store) -> (FaultStore, Store) {
    let mut fault = None;
    let wrapped = store.clone().map_object_store(|objects| {
        let store = FaultStore::new(objects);
        fault = Some(store.clone());
        Arc::new(store)
    });
    (fault.unwrap(), wrapped)
}

/// Puts as a writer of checkpoints would: again, if it failed once.
async fn put(store: &Store, name: &RelativeName, bytes: &[u8]) -> Result<()> {
    let bytes = Bytes::copy_from_slice(bytes);
    driver::retried(|| store.put(name, bytes.clone())).await
}

/// Writes and publishes a checkpoint of one new file and those of `basis` that are listed in
/// `reused`.
async fn checkpoint(job: &mut Job, number: u64, reused: &[RelativeName]) -> Result<RelativeName> {
    let based_on = job.state().retained().keys().next_back().copied();
    job.begin(number, based_on)?;
    let (published, names, new) = write(job, number, reused).await?;
    job.publish(published, names).await?;
    Ok(new)
}

async fn write(
    job: &Job,
    number: u64,
    reused: &[RelativeName],
) -> Result<(Published, Names, RelativeName)> {
    let (store, generation) = (job.store().clone(), job.generation());
    let new = name(&format!("shared/{generation}/{number}-0-ab.run"));
    put(&store, &new, b"run").await?;
    let names: Names = reused.iter().chain([&new]).cloned().collect();
    let manifest: String = names.iter().map(|name| format!("{name}\n")).collect();
    let path = manifest_name(number, generation)?;
    put(&store, &path, manifest.as_bytes()).await?;
    let published = Published {
        checkpoint: number,
        manifest_path: path,
        manifest_digest: Digest::of(manifest.as_bytes()),
        extra: Extra::new(),
    };
    Ok((published, names, new))
}

/// The files of the job, the log aside.
async fn files(store: &Store) -> Names {
    let listed = store.list(None).await.unwrap();
    let is_data = |name: &RelativeName| !name.as_str().starts_with("log/");
    listed.into_iter().map(|(name, _)| name).filter(is_data).collect()
}

/// That the files are those that the retained checkpoints reach, no more and no less.
async fn check_exact(store: &Store) {
    let state = read_log(store).await.unwrap();
    let mut expected = Names::new();
    for published in state.retained().values() {
        expected.insert(published.manifest_path.clone());
        expected.extend(Lines.references(store, published).await.unwrap());
    }
    assert_eq!(files(store).await, expected);
}

#[test]
fn a_job_can_be_driven_from_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (_, store) = memory();
    block_on(is_send(async {
        let mut job = claim(&store).await?;
        checkpoint(&mut job, 1, &[]).await?;
        job.retain(&keep(1)).await?;
        job.sweep().await.map(|_| ())
    }))
    .unwrap();
}

#[test]
fn retention_condemns_exactly_what_only_the_retired_reach() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        let second = checkpoint(&mut job, 2, std::slice::from_ref(&first)).await?;
        let third = checkpoint(&mut job, 3, std::slice::from_ref(&second)).await?;
        job.retain(&keep(2)).await?;
        assert_eq!(*job.state().condemned(), Names::from([manifest_name(1, 1)?]));
        job.retain(&keep(1)).await?;
        let condemned = Names::from([manifest_name(1, 1)?, manifest_name(2, 1)?, first]);
        assert_eq!(*job.state().condemned(), condemned);
        assert_eq!(files(&store).await, Names::from([second, third, manifest_name(3, 1)?]));
        job.base().await?;
        assert!(job.state().condemned().is_empty());
        assert_eq!(store.list(Some(&log_folder()?)).await?.len(), 1);
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn retention_by_time_asks_the_store_when_manifests_were_written() {
    let (_, store) = memory();
    let (fault, watched) = faulty(&store);
    block_on(async {
        let mut job = claim(&watched).await?;
        for number in 1..=3 {
            checkpoint(&mut job, number, &[]).await?;
        }
        let within = Retention { within_ms: 3_600_000, ..keep(1) };
        job.retain(&within).await?;
        assert!(job.state().retained().keys().eq([&1, &2, &3]), "none is an hour older");
        let calls = fault.call_count();
        job.retain(&within).await?;
        assert_eq!(fault.call_count(), calls, "it is asked once");
        checkpoint(&mut job, 4, &[]).await?;
        // All in a week, or over two.
        job.retain(&Retention { weeks: 1, ..keep(2) }).await?;
        assert!(job.state().retained().keys().eq([&3, &4]));
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_held_or_a_basis_in_flight_is_retained() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        let mut beside = Attached::open(store.clone()).await?;
        beside.hold(1, "audit").await?;
        job.begin(2, Some(1))?;
        job.begin(3, Some(1))?;
        let (published, names, _) = write(&job, 2, std::slice::from_ref(&first)).await?;
        job.publish(published, names).await?;
        job.retain(&keep(1)).await?;
        beside.release(1, "audit").await?;
        job.hold(2, "own").await?;
        job.release(2, "own").await?;
        job.retain(&keep(1)).await?;
        assert!(job.state().retained().contains_key(&1), "3 is based on it");
        assert_eq!(job.retire(&[1].into()).await.unwrap_err().kind(), ErrorKind::Conflict);
        let (published, names, _) = write(&job, 3, &[first]).await?;
        job.publish(published, names).await?;
        job.retain(&keep(1)).await?;
        assert!(job.state().retained().keys().eq([&3]));
        check_exact(&store).await;

        // A hold that the owner has not seen yet.
        checkpoint(&mut job, 4, &[]).await?;
        let mut beside = Attached::open(store.clone()).await?;
        beside.hold(3, "late").await?;
        job.retain(&keep(1)).await?;
        assert!(job.state().retained().keys().eq([&3, &4]));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_publish_names_only_what_is_there_and_its_own() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        assert_eq!(job.begin(1, None).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(job.begin(2, Some(7)).unwrap_err().kind(), ErrorKind::Conflict);
        let (published, names, new) = write(&job, 2, &[]).await?;
        let not_begun = job.publish(published.clone(), names.clone()).await.unwrap_err();
        assert_eq!(not_begun.kind(), ErrorKind::Invalid);
        job.begin(2, None)?;
        store.delete(&new).await?;
        let missing = job.publish(published.clone(), names.clone()).await.unwrap_err();
        assert_eq!((missing.kind(), missing.path()), (ErrorKind::Invalid, Some(new.as_str())));
        put(&store, &new, b"run").await?;
        for foreign in ["shared/1/3-0-ab.run", "shared/0/2-0-ab.run", "other"] {
            put(&store, &name(foreign), b"there").await?;
            let names = [name(foreign), new.clone()].into();
            let refused = job.publish(published.clone(), names).await.unwrap_err();
            assert_eq!((refused.kind(), refused.path()), (ErrorKind::Invalid, Some(foreign)));
        }
        let names: Names = [first, new].into();
        job.publish(published.clone(), names.clone()).await?;
        let next = job.state().next();
        job.publish(published, names).await?;
        assert_eq!(job.state().next(), next, "nothing is written again");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_abandoned_number_never_comes_back() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        checkpoint(&mut job, 1, &[]).await?;
        job.begin(2, Some(1))?;
        job.begin(3, Some(1))?;
        let (published, names, new) = write(&job, 2, &[]).await?;
        let (.., flying) = write(&job, 3, &[]).await?;
        assert_eq!(job.sweep().await?, Swept::default(), "both are in flight");
        job.abandon(2);
        assert_eq!(job.sweep().await?.file_count, 2);
        assert_eq!(store.head(&new).await?, None);
        assert!(store.head(&flying).await?.is_some());
        assert_eq!(job.begin(2, None).unwrap_err().kind(), ErrorKind::Conflict);
        let gone = job.publish(published, names).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Invalid);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_long_log_is_compacted_and_a_damaged_manifest_stops_the_sweep() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        for number in 1..=80 {
            checkpoint(&mut job, number, &[]).await?;
            job.retain(&keep(2)).await?;
        }
        let record_count = store.list(Some(&log_folder()?)).await?.len();
        assert!(record_count <= 66, "{record_count} records");
        assert!(job.state().condemned().len() <= 2 * 66);
        check_exact(&store).await;

        store.put(&manifest_name(80, 1)?, Bytes::from_static(b"x")).await?;
        put(&store, &name("shared/1/9-9-ab.run"), b"unneeded").await?;
        let mut job = claim(&store).await?;
        assert_eq!(job.sweep().await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(store.head(&name("shared/1/9-9-ab.run")).await?.is_some());
        Ok(())
    })
    .unwrap();
}

#[test]
fn retirement_needs_the_references_of_all() {
    let state = {
        let (_, store) = memory();
        block_on(async {
            let mut job = claim(&store).await?;
            checkpoint(&mut job, 1, &[]).await?;
            checkpoint(&mut job, 2, &[]).await?;
            Ok(job.state().clone())
        })
        .unwrap()
    };
    let references = [(1, Names::new())].into();
    let refused = retention::retire(&state, &references, &[1].into());
    assert_eq!(refused, Err(Refusal::ReferencesUnknown(2)));
}
