use super::*;
use crate::composite::CompositeKey;
use crate::{FormatErrorKind, KeyGroup};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Content = BTreeMap<Vec<u8>, (Op, Vec<u8>)>;

fn key(state: u32, group: u16, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CompositeKey::new(state, KeyGroup(group), key, b"", b"").encode_into(&mut out);
    out
}

fn write(content: &Content, options: RunOptions) -> (Vec<u8>, RunSummary) {
    let mut writer = RunWriter::new(options);
    let mut file = Vec::new();
    for (key, (op, value)) in content {
        writer.add(Entry { key, op: *op, value }).unwrap();
        if writer.pending_bytes() > 100 {
            file.extend(writer.take_output());
        }
    }
    let (rest, summary) = writer.finish().unwrap();
    file.extend(rest);
    (file, summary)
}

fn read(file: &[u8]) -> crate::Result<Content> {
    let reader = RunReader::open_file(file)?;
    reader.verify(file)?;
    let mut content = Content::new();
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let start = handle.offset as usize;
        let block = reader.block(number, &file[start..start + handle.len_bytes as usize])?;
        block.for_each(|entry| {
            content.insert(entry.key.to_vec(), (entry.op, entry.value.to_vec()));
            Ok(())
        })?;
    }
    Ok(content)
}

fn sample() -> Content {
    (0..200_u32)
        .map(|i| {
            let value = vec![i as u8; i as usize % 30 + 1];
            (key(i % 3, (i / 3) as u16, &i.to_be_bytes()), (Op::Put, value))
        })
        .collect()
}

const SMALL: RunOptions =
    RunOptions { block_len_bytes: 256, zstd_level: 1, filter_bits_per_key: 8 };

