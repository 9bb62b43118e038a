//! The files of a plan, brought to where they stand alone: what is missing, the manifest last.

use super::plan::{Plan, Planned};
use super::target::{conflict, create_manifest, found_manifest, occupied};
use super::transfer::{link, put, transfer};
use crate::snapshot::{Count, PARTS_AT_ONCE, SnapshotSettings, in_target};
use crate::store::ended;
use crate::{Result, Store};
use esker_format::RelativeName;
use esker_format::manifest::Manifest;
use futures::stream;
use std::collections::BTreeMap;

/// How files come to where they stand alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// By a further name for the same file, between folders of one file system, or as a copy that an
    /// object store makes of its own; where neither can be, as [`Copy`](Self::Copy) does.
    #[default]
    Link,
    /// Each is read, verified by its digest, and written.
    Copy,
}

/// What [`bring`] did: manifest, parts, runs and files of databases together.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) manifest: Manifest,
    /// The files that it made without reading them.
    pub(super) linked: Count,
    /// The files that it wrote.
    pub(super) copied: Count,
    /// The files that were there already.
    pub(super) present: Count,
}

/// Brings all files of `plan` from one store to another.
///
/// # Errors
/// As for [`copy()`](super::copy()).
pub(super) async fn bring(
    (source, target): (&Store, &Store),
    plan: &Plan,
    transport: Transport,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Brought> {
    let path = &plan.encoded.path;
    let of_target = |error| in_target(error, target, path);
    let listed = target.list(None).await.map_err(of_target)?;
    let listed: BTreeMap<RelativeName, u64> = listed.into_iter().collect();
    let is_complete = check_target(target, plan, &listed).await?;
    if !is_complete {
        for leftover in target.leftovers().await.map_err(of_target)? {
            if plan.has(&leftover.name) {
                leftover.remove().await.map_err(of_target)?;
            }
        }
    }

    let (mut linked, mut copied, mut present) =
        (Count::default(), Count::default(), Count::default());
    let mut is_due = |name: &RelativeName, len_bytes: u64| {
        let is_due = listed.get(name) != Some(&len_bytes);
        let count = if is_due { &mut copied } else { &mut present };
        count.add(len_bytes);
        is_due
    };
    let Plan { files, encoded } = plan;
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
    let brought = due.into_iter().map(|file| async move {
        if transport == Transport::Link && link(source, target, file).await? {
            progress(file.len_bytes);
            return Ok(Some(file.len_bytes));
        }
        transfer(source, target, file, progress).await.map(|()| None)
    });
    let brought: Vec<Option<u64>> = ended(stream::iter(brought), settings.transfers_max).await?;
    for len_bytes in brought.into_iter().flatten() {
        copied.less(len_bytes);
        linked.add(len_bytes);
    }
    if !is_complete || linked.files > 0 {
        // Also of files that a call before linked, and died before it got here.
        target.sync_root().await.map_err(of_target)?;
    }
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
    Ok(Brought { manifest: plan.encoded.manifest.clone(), linked, copied, present })
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
