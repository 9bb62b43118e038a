//! From an argument to a snapshot or a job: a path or URL of a savepoint's folder, a checkpoint's
//! folder, the `_metadata` in either, or a job's root.

use super::harm::is_passing;
use esker::checkpoint::log::LogState;
use esker::checkpoint::{Place, log_folder, read_log};
use esker::flink::is_flink;
use esker::format::manifest::{Manifest, SnapshotKind};
use esker::format::record::Published;
use esker::format::{Digest, RelativeName};
use esker::snapshot::{MANIFEST_NAME, OpenSnapshot, open_snapshot, read_manifest};
use esker::{Error, ErrorKind, Store, block_on};
use std::collections::BTreeSet;
use std::path::Path;

/// A snapshot, by its manifest.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotAt {
    /// Where its names begin: a job's root, or a savepoint's folder.
    pub(crate) store: Store,
    /// The manifest's name there.
    pub(crate) manifest: RelativeName,
    /// The digest of the manifest, where the job's log says it.
    pub(crate) digest: Option<Digest>,
}

impl SnapshotAt {
    /// The checkpoints that a log retains, oldest first.
    pub(crate) fn retained(store: &Store, log: &LogState) -> Vec<Self> {
        let at = |published: &Published| Self {
            store: store.clone(),
            manifest: published.manifest_path.clone(),
            digest: Some(published.manifest_digest),
        };
        log.retained().values().map(at).collect()
    }

    /// The checkpoints in a job's root, complete ones or not, in order of their names.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn listed(store: &Store) -> Result<Vec<Self>, Error> {
        let files = store.list(None).await?;
        let manifests = files.into_iter().map(|(name, _)| name).filter(|name| {
            let is_manifest = name.as_str().ends_with(&format!("/{MANIFEST_NAME}"));
            is_manifest && matches!(Place::of(name), Some(Place::Data { .. }))
        });
        let at = |manifest| Self { store: store.clone(), manifest, digest: None };
        Ok(manifests.map(at).collect())
    }

    /// The checkpoints in a job's root that are newer than all that its log tells of.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn unpublished(store: &Store, log: &LogState) -> Result<Vec<Self>, Error> {
        let mut listed = Self::listed(store).await?;
        listed.retain(|at| match Place::of(&at.manifest) {
            Some(Place::Data { generation, checkpoint }) => {
                generation > log.generation() || checkpoint > Some(log.checkpoint_last())
            }
            _ => false,
        });
        Ok(listed)
    }

    /// The snapshot, with all its parts that can be read.
    ///
    /// # Errors
    /// Those of [`open_snapshot`].
    pub(crate) fn open(&self) -> Result<OpenSnapshot, Error> {
        block_on(open_snapshot(&self.store, &self.manifest))
    }

    /// Bytes of all files that its parts name, as far as that can be told.
    pub(crate) fn data_len_bytes(&self) -> u64 {
        self.open().map_or(0, |snapshot| snapshot.files().values().sum())
    }
}

/// Whether `argument` is one of a snapshot or job, and not of a single file.
pub(crate) fn is_snapshot(argument: &str) -> bool {
    match local(argument) {
        Some(path) => path.is_dir(),
        None => true,
    }
}

/// The path of an argument that is one, or a URL of one.
pub(crate) fn local(argument: &str) -> Option<&Path> {
    match argument.split_once("://") {
        Some(("file", path)) => Some(Path::new(path)),
        Some(_) => None,
        None => Some(Path::new(argument)),
    }
}

/// What an argument names.
pub(crate) enum Found {
    Snapshot(SnapshotAt),
    /// The root of a job, and what its log amounts to, or what is wrong with it.
    Job(Store, Result<LogState, Error>),
    /// The folder of a snapshot of Flink's.
    Flink,
    /// A folder that is none of these.
    Folder(Store),
}

/// The snapshot that `argument` names; of a job the last completed checkpoint, or `checkpoint`.
///
/// # Errors
/// `Invalid` if there is none there; those of [`find`].
pub(crate) fn find_snapshot(argument: &str, checkpoint: Option<u64>) -> Result<SnapshotAt, Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message).at_path(argument));
    let (store, log) = match find(argument)? {
        Found::Job(store, log) => (store, log?),
        Found::Snapshot(_) if checkpoint.is_some() => {
            return invalid(
                "a checkpoint is picked from a job's root, and this is a snapshot".into(),
            );
        }
        Found::Snapshot(at) => return Ok(at),
        Found::Flink => return invalid(OF_FLINK.into()),
        Found::Folder(_) => return invalid("neither a snapshot nor a job's root".into()),
    };
    let published = match checkpoint {
        Some(number) => log.retained().get(&number),
        None => log.retained().last_key_value().map(|(_, published)| published),
    };
    match published {
        Some(published) => {
            let (manifest, digest) = (published.manifest_path.clone(), published.manifest_digest);
            let at = SnapshotAt { store, manifest, digest: Some(digest) };
            // Whoever opens it later goes by the manifest's own first line.
            block_on(read_manifest(&at.store, &at.manifest, at.digest))?;
            Ok(at)
        }
        None => {
            let retained: Vec<_> = log.retained().keys().collect();
            let which = checkpoint.map_or("any".to_owned(), |number| number.to_string());
            invalid(format!("the job retains {retained:?}, not checkpoint {which}"))
        }
    }
}

