#![allow(clippy::unwrap_used, reason = "tests, helpers included")]
use super::*;
use crate::Serializer;
use crate::header::{KeyedStateType, Role, StateMeta};
use crate::key_group::key_group;
use crate::keys::KeyParts;
use crate::metadata::{KeyGroupsFormat, KeyGroupsHandle, KeyedHandle};
use crate::testing::{Golden, goldens};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn canonical(golden: &Golden) -> Vec<(u32, &KeyGroupsHandle)> {
    let handles = golden.keyed().into_iter().filter_map(|(max_parallelism, handle)| match handle {
        KeyedHandle::KeyGroups(handle) if handle.format == KeyGroupsFormat::Canonical => {
            Some((max_parallelism, handle))
        }
        _ => None,
    });
    handles.collect()
}

/// Key groups follow each other without a gap, so each must end exactly where the next begins.
#[test]
fn key_groups_of_goldens_end_where_the_next_begins() {
    let mut checked = 0;
    for golden in goldens() {
        for (max_parallelism, handle) in canonical(&golden) {
            let stream = golden.stream(&handle.stream);
            let compressed = stream[4] == 1;
            let ends = handle.present().skip(1).map(|(_, offset)| offset as usize);
            for ((group, offset), end) in handle.present().zip(ends.chain([stream.len()])) {
                let input = Input::new(WHAT, &stream[offset as usize..]).based_at(offset);
                let source = match compressed {
                    false => KeyGroupSource::Plain(input),
                    true => KeyGroupSource::Compressed(Decompressed::new(input)),
                };
                let prefix_len = prefix_len_bytes(max_parallelism);
                let mut entries = Entries::new(source, prefix_len, 64).unwrap();
                let mut again = KeyGroupWriter::new(group, prefix_len);
                let mut pieces = Vec::new();
                while let Some(entry) = entries.next().unwrap() {
                    assert_eq!(entry.key_group, group, "{}", golden.name);
                    again.raw(entry.state, entry.key, entry.value).unwrap();
                    pieces.extend(again.take_settled());
                    checked += 1;
                }
                assert!(entries.next().unwrap().is_none());
                pieces.extend(again.finish());
                let written = &stream[offset as usize..end];
                match entries.source {
                    KeyGroupSource::Plain(rest) => {
                        assert_eq!(rest.offset(), end as u64, "{}", golden.name);
                        assert_eq!(pieces, written, "{}", golden.name);
                    }
                    KeyGroupSource::Compressed(rest) => {
                        assert_eq!(rest.into_inner().offset(), end as u64, "{}", golden.name);
                        let held = crate::snappy::decompress(&mut Input::new(WHAT, written));
                        assert_eq!(held.unwrap(), pieces);
                    }
                }
            }
        }
    }
    assert!(checked > 30_000, "{checked}");
}

/// Every entry of every canonical golden: its key's parts put together are the key, its hash leads to the key group, lists and maps are
/// read to their ends, and there are as many as expected.
#[test]
fn goldens_hold_the_entries_that_they_should() {
    let mut checked = 0;
    for golden in goldens() {
        let mut counts = BTreeMap::new();
        for (max_parallelism, handle) in canonical(&golden) {
            let stream = golden.stream(&handle.stream);
            let len = handle.header_len(stream.len() as u64) as usize;
            let header = KeyedHeader::read(&mut Input::new("test", &stream[..len])).unwrap();
            let formats: Vec<_> =
                header.states.iter().map(|state| KeyFormat::of(&header, state).unwrap()).collect();
            for (group, offset) in handle.present() {
                let mut entries = Entries::at(&stream, offset, &header, max_parallelism).unwrap();
                while let Some(raw) = entries.next().unwrap() {
                    let state = &header.states[usize::from(raw.state)];
                    let entry = raw.split(&formats[usize::from(raw.state)]).unwrap();
                    check(state, &entry);
                    let mut again = Vec::new();
                    formats[usize::from(raw.state)].put(&parts(&entry), &mut again);
                    assert_eq!(again, raw.key);
                    let hash = header.key.hash_bytes(&mut Input::new("key", entry.key)).unwrap();
                    assert_eq!(key_group(hash, max_parallelism), group);
                    *counts.entry(state.name.clone()).or_insert(0) += 1;
                }
            }
        }
        if counts.is_empty() {
            continue;
        }
        checked += 1;
        assert_eq!(counts, golden.expected(true), "{}", golden.name);
    }
    assert!(checked >= 20, "{checked}");
}

