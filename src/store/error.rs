//! What an object store's error means to a caller of esker.

use crate::{Error, ErrorKind};
use object_store::Error as StoreError;
use std::error::Error as _;
use std::io;

/// The error of a call that `did` something to the object `path`.
///
/// What nobody is known to be at fault for is `Retry`: networks and disks fail for a while.
pub(super) fn map(error: StoreError, did: &str, path: &str) -> Error {
    let kind = match &error {
        StoreError::AlreadyExists { .. }
        | StoreError::Precondition { .. }
        | StoreError::NotModified { .. } => ErrorKind::Conflict,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            ErrorKind::Unsupported
        }
        StoreError::InvalidPath { .. }
        | StoreError::PermissionDenied { .. }
        | StoreError::Unauthenticated { .. }
        | StoreError::UnknownConfigurationKey { .. } => ErrorKind::Invalid,
        _ => io_kind(&error).map_or(ErrorKind::Retry, of_io),
    };
    // The store's own message stays below as the source, but its innermost cause is what helps.
    let cause = innermost(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Error::new(kind, format!("cannot {did}{cause}")).with_source(error).at_path(path)
}

fn of_io(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => ErrorKind::Invalid,
        _ => ErrorKind::Retry,
    }
}

fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn innermost(error: &StoreError) -> Option<String> {
    let mut cause: &dyn std::error::Error = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}