fn contents() -> impl Strategy<Value = Content> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let op = prop_oneof![Just(Op::Put), Just(Op::Append), Just(Op::Delete), Just(Op::Clear)];
    let entry = (0..3_u32, 0..9_u16, bytes(), op, bytes()).prop_map(|(state, group, k, op, v)| {
        let value = if matches!(op, Op::Put | Op::Append) { v } else { Vec::new() };
        (key(state, group, &k), (op, value))
    });
    proptest::collection::vec(entry, 0..60).prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read(content in contents(), block_len_bytes in 1..2000_usize, bits: u8) {
        let (file, summary) = write(&content, RunOptions { block_len_bytes, zstd_level: 1, filter_bits_per_key: bits });
        prop_assert_eq!(file.len() as u64, summary.len_bytes);
        prop_assert_eq!(crate::Digest::of(&file), summary.digest);
        prop_assert_eq!(read(&file).unwrap(), content);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
        if let Ok(block) = Block::decode(&bytes) {
            // Whatever it says, walking it ends in an answer.
            let _ = block.for_each(|_| Ok(()));
        }
    }

    /// Digests hide the inner decoders from random bytes, so these are fed damage directly.
    #[test]
    fn inner_decoders_survive_damage(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let (file, summary) = write(&sample(), SMALL);
        let handle = &summary.index.blocks[1];
        let start = handle.offset as usize;
        let mut stored = file[start..start + handle.len_bytes as usize].to_vec();
        let i = at.index(stored.len());
        stored[i] ^= 1_u8 << bit;
        if let Ok(block) = Block::decode(&stored) {
            let _ = block.for_each(|entry| CompositeKey::decode(entry.key).map(|_| ()));
        }
        let mut index = summary.index.encode();
        let i = at.index(index.len());
        index[i] ^= 1_u8 << bit;
        let _ = RunIndex::decode(&index, summary.index_offset);
        let _ = RunFilter::decode(&file[..at.index(file.len())]);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let few = sample().into_iter().step_by(4).collect();
    let (file, summary) = write(&few, SMALL);
    assert!(summary.index.blocks.len() > 3 && summary.index.stats.len() == 3);
    for at in 0..file.len() {
        for bit in [0, 7] {
            let mut damaged = file.clone();
            damaged[at] ^= 1_u8 << bit;
            assert!(read(&damaged).is_err(), "bit {bit} of byte {at} of {}", file.len());
        }
        assert!(read(&file[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn damage_in_a_block_names_state_and_key_groups() {
    let (mut file, summary) = write(&sample(), SMALL);
    let handle = &summary.index.blocks[2];
    file[handle.offset as usize + 5] ^= 1;
    let error = read(&file).unwrap_err();
    assert_eq!((error.kind, error.offset), (FormatErrorKind::Corrupt, Some(handle.offset)));
    assert!(error.message.contains("state 0 key group"), "{error}");
}

/// The example of SPEC.md: 190 bytes, block at 16, index at 45, footer at 126.
#[test]
fn the_example_of_the_spec_is_written() {
    let mut writer = RunWriter::new(RunOptions { filter_bits_per_key: 0, ..SMALL });
    writer.add(Entry { key: &key(1, 2, b"k"), op: Op::Put, value: b"v" }).unwrap();
    let (file, summary) = writer.finish().unwrap();
    let block = b"\x01\0\0\0\0\x04\x04\x02\0\x0b\x01\0\x0b\x0b\0\0\0\x01\0\x02k\0\0\0\0\0\x01\x01v";
    assert_eq!(&file[16..45], block);
    assert_eq!(&file[45..52], [1, 0, 0, 0, 1, 16, 29]);
    assert_eq!(&file[97..107], [0, 1, 1, 0, 0, 0, 1, 1, 11, 1]);
    let stats = [1, 4, 1, 1, 1, 1, 1, 0, 12, 1, 11, 1, 0, 2, b'k', 0, 0, 0, 0];
    assert_eq!(&file[107..126], stats);
    assert_eq!((file.len(), summary.index_offset, summary.index_len_bytes), (190, 45, 81));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let (file, _) = write(&sample(), SMALL);
    for at in [8, file.len() - 16] {
        let mut newer = file.clone();
        newer[at] = 2;
        let error = RunReader::open_file(&newer).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::UnsupportedVersion);
        assert!(error.message.contains("version 2"), "{error}");
    }
}

#[test]
fn entries_out_of_order_are_refused() {
    let mut writer = RunWriter::new(SMALL);
    let (low, high) = (key(1, 1, b"a"), key(1, 1, b"b"));
    let put = |key| Entry { key, op: Op::Put, value: b"v" };
    let clear = |key| Entry { key, op: Op::Clear, value: b"" };
    writer.add(clear(&low)).unwrap();
    writer.add(put(&low)).unwrap();
    assert!(writer.add(put(&low)).is_err());
    writer.add(put(&high)).unwrap();
    assert!(writer.add(clear(&high)).is_err());
    assert!(writer.add(put(&low)).is_err());
    for (key, op, value) in [
        (b"short".as_slice(), Op::Put, b"".as_slice()),
        (&[0, 0, 0, 9, 0, 0, 1], Op::Put, b""),
        (&key(9, 1, b"a"), Op::Delete, b"v"),
        (&[key(9, 1, b"a"), b"user".to_vec()].concat(), Op::Clear, b""),
    ] {
        let error = writer.add(Entry { key, op, value }).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{error}");
    }
}

#[test]
fn an_index_of_a_newer_version_is_refused_by_name() {
    let (_, summary) = write(&sample(), SMALL);
    let mut index = summary.index.encode();
    index[0] = 2;
    let location = IndexLocation {
        offset: summary.index_offset,
        len_bytes: index.len() as u64,
        digest: crate::Digest::of(&index),
    };
    let error = RunReader::open(location, &index).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::UnsupportedVersion);
}

#[test]
fn a_range_touches_only_its_blocks() {
    let (file, summary) = write(&sample(), SMALL);
    let (from, to) = (key(1, 10, b""), key(1, 20, b""));
    let blocks = summary.index.blocks_between(&from, &to);
    assert!(blocks.len() < summary.index.blocks.len() / 4, "{blocks:?}");
    let reader = RunReader::open_file(&file).unwrap();
    let mut seen = 0;
    for number in blocks {
        let handle = &reader.index().blocks[number];
        let start = handle.offset as usize;
        let stored = &file[start..start + handle.len_bytes as usize];
        let block = reader.block(number, stored).unwrap();
        block
            .for_each(|entry| {
                seen += usize::from(entry.key >= from.as_slice() && entry.key < to.as_slice());
                Ok(())
            })
            .unwrap();
    }
    let expected = sample().range(from..to).count();
    assert!(expected > 0);
    assert_eq!(seen, expected);
}

#[test]
fn a_column_longer_than_its_frame_can_unpack_to_is_refused() {
    // 256 MiB are declared, by a frame of one repeated byte.
    let frame = b"\x28\xb5\x2f\xfd\xa0\0\0\0\x10\x03\0\x10\0";
    let stored = [b"\x01\0\0\0\x01\x80\x80\x80\x80\x01\x0d", &frame[..]].concat();
    let error = Block::decode(&stored).unwrap_err();
    assert_eq!(error.message, "column is longer than its zstd frame can unpack to");

    // What zstd itself makes of so many equal bytes is within the bound.
    let content = BTreeMap::from([(key(1, 2, b"k"), (Op::Put, vec![0; 16 << 20]))]);
    let (file, _) = write(&content, SMALL);
    assert!(file.len() < 64 << 10 && read(&file).unwrap() == content);
}

/// A block of columns that are stored as they are but for their coding.
fn block_of(entries: u8, columns: [(u8, &[u8]); 3]) -> Vec<u8> {
    let mut stored = vec![entries, 0, 0, 0];
    for (coding, bytes) in columns {
        let packed =
            if coding == 0 { bytes.to_vec() } else { zstd::bulk::compress(bytes, 1).unwrap() };
        stored.extend([coding, bytes.len() as u8, packed.len() as u8]);
        stored.extend(packed);
    }
    stored
}

#[test]
fn lists_and_planes_that_do_not_fit_are_refused() {
    // Two puts: of `abc`, and of `ad`, which shares a byte with it; values `1` and `2`.
    let meta: &[u8] = &[2, 2, 0, 1, 3, 2, 1, 1];
    let good = block_of(2, [(0, meta), (2, b"cdba"), (2, b"12")]);
    let mut seen = Vec::new();
    let note = |entry: Entry<'_>| {
        seen.push((entry.key.to_vec(), entry.value.to_vec()));
        Ok(())
    };
    Block::decode(&good).unwrap().for_each(note).unwrap();
    let expected = [(b"abc".to_vec(), b"1".to_vec()), (b"ad".to_vec(), b"2".to_vec())];
    assert_eq!(seen, expected);

    let long = [2, 0, 65, 0];
    let huge = [7; 65];
    for (block, why) in [
        (block_of(2, [(2, meta), (2, b"cdba"), (2, b"12")]), "meta has planes"),
        (block_of(3, [(0, meta), (0, b"abcd"), (0, b"12")]), "fewer entries in meta"),
        (block_of(1, [(0, &[2, 0, 3, 1, 9]), (0, b"abc"), (0, b"1")]), "meta holds more"),
        (block_of(2, [(0, meta), (0, b"abcde"), (0, b"12")]), "keys are not as long"),
        (block_of(2, [(0, meta), (0, b"abcd"), (0, b"1")]), "values are not as long"),
        (block_of(1, [(0, &long), (2, &huge), (0, b"")]), "too long for planes"),
        (
            block_of(2, [(0, &[2, 2, 0, 4, 3, 5, 1, 1]), (0, b"abcd"), (0, b"12")]),
            "than the one before",
        ),
        (block_of(2, [(0, &[2, 2, 0, 3, 3, 2, 1, 1]), (0, b"abcd"), (0, b"12")]), "than it has"),
    ] {
        let error = Block::decode(&block).unwrap_err();
        assert!(error.message.contains(why), "{error}, not {why}");
    }
}

#[test]
fn blocks_tell_what_states_and_key_groups_they_can_hold() {
    let content = sample();
    let (file, _) = write(&content, SMALL);
    let reader = RunReader::open_file(&file).unwrap();
    let blocks = &reader.index().blocks;
    assert!(blocks.len() > 4);
    let mut between_states = 0;
    for (number, handle) in blocks.iter().enumerate() {
        let holds = reader.index().block_holds(number);
        let stored = &file[handle.offset as usize..][..handle.len_bytes as usize];
        let holds_it = |entry: Entry<'_>| {
            let key = CompositeKey::decode(entry.key)?;
            let of_state = holds.iter().find(|(state, _)| *state == key.state);
            assert!(of_state.is_some_and(|(_, range)| range.contains(key.group)));
            Ok(())
        };
        reader.block(number, stored).unwrap().for_each(holds_it).unwrap();
        between_states += usize::from(holds.len() > 1);
        let groups: u32 = holds.iter().map(|(_, range)| range.count()).sum();
        assert!(groups < 70 || number + 1 == blocks.len() || holds.len() > 1);
    }
    assert!((1..=2).contains(&between_states));
    assert_eq!(reader.index().block_holds(blocks.len()), []);
}

/// A stored block of a long key and others that share all of it and add two bytes each.
fn sharing(key_len_bytes: usize, entries: u32) -> Vec<u8> {
    use crate::bytes::put_varint;
    let mut lists: [Vec<u8>; 4] = Default::default();
    let mut keys = vec![7; key_len_bytes];
    for number in 0..entries {
        let (shared, len) = if number == 0 { (0, 0) } else { (key_len_bytes, 2) };
        lists[0].push(2);
        put_varint(&mut lists[1], shared as u64);
        put_varint(&mut lists[2], (key_len_bytes + len) as u64);
        put_varint(&mut lists[3], 0);
        if number > 0 {
            keys.extend_from_slice(&(number as u16).to_be_bytes());
        }
    }
    let mut stored = entries.to_le_bytes().to_vec();
    for column in [lists.concat(), keys, Vec::new()] {
        stored.push(0);
        put_varint(&mut stored, column.len() as u64);
        put_varint(&mut stored, column.len() as u64);
        stored.extend_from_slice(&column);
    }
    stored
}

#[test]
fn keys_are_no_longer_than_their_columns_justify() {
    let decoded = |stored: Vec<u8>| Block::decode(&stored).map(|block| block.entries());
    assert_eq!(decoded(sharing(1000, 4000)), Ok(4000));
    assert_eq!(decoded(sharing(KEY_LEN_BYTES_MAX - 2, 15)), Ok(15));
    for stored in [sharing(KEY_LEN_BYTES_MAX - 2, 60), sharing(KEY_LEN_BYTES_MAX + 1, 1)] {
        let error = decoded(stored).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Corrupt);
        assert!(error.message.contains("key"), "{error}");
    }

    // What a writer makes is within that, however long a block may be.
    let long = |number: u16| key(1, 2, &[&[7; 100_000][..], &number.to_be_bytes()].concat());
    let content: Content = (1..400).map(|number| (long(number), (Op::Put, vec![]))).collect();
    let (file, summary) = write(&content, RunOptions { block_len_bytes: 1 << 28, ..SMALL });
    assert!(summary.index.blocks.len() > 1 && read(&file).unwrap() == content);
    let mut writer = RunWriter::new(SMALL);
    let entry = Entry { key: &key(1, 2, &[7; KEY_LEN_BYTES_MAX]), op: Op::Put, value: b"" };
    assert_eq!(writer.add(entry).unwrap_err().kind, FormatErrorKind::Invalid);
}

