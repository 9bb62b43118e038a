//! The folder that a snapshot is written to: what may be there, and the manifest that comes last.

use crate::snapshot::{EncodedManifest, FILE_LEN_BYTES_MAX, MANIFEST_NAME, create_once, in_target};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::RelativeName;
use esker_format::manifest::Manifest;
use std::collections::BTreeMap;

/// The length of a digest in hex.
const DIGEST_LEN: usize = 64;

/// The error of a folder that holds what may not be touched.
pub(super) fn conflict(target: &Store, message: String) -> Error {
    Error::new(ErrorKind::Conflict, message).at_path(target.to_string())
}

/// The manifest that is at `path`, as far as one can say: nothing if it is damaged.
///
/// # Errors
/// The store's.
pub(super) async fn found_manifest(target: &Store, path: &RelativeName) -> Result<Option<Bytes>> {
    match target.get_within(path, FILE_LEN_BYTES_MAX).await {
        Err(error) if error.kind() != ErrorKind::Corrupt => Err(in_target(error, target, path)),
        found => Ok(found.ok().flatten()),
    }
}

/// What to say of a manifest that is not the one to be written.
pub(super) fn occupied(found: Option<Bytes>) -> String {
    let holds = match found.map(|bytes| Manifest::decode(&bytes)) {
        Some(Ok(Manifest { job, checkpoint, .. })) => {
            format!("another snapshot, checkpoint={checkpoint} job={job:?}")
        }
        _ => "a manifest that cannot be read".to_owned(),
    };
    format!("the folder holds {holds}, and is not overwritten: choose another folder")
}

/// What to say of `name`, which is among `listed` and not part of what is to be written.
pub(super) fn foreign(name: &RelativeName, listed: &BTreeMap<RelativeName, u64>) -> String {
    // Not deleted: who is about to write a manifest that names it may be at work.
    match listed.keys().all(is_named_by_digest) {
        true => format!(
            "the folder holds what is not of this savepoint, {name} for one, and no manifest: it is left of a call \
             for another one that was interrupted. If none is under way there, delete the folder; or choose another"
        ),
        false => format!(
            "the folder holds what is not of this savepoint, {name} for one: it has a folder of its own"
        ),
    }
}

/// Writes the manifest; nobody else's is overwritten.
///
/// # Errors
/// The store's; `Conflict` if another one is there.
pub(super) async fn create_manifest(target: &Store, encoded: &EncodedManifest) -> Result<()> {
    let path = &encoded.path;
    let of_target = |error| in_target(error, target, path);
    match create_once(target, path, &encoded.bytes).await.map_err(of_target)? {
        None => Ok(()),
        Some(found) => Err(conflict(target, occupied(found))),
    }
}

/// Whether a savepoint's run or part can have this name.
pub(super) fn is_named_by_digest(name: &RelativeName) -> bool {
    let (stem, extension) = name.as_str().rsplit_once('.').unwrap_or_default();
    let digest = match extension {
        "run" => Some(stem),
        "part" => stem.strip_prefix("parts/"),
        _ => None,
    };
    let is_hex = |digest: &str| digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digest.is_some_and(|digest| digest.len() == DIGEST_LEN && is_hex(digest))
}

/// That nothing is among `names` but what a savepoint can consist of.
///
/// # Errors
/// What to say of one that is.
pub(super) fn check_names<'a>(
    mut names: impl Iterator<Item = &'a RelativeName>,
) -> std::result::Result<(), String> {
    let is_of_one = |name: &RelativeName| {
        let name = name.as_str();
        name == MANIFEST_NAME || name.ends_with(".sst") || name.ends_with(".native")
    };
    match names.find(|name| !is_named_by_digest(name) && !is_of_one(name)) {
        Some(name) => Err(format!(
            "the folder holds what is not of this snapshot, {name} for one: a copy has a folder of \
             its own"
        )),
        None => Ok(()),
    }
}
