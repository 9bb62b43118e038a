//! A snapshot copied to a folder where it stands alone, so that Flink restores it from there.

use super::place::FlinkFile;
use super::snapshot::FlinkSnapshot;
use super::stream::FlinkStream;
use crate::format::RelativeName;
use crate::snapshot::{Count, create_once, in_target};
use crate::store::{PART_LEN_BYTES, ended};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_flink::Metadata;
use esker_flink::metadata::{FILE_NAME, Slot, StreamHandle, StreamKind};
use futures::future::{self, FutureExt};
use futures::stream;
use std::collections::BTreeMap;

/// What [`FlinkSnapshot::copy`] did, `_metadata` among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkCopied {
    /// The id of the checkpoint or savepoint.
    pub checkpoint: i64,
    /// The files that this call wrote.
    pub copied: Count,
    /// The files that were there already.
    pub present: Count,
}

/// What a copy consists of.
struct Plan {
    /// By name in the target.
    files: BTreeMap<String, FlinkStream>,
    metadata: Bytes,
}

impl FlinkSnapshot {
    /// How many bytes [`copy`](Self::copy) brings to its target, at most.
    ///
    /// # Errors
    /// `Corrupt` for a file that is missing; the stores'.
    pub fn copy_len_bytes(&self) -> Result<u64> {
        Ok(self.copy_plan()?.files.values().map(FlinkStream::len_bytes).sum())
    }

