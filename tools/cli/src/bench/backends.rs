//! The backends that can be compared.

use super::settings::Settings;
use esker::Result;
use esker::backend::BackendFactory;
use esker::backend::heap::HeapBackends;
use std::path::Path;

/// A backend to be measured.
pub(super) struct Backends<F: BackendFactory> {
    pub(super) name: &'static str,
    pub(super) factory: F,
    /// Whether it keeps state on the local disk.
    pub(super) on_disk: bool,
}

pub(super) fn heap() -> Backends<HeapBackends> {
    Backends { name: "heap", factory: HeapBackends, on_disk: false }
}

/// RocksDB in folders in `local`, within the budget of the settings.
///
/// # Errors
/// `Retry` if the folder cannot be used.
#[cfg(feature = "rocksdb")]
pub(super) fn rocksdb(
    local: &Path,
    settings: &Settings,
) -> Result<Backends<esker::backend::rocksdb::RocksBackends>> {
    use esker::backend::rocksdb::{Budget, RocksBackends, RocksOptions};
    let budget = usize::try_from(settings.memory).unwrap_or(usize::MAX);
    let options = RocksOptions::new(Budget::new(budget));
    Ok(Backends { name: "rocksdb", factory: RocksBackends::new(local, options)?, on_disk: true })
}

/// What a build without RocksDB says.
///
/// # Errors
/// `Unsupported`.
#[cfg(not(feature = "rocksdb"))]
pub(super) fn rocksdb(_local: &Path, _settings: &Settings) -> Result<Backends<HeapBackends>> {
    Err(crate::demo::no_rocksdb())
}
