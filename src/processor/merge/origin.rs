//! Which of several snapshots it is that cannot be read.

use crate::{Error, Store};

/// The snapshot that entries are of.
#[derive(Clone)]
pub(super) struct Origin {
    /// Its number, from 0 on.
    pub(super) snapshot: usize,
    pub(super) store: Store,
}

impl Origin {
    /// An error of reading it, with its number, from 1 on, and the whole path.
    pub(super) fn of(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        let path = self.store.whole_path(error.path());
        error.of(format_args!("snapshot {}", self.snapshot + 1)).at_path(path)
    }
}
