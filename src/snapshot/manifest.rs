//! Manifests and parts in a store: written, read back by digest, and what they refer to.

use super::encoded::EncodedManifest;
use super::merge::{Damage, Lost};
use super::source::missing;
use crate::checkpoint::ReferenceSource;
use crate::store::{Created, ended};
use crate::{Error, ErrorKind, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use esker_format::manifest::{Manifest, Operator, PartRef, SnapshotKind};
use esker_format::part::{Part, RunRef};
use esker_format::record::Published;
use esker_format::{Digest, RelativeName};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a manifest in its folder.
pub const MANIFEST_NAME: &str = "_metadata";
/// No manifest or part of more bytes is read.
pub(crate) const FILE_LEN_BYTES_MAX: u64 = 256 << 20;
/// How many parts are read or written at once.
pub(crate) const PARTS_AT_ONCE: usize = 16;

/// An operator of a snapshot to be written: its parts are those of [`Manifest`], not yet named.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// The operator; its parts are filled in.
    pub operator: Operator,
    /// The part of each subtask, in order, with its name in the manifest before, if it had one.
    pub parts: Vec<(Part, Option<PartRef>)>,
}

/// What [`write_manifest`] wrote.
#[derive(Debug, Clone)]
pub struct WrittenManifest {
    /// What to publish: a snapshot is complete once a record says so.
    pub published: Published,
    /// The manifest as written.
    pub manifest: Manifest,
    /// The files that were written by this call.
    pub names: BTreeSet<RelativeName>,
    /// Every name that the manifest reaches, its own aside.
    pub references: BTreeSet<RelativeName>,
    /// Their bytes.
    pub written_len_bytes: u64,
}

/// The folder of a snapshot's manifest; none for a savepoint, which lies at the store's root.
///
/// # Errors
/// None in practice: the name is made of digits.
pub fn manifest_folder(manifest: &Manifest) -> Result<Option<RelativeName>> {
    let Manifest { kind, checkpoint, generation, .. } = manifest;
    match kind {
        SnapshotKind::Checkpoint => {
            Ok(Some(RelativeName::new(format!("chk-{checkpoint}-{generation}"))?))
        }
        SnapshotKind::Savepoint => Ok(None),
    }
}

/// Writes the parts of `operators` and then the manifest, which is `manifest` with them as its
/// operators. All runs are durable already; when it returns so is everything (I1). A part that is
/// byte-equal to the one before is not written again, but in a savepoint, which holds all it names.
///
/// # Errors
/// The store's, and `Invalid` if a part or the manifest cannot be written; `Conflict` if another manifest is
/// there, which stays. No write is under way once it returns, be it an error.
pub async fn write_manifest(
    store: &Store,
    manifest: Manifest,
    operators: Vec<NewOperator>,
) -> Result<WrittenManifest> {
    let EncodedManifest { manifest, path, bytes, digest, parts, references } =
        EncodedManifest::new(manifest, operators)?;
    let mut names: BTreeSet<_> = parts.keys().cloned().collect();
    let written_len_bytes = parts.values().chain([&bytes]).map(|bytes| bytes.len() as u64).sum();
    let puts =
        stream::iter(parts).map(|(name, bytes)| async move { store.put(&name, bytes).await });
    ended(puts, PARTS_AT_ONCE).await?;
    if create_once(store, &path, &bytes).await?.is_some() {
        let message = "another snapshot's manifest is there, of another owner maybe: it stays";
        let at = format!("{store}/{path}");
        return Err(Error::new(ErrorKind::Conflict, message).at_path(at));
    }
    names.insert(path.clone());
    let (checkpoint, extra) = (manifest.checkpoint, Default::default());
    let published = Published { checkpoint, manifest_path: path, manifest_digest: digest, extra };
    Ok(WrittenManifest { published, manifest, names, references, written_len_bytes })
}

