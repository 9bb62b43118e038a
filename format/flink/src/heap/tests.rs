#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]
use super::*;
use crate::Output;
use crate::canonical::Entries;
use crate::header::KeyedStateType;
use crate::key_group::key_group;
use crate::metadata::{KeyGroupsFormat, KeyGroupsHandle, KeyedHandle};
use crate::snappy;
use crate::testing::{Golden, goldens};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Handles of key groups in one stream, canonical or not, with what they refer to.
fn streams(golden: &Golden, canonical: bool) -> Vec<(u32, &KeyGroupsHandle, Vec<u8>)> {
    let handles = golden.keyed().into_iter().filter_map(|(max_parallelism, handle)| match handle {
        KeyedHandle::KeyGroups(handle)
            if (handle.format == KeyGroupsFormat::Canonical) == canonical =>
        {
            Some((max_parallelism, handle, golden.stream(&handle.stream)))
        }
        _ => None,
    });
    handles.collect()
}

fn header(handle: &KeyGroupsHandle, stream: &[u8]) -> KeyedHeader {
    let len = handle.header_len(stream.len() as u64) as usize;
    KeyedHeader::read(&mut Input::new("test", &stream[..len])).unwrap()
}

/// Keys and values by the name of their state.
type Content = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

fn heap_content(golden: &Golden) -> Content {
    let mut content = Content::new();
    for (max_parallelism, handle, stream) in streams(golden, false) {
        let header = header(handle, &stream);
        let format = HeapFormat::new(&header, max_parallelism);
        let ends = handle.present().skip(1).map(|(_, offset)| offset as usize);
        for ((group, offset), end) in handle.present().zip(ends.chain([stream.len()])) {
            let input = Input::new("test", &stream[offset as usize..end]).based_at(offset);
            let mut entries = format.entries(group, input).unwrap();
            while let Some(entry) = entries.next().unwrap() {
                assert_eq!(entry.key_group, group);
                let mut input = Input::new("key", entry.key);
                assert_eq!(
                    key_group(header.key.hash_bytes(&mut input).unwrap(), max_parallelism),
                    group
                );
                let state = content.entry(header.states[usize::from(entry.state)].name.clone());
                state.or_default().push((entry.key.to_vec(), entry.value.to_vec()));
            }
        }
    }
    content.values_mut().for_each(|entries| entries.sort());
    content
}

fn canonical_content(golden: &Golden) -> Content {
    let mut content = Content::new();
    for (max_parallelism, handle, stream) in streams(golden, true) {
        let header = header(handle, &stream);
        for (_, offset) in handle.present() {
            let mut entries = Entries::at(&stream, offset, &header, max_parallelism).unwrap();
            while let Some(raw) = entries.next().unwrap() {
                let meta = &header.states[usize::from(raw.state)];
                let entry = raw.split(&KeyFormat::of(&header, meta).unwrap()).unwrap();
                let state = content.entry(meta.name.clone()).or_default();
                state.push((entry.key.to_vec(), entry.value.to_vec()));
            }
        }
    }
    content.values_mut().for_each(|entries| entries.sort());
    content
}

/// A native savepoint holds, in state that has the same form in both, the same bytes as the canonical one of the same job: those of
/// `generic` too, which Kryo wrote, and whose borders nothing says.
#[test]
fn goldens_hold_what_canonical_ones_do() {
    let goldens = goldens();
    let named = |name: &str| goldens.iter().find(|golden| golden.name.starts_with(name)).unwrap();
    for version in ["1.20.5", "2.3.0"] {
        let canonical =
            canonical_content(named(&format!("{version}/hashmap-savepoint-canonical/")));
        for name in [
            "hashmap-savepoint-native",
            "hashmap-checkpoint-full",
            "hashmap-checkpoint-full-snappy",
        ] {
            let heap = heap_content(named(&format!("{version}/{name}/")));
            assert_eq!(heap.keys().collect::<Vec<_>>(), canonical.keys().collect::<Vec<_>>());
            assert_eq!(heap["generic"].len(), 60);
            for (state, entries) in &heap {
                // Lists and maps have another form, and one entry for all of a map; the last access differs.
                if !["list", "map", "lines", "tags"].contains(&state.as_str())
                    && !state.starts_with("ttl-")
                {
                    assert!(*entries == canonical[state], "{version}/{name}: {state}");
                }
            }
        }
    }
}

/// A header of two states whose values cannot be read, and one between them whose values can.
fn opaque_header(compressed: bool) -> KeyedHeader {
    let opaque = Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap();
    let void = Serializer::void_namespace();
    let state = |name: &str, value: &Serializer| {
        StateMeta::keyed(name, KeyedStateType::Value, void.clone(), value.clone())
    };
    let timer = Serializer::timer_of(&Serializer::string(), &void).unwrap();
    let states = vec![
        state("first", &opaque),
        state("count", &Serializer::long()),
        state("second", &opaque),
        StateMeta::timers("timers", timer),
    ];
    KeyedHeader { compressed, ..KeyedHeader::new(Serializer::string(), states) }
}

