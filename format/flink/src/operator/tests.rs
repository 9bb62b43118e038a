#![allow(clippy::unwrap_used, reason = "tests, helpers included")]
use super::*;
use crate::metadata::{Mode, Position, StateOffsets, StreamHandle};
use crate::testing::{Golden, goldens};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How many elements and entries of each state the operator `buffer` of a golden has; of broadcast state those of one subtask.
fn counts(golden: &Golden, again: &mut usize, unflushed: &mut usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (handle, stream, len) in golden.operator_streams() {
        let header = OperatorHeader::read(&mut Input::new("test", &stream[..len])).unwrap();
        *again += rewritten(&stream, &header, handle);
        let elements = whole_elements(&stream, &header, handle).unwrap_or_else(|| {
            *unflushed += 1;
            all_elements(&Unflushed::read(&stream, &header, handle).unwrap(), handle)
        });
        for (state, elements) in handle.states.iter().zip(elements) {
            let meta = header.state(&state.name).unwrap();
            let mut count = 0;
            for bytes in elements {
                if state.mode == Mode::Broadcast {
                    let entries = BroadcastEntries::new(&bytes, meta).unwrap();
                    entries.for_each(|entry| {
                        entry.unwrap();
                        count += 1;
                    });
                } else {
                    check_element(&bytes, meta.needed(Role::Value).unwrap()).unwrap();
                    count += 1;
                }
            }
            let total = counts.entry(state.name.clone()).or_insert(0);
            match state.mode {
                Mode::Broadcast => *total = count,
                _ => *total += count,
            }
        }
    }
    counts
}

/// What stands at each offset, if that is what a state has there.
fn whole_elements(
    stream: &[u8],
    header: &OperatorHeader,
    handle: &OperatorHandle,
) -> Option<Vec<Vec<Vec<u8>>>> {
    let extents = handle.extents(stream.len() as u64).unwrap();
    let of_state = |(state, extents): (&StateOffsets, &Vec<Range<u64>>)| {
        let element = |extent: &Range<u64>| {
            let bytes = read_extent(stream, header, extent).ok()?;
            is_whole(&bytes, header.state(&state.name)?, state.mode).then(|| bytes.into_owned())
        };
        extents.iter().map(element).collect()
    };
    handle.states.iter().zip(&extents).map(of_state).collect()
}

fn all_elements(unflushed: &Unflushed, handle: &OperatorHandle) -> Vec<Vec<Vec<u8>>> {
    let of_state = |state| unflushed.elements(state).map(<[u8]>::to_vec).collect();
    (0..handle.states.len()).map(of_state).collect()
}

/// An uncompressed stream, written again from its parts in the order of its offsets, is the same.
fn rewritten(stream: &[u8], header: &OperatorHeader, handle: &OperatorHandle) -> usize {
    if header.compressed {
        return 0;
    }
    let mut states: Vec<_> =
        handle.states.iter().zip(handle.extents(stream.len() as u64).unwrap()).collect();
    states.sort_by_key(|(state, _)| state.offsets.first().copied());
    let mut writer = OperatorWriter::new(header).unwrap();
    for (state, extents) in &states {
        let elements =
            extents.iter().map(|extent| &stream[extent.start as usize..extent.end as usize]);
        match state.mode {
            Mode::Broadcast => {
                let bytes = elements.collect::<Vec<_>>().concat();
                let entries =
                    BroadcastEntries::new(&bytes, header.state(&state.name).unwrap()).unwrap();
                writer.broadcast(&state.name, entries.map(|entry| entry.unwrap())).unwrap();
            }
            mode => writer.list(&state.name, mode == Mode::Union, elements),
        }
    }
    let (bytes, offsets) = writer.finish();
    assert!(bytes == stream);
    assert!(states.iter().map(|(state, _)| *state).eq(&offsets));
    1
}

