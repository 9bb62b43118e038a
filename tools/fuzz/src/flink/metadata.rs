//! `_metadata`.

use super::golden::SNAPSHOTS;
use super::hostile;
use crate::decoding;
use esker_flink::Metadata;
use esker_flink::metadata::{KeyedHandle, StreamHandle, StreamKind};
use std::convert::Infallible;

/// What a stream is taken to be long, where the handle does not say.
const STREAM_LEN_BYTES: u64 = 1 << 20;
/// Bytes inside a small `_metadata`, of each stream.
const INLINE_LEN_BYTES: usize = 24;
/// Key groups of a handle in it.
const KEY_GROUPS: usize = 4;

/// A whole file.
pub(crate) fn metadata(bytes: &[u8]) {
    let Ok(metadata) = decoding(bytes, || Metadata::read(bytes)) else { return };
    let again = metadata.write().unwrap();
    assert!(again == bytes, "metadata is written as it was read");
    assert!(Metadata::read(&again).unwrap() == metadata);
    decoding(bytes, || look_at(&metadata));
}

/// All that is computed of handles.
fn look_at(metadata: &Metadata) {
    let mut streams = 0;
    let visited = metadata.visit_streams(|site, stream| {
        assert!(site.operator < metadata.operators.len());
        assert!(!matches!(stream.kind, StreamKind::KeyGroups(_)));
        streams += usize::from(stream.path().is_some() || stream.len_bytes().is_some());
        Ok::<_, Infallible>(())
    });
    assert!(visited.is_ok());
    let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    for state in subtasks.filter_map(|subtask| subtask.state.as_ref()) {
        let len = |stream: &StreamHandle| stream.len_bytes().unwrap_or(STREAM_LEN_BYTES);
        for handle in [&state.operator, &state.operator_raw].into_iter().flatten() {
            let len = len(&handle.stream);
            assert!(handle.header_len(len) <= len);
            let Ok(extents) = handle.extents(len) else { continue };
            let mut extents = extents.iter().flatten();
            assert!(extents.all(|extent| extent.start <= extent.end && extent.end <= len));
        }
        for handle in [&state.keyed, &state.keyed_raw].into_iter().flatten() {
            let KeyedHandle::KeyGroups(handle) = handle else { continue };
            let len = len(&handle.stream);
            assert!(handle.header_len(len) <= len);
            for raw in [false, true] {
                let Ok(extents) = handle.extents(len, raw) else { continue };
                for (group, extent) in extents {
                    assert!(handle.range.contains(group));
                    assert!(extent.start <= extent.end && extent.end <= len);
                }
            }
        }
    }
}

pub(crate) fn metadata_seeds() -> Vec<Vec<u8>> {
    let whole = SNAPSHOTS.iter().map(|(bytes, _)| bytes.clone());
    let small = SNAPSHOTS.iter().flat_map(|(_, metadata)| small(metadata));
    let mut seeds: Vec<_> = whole.chain(small).chain(hostile::metadata()).collect();
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Each operator alone, with one subtask, few key groups and little in the file itself.
fn small(metadata: &Metadata) -> Vec<Vec<u8>> {
    let of_one = metadata.operators.iter().map(|operator| {
        let mut operator = operator.clone();
        operator.subtasks.truncate(1);
        for subtask in &mut operator.subtasks {
            let Some(state) = &mut subtask.state else { continue };
            for handle in [&mut state.keyed, &mut state.keyed_raw].into_iter().flatten() {
                fewer(handle);
            }
        }
        let mut one = Metadata { operators: vec![operator], ..metadata.clone() };
        let shortened = one.visit_streams_mut(|_, stream| {
            if let StreamKind::Bytes { bytes, .. } = &mut stream.kind {
                *bytes = bytes[..bytes.len().min(INLINE_LEN_BYTES)].into();
            }
            Ok::<_, Infallible>(())
        });
        assert!(shortened.is_ok());
        one.write().unwrap()
    });
    of_one.collect()
}

fn fewer(handle: &mut KeyedHandle) {
    match handle {
        KeyedHandle::KeyGroups(handle) => {
            handle.offsets.truncate(KEY_GROUPS);
            let count = handle.offsets.len() as u16;
            handle.range = esker_flink::KeyGroupRange::new(handle.range.first(), count).unwrap();
        }
        KeyedHandle::Incremental(handle) => {
            handle.shared.truncate(2);
            handle.private.truncate(2);
        }
        KeyedHandle::Changelog(handle) => {
            handle.materialized.iter_mut().chain(&mut handle.changes).for_each(fewer);
        }
        KeyedHandle::ChangelogBytes(handle) => handle.changes.truncate(2),
        KeyedHandle::ChangelogFiles(handle) => handle.files.truncate(2),
    }
}
