//! What comes out with its lines, however little memory there is.

use super::*;
use crate::format::KeyGroup;
use crate::format::composite::CompositeKey;
use crate::format::run::{Entry, KEY_LEN_BYTES_MAX};

fn key(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let group = KeyGroup((number * 7919) as u16);
    CompositeKey::new(1, group, &number.to_be_bytes(), b"", b"").encode_into(&mut out);
    out
}

#[test]
fn entries_come_back_in_order_and_what_was_put_twice_with_its_lines_whatever_the_memory() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut numbers: Vec<u64> = (0..3000).collect();
    random.shuffle(&mut numbers);
    // All in memory; a few runs; so many that runs are merged, twice over.
    for len_bytes_max in [1 << 20, 40_000, 900] {
        let mut spool = Spool::within(len_bytes_max).unwrap();
        for (line, number) in (1..).zip(&numbers) {
            let lane = Lane::Elements(0, (number % 2) as u32);
            spool.add(lane, line, &key(*number), &number.to_be_bytes()[6..]).unwrap();
        }
        let (first, second) = (numbers[5], numbers[2500]);
        spool.add(Lane::Elements(0, (first % 2) as u32), 9001, &key(first), b"x").unwrap();
        spool.add(Lane::Broadcast(3), 9002, &key(second), b"same").unwrap();
        spool.add(Lane::Broadcast(3), 9003, &key(second), b"same").unwrap();
        spool.add(Lane::Broadcast(3), 9004, &key(7), b"same").unwrap();
        spool.add(Lane::Broadcast(3), 9005, &key(7), b"other").unwrap();
        let sorted = spool.finish().unwrap();
        for subtask in 0..2_u64 {
            let (chain, _) = sorted.open(&[Lane::Elements(0, subtask as u32)]).unwrap();
            let mut expected: Vec<_> = (0..3000).filter(|n| n % 2 == subtask).collect();
            expected.sort_by_key(|number| key(*number));
            let mut found = Vec::new();
            let each = &mut |entry: Entry<'_>| {
                let parts = CompositeKey::decode(entry.key)?;
                let number = u64::from_be_bytes(parts.key[..].try_into().unwrap());
                // What was put twice may have no value any more.
                assert!(number == first || value_of(entry.value)? == &number.to_be_bytes()[6..]);
                found.push(number);
                Ok(())
            };
            chain.merge(KeyGroupRange::ALL, None, each).unwrap();
            assert!(found == expected, "{len_bytes_max}");
        }
        let mut twice = Vec::new();
        let each = &mut |lane, key: &[u8], lines| {
            twice.push((lane, key.to_vec(), lines));
            Ok(())
        };
        sorted.duplicates(each).unwrap();
        let lane = Lane::Elements(0, (first % 2) as u32);
        let expected =
            [(Lane::Broadcast(3), key(7), vec![9004, 9005]), (lane, key(first), vec![6, 9001])];
        assert_eq!(twice, expected);
    }
}

#[test]
fn what_is_too_long_is_refused_at_its_own_line_and_what_is_not_goes_into_a_run() {
    let mut spool = Spool::within(1 << 30).unwrap();
    let lane = Lane::Keyed(0);
    let long = CompositeKey::new(1, KeyGroup(1), &[7; KEY_LEN_BYTES_MAX], b"", b"");
    let mut key_too_long = Vec::new();
    long.encode_into(&mut key_too_long);
    let error = spool.add(lane, 1, &key_too_long, b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("the limit is 1048576"), "{error}");
    let key = key(1);
    let longest = vec![0; ENTRY_LEN_BYTES_MAX - key.len() + 1];
    let error = spool.add(lane, 2, &key, &longest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // Neither is there, and one that is a byte shorter fits with its line.
    spool.add(lane, 3, &key, &longest[1..]).unwrap();
    let sorted = spool.finish().unwrap();
    let raw_len_bytes = sorted.open(&[lane]).unwrap().1;
    assert_eq!(raw_len_bytes, (ENTRY_LEN_BYTES_MAX + 13) as u64);
}

#[test]
fn what_is_said_again_takes_no_room() {
    let value = vec![7; 2000];
    for len_bytes_max in [1 << 20, 10_000] {
        let mut spool = Spool::within(len_bytes_max).unwrap();
        for line in 1..=400 {
            spool.add(Lane::Broadcast(0), line, &key(1), &value).unwrap();
            spool.add(Lane::Keyed(0), line + 1000, &key(2), &value).unwrap();
        }
        let sorted = spool.finish().unwrap();
        let (mut lens, mut twice) = (Vec::new(), Vec::new());
        for lane in [Lane::Broadcast(0), Lane::Keyed(0)] {
            let each = &mut |entry: Entry<'_>| {
                lens.push(entry.value.len());
                Ok(())
            };
            let (chain, _) = sorted.open(&[lane]).unwrap();
            chain.merge(KeyGroupRange::ALL, None, each).unwrap();
        }
        // Two levels of runs at most, each of which holds one value.
        assert!(lens.iter().all(|len| *len <= 32 * (value.len() + 11)), "{lens:?}");
        let each = &mut |lane, _: &[u8], lines| {
            twice.push((lane, lines));
            Ok(())
        };
        sorted.duplicates(each).unwrap();
        assert_eq!(twice, [(Lane::Keyed(0), (1001..=1010).collect::<Vec<u64>>())]);
        let (chain, _) = sorted.open(&[Lane::Broadcast(0)]).unwrap();
        let each = &mut |entry: Entry<'_>| {
            assert!(value_of(entry.value)? == value);
            Ok(())
        };
        chain.merge(KeyGroupRange::ALL, None, each).unwrap();
    }
}
