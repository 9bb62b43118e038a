//! Clears that damage takes, or that lie before what is asked for: what they dropped does not return.

use super::*;
use crate::backend::EntrySink;
use crate::snapshot::EntrySource;
use crate::snapshot::source::Source;
use crate::store::fault::FaultStore;
use crate::{Result, Store, block_on};
use esker_format::composite::CompositeKey;
use esker_format::part::RunRef;
use esker_format::run::{Entry, IndexLocation, Op, RunOptions, RunWriter};
use esker_format::{KeyGroup, KeyGroupRange, RelativeName};
use std::collections::BTreeMap;
use std::sync::Arc;

const STATE: u32 = 3;

fn key(user_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    CompositeKey::new(STATE, KeyGroup(7), b"key", b"", user_key).encode_into(&mut key);
    key
}

fn puts(user_keys: std::ops::Range<u8>) -> Vec<(Vec<u8>, Op)> {
    user_keys.map(|user_key| (key(&[user_key]), Op::Put)).collect()
}

/// Puts a run of a few entries a block, each of which has `value`; without the blocks of `damaged`.
/// Returns it with the first keys of its blocks.
fn run(
    store: &Store,
    entries: &[(Vec<u8>, Op)],
    (value, base): (&str, bool),
    damaged: Option<usize>,
) -> (RunRef, Vec<Vec<u8>>) {
    let options = RunOptions { block_len_bytes: 60, ..RunOptions::default() };
    let mut writer = RunWriter::new(options);
    for (key, op) in entries {
        let value = if *op == Op::Put { value.as_bytes() } else { &[] };
        writer.add(Entry { key, op: *op, value }).unwrap();
    }
    let (mut bytes, summary) = writer.finish().unwrap();
    let blocks = &summary.index.blocks;
    assert!(blocks.len() > 2, "{}", blocks.len());
    if let Some(damaged) = damaged {
        bytes[blocks[damaged].offset as usize + 3] ^= 1;
    }
    let file = RelativeName::new(format!("{}.run", summary.digest)).unwrap();
    block_on(store.put(&file, bytes.into())).unwrap();
    let index = IndexLocation {
        offset: summary.index_offset,
        len_bytes: summary.index_len_bytes,
        digest: summary.index_digest,
    };
    let (range, entries) = (KeyGroupRange::ALL, entries.len() as u64);
    let base = if base { vec![range] } else { Vec::new() };
    let (len_bytes, digest) = (summary.len_bytes, summary.digest);
    let first_keys = blocks.iter().map(|block| block.first_key.clone()).collect();
    (RunRef { file, len_bytes, digest, index, range, base, entries }, first_keys)
}

fn surveyed(store: &Store, runs: &[RunRef], keys: Option<Vec<Interval>>) -> Arc<Surveyed> {
    let wanted = Wanted::from([(STATE, keys)]);
    let surveyor = Surveyor::new(1).unwrap();
    let chain = (runs, KeyGroupRange::ALL);
    Arc::new(block_on(surveyor.survey(store, chain, &[], &wanted, &|_| {})).unwrap())
}

#[derive(Default)]
struct Collect(BTreeMap<Vec<u8>, String>);

impl EntrySink for Collect {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        assert_eq!(entry.op, Op::Put);
        let value = String::from_utf8(entry.value.to_vec()).unwrap();
        assert!(self.0.insert(entry.key.to_vec(), value).is_none());
        Ok(())
    }
}

/// What chains come to, the first being asked first.
fn salvaged(chains: Vec<Arc<Surveyed>>) -> BTreeMap<Vec<u8>, String> {
    let layers = chains.into_iter().enumerate();
    let layers = layers
        .map(|(source, chain)| StateLayer { source, state: STATE, chains: vec![chain] })
        .collect();
    let entries = SoundEntries::new(vec![StateLayers { id: STATE, layers }]);
    let mut found = Collect::default();
    entries.write(KeyGroupRange::ALL, &mut found).unwrap();
    found.0
}

#[test]
fn what_a_lost_clear_dropped_behind_its_block_does_not_return() {
    let store = Store::open("memory://").unwrap();
    let (old, _) = run(&store, &puts(0..40), ("old", true), None);
    let newer = [vec![(key(&[]), Op::Clear)], puts(0..20)].concat();
    let (new, first_keys) = run(&store, &newer, ("new", false), Some(0));
    let chain = surveyed(&store, &[old.clone(), new.clone()], None);
    let range = &chain.found[0].ranges[0];
    assert_eq!(range.to, Some((key(&[])[4..].to_vec(), true)));
    // Of the run itself, what stands in sound blocks is newer than its clear.
    let sound = puts(0..20).into_iter().map(|(key, _)| key).filter(|key| *key >= first_keys[1]);
    let expected: BTreeMap<_, _> = sound.map(|key| (key, "new".to_owned())).collect();
    assert!(!expected.is_empty());
    assert_eq!(salvaged(vec![chain]), expected);

    // Without the clear all of the older run that nobody changed is there.
    let (new, first_keys) = run(&store, &puts(0..20), ("newer", false), Some(1));
    let found = salvaged(vec![surveyed(&store, &[old, new], None)]);
    assert!(puts(20..40).iter().all(|(key, _)| found[key] == "old"));
    assert!(!found.contains_key(&first_keys[1]) && found[&first_keys[0]] == "newer");
}

#[test]
fn what_an_older_snapshot_cleared_does_not_return_from_it() {
    let store = Store::open("memory://").unwrap();
    let (wanted, first_keys) = run(&store, &puts(0..40), ("wanted", true), Some(8));
    let lost = surveyed(&store, &[wanted], None);
    let keys: Vec<Interval> = lost.lost_keys(STATE).collect();
    let from = first_keys[8].last().copied().unwrap();
    let cleared = [vec![(key(&[]), Op::Clear)], puts(0..from)].concat();
    let (a, _) = run(&store, &puts(0..40), ("a", true), None);
    let (b, of_b) = run(&store, &cleared, ("b", false), None);
    assert!(of_b.len() > 3);
    let older = surveyed(&store, &[a, b], Some(keys));
    let found = salvaged(vec![lost, older]);
    assert!(found.values().all(|value| value == "wanted"), "{found:?}");
    assert!(found.len() < 40 && !found.contains_key(&first_keys[8]));
}

#[test]
fn blocks_that_cannot_be_read_and_follow_each_other_are_told_as_one_range() {
    let store = Store::open("memory://").unwrap();
    let (run, first_keys) = run(&store, &puts(0..60), ("value", true), None);
    assert!(first_keys.len() > 5);
    let open = Source::open(&store, &run, KeyGroupRange::ALL.into());
    let source = block_on(open).unwrap();
    let lost: Vec<_> = source.reader().index().blocks[1..4].to_vec();
    let (start, end) = (lost[0].offset, lost[2].offset + lost[2].len_bytes);
    let store = store.map_object_store(|objects| {
        let faults = FaultStore::new(objects);
        lost.iter()
            .for_each(|block| faults.lose(run.file.as_str(), block.offset..block.offset + 1));
        Arc::new(faults)
    });
    let surveyed = surveyed(&store, std::slice::from_ref(&run), None);
    let [found] = &surveyed.found[..] else { panic!("{:?}", surveyed.found) };
    let entries: u64 = lost.iter().map(|block| u64::from(block.entries)).sum();
    assert_eq!(found.entries, Some(entries));
    let said = format!("bytes {start} up to {end}: cannot read the file: ");
    assert!(found.error.to_string().starts_with(&said), "{}", found.error);
}