/// What `argument` names. Nothing is created.
///
/// # Errors
/// `Retry` if it does not exist or cannot be read; those of the store, of a manifest and of a log.
pub(crate) fn find(argument: &str) -> Result<Found, Error> {
    let argument = absolute(argument)?;
    let folder = folder_of(&argument);
    block_on(find_in(open_store(folder)?, folder))
}

/// The folder that an argument names, or names the `_metadata` of.
fn folder_of(argument: &str) -> &str {
    let folder = match argument.strip_suffix(MANIFEST_NAME) {
        Some(folder) if folder.ends_with('/') => folder,
        _ => argument,
    };
    // Of `s3://` no slash is one of a path.
    match folder.trim_end_matches('/') {
        trimmed if folder.contains("://") && !trimmed.contains("://") => folder,
        trimmed => trimmed,
    }
}

/// The folder of the snapshot of Flink's that `argument` names, as a path or URL, `_metadata` or not: of a job's folder
/// that of its last completed checkpoint, or of `checkpoint`. None if there is none of Flink's.
///
/// # Errors
/// The store's; `Invalid` if the job has no such checkpoint.
pub(crate) fn find_flink(argument: &str, checkpoint: Option<u64>) -> Result<Option<String>, Error> {
    // What is wrong with the argument is said by who looks for esker's.
    let Ok(argument) = absolute(argument) else { return Ok(None) };
    let folder = folder_of(&argument);
    let store = open_store(folder)?;
    if let Some(is_flink) = block_on(is_flink_in(&store, None))? {
        return Ok(is_flink.then(|| folder.to_owned()));
    }
    let numbers = block_on(flink_checkpoints(&store))?;
    let Some(last) = numbers.last() else { return Ok(None) };
    let wanted = checkpoint.unwrap_or(*last);
    if !numbers.contains(&wanted) {
        let message = format!("the job has checkpoints {numbers:?}, not {wanted}");
        return Err(Error::new(ErrorKind::Invalid, message).at_path(argument));
    }
    Ok(Some(format!("{}/{FLINK_CHECKPOINT}{wanted}", folder.trim_end_matches('/'))))
}

/// How Flink calls the folders of checkpoints; the number follows.
const FLINK_CHECKPOINT: &str = "chk-";
/// To be said by commands that know esker's own snapshots alone.
const OF_FLINK: &str = "a snapshot of Flink's, which this command does not take: convert it first";

/// Whether `_metadata` in the folder `folder` of `store` is Flink's; none if there is none.
///
/// # Errors
/// The store's.
pub(crate) async fn is_flink_in(
    store: &Store,
    folder: Option<&str>,
) -> Result<Option<bool>, Error> {
    let name =
        folder.map_or(MANIFEST_NAME.to_owned(), |folder| format!("{folder}/{MANIFEST_NAME}"));
    match store.get_range(&RelativeName::new(name)?, 0..4).await {
        // Shorter than anything that is one.
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Some(false)),
        found => Ok(found?.map(|bytes| is_flink(&bytes))),
    }
}

