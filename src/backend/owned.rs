//! Keys that a subtask does not own are refused.

use crate::{Error, ErrorKind, Result};
use esker_format::{KeyGroup, KeyGroupRange};

/// That a key group is owned.
///
/// # Errors
/// `Invalid` for a key group outside `range`.
#[inline]
pub(in crate::backend) fn check_owned(range: KeyGroupRange, group: KeyGroup) -> Result<()> {
    if range.contains(group) { Ok(()) } else { refuse(range, group) }
}

/// The error of [`check_owned`].
#[cold]
pub(in crate::backend) fn refuse<T>(range: KeyGroupRange, group: KeyGroup) -> Result<T> {
    let (first, last) = (range.first(), range.last());
    let message = format!(
        "key of key group {} does not belong to the subtask of {first}..={last}: route records by \
         KeyGroup::of(encoded key)",
        group.0
    );
    Err(Error::new(ErrorKind::Invalid, message))
}
