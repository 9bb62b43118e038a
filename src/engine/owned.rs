//! What the owners of a job do alike, however its subtasks run.

use crate::checkpoint::{Job, Retention};
use crate::format::manifest::Manifest;
use crate::snapshot::{ManifestReferences, read_manifest};
use crate::{ErrorKind, Result, Store};
use std::sync::Arc;

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
