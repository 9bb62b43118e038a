//! A snapshot copied to a folder where it stands alone.

use super::plan::{Plan, Planned};
use super::target::{conflict, create_manifest, found_manifest, occupied};
use super::transfer::{put, transfer};
use crate::snapshot::{Count, OpenSnapshot, PARTS_AT_ONCE, SnapshotSettings, in_target};
use crate::store::ended;
use crate::{Error, ErrorKind, Result, Store};
use esker_format::RelativeName;
use esker_format::manifest::Manifest;
use futures::stream;
use std::collections::BTreeMap;

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
    mut snapshot: OpenSnapshot,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Copied> {
    settings.check()?;
    if snapshot.store.is_same(target) {
        let message = "the snapshot lies there: a copy goes to another folder";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(target.to_string()));
    }
    if !snapshot.damage.is_empty() {
        return Err(snapshot.damage.swap_remove(0).error);
    }
    let plan = Plan::of(&snapshot)?;
    let path = &plan.encoded.path;
    let of_target = |error| in_target(error, target, path);
    let listed = target.list(None).await.map_err(of_target)?;
    let listed: BTreeMap<RelativeName, u64> = listed.into_iter().collect();
    let is_complete = check_target(target, &plan, &listed).await?;
    if !is_complete {
        for leftover in target.leftovers().await.map_err(of_target)? {
            if plan.has(&leftover.name) {
                leftover.remove().await.map_err(of_target)?;
            }
        }
    }

    let (mut copied, mut present) = (Count::default(), Count::default());
    let mut is_due = |name: &RelativeName, len_bytes: u64| {
        let is_due = listed.get(name) != Some(&len_bytes);
        if is_due {
            copied.add(len_bytes)
        } else {
            present.add(len_bytes)
        }
        is_due
    };
    let Plan { files, encoded } = &plan;
    let mut due: Vec<&Planned> = Vec::new();
    for file in files.values() {
        if is_due(&file.to, file.len_bytes) {
            due.push(file);
        } else {
            progress(file.len_bytes);
        }
    }
    let parts = encoded.parts.iter().map(|(name, bytes)| (name.clone(), bytes.clone()));
    let parts: Vec<_> = parts.filter(|(name, bytes)| is_due(name, bytes.len() as u64)).collect();
    let source = &snapshot.store;
    let transfers = due.into_iter().map(|file| transfer(source, target, file, progress));
    ended(stream::iter(transfers), settings.transfers_max).await.map(|_: Vec<()>| ())?;
    let puts =
        parts.into_iter().map(|(name, bytes)| async move { put(target, &name, bytes).await });
    ended(stream::iter(puts), PARTS_AT_ONCE).await.map(|_: Vec<()>| ())?;
    let len_bytes = encoded.bytes.len() as u64;
    if is_complete {
        present.add(len_bytes);
    } else {
        create_manifest(target, &plan.encoded).await?;
        copied.add(len_bytes);
    }
    Ok(Copied { manifest: plan.encoded.manifest, copied, present })
}

/// Whether the manifest of this copy is there already.
///
/// # Errors
/// `Conflict` if something else is; the store's.
async fn check_target(
    target: &Store,
    plan: &Plan,
    listed: &BTreeMap<RelativeName, u64>,
) -> Result<bool> {
    let path = &plan.encoded.path;
    if listed.contains_key(path) {
        return match found_manifest(target, path).await? {
            Some(found) if found == plan.encoded.bytes => Ok(true),
            found => Err(conflict(target, occupied(found))),
        };
    }
    match listed.keys().find(|name| !plan.has(name)) {
        Some(name) => {
            let message = format!(
                "the folder holds what is not of this snapshot, {name} for one: a copy has a folder \
                 of its own"
            );
            Err(conflict(target, message))
        }
        None => Ok(false),
    }
}
