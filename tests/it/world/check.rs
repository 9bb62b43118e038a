//! That what is retained is whole and right, and that nothing else is there.

use super::content::Model;
use super::restore::{read_rows, restore};
use super::write::RETAINED;
use crate::backends::Tested;
use crate::stores::names;
use bytes::Bytes;
use esker::checkpoint::log::Sequence;
use esker::checkpoint::{log_name, read_log};
use esker::format::part::RunRef;
use esker::format::run::RunReader;
use esker::format::{Digest, RelativeName};
use esker::snapshot::{MANIFEST_NAME, manifest_folder, read_manifest, read_part, references};
use esker::{Result, Store, block_on};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is known of the checkpoints that were retained when it was last looked.
#[derive(Debug, Clone)]
pub(crate) struct Models {
    /// As it was at the oldest of them.
    oldest: Model,
    /// The last checkpoint, and its rows.
    pub(crate) last: (u64, u64),
    /// Every checkpoint that is known to be complete, retained or not.
    completed: BTreeSet<u64>,
    /// What was restored at some parallelism, and right. A manifest's digest stands for all its bytes,
    /// which are verified each time: they restore as they did.
    restored: BTreeSet<(Digest, u32)>,
}

impl Models {
    pub(crate) fn new(seed: u64) -> Self {
        let oldest = Model { seed, ..Model::default() };
        Self { oldest, last: (0, 0), completed: BTreeSet::new(), restored: BTreeSet::new() }
    }

    /// What the owner was told: `checkpoint` is complete.
    pub(crate) fn completed(&mut self, checkpoint: u64) {
        self.completed.insert(checkpoint);
    }

    /// How many checkpoints are known to have completed.
    pub(crate) fn completed_count(&self) -> usize {
        self.completed.len()
    }

    /// Checks every retained checkpoint: its files, and what it restores to at each of
    /// `parallelisms`.
    pub(crate) fn check(&mut self, factory: &impl Tested, store: &Store, parallelisms: &[u32]) {
        block_on(self.checked(factory, store, parallelisms)).unwrap();
    }

    async fn checked(
        &mut self,
        factory: &impl Tested,
        store: &Store,
        parallelisms: &[u32],
    ) -> Result<()> {
        let state = read_log(store).await?;
        let retained = state.retained();
        self.completed.extend(retained.keys());
        let newest = self.completed.iter().rev().take(RETAINED as usize);
        let lost: Vec<_> = newest.filter(|number| !retained.contains_key(number)).collect();
        assert!(lost.is_empty(), "complete, but no longer retained: {lost:?}");

        let (mut model, mut verified) = (None, BTreeSet::new());
        for (number, published) in retained {
            let (path, digest) = (&published.manifest_path, Some(published.manifest_digest));
            let manifest = read_manifest(store, path, digest).await?;
            assert_eq!(manifest.checkpoint, *number);
            let folder = manifest_folder(&manifest)?.unwrap();
            assert_eq!(path.as_str(), format!("{folder}/{MANIFEST_NAME}"));
            for part in manifest.operators.iter().flat_map(|operator| &operator.parts) {
                let part = read_part(store, part).await?;
                for run in part.runs.iter().chain(&part.operator_run) {
                    if verified.insert(run.file.clone()) {
                        verify(store, run).await?;
                    }
                }
                for file in part.native.iter().flat_map(|native| &native.files) {
                    if verified.insert(file.file.clone()) {
                        whole(store, (&file.file, file.len_bytes, file.digest)).await?;
                    }
                }
            }
            let rows = read_rows(store, &manifest).await?;
            let model = model.get_or_insert_with(|| {
                self.oldest.advance(rows);
                self.oldest.clone()
            });
            model.advance(rows);
            for parallelism in parallelisms {
                if !self.restored.insert((published.manifest_digest, *parallelism)) {
                    continue;
                }
                let mut restored =
                    restore(factory, store, Some(&manifest), *parallelism, model.seed).await?;
                let difference = restored.rows.drain()?.difference(&model.content);
                assert_eq!(difference, None, "checkpoint={number} at {parallelism} subtasks");
            }
            if (*number, rows) >= self.last {
                self.last = (*number, rows);
            }
        }
        let last = retained.keys().next_back().copied().unwrap_or(0);
        let rows = model.map_or(0, |model| model.rows);
        assert!((last, rows) == self.last, "from {:?} back to {:?}", self.last, (last, rows));
        Ok(())
    }
}

