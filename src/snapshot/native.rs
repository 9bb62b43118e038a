//! Native checkpoints: the files of a backend's own database, put under their digests; those that the
//! last completed checkpoint holds are not put again.

use super::chain::Chain;
#[cfg(feature = "rocksdb")]
use super::merge::{Damage, Lost};
use super::settings::SnapshotSettings;
use super::source::missing;
use super::writer::{PartId, PartInput, WriteStats, WrittenPart, write_runs};
use crate::backend::{LocalFile, NativeCapture};
use crate::store::{blocking, ended};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
#[cfg(feature = "rocksdb")]
use esker_format::KeyGroupRange;
use esker_format::manifest::StateInfo;
use esker_format::part::{Native, NativeFile, PartState};
use esker_format::run::StateStats;
use esker_format::{Digest, RelativeName};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Writes the part of one subtask whose keyed state is `capture`; of `input` the captures count for
/// nothing, and of its chain the database alone, which must be that of the same backend. Every file is
/// durable when it returns (I1).
///
/// Memory: one file for each transfer. Where it returns an error, no file is still under way.
///
/// # Errors
/// `Invalid` for wrong settings; `Retry` if a file cannot be read; the store's.
#[tracing::instrument(
    skip_all,
    fields(checkpoint = input.id.checkpoint, operator = input.id.operator, subtask = input.id.subtask)
)]
pub async fn write_native_part(
    store: &Store,
    input: PartInput,
    capture: Arc<dyn NativeCapture>,
    settings: &SnapshotSettings,
) -> Result<WrittenPart> {
    let started = Instant::now();
    let PartInput { id, range, operator, chain, .. } = input;
    let (before, extra) = (chain.part.native, chain.part.extra);
    let empty = Chain::default();
    let runs =
        PartInput { id: id.clone(), range, captures: vec![Vec::new()], operator, chain: empty };
    let mut written = write_runs(store, runs, settings).await?;

    let known = before.filter(|before| before.engine == capture.engine());
    let known: BTreeMap<String, NativeFile> =
        known.into_iter().flat_map(|known| known.files).map(|f| (f.local.clone(), f)).collect();
    let new = |number: usize, file: &LocalFile| New { number, file: file.clone(), id: id.clone() };
    let (mut files, mut due) = (Vec::new(), Vec::new());
    let local = {
        let capture = Arc::clone(&capture);
        blocking(move || capture.files()).await??
    };
    for (number, file) in local.iter().enumerate() {
        let same = |known: &&NativeFile| file.is_final && known.len_bytes == file.len_bytes;
        match known.get(&file.local).filter(same) {
            Some(known) => files.push(NativeFile { holds: file.holds, ..known.clone() }),
            None => due.push(new(number, file)),
        }
    }
    let puts = stream::iter(due).map(|new| async move { new.put(store).await });
    for file in ended(puts, settings.transfers_max).await? {
        written.names.insert(file.file.clone());
        written.stats.written_len_bytes += file.len_bytes;
        files.push(file);
    }
    files.sort_unstable_by(|a, b| a.local.cmp(&b.local));

    let part = &mut written.chain.part;
    let engine = capture.engine().to_owned();
    part.native = Some(Native { engine, files, extra: Default::default() });
    part.extra = extra;
    part.states.extend(capture.states().iter().map(|state| PartState {
        id: state.id,
        entries: state.entries,
        earliest_timer_ms: state.earliest_timer_ms,
        ttl_time_ms: state.ttl_time_ms,
        stats: StateStats::default(),
        extra: Default::default(),
    }));
    part.states.sort_unstable_by_key(|state| state.id);
    let (referenced_len_bytes, time) = (written.chain.len_bytes(), started.elapsed());
    written.stats = WriteStats { referenced_len_bytes, time, ..written.stats };
    crate::metrics::part_written(&id, &written);
    Ok(written)
}

/// A file that no completed checkpoint holds.
struct New {
    number: usize,
    file: LocalFile,
    id: PartId,
}

impl New {
    async fn put(self, store: &Store) -> Result<NativeFile> {
        let Self { number, file, id } = self;
        let LocalFile { local, path, holds, .. } = file;
        let (bytes, digest) = blocking(move || read(&path)).await??;
        let PartId { checkpoint, generation, operator, subtask, .. } = id;
        let kind = if holds.is_some() { "sst" } else { "native" };
        let name = RelativeName::new(format!(
            "shared/{generation}/{checkpoint}-{operator}.{subtask}.n{number}-{digest}.{kind}"
        ))?;
        let len_bytes = bytes.len() as u64;
        store.put(&name, bytes).await?;
        Ok(NativeFile { local, file: name, len_bytes, digest, holds })
    }
}

