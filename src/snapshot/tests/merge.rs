//! The chain merger against a model of what each operation means.

use super::world::*;
use crate::backend::KeyedState;
use crate::backend::{EntrySink, StateCapture};
use crate::snapshot::*;
use crate::store::fault::FaultStore;
use crate::{Result, Store, block_on};
use esker_format::composite::CompositeKey;
use esker_format::manifest::SnapshotKind;
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use esker_test_support::soak;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Entries = Vec<(Vec<u8>, Op, Vec<u8>)>;

#[derive(Default)]
struct Collect(Entries);

impl EntrySink for Collect {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        self.0.push((entry.key.to_vec(), entry.op, entry.value.to_vec()));
        Ok(())
    }
}

/// What a full run of the subtask would hold. The job takes no checkpoint after it.
pub(super) fn full_entries(job: &Job, subtask: usize) -> Entries {
    let mut collect = Collect::default();
    let parallelism = job.states.len() as u32;
    let range = KeyGroupRange::of_subtask(subtask as u32, parallelism).unwrap();
    let mut copy = State::new(1, range, esker_format::Ordered).unwrap();
    for key in job.model.keys() {
        if let Some(value) = job.states[subtask].there(key, &()) {
            copy.update(key, &(), value).unwrap();
        }
    }
    copy.capture_state().write_full(KeyGroupRange::ALL, &mut collect).unwrap();
    collect.0
}

/// A capture of a state that does whatever it is told: lists by namespace and user key.
struct Raw {
    full: BTreeMap<Vec<u8>, Vec<u8>>,
    changes: Entries,
}

fn in_range(key: &[u8], range: KeyGroupRange) -> bool {
    range.contains(CompositeKey::decode(key).unwrap().group)
}

impl StateCapture for Raw {
    fn id(&self) -> u32 {
        3
    }

    fn entries(&self) -> u64 {
        self.full.len() as u64
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let wanted = self.full.iter().filter(|(key, _)| in_range(key, range));
        wanted.into_iter().try_for_each(|(key, value)| sink.add(Entry { key, op: Op::Put, value }))
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let wanted = self.changes.iter().filter(|(key, ..)| in_range(key, range));
        wanted.into_iter().try_for_each(|(key, op, value)| sink.add(Entry { key, op: *op, value }))
    }
}

#[derive(Debug, Clone)]
enum Change {
    Put(u8, u8, Vec<u8>),
    Delete(u8, u8),
    Append(u8, u8, Vec<u8>),
    Clear(u8),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = || proptest::collection::vec(any::<u8>(), 1..4);
    let change = prop_oneof![
        (0..12_u8, 0..3_u8, value()).prop_map(|(key, user, value)| Change::Put(key, user, value)),
        (0..12_u8, 0..3_u8).prop_map(|(key, user)| Change::Delete(key, user)),
        (0..12_u8, 0..3_u8, value()).prop_map(|(key, user, v)| Change::Append(key, user, v)),
        (0..12_u8).prop_map(Change::Clear),
    ];
    proptest::collection::vec(change, 0..25)
}

fn composite(key: u8, user: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let user = [user];
    // The user key 0 is written as none, under which a clear stands too.
    let user = if user == [0] { &[][..] } else { &user[..] };
    CompositeKey::new(3, KeyGroup(u16::from(key) * 5000), &[key], b"ns", user)
        .encode_into(&mut out);
    out
}