proptest! {
    /// A seek is as many steps as it takes, from wherever it begins.
    #[test]
    fn a_seek_finds_what_steps_find(
        keys in proptest::collection::btree_set(proptest::collection::vec(0..3_u8, 0..5), 1..60),
        sought in proptest::collection::vec(
            (0..4_usize, proptest::collection::vec(0..4_u8, 0..5)),
            1..8,
        ),
    ) {
        let mut builder = super::block::BlockBuilder::default();
        let mut last: Vec<u8> = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let value = vec![number as u8; number % 3];
            let shared = super::block::shared_len(&last, key);
            builder.add(Entry { key, op: Op::Put, value: &value }, shared);
            last.clone_from(key);
        }
        let mut stored = Vec::new();
        builder.finish_into(1, &mut stored).unwrap();
        let block = Block::decode(&stored).unwrap();
        let (mut seeks, mut steps) = (BlockCursor::new(&block), BlockCursor::new(&block));
        let mut begun = false;
        for (ahead, key) in sought {
            for _ in 0..ahead {
                let at = steps.advance().unwrap();
                prop_assert_eq!(seeks.advance().unwrap(), at);
                if !at {
                    return Ok(());
                }
                begun = true;
            }
            while !begun || steps.entry().key < key.as_slice() {
                if !steps.advance().unwrap() {
                    prop_assert!(!seeks.seek(&key).unwrap());
                    return Ok(());
                }
                begun = true;
            }
            prop_assert!(seeks.seek(&key).unwrap());
            prop_assert_eq!(seeks.entry(), steps.entry());
        }
    }
}

