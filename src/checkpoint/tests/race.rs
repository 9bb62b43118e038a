//! Two owners, one of them late.

use super::*;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

#[test]
fn a_newer_claim_fences_the_older_owner_for_ever() {
    let (_, store) = memory();
    block_on(async {
        let mut old = claim(&store).await?;
        let first = checkpoint(&mut old, 1, &[]).await?;
        old.begin(2, Some(1))?;
        let (published, names, _) = write(&old, 2, &[first]).await?;
        let mut new = claim(&store).await?;
        assert_eq!((old.generation(), new.generation()), (1, 2));
        let fenced = old.publish(published.clone(), names.clone()).await.unwrap_err();
        assert_eq!(fenced.kind(), ErrorKind::Fenced);
        assert_eq!(old.publish(published, names).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(old.hold(1, "x").await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(old.retain(&keep(1)).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(old.sweep().await.unwrap_err().kind(), ErrorKind::Fenced);
        assert!(new.state().retained().keys().eq([&1]));
        assert_eq!(new.sweep().await?.file_count, 2);
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn owners_that_claim_at_once_end_as_one() {
    let (_, store) = memory();
    let claims = (0..4).map(|_| {
        let store = store.clone();
        std::thread::spawn(move || block_on(claim(&store)))
    });
    let claims: Vec<_> = claims.collect();
    let jobs: Vec<_> = claims.into_iter().map(|claim| claim.join().unwrap()).collect();
    let mut published = 0;
    for job in jobs {
        let mut job = match job {
            Ok(job) => job,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fenced);
                continue;
            }
        };
        match block_on(checkpoint(&mut job, 1, &[])) {
            Ok(_) => published += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced),
        }
    }
    assert_eq!(published, 1);
    let mut job = block_on(claim(&store)).unwrap();
    block_on(job.sweep()).unwrap();
    futures::executor::block_on(check_exact(&store));
}

/// Polls the future once. The store is in memory, where all but a paused put is ready at once.
fn until_waiting<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context)
}

#[test]
fn a_paused_publish_of_a_fenced_owner_never_counts() {
    for lands_before_base in [true, false] {
        let (_, store) = memory();
        block_on(async {
            let (fault, slow) = faulty(&store);
            let mut old = claim(&slow).await?;
            checkpoint(&mut old, 1, &[]).await?;
            old.begin(2, Some(1))?;
            let (published, names, late) = write(&old, 2, &[]).await?;
            fault.pause_puts();
            let mut publish = pin!(old.publish(published, names));
            assert!(until_waiting(publish.as_mut()).is_pending());

            let mut new = claim(&store).await?;
            new.sweep().await?;
            assert_eq!(store.head(&late).await?, None);
            checkpoint(&mut new, 2, &[]).await?;
            new.retain(&keep(1)).await?;
            if !lands_before_base {
                // The paused record's number is free again then.
                new.base().await?;
            }
            fault.release_puts();
            assert_eq!(publish.await.unwrap_err().kind(), ErrorKind::Fenced);
            let state = read_log(&store).await?;
            assert_eq!(state.generation(), 2);
            assert_eq!(state.retained()[&2].manifest_path, manifest_name(2, 2)?);
            new.sweep().await?;
            check_exact(&store).await;
            assert_eq!(new.sweep().await?, Swept::default());
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn data_that_a_fenced_owner_writes_late_goes_with_the_next_sweep() {
    let (_, store) = memory();
    block_on(async {
        let (fault, slow) = faulty(&store);
        let mut old = claim(&slow).await?;
        old.begin(1, None)?;
        fault.pause_puts();
        let mut new;
        let (published, names, _) = {
            let mut writing = pin!(write(&old, 1, &[]));
            assert!(until_waiting(writing.as_mut()).is_pending());
            new = claim(&store).await?;
            assert_eq!(new.sweep().await?, Swept::default());
            fault.release_puts();
            writing.await?
        };
        assert_eq!(old.publish(published, names).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(new.sweep().await?.file_count, 2);
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_dropped_publish_is_settled_by_the_next_call() {
    let (_, store) = memory();
    block_on(async {
        let (fault, slow) = faulty(&store);
        let mut job = claim(&slow).await?;
        job.begin(1, None)?;
        let (published, names, _) = write(&job, 1, &[]).await?;
        fault.pause_puts();
        {
            let mut publish = pin!(job.publish(published, names));
            assert!(until_waiting(publish.as_mut()).is_pending());
        }
        job.abandon(1);
        fault.release_puts();
        // Whether it was published is settled before anything is swept.
        assert_eq!(job.sweep().await?, Swept::default());
        assert!(job.state().retained().keys().eq([&1]));
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn late_deletes_of_a_fenced_owner_hit_nothing_that_is_needed() {
    let (_, store) = memory();
    block_on(async {
        let (fault, slow) = faulty(&store);
        let mut old = claim(&slow).await?;
        let first = checkpoint(&mut old, 1, &[]).await?;
        checkpoint(&mut old, 2, std::slice::from_ref(&first)).await?;
        checkpoint(&mut old, 3, &[first]).await?;
        fault.delay_deletes();
        assert_eq!(old.retain(&keep(1)).await.unwrap_err().kind(), ErrorKind::Retry);
        let mut new = claim(&store).await?;
        assert!(!new.state().condemned().is_empty());
        new.sweep().await?;
        checkpoint(&mut new, 4, &[]).await?;
        new.base().await?;
        fault.apply_deletes().await.unwrap();
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}
