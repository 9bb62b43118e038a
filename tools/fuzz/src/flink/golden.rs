//! The golden snapshots, and what their streams hold.

use esker_flink::Metadata;
use esker_flink::metadata::{FILE_NAME, KeyedHandle, StreamHandle, StreamKind, SubtaskState};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Every `_metadata`, with what it says.
pub(crate) static SNAPSHOTS: LazyLock<Vec<(Vec<u8>, Metadata)>> = LazyLock::new(|| {
    let metadata = FILES.iter().filter(|path| path.file_name().unwrap() == FILE_NAME);
    let read = metadata.map(|path| {
        let bytes = std::fs::read(path).unwrap();
        let metadata = Metadata::read(&bytes).unwrap();
        (bytes, metadata)
    });
    read.collect()
});

static FILES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let mut files = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/flink/golden"), &mut files);
    files.sort();
    files
});

/// Files by their names, which are UUIDs.
static NAMED: LazyLock<BTreeMap<&str, &Path>> = LazyLock::new(|| {
    FILES.iter().map(|path| (path.file_name().unwrap().to_str().unwrap(), path.as_path())).collect()
});

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => find(&path, files),
            false => files.push(path),
        }
    }
}

/// The bytes of a stream of one of the snapshots.
pub(crate) fn stream(handle: &StreamHandle) -> Vec<u8> {
    let leaf = handle.leaf();
    if let StreamKind::Bytes { bytes, .. } = &leaf.kind {
        return bytes.to_vec();
    }
    let Some(path) = leaf.path() else { return Vec::new() };
    let bytes = std::fs::read(NAMED[path.rsplit('/').next().unwrap()]).unwrap();
    match &leaf.kind {
        StreamKind::Segment(segment) => {
            bytes[segment.start as usize..][..segment.len_bytes as usize].to_vec()
        }
        _ => bytes,
    }
}

/// The state of every subtask, with its operator's maximum parallelism.
pub(crate) fn subtasks() -> impl Iterator<Item = (u32, &'static SubtaskState)> {
    let operators = SNAPSHOTS.iter().flat_map(|(_, metadata)| &metadata.operators);
    operators.flat_map(|operator| {
        let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_deref());
        states.map(|state| (operator.max_parallelism, state))
    })
}

/// Every handle of managed keyed state; those inside changelogs too.
pub(crate) fn keyed() -> Vec<(u32, &'static KeyedHandle)> {
    let mut found = Vec::new();
    for (max_parallelism, state) in subtasks() {
        let Some(handle) = &state.keyed else { continue };
        found.push((max_parallelism, handle));
        if let KeyedHandle::Changelog(changelog) = handle {
            let nested = changelog.materialized.iter().chain(&changelog.changes);
            found.extend(nested.map(|handle| (max_parallelism, handle)));
        }
    }
    found
}