#[test]
fn a_seek_tells_of_keys_that_descend() {
    let mut builder = super::block::BlockBuilder::default();
    for (key, shared) in [(&b"ab"[..], 0), (b"aa", 1), (b"ac", 1)] {
        builder.add(Entry { key, op: Op::Put, value: b"" }, shared);
    }
    let mut stored = Vec::new();
    builder.finish_into(1, &mut stored).unwrap();
    let block = Block::decode(&stored).unwrap();
    let mut cursor = BlockCursor::new(&block);
    let error = cursor.seek(b"abc").unwrap_err();
    assert!(error.to_string().contains("keys do not ascend"), "{error}");
    assert!(!cursor.advance().unwrap());
    assert!(!cursor.seek(b"abc").unwrap());
}

#[test]
fn a_cursor_that_failed_or_ended_stays_at_its_end() {
    let mut builder = super::block::BlockBuilder::default();
    // Of the third more is said to be known than the first two, which a seek passes over, have.
    for (key, shared) in [(&b"abcdef"[..], 0), (b"abc", 3), (b"abz", 2)] {
        builder.add(Entry { key, op: Op::Put, value: b"v" }, shared);
    }
    let mut stored = Vec::new();
    builder.finish_into(1, &mut stored).unwrap();
    let block = Block::decode(&stored).unwrap();
    assert_eq!(Block::unpacked_len_bytes(&stored).unwrap(), 3 * 16 + 7 + 3);

    let mut cursor = BlockCursor::new(&block);
    assert!(cursor.seek(b"abcdeg").is_err());
    assert!(!cursor.advance().unwrap());
    let mut cursor = BlockCursor::new(&block);
    assert!(cursor.advance().unwrap());
    assert!(cursor.advance().is_err());
    assert!(!cursor.advance().unwrap());
    assert!(!cursor.seek(b"abz").unwrap());

    let mut cursor = BlockCursor::new(&block);
    assert!(!cursor.seek(b"b").unwrap());
    assert!(!cursor.seek(b"a").unwrap(), "nothing is behind the end");
}
