//! The changes of a log, cut by key groups, until they are replayed.

use super::WHAT;
use crate::{Error, ErrorKind, Result};
use esker_flink::changelog::LoggedChange;
use esker_flink::{FormatError, Input};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use tempfile::SpooledTempFile;

/// Into how many pieces the key groups of a part are cut.
const PIECES: usize = 16;
/// How much of a piece waits in memory, in bytes; all of it is in a temporary file then.
const IN_MEMORY_LEN_BYTES: usize = 4 << 20;
/// In place of a key group.
const DEFINITION: u32 = u32::MAX;

/// The key groups of `all` in pieces of as many each.
pub(in crate::flink) fn cut(all: Range<u16>) -> impl Iterator<Item = Range<u16>> {
    let step = step(&all);
    let end = all.end;
    all.step_by(step).map(move |start| start..start.saturating_add(step as u16).min(end))
}

fn step(all: &Range<u16>) -> usize {
    all.len().div_ceil(PIECES).max(1)
}

/// The changes of a log by key groups; definitions are in each piece.
pub(in crate::flink) struct Pieces {
    all: Range<u16>,
    pieces: Vec<Mutex<SpooledTempFile>>,
    /// The files that changes are of.
    paths: Vec<String>,
}

/// A change that waited.
pub(in crate::flink) struct Waiting<'a> {
    pub(in crate::flink) change: LoggedChange<'a>,
    pub(in crate::flink) path: &'a str,
}

impl Pieces {
    pub(super) fn new(all: Range<u16>) -> Self {
        let pieces = cut(all.clone()).map(|_| SpooledTempFile::new(IN_MEMORY_LEN_BYTES).into());
        Self { pieces: pieces.collect(), all, paths: Vec::new() }
    }

    /// Adds a change, unless it is of a key group that others have.
    ///
    /// # Errors
    /// `Retry` if the temporary folder fails.
    pub(super) fn add(&mut self, change: &LoggedChange<'_>, path: &str) -> Result<()> {
        let file = match self.paths.iter().rposition(|known| known == path) {
            Some(number) => number,
            None => {
                self.paths.push(path.to_owned());
                self.paths.len() - 1
            }
        };
        let bytes = change.bytes.rest();
        let group = change.key_group.map_or(DEFINITION, u32::from);
        let mut head = Vec::with_capacity(24);
        head.extend_from_slice(&group.to_be_bytes());
        head.extend_from_slice(&(file as u32).to_be_bytes());
        head.extend_from_slice(&change.bytes.offset().to_be_bytes());
        head.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        let pieces = match change.key_group {
            None => &mut self.pieces[..],
            Some(group) if self.all.contains(&group) => {
                let number = usize::from(group - self.all.start) / step(&self.all);
                self.pieces.get_mut(number..=number).unwrap_or_default()
            }
            Some(_) => &mut [],
        };
        for piece in pieces {
            let piece = piece.get_mut().unwrap_or_else(PoisonError::into_inner);
            let written = piece.write_all(&head).and_then(|()| piece.write_all(bytes));
            written.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// The bytes of the piece that has the key groups `groups`: see [`waiting`](Self::waiting). All of it is in memory.
    ///
    /// # Errors
    /// `Retry` if the temporary folder fails.
    pub(in crate::flink) fn load(&self, groups: &Range<u16>) -> Result<Vec<u8>> {
        let number = usize::from(groups.start.saturating_sub(self.all.start)) / step(&self.all);
        let Some(piece) = self.pieces.get(number) else { return Ok(Vec::new()) };
        let mut piece = piece.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        let read = piece.seek(SeekFrom::Start(0)).and_then(|_| piece.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| failed(&error))
    }

    /// Calls `each` with the changes of a piece that was loaded, in the order of the log.
    ///
    /// # Errors
    /// Those of `each`.
    pub(in crate::flink) fn waiting<'a>(
        &'a self,
        piece: &'a [u8],
        each: &mut dyn FnMut(Waiting<'a>),
    ) -> std::result::Result<(), FormatError> {
        let mut input = Input::new(WHAT, piece);
        while !input.is_empty() {
            let key_group = match input.i32()? as u32 {
                DEFINITION => None,
                group => Some(group as u16),
            };
            let path = self.paths.get(input.i32()? as usize).map_or("", String::as_str);
            let offset = input.i64()? as u64;
            let len = input.i64()? as usize;
            let bytes = Input::new(WHAT, input.take(len)?).based_at(offset);
            each(Waiting { change: LoggedChange { key_group, bytes }, path });
        }
        Ok(())
    }
}

fn failed(error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free space, then try again".to_owned(),
        _ => format!("changes of a log cannot wait in a temporary file: {error}"),
    };
    Error::new(ErrorKind::Retry, message).at_path(std::env::temp_dir().to_string_lossy())
}
