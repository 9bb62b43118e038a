//! Operator state.
//!
//! An input is how many offsets there are, for each the number of its state in a byte and where it lies in two, low first, and the
//! stream.

use super::{golden, hostile};
use crate::decoding;
use esker_flink::Input;
use esker_flink::header::{OperatorHeader, Role};
use esker_flink::metadata::{Mode, OperatorHandle, Position, StateOffsets, StreamHandle};
use esker_flink::operator::{BroadcastEntries, Unflushed, check_element, read_extent};
use std::ops::Range;

/// How many offsets of each state a seed has.
const OFFSETS: usize = 4;

/// A stream, read as its handle says.
pub(crate) fn operator(bytes: &[u8]) {
    let Some((mut handle, stream)) = split(bytes) else { return };
    let len = handle.header_len(stream.len() as u64) as usize;
    let header =
        decoding(bytes, || OperatorHeader::read(&mut Input::new("header", &stream[..len])));
    let Ok(header) = header else { return };
    if header.lost.is_none() {
        let mut again = Vec::new();
        if header.write(&mut again).is_ok() {
            let read = OperatorHeader::read(&mut Input::new("again", &again));
            assert!(read == Ok(header.clone()), "what is written of a header is read alike");
        }
    }
    let metas: Vec<_> = header.lists.iter().chain(&header.broadcasts).collect();
    for (number, state) in handle.states.iter_mut().enumerate() {
        let Some(meta) = metas.get(number) else { continue };
        state.name.clone_from(&meta.name);
        state.mode = if number < header.lists.len() { Mode::Split } else { Mode::Broadcast };
    }
    decoding(bytes, || {
        let Ok(extents) = handle.extents(stream.len() as u64) else { return };
        for ((state, extents), meta) in handle.states.iter().zip(extents).zip(metas) {
            for extent in extents {
                let Ok(element) = read_extent(stream, &header, &extent) else { continue };
                match (state.mode, meta.needed(Role::Value)) {
                    (Mode::Broadcast, _) => {
                        let Ok(entries) = BroadcastEntries::new(&element, meta) else { continue };
                        let entries = entries.take_while(|entry| entry.is_ok());
                        assert!(entries.count() <= element.len());
                    }
                    (_, Ok(value)) => drop(check_element(&element, value)),
                    _ => {}
                }
            }
        }
        let len = stream.len() as u64;
        let mut read = |range: Range<u64>| Ok::<_, ()>(part(stream, &range).to_vec());
        let _ = handle.is_unflushed(&header, len, &mut read);
        for (place, state) in handle.states.iter().enumerate() {
            let extent = handle.unflushed_extent(place, len);
            let (Some(meta), count) = (header.state(&state.name), state.offsets.len()) else {
                continue;
            };
            let Ok(all) = Unflushed::read(part(stream, &extent), &extent, meta, count) else {
                continue;
            };
            assert_eq!(all.elements().count(), count);
        }
    });
}

fn part<'a>(stream: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &stream[range.start as usize..range.end as usize]
}

fn split(bytes: &[u8]) -> Option<(OperatorHandle, &[u8])> {
    let (count, rest) = bytes.split_first()?;
    let (offsets, stream) = rest.split_at_checked(usize::from(*count) * 3)?;
    let mut states: Vec<StateOffsets> = Vec::new();
    for offset in offsets.chunks(3) {
        let [number, low, high] = offset else { continue };
        let number = usize::from(*number);
        while states.len() <= number {
            states.push(StateOffsets { name: String::new(), mode: Mode::Split, offsets: vec![] });
        }
        states[number].offsets.push(u16::from_le_bytes([*low, *high]).into());
    }
    let position = Position::default();
    let handle = StreamHandle::relative("state", stream.len() as u64);
    Some((OperatorHandle { position, states, folders: None, stream: handle }, stream))
}

/// An input.
pub(crate) fn case(offsets: &[(usize, usize)], stream: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(offsets.len()).unwrap()];
    for (state, at) in offsets {
        bytes.push(u8::try_from(*state).unwrap());
        bytes.extend(u16::try_from(*at).unwrap().to_le_bytes());
    }
    bytes.extend(stream);
    bytes
}

pub(crate) fn operator_seeds() -> Vec<Vec<u8>> {
    let mut seeds = hostile::operator();
    for (_, state) in golden::subtasks() {
        let Some(handle) = &state.operator else { continue };
        let stream = golden::stream(&handle.stream);
        let header_len = handle.header_len(stream.len() as u64) as usize;
        let mut input = Input::new("header", &stream[..header_len]);
        let Ok(header) = OperatorHeader::read(&mut input) else { continue };
        seeds.extend(few(handle, &header, header_len, &stream));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

/// The same with a few elements of each state.
fn few(
    handle: &OperatorHandle,
    header: &OperatorHeader,
    header_len: usize,
    stream: &[u8],
) -> Option<Vec<u8>> {
    let mut out = stream[..header_len].to_vec();
    let mut offsets = Vec::new();
    let extents = handle.extents(stream.len() as u64).ok()?;
    for (state, extents) in handle.states.iter().zip(extents) {
        let metas = header.lists.iter().chain(&header.broadcasts);
        let number = metas.map(|meta| &meta.name).position(|name| *name == state.name)?;
        for extent in extents.iter().take(OFFSETS) {
            offsets.push((number, out.len()));
            out.extend(&stream[extent.start as usize..extent.end as usize]);
        }
    }
    (out.len() < usize::from(u16::MAX)).then(|| case(&offsets, &out))
}
