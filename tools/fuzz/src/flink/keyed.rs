//! Keyed state behind its header: canonical and of the heap.
//!
//! An input is a byte of flags, the length of the header in three bytes, low first, the header, and the data of one key group.

use super::{golden, hostile};
use crate::decoding;
use esker_flink::canonical::{Entries, KeyGroupWriter, ListElements, map_value};
use esker_flink::header::{KeyedHeader, KeyedStateType, Role, StateKind, StateMeta};
use esker_flink::heap::HeapFormat;
use esker_flink::key_group::prefix_len_bytes;
use esker_flink::keys::KeyFormat;
use esker_flink::metadata::{KeyGroupsFormat, KeyGroupsHandle, KeyedHandle};
use esker_flink::{Entry, Input, Output, Result, Serializer, snappy};
use std::collections::BTreeSet;

/// More than 128 key groups, so that one takes two bytes.
const MANY_KEY_GROUPS: u8 = 1;
/// The data is to be compressed before it is read, as no mutation would meet a checksum.
const COMPRESS: u8 = 2;
/// How many entries of a state a seed has.
const ENTRIES: usize = 6;

/// What an input says.
struct Case {
    header: KeyedHeader,
    max_parallelism: u32,
    data: Vec<u8>,
}

impl Case {
    /// What `bytes` say.
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([flags, low, middle, high], rest) = bytes.split_first_chunk()?;
        let len = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        let (header_bytes, data) = rest.split_at_checked(len)?;
        let header = decoding(bytes, || KeyedHeader::read(&mut Input::new("header", header_bytes)));
        let mut header = header.ok()?;
        if header.lost.is_none() {
            // Text is written as Java does, which reads it in other forms too.
            let mut again = Vec::new();
            if header.write(&mut again).is_ok() {
                let read = KeyedHeader::read(&mut Input::new("again", &again));
                assert!(read == Ok(header.clone()), "what is written of a header is read alike");
            }
        }
        let max_parallelism = if flags & MANY_KEY_GROUPS == 0 { 128 } else { 1_000 };
        let mut data = data.to_vec();
        if flags & COMPRESS != 0 {
            header.compressed = true;
            data = compressed(&data);
        }
        Some(Self { header, max_parallelism, data })
    }
}

/// `data` as a compressed stream.
pub(crate) fn compressed(data: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    snappy::compress(data, &mut packed).unwrap();
    packed
}

/// Canonical state: what is read is written as something that is read alike.
pub(crate) fn canonical(bytes: &[u8]) {
    let Some(Case { header, max_parallelism, data }) = Case::read(bytes) else { return };
    let prefix = prefix_len_bytes(max_parallelism);
    let entries = || Entries::of(Input::new("canonical", &data), &header, max_parallelism);
    let read = decoding(bytes, || {
        let mut entries = entries()?;
        let (mut count, mut groups) = (0_usize, BTreeSet::new());
        while let Some(raw) = entries.next()? {
            count += 1;
            groups.insert(raw.key_group);
            let Some(meta) = header.state(raw.state) else { continue };
            let Ok(format) = KeyFormat::of(&header, meta) else { continue };
            let Ok(entry) = raw.split(&format) else { continue };
            let _ = canonical_value(meta, &entry);
        }
        Result::Ok((count, groups))
    });
    let Ok((count, groups)) = read else { return };
    let [group] = groups.iter().collect::<Vec<_>>()[..] else { return };
    let mut writer = KeyGroupWriter::new(*group, prefix);
    let mut first = entries().unwrap();
    while let Some(raw) = first.next().unwrap() {
        if writer.raw(raw.state, raw.key, raw.value).is_err() {
            return;
        }
    }
    let again = writer.finish();
    let (mut first, mut numbered) = (entries().unwrap(), 0);
    let mut second =
        Entries::new(Input::new("again", &again), prefix, header.state_count()).unwrap();
    while let Some(raw) = second.next().unwrap() {
        assert_eq!(first.next().unwrap(), Some(raw));
        numbered += 1;
    }
    assert_eq!(numbered, count);
}

fn canonical_value(meta: &StateMeta, entry: &Entry<'_>) -> Result<()> {
    if meta.kind == StateKind::PriorityQueue {
        return Ok(());
    }
    let value = meta.needed(Role::Value)?;
    match meta.keyed_type() {
        Some(KeyedStateType::List) => match value.element() {
            Some(element) => {
                ListElements::new(entry.value, element).try_for_each(|one| one.map(drop))
            }
            None => Ok(()),
        },
        Some(KeyedStateType::Map) => match (value.entry(), map_value(entry.value)?) {
            (Some((_, value)), Some(bytes)) => value.check(&mut Input::new("value", bytes)),
            _ => Ok(()),
        },
        _ => value.check(&mut Input::new("value", entry.value)),
    }
}

/// State of the heap. Its entries lie in its bytes, and there are no more of them than it says.
pub(crate) fn heap(bytes: &[u8]) {
    let Some(Case { header, max_parallelism, mut data }) = Case::read(bytes) else { return };
    if header.compressed && !data.starts_with(&snappy::IDENTIFIER) {
        return;
    }
    let group = data.first_chunk().copied().map_or(0, i32::from_be_bytes) as u16;
    if header.compressed {
        // The number of the key group stands in front of what is compressed.
        data.splice(0..0, [0; 4]);
    }
    let group = if header.compressed { 0 } else { group };
    let format = HeapFormat::new(&header, max_parallelism);
    decoding(bytes, || {
        let Ok(mut entries) = format.entries(group, Input::new("heap", &data)) else { return };
        let mut errors = 0;
        loop {
            match entries.next() {
                Ok(Some(entry)) => assert_eq!(entry.key_group, group),
                Ok(None) => return,
                Err(_) => errors += 1,
            }
            assert!(errors <= header.state_count() + 1, "it goes on after its end");
        }
    });
}

