//! A whole life of a job, each of its calls failing, or being the last.

use super::*;
use crate::store::fault::When;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a run got as far as.
#[derive(Debug, Default)]
struct Progress {
    published: u64,
    ended: bool,
}

/// Claims, publishes, retires, compacts and sweeps.
async fn live(store: &Store, from: u64, progress: &mut Progress) -> Result<()> {
    let mut job = claim(store).await?;
    job.sweep().await?;
    let mut last = None;
    for number in from..from + 3 {
        let reused: Vec<_> = last.into_iter().collect();
        last = Some(checkpoint(&mut job, number, &reused).await?);
        progress.published = number;
        job.retain(&keep(2)).await?;
    }
    job.base().await?;
    job.begin(from + 3, Some(from + 2))?;
    write(&job, from + 3, &[]).await?;
    job.abandon(from + 3);
    job.sweep().await?;
    progress.ended = true;
    Ok(())
}

async fn call_count() -> u64 {
    let (fault, store) = faulty(&memory().1);
    live(&store, 1, &mut Progress::default()).await.unwrap();
    fault.call_count()
}

#[test]
fn any_one_failing_call_changes_nothing() {
    block_on(async {
        for number in 1..=call_count().await {
            for when in [When::Before, When::After] {
                let (fault, store) = faulty(&memory().1);
                fault.fail_at(number, when);
                let mut progress = Progress::default();
                let lived = live(&store, 1, &mut progress).await;
                assert!(lived.is_ok(), "call={number} {when:?}: {lived:?}");
                let state = read_log(&store).await?;
                assert!(state.retained().keys().eq([&2, &3]), "call={number} {when:?}");
                check_exact(&store).await;
            }
        }
        Ok(())
    })
    .unwrap();
}

/// The process dies at a call, before or after its effect, and the next owner starts from there.
async fn die_and_restart(inner: &Store, number: u64, when: When) -> Result<()> {
    let (fault, store) = faulty(inner);
    let dying = fault.clone();
    fault.fail_at(number, when);
    // From the next call on; the failing one is retried in vain.
    fault.on_call(move |call| {
        if call.number >= number {
            dying.fail_always(true);
        }
    });
    let mut progress = Progress::default();
    let lived = live(&store, 1, &mut progress).await;
    assert!(lived.is_err() || progress.ended);

    let mut job = claim(inner).await?;
    let last = job.state().retained().keys().next_back().copied().unwrap_or(0);
    assert!(last == progress.published || last == progress.published + 1, "{last} {progress:?}");
    job.sweep().await?;
    check_exact(inner).await;
    assert_eq!(job.sweep().await?, Swept::default(), "call={number} {when:?}");
    live(inner, last + 1, &mut Progress::default()).await?;
    check_exact(inner).await;
    Ok(())
}

#[test]
fn a_restart_after_death_at_any_call_leaves_no_unneeded_file() {
    block_on(async {
        for number in 1..=call_count().await {
            for when in [When::Before, When::After] {
                die_and_restart(&memory().1, number, when).await?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_restart_on_disk_leaves_no_unneeded_file() {
    block_on(async {
        // Every call is tried in memory; syncing takes its time.
        for number in (1..=call_count().await).step_by(4) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().to_str().unwrap())?;
            die_and_restart(&store, number, When::After).await?;
            assert_eq!(store.leftovers().await?, []);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_folder_holds_nothing_but_what_is_reached_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    block_on(async {
        let mut progress = Progress::default();
        live(&store, 1, &mut progress).await?;
        let mut job = claim(&store).await?;
        job.begin(9, None)?;
        write(&job, 9, &[]).await?;
        let next = job.state().next().0;
        drop(job);
        // What a killed process leaves half-written, in each folder; a put of a record in doubt too.
        let path = |name: &str| folder.path().join(name);
        let half = ["shared/2/9-1-cd.run#1", "chk-9-2/_metadata#7", "shared/1/9-1-ab.run#1"];
        let record = format!("{}#1", log_name(log::Sequence(next))?);
        let ahead = format!("{}#1", log_name(log::Sequence(next + 1))?);
        for name in half.iter().copied().chain([record.as_str(), ahead.as_str(), "mine#1"]) {
            std::fs::write(path(name), b"half").unwrap();
        }
        let mut job = claim(&store).await?;
        let swept = job.sweep().await?;
        assert_eq!((swept.file_count, swept.leftover_count), (2, 4));
        check_exact(&store).await;
        assert!(half.iter().all(|name| !path(name).exists()) && !path(&record).exists());
        // Another may be writing that record now; and what is not the job's is left alone.
        assert!(path(&ahead).exists() && path("mine#1").exists());
        assert!(!path("shared/2").exists() && !path("chk-9-2").exists(), "empty folders go");
        assert!(path("chk-3-1").exists());
        Ok(())
    })
    .unwrap();
}

/// Counts how often a manifest is read.
#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl ReferenceSource for Counting {
    async fn references(&self, store: &Store, published: &Published) -> Result<Names> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Lines.references(store, published).await
    }
}

#[test]
fn a_new_owner_reads_a_manifest_once_and_re_uses_what_it_reaches() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        let second = checkpoint(&mut job, 2, std::slice::from_ref(&first)).await?;
        for foreign in ["savepoints/a/_metadata", "mine"] {
            put(&store, &name(foreign), b"not the job's").await?;
        }

        let source = Arc::new(Counting::default());
        let mut job = Job::claim(store.clone(), source.clone()).await?;
        assert_eq!(job.sweep().await?, Swept::default());
        checkpoint(&mut job, 3, std::slice::from_ref(&second)).await?;
        job.retain(&keep(1)).await?;
        job.sweep().await?;
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
        let left = ["savepoints/a/_metadata", "mine", "shared/2/3-0-ab.run", second.as_str()];
        let expected = left.into_iter().map(name).chain([manifest_name(3, 2)?]).collect();
        assert_eq!(files(&store).await, expected);

        // It is condemned: no checkpoint gets it back.
        job.begin(4, Some(3))?;
        let (published, names, _) = write(&job, 4, &[first]).await?;
        assert_eq!(job.publish(published, names).await.unwrap_err().kind(), ErrorKind::Invalid);
        Ok(())
    })
    .unwrap();
}

#[tokio::test]
async fn a_life_on_disk_under_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let objects = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let store = Store::from_object_store(Arc::new(objects), Some(&name("jobs/a")));
    live(&store, 1, &mut Progress::default()).await.unwrap();
    check_exact(&store).await;
    let mut job = claim(&store).await.unwrap();
    assert_eq!(job.sweep().await.unwrap(), Swept::default());
}