/// Applies an epoch to the model, and gives what changed as a run's entries.
fn apply(full: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: Vec<Change>) -> Entries {
    let mut clears: Vec<Vec<u8>> = Vec::new();
    let mut ops: BTreeMap<Vec<u8>, (Op, Vec<u8>)> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(key, user, value) => {
                let key = composite(key, user);
                full.insert(key.clone(), value.clone());
                ops.insert(key, (Op::Put, value));
            }
            Change::Delete(key, user) => {
                let key = composite(key, user);
                full.remove(&key);
                ops.insert(key, (Op::Delete, Vec::new()));
            }
            Change::Append(key, user, value) => {
                let key = composite(key, user);
                full.entry(key.clone()).or_default().extend(&value);
                let (op, all) = ops.entry(key).or_insert((Op::Append, Vec::new()));
                if *op == Op::Delete {
                    *op = Op::Put;
                }
                all.extend(value);
            }
            Change::Clear(key) => {
                let prefix = composite(key, 0);
                full.retain(|key, _| !key.starts_with(&prefix));
                ops.retain(|key, _| !key.starts_with(&prefix));
                clears.retain(|clear| *clear != prefix);
                clears.push(prefix);
            }
        }
    }
    let mut entries: Entries = ops.into_iter().map(|(key, (op, value))| (key, op, value)).collect();
    entries.extend(clears.into_iter().map(|key| (key, Op::Clear, Vec::new())));
    entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::count(800)))]

    #[test]
    fn the_merger_resolves_puts_appends_deletes_and_clears(
        epochs in proptest::collection::vec(changes(), 1..16),
        runs_max in 4..12_usize,
        merge_factor in prop_oneof![Just(0.0), Just(0.3)],
    ) {
        let store = Store::open("memory://").unwrap();
        let settings = SnapshotSettings { runs_max, merge_factor, ..small() };
        let mut full = BTreeMap::new();
        let mut lineage = Lineage::default();
        for (number, epoch) in epochs.into_iter().enumerate() {
            let changes = apply(&mut full, epoch);
            let raw: Arc<dyn StateCapture> = Arc::new(Raw { full: full.clone(), changes });
            let (captures, chain) = lineage.begin(number as u64, vec![raw], 3);
            let id = PartId {
                kind: SnapshotKind::Checkpoint,
                checkpoint: number as u64,
                generation: 1,
                operator: 0,
                subtask: 0,
            };
            let range = KeyGroupRange::ALL;
            let input = PartInput { id, range, captures, operator: None, chain };
            let written = block_on(write_part(&store, input, &settings)).unwrap();
            lineage.completed(number as u64, written.chain);

            let runs = &lineage.chain().part.runs;
            let chain = block_on(ChainReader::open(&store, runs)).unwrap();
            let mut merged = BTreeMap::new();
            let mut last = Vec::new();
            chain.merge(range, Some(3), &mut |entry| {
                assert_eq!(entry.op, Op::Put);
                assert!(last.as_slice() < entry.key, "out of order");
                last = entry.key.to_vec();
                merged.insert(entry.key.to_vec(), entry.value.to_vec());
                Ok(())
            }).unwrap();
            prop_assert_eq!(&merged, &full);
            for key in 0..13 {
                let prefix = composite(key, 0);
                let mut got = BTreeMap::new();
                chain.get(&prefix, &mut |entry| {
                    got.insert(entry.key.to_vec(), entry.value.to_vec());
                    Ok(())
                }).unwrap();
                full.iter().filter(|(key, _)| key.starts_with(&prefix)).for_each(|(key, value)| {
                    assert_eq!(got.remove(key).as_ref(), Some(value));
                });
                prop_assert!(got.is_empty());
            }
        }
    }
}

/// A savepoint of any size is merged with a block of one run in memory, not of each.
#[test]
fn a_run_is_read_once_the_merge_comes_to_it() {
    let mut job = Job::new(1, small());
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);
    let runs = job.lineages[0].chain().part.runs.clone();
    assert!(runs.len() > 2);
    let mut faults = None;
    let store = job
        .store
        .clone()
        .map_object_store(|objects| Arc::new(faults.insert(FaultStore::new(objects)).clone()));
    let faults = faults.unwrap();
    let chain = block_on(ChainReader::open(&store, &runs)).unwrap();
    let opened = faults.call_count();
    let mut entries = 0;
    chain
        .merge(KeyGroupRange::ALL, None, &mut |_| {
            entries += 1;
            if entries == 1 {
                assert_eq!(faults.call_count(), opened + 1);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(entries, KEYS);
    assert!(faults.call_count() >= opened + runs.len() as u64);
}
