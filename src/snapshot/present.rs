//! What a savepoint's folder held before it was written: what is there is not put again.

use super::{MANIFEST_NAME, open_snapshot};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::RelativeName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// The snapshot whose manifest is there: only what is lost of it may be added.
    whole: Option<Whole>,
    done: Mutex<Done>,
}

/// A snapshot, as far as it can be read.
#[derive(Debug, Default)]
struct Whole {
    /// The files that it consists of, but for the manifest.
    files: BTreeSet<RelativeName>,
    /// The first part that cannot be read: what it names is not known.
    lost: Option<Error>,
}

#[derive(Debug, Default)]
struct Done {
    /// What was put, and what was there.
    counts: (Count, Count),
    /// What was put, or may have been, where nothing of that name was.
    made: BTreeSet<RelativeName>,
}

impl Present {
    /// Of `store`, which holds `files`. Where a manifest is among them, its parts are read.
    ///
    /// # Errors
    /// The store's, as [`in_target`] says.
    pub(crate) async fn of(store: &Store, files: BTreeMap<RelativeName, u64>) -> Result<Self> {
        let path = RelativeName::new(MANIFEST_NAME)?;
        let whole = match files.contains_key(&path) {
            true => Some(Whole::of(store, &path).await?),
            false => None,
        };
        Ok(Self { files, whole, done: Mutex::default() })
    }

    /// Puts a file unless it is there.
    ///
    /// # Errors
    /// The store's, as [`in_target`] says; `Conflict` if the folder holds a snapshot, and the file is none
    /// that it lost.
    pub(crate) async fn put(&self, store: &Store, name: &RelativeName, bytes: Bytes) -> Result<()> {
        let len_bytes = bytes.len() as u64;
        let is_there = self.files.get(name) == Some(&len_bytes);
        if !is_there {
            if let Some(whole) = self.whole.as_ref().filter(|whole| !whole.files.contains(name)) {
                return Err(whole.conflict().at_path(store.to_string()));
            }
            if !self.files.contains_key(name) {
                self.done().made.insert(name.clone());
            }
            store.put(name, bytes).await.map_err(|error| in_target(error, store, name))?;
        }
        let (put, present) = &mut self.done().counts;
        let count = if is_there { present } else { put };
        count.add(len_bytes);
        Ok(())
    }

    /// Deletes what was put, so that another snapshot can be written there; as far as that is possible.
    /// Where a manifest is by now, nothing is deleted: it may name it.
    pub(crate) async fn take_back(&self, store: &Store) {
        let made = std::mem::take(&mut self.done().made);
        let Ok(path) = RelativeName::new(MANIFEST_NAME) else { return };
        if made.is_empty() || !matches!(store.head(&path).await, Ok(None)) {
            return;
        }
        for name in made {
            if let Err(error) = store.delete(&name).await {
                tracing::warn!(%error, "a file of a snapshot that was given up stays");
            }
        }
    }

    /// What was put so far, and what was there already.
    pub(crate) fn counts(&self) -> (Count, Count) {
        self.done().counts
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whole {
    async fn of(store: &Store, path: &RelativeName) -> Result<Self> {
        let snapshot = match open_snapshot(store, path).await {
            Ok(snapshot) => snapshot,
            Err(error) if error.kind() == ErrorKind::Retry => {
                return Err(in_target(error, store, path));
            }
            Err(error) => return Ok(Self { lost: Some(error), ..Self::default() }),
        };
        let mut files: BTreeSet<_> = snapshot.files().into_keys().cloned().collect();
        for part in snapshot.manifest.operators.iter().flat_map(|operator| &operator.parts) {
            files.insert(part.name()?);
        }
        let lost = snapshot.damage.into_iter().next().map(|damage| damage.error);
        Ok(Self { files, lost })
    }

    fn conflict(&self) -> Error {
        let holds = match &self.lost {
            None => "another snapshot".to_owned(),
            Some(lost) => format!("another snapshot, or what is left of this one ({lost})"),
        };
        let message =
            format!("the folder holds {holds}, and is not overwritten: choose another folder");
        Error::new(ErrorKind::Conflict, message)
    }
}

/// An error of `target`, told from those of what is read: it names all of the path.
pub(crate) fn in_target(error: Error, target: &Store, name: &RelativeName) -> Error {
    error.of("in the target").at_path(format!("{target}/{name}"))
}
