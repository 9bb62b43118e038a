//! What RocksDB says, as errors of this crate.

use crate::{Error, ErrorKind};
use std::path::Path;

/// How the operating system says that a disk is full, which is all that RocksDB hands on.
const DISK_FULL: &str = "No space left on device";
/// How RocksDB says that somebody has the database open: this process, or another.
const LOCKED: [&str; 2] = ["lock hold by current process", "While lock file"];

/// What an error of the database in `dir` means.
pub(super) fn named(error: rocksdb::Error, dir: &Path) -> Error {
    let (kind, message) = if error.as_ref().contains(DISK_FULL) {
        (ErrorKind::Retry, "the disk is full: make room, or give the backend another folder")
    } else if error.kind() == rocksdb::ErrorKind::Corruption {
        let message = "the local database is damaged: restore the backend from a checkpoint";
        (ErrorKind::Corrupt, message)
    } else {
        let message = "the local database failed: restore the backend from a checkpoint";
        (ErrorKind::Poisoned, message)
    };
    Error::new(kind, format!("{message}: {error}"))
        .with_source(error)
        .at_path(dir.display().to_string())
}

/// What an error means that kept the database in `dir` from being opened.
pub(super) fn not_opened(error: rocksdb::Error, dir: &Path) -> Error {
    if LOCKED.iter().any(|locked| error.as_ref().contains(locked)) {
        return locked(dir).with_source(error);
    }
    match named(error, dir) {
        // Nothing was lost.
        error if error.kind() == ErrorKind::Poisoned => {
            let message = "no database can be opened here";
            Error::new(ErrorKind::Retry, message)
                .at_path(dir.display().to_string())
                .with_source(error)
        }
        error => error,
    }
}

fn locked(dir: &Path) -> Error {
    let message = "another backend has the folder open: end that, or choose another folder";
    Error::new(ErrorKind::Conflict, message).at_path(dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocksdb::{DB, Options};

    #[test]
    fn a_full_disk_is_to_be_tried_again() {
        // Only RocksDB makes its errors: here it repeats the name of a folder that is not there.
        let folder = tempfile::tempdir().unwrap();
        let error = |name: &str| {
            let dir = folder.path().join(name);
            named(DB::open_for_read_only(&Options::default(), &dir, false).err().unwrap(), &dir)
        };
        assert_eq!(error("other").kind(), ErrorKind::Poisoned);
        let full = error(DISK_FULL);
        assert_eq!(full.kind(), ErrorKind::Retry);
        assert!(full.to_string().starts_with("the disk is full"), "{full}");
    }
}
