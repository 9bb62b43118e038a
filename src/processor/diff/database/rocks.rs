//! The database of a part, fetched and opened for the while.

use super::unreadable;
use crate::backend::rocksdb::NativeReader;
use crate::snapshot::pair::Rows;
use crate::snapshot::{Damage, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::StateInfo;
use esker_format::part::Part;
use esker_format::run::Entry;
use tempfile::TempDir;

/// A database, and the folder it lies in; that is closed first.
pub(in crate::processor::diff) struct Database {
    reader: NativeReader,
    _folder: TempDir,
}

impl Rows for NativeReader {
    fn merge(
        &self,
        range: KeyGroupRange,
        state: u32,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        NativeReader::merge(self, range, Some(state), f)
    }
}

impl Database {
    /// Opens what `part`, whose key groups are `range`, has of `states`, and tells what of it is damaged.
    ///
    /// # Errors
    /// `Unsupported` for another database than RocksDB's; those of [`NativeReader::open`].
    pub(in crate::processor::diff) fn open(
        store: &Store,
        part: &Part,
        range: KeyGroupRange,
        states: &[&StateInfo],
    ) -> Result<(Self, Vec<Damage>)> {
        let Some(native) = &part.native else {
            return Err(Error::new(ErrorKind::Invalid, "the part holds no database"));
        };
        let no_room = |error: std::io::Error| {
            let message = format!("no temporary folder for the database: {error}");
            Error::new(ErrorKind::Retry, message).with_source(error)
        };
        let folder = tempfile::tempdir().map_err(no_room)?;
        let dir = folder.path().join("database");
        std::fs::create_dir(&dir).map_err(no_room)?;
        let (settings, states) = (SnapshotSettings::default(), states.iter().copied());
        let opened = block_on(NativeReader::open(store, native, states, range, &dir, &settings));
        let mut reader = opened.map_err(|error| match error.kind() {
            ErrorKind::Unsupported => unreadable(native),
            _ => error,
        })?;
        let damage = reader.take_damage();
        Ok((Self { reader, _folder: folder }, damage))
    }

    pub(in crate::processor::diff) fn rows(&self) -> Option<&dyn Rows> {
        Some(&self.reader)
    }
}
