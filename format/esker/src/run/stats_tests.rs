//! Statistics and filters.

use super::*;
use crate::composite::CompositeKey;
use crate::{Digest, FormatErrorKind, KeyGroup};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(state: u32, group: u16, key: &[u8], user_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CompositeKey::new(state, KeyGroup(group), key, b"", user_key).encode_into(&mut out);
    out
}

fn run(entries: &BTreeMap<Vec<u8>, Vec<u8>>, bits: u8) -> (Vec<u8>, RunSummary) {
    let options = RunOptions { filter_bits_per_key: bits, ..RunOptions::default() };
    let mut writer = RunWriter::new(options);
    for (key, value) in entries {
        writer.add(Entry { key, op: Op::Put, value }).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn one_entry_is_counted_in_every_way() {
    let mut stats = StateStats::default();
    stats.count(Op::Put, &key(9, 1024 * 5 + 3, &[b'k'; 100], b""), &[0; 8]);
    stats.count(Op::Delete, &key(9, 65_535, b"", b""), &[]);
    assert_eq!((stats.entries, stats.live), (2, 1));
    assert_eq!((stats.key_bytes, stats.value_bytes), (110 + 10, 8));
    assert_eq!(stats.key_sizes.iter().collect::<Vec<_>>(), [(4, 1), (7, 1)]);
    assert_eq!(stats.value_sizes.iter().collect::<Vec<_>>(), [(0, 1), (4, 1)]);
    assert_eq!(stats.slices.iter().collect::<Vec<_>>(), [(5, 118), (63, 10)]);
    let cut = [&[20, 3][..], &[b'k'; 62][..]].concat();
    let largest = LargeEntry { key: cut, key_len_bytes: 110, value_len_bytes: 8 };
    assert_eq!(stats.largest[0], largest);
    assert_eq!(stats.largest.len(), 2);
}

#[test]
fn sizes_fall_into_powers_of_two() {
    for (len, bucket) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11)] {
        let mut stats = StateStats::default();
        stats.count(Op::Put, &key(1, 0, b"", b""), &vec![0; len]);
        assert_eq!(stats.value_sizes.iter().collect::<Vec<_>>(), [(bucket, 1)], "{len}");
    }
}

#[test]
fn a_merge_is_what_one_run_would_count() {
    let (mut one, mut other, mut all) = <(StateStats, StateStats, StateStats)>::default();
    for i in 0..100_u16 {
        // Lengths all differ, so that there is one order of the largest.
        let (key, value) = (key(1, i * 600, b"key", b""), vec![0; usize::from(i * 37 % 101)]);
        if i % 3 == 0 { &mut one } else { &mut other }.count(Op::Put, &key, &value);
        all.count(Op::Put, &key, &value);
    }
    one.merge(&other);
    assert_eq!(one, all);
    let lengths: Vec<_> = one.largest.iter().map(|entry| entry.value_len_bytes).collect();
    assert_eq!(lengths, [100, 99, 98, 97, 96, 95, 94, 93]);
}

#[test]
fn statistics_that_lie_are_refused() {
    let entries = BTreeMap::from([(key(1, 2, b"k", b""), b"v".to_vec())]);
    let (file, summary) = run(&entries, 0);
    let index_at = summary.index_offset as usize;
    let stats_at = summary.index_len_bytes as usize - 19;
    let good = &file[index_at..index_at + summary.index_len_bytes as usize];
    let verify = |index: &[u8]| {
        let (offset, len_bytes) = (summary.index_offset, index.len() as u64);
        let location = IndexLocation { offset, len_bytes, digest: Digest::of(index) };
        RunReader::open(location, index)?.verify(&file)
    };
    assert!(verify(good).is_ok());
    // Each is a byte of: key sizes 1 4 1, value sizes 1 1 1, slices 1 0 12, largest 1 11 1 ...
    for (at, byte) in
        [(1, 5), (1, 30), (2, 2), (2, 0), (5, 7), (7, 1), (7, 64), (8, 13), (9, 0), (9, 2)]
            .into_iter()
            .chain([(10, 10), (10, 3), (10, 12), (11, 2), (14, b'l')])
    {
        let mut bad = good.to_vec();
        bad[stats_at + at] = byte;
        let error = verify(&bad).unwrap_err();
        assert_eq!(
            (error.kind, error.what),
            (FormatErrorKind::Corrupt, "run index"),
            "{at} {byte}"
        );
    }
}