/// Creates a file whose name does not tell what it holds: an owner that is late, and does not know that it is none any
/// more, overwrites nothing. None if the file is there, by this call or one before whose answer was lost; otherwise
/// what is there in its place.
///
/// # Errors
/// The store's: the file may be there or come to be.
pub(crate) async fn create_once(
    store: &Store,
    name: &RelativeName,
    bytes: &Bytes,
) -> Result<Option<Option<Bytes>>> {
    let unknown = match store.create(name, bytes.clone()).await? {
        Created::Created => return Ok(None),
        Created::Unknown(error) => Some(error),
        Created::AlreadyExists => None,
    };
    match (store.get_within(name, FILE_LEN_BYTES_MAX).await, unknown) {
        (Ok(Some(found)), _) if found == *bytes => {
            // The call before may have failed on its way to the disk.
            match name.as_str().rsplit_once('/') {
                Some((folder, _)) => store.sync_folder(&RelativeName::new(folder)?).await?,
                None => store.sync_root().await?,
            }
            Ok(None)
        }
        (Ok(None) | Err(_), Some(error)) => Err(error),
        (found, _) => Ok(Some(found?)),
    }
}

/// Reads a manifest. With `digest`, as a publish record has it, it is checked against that, and
/// otherwise against its own first line alone.
///
/// # Errors
/// The store's; `Corrupt`, naming the file, if it is missing or damaged; `Unsupported` if newer.
pub async fn read_manifest(
    store: &Store,
    name: &RelativeName,
    digest: Option<Digest>,
) -> Result<Manifest> {
    let bytes = read_file(store, name, digest).await?;
    Manifest::decode(&bytes).map_err(|error| Error::from(error).at_path(name.as_str()))
}

/// Reads a part, verified by the digest that the manifest names it by.
///
/// # Errors
/// As for [`read_manifest`].
pub async fn read_part(store: &Store, part: &PartRef) -> Result<Part> {
    let name = part.name()?;
    let bytes = read_file(store, &name, Some(part.digest)).await?;
    Part::decode(&bytes).map_err(|error| Error::from(error).at_path(name.as_str()))
}

/// Reads the parts of `parts`, in order.
pub(crate) async fn read_parts(store: &Store, parts: Vec<PartRef>) -> Result<Vec<Part>> {
    stream::iter(parts)
        .map(|part| async move { read_part(store, &part).await })
        .buffered(PARTS_AT_ONCE)
        .try_collect()
        .await
}

async fn read_file(store: &Store, name: &RelativeName, digest: Option<Digest>) -> Result<Bytes> {
    let bytes = store.get_within(name, FILE_LEN_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| missing(name))?;
    match digest.filter(|digest| Digest::of(&bytes) != *digest) {
        Some(digest) => {
            let message = format!("the file's digest is not the one it is named by: {digest}");
            Err(Error::new(ErrorKind::Corrupt, message).at_path(name.as_str()))
        }
        None => Ok(bytes),
    }
}

/// What checkpoints reach, as their manifests say.
#[derive(Debug, Clone, Copy, Default)]
pub struct ManifestReferences;

#[async_trait]
impl ReferenceSource for ManifestReferences {
    async fn references(
        &self,
        store: &Store,
        published: &Published,
    ) -> Result<BTreeSet<RelativeName>> {
        let mut names = references(store, published).await?;
        names.remove(&published.manifest_path);
        Ok(names)
    }
}

/// Every name that a published checkpoint reaches: its manifest, its parts, their runs.
///
/// # Errors
/// As for [`read_manifest`]: nothing may be deleted on the word of half an answer.
pub async fn references(store: &Store, published: &Published) -> Result<BTreeSet<RelativeName>> {
    let path = &published.manifest_path;
    let manifest = read_manifest(store, path, Some(published.manifest_digest)).await?;
    let mut names = BTreeSet::from([path.clone()]);
    let refs: BTreeSet<PartRef> =
        manifest.operators.into_iter().flat_map(|operator| operator.parts).collect();
    for part in &refs {
        names.insert(part.name()?);
    }
    let mut parts = stream::iter(refs)
        .map(|part| async move { read_part(store, &part).await })
        .buffer_unordered(PARTS_AT_ONCE);
    while let Some(part) = parts.try_next().await? {
        names.extend(part.files().map(|found| found.file.clone()));
    }
    Ok(names)
}

