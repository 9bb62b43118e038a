//! Without the feature `rocksdb`: no database can be read.

use super::unreadable;
use crate::snapshot::Damage;
use crate::snapshot::pair::Rows;
use crate::{Error, ErrorKind, Result, Store};
use esker_format::KeyGroupRange;
use esker_format::manifest::StateInfo;
use esker_format::part::Part;

/// Nothing that this build reads.
pub(in crate::processor::diff) struct Database;

impl Database {
    /// # Errors
    /// `Unsupported`.
    pub(in crate::processor::diff) fn open(
        _store: &Store,
        part: &Part,
        _range: KeyGroupRange,
        _states: &[&StateInfo],
    ) -> Result<(Self, Vec<Damage>)> {
        let none = || Error::new(ErrorKind::Invalid, "the part holds no database");
        Err(part.native.as_ref().map_or_else(none, unreadable))
    }

    pub(in crate::processor::diff) fn rows(&self) -> Option<&dyn Rows> {
        None
    }
}