#[test]
fn goldens_hold_the_elements_that_they_should() {
    let (mut checked, mut again, mut unflushed) = (BTreeSet::new(), 0, 0);
    for golden in goldens() {
        let counts = counts(&golden, &mut again, &mut unflushed);
        for (state, count) in golden.expected(false) {
            assert_eq!(counts.get(&state), Some(&count), "{}: {state}", golden.name);
            checked.insert(state);
        }
    }
    let names = ["flags", "maps", "offsets", "pending", "pojos", "rules", "unsent"];
    assert_eq!(checked.iter().map(String::as_str).collect::<Vec<_>>(), names);
    // Of Flink 1.18.1: the subtasks of the source's operator have one element each, and need no more.
    assert!(again > 100 && unflushed == 2, "{again} {unflushed}");
}

fn header() -> OperatorHeader {
    let (string, long) = (Serializer::string(), Serializer::long());
    let lists = vec![
        StateMeta::operator("list", false, string.clone()),
        StateMeta::operator("union", true, long.clone()),
    ];
    OperatorHeader::new(true, lists, vec![StateMeta::broadcast("map", string, long)])
}

fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::text::write_string(Some(text), &mut out).unwrap();
    out
}

/// A stream, and its handle.
fn written(
    list: &[Vec<u8>],
    union: &[[u8; 8]],
    map: &[(Vec<u8>, [u8; 8])],
) -> (Vec<u8>, OperatorHandle) {
    let mut writer = OperatorWriter::new(&header()).unwrap();
    writer.list("list", false, list.iter().map(Vec::as_slice));
    writer.list("union", true, union.iter().map(|element| &element[..]));
    writer.broadcast("map", map.iter().map(|(key, value)| (&key[..], &value[..]))).unwrap();
    let (stream, states) = writer.finish();
    let handle = OperatorHandle {
        position: Position::default(),
        states,
        folders: None,
        stream: StreamHandle::relative("state", stream.len() as u64),
    };
    (stream, handle)
}

/// The same with each element compressed, as Flink does it.
fn compressed(stream: &[u8], handle: &OperatorHandle) -> (Vec<u8>, OperatorHandle) {
    let mut out = Vec::new();
    OperatorHeader { compressed: true, ..header() }.write(&mut out).unwrap();
    out.extend(snappy::IDENTIFIER);
    let mut handle = handle.clone();
    let extents = handle.extents(stream.len() as u64).unwrap();
    for (state, extents) in handle.states.iter_mut().zip(extents) {
        for (offset, extent) in state.offsets.iter_mut().zip(extents) {
            *offset = out.len() as u64;
            let mut packed = Vec::new();
            snappy::compress(&stream[extent.start as usize..extent.end as usize], &mut packed)
                .unwrap();
            out.extend(&packed[snappy::IDENTIFIER.len()..]);
        }
    }
    (out, handle)
}

fn header_of(stream: &[u8], handle: &OperatorHandle) -> OperatorHeader {
    let len = handle.header_len(stream.len() as u64) as usize;
    OperatorHeader::read(&mut Input::new("test", &stream[..len])).unwrap()
}

/// The same as Flink 1.18.1 had it: a stream for each state, and offsets where that begins.
fn unflushed(stream: &[u8], handle: &OperatorHandle) -> (Vec<u8>, OperatorHandle) {
    let elements = whole_elements(stream, &header_of(stream, handle), handle).unwrap();
    let mut out = Vec::new();
    OperatorHeader { compressed: true, ..header() }.write(&mut out).unwrap();
    let mut handle = handle.clone();
    for (state, elements) in handle.states.iter_mut().zip(elements) {
        state.offsets.fill((out.len() + snappy::IDENTIFIER.len()) as u64);
        snappy::compress(&elements.concat(), &mut out).unwrap();
    }
    (out, handle)
}

type Read = (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>);

fn read(stream: &[u8], handle: &OperatorHandle) -> Result<Read> {
    let len = handle.header_len(stream.len() as u64) as usize;
    let header = OperatorHeader::read(&mut Input::new("test", &stream[..len]))?;
    let extents = handle.extents(stream.len() as u64)?;
    let elements = |number: usize| {
        let elements = extents[number].iter().map(|extent| {
            let bytes = read_extent(stream, &header, extent)?;
            check_element(&bytes, header.lists[number].needed(Role::Value)?)?;
            Ok(bytes.into_owned())
        });
        elements.collect::<Result<Vec<_>>>()
    };
    let map = read_extent(stream, &header, &extents[2][0])?;
    let entries = BroadcastEntries::new(&map, &header.broadcasts[0])?;
    let owned = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
    Ok((elements(0)?, elements(1)?, entries.map(|entry| entry.map(owned)).collect::<Result<_>>()?))
}

