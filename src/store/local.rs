//! What only a local disk needs: folders that are durable, and the files of a process that died
//! while it wrote.
//!
//! `object_store` writes to `<name>#<n>` beside the file and links or renames it into place. Such a
//! file stays behind after a kill, and its own `list` hides it.

use super::runtime::blocking;
use super::{Dated, Store};
use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Creates the folder `path` and all above it, each synced into its parent.
pub(super) fn create_folder(path: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::Interrupted => ErrorKind::Retry,
            _ => ErrorKind::Invalid,
        };
        let message = format!("cannot open the folder: {error}");
        Error::new(kind, message).with_source(error).at_path(path.to_string_lossy())
    };
    let path = std::path::absolute(path).map_err(failed)?;
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(&path).map_err(failed)?;
    for folder in missing {
        if let Some(parent) = folder.parent() {
            sync_folder(parent).map_err(failed)?;
        }
    }
    fs::canonicalize(&path).map_err(failed)
}

#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
pub(super) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// A half-written file that a process left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leftover {
    /// The file that it was to become.
    pub(crate) name: RelativeName,
    path: PathBuf,
}

impl Leftover {
    /// Its name, size and time; none if it is gone.
    pub(crate) async fn dated(&self) -> Result<Option<Dated>> {
        let path = self.path.clone();
        let found = match blocking(move || fs::metadata(path)).await? {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error, &self.path)),
        };
        let modified = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified_ms =
            modified.map_or(0, |at| i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
        // As the folder has it: the file that it was to become may be there too.
        let file_name = self.path.file_name().map(|name| name.to_string_lossy());
        let folder = self.name.as_str().rsplit_once('/').map(|(folder, _)| folder);
        let named = file_name.map(|name| match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name.into_owned(),
        });
        let name = named.and_then(|name| RelativeName::new(name).ok());
        let name = name.unwrap_or_else(|| self.name.clone());
        Ok(Some(Dated { name, len_bytes: found.len(), modified_ms }))
    }
}

impl Leftover {
    /// Removes it; that it is absent is no error.
    pub(crate) async fn remove(self) -> Result<()> {
        let path = self.path.clone();
        match blocking(move || fs::remove_file(&path)).await? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error, &self.path)),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Half-written files, of live and of dead processes alike; none where this is not a folder.
    ///
    /// # Errors
    /// `Retry` if a folder cannot be read.
    pub(crate) async fn leftovers(&self) -> Result<Vec<Leftover>> {
        let Some(folder) = self.folder.clone() else { return Ok(Vec::new()) };
        blocking(move || {
            let mut found = Vec::new();
            walk(&folder, "", &mut found).map(|()| found)
        })
        .await?
    }

    /// Makes the entries of the folder `name` durable; where this is not a folder they are.
    ///
    /// # Errors
    /// `Retry` if that fails.
    pub(crate) async fn sync_folder(&self, name: &RelativeName) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(name.as_str());
        blocking(move || match sync_folder(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error, &path)),
            _ => Ok(()),
        })
        .await?
    }

    /// Removes the folder `name` if it is empty; only where this is a folder.
    pub(crate) async fn remove_empty_folder(&self, name: &RelativeName) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(name.as_str());
        // Not empty, or gone already: both are well.
        blocking(move || fs::remove_dir(path)).await.map(|_| ())
    }

    /// The folders at the root and those below `shared`; only where this is a folder.
    pub(crate) async fn job_folders(&self) -> Result<Vec<String>> {
        let mut folders = self.folders(None).await?;
        let shared = RelativeName::new("shared")?;
        let below = self.folders(Some(&shared)).await?;
        folders.extend(below.into_iter().map(|folder| format!("{shared}/{folder}")));
        Ok(folders)
    }

    /// The folders right below `name`; only where this is a folder.
    pub(crate) async fn folders(&self, name: Option<&RelativeName>) -> Result<Vec<String>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let path = name.map_or(folder.clone(), |name| folder.join(name.as_str()));
        blocking(move || {
            let mut names = Vec::new();
            for entry in read_folder(&path)? {
                let entry = entry.map_err(|error| failed(error, &path))?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        })
        .await?
    }
}

fn failed(error: io::Error, path: &Path) -> Error {
    let message = format!("cannot work in the folder: {error}");
    Error::new(ErrorKind::Retry, message).with_source(error).at_path(path.to_string_lossy())
}

/// The entries of a folder, none if it is gone.
fn read_folder(path: &Path) -> Result<Box<dyn Iterator<Item = io::Result<fs::DirEntry>>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(failed(error, path)),
    }
}

/// Symbolic links are not followed: nothing outside the folder is ever removed.
fn walk(folder: &Path, below: &str, found: &mut Vec<Leftover>) -> Result<()> {
    for entry in read_folder(folder)? {
        let entry = entry.map_err(|error| failed(error, folder))?;
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(&entry.path(), &format!("{below}{file_name}/"), found)?;
        } else if let Some(name) = staged_for(&file_name)
            && let Ok(name) = RelativeName::new(format!("{below}{name}"))
        {
            found.push(Leftover { name, path: entry.path() });
        }
    }
    Ok(())
}

/// The name that `object_store` stages as `<name>#<digits>`.
pub(super) fn staged_for(file_name: &str) -> Option<&str> {
    let (name, number) = file_name.rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then_some(name)
}