/// A snapshot as the tool sees it: what of it can be read, and what cannot.
#[derive(Debug)]
pub struct OpenSnapshot {
    /// Where its names begin.
    pub store: Store,
    /// The manifest.
    pub manifest: Manifest,
    /// The parts of each operator, in the manifest's order; none for one that cannot be read.
    pub parts: Vec<Vec<Option<Part>>>,
    /// What cannot be read, by name: parts that are missing or damaged.
    pub damage: Vec<Damage>,
}

/// Opens a snapshot by its manifest: `chk-…/_metadata` below a job's root, or `_metadata` in the
/// folder of a savepoint. Parts are checked by digest; runs are not touched.
///
/// # Errors
/// As for [`read_manifest`]. A part that is damaged or missing is no error, but stands in `damage`.
pub async fn open_snapshot(store: &Store, name: &RelativeName) -> Result<OpenSnapshot> {
    let manifest = read_manifest(store, name, None).await?;
    let refs = manifest.operators.iter().flat_map(|operator| operator.parts.iter().cloned());
    let refs: Vec<PartRef> = refs.collect();
    let mut read = stream::iter(refs)
        .map(|part| async move { read_part(store, &part).await })
        .buffered(PARTS_AT_ONCE);
    let (mut parts, mut damage) = (Vec::new(), Vec::new());
    for operator in &manifest.operators {
        let mut of_operator = Vec::new();
        while of_operator.len() < operator.parts.len() {
            match read.next().await {
                Some(Ok(part)) => of_operator.push(Some(part)),
                Some(Err(error)) if error.kind() == ErrorKind::Retry && !error.is_damage() => {
                    return Err(error);
                }
                Some(Err(error)) => {
                    let range = operator.range(of_operator.len())?;
                    let lost = vec![Lost { state: None, range }];
                    damage.push(Damage { error, entries: None, lost });
                    of_operator.push(None);
                }
                None => break,
            }
        }
        parts.push(of_operator);
    }
    drop(read);
    Ok(OpenSnapshot { store: store.clone(), manifest, parts, damage })
}

impl OpenSnapshot {
    /// Every run that the snapshot names, once, in order of name.
    pub fn runs(&self) -> Vec<&RunRef> {
        let parts = self.parts.iter().flatten().flatten();
        let runs = parts.flat_map(|part| part.runs.iter().chain(&part.operator_run));
        let by_name: BTreeMap<&RelativeName, &RunRef> = runs.map(|run| (&run.file, run)).collect();
        by_name.into_values().collect()
    }

    /// Every file that the parts name, runs and files of databases, with its length in bytes; once, in
    /// order of name.
    pub fn files(&self) -> BTreeMap<&RelativeName, u64> {
        let parts = self.parts.iter().flatten().flatten();
        parts.flat_map(Part::files).map(|found| (found.file, found.len_bytes)).collect()
    }

    /// Runs that are missing, or of another length than their part says. One look-up for each.
    ///
    /// # Errors
    /// The store's.
    pub async fn missing_runs(&self) -> Result<Vec<Damage>> {
        // By value: a closure over references would not let the future be sent.
        let runs: Vec<RunRef> = self.runs().into_iter().cloned().collect();
        let checked = stream::iter(runs)
            .map(|run| async move {
                let found = self.store.head(&run.file).await?;
                Ok::<_, Error>((run, found))
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let damage = checked.into_iter().filter_map(|(run, found)| {
            let error = match found {
                None => missing(&run.file),
                Some(bytes) if bytes != run.len_bytes => {
                    let message = format!("{} bytes, its part says {}", bytes, run.len_bytes);
                    Error::new(ErrorKind::Corrupt, message).at_path(run.file.as_str())
                }
                Some(_) => return None,
            };
            let lost = vec![Lost { state: None, range: run.range }];
            Some(Damage { error, entries: Some(run.entries), lost })
        });
        Ok(damage.collect())
    }
}
