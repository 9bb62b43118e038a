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
        let elements = match is_unflushed(&stream, &header, handle) {
            false => elements(&stream, &header, handle),
            true => {
                *unflushed += 1;
                unflushed_elements(&stream, &header, handle).unwrap()
            }
        };
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

/// What stands at each offset.
fn elements(stream: &[u8], header: &OperatorHeader, handle: &OperatorHandle) -> Vec<Vec<Vec<u8>>> {
    let extents = handle.extents(stream.len() as u64).unwrap();
    let element = |extent| read_extent(stream, header, extent).unwrap().into_owned();
    extents.iter().map(|extents| extents.iter().map(element).collect()).collect()
}

fn is_unflushed(stream: &[u8], header: &OperatorHeader, handle: &OperatorHandle) -> bool {
    let mut read = |range: Range<u64>| {
        assert!(range.end - range.start <= 10 || handle.states.len() == 1, "{range:?}");
        Ok::<_, ()>(stream[range.start as usize..range.end as usize].to_vec())
    };
    handle.is_unflushed(header, stream.len() as u64, &mut read).unwrap()
}

fn unflushed_elements(
    stream: &[u8],
    header: &OperatorHeader,
    handle: &OperatorHandle,
) -> Result<Vec<Vec<Vec<u8>>>> {
    let of_state = |(place, state): (usize, &StateOffsets)| {
        let extent = handle.unflushed_extent(place, stream.len() as u64);
        let bytes = &stream[extent.start as usize..extent.end as usize];
        let (meta, count) = (header.state(&state.name).unwrap(), state.offsets.len());
        let found = Unflushed::read(bytes, &extent, meta, count)?;
        let elements = found.elements().map(<[u8]>::to_vec).collect::<Vec<_>>();
        Ok(elements)
    };
    handle.states.iter().enumerate().map(of_state).collect()
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

/// The same as Flink 1.18.1 had it: a stream for each state, and offsets where the last whole chunk ended.
fn unflushed(stream: &[u8], handle: &OperatorHandle) -> (Vec<u8>, OperatorHandle) {
    let elements = elements(stream, &header_of(stream, handle), handle);
    let mut out = Vec::new();
    OperatorHeader { compressed: true, ..header() }.write(&mut out).unwrap();
    let mut handle = handle.clone();
    for (state, elements) in handle.states.iter_mut().zip(elements) {
        out.extend(snappy::IDENTIFIER);
        let mut held = Vec::new();
        for (offset, element) in state.offsets.iter_mut().zip(elements) {
            *offset = out.len() as u64;
            held.extend(element);
            while held.len() >= snappy::CHUNK_LEN_MAX {
                let rest = held.split_off(snappy::CHUNK_LEN_MAX);
                chunk(&held, &mut out);
                held = rest;
            }
        }
        chunk(&held, &mut out);
    }
    (out, handle)
}

fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
    let mut packed = Vec::new();
    snappy::compress(bytes, &mut packed).unwrap();
    out.extend(&packed[snappy::IDENTIFIER.len()..]);
}

/// Elements longer than a chunk have offsets of their own, at which no element begins.
#[test]
fn long_elements_without_flushes_are_whole() {
    let long = |byte: u8| string(&char::from(byte).to_string().repeat(100_000));
    for lens in [&[1_usize, 1, 1][..], &[0, 1], &[1, 0, 1, 0]] {
        let list: Vec<_> = lens
            .iter()
            .zip(b'a'..)
            .map(|(len, byte)| if *len > 0 { long(byte) } else { string("short") })
            .collect();
        let (mut stream, mut handle) = written(&list, &[], &[]);
        stream.truncate(handle.states[2].offsets[0] as usize);
        handle.states.truncate(1);
        let (stream, handle) = compressed(&stream, &handle);
        let header = header_of(&stream, &handle);
        assert!(!is_unflushed(&stream, &header, &handle), "{lens:?}");
        let (stream, handle) = unflushed(&stream, &handle);
        let header = header_of(&stream, &handle);
        assert!(is_unflushed(&stream, &header, &handle), "{lens:?}");
        assert!(unflushed_elements(&stream, &header, &handle) == Ok(vec![list]), "{lens:?}");
    }
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
        let header = header_of(&stream, &handle);
        let expected = elements(&stream, &header, &handle);
        prop_assert!(!is_unflushed(&stream, &header, &handle));
        let (stream, handle) = unflushed(&stream, &handle);
        prop_assert!(is_unflushed(&stream, &header, &handle) || expected.concat().len() < 2);
        prop_assert_eq!(unflushed_elements(&stream, &header, &handle), Ok(expected));
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
    let (adrift, handle_of) = compressed(&stream, &handle);
    let (adrift, handle_of) = unflushed(&adrift, &handle_of);
    let header = header_of(&adrift, &handle_of);
    let mut secret = header.clone();
    let element = Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap();
    secret.lists[0] = StateMeta::operator("list", false, element);
    let refused = unflushed_elements(&adrift, &secret, &handle_of).unwrap_err();
    assert!(refused.message.contains("com.example.Secret"), "{refused}");
    let mut fewer = handle_of.clone();
    fewer.states[0].offsets.push(0);
    assert!(unflushed_elements(&adrift, &header, &fewer).is_err());
    // An element that takes no bytes has its offset for itself.
    let mut empty = handle;
    let first = empty.states[0].offsets[0];
    empty.states[0].offsets.insert(0, first);
    let extents = empty.extents(stream.len() as u64).unwrap();
    assert_eq!(extents[0][0], first..first);
    assert_eq!(extents[0][1], first..first + 2);
}