fn read(path: &Path) -> Result<(Bytes, Digest)> {
    let bytes = std::fs::read(path).map_err(|error| failed(error, "read", path))?;
    let digest = Digest::of(&bytes);
    Ok((bytes.into(), digest))
}

/// Puts the files of a database into the folder `dir`, which exists, under the names that they have
/// within it; each is verified by its digest (I3). `states` are those of the operator. Memory: one file
/// for each transfer.
///
/// # Errors
/// `Corrupt`, naming the file with the state and the key groups that are lost with it, for one that is
/// missing or damaged; the store's; `Retry` if the disk is full or fails.
pub async fn fetch_native(
    store: &Store,
    native: &Native,
    states: &[StateInfo],
    dir: &Path,
    settings: &SnapshotSettings,
) -> Result<()> {
    let fetches = fetches(&native.files, states, dir);
    let fetches = stream::iter(fetches).map(|fetch| async move { fetch.done(store).await });
    ended(fetches, settings.transfers_max).await.map(|_: Vec<()>| ())
}

/// As [`fetch_native`], of `files` alone, and whatever of them is missing or damaged is passed over
/// and returned: with it goes all of its state in the key groups of `range`, or all states.
///
/// # Errors
/// The store's that are no damage; `Retry` if the disk is full or fails.
#[cfg(feature = "rocksdb")]
pub(crate) async fn fetch_sound(
    store: &Store,
    (files, states): (&[NativeFile], &[StateInfo]),
    range: KeyGroupRange,
    dir: &Path,
    settings: &SnapshotSettings,
) -> Result<Vec<Damage>> {
    let fetches = stream::iter(fetches(files, states, dir)).map(|fetch| async move {
        let state = fetch.file.holds.map(|(id, _)| id);
        match fetch.done(store).await {
            Err(error) if error.is_damage() => {
                Ok(Some(Damage { error, entries: None, lost: vec![Lost { state, range }] }))
            }
            done => done.map(|()| None),
        }
    });
    let fetched: Vec<Option<Damage>> = ended(fetches, settings.transfers_max).await?;
    Ok(fetched.into_iter().flatten().collect())
}

fn fetches(files: &[NativeFile], states: &[StateInfo], dir: &Path) -> Vec<Fetch> {
    let fetch = |file: &NativeFile| {
        let holds = match file.holds {
            Some((id, groups)) => {
                let named = states.iter().find(|info| info.id == id);
                let name = named.map_or_else(|| id.to_string(), |info| info.name.clone());
                format!("it holds state={name} key groups {}-{}", groups.first(), groups.last())
            }
            None => "without it no state can be read".to_owned(),
        };
        Fetch { path: dir.join(&file.local), file: file.clone(), holds }
    };
    files.iter().map(fetch).collect()
}

/// A file to fetch.
struct Fetch {
    file: NativeFile,
    path: PathBuf,
    /// What is lost with it, in words.
    holds: String,
}

impl Fetch {
    async fn done(self, store: &Store) -> Result<()> {
        let Self { file, path, holds } = self;
        let of_lost = |error: Error| match error.kind() {
            ErrorKind::Corrupt => error.of(&holds),
            _ => error,
        };
        let bytes = store.get_within(&file.file, file.len_bytes).await.map_err(of_lost)?;
        let bytes = bytes.ok_or_else(|| of_lost(missing(&file.file)))?;
        blocking(move || {
            if bytes.len() as u64 != file.len_bytes || Digest::of(&bytes) != file.digest {
                let message = format!("{holds}: its digest is not {}", file.digest);
                return Err(Error::new(ErrorKind::Corrupt, message).at_path(file.file.as_str()));
            }
            std::fs::write(&path, &bytes).map_err(|error| failed(error, "write", &path))
        })
        .await?
    }
}

fn failed(error: io::Error, what: &str, path: &Path) -> Error {
    let message = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free space, then try again".to_owned(),
        _ => format!("cannot {what} the file: {error}"),
    };
    Error::new(ErrorKind::Retry, message).with_source(error).at_path(path.to_string_lossy())
}