    /// Copies all files that `_metadata` names to the root of `target`, and a `_metadata` that names them there by
    /// relative paths: the copy can be moved, and Flink restores it from wherever it is. Of merged files the pieces that
    /// count become files of their own. Bytes of state are copied as they are.
    ///
    /// A file that is there with the length it should have is not copied again: names are Flink's, which are unique.
    /// `_metadata` comes last. `progress` is told of bytes, also of those that are there. Memory: 16 MiB for each of
    /// `transfers_max` transfers.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, for what is missing or cut off; `Conflict` if `target` holds another snapshot or other
    /// files, nothing is written then; `Invalid` if the snapshot lies there; the stores'.
    pub async fn copy(
        &self,
        target: &Store,
        transfers_max: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<FlinkCopied> {
        let own = self.place.folder();
        if own.is_same(target) {
            let message = "the snapshot lies there: a copy goes to another folder";
            return Err(Error::new(ErrorKind::Invalid, message).at_path(target.to_string()));
        }
        let plan = self.copy_plan()?;
        let name = RelativeName::new(FILE_NAME)?;
        let listed = target.list(None).await.map_err(|error| in_target(error, target, &name))?;
        let listed: BTreeMap<_, _> =
            listed.into_iter().map(|(name, len)| (name.as_str().to_owned(), len)).collect();
        let is_complete = check_target(target, &plan, &listed).await?;
        let (mut copied, mut present) = (Count::default(), Count::default());
        let mut due = Vec::new();
        for (name, stream) in &plan.files {
            if listed.get(name) == Some(&stream.len_bytes()) {
                present.add(stream.len_bytes());
                progress(stream.len_bytes());
            } else {
                copied.add(stream.len_bytes());
                due.push((RelativeName::new(name.as_str())?, stream));
            }
        }
        let brought = due.iter().map(|(name, stream)| bring(stream, target, name, progress));
        ended(stream::iter(brought), transfers_max.max(1)).await.map(|_: Vec<()>| ())?;
        let len_bytes = plan.metadata.len() as u64;
        if is_complete {
            present.add(len_bytes);
        } else {
            let of_target = |error| in_target(error, target, &name);
            let found = create_once(target, &name, &plan.metadata).await.map_err(of_target)?;
            if found.is_some() {
                return Err(occupied(target));
            }
            copied.add(len_bytes);
        }
        Ok(FlinkCopied { checkpoint: self.metadata().checkpoint_id, copied, present })
    }

    fn copy_plan(&self) -> Result<Plan> {
        let mut files = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut metadata = self.metadata().clone();
        without_segments(&mut metadata);
        metadata.visit_streams_mut(|site, handle| -> Result<()> {
            // Of a log the handle says how long it is unpacked.
            let (stream, stated) = match site.slot {
                Slot::KeyedChanges => (self.log_stream(handle)?, handle.len_bytes()),
                _ => (self.stream(handle)?, None),
            };
            let len_bytes = Some(stated.unwrap_or(stream.len_bytes()));
            let Some(file) = stream.file() else { return Ok(()) };
            let identity = (handle.path().unwrap_or_default().to_owned(), start_of(handle));
            let name = match names.get(&identity) {
                Some(name) => String::clone(name),
                None => {
                    let name = unused(file, start_of(handle), &files);
                    names.insert(identity, name.clone());
                    name
                }
            };
            handle.kind = StreamKind::Relative { path: name.clone(), len_bytes };
            files.insert(name, stream);
            Ok(())
        })?;
        Ok(Plan { files, metadata: metadata.write()?.into() })
    }
}

/// Where in its file a stream begins, if that is a piece of one.
fn start_of(handle: &StreamHandle) -> Option<u64> {
    match &handle.kind {
        StreamKind::Segment(segment) => Some(segment.start),
        _ => None,
    }
}

/// Operator state in merged files, as that of files of its own: the folders of merged files are not those of the copy.
fn without_segments(metadata: &mut Metadata) {
    let subtasks = metadata.operators.iter_mut().flat_map(|operator| &mut operator.subtasks);
    for state in subtasks.filter_map(|subtask| subtask.state.as_deref_mut()) {
        for slot in [&mut state.operator, &mut state.operator_raw] {
            if slot.as_ref().is_some_and(|handle| handle.is_empty()) {
                *slot = None;
            }
            if let Some(handle) = slot {
                handle.folders = None;
            }
        }
    }
}

/// A name that nothing else in the copy has: that of the file, and where in it a piece begins.
fn unused(file: &FlinkFile, start: Option<u64>, files: &BTreeMap<String, FlinkStream>) -> String {
    let own = file.name.as_str().rsplit('/').next().unwrap_or_default();
    let own = start.map_or(own.to_owned(), |start| format!("{own}-{start}"));
    let numbered = (2_u64..).map(|number| format!("{own}-copy-{number}"));
    let mut names = std::iter::once(own.clone()).chain(numbered);
    let is_unused = |name: &String| name != FILE_NAME && !files.contains_key(name);
    names.find(is_unused).unwrap_or(own)
}

/// Whether the copy's `_metadata` is there already.
///
/// # Errors
/// `Conflict` if something else is; the store's.
async fn check_target(target: &Store, plan: &Plan, listed: &BTreeMap<String, u64>) -> Result<bool> {
    let name = RelativeName::new(FILE_NAME)?;
    if listed.contains_key(FILE_NAME) {
        let len_bytes_max = plan.metadata.len() as u64;
        return match target.get_within(&name, len_bytes_max).await {
            Ok(Some(found)) if found == plan.metadata => Ok(true),
            Err(error) if error.kind() != ErrorKind::Corrupt => {
                Err(in_target(error, target, &name))
            }
            _ => Err(occupied(target)),
        };
    }
    match listed.keys().find(|name| !plan.files.contains_key(*name)) {
        Some(name) => {
            let message = format!(
                "the folder holds what is not of this snapshot, {name} for one: a copy has a folder of its own"
            );
            Err(Error::new(ErrorKind::Conflict, message).at_path(target.to_string()))
        }
        None => Ok(false),
    }
}

fn occupied(target: &Store) -> Error {
    let message =
        "the folder holds another snapshot, and is not overwritten: choose another folder";
    Error::new(ErrorKind::Conflict, message).at_path(target.to_string())
}

/// Copies the bytes of a stream to the file `name`.
async fn bring(
    stream: &FlinkStream,
    target: &Store,
    name: &RelativeName,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let of_target = |error| in_target(error, target, name);
    let (len_bytes, piece_len_bytes) = (stream.len_bytes(), PART_LEN_BYTES as u64);
    if len_bytes <= piece_len_bytes {
        let bytes = stream.fetch(0..len_bytes).await?;
        target.put(name, bytes).await.map_err(of_target)?;
        progress(len_bytes);
        return Ok(());
    }
    let mut upload = target.upload(name).await.map_err(of_target)?;
    let mut sent = future::ready(Ok(())).boxed();
    let mut start = 0;
    while start < len_bytes {
        let end = len_bytes.min(start + piece_len_bytes);
        // Each piece is on its way while the next one is read.
        let (piece, before) = future::join(stream.fetch(start..end), sent).await;
        let piece = match (piece, before.map_err(of_target)) {
            (Ok(piece), Ok(())) => piece,
            (Err(error), _) | (_, Err(error)) => {
                upload.abandon().await;
                return Err(error);
            }
        };
        sent = upload.put(piece).boxed();
        progress(end - start);
        start = end;
    }
    match sent.await {
        Ok(()) => upload.complete().await.map_err(of_target),
        Err(error) => {
            upload.abandon().await;
            Err(of_target(error))
        }
    }
}
