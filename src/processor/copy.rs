//! A snapshot copied to a folder where it stands alone.

use super::bring::{Brought, Transport, bring};
use super::plan::Plan;
use crate::snapshot::{Count, OpenSnapshot, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store};
use esker_format::manifest::Manifest;

/// What [`copy()`] did: manifest, parts, runs and files of databases together.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The copy's manifest: that of a savepoint.
    pub manifest: Manifest,
    /// The files that this call wrote.
    pub copied: Count,
    /// The files that were there already.
    pub present: Count,
}

/// Copies all that `snapshot` reaches to the root of `target`: runs, files of databases, parts, and at
/// last the manifest. The copy is a savepoint, whatever the snapshot is: complete, with names below its
/// own folder, nobody's but its owner's. It holds the same bytes of state, a chain of runs as a chain
/// and a native checkpoint as the files of its database, which that backend alone restores. Each file
/// is named by its digest, so a savepoint of esker's own is copied to the byte.
///
/// A file of that name and length is not copied again, so that a call after one that failed, or died,
/// does what is left. Every file's length and digest are checked before it gets its name in `target`;
/// until the manifest is there, and it comes last, there is no snapshot. Of two calls at once into one
/// empty `target`, either may fail. `progress` is told of bytes of runs and databases, also of those that
/// are there.
///
/// Cost: one listing of `target`, and for each file that is missing one read and one write; pieces of
/// 8 MiB of longer ones. Memory: the parts, and 16 MiB for each of `settings.transfers_max` transfers;
/// the other settings count for nothing.
///
/// # Errors
/// `Corrupt`, naming the file below the snapshot's root, for what is missing or damaged; `Conflict`, if
/// `target` holds another snapshot, or files that are not of this one: nothing is written then.
/// `Invalid` for wrong settings, and if `target` is where the snapshot lies. The stores', those of
/// `target` with the whole path. No write is under way once it returns.
#[tracing::instrument(skip_all, fields(checkpoint = snapshot.manifest.checkpoint, target = %target))]
pub async fn copy(
    snapshot: OpenSnapshot,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Copied> {
    settings.check()?;
    let snapshot = checked(snapshot, target)?;
    let plan = Plan::of(&snapshot)?;
    let Brought { manifest, copied, present, .. } =
        bring((&snapshot.store, target), &plan, Transport::Copy, settings, progress).await?;
    Ok(Copied { manifest, copied, present })
}

/// The snapshot, if all of its parts can be read and it does not lie where `target` is.
///
/// # Errors
/// `Invalid` and `Corrupt`, as for [`copy()`].
pub(super) fn checked(snapshot: OpenSnapshot, target: &Store) -> Result<OpenSnapshot> {
    if snapshot.store.is_same(target) {
        let message = "the snapshot lies there: a copy goes to another folder";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(target.to_string()));
    }
    whole(snapshot)
}

/// The snapshot, if all of its parts can be read.
pub(super) fn whole(mut snapshot: OpenSnapshot) -> Result<OpenSnapshot> {
    match snapshot.damage.is_empty() {
        true => Ok(snapshot),
        false => Err(snapshot.damage.swap_remove(0).error),
    }
}
