//! Files that nothing needs, found and deleted beside the owner.

use super::super::orphan::Verdict;
use super::*;
use std::sync::Mutex;

async fn found(store: &Store) -> Result<Collection> {
    Collection::of(store, &Lines).await
}

/// The names of what goes.
fn goes(found: &Collection) -> Vec<&str> {
    let goes = found.files().iter().filter(|file| file.verdict.may_go());
    goes.map(|file| file.name.as_str()).collect()
}

#[test]
fn beside_a_live_owner_only_what_nobody_can_need_goes() {
    let (_, store) = memory();
    block_on(async {
        let mut old = claim(&store).await?;
        let first = checkpoint(&mut old, 1, &[]).await?;
        checkpoint(&mut old, 2, std::slice::from_ref(&first)).await?;
        old.begin(3, Some(2))?;
        let (_, _, orphan) = write(&old, 3, &[]).await?;
        let mut new = claim(&store).await?;
        checkpoint(&mut new, 3, std::slice::from_ref(&first)).await?;
        new.begin(4, Some(3))?;
        let (published, names, in_flight) = write(&new, 4, std::slice::from_ref(&first)).await?;
        put(&store, &name("notes.txt"), b"mine").await?;

        let collection = found(&store).await?;
        assert_eq!(goes(&collection), ["chk-3-1/_metadata", orphan.as_str()]);
        let of = |name: &RelativeName| {
            collection.files().iter().find(|file| file.name == *name).unwrap().verdict
        };
        assert_eq!(of(&in_flight), Verdict::Owners { generation: 2 });
        assert_eq!(of(&first), Verdict::Reached(3));
        assert_eq!(of(&name("notes.txt")), Verdict::Foreign);

        let young = Which { modified_before_ms: Some(0), ..Which::default() };
        collection.delete(young, |file| panic!("{file:?}")).await?;
        let rate = Some(Rate::Files(std::num::NonZeroU64::MAX));
        let mut gone = Vec::new();
        collection
            .delete(Which { rate, ..Which::default() }, |file| gone.push(file.name.clone()))
            .await?;
        assert_eq!(gone, [name("chk-3-1/_metadata"), orphan.clone()]);
        // Again, as whoever was interrupted would.
        collection.delete(Which::default(), |_| {}).await?;
        new.publish(published, names).await?;
        new.sweep().await?;
        store.delete(&name("notes.txt")).await?;
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_was_found_goes_late_and_hits_nothing_of_newer_owners() {
    let (_, store) = memory();
    block_on(async {
        let mut old = claim(&store).await?;
        let first = checkpoint(&mut old, 1, &[]).await?;
        old.begin(2, Some(1))?;
        write(&old, 2, &[]).await?;
        let mut second = claim(&store).await?;
        checkpoint(&mut second, 2, std::slice::from_ref(&first)).await?;
        second.begin(3, Some(2))?;
        write(&second, 3, &[]).await?;
        let late = found(&store).await?;
        assert_eq!(goes(&late).len(), 2);
        // Another owner, bases and retirements, and then the deletes.
        let mut third = claim(&store).await?;
        checkpoint(&mut third, 3, std::slice::from_ref(&first)).await?;
        third.retain(&keep(1)).await?;
        third.base().await?;
        checkpoint(&mut third, 4, &[first]).await?;
        late.delete(Which::default(), |_| {}).await?;
        found(&store).await?.delete(Which::default(), |_| {}).await?;
        third.sweep().await?;
        check_exact(&store).await;
        Ok(())
    })
    .unwrap();
}

/// Retires a checkpoint, and deletes its manifest, just before that is read.
struct Retires(Mutex<Option<Job>>);

#[async_trait]
impl ReferenceSource for Retires {
    async fn references(&self, store: &Store, published: &Published) -> Result<Names> {
        let job = self.0.lock().unwrap().take();
        if let Some(mut job) = job {
            job.retain(&keep(1)).await?;
        }
        Lines.references(store, published).await
    }
}

#[test]
fn a_checkpoint_that_its_owner_retires_meanwhile_is_no_damage() {
    let (_, store) = memory();
    block_on(async {
        let mut job = claim(&store).await?;
        let first = checkpoint(&mut job, 1, &[]).await?;
        checkpoint(&mut job, 2, &[first]).await?;
        let retires = Retires(Mutex::new(Some(job)));
        let collection = Collection::of(&store, &retires).await?;
        assert!(collection.unread().is_empty());
        assert!(collection.judge().state().retained().keys().eq([&2]));
        assert_eq!(goes(&collection), Vec::<&str>::new());
        Ok(())
    })
    .unwrap();
}

#[test]
fn while_a_checkpoint_is_damaged_only_what_is_condemned_goes() {
    let (_, store) = memory();
    block_on(async {
        let mut old = claim(&store).await?;
        checkpoint(&mut old, 1, &[]).await?;
        let mut new = claim(&store).await?;
        checkpoint(&mut new, 2, &[]).await?;
        put(&store, &name("shared/1/9-never"), b"x").await?;
        put(&store, &manifest_name(1, 1)?, b"damaged").await?;
        let collection = found(&store).await?;
        assert_eq!(collection.unread().iter().map(|of| of.checkpoint).collect::<Vec<_>>(), [1]);
        assert_eq!(goes(&collection), Vec::<&str>::new());
        let undecided = |file: &&File| file.verdict == Verdict::Undecided { generation: 1 };
        assert_eq!(collection.files().iter().filter(undecided).count(), 2);
        Ok(())
    })
    .unwrap();
}
