//! Values as a state reads them from runs.

use crate::Result;
use esker_format::manifest::StateInfo;
use esker_format::{Migration, ValueCodec};
use std::sync::Arc;

/// A state's codec of values; during a restore it reads those of the stored state.
pub(super) struct Stored<V> {
    codec: Arc<dyn ValueCodec<V>>,
    /// Where the stored type is another one.
    migration: Option<Arc<Migration<V>>>,
}

impl<V> Clone for Stored<V> {
    fn clone(&self) -> Self {
        Self { codec: Arc::clone(&self.codec), migration: self.migration.clone() }
    }
}

impl<V: 'static> Stored<V> {
    pub(super) fn new(codec: impl ValueCodec<V> + 'static) -> Self {
        Self { codec: Arc::new(codec), migration: None }
    }

    /// The codec that values are written by.
    pub(super) fn codec(&self) -> Arc<dyn ValueCodec<V>> {
        Arc::clone(&self.codec)
    }

    /// Appends the bytes of a value to `out`.
    ///
    /// # Errors
    /// `Invalid` if it cannot be encoded; `out` is then as it was.
    #[cfg(feature = "rocksdb")]
    pub(super) fn encode(&self, value: &V, out: &mut Vec<u8>) -> esker_format::Result<()> {
        self.codec.encode(value, out)
    }

    /// Whether what is read now is not what is written: bytes must be decoded and encoded anew.
    #[cfg(feature = "rocksdb")]
    pub(super) fn migrates(&self) -> bool {
        self.migration.is_some()
    }

    /// Reads values of the state `stored` from here on.
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if they are of another type and cannot be migrated.
    pub(super) fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        let migration = stored.value.as_ref().map(|info| self.codec.migration(info));
        self.migration = migration.transpose()?.flatten().map(Arc::new);
        Ok(())
    }

    /// The value of `bytes`.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    #[inline]
    pub(super) fn decode(&self, bytes: &[u8]) -> esker_format::Result<V> {
        match &self.migration {
            Some(migrate) => migrate(bytes),
            None => self.codec.decode(bytes),
        }
    }

    /// Reads values of the state's own type again.
    pub(super) fn end_restore(&mut self) {
        self.migration = None;
    }
}
