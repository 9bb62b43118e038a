//! The release of RocksDB that a database was last opened with.

use crate::{Error, ErrorKind, Result};
use std::fs;
use std::io;
use std::path::Path;

/// What a database's file of options is called, with a number after it.
const OPTIONS: &str = "OPTIONS-";
/// What its line begins with that names the release.
const VERSION: &str = "rocksdb_version=";

/// The release of RocksDB, say `11.8.1`, that last opened the database or checkpoint in `dir`, as its
/// newest file of options says. Reads that file alone, a few KiB, and opens no database.
///
/// # Errors
/// [`ErrorKind::Invalid`] if there is no such file, [`ErrorKind::Corrupt`] if it names no release, and
/// [`ErrorKind::Retry`] if it cannot be read.
pub fn version_of(dir: &Path) -> Result<String> {
    let options = newest_options(dir).map_err(|error| unread(error, dir))?;
    let at = dir.display().to_string();
    let name = options
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "no RocksDB database").at_path(at.clone()))?;
    let file = dir.join(name);
    let text = fs::read_to_string(&file).map_err(|error| unread(error, &file))?;
    let version = text.lines().find_map(|line| line.trim().strip_prefix(VERSION));
    version.map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "the file of options names no release of RocksDB")
            .at_path(file.display().to_string())
    })
}

/// Of the files of options, the one with the highest number.
fn newest_options(dir: &Path) -> io::Result<Option<String>> {
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(OPTIONS).and_then(|number| number.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, name)));
    }
    Ok(newest.map(|(_, name)| name))
}

fn unread(error: io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::Invalid,
        _ => ErrorKind::Retry,
    };
    Error::new(kind, "cannot read").with_source(error).at_path(path.display().to_string())
}
