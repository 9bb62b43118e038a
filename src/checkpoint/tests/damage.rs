//! Jobs whose log, or an older checkpoint, is lost.

use super::*;

#[test]
fn files_without_their_log_are_no_new_job() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        checkpoint(&mut job, 1, &[]).await?;
        let records = store.list(Some(&log_folder()?)).await?;
        let mut kept = Vec::new();
        for (record, _) in &records {
            kept.push(store.get(record).await?.unwrap());
            store.delete(record).await?;
        }
        let refused = claim(&store).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
        assert!(refused.to_string().contains("the log is missing"), "{refused}");
        for ((record, _), bytes) in records.iter().zip(kept) {
            store.put(record, bytes).await?;
        }
        assert_eq!(claim(&store).await?.generation(), 2);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_damaged_older_checkpoint_stops_deleting_alone_until_it_is_retired() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        let second = checkpoint(&mut job, 2, std::slice::from_ref(&first)).await?;
        checkpoint(&mut job, 3, std::slice::from_ref(&second)).await?;
        store.put(&manifest_name(1, 1)?, Bytes::from_static(b"x")).await?;
        let unneeded = name("shared/1/9-9-ab.run");
        put(&store, &unneeded, b"unneeded").await?;

        let mut job = claim(&store).await?;
        assert_eq!(job.sweep().await?, Swept::default());
        checkpoint(&mut job, 4, &[second]).await?;
        job.retain(&keep(1)).await?;
        assert!(job.state().retained().keys().eq([&1, &2, &3, &4]));
        assert!(job.state().condemned().is_empty());
        assert_eq!(job.retire(&[2].into()).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(store.head(&unneeded).await?.is_some());

        job.retire(&[1].into()).await?;
        assert_eq!(*job.state().condemned(), Names::from([manifest_name(1, 1)?]));
        assert!(store.head(&first).await?.is_some());
        job.retain(&keep(1)).await?;
        assert_eq!(job.sweep().await?.file_count, 1);
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}
