//! Changes of keyed state.
//!
//! An input is a byte, a stream as it lies in a file, read from its first set on. The byte is 2 where the stream is to be compressed
//! before it is read, as no mutation would meet a checksum.

use super::{golden, hostile};
use crate::decoding;
use esker_flink::changelog::{Changelog, KeySearch, LoggedChange, LoggedChanges, Operation, open};
use esker_flink::metadata::KeyedHandle;
use esker_flink::{Input, Output, Result, snappy};
use std::collections::BTreeMap;

/// How many changes of each state a seed has.
const CHANGES: usize = 4;
const COMPRESS: u8 = 2;

/// The key group of a change, and its bytes.
type Logged<'c> = (Option<u16>, &'c [u8]);

/// A stream, without a key, with the one that the search finds, and again.
pub(crate) fn changelog(bytes: &[u8]) {
    let packed = match bytes.split_first() {
        Some((&COMPRESS, rest)) => {
            let mut packed = vec![1];
            snappy::compress(rest, &mut packed).unwrap();
            Some(packed)
        }
        _ => None,
    };
    let stream = packed.as_deref().unwrap_or(bytes);
    let Ok(held) = decoding(bytes, || open(stream)) else { return };
    let found = decoding(bytes, || {
        let Ok(changes) = changes(&held) else { return None };
        let mut search = KeySearch::new([], 128);
        let mut log = Changelog::new(None);
        for change in changes.map_while(Result::ok) {
            let _ = log.read(&change);
            search.see(&change);
        }
        log.key().cloned().or(search.found())
    });
    decoding(bytes, || {
        let Ok(changes) = changes(&held) else { return };
        let mut log = Changelog::new(found);
        for change in changes.map_while(Result::ok) {
            let Ok(read) = log.read(&change) else { continue };
            let defined = log.states().get(&read.state).unwrap();
            assert!(!matches!(read.operation, Operation::Define(_)) || read.key.is_empty());
            let _ = read.check(defined);
        }
    });
}

fn changes(held: &[u8]) -> Result<LoggedChanges<'_>> {
    LoggedChanges::new(Input::new("changes", held))
}

/// A set of changes, uncompressed, each in a group of its own.
pub(crate) fn case<'c>(changes: impl ExactSizeIterator<Item = Logged<'c>>) -> Vec<u8> {
    let mut out = vec![0];
    out.put_i32(changes.len() as i32);
    for (group, bytes) in changes {
        out.put_i32(1);
        out.put_i32(group.map_or(-1, i32::from));
        out.put_i32(bytes.len() as i32);
        out.extend(bytes);
    }
    out
}

pub(crate) fn changelog_seeds() -> Vec<Vec<u8>> {
    let mut seeds = hostile::changelog();
    for (_, handle) in golden::keyed() {
        let KeyedHandle::ChangelogFiles(handle) = handle else { continue };
        let mut log = Changelog::new(None);
        for file in &handle.files {
            let stream = golden::stream(&file.stream);
            let held = open(&stream).unwrap();
            let set = &held[file.offset as usize..];
            let changes: Vec<LoggedChange<'_>> =
                changes(set).unwrap().map_while(Result::ok).collect();
            seeds.extend(by_state(&mut log, &changes));
        }
    }
    seeds.sort();
    seeds.dedup();
    let compressed = |seed: &Vec<u8>| [&[COMPRESS], &seed[1..]].concat();
    let few: Vec<_> = seeds.iter().filter(|seed| seed[0] == 0).map(compressed).collect();
    [seeds, few].concat()
}

/// The definition and a few changes of each state.
fn by_state(log: &mut Changelog, changes: &[LoggedChange<'_>]) -> Vec<Vec<u8>> {
    let mut states: BTreeMap<[u8; 2], Vec<Logged<'_>>> = BTreeMap::new();
    for change in changes {
        let bytes = change.bytes.rest();
        let state = match log.read(change) {
            Ok(change) => change.state.to_be_bytes(),
            Err(_) => *bytes[1..].first_chunk().unwrap(),
        };
        let of_state = states.entry(state).or_default();
        if of_state.len() <= CHANGES {
            of_state.push((change.key_group, bytes));
        }
    }
    states.into_values().map(|changes| case(changes.into_iter())).collect()
}