#[test]
fn a_filter_passes_what_is_there_and_little_else() {
    let mut entries = BTreeMap::new();
    for i in 0..20_000_u32 {
        let bytes = i.to_be_bytes();
        for user_key in [b"a", b"b"] {
            entries.insert(key(1, KeyGroup::of(&bytes).0, &bytes, user_key), vec![]);
        }
    }
    let (file, summary) = run(&entries, 8);
    let reader = RunReader::open_file(&file).unwrap();
    let location = reader.index().filter.unwrap();
    assert_eq!(location.len_bytes, 20_000, "8 bits for each key, not for each entry");
    assert_eq!(location.offset + location.len_bytes, summary.index_offset);
    let stored = &file[location.offset as usize..summary.index_offset as usize];
    let filter = reader.filter(stored).unwrap();
    let passes = |i: u32| {
        let bytes = i.to_be_bytes();
        filter.may_contain(&key(1, KeyGroup::of(&bytes).0, &bytes, b""))
    };
    assert!((0..20_000).all(passes));
    let wrong = (20_000..120_000).filter(|i| passes(*i)).count();
    assert!((1_000..4_000).contains(&wrong), "{wrong} of 100,000 absent keys pass");
}

#[test]
fn a_run_without_filter_says_so() {
    let entries = BTreeMap::from([(key(1, 2, b"k", b""), b"v".to_vec())]);
    let (file, summary) = run(&entries, 0);
    assert_eq!(summary.index.filter, None);
    let reader = RunReader::open_file(&file).unwrap();
    assert_eq!(reader.filter(b"").unwrap_err().kind, FormatErrorKind::Invalid);
    assert_eq!(run(&BTreeMap::new(), 8).1.index.filter, None);
}

/// Of one key: which block and bits, so that a change of the hash or the salts is seen.
#[test]
fn filter_bits_are_pinned() {
    let entries = BTreeMap::from([(key(1, 2, b"k", b""), b"v".to_vec())]);
    let (file, summary) = run(&entries, 8);
    let location = summary.index.filter.unwrap();
    let stored = &file[location.offset as usize..summary.index_offset as usize];
    let words: Vec<u32> =
        stored.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(
        words.iter().map(|word| word.trailing_zeros()).collect::<Vec<_>>(),
        [30, 9, 13, 22, 1, 27, 29, 26]
    );
}

#[test]
fn bad_filters_are_refused() {
    for len in [0, 1, 31, 33] {
        assert!(RunFilter::decode(&vec![0; len]).is_err(), "{len}");
    }
    let entries = BTreeMap::from([(key(1, 2, b"k", b""), b"v".to_vec())]);
    let (file, mut summary) = run(&entries, 8);
    let at = summary.index.filter.unwrap().offset as usize;
    // A filter that denies what is there, with a digest that fits.
    let mut bad = file.clone();
    bad[at..at + 32].fill(0);
    summary.index.filter.as_mut().unwrap().digest = Digest::of(&[0; 32]);
    let index = summary.index.encode();
    let (offset, len_bytes) = (summary.index_offset, index.len() as u64);
    let location = IndexLocation { offset, len_bytes, digest: Digest::of(&index) };
    let error = RunReader::open(location, &index).unwrap().verify(&bad).unwrap_err();
    assert!(error.message.contains("the filter denies an entry"), "{error}");
    let reader = RunReader::open_file(&file).unwrap();
    assert_eq!(reader.filter(&[0; 32]).unwrap_err().kind, FormatErrorKind::Corrupt);
    assert_eq!(reader.filter(&file[at..at + 31]).unwrap_err().kind, FormatErrorKind::Corrupt);
}

proptest! {
    #[test]
    fn any_filter_answers(blocks in proptest::collection::vec(any::<[u8; 32]>(), 1..9), key: Vec<u8>) {
        let filter = RunFilter::decode(&blocks.concat()).unwrap();
        let _ = filter.may_contain(&key);
        let all = RunFilter::decode(&vec![0xff; blocks.len() * 32]).unwrap();
        prop_assert!(all.may_contain(&key));
    }
}
