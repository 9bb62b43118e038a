//! Handles of keyed state.

mod changelog;
mod incremental;
mod key_groups;

pub use changelog::{Change, ChangeFile, ChangelogBytes, ChangelogFiles, ChangelogHandle};
pub use incremental::{IncrementalHandle, NamedStream};
pub use key_groups::{KeyGroupsFormat, KeyGroupsHandle};

use super::{Position, Reading};
use crate::key_group::KeyGroupRange;
use crate::{Input, Output, Result};

/// Where keyed state of a subtask lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyedHandle {
    /// One stream with an offset for each key group: canonical, of the heap, or raw.
    KeyGroups(KeyGroupsHandle),
    /// The files of a RocksDB.
    Incremental(IncrementalHandle),
    /// Handles of another backend and what changed since.
    Changelog(ChangelogHandle),
    /// Changes inside `_metadata`; only in a [`ChangelogHandle`].
    ChangelogBytes(ChangelogBytes),
    /// Changes in files; only in a [`ChangelogHandle`].
    ChangelogFiles(ChangelogFiles),
}

/// What a handle of keyed state begins with.
#[derive(Debug, Clone, Copy)]
struct Head {
    position: Position,
    tag: u8,
}

impl KeyedHandle {
    /// Where the handle stands in `_metadata`.
    pub fn position(&self) -> Position {
        match self {
            Self::KeyGroups(handle) => handle.position,
            Self::Incremental(handle) => handle.position,
            Self::Changelog(handle) => handle.position,
            Self::ChangelogBytes(handle) => handle.position,
            Self::ChangelogFiles(handle) => handle.position,
        }
    }

    /// The key groups that it holds state of.
    pub fn range(&self) -> KeyGroupRange {
        match self {
            Self::KeyGroups(handle) => handle.range,
            Self::Incremental(handle) => handle.range,
            Self::Changelog(handle) => handle.range,
            Self::ChangelogBytes(handle) => handle.range,
            Self::ChangelogFiles(handle) => handle.range,
        }
    }

    pub(super) fn read(input: &mut Input<'_>, reading: Reading) -> Result<Option<Self>> {
        let at = input.clone();
        let head = Head { position: Position::of(&at), tag: input.u8()? };
        Ok(Some(match head.tag {
            0 => return Ok(None),
            3 | 7 | 12 => Self::KeyGroups(KeyGroupsHandle::read(input, head, reading)?),
            5 | 11 => Self::Incremental(IncrementalHandle::read(input, head, reading)?),
            8 | 14 => Self::Changelog(ChangelogHandle::read(input, head, reading)?),
            9 => Self::ChangelogBytes(ChangelogBytes::read(input, head.position)?),
            10 | 13 => Self::ChangelogFiles(ChangelogFiles::read(input, head, reading)?),
            tag => return Err(at.corrupt(format!("unknown kind {tag} of a handle of keyed state"))),
        }))
    }

    fn read_one(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let at = input.clone();
        Self::read(input, reading)?
            .ok_or_else(|| at.corrupt("no handle of keyed state where there must be one"))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::KeyGroups(handle) => handle.write(out),
            Self::Incremental(handle) => handle.write(out),
            Self::Changelog(handle) => handle.write(out),
            Self::ChangelogBytes(handle) => handle.write(out),
            Self::ChangelogFiles(handle) => handle.write(out),
        }
    }
}

fn read_range(input: &mut Input<'_>) -> Result<KeyGroupRange> {
    let at = input.clone();
    let (first, count) = (input.i32()?, input.i32()?);
    let range = match (u16::try_from(first), u16::try_from(count)) {
        (Ok(first), Ok(count)) => KeyGroupRange::new(first, count).ok(),
        _ => None,
    };
    range.ok_or_else(|| {
        at.corrupt(format!("{count} key groups from {first} on: there are at most 32,768"))
    })
}

fn put_range(range: KeyGroupRange, out: &mut Vec<u8>) {
    out.put_i32(range.first().into());
    out.put_i32(range.count().into());
}
