mod all;
mod expiry;
mod folder;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod native;
mod snapshot;
mod version;

use super::{Budget, RocksBackend, RocksOptions};
use esker_format::KeyGroupRange;
use tempfile::TempDir;

/// Little memory, so that files are read too.
fn options() -> RocksOptions {
    RocksOptions::new(Budget::new(8 << 20))
}

/// A backend of all key groups, and the folder that it is in.
fn backend() -> (RocksBackend, TempDir) {
    backend_with(&options())
}

fn backend_with(options: &RocksOptions) -> (RocksBackend, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    (RocksBackend::new(&dir, "all", KeyGroupRange::ALL, options).unwrap(), folder)
}
