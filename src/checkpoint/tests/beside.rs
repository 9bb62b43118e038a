//! Retirement by someone who does not own the job.

use super::*;

#[test]
fn what_is_given_up_beside_the_owner_is_condemned_and_the_owner_goes_on() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        // Two at once: 3 builds on 1, and 2 is complete before it.
        job.begin(2, Some(1))?;
        job.begin(3, Some(1))?;
        let (published, names, second) = write(&job, 2, &[]).await?;
        job.publish(published, names).await?;
        let (published, names, _) = write(&job, 3, std::slice::from_ref(&first)).await?;

        let mut beside = Attached::open(store.clone()).await?;
        assert_eq!(beside.retire(&Lines, &[1, 9].into()).await?, [1].into());
        assert_eq!(beside.retire(&Lines, &[1].into()).await?, [].into(), "again");
        assert_eq!(*beside.state().condemned(), Names::from([manifest_name(1, 1)?, first.clone()]));
        assert!(store.head(&first).await?.is_some(), "nothing is deleted");
        // Whether someone deletes it or not: the owner did not know, and is refused.
        let refused = job.publish(published.clone(), names.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("condemned"), "{refused}");
        Collection::of(&store, &Lines).await?.delete(Which::default(), |_| {}).await?;
        assert_eq!(store.head(&first).await?, None);
        // Nor once nobody remembers that it was condemned.
        job.retain(&keep(3)).await?;
        job.base().await?;
        let refused = job.publish(published, names).await.unwrap_err();
        assert_eq!((refused.kind(), refused.path()), (ErrorKind::Invalid, Some(first.as_str())));
        job.abandon(3);
        checkpoint(&mut job, 4, &[second]).await?;
        job.sweep().await?;
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_may_be_all_there_is_to_restore_is_not_given_up() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        checkpoint(&mut job, 1, &[]).await?;
        checkpoint(&mut job, 2, &[]).await?;
        let third = checkpoint(&mut job, 3, &[]).await?;
        let mut beside = Attached::open(store.clone()).await?;
        let newest = beside.retire(&Lines, &[2, 3].into()).await.unwrap_err();
        assert_eq!(newest.kind(), ErrorKind::Invalid);
        job.hold(1, "audit").await?;
        let held = beside.retire(&Lines, &[1].into()).await.unwrap_err();
        assert_eq!((held.kind(), held.to_string().contains("held")), (ErrorKind::Conflict, true));
        store.delete(&third).await?;
        let missing = beside.retire(&Lines, &[2].into()).await.unwrap_err();
        assert_eq!((missing.kind(), missing.path()), (ErrorKind::Corrupt, Some(third.as_str())));
        put(&store, &third, b"run").await?;
        put(&store, &manifest_name(1, 1)?, b"damaged").await?;
        let damaged = beside.retire(&Lines, &[2].into()).await.unwrap_err();
        assert_eq!(damaged.kind(), ErrorKind::Corrupt);
        assert!(beside.state().retained().keys().eq([&1, &2, &3]));

        let mut newer = claim(&store).await?;
        newer.settle().await?;
        let damaged = beside.retire(&Lines, &[2].into()).await.unwrap_err();
        assert_eq!(damaged.kind(), ErrorKind::Corrupt);
        put(&store, &manifest_name(1, 1)?, b"shared/1/1-0-ab.run\n").await?;
        let fenced = beside.retire(&Lines, &[2].into()).await.unwrap_err();
        assert_eq!(fenced.kind(), ErrorKind::Fenced);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_the_owner_publishes_meanwhile_is_read_before_anything_is_given_up() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        checkpoint(&mut job, 2, &[]).await?;
        let mut beside = Attached::open(store.clone()).await?;
        checkpoint(&mut job, 3, &[]).await?;
        job.hold(2, "audit").await?;
        assert_eq!(beside.retire(&Lines, &[1].into()).await?, [1].into());
        assert!(beside.state().retained().keys().eq([&2, &3]));
        assert!(beside.state().condemned().contains(&first));
        // The owner reads what others appended where it appends itself.
        job.base().await?;
        job.sweep().await?;
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}
