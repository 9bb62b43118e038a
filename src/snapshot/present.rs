//! What a savepoint's folder held before it was written: what is there is not put again.

use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::RelativeName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Some files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub len_bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, len_bytes: u64) {
        self.files += 1;
        self.len_bytes = self.len_bytes.saturating_add(len_bytes);
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        self.files += other.files;
        self.len_bytes = self.len_bytes.saturating_add(other.len_bytes);
    }

    pub(crate) fn less(&mut self, len_bytes: u64) {
        self.files = self.files.saturating_sub(1);
        self.len_bytes = self.len_bytes.saturating_sub(len_bytes);
    }
}

/// The files of a folder, all of them named by their digests: one of a name and a length is that file.
#[derive(Debug)]
pub(crate) struct Present {
    files: BTreeMap<RelativeName, u64>,
    /// Whether a manifest is there, so that nothing may be added.
    is_complete: bool,
    /// What was put, and what was there.
    counts: Mutex<(Count, Count)>,
}

impl Present {
    pub(crate) fn new(files: BTreeMap<RelativeName, u64>, is_complete: bool) -> Self {
        Self { files, is_complete, counts: Mutex::default() }
    }

    /// Puts a file unless it is there.
    ///
    /// # Errors
    /// The store's, as [`in_target`] says; `Conflict` if the folder holds a whole snapshot, of which it is not.
    pub(crate) async fn put(&self, store: &Store, name: &RelativeName, bytes: Bytes) -> Result<()> {
        let len_bytes = bytes.len() as u64;
        let is_there = self.files.get(name) == Some(&len_bytes);
        if !is_there {
            if self.is_complete {
                let message = "the folder holds another snapshot, and is not overwritten: choose \
                               another folder";
                return Err(Error::new(ErrorKind::Conflict, message).at_path(store.to_string()));
            }
            store.put(name, bytes).await.map_err(|error| in_target(error, store, name))?;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if is_there { &mut counts.1 } else { &mut counts.0 };
        count.add(len_bytes);
        Ok(())
    }

    /// What was put so far, and what was there already.
    pub(crate) fn counts(&self) -> (Count, Count) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error of `target`, told from those of what is read: it names all of the path.
pub(crate) fn in_target(error: Error, target: &Store, name: &RelativeName) -> Error {
    error.of("in the target").at_path(format!("{target}/{name}"))
}
