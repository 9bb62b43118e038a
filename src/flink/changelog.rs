//! Changelogs: what was materialized, and the changes since then, in files that subtasks share or inside `_metadata`.
//!
//! A log is read once and cut by key groups; each piece is replayed over what was materialized, which streams by. In memory is
//! the log of some key groups at a time, never what was materialized; what waits is in memory up to a few MiB, then in
//! temporary files.

mod key;
mod overlay;
mod pieces;

pub(super) use overlay::{Held, OverlaidState, Overlay};
pub(super) use pieces::cut;

use super::header::KeyedStates;
use super::snapshot::{FlinkOperator, FlinkSnapshot};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use esker_flink::changelog::{Changelog, LoggedChange, LoggedChanges, open};
use esker_flink::header::{KeyedHeader, StateMeta};
use esker_flink::metadata::{ChangeFile, ChangelogHandle, KeyedHandle, StreamKind};
use esker_flink::{FormatError, Input, Serializer};
use pieces::Pieces;
use std::borrow::Cow;
use std::sync::Arc;

const WHAT: &str = "changelog";

/// The log of a handle, read once.
pub(super) struct Log {
    /// The states of what was materialized, and those that the log defines.
    pub(super) states: KeyedStates,
    /// What writes the keys.
    pub(super) key: Serializer,
    /// Its changes, by key groups.
    pub(super) pieces: Pieces,
}

impl Log {
    /// Reads the log of `handle`, on top of what was materialized with the headers `bases`.
    ///
    /// # Errors
    /// `Corrupt` and `Unsupported` with file and offset; `Incompatible` if nothing says what the keys are; the stores'.
    pub(super) fn read(
        snapshot: &FlinkSnapshot,
        operator: &FlinkOperator,
        handle: &ChangelogHandle,
        bases: &[&KeyedStates],
    ) -> Result<Self> {
        let mut definitions = Definitions::default();
        let mut pieces = Pieces::new(handle.range.key_groups());
        each_change(snapshot, handle, &mut |change, path| {
            definitions.see(change).map_err(|error| refused(error, path))?;
            pieces.add(change, path)
        })?;
        let base = bases.first();
        let key = match base.map(|base| &base.header.key).or(definitions.changelog.key()) {
            Some(key) => key.clone(),
            None => snapshot.key_of_changelogs(operator)?,
        };
        let states = combined(&key, bases, definitions.metas, &operator.label);
        let states = states.map_err(|error| refused(error, snapshot.path()))?;
        Ok(Self { states, key, pieces })
    }
}

/// What a log defines, in order; of a state that is defined again the last.
#[derive(Default)]
struct Definitions {
    changelog: Changelog,
    metas: Vec<StateMeta>,
}

impl Definitions {
    fn see(&mut self, change: &LoggedChange<'_>) -> std::result::Result<(), FormatError> {
        if change.key_group.is_some() {
            return Ok(());
        }
        let read = self.changelog.read(change)?;
        let Some(definition) = self.changelog.states().get(&read.state) else { return Ok(()) };
        let known = self.metas.iter_mut().find(|meta| meta.name == definition.meta.name);
        match known {
            Some(known) => known.clone_from(&definition.meta),
            None => self.metas.push(definition.meta.clone()),
        }
        Ok(())
    }
}

/// The states of what was materialized and of the log, as one header would have them.
fn combined(
    key: &Serializer,
    bases: &[&KeyedStates],
    defined: Vec<StateMeta>,
    operator: &str,
) -> std::result::Result<KeyedStates, FormatError> {
    let mut states: Vec<StateMeta> = Vec::new();
    for meta in bases.iter().flat_map(|base| &base.header.states).chain(&defined) {
        match states.iter_mut().find(|known| known.name == meta.name) {
            Some(known) => known.clone_from(meta),
            None => states.push(meta.clone()),
        }
    }
    let lost = bases.iter().find_map(|base| base.header.lost.clone());
    KeyedStates::of(KeyedHeader { compressed: false, key: key.clone(), states, lost }, operator)
}

