//! Folders in the user's cache that are there whole or not at all, one process at a time filling them.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Folders that are gone once what they were for is there, with a number after it.
pub(crate) const BUILDING: &str = "building-";

/// Held until it is dropped, or this process dies; whoever waits is told that another one is `doing` it.
/// (`File::lock` is newer than the `rust-version`.)
pub(crate) fn lock(path: &Path, doing: &str) -> Result<File, String> {
    let file = File::create(path).map_err(|error| failed(path, &error))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("another one is {doing}: waiting for it");
        flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(path, &error.into()))?;
    }
    Ok(file)
}

/// Clears what is left of those that were killed.
pub(crate) fn cleared(cache: &Path) -> Result<(), String> {
    for entry in fs::read_dir(cache).map_err(|error| failed(cache, &error))? {
        let entry = entry.map_err(|error| failed(cache, &error))?;
        if entry.file_name().to_string_lossy().starts_with(BUILDING) {
            removed(&entry.path())?;
        }
    }
    Ok(())
}

pub(crate) fn removed(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder, &error)),
        _ => Ok(()),
    }
}

pub(crate) fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_killed_is_cleared_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        for folder in ["building-1", "building-22", "0.19.0+11.8.1-linux"] {
            fs::create_dir_all(cache.path().join(folder).join("out")).unwrap();
        }
        cleared(cache.path()).unwrap();
        let left = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["0.19.0+11.8.1-linux"]);
    }

    #[test]
    fn one_at_a_time_fills_it() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("lock");
        let held = lock(&path, "filling it").unwrap();
        let other = File::create(&path).unwrap();
        let tried = || flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert!(tried().is_err());
        drop(held);
        tried().unwrap();
    }
}
