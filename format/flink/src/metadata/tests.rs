#![allow(clippy::unwrap_used, reason = "tests, helpers included")]
mod damage;

use super::properties::{SnapshotType, snapshot_type};
use super::*;
use crate::key_group::KeyGroupRange;
use crate::operator_id::OperatorId;
use crate::testing::{Golden, goldens};
use proptest::prelude::*;
use std::convert::Infallible;

#[test]
fn goldens_are_written_as_they_were() {
    for Golden { name: text, bytes, metadata, .. } in goldens() {
        assert!(metadata.write().unwrap() == bytes, "{text}");
        if metadata.version >= 4 {
            let expected = match () {
                () if text.contains("savepoint-canonical") => SnapshotType::CanonicalSavepoint,
                () if text.contains("savepoint-native") => SnapshotType::NativeSavepoint,
                () => SnapshotType::Checkpoint,
            };
            assert_eq!(snapshot_type(&metadata.properties), Some(expected), "{text}");
            assert_eq!(properties::of(expected), metadata.properties, "{text}");
        }
        let named = metadata.operators.iter().any(|operator| operator.name.is_some());
        assert_eq!(named, metadata.version >= 5, "{text}");
        for operator in &metadata.operators {
            if let Some(uid) = &operator.uid {
                assert_eq!(OperatorId::of_uid(uid), operator.id);
            }
        }
    }
}

/// Every stream is visited: what the visit finds is every path that stands in the file.
#[test]
fn visits_find_every_stream() {
    for Golden { name, bytes, mut metadata, .. } in goldens() {
        let mut found = Vec::new();
        metadata
            .visit_streams(|site, stream| {
                let named = matches!(site.slot, Slot::KeyedShared | Slot::KeyedPrivate);
                assert_eq!(site.file_name.is_some(), named);
                assert_eq!(
                    bytes[stream.position.offset().unwrap() as usize],
                    match stream.kind {
                        StreamKind::Bytes { .. } => 1,
                        StreamKind::File { .. } => 2,
                        StreamKind::Relative { .. } => 6,
                        StreamKind::Segment(_) => 15,
                        StreamKind::EmptySegment => 16,
                        StreamKind::KeyGroups(_) => 3,
                    }
                );
                found.push(stream.clone());
                Ok::<_, Infallible>(())
            })
            .unwrap();
        assert!(!found.is_empty(), "{}", name);
        // What is left without the streams found has no path and no bytes.
        let mut again = Vec::new();
        let emptied = metadata.visit_streams_mut(|_, stream| {
            again.push(std::mem::replace(stream, StreamHandle::new(StreamKind::EmptySegment)));
            Ok::<_, Infallible>(())
        });
        emptied.unwrap();
        assert_eq!(found, again);
        let debug = format!("{metadata:?}");
        for kind in
            ["Bytes { name", "File { path", "Relative { path", "Segment(", "KeyGroups(Nested"]
        {
            assert!(!debug.contains(kind), "{}: {kind}", name);
        }
    }
}

#[test]
fn made_metadata_reads_as_it_was_made() {
    let mut metadata = Metadata::new(7);
    let mut operator = Operator::new(OperatorId::of_uid("users"), 1, 128);
    operator.subtasks.push(Subtask {
        index: 0,
        state: Some(Box::new(SubtaskState {
            keyed: Some(KeyedHandle::KeyGroups(KeyGroupsHandle {
                position: Position::default(),
                format: KeyGroupsFormat::Canonical,
                range: KeyGroupRange::of_subtask(0, 1, 128).unwrap(),
                offsets: vec![0; 128],
                stream: StreamHandle::relative("part-0", 99),
            })),
            ..SubtaskState::default()
        })),
    });
    metadata.operators.push(operator);
    let three = metadata.write().unwrap();
    assert_eq!(Metadata::read(&three).unwrap(), metadata);
    assert_eq!(three[..16], [0x49, 0x60, 0x67, 0x2d, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7]);
    metadata.version = 4;
    assert!(metadata.write().unwrap_err().message.contains("properties"));
    metadata.properties = properties::of(SnapshotType::CanonicalSavepoint);
    assert_eq!(metadata.properties.len(), 745);
    assert_eq!(Metadata::read(&metadata.write().unwrap()).unwrap(), metadata);
}