type Drawn = (Vec<Vec<u8>>, Vec<[u8; 8]>, Vec<(Vec<u8>, [u8; 8])>);

fn drawn() -> impl Strategy<Value = Drawn> {
    let text = || "\\PC{0,9}".prop_map(|text| string(&text));
    let list = prop::collection::vec(text(), 0..5);
    let union = prop::collection::vec(any::<[u8; 8]>(), 0..5);
    (list, union, prop::collection::vec((text(), any::<[u8; 8]>()), 0..5))
}

proptest! {
    #[test]
    fn what_is_written_is_read((list, union, map) in drawn()) {
        let expected = (
            list.clone(),
            union.iter().map(|element| element.to_vec()).collect(),
            map.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect(),
        );
        let (stream, handle) = written(&list, &union, &map);
        prop_assert_eq!(read(&stream, &handle), Ok(expected.clone()));
        let (stream, handle) = compressed(&stream, &handle);
        prop_assert_eq!(read(&stream, &handle), Ok(expected));
        // Without its offsets it is the same.
        let elements = whole_elements(&stream, &header_of(&stream, &handle), &handle).unwrap();
        let (stream, handle) = unflushed(&stream, &handle);
        let header = header_of(&stream, &handle);
        let found = Unflushed::read(&stream, &header, &handle).unwrap();
        prop_assert_eq!(all_elements(&found, &handle), elements);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        (list, union, map) in drawn(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        pack in any::<bool>(),
    ) {
        let (mut stream, mut handle) = written(&list, &union, &map);
        if pack {
            (stream, handle) = compressed(&stream, &handle);
        }
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream.truncate(cut.index(stream.len()) + 1);
        let _ = read(&stream, &handle);
    }
}

#[test]
fn refusals_say_where() {
    let (stream, handle) = written(&[string("a"), string("b")], &[], &[(string("k"), [1; 8])]);
    assert!(read(&stream, &handle).is_ok());
    let short = &stream[..stream.len() - 1];
    assert!(read(short, &handle).unwrap_err().message.starts_with("needs"));
    let longer = [&stream[..], &[0]].concat();
    assert!(read(&longer, &handle).unwrap_err().message.contains("1 bytes follow its end"));
    assert!(read(&stream[..8], &handle).is_err());
    assert!(handle.extents(8).unwrap_err().message.contains("behind the 8 bytes"));
    // An element that ends before the next one begins.
    let mut moved = handle.clone();
    moved.states[0].offsets[1] += 1;
    assert!(read(&stream, &moved).is_err());
    // Elements without offsets of their own, whose ends only their class tells, or with something behind them.
    let (mut adrift, handle_of) = {
        let (stream, handle) = compressed(&stream, &handle);
        unflushed(&stream, &handle)
    };
    let mut header = header_of(&adrift, &handle_of);
    let element = Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap();
    header.lists[0] = StateMeta::operator("list", false, element);
    let refused = Unflushed::read(&adrift, &header, &handle_of).unwrap_err();
    assert!(refused.message.contains("com.example.Secret"), "{refused}");
    snappy::compress(b"more", &mut adrift).unwrap();
    let refused = Unflushed::read(&adrift, &header_of(&adrift, &handle_of), &handle_of);
    assert!(refused.unwrap_err().message.contains("4 bytes follow"));
    // An element that takes no bytes has its offset for itself.
    let mut empty = handle;
    let first = empty.states[0].offsets[0];
    empty.states[0].offsets.insert(0, first);
    let extents = empty.extents(stream.len() as u64).unwrap();
    assert_eq!(extents[0][0], first..first);
    assert_eq!(extents[0][1], first..first + 2);
}