/// The numbers of the checkpoints of Flink's in a job's folder, ascending; none of esker's.
async fn flink_checkpoints(store: &Store) -> Result<Vec<u64>, Error> {
    let is_esker = !store.list(Some(&log_folder()?)).await?.is_empty();
    if is_esker {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for (name, _) in store.list(None).await? {
        let folder =
            name.as_str().strip_suffix(MANIFEST_NAME).map(|name| name.trim_end_matches('/'));
        let number = folder.and_then(|folder| folder.strip_prefix(FLINK_CHECKPOINT)?.parse().ok());
        if let (Some(folder), Some(number)) = (folder, number)
            && is_flink_in(store, Some(folder)).await? == Some(true)
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

async fn find_in(store: Store, folder: &str) -> Result<Found, Error> {
    if is_flink_in(&store, None).await? == Some(true) {
        return Ok(Found::Flink);
    }
    let manifest = RelativeName::new(MANIFEST_NAME)?;
    if store.head(&manifest).await?.is_some() {
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        // A checkpoint's folder has its name; the manifest, where it can be read, knows better.
        let named = matches!(
            Place::of(&RelativeName::new(format!("{name}/{MANIFEST_NAME}"))?),
            Some(Place::Data { .. })
        );
        let is_checkpoint = match read_manifest(&store, &manifest, None).await {
            Ok(Manifest { kind, .. }) => kind == SnapshotKind::Checkpoint,
            Err(error) if is_passing(&error) => return Err(error),
            Err(_) => named,
        };
        if !is_checkpoint {
            return Ok(Found::Snapshot(SnapshotAt { store, manifest, digest: None }));
        }
        let store = open_store(above)?;
        let manifest = RelativeName::new(format!("{name}/{MANIFEST_NAME}"))?;
        return Ok(Found::Snapshot(SnapshotAt { store, manifest, digest: None }));
    }
    let records = store.list(Some(&log_folder()?)).await?;
    if records.iter().any(|(name, _)| matches!(Place::of(name), Some(Place::Log(_)))) {
        let log = read_log(&store).await;
        return match log {
            Err(error) if is_passing(&error) => Err(error),
            log => Ok(Found::Job(store, log)),
        };
    }
    Ok(Found::Folder(store))
}

/// The roots of jobs and the folders of savepoints among `files`, a list of all there is below some folder.
pub(crate) fn roots(files: &[(RelativeName, u64)]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut jobs, mut savepoints) = (BTreeSet::new(), BTreeSet::new());
    for (name, _) in files {
        let segments: Vec<&str> = name.as_str().split('/').collect();
        let below = |from: usize| segments.get(from..).map(|tail| tail.join("/"));
        let tail = segments.len().checked_sub(2).and_then(below);
        let place = tail.and_then(|tail| Some(Place::of(&RelativeName::new(tail).ok()?)));
        let root = |up: usize| segments[..segments.len().saturating_sub(up)].join("/");
        match place.flatten() {
            Some(Place::Log(_)) => drop(jobs.insert(root(2))),
            // A checkpoint is listed with its job.
            Some(Place::Data { .. }) => {}
            None if segments.last() == Some(&MANIFEST_NAME) => {
                savepoints.insert(root(1));
            }
            None => {}
        }
    }
    (jobs, savepoints)
}

/// The jobs at and below the folder that `argument` names, each with its path.
///
/// # Errors
/// `Invalid` for a snapshot, and where there is no job; those of [`find`].
pub(crate) fn find_jobs(argument: &str) -> Result<Vec<(String, Store)>, Error> {
    let path = argument.trim_end_matches('/');
    let invalid = |message: &str| Err(Error::new(ErrorKind::Invalid, message).at_path(argument));
    let store = match find(argument)? {
        Found::Job(store, _) => return Ok(vec![(path.to_owned(), store)]),
        Found::Snapshot(_) => return invalid("a snapshot, not a job's root"),
        Found::Flink => return invalid(OF_FLINK),
        Found::Folder(store) => store,
    };
    let (jobs, _) = roots(&block_on(store.list(None))?);
    if jobs.is_empty() {
        return invalid("no job is below");
    }
    let at = |job: &String| {
        Ok((format!("{path}/{job}"), store.below(&RelativeName::new(job.as_str())?)))
    };
    jobs.iter().map(at).collect()
}

/// The job whose root `argument` names, and what its log amounts to.
///
/// # Errors
/// `Invalid` for anything else; those of [`find`], and what is wrong with the log.
pub(crate) fn find_job(argument: &str) -> Result<(Store, LogState), Error> {
    match find(argument)? {
        Found::Job(store, log) => Ok((store, log?)),
        _ => Err(Error::new(ErrorKind::Invalid, "not a job's root").at_path(argument)),
    }
}

/// The store of a folder, which is made if it is missing.
///
/// # Errors
/// `Retry` for one that is not there, or that this build has no client for: it cannot be tried.
pub(crate) fn open_store(folder: &str) -> Result<Store, Error> {
    Store::open(if folder.is_empty() { "/" } else { folder }).map_err(|error| {
        let text = error.to_string();
        let path = error.path().unwrap_or(folder);
        let message = text.strip_suffix(&format!(": path={path}")).unwrap_or(&text);
        Error::new(ErrorKind::Retry, message).at_path(path)
    })
}

/// The same argument with all of its folders named, and without the folder being made if it is
/// missing, as opening a store would.
fn absolute(argument: &str) -> Result<String, Error> {
    let path = match argument.split_once("://") {
        Some(("file", path)) => path,
        Some(_) => return Ok(argument.to_owned()),
        None => argument,
    };
    let failed = |message: String| Error::new(ErrorKind::Retry, message).at_path(argument);
    let path = Path::new(path).canonicalize().map_err(|error| failed(error.to_string()))?;
    let name = path.file_name().map(|name| name.to_string_lossy());
    if !path.is_dir() && name.is_none_or(|name| name != MANIFEST_NAME) {
        let message = format!("a snapshot is a folder, or the {MANIFEST_NAME} in it");
        return Err(Error::new(ErrorKind::Invalid, message).at_path(argument));
    }
    path.to_str().map(str::to_owned).ok_or_else(|| failed("the path is no text".into()))
}
