//! Where the jobs of these tests are: the stores that `ESKER_TESTS_STORE` names.

use crate::world::walk;
use esker::{Store, block_on};
use esker_conformance::store::new_store_with_bucket;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of a job that several processes work on: a folder, or what is in a bucket.
pub(crate) struct Root {
    pub(crate) store: Store,
    /// Its path or URL.
    pub(crate) at: String,
    /// What a client in another process needs.
    settings: Vec<(&'static str, String)>,
    /// For what a backend has on the local disk, and for a folder's files.
    work: tempfile::TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        match new_store_with_bucket() {
            (store, Some(bucket)) => {
                Self { store, at: bucket.url, settings: bucket.settings, work }
            }
            (_, None) => {
                let folder = work.path().join("store");
                std::fs::create_dir(&folder).unwrap();
                let at = folder.to_str().unwrap().to_owned();
                Self { store: Store::open(&at).unwrap(), at, settings: Vec::new(), work }
            }
        }
    }

    /// A client of one's own.
    pub(crate) fn client(&self) -> Store {
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Store::open_with(&self.at, &settings).unwrap()
    }

    /// A folder beside it on the local disk.
    pub(crate) fn local(&self) -> PathBuf {
        self.work.path().join("local")
    }

    /// Lets a command reach it.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
    }
}

/// The names of all files in `store`, which is at a path or URL; in a folder half-written ones are among them.
pub(crate) fn names(store: &Store, at: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match at.contains("://") {
        true => {
            let listed = block_on(store.list(None)).unwrap();
            found.extend(listed.into_iter().map(|(name, _)| name.to_string()));
        }
        false => walk(Path::new(at), Path::new(at), &mut found),
    }
    found
}
