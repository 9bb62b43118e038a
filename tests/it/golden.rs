//! Golden savepoints of version 1, of every kind of state and of every type: the heap backend writes the same
//! bytes again, they say the same lines, and every backend restores them.
//!
//! `ESKER_BLESS=1 cargo test --package esker --test it golden` writes them anew, beside the lines that they hold
//! (`format/esker/golden/v1/savepoints`). They may change only in the commit that changes the format, or the bytes that
//! zstd compresses to.

pub(crate) mod kinds;
mod types;

use crate::backends::{Tested, of_each_backend};
use esker::backend::operator::OperatorBackend;
use esker::backend::{Backend, BackendFactory};
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::snapshot::{
    Chain, NewOperator, PartId, PartInput, SnapshotSettings, read_manifest, read_operator_state,
    write_manifest, write_part,
};
use esker::{Store, block_on};
use esker_conformance::lines;
use esker_conformance::store::new_store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The subtasks of an operator: their keyed state and what else they have.
type Subtasks<B> = Vec<(B, Option<OperatorBackend>)>;

/// A job whose states are all open, empty or filled; restored from what is given.
trait Program {
    const NAME: &'static str;

    /// For each operator its subtasks, `parallelism` of them, made for what they will be restored from.
    fn open<F: BackendFactory>(
        factory: &F,
        parallelism: u32,
        stored: Option<&Manifest>,
        fill: bool,
    ) -> Vec<(&'static str, Subtasks<F::Backend>)>;
}

/// The stored form of an operator, if there is one.
fn stored<'a>(manifest: Option<&'a Manifest>, uid: &str) -> Option<&'a Operator> {
    manifest.map(|manifest| manifest.operators.iter().find(|o| o.uid == uid).unwrap())
}

fn ranges(parallelism: u32) -> impl Iterator<Item = KeyGroupRange> {
    (0..parallelism).map(move |at| KeyGroupRange::of_subtask(at, parallelism).unwrap())
}

fn savepoint<B: Backend>(store: &Store, operators: &mut [(&'static str, Subtasks<B>)]) -> Manifest {
    let kind = SnapshotKind::Savepoint;
    let mut written = Vec::new();
    for (number, (uid, subtasks)) in operators.iter_mut().enumerate() {
        let (mut parts, mut states, mut key) = (Vec::new(), Vec::new(), None);
        for (at, (backend, more)) in subtasks.iter_mut().enumerate() {
            let (operator, subtask) = (number as u32, at as u32);
            let id = PartId { kind, checkpoint: 7, generation: 3, operator, subtask };
            let captures = vec![backend.capture().unwrap()];
            let operator = more.as_mut().map(|more| more.capture().unwrap());
            states = backend.infos();
            states.extend(more.iter().flat_map(OperatorBackend::infos));
            key = backend.key().cloned();
            let (range, chain) = (backend.range(), Chain::default());
            let input = PartInput { id, range, captures, operator, chain };
            let part = block_on(write_part(store, input, &SnapshotSettings::default())).unwrap();
            parts.push((part.chain.part, None));
        }
        states.sort_unstable_by_key(|state| state.id);
        let (uid, dropped, extra) = ((*uid).to_owned(), Vec::new(), Default::default());
        let operator = Operator { uid, key, states, dropped, parts: Vec::new(), extra };
        written.push(NewOperator { operator, parts });
    }
    let manifest = Manifest {
        job: "golden".into(),
        kind,
        checkpoint: 7,
        generation: 3,
        operators: Vec::new(),
        extra: Default::default(),
    };
    block_on(write_manifest(store, manifest, written)).unwrap().manifest
}

fn golden(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("format/esker/golden/v1/savepoints");
    root.join(name)
}

/// The files below `folder` by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn opened(folder: &Path) -> (Store, Manifest) {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let manifest = block_on(read_manifest(&store, &"_metadata".parse().unwrap(), None)).unwrap();
    (store, manifest)
}

/// The savepoint that the heap writes is the golden one, and so are its lines.
fn is_written<P: Program>() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let heap = <esker::backend::heap::HeapBackends as Tested>::new();
    let manifest = savepoint(&store, &mut P::open(&heap, 2, None, true));
    let said = lines::of(&store, &manifest).join("\n") + "\n";
    let (golden, said_at) = (golden(P::NAME), golden(&format!("{}.jsonl", P::NAME)));
    let written = files(folder.path());
    if std::env::var_os("ESKER_BLESS").is_some_and(|bless| bless == "1") {
        let _ = std::fs::remove_dir_all(&golden);
        for (name, bytes) in &written {
            let path = golden.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::fs::write(&said_at, &said).unwrap();
    }
    assert!(said == std::fs::read_to_string(said_at).unwrap(), "{said}");
    let there = files(&golden);
    assert_eq!(written.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    for (name, bytes) in &there {
        let differs = bytes.iter().zip(&written[name]).position(|(a, b)| a != b);
        assert!(*bytes == written[name], "{name:?} differs from byte {differs:?} on");
    }
    // It is what is there that says them.
    let (store, manifest) = opened(&golden);
    assert!(said == lines::of(&store, &manifest).join("\n") + "\n");
}

/// Restored on a backend at any parallelism, and saved again, it says the same.
fn is_restored<P: Program, F: Tested>() {
    let expected = std::fs::read_to_string(golden(&format!("{}.jsonl", P::NAME))).unwrap();
    let (store, manifest) = opened(&golden(P::NAME));
    for parallelism in [1, 3] {
        let factory = F::new();
        let mut operators = P::open(&factory, parallelism, Some(&manifest), false);
        for (uid, subtasks) in &mut operators {
            let stored = stored(Some(&manifest), uid).unwrap();
            let elements = block_on(read_operator_state(&store, stored)).unwrap();
            for (at, (backend, more)) in subtasks.iter_mut().enumerate() {
                let settings = SnapshotSettings::default();
                block_on(backend.restore(&store, &manifest, &settings)).unwrap();
                if let Some(more) = more {
                    more.restore(&elements, at as u32, parallelism).unwrap();
                }
            }
        }
        let memory = new_store();
        let manifest = savepoint(&memory, &mut operators);
        let said = lines::of(&memory, &manifest).join("\n") + "\n";
        assert!(said == expected, "{parallelism}: {said}");
    }
}

#[test]
fn savepoints_of_version_1_are_written() {
    is_written::<kinds::EveryKind>();
    is_written::<types::EveryType>();
}

macro_rules! restored {
    ($factory:ty) => {
        #[test]
        fn savepoints_of_version_1_are_restored() {
            super::is_restored::<super::kinds::EveryKind, $factory>();
            super::is_restored::<super::types::EveryType, $factory>();
        }
    };
}
of_each_backend!(restored);
