mod all;
mod entries;
mod expiry;
mod folder;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod native;
mod snapshot;
mod version;

use super::{Budget, RocksBackend, RocksOptions};
use crate::backend::Backend;
use crate::snapshot::{NewOperator, write_manifest};
use crate::{Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::{Manifest, Operator, SnapshotKind};
use esker_format::part::Part;
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

/// The manifest of a checkpoint of one operator, whose subtasks are like `backend`.
fn manifest<B: Backend>(store: &Store, checkpoint: u64, backend: &B, parts: Vec<Part>) -> Manifest {
    let operator = Operator {
        uid: backend.uid().into(),
        key: backend.key().cloned(),
        states: backend.infos(),
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    };
    let manifest = Manifest {
        job: "all".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let parts = parts.into_iter().map(|part| (part, None)).collect();
    let operators = vec![NewOperator { operator, parts }];
    block_on(write_manifest(store, manifest, operators)).unwrap().manifest
}