const MAX_PARALLELISM: u32 = 128;

fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::text::write_string(Some(text), &mut out).unwrap();
    out
}

/// Keys of one key group.
fn keys_of(group: u16) -> impl Iterator<Item = Vec<u8>> {
    let keys = (0..).map(|number: u32| string(&format!("key/{number}")));
    keys.filter(move |key| {
        let hash = Serializer::string().hash_bytes(&mut Input::new("key", key)).unwrap();
        key_group(hash, MAX_PARALLELISM) == group
    })
}

type Drawn = Vec<(Vec<u8>, Vec<u8>)>;

/// A key group with these entries of each state, in this order of states.
fn written(group: u16, compressed: bool, states: &[(u16, Drawn)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i32(group.into());
    for (state, entries) in states {
        let mut plain = Vec::new();
        plain.put_u16(*state);
        plain.put_i32(entries.len() as i32);
        for (key, value) in entries {
            match state {
                3 => {
                    plain.extend(value);
                    plain.extend(key);
                    plain.push(0);
                }
                _ => {
                    plain.push(0);
                    plain.extend(key);
                    plain.extend(value);
                }
            }
        }
        match compressed {
            true => snappy::compress(&plain, &mut out).unwrap(),
            false => out.extend(plain),
        }
    }
    out
}

fn read(group: u16, header: &KeyedHeader, bytes: &[u8]) -> Result<Vec<(u16, Drawn)>> {
    let format = HeapFormat::new(header, MAX_PARALLELISM);
    let mut entries = format.entries(group, Input::new("test", bytes))?;
    let mut states: Vec<(u16, Drawn)> = Vec::new();
    while let Some(entry) = entries.next()? {
        if states.last().is_none_or(|(state, _)| *state != entry.state) {
            states.push((entry.state, Vec::new()));
        }
        let time = entry.timestamp_ms.map(|time| (time ^ SIGN).to_be_bytes());
        let value = time.map_or(entry.value.to_vec(), |time| time.to_vec());
        states.last_mut().unwrap().1.push((entry.key.to_vec(), value));
    }
    Ok(states)
}

fn drawn() -> impl Strategy<Value = (u16, bool, Vec<(u16, Drawn)>)> {
    // Bytes that no key of these begins with, but for a few.
    let value = prop::collection::vec(prop_oneof![9 => 0x80..=0xff_u8, 1 => 0..10_u8], 1..40);
    let values = prop::collection::vec((value, any::<[u8; 8]>()), 0..9);
    let states = prop::collection::vec(values, 4);
    let order = Just(vec![0_u16, 1, 2, 3]).prop_shuffle();
    (0..128_u16, any::<bool>(), states, order).prop_map(|(group, compressed, states, order)| {
        let drawn = order.into_iter().zip(states).map(|(state, values)| {
            let entries = values.into_iter().map(|(value, fixed)| match state {
                0 | 2 => value,
                _ => fixed.to_vec(),
            });
            (state, keys_of(group).zip(entries).collect())
        });
        (group, compressed, drawn.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written is read, or it is said that the values cannot be told apart: never anything else.
    #[test]
    fn what_is_written_is_read((group, compressed, states) in drawn()) {
        let bytes = written(group, compressed, &states);
        let expected: Vec<_> = states.iter().filter(|(_, entries)| !entries.is_empty()).cloned().collect();
        match read(group, &opaque_header(compressed), &bytes) {
            Ok(found) => prop_assert_eq!(found, expected),
            Err(error) => prop_assert_eq!(error.kind, FormatErrorKind::Incompatible),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        (group, compressed, states) in drawn(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(group, compressed, &states);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = read(group, &opaque_header(compressed), &bytes);
    }
}

fn entries(group: u16, values: &[&[u8]]) -> Drawn {
    keys_of(group).zip(values.iter().map(|value| value.to_vec())).collect()
}

#[test]
fn values_that_cannot_be_read_are_told_apart_by_what_is_around_them() {
    let long = 7_i64.to_be_bytes();
    for compressed in [false, true] {
        let header = opaque_header(compressed);
        let states = [
            (1, entries(5, &[&long])),
            (2, entries(5, &[b"\x81 one", b"\x82\0two\0", b"\x83"])),
            (3, entries(5, &[&long, &long])),
            (0, entries(5, &[&[0xff; 3_000]])),
        ];
        let bytes = written(5, compressed, &states);
        assert_eq!(read(5, &header, &bytes).unwrap(), states);
    }
}

#[test]
fn values_that_could_end_in_two_places_are_refused_by_name() {
    let header = opaque_header(false);
    let keys: Vec<_> = keys_of(5).take(3).collect();
    // The value of the first entry holds what looks like another entry: its namespace and key.
    let value = [b"\x81", &[0][..], &keys[1], b"\x82"].concat();
    let drawn = vec![(keys[0].clone(), value), (keys[2].clone(), vec![0x83])];
    let states = [(0, drawn), (1, vec![]), (2, vec![]), (3, vec![])];
    let error = read(5, &header, &written(5, false, &states)).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::Incompatible);
    assert!(
        error.message.contains("\"first\"") && error.message.contains("com.example.Secret"),
        "{error}"
    );
    assert!(error.message.contains("several ways"), "{error}");
    // In front of it what can be read is.
    let long = 7_i64.to_be_bytes();
    let states = [(1, entries(5, &[&long])), states[0].clone(), (2, vec![]), (3, vec![])];
    let bytes = written(5, false, &states);
    let format = HeapFormat::new(&header, MAX_PARALLELISM);
    let mut found = format.entries(5, Input::new("test", &bytes)).unwrap();
    assert_eq!(found.next().unwrap().unwrap().value, long);
    assert!(found.next().is_err());
    assert_eq!(found.next(), Ok(None));
    // Compressed, the next state can be read too.
    let header = opaque_header(true);
    let states = [states[1].clone(), states[0].clone(), (2, vec![]), (3, vec![])];
    let bytes = written(5, true, &states);
    let format = HeapFormat::new(&header, MAX_PARALLELISM);
    let mut found = format.entries(5, Input::new("test", &bytes)).unwrap();
    assert!(found.next().is_err());
    assert_eq!(found.next().unwrap().unwrap().value, long);
    assert_eq!(found.next(), Ok(None));
}

#[test]
fn what_is_tried_is_bounded() {
    let header = opaque_header(false);
    // Nothing but candidates: the same entry again and again.
    let key = keys_of(5).next().unwrap();
    let drawn = vec![(key, vec![0; 9]); 15_000];
    let bytes = written(5, false, &[(0, drawn), (1, vec![]), (2, vec![]), (3, vec![])]);
    let mut confused = bytes.clone();
    confused[6..10].copy_from_slice(&7_500_i32.to_be_bytes());
    for bytes in [bytes, confused] {
        let started = std::time::Instant::now();
        let found = read(5, &header, &bytes);
        println!(
            "{} bytes: {:?}, {:?}",
            bytes.len(),
            started.elapsed(),
            found.map(|found| found[0].1.len())
        );
    }
}

#[test]
fn refusals_say_where() {
    let header = opaque_header(false);
    let bytes =
        written(5, false, &[(1, entries(5, &[&[0; 8]])), (0, vec![]), (2, vec![]), (3, vec![])]);
    assert!(read(5, &header, &bytes).is_ok());
    assert!(read(6, &header, &bytes).unwrap_err().message.contains("key group 5 where 6"));
    let error = read(5, &header, &bytes[..15]).unwrap_err();
    assert!(error.message.starts_with("state \"count\": "), "{error}");
    assert!(error.offset.is_some());
    let longer = [&bytes[..], &[0]].concat();
    assert!(read(5, &header, &longer).unwrap_err().message.contains("1 bytes follow"));
    let mut twice = bytes.clone();
    twice[bytes.len() - 5] = 2;
    assert!(read(5, &header, &twice).unwrap_err().message.contains("comes twice"));
}

/// Namespaces of lists of what takes no bytes, and entries that take none: each place at which one could stand says that there are many.
#[test]
fn what_takes_no_bytes_is_bounded_too() {
    let nothing = Serializer::of_nothing();
    let opaque = Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap();
    let value = |name: &str, namespace: &Serializer, value: &Serializer| {
        StateMeta::keyed(name, KeyedStateType::Value, namespace.clone(), value.clone())
    };
    let lists = Serializer::list_of(&nothing).unwrap();
    let many = 60_000_i32.to_be_bytes();
    let front = [&5_i32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 9]].concat();
    for (states, fill) in [
        (vec![value("lists", &lists, &opaque)], many.to_vec()),
        (
            vec![value("first", &nothing, &opaque), value("second", &nothing, &nothing)],
            [&[0, 1][..], &many].concat(),
        ),
    ] {
        let header = KeyedHeader::new(nothing.clone(), states);
        let bytes = [&front[..], &fill.repeat(20_000)].concat();
        let format = HeapFormat::new(&header, MAX_PARALLELISM);
        // Without a bound it would take hours.
        let error = format.entries(5, Input::new("test", &bytes)).unwrap().next().unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Incompatible, "{error}");
    }
}

/// Where a compressed state cannot be unpacked, nothing says where the next one begins: the error comes once.
#[test]
fn errors_end() {
    let header = opaque_header(true);
    let mut bytes = written(5, true, &[(1, entries(5, &[&[0; 8]]))]);
    let len = bytes.len();
    bytes[len - 1] ^= 1;
    let format = HeapFormat::new(&header, MAX_PARALLELISM);
    let mut found = format.entries(5, Input::new("test", &bytes)).unwrap();
    assert!(found.next().is_err());
    assert_eq!(found.next(), Ok(None));
    // Bytes behind the last state.
    let states = [(0, vec![]), (1, vec![]), (2, vec![]), (3, vec![])];
    let longer = [written(5, true, &states), snappy::IDENTIFIER.to_vec()].concat();
    let mut found = format.entries(5, Input::new("test", &longer)).unwrap();
    assert!(found.next().is_err());
    assert_eq!(found.next(), Ok(None));
}
