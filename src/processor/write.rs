//! A savepoint written from sorted entries, whoever gives them.

use super::target::{
    conflict, create_manifest, foreign, found_manifest, is_named_by_digest, occupied,
};
use crate::snapshot::{
    Count, EncodedManifest, MANIFEST_NAME, NewOperator, PARTS_AT_ONCE, PartId, Present,
    SnapshotSettings, SubtaskSource, in_target, write_sourced_part,
};
use crate::store::ended;
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::manifest::{Manifest, Operator, SnapshotKind};
use esker_format::{KeyGroupRange, RelativeName};
use futures::stream;
use std::collections::BTreeMap;
use std::error::Error as StdError;

/// An operator of a savepoint to be written.
pub struct OperatorSources {
    /// Uid, types and states, as the manifest is to have them; its parts count for nothing.
    pub operator: Operator,
    /// What the part of each subtask is made of, in order: as many as the parallelism.
    pub subtasks: Vec<SubtaskSource>,
}

/// What [`write_savepoint`] did: manifest, parts and runs together.
#[derive(Debug, Clone)]
pub struct WrittenSavepoint {
    /// The savepoint's manifest.
    pub manifest: Manifest,
    /// How many values, list elements, map entries, timers and elements of operator state it holds.
    pub entries: u64,
    /// The files that this call wrote.
    pub written: Count,
    /// The files that were there already.
    pub present: Count,
}

