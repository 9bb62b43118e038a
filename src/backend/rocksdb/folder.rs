//! Folders of databases: cleared before they are used, gone afterwards.

use super::error::not_opened;
use crate::{Error, ErrorKind, Result};
use rocksdb::{DB, Options};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the folders are called that a database has in its own, with a number behind it.
pub(super) const INNER: &str = "esker-";

/// A folder whose database goes when this is dropped; what else is in there stays.
pub(super) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// The folder `dir`, made where there is none; a database that a crash left there is removed.
    ///
    /// # Errors
    /// `Conflict` if somebody has it open; `Retry` if it cannot be made or cleared.
    pub(super) fn cleared(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| unusable(error, dir))?;
        clear(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder `dir` as it is.
    pub(super) fn kept(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is cleared by whoever opens the folder next.
        let _ = clear(&self.dir);
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Removes the files of a database, if nobody has it open.
///
/// # Errors
/// `Conflict` if somebody has; `Retry` if it cannot be removed.
pub(super) fn clear(dir: &Path) -> Result<()> {
    DB::destroy(&Options::default(), dir).map_err(|error| not_opened(error, dir))?;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(INNER) {
            fs::remove_dir_all(entry.path()).map_err(|error| unusable(error, dir))?;
        }
    }
    Ok(())
}

/// What an error of the file system at `dir` means.
pub(super) fn unusable(error: io::Error, dir: &Path) -> Error {
    Error::new(ErrorKind::Retry, "cannot use the folder")
        .with_source(error)
        .at_path(dir.display().to_string())
}