/// A file's bytes, which are as many and have the digest that a part says.
async fn whole(
    store: &Store,
    (file, len_bytes, digest): (&RelativeName, u64, Digest),
) -> Result<Bytes> {
    let bytes = store.get(file).await?;
    let bytes = bytes.unwrap_or_else(|| panic!("{file} is missing, and retained"));
    assert_eq!(bytes.len() as u64, len_bytes, "{file}");
    assert_eq!(Digest::of(&bytes), digest, "{file}");
    Ok(bytes)
}

/// All of a run's bytes, by every digest there is of them.
async fn verify(store: &Store, run: &RunRef) -> Result<()> {
    let bytes = whole(store, (&run.file, run.len_bytes, run.digest)).await?;
    let slice =
        |offset: u64, len_bytes: u64| &bytes[offset as usize..(offset + len_bytes) as usize];
    let reader = RunReader::open(run.index, slice(run.index.offset, run.index.len_bytes))?;
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        reader.block(number, slice(handle.offset, handle.len_bytes))?;
    }
    Ok(())
}

/// That `found` are the records of the log and what retained checkpoints reach, no more and no less.
pub(crate) async fn check_names(store: &Store, found: BTreeSet<String>) -> Result<()> {
    let state = read_log(store).await?;
    let mut expected = BTreeMap::new();
    for sequence in state.first().0..state.next().0 {
        expected.insert(log_name(Sequence(sequence))?.to_string(), "a record".to_owned());
    }
    for (number, published) in state.retained() {
        let names = references(store, published).await?;
        let names = names.iter().chain([&published.manifest_path]);
        expected.extend(names.map(|name| (name.to_string(), format!("of checkpoint {number}"))));
    }
    let unneeded: Vec<_> = found.iter().filter(|name| !expected.contains_key(*name)).collect();
    let missing: Vec<_> = expected.iter().filter(|(name, _)| !found.contains(*name)).collect();
    assert!(unneeded.is_empty(), "unreferenced, and still there after a sweep: {unneeded:?}");
    assert!(missing.is_empty(), "missing: {missing:?}");
    Ok(())
}

/// Those of `found` that neither the log nor a retained checkpoint needs: half-written ones, and records below the base,
/// among them. It walks the manifests by itself.
pub(crate) async fn unreferenced(
    store: &Store,
    mut found: BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let state = read_log(store).await?;
    for sequence in state.first().0..state.next().0 {
        found.remove(log_name(Sequence(sequence))?.as_str());
    }
    for published in state.retained().values() {
        let (path, digest) = (&published.manifest_path, Some(published.manifest_digest));
        found.remove(path.as_str());
        for operator in read_manifest(store, path, digest).await?.operators {
            for part in &operator.parts {
                found.remove(part.name()?.as_str());
                let part = read_part(store, part).await?;
                for run in part.runs.iter().chain(&part.operator_run) {
                    found.remove(run.file.as_str());
                }
                for file in part.native.iter().flat_map(|native| &native.files) {
                    found.remove(file.file.as_str());
                }
            }
        }
    }
    Ok(found)
}

/// As [`check_names`], of every file that is at a path or URL, half-written ones included.
pub(crate) fn check_files(store: &Store, at: &str) {
    block_on(check_names(store, names(store, at))).unwrap();
}

/// Names of all files below `folder`, as their path from `root`.
pub(crate) fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => walk(root, &entry.path(), found),
            false => {
                let path = entry.path();
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
}

/// How many files at a path or URL no retained checkpoint reaches, and how many are half-written.
pub(crate) fn unneeded(store: &Store, at: &str) -> (usize, usize) {
    let found = names(store, at);
    let reached = block_on(async {
        let state = read_log(store).await?;
        let mut reached: BTreeSet<RelativeName> = BTreeSet::new();
        for published in state.retained().values() {
            reached.extend(references(store, published).await?);
            reached.insert(published.manifest_path.clone());
        }
        Ok(reached)
    });
    let reached: BTreeSet<String> = reached.unwrap().iter().map(ToString::to_string).collect();
    let (half, whole): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| name.contains('#'));
    let is_unneeded = |name: &&String| !name.starts_with("log/") && !reached.contains(*name);
    (whole.iter().filter(is_unneeded).count(), half.len())
}