fn parts<'a>(entry: &Entry<'a>) -> KeyParts<'a> {
    let Entry { key, namespace, user_key, timestamp_ms, .. } = *entry;
    KeyParts { key, namespace, user_key, timestamp_ms }
}

/// That what an entry holds is what its serializers write.
fn check(state: &StateMeta, entry: &Entry<'_>) {
    let value = state.needed(Role::Value).unwrap();
    let read = |serializer: &Serializer, bytes: &[u8]| {
        if serializer.opaque().is_none() {
            let mut input = Input::new("test", bytes);
            serializer.check(&mut input).unwrap();
            input.end().unwrap();
        }
    };
    match state.keyed_type() {
        None => assert!(entry.value.is_empty() && entry.timestamp_ms.is_some()),
        Some(KeyedStateType::List) => {
            let mut again = Vec::new();
            for element in ListElements::new(entry.value, value.element().unwrap()) {
                read(value.element().unwrap(), element.as_ref().unwrap());
                put_list_element(element.unwrap(), &mut again);
            }
            assert_eq!(again, entry.value);
        }
        Some(KeyedStateType::Map) => {
            let (user_key, value) = value.entry().unwrap();
            read(user_key, entry.user_key.unwrap());
            if let Some(bytes) = map_value(entry.value).unwrap() {
                read(value, bytes);
            }
        }
        Some(_) => read(value, entry.value),
    }
}

type Drawn = (u16, Vec<u8>, Vec<u8>);

fn written(group: u16, prefix_len: usize, entries: &[Drawn]) -> Vec<u8> {
    let mut writer = KeyGroupWriter::new(group, prefix_len);
    for (state, key, value) in entries {
        writer.raw(*state, key, value).unwrap();
    }
    writer.finish()
}

fn drawn() -> impl Strategy<Value = (u16, usize, Vec<Drawn>)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..9);
    let entries = prop::collection::vec((0..4_u16, bytes(), bytes()), 1..20);
    (0..128_u16, 1..=2_usize, entries)
}

proptest! {
    #[test]
    fn what_is_written_is_read((group, prefix_len, drawn) in drawn()) {
        let mut bytes = written(group, prefix_len, &drawn);
        let len = bytes.len();
        bytes.extend(b"what follows");
        let mut entries = Entries::new(Input::new(WHAT, &bytes), prefix_len, 4).unwrap();
        for (state, key, value) in &drawn {
            let entry = entries.next().unwrap().unwrap();
            prop_assert_eq!(entry, RawEntry { state: *state, key_group: group, key, value });
        }
        prop_assert!(entries.next().unwrap().is_none());
        prop_assert_eq!(entries.offset(), len as u64);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        (group, prefix_len, drawn) in drawn(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(group, prefix_len, &drawn);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(mut entries) = Entries::new(Input::new(WHAT, &bytes), prefix_len, 4) {
            while let Ok(Some(_)) = entries.next() {}
        }
    }
}

#[test]
fn refusals_say_where() {
    let bytes = written(3, 1, &[(0, vec![7], vec![8, 9]), (2, vec![], vec![])]);
    assert_eq!(bytes[..2], [0, 0]);
    let error = |bytes: &[u8], states| {
        let mut entries = Entries::new(Input::new(WHAT, bytes).based_at(50), 1, states)?;
        while entries.next()?.is_some() {}
        Ok::<_, FormatError>(())
    };
    assert_eq!(error(&bytes, 3), Ok(()));
    assert_eq!(
        error(&bytes, 2).unwrap_err().to_string(),
        "canonical state: state 2 of 2 at byte 52"
    );
    assert_eq!(error(&bytes[..bytes.len() - 1], 3).unwrap_err().offset, Some(66));
    let mut negative = bytes.clone();
    negative[2] = 0xff;
    assert!(error(&negative, 3).unwrap_err().message.contains("is negative"));
    let mut huge = bytes.clone();
    huge[2] = 0x7f;
    assert!(error(&huge, 3).unwrap_err().message.starts_with("needs"));
    assert!(error(&[0xff, 0xff], 3).unwrap_err().message.contains("begins with its end"));
}
