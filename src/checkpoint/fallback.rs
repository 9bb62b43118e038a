//! Going back to an older checkpoint, where the last one turns out damaged.
//!
//! Every read is verified (I3), so that a restore finds damage by itself, and what it has restored by
//! then is thrown away. Nothing is deleted: the damaged checkpoint stays for whoever wants to look at
//! it until retention gives it up.

use super::log::LogState;
use crate::format::manifest::Manifest;
use crate::format::record::Published;
use crate::snapshot::read_manifest;
use crate::{Error, ErrorKind, Result, Store};

/// A checkpoint that was passed over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Its number.
    pub checkpoint: u64,
    /// What is damaged or missing, by names.
    pub why: Error,
}

/// The checkpoints that a job retains, newest first, for who restores the newest that is whole.
///
/// ```
/// # use esker::checkpoint::Fallback;
/// # use esker::checkpoint::log::LogState;
/// # use esker::format::manifest::Manifest;
/// # use esker::{Result, Store};
/// # async fn restored(_: &Store, _: &Manifest) -> Result<()> { Ok(()) }
/// # async fn example(store: &Store, log: &LogState) -> Result<()> {
/// let mut fallback = Fallback::new(log);
/// while let Some((checkpoint, manifest)) = fallback.next(store).await? {
///     // All of it anew: what was restored from another checkpoint is not of this one.
///     match restored(store, &manifest).await {
///         Ok(()) => break,
///         Err(damage) => fallback.skip(checkpoint, damage)?,
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fallback {
    /// What was not tried yet, the newest last.
    left: Vec<Published>,
    skipped: Vec<Skipped>,
}

impl Fallback {
    /// Of what `log` retains.
    pub fn new(log: &LogState) -> Self {
        Self { left: log.retained().values().cloned().collect(), skipped: Vec::new() }
    }

    /// The newest checkpoint that was not tried yet and whose manifest is sound; none if the job has
    /// none at all.
    ///
    /// # Errors
    /// `Corrupt`, naming what is wrong with each, if all were skipped: a job is not begun anew because
    /// its state cannot be read. Those of the store.
    pub async fn next(&mut self, store: &Store) -> Result<Option<(u64, Manifest)>> {
        while let Some(published) = self.left.pop() {
            let (path, digest) = (&published.manifest_path, Some(published.manifest_digest));
            match read_manifest(store, path, digest).await {
                Ok(manifest) => return Ok(Some((published.checkpoint, manifest))),
                Err(error) => self.skip(published.checkpoint, error)?,
            }
        }
        match &self.skipped[..] {
            [] => Ok(None),
            all => {
                let each: Vec<_> =
                    all.iter().map(|s| format!("checkpoint={}: {}", s.checkpoint, s.why)).collect();
                let message = format!("no checkpoint can be restored; {}", each.join("; "));
                Err(Error::new(ErrorKind::Corrupt, message).at_path(store.to_string()))
            }
        }
    }

    /// Passes over `checkpoint`, which could not be restored.
    ///
    /// # Errors
    /// `why`, unless it is `Corrupt`: what may pass, or is no fault of the checkpoint, an older one does
    /// not help with.
    pub fn skip(&mut self, checkpoint: u64, why: Error) -> Result<()> {
        if why.kind() != ErrorKind::Corrupt {
            return Err(why);
        }
        tracing::warn!(checkpoint, %why, "a damaged checkpoint is passed over");
        self.skipped.push(Skipped { checkpoint, why });
        Ok(())
    }

    /// What was passed over, newest first.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}
