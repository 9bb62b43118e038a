//! What the owners of a job do alike, however its subtasks run.

use crate::checkpoint::{Job, Retention, read_log};
use crate::format::RelativeName;
use crate::format::manifest::{Manifest, SnapshotKind};
use crate::snapshot::{MANIFEST_NAME, ManifestReferences, Needed, read_manifest, read_part};
use crate::{Error, ErrorKind, OnCancel, Result, Store};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The owner of a job, and its last completed checkpoint.
pub(super) type Claimed = (Job, Option<(u64, Manifest)>);

/// Becomes the owner of the job at `store`'s root, and removes what dead owners left behind; with the last
/// completed checkpoint.
///
/// # Errors
/// `Fenced` if another claims it at this moment; the store's; `Corrupt` if the log or the manifest of the last
/// checkpoint is damaged.
pub(super) async fn claimed(store: Store) -> Result<Claimed> {
    let mut job = Job::claim(store, Arc::new(ManifestReferences)).await?;
    job.sweep().await?;
    let last = match job.state().retained().last_key_value() {
        Some((checkpoint, last)) => {
            let (path, digest) = (&last.manifest_path, Some(last.manifest_digest));
            Some((*checkpoint, read_manifest(job.store(), path, digest).await?))
        }
        None => None,
    };
    Ok((job, last))
}

/// That nobody has claimed the job since: its savepoints need no record, and whoever is told of one must not
/// take it for the job's end while another owner goes on.
///
/// # Errors
/// `Fenced` if somebody has; those of [`read_log`].
pub(super) async fn check_owner(job: &Job) -> Result<()> {
    let store = job.store();
    let (known, found) = (job.generation(), read_log(store).await?.generation());
    if found == known {
        return Ok(());
    }
    let message = format!("generation={known} is not the owner any more: generation={found} is");
    Err(Error::new(ErrorKind::Fenced, message).at_path(store.to_string()))
}

/// What came of reading the last checkpoint. A newer owner deletes what it needs no more: where a file is missing
/// for that, nothing is damaged, and nobody is to look for damage.
///
/// # Errors
/// As `read`, but `Fenced` for `Corrupt` if the job has another owner by now.
pub(super) async fn unless_fenced<T>(job: &Job, read: Result<T>) -> Result<T> {
    if let Err(error) = &read
        && error.kind() == ErrorKind::Corrupt
        && let Err(fenced) = check_owner(job).await
        && fenced.kind() == ErrorKind::Fenced
    {
        return Err(fenced);
    }
    read
}

/// Who owns the files of a savepoint that a job begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Whoever wrote it: the job reads them and deletes none.
    NoClaim,
    /// The job: once a checkpoint of its own is complete, it deletes those that the savepoint names, and no others. If that fails,
    /// or the process dies before, they are left: nobody comes back for them.
    Claim,
}

/// A savepoint that a job begins with, until it has a checkpoint of its own.
pub(super) struct Origin {
    pub(super) store: Store,
    pub(super) manifest: Manifest,
    ownership: Ownership,
    /// Backends that were restored lazily.
    readers: Mutex<Vec<Needed>>,
}

impl Origin {
    /// The savepoint at the root of `store`.
    ///
    /// # Errors
    /// `Invalid` if there is none, `Corrupt` if its manifest is damaged; the store's.
    pub(super) async fn of(store: Store, ownership: Ownership) -> Result<Self> {
        let invalid = |message: String| {
            Err(Error::new(ErrorKind::Invalid, message).at_path(store.to_string()))
        };
        let path = RelativeName::new(MANIFEST_NAME)?;
        if store.head(&path).await?.is_none() {
            return invalid(format!(
                "no savepoint is there: name the folder that {MANIFEST_NAME} lies in"
            ));
        }
        let manifest = read_manifest(&store, &path, None).await?;
        if manifest.kind != SnapshotKind::Savepoint {
            return invalid(
                "not a savepoint, which alone stands without its job: esker copy makes one".into(),
            );
        }
        Ok(Self { store, manifest, ownership, readers: Mutex::default() })
    }

    /// A backend reads on from the savepoint.
    pub(super) fn read_by(&self, needed: Needed) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(needed);
    }

    /// Whether any backend still does.
    pub(super) fn is_read(&self) -> bool {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.iter().any(Needed::is_needed)
    }

    /// Deletes it if it was claimed, now that the job has a checkpoint, which names none of its files; what fails of it is
    /// traced. The manifest goes first: what is left is no savepoint.
    pub(super) async fn give_up(self) {
        if self.ownership == Ownership::NoClaim {
            return;
        }
        if let Err(error) = self.delete().await {
            tracing::warn!(%error, "files are left of the savepoint that was claimed");
        }
    }

    async fn delete(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for part in self.manifest.operators.iter().flat_map(|operator| &operator.parts) {
            names.insert(part.name()?);
            let read = read_part(&self.store, part).await?;
            names.extend(read.files().map(|found| found.file.clone()));
        }
        let path = RelativeName::new(MANIFEST_NAME)?;
        self.store.delete(&path).await?;
        for name in names {
            self.store.delete(&name).await?;
        }
        Ok(())
    }
}

/// Ends a job deliberately: what becomes of its checkpoints is as `on_cancel` says. The newest one stays in any case, and so do
/// `last`, from which the job would go on, and those that are held.
///
/// # Errors
/// `Fenced` if the job has another owner by now; `Corrupt` if a checkpoint that stays cannot be read: nothing is
/// deleted then; the store's.
pub(super) async fn cancel(job: &mut Job, on_cancel: OnCancel, last: Option<u64>) -> Result<()> {
    job.settle().await?;
    if on_cancel == OnCancel::Delete {
        // Another may have put a hold: it is seen only by who appends.
        job.base().await?;
        let read = job.read_from();
        let (retained, holds) = (job.state().retained(), job.state().holds());
        let newest = retained.keys().next_back().copied();
        let goes = |checkpoint: &&u64| {
            let checkpoint = Some(**checkpoint);
            checkpoint != newest && checkpoint != last
        };
        let given_up = retained.keys().filter(goes).filter(|number| !holds.contains_key(number));
        // A backend that is still there may read on from one.
        let given_up = given_up.filter(|number| !read.contains(number));
        let given_up = given_up.copied().collect();
        job.retire(&given_up).await?;
    }
    job.sweep().await.map(|_| ())
}

/// Retires what is no longer to be retained, and removes what given-up checkpoints left behind, if there is
/// any of that. What fails of it, but for `Fenced`, is traced and done after the next checkpoint.
///
/// # Errors
/// `Fenced` if the job has another owner by now.
pub(super) async fn clean_up(
    job: &mut Job,
    retention: &Retention,
    is_unswept: &mut bool,
) -> Result<()> {
    let mut done = job.retain(retention).await;
    if *is_unswept && done.is_ok() {
        done = job.sweep().await.map(|_| ());
        *is_unswept = done.is_err();
    }
    match done {
        Err(error) if error.kind() == ErrorKind::Fenced => Err(error),
        Err(error) => {
            tracing::warn!(%error, "files are left for the clean-up after the next checkpoint");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