pub(crate) fn canonical_seeds() -> Vec<Vec<u8>> {
    let mut seeds = of_goldens(true);
    seeds.extend(hostile::canonical());
    seeds
}

pub(crate) fn heap_seeds() -> Vec<Vec<u8>> {
    let mut seeds = of_goldens(false);
    seeds.extend(hostile::heap());
    seeds
}

/// An input.
pub(crate) fn case(flags: u8, header: &[u8], data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(header.len()).unwrap().to_le_bytes();
    [&[flags], &len[..3], header, data].concat()
}

/// Each state of the goldens once, alone behind a header, with a few entries of one key group; plain, compressed, and as if its values
/// could not be read.
fn of_goldens(is_canonical: bool) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut seen = BTreeSet::new();
    for (max_parallelism, handle) in golden::keyed() {
        let KeyedHandle::KeyGroups(handle) = handle else { continue };
        if (handle.format == KeyGroupsFormat::Canonical) != is_canonical {
            continue;
        }
        let stream = golden::stream(&handle.stream);
        let header_len = handle.header_len(stream.len() as u64) as usize;
        let mut input = Input::new("header", &stream[..header_len]);
        let header = KeyedHeader::read(&mut input).unwrap();
        for (id, meta) in header.states.iter().enumerate() {
            let mut alone = Vec::new();
            let states = vec![meta.clone()];
            KeyedHeader::new(header.key.clone(), states).write(&mut alone).unwrap();
            if !seen.insert((alone.clone(), max_parallelism > 128)) {
                continue;
            }
            let data = match is_canonical {
                true => canonical_data(handle, &stream, &header, id as u16, max_parallelism),
                false => heap_data(handle, &stream, &header, id as u16, max_parallelism),
            };
            let Some(data) = data else { continue };
            let many = if max_parallelism > 128 { MANY_KEY_GROUPS } else { 0 };
            seeds.push(case(many, &alone, &data));
            let packed = if is_canonical { &data[..] } else { &data[4..] };
            seeds.push(case(many | COMPRESS, &alone, packed));
            let hidden = hidden(&header, meta);
            seeds.push(case(many, &hidden, &data));
            seeds.push(case(many | COMPRESS, &hidden, packed));
        }
    }
    seeds
}

/// A header of this state whose values a class wrote that is not known.
fn hidden(header: &KeyedHeader, meta: &StateMeta) -> Vec<u8> {
    let secret = Serializer::opaque_snapshot("com.example.Secret", 1, b"\x01\x02").unwrap();
    let mut meta = meta.clone();
    for (role, serializer) in &mut meta.serializers {
        if role == Role::Value.name() {
            *serializer = secret.clone();
        }
    }
    let mut bytes = Vec::new();
    KeyedHeader::new(header.key.clone(), vec![meta]).write(&mut bytes).unwrap();
    bytes
}

fn canonical_data(
    handle: &KeyGroupsHandle,
    stream: &[u8],
    header: &KeyedHeader,
    state: u16,
    max_parallelism: u32,
) -> Option<Vec<u8>> {
    let mut writer = None;
    let mut left = ENTRIES;
    for (group, offset) in handle.present() {
        let mut entries = Entries::at(stream, offset, header, max_parallelism).unwrap();
        while let Some(raw) = entries.next().unwrap() {
            if raw.state == state && left > 0 {
                let prefix = prefix_len_bytes(max_parallelism);
                let writer = writer.get_or_insert_with(|| KeyGroupWriter::new(group, prefix));
                writer.raw(0, raw.key, raw.value).unwrap();
                left -= 1;
            }
        }
    }
    writer.map(KeyGroupWriter::finish)
}

fn heap_data(
    handle: &KeyGroupsHandle,
    stream: &[u8],
    header: &KeyedHeader,
    state: u16,
    max_parallelism: u32,
) -> Option<Vec<u8>> {
    let format = HeapFormat::new(header, max_parallelism);
    for (group, extent) in handle.extents(stream.len() as u64, false).unwrap() {
        let bytes = &stream[extent.start as usize..extent.end as usize];
        let mut entries = format.entries(group, Input::new("group", bytes)).ok()?;
        let (mut count, mut data) = (0, Vec::new());
        while let Ok(Some(entry)) = entries.next() {
            if entry.state != state || count == ENTRIES {
                continue;
            }
            count += 1;
            match entry.timestamp_ms {
                Some(time) => {
                    data.put_i64(time ^ i64::MIN);
                    data.extend([entry.key, entry.namespace].concat());
                }
                None => data.extend([entry.namespace, entry.key, entry.value].concat()),
            }
        }
        if count > 0 {
            let mut out = Vec::new();
            out.put_i32(group.into());
            out.put_u16(0);
            out.put_i32(count as i32);
            out.extend(data);
            return Some(out);
        }
    }
    None
}
