//! Without the feature `rocksdb`: databases are refused by name.

use super::stream::FlinkStream;
use crate::{Error, ErrorKind, Result};

/// Nothing: no database is opened.
pub(super) struct Database(std::convert::Infallible);

impl Database {
    /// Refuses.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub(super) fn open(_files: &[(String, FlinkStream)]) -> Result<Self> {
        let message =
            "files of a RocksDB, which needs the feature `rocksdb`, which this build lacks";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Nothing is read.
    ///
    /// # Errors
    /// None.
    pub(super) fn each(
        &self,
        _family: &str,
        _keys: (&[u8], Option<&[u8]>),
        _f: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        match self.0 {}
    }
}
