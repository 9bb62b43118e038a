//! Golden snapshots, for tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use crate::metadata::{FILE_NAME, KeyedHandle, Metadata, OperatorHandle, StreamHandle, StreamKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A snapshot among the golden files.
pub(crate) struct Golden {
    pub(crate) folder: PathBuf,
    /// `VERSION/NAME` and, of several snapshots, the folder within.
    pub(crate) name: String,
    /// All of `_metadata`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Metadata,
    /// What the paths in the files began with, and where that is now.
    moved: (String, PathBuf),
    /// Where `snapshot.json` stands.
    described: PathBuf,
}

impl Golden {
    /// The bytes of a stream.
    pub(crate) fn stream(&self, handle: &StreamHandle) -> Vec<u8> {
        match &handle.leaf().kind {
            StreamKind::Bytes { bytes, .. } => bytes.to_vec(),
            StreamKind::File { path, .. } => self.file(path),
            StreamKind::Relative { path, .. } => std::fs::read(self.folder.join(path)).unwrap(),
            StreamKind::Segment(segment) => {
                let (start, len) = (segment.start as usize, segment.len_bytes as usize);
                self.file(&segment.path)[start..start + len].to_vec()
            }
            StreamKind::EmptySegment => Vec::new(),
            StreamKind::KeyGroups(_) => panic!("a leaf is none"),
        }
    }

    fn file(&self, path: &str) -> Vec<u8> {
        let bare = |path: &str| path.strip_prefix("file:").unwrap_or(path).to_owned();
        let rest = bare(path);
        let rest = rest.strip_prefix(&bare(&self.moved.0)).unwrap_or_else(|| panic!("{path}"));
        std::fs::read(self.moved.1.join(rest.trim_start_matches('/'))).unwrap()
    }

    /// How many lines are expected of the states of each name, of keyed states and timers or of operator state; none where records are in
    /// flight, as they are not part of it yet.
    pub(crate) fn expected(&self, is_keyed: bool) -> BTreeMap<String, usize> {
        let json = std::fs::read_to_string(self.described.join("snapshot.json")).unwrap();
        let path = self.folder.strip_prefix(&self.described).unwrap().display().to_string();
        let (_, rest) = json.split_once(&format!("\"path\": \"{path}\"")).unwrap();
        let (_, rest) = rest.split_once("\"expected\": \"").unwrap();
        let (file, _) = rest.split_once('"').unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/expected");
        let mut counts = BTreeMap::new();
        if json.contains("\"inFlight\": true") {
            return counts;
        }
        for line in std::fs::read_to_string(root.join(file)).unwrap().lines() {
            let field = |name: &str| {
                let (_, rest) = line.split_once(&format!("\"{name}\":\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            if is_keyed != field("kind").starts_with("operator-") {
                *counts.entry(field("state")).or_insert(0) += 1;
            }
        }
        counts
    }

    /// The handles of operator state that stand for some, each with its stream and the length of the header there.
    pub(crate) fn operator_streams(&self) -> Vec<(&OperatorHandle, Vec<u8>, usize)> {
        let subtasks = self.metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        let states = subtasks.filter_map(|subtask| subtask.state.as_ref());
        let handles = states.filter_map(|state| state.operator.as_ref());
        let streams = handles.filter(|handle| !handle.is_empty()).map(|handle| {
            let stream = self.stream(&handle.stream);
            let header_len = handle.header_len(stream.len() as u64) as usize;
            (handle, stream, header_len)
        });
        streams.collect()
    }

    /// The handles of keyed state, with their operator's maximum parallelism; those inside changelogs too.
    pub(crate) fn keyed(&self) -> Vec<(u32, &KeyedHandle)> {
        let mut found = Vec::new();
        for operator in &self.metadata.operators {
            let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_ref());
            for handle in states.filter_map(|state| state.keyed.as_ref()) {
                found.push((operator.max_parallelism, handle));
                if let KeyedHandle::Changelog(changelog) = handle {
                    let nested = changelog.materialized.iter().chain(&changelog.changes);
                    found.extend(nested.map(|handle| (operator.max_parallelism, handle)));
                }
            }
        }
        found
    }
}

/// All golden snapshots.
pub(crate) fn goldens() -> Vec<Golden> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut found = Vec::new();
    find(&root, None, &mut found);
    for golden in &mut found {
        golden.name = golden.folder.strip_prefix(&root).unwrap().display().to_string();
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() >= 70);
    found
}

fn find(folder: &Path, moved: Option<(String, PathBuf)>, found: &mut Vec<Golden>) {
    let mut moved = moved;
    if let Ok(json) = std::fs::read_to_string(folder.join("snapshot.json")) {
        let (_, rest) = json.split_once("\"writtenAt\": \"").unwrap();
        let (written_at, _) = rest.split_once('"').unwrap();
        moved = Some((written_at.to_owned(), folder.join("snapshot")));
    }
    if let Ok(bytes) = std::fs::read(folder.join(FILE_NAME)) {
        let metadata = Metadata::read(&bytes).unwrap();
        let (folder, moved) = (folder.to_owned(), moved.clone().unwrap());
        let described = moved.1.parent().unwrap().to_owned();
        found.push(Golden { folder, name: String::new(), bytes, metadata, moved, described });
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, moved.clone(), found);
        }
    }
}
