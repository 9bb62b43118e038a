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
        #[cfg(feature = "remote")]
        _ if super::remote::answer(&error).is_some() => {
            super::remote::answer(&error).map_or(ErrorKind::Retry, |answer| answer.kind)
        }
        _ => io_error(&error).map_or(ErrorKind::Retry, |error| of_io(error.kind())),
    };
    // The store's own message stays below as the source, but its innermost cause is what helps.
    let cause = innermost(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Error::new(kind, format!("cannot {did}{cause}")).with_source(error).at_path(path)
}

/// The error of a call that reads from the object `path`.
pub(super) fn of_read(error: StoreError, path: &str) -> Error {
    let is_unreadable = io_error(&error).is_some_and(is_device_error);
    map(error, "read the file", path).unreadable(is_unreadable)
}

/// Whether a device that holds the bytes cannot give them back, as with a sector that cannot be read; a file
/// that is missing or may not be read is no such thing.
pub fn is_device_error(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| DEVICE_ERRORS.contains(&code))
}

/// EIO, and of file systems that check what they read EBADMSG and EUCLEAN.
#[cfg(target_os = "linux")]
const DEVICE_ERRORS: &[i32] = &[EIO, 74, 117];
#[cfg(all(unix, not(target_os = "linux")))]
const DEVICE_ERRORS: &[i32] = &[EIO];
/// ERROR_CRC and ERROR_IO_DEVICE.
#[cfg(not(unix))]
const DEVICE_ERRORS: &[i32] = &[23, EIO];

/// What every Unix calls an error of a device.
#[cfg(unix)]
pub(super) const EIO: i32 = 5;
#[cfg(not(unix))]
pub(super) const EIO: i32 = 1117;

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

fn io_error(error: &StoreError) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
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