/// Writes a savepoint to the root of `target`: runs and parts, and at last the manifest. Job, checkpoint
/// and generation are those of `manifest`; it becomes a savepoint, and has the operators of
/// `operators`, in order of their uid. Equal entries, settings and parallelism give equal files.
///
/// Each file is named by its digest, and one of that name and length is not written again; so a call
/// after one that failed, or died, writes what is left. Until the manifest is there, there is no snapshot.
/// Parts are written one after the other, each in pieces on [`threads`](SnapshotSettings::threads)
/// threads. `progress` is told of entries once they are durable.
///
/// Memory: all parts, and of runs as [`write_part`](crate::snapshot::write_part) says; what the sources
/// take besides.
///
/// # Errors
/// `Conflict` if `target` holds another snapshot, or files that are not of this one; `Invalid` for wrong
/// settings, entries that do not fit and a manifest that cannot be; those of the sources; the store's,
/// with the whole path. What was put for entries that are `Invalid` is deleted, as far as it can be. Beside files that
/// are not of this savepoint nothing is, as another call may be at work there and name some of what was put: what an
/// interrupted one left goes with the folder. No write is under way once it returns.
#[tracing::instrument(skip_all, fields(checkpoint = manifest.checkpoint, target = %target))]
pub async fn write_savepoint(
    target: &Store,
    manifest: Manifest,
    mut operators: Vec<OperatorSources>,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<WrittenSavepoint> {
    settings.check()?;
    let manifest = Manifest { kind: SnapshotKind::Savepoint, operators: Vec::new(), ..manifest };
    operators.sort_by(|a, b| a.operator.uid.cmp(&b.operator.uid));
    let path = RelativeName::new(MANIFEST_NAME)?;
    let of_target = |error| in_target(error, target, &path);
    let listed: BTreeMap<RelativeName, u64> =
        target.list(None).await.map_err(of_target)?.into_iter().collect();
    let before = check_target(target, &path, &manifest, &operators, &listed).await?;
    if before.is_none() {
        for leftover in target.leftovers().await.map_err(of_target)? {
            if is_named_by_digest(&leftover.name) || leftover.name == path {
                leftover.remove().await.map_err(of_target)?;
            }
        }
    }
    let present = Present::of(target, listed.clone()).await?;
    let mut written = Vec::new();
    for (number, OperatorSources { operator, subtasks }) in operators.into_iter().enumerate() {
        let parallelism = subtasks.len() as u32;
        let mut parts = Vec::with_capacity(subtasks.len());
        for (subtask, source) in (0..).zip(subtasks) {
            let id = PartId {
                kind: manifest.kind,
                checkpoint: manifest.checkpoint,
                generation: manifest.generation,
                operator: number as u32,
                subtask,
            };
            let range = KeyGroupRange::of_subtask(subtask, parallelism)?;
            let (to, states) = ((target, &present), &operator.states);
            let part =
                write_sourced_part(to, (id, range), source, states, settings, progress).await;
            let is_refused = |error: &Error| {
                // One with a source is a store's: what it does not allow now it may allow later.
                error.kind() == ErrorKind::Invalid && StdError::source(error).is_none()
            };
            if part.as_ref().is_err_and(is_refused) {
                // Nobody will go on with it.
                present.take_back(target).await;
            }
            let part = part.map_err(|error| match error.kind() {
                // Of all the folder.
                ErrorKind::Conflict => error,
                _ => error.of(format_args!("operator={}", operator.uid)),
            })?;
            parts.push((part.chain.part, None));
        }
        written.push(NewOperator { operator, parts });
    }
    let states = written.iter().flat_map(|operator| &operator.parts);
    let states = states.flat_map(|(part, _)| &part.states);
    let entries = states.map(|state| state.entries).fold(0, u64::saturating_add);
    let encoded = EncodedManifest::new(manifest, written)?;
    let is_foreign = |name: &&RelativeName| **name != path && !encoded.references.contains(*name);
    if let Some(name) = listed.keys().find(is_foreign) {
        // Nothing is taken back: whoever puts the others may have put the same files meanwhile, and name them.
        return Err(conflict(target, foreign(name, &listed)));
    }
    let puts = encoded.parts.iter().map(|(name, bytes)| (name.clone(), bytes.clone()));
    let puts = puts.map(|(name, bytes)| {
        let present = &present;
        async move { present.put(target, &name, bytes).await }
    });
    ended(stream::iter(puts), PARTS_AT_ONCE).await.map(|_: Vec<()>| ())?;
    let (mut written, mut present) = present.counts();
    match before {
        Some(before) if before == encoded.bytes => present.add(before.len() as u64),
        Some(before) => return Err(conflict(target, occupied(Some(before)))),
        None => {
            create_manifest(target, &encoded).await?;
            written.add(encoded.bytes.len() as u64);
        }
    }
    Ok(WrittenSavepoint { manifest: encoded.manifest, entries, written, present })
}

/// The manifest that is there already, if it can be the one to be written.
///
/// # Errors
/// `Conflict` if something else is there; the store's.
async fn check_target(
    target: &Store,
    path: &RelativeName,
    manifest: &Manifest,
    operators: &[OperatorSources],
    listed: &BTreeMap<RelativeName, u64>,
) -> Result<Option<Bytes>> {
    if listed.contains_key(path) {
        let found = found_manifest(target, path).await?;
        let decoded = found.as_ref().and_then(|bytes| Manifest::decode(bytes).ok());
        return match decoded.filter(|decoded| can_be(decoded, manifest, operators)) {
            Some(_) => Ok(found),
            None => Err(conflict(target, occupied(found))),
        };
    }
    match listed.keys().find(|name| !is_named_by_digest(name)) {
        Some(name) => Err(conflict(target, foreign(name, listed))),
        None => Ok(None),
    }
}

/// Whether `found` differs from what is to be written in its parts at most.
fn can_be(found: &Manifest, manifest: &Manifest, operators: &[OperatorSources]) -> bool {
    let alike = |(found, new): (&Operator, &OperatorSources)| {
        let operator = Operator { parts: found.parts.clone(), ..new.operator.clone() };
        *found == operator && found.parts.len() == new.subtasks.len()
    };
    let head = Manifest { operators: Vec::new(), ..found.clone() };
    head == *manifest
        && found.operators.len() == operators.len()
        && found.operators.iter().zip(operators).all(alike)
}