/// Calls `each` with every change of `handle` in order, and the path of the file that has it. A file is in memory at a time.
///
/// # Errors
/// `Corrupt` with file and offset; the stores'; those of `each`.
pub(super) fn each_change(
    snapshot: &FlinkSnapshot,
    handle: &ChangelogHandle,
    each: &mut dyn FnMut(&LoggedChange<'_>, &str) -> Result<()>,
) -> Result<()> {
    let mut last = None;
    for increment in &handle.changes {
        match increment {
            KeyedHandle::ChangelogBytes(changes) => {
                let path = snapshot.path();
                for change in &changes.changes {
                    let key_group = match change.key_group {
                        -1 => None,
                        group => Some(u16::try_from(group).map_err(|_| {
                            let message = format!("a change of key group {group}");
                            refused(FormatError::corrupt(WHAT, message), path)
                        })?),
                    };
                    let bytes = Input::new(WHAT, &change.bytes);
                    each(&LoggedChange { key_group, bytes }, path)?;
                }
            }
            KeyedHandle::ChangelogFiles(files) => {
                for file in &files.files {
                    each_of_file(snapshot, file, &mut last, each)?;
                }
            }
            _ => {
                let message = "a changelog with a handle among its changes that is none";
                return Err(refused(FormatError::corrupt(WHAT, message), snapshot.path()));
            }
        }
    }
    Ok(())
}

/// The file that was read last: sets of changes that follow one another lie in it as a rule.
struct Unpacked {
    identity: (String, u64),
    path: Arc<str>,
    /// What offsets count in.
    data: Bytes,
    /// Where that begins in the file.
    start: u64,
}

fn each_of_file(
    snapshot: &FlinkSnapshot,
    file: &ChangeFile,
    last: &mut Option<Unpacked>,
    each: &mut dyn FnMut(&LoggedChange<'_>, &str) -> Result<()>,
) -> Result<()> {
    let leaf = file.stream.leaf();
    let start = match &leaf.kind {
        StreamKind::Segment(segment) => segment.start,
        _ => 0,
    };
    // What lies inside of `_metadata` has no name of its own.
    let identity = leaf.path().map(|path| (path.to_owned(), start));
    let known = last.take().filter(|last| Some(&last.identity) == identity.as_ref());
    let unpacked = match known {
        Some(known) => known,
        None => {
            let stream = snapshot.log_stream(&file.stream)?;
            let bytes = stream.read(0..stream.len_bytes())?;
            let data: Bytes = match open(&bytes).map_err(|error| stream.refused(error))? {
                Cow::Borrowed(_) => bytes.slice(1..),
                Cow::Owned(data) => data.into(),
            };
            let stated = leaf.len_bytes().unwrap_or(0);
            if stream.file().is_some() && (data.len() as u64) < stated {
                let message = format!(
                    "the log has {} bytes, and _metadata says {stated}: it was cut off",
                    data.len()
                );
                return Err(stream.refused(FormatError::corrupt(WHAT, message)));
            }
            let path = stream.path().into();
            let identity = identity.unwrap_or_default();
            Unpacked { identity, path, data, start: stream.offset_in_file(1) }
        }
    };
    let path = &*unpacked.path;
    let offset = usize::try_from(file.offset).unwrap_or(usize::MAX);
    let Some(bytes) = unpacked.data.get(offset..) else {
        let message = format!("changes are said to begin here, in {} bytes", unpacked.data.len());
        return Err(refused(FormatError::corrupt(WHAT, message).at(file.offset), path));
    };
    let input = Input::new(WHAT, bytes).based_at(unpacked.start.saturating_add(file.offset));
    let changes = LoggedChanges::new(input).map_err(|error| refused(error, path))?;
    for change in changes {
        each(&change.map_err(|error| refused(error, path))?, path)?;
    }
    *last = Some(unpacked);
    Ok(())
}

/// `error` with the file that holds it.
pub(super) fn refused(error: FormatError, path: &str) -> Error {
    Error::from(error).at_path(path)
}

/// That what was materialized is no changelog itself.
///
/// # Errors
/// `Corrupt` if it is.
pub(super) fn check_base(handle: &KeyedHandle, path: &str) -> Result<()> {
    match handle {
        KeyedHandle::KeyGroups(_) | KeyedHandle::Incremental(_) => Ok(()),
        _ => {
            let message = "a changelog on top of another one";
            Err(Error::new(ErrorKind::Corrupt, message).at_path(path))
        }
    }
}