#[test]
fn refusals_say_where() {
    let error = |bytes: &[u8]| Metadata::read(bytes).unwrap_err();
    assert!(error(b"esker-metadata 1").to_string().contains("not a Flink snapshot"));
    let versioned = |version: u8| {
        let mut bytes = MAGIC.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0, version]);
        bytes
    };
    assert_eq!(error(&versioned(7)).kind, crate::FormatErrorKind::UnsupportedVersion);
    assert_eq!(error(&versioned(1)).kind, crate::FormatErrorKind::UnsupportedVersion);
    assert_eq!(error(&versioned(6)).offset, Some(8));
    // A handle in a handle in a handle.
    let mut deep = versioned(3);
    deep.put_i64(1);
    deep.put_i32(0);
    deep.put_i32(1);
    deep.extend([7; 16]);
    deep.put_i32(1);
    deep.put_i32(128);
    for _ in 0..1_000 {
        deep.push(3);
        deep.extend([0; 8]);
    }
    assert!(error(&deep).message.contains("16 deep"), "{}", error(&deep));
}

/// Metadata of any version, of which every list and handle is drawn.
mod drawn {
    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z/:-]{0,12}", "[\\PC\\x00]{0,4}"]
    }

    fn stream() -> impl Strategy<Value = StreamHandle> {
        let len = || prop::option::of(0..u64::MAX / 2);
        let leaf = prop_oneof![
            (text(), prop::collection::vec(any::<u8>(), 0..20))
                .prop_map(|(name, bytes)| StreamHandle::inline(name, bytes)),
            (text(), len()).prop_map(|(path, len_bytes)| StreamHandle::new(StreamKind::File {
                path,
                len_bytes
            })),
            (text(), len()).prop_map(|(path, len_bytes)| StreamHandle::new(StreamKind::Relative {
                path,
                len_bytes
            })),
            (0..99_u64, 0..99_u64, text(), text(), any::<bool>()).prop_map(
                |(start, len_bytes, path, logical_id, shared)| {
                    let scope = if shared { Scope::Shared } else { Scope::Exclusive };
                    let segment = Segment { start, len_bytes, scope, path, logical_id };
                    StreamHandle::new(StreamKind::Segment(Box::new(segment)))
                }
            ),
            Just(StreamHandle::new(StreamKind::EmptySegment)),
        ];
        leaf.prop_recursive(3, 3, 1, |inner| {
            (any::<i32>(), prop::collection::vec(any::<i64>(), 0..3), inner).prop_map(
                |(first, offsets, stream)| {
                    let nested = stream::NestedKeyGroups { first, offsets, stream };
                    StreamHandle::new(StreamKind::KeyGroups(Box::new(nested)))
                },
            )
        })
    }

    fn range() -> impl Strategy<Value = KeyGroupRange> {
        (0..100_u16, 0..5_u16).prop_map(|(first, count)| KeyGroupRange::new(first, count).unwrap())
    }

    fn files() -> impl Strategy<Value = Vec<NamedStream>> {
        let file = (text(), stream()).prop_map(|(name, stream)| NamedStream { name, stream });
        prop::collection::vec(file, 0..3)
    }

    fn key_groups() -> impl Strategy<Value = KeyedHandle> {
        let format = prop_oneof![
            Just(KeyGroupsFormat::Legacy),
            Just(KeyGroupsFormat::Canonical),
            text().prop_map(|id| KeyGroupsFormat::Native { id }),
        ];
        (format, range(), any::<i64>(), stream()).prop_map(|(format, range, offset, stream)| {
            let offsets = vec![offset; range.count().into()];
            let position = Position::default();
            KeyedHandle::KeyGroups(KeyGroupsHandle { position, format, range, offsets, stream })
        })
    }

    fn incremental() -> impl Strategy<Value = KeyedHandle> {
        let written = prop::option::of((any::<i64>(), text()));
        (any::<i64>(), text(), range(), written, stream(), files(), files()).prop_map(
            |(checkpoint_id, backend, range, written, meta, shared, private)| {
                let position = Position::default();
                KeyedHandle::Incremental(IncrementalHandle {
                    position,
                    checkpoint_id,
                    backend,
                    range,
                    written,
                    meta,
                    shared,
                    private,
                })
            },
        )
    }

    fn changes() -> impl Strategy<Value = KeyedHandle> {
        let bytes =
            prop::collection::vec((any::<i32>(), prop::collection::vec(any::<u8>(), 0..9)), 0..3);
        let files = prop::collection::vec((0..99_u64, stream()), 0..3);
        prop_oneof![
            (range(), any::<[i64; 2]>(), bytes, text()).prop_map(
                |(range, [from, to], changes, id)| {
                    let changes = changes
                        .into_iter()
                        .map(|(key_group, bytes)| Change { key_group, bytes })
                        .collect();
                    let position = Position::default();
                    KeyedHandle::ChangelogBytes(ChangelogBytes {
                        position,
                        range,
                        from,
                        to,
                        changes,
                        id,
                    })
                }
            ),
            (range(), files, any::<[i64; 2]>(), text(), prop::option::of(text())).prop_map(
                |(range, files, [state_bytes, checkpointed_bytes], id, storage)| {
                    let files = files
                        .into_iter()
                        .map(|(offset, stream)| ChangeFile { offset, stream })
                        .collect();
                    let position = Position::default();
                    KeyedHandle::ChangelogFiles(ChangelogFiles {
                        position,
                        range,
                        files,
                        state_bytes,
                        checkpointed_bytes,
                        id,
                        storage,
                    })
                }
            ),
        ]
    }

    fn keyed() -> impl Strategy<Value = KeyedHandle> {
        let changelog = (
            range(),
            any::<[i64; 2]>(),
            prop::collection::vec(prop_oneof![key_groups(), incremental()], 0..3),
            prop::collection::vec(changes(), 0..3),
            prop::option::of(any::<i64>()),
            text(),
        )
            .prop_map(|(range, numbers, materialized, changes, checkpoint_id, id)| {
                KeyedHandle::Changelog(ChangelogHandle {
                    position: Position::default(),
                    range,
                    checkpointed_bytes: numbers[0],
                    materialized,
                    changes,
                    materialization_id: numbers[1],
                    checkpoint_id,
                    id,
                })
            });
        prop_oneof![key_groups(), incremental(), changelog]
    }

    fn operator_handle() -> impl Strategy<Value = OperatorHandle> {
        let mode = prop_oneof![Just(Mode::Split), Just(Mode::Union), Just(Mode::Broadcast)];
        let states = (text(), mode, prop::collection::vec(0..99_u64, 0..3))
            .prop_map(|(name, mode, offsets)| StateOffsets { name, mode, offsets });
        (prop::collection::vec(states, 0..3), prop::option::of((text(), text())), stream())
            .prop_map(|(states, folders, stream)| {
                let merged =
                    matches!(stream.kind, StreamKind::Segment(_) | StreamKind::EmptySegment);
                let folders = folders
                    .filter(|_| merged)
                    .map(|(task_owned, shared)| SegmentFolders { task_owned, shared });
                OperatorHandle { position: Position::default(), states, folders, stream }
            })
    }

    fn channel(version: u32) -> impl Strategy<Value = ChannelHandle> {
        let state = (any::<[i32; 2]>(), any::<i64>(), prop::collection::vec(0..99_u64, 0..3));
        let merged = if version >= 6 { any::<bool>().boxed() } else { Just(false).boxed() };
        (any::<i32>(), prop::collection::vec(state, 1..3), stream(), merged).prop_map(
            |(subtask, states, stream, merged)| {
                let mut channels: Vec<_> = states
                    .into_iter()
                    .map(|([major, minor], state_bytes, offsets)| ChannelState {
                        channel: (major, minor),
                        state_bytes,
                        offsets,
                    })
                    .collect();
                if !merged {
                    channels.truncate(1);
                }
                let state_bytes = channels[0].state_bytes;
                ChannelHandle {
                    position: Position::default(),
                    subtask,
                    state_bytes,
                    stream,
                    merged,
                    channels,
                }
            },
        )
    }

    fn subtask(version: u32) -> impl Strategy<Value = Subtask> {
        let operator = || prop::option::of(operator_handle());
        let keyed = || prop::option::of(keyed());
        let channels =
            || prop::collection::vec(channel(version), 0..if version == 2 { 1 } else { 3 });
        (0..9_u32, any::<bool>(), operator(), operator(), keyed(), keyed(), channels(), channels())
            .prop_map(
                move |(
                    index,
                    finished,
                    operator,
                    operator_raw,
                    keyed,
                    keyed_raw,
                    inputs,
                    outputs,
                )| {
                    let legacy = LegacySubtask::default();
                    let state = SubtaskState {
                        legacy,
                        operator,
                        operator_raw,
                        keyed,
                        keyed_raw,
                        inputs,
                        outputs,
                    };
                    let state = (version == 2 || !finished).then(|| Box::new(state));
                    Subtask { index, state }
                },
            )
    }

    fn operator(version: u32) -> impl Strategy<Value = Operator> {
        let named = prop::option::of("[a-z]{1,5}");
        let coordinator = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
        let subtasks = prop::collection::vec(subtask(version), 0..3);
        (named.clone(), named, any::<[u8; 16]>(), coordinator, any::<bool>(), subtasks).prop_map(
            move |(name, uid, id, coordinator, finished, subtasks)| {
                let mut operator = Operator::new(OperatorId(id), 3, 1_000);
                if version >= 5 {
                    (operator.name, operator.uid) = (name, uid);
                }
                if version >= 3 && finished {
                    operator.finished = true;
                    return operator;
                }
                operator.coordinator = coordinator
                    .filter(|_| version >= 3)
                    .map(|bytes| StreamHandle::inline("c", bytes));
                operator.subtasks = subtasks;
                operator
            },
        )
    }

    fn of_version(version: u32) -> impl Strategy<Value = Metadata> {
        let master = (any::<i32>(), text(), prop::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(version, name, payload)| MasterState { version, name, payload });
        let masters = prop::collection::vec(master, 0..2);
        let operators = prop::collection::vec(operator(version), 0..3);
        (0..i64::MAX, masters, operators).prop_map(
            move |(checkpoint_id, master_states, operators)| {
                let properties = if version >= 4 {
                    properties::of(SnapshotType::Checkpoint)
                } else {
                    Vec::new()
                };
                Metadata { version, checkpoint_id, master_states, operators, properties }
            },
        )
    }

    pub(super) fn metadata() -> impl Strategy<Value = Metadata> {
        (VERSION_MIN..=VERSION_MAX).prop_flat_map(of_version)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read(metadata in drawn::metadata()) {
        let bytes = metadata.write().unwrap();
        let read = Metadata::read(&bytes).unwrap();
        prop_assert_eq!(&read, &metadata);
        prop_assert_eq!(read.write().unwrap(), bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_written_as_they_were(
        metadata in drawn::metadata(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = metadata.write().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = Metadata::read(&bytes) {
            prop_assert_eq!(read.write().unwrap(), bytes);
        }
    }
}
