//! The files of a backend's own database, as a native checkpoint names them.

use super::check::WHAT;
use crate::record::Extra;
use crate::{Digest, FormatError, FormatErrorKind, KeyGroupRange, RelativeName, Result};
use std::collections::HashSet;

/// No part names more files of a database.
pub const NATIVE_FILES_MAX: usize = 1 << 16;
/// The longest name of an engine or of a file within its database, in bytes.
pub const LOCAL_NAME_LEN_BYTES_MAX: usize = 255;

/// A subtask's keyed state as the files of its backend's own database: what they hold only that
/// backend can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The database: `rocksdb`.
    pub engine: String,
    /// Its files, names within the database ascending.
    pub files: Vec<NativeFile>,
    /// Unknown fields.
    pub extra: Extra,
}

/// A file of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFile {
    /// Its name within the database: one segment.
    pub local: String,
    /// The file, below the root of names.
    pub file: RelativeName,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// The digest of all of it: it is read whole, or not at all.
    pub digest: Digest,
    /// What is lost with it, where it holds entries: a state's id, and the key groups from its first
    /// entry's to its last one's. None for a file without which nothing can be read.
    pub holds: Option<(u32, KeyGroupRange)>,
}

/// What holds for every one, whoever writes or reads it.
pub(super) fn check(native: &Native, kind: FormatErrorKind) -> Result<()> {
    let refuse = |message: String| Err(FormatError::new(kind, WHAT, message));
    if native.files.len() > NATIVE_FILES_MAX {
        let files = native.files.len();
        return refuse(format!("{files} files of a database, the limit is {NATIVE_FILES_MAX}"));
    }
    let fits = |name: &str| (1..=LOCAL_NAME_LEN_BYTES_MAX).contains(&name.len());
    if !fits(&native.engine) {
        return refuse(format!("an engine's name has 1 to {LOCAL_NAME_LEN_BYTES_MAX} bytes"));
    }
    for (before, file) in native.files.iter().zip(native.files.iter().skip(1)) {
        if before.local >= file.local {
            return refuse(format!("files of a database do not ascend: local={:?}", file.local));
        }
    }
    let mut names = HashSet::new();
    for NativeFile { local, file, .. } in &native.files {
        // A name of one segment cannot leave the folder that the database is put into.
        if !fits(local) || local.contains('/') || RelativeName::new(local.as_str()).is_err() {
            return refuse(format!("no name of a file in a database: local={local:?}"));
        }
        if !names.insert(file) {
            return refuse(format!("two files of a database are one: file={file}"));
        }
    }
    Ok(())
}
