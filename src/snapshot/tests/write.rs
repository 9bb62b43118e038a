//! Savepoints written from sorted entries: what they restore to, what is refused, and what an interruption
//! leaves.

use super::copy::{content, faulty, memory, name, opened};
use super::world::*;
use crate::backend::EntrySink;
use crate::format::composite::CompositeKey;
use crate::format::list::put_element;
use crate::format::manifest::{
    Manifest, Operator, SnapshotKind, StateInfo, StateKind, Ttl, TtlUpdate,
};
use crate::format::part::Part;
use crate::format::run::{Entry, Op, RunReader};
use crate::processor::*;
use crate::snapshot::*;
use crate::store::fault::When;
use crate::{ErrorKind, Result, Store, block_on};
use esker_format::{Key, KeyGroup, KeyGroupRange};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A key, what is done and the value.
type Put = (Vec<u8>, Op, Vec<u8>);

/// Entries in memory, by key; with an operation for what is no put.
struct Entries(BTreeMap<Vec<u8>, (Op, Vec<u8>)>);

impl EntrySource for Entries {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        for (key, (op, value)) in &self.0 {
            let group = KeyGroup(u16::from_be_bytes([key[4], key[5]]));
            // What is of no owner shows that nobody is trusted.
            if range.contains(group) || *value == b"astray" {
                sink.add(Entry { key, op: *op, value })?;
            }
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.0.iter().map(|(key, (_, value))| (key.len() + value.len()) as u64).sum()
    }
}

fn composite(state: u32, group: u16, key: &[u8], user_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CompositeKey::new(state, KeyGroup(group), key, b"", user_key).encode_into(&mut out);
    out
}

/// The parts of a snapshot as sources.
fn sources(open: &OpenSnapshot) -> Vec<OperatorSources> {
    let operators = open.manifest.operators.iter().zip(&open.parts);
    let keyed = |part: &Part| -> Arc<dyn EntrySource> {
        Arc::new(block_on(ChainReader::open(&open.store, &part.runs)).unwrap())
    };
    let of_operator = |(operator, parts): (&Operator, &Vec<Option<Part>>)| {
        let parts = parts.iter().flatten();
        let subtasks = parts
            .map(|part| SubtaskSource { keyed: Some(keyed(part)), ..SubtaskSource::default() });
        OperatorSources { operator: operator.clone(), subtasks: subtasks.collect() }
    };
    operators.map(of_operator).collect()
}

fn write(open: &OpenSnapshot, target: &Store) -> Result<WrittenSavepoint> {
    let manifest = open.manifest.clone();
    block_on(write_savepoint(target, manifest, sources(open), &small(), &|_| {}))
}

#[test]
fn a_chain_becomes_a_savepoint_of_the_same_state_and_the_same_bytes_each_time() {
    let (mut job, target) = (job(), memory());
    let told = AtomicU64::new(0);
    let tell = |entries| {
        told.fetch_add(entries, Ordering::Relaxed);
    };
    let open = opened(&job);
    let (manifest, of_open) = (open.manifest.clone(), sources(&open));
    let done = block_on(write_savepoint(&target, manifest, of_open, &small(), &tell)).unwrap();
    let keys = job.model.len() as u64;
    assert_eq!((done.entries, told.load(Ordering::Relaxed)), (keys, keys));
    let files = content(&target);
    assert_eq!((done.written.files, done.present.files), (files.len() as u64, 0));
    let len_bytes: usize = files.values().map(Vec::len).sum();
    assert_eq!(done.written.len_bytes, len_bytes as u64);

    let written = block_on(open_snapshot(&target, &name(MANIFEST_NAME))).unwrap();
    assert_eq!(written.manifest, done.manifest);
    let Manifest { job: named, kind, checkpoint, .. } = &written.manifest;
    assert_eq!((&named[..], *kind, *checkpoint), ("flights", SnapshotKind::Savepoint, 4));
    for part in written.parts.iter().flatten().flatten() {
        assert!(part.runs.len() > 2, "cut into pieces: {}", part.runs.len());
        assert!(part.runs.iter().all(|run| run.base == [run.range]), "each complete");
        let file = &files[&part.runs[0].file];
        let reader = RunReader::open_file(file).unwrap();
        assert!(reader.index().filter.is_none(), "it would spare few reads");
        let entries: u64 = part.runs.iter().map(|run| run.entries).sum();
        assert_eq!(part.states[0].entries, entries);
    }

    // Again there is nothing left to do; elsewhere it comes out the same.
    let again = write(&open, &target).unwrap();
    assert_eq!((again.written.files, again.present), (0, done.written));
    let second = memory();
    write(&open, &second).unwrap();
    assert_eq!(content(&second), files);

    let published = job.written.as_mut().map(|written| &mut written.published).unwrap();
    published.manifest_path = name(MANIFEST_NAME);
    published.manifest_digest = esker_format::Digest::of(&files[&name(MANIFEST_NAME)]);
    job.store = target;
    for parallelism in [1, 2, 5] {
        let restored = job.restored(parallelism).unwrap();
        assert_eq!(restored.model, job.model);
        assert!(restored.lineages.iter().all(|lineage| lineage.chain().part.runs.is_empty()));
    }
}

fn state(id: u32, kind: StateKind) -> StateInfo {
    let ttl = Ttl { duration_ms: Some(5), update: TtlUpdate::Write };
    let keyed = kind.is_keyed();
    let timer = matches!(kind, StateKind::TimerEvent | StateKind::TimerProcessing);
    let value = info(0).value.filter(|_| !timer);
    StateInfo { kind, value, ttl: (keyed && !timer).then_some(ttl), ..info(id) }
}

/// An operator of one subtask with `states`, and its keyed and operator entries.
fn one(states: Vec<StateInfo>, entries: [Vec<Put>; 2]) -> OperatorSources {
    let [keyed, operator] = entries.map(|entries| -> Option<Arc<dyn EntrySource>> {
        let entries = entries.into_iter().map(|(key, op, value)| (key, (op, value)));
        Some(Arc::new(Entries(entries.collect())))
    });
    let ttl_times_ms = BTreeMap::from([(1, 77), (2, 78), (9, 79)]);
    let key = info(0).value;
    let (uid, parts, extra) = ("one".into(), Vec::new(), Default::default());
    let operator_info = Operator { uid, key, states, dropped: Vec::new(), parts, extra };
    let subtasks = vec![SubtaskSource { keyed, operator, ttl_times_ms }];
    OperatorSources { operator: operator_info, subtasks }
}

fn write_one(target: &Store, operator: OperatorSources) -> Result<WrittenSavepoint> {
    let (job, kind) = ("flights".into(), SnapshotKind::Savepoint);
    let (operators, extra) = (Vec::new(), Default::default());
    let manifest = Manifest { job, kind, checkpoint: 3, generation: 1, operators, extra };
    block_on(write_savepoint(target, manifest, vec![operator], &small(), &|_| {}))
}

#[test]
fn what_is_live_is_counted_by_the_kind_of_its_state() {
    let states = vec![
        state(1, StateKind::Value),
        state(2, StateKind::List),
        state(3, StateKind::TimerEvent),
        state(4, StateKind::OperatorList),
        state(5, StateKind::Value),
    ];
    let mut list = Vec::new();
    for element in [7_u64, 8, 9] {
        put_element(&mut list, |out| {
            element.encode_into(out);
            Ok(())
        })
        .unwrap();
    }
    let mut keyed = Vec::new();
    for group in (0..=65_535_u16).step_by(97) {
        let key = group.to_be_bytes();
        keyed.push((composite(1, group, &key, b""), Op::Put, vec![1; 60]));
        keyed.push((composite(2, group, &key, b""), Op::Put, list.clone()));
        for time_ms in [i64::from(group) - 500, i64::MAX] {
            let mut time = Vec::new();
            time_ms.encode_into(&mut time);
            keyed.push((composite(3, group, &key, &time), Op::Put, Vec::new()));
        }
    }
    let element = |number: u64| (composite(4, 0, &number.to_be_bytes(), b""), Op::Put, vec![0; 8]);
    let target = memory();
    let of_operator = (0..2000).map(element).collect();
    let done = write_one(&target, one(states, [keyed, of_operator])).unwrap();
    let open = block_on(open_snapshot(&target, &name(MANIFEST_NAME))).unwrap();
    let part = open.parts[0][0].as_ref().unwrap();
    let groups = 65_536_u64.div_ceil(97);
    let counted = part.states.iter();
    let counted: Vec<_> = counted
        .map(|state| (state.id, state.entries, state.earliest_timer_ms, state.ttl_time_ms))
        .collect();
    let expected = [
        (1, groups, None, Some(77)),
        (2, 3 * groups, None, Some(78)),
        (3, 2 * groups, Some(-500), None),
        (4, 2000, None, None),
    ];
    // Of the last state nothing is there, and nobody captured it.
    assert_eq!(counted, expected);
    assert_eq!(done.entries, 6 * groups + 2000);
    assert!(part.runs.len() > 2, "{}", part.runs.len());
    let elements = part.operator_run.as_ref().map(|run| run.entries);
    assert_eq!(elements, Some(2000), "one run, however long");
    let stats = part.states.iter().map(|state| state.stats.live).collect::<Vec<_>>();
    assert_eq!(stats, [groups, groups, 2 * groups, 2000]);
}

#[test]
fn entries_that_do_not_fit_are_refused_and_leave_no_snapshot() {
    let good = || (composite(1, 7, b"k", b""), Op::Put, b"v".to_vec());
    let refused = |keyed: Vec<Put>, operator, reason: &str| {
        let target = memory();
        let states = vec![state(1, StateKind::Value), state(4, StateKind::OperatorList)];
        let error = write_one(&target, one(states, [keyed, operator])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains("operator=one"), "{error}");
        assert!(!content(&target).contains_key(&name(MANIFEST_NAME)));
    };
    let unknown = (composite(6, 7, b"k", b""), Op::Put, b"v".to_vec());
    refused(vec![good(), unknown], vec![], "an entry of state 6");
    // Operator state is not keyed state, nor the other way round.
    let element = (composite(4, 7, b"k", b""), Op::Put, b"v".to_vec());
    refused(vec![good(), element.clone()], vec![], "an entry of state 4");
    refused(vec![], vec![good()], "an entry of state 1");
    for op in [Op::Delete, Op::Clear] {
        refused(vec![(composite(1, 7, b"k", b""), op, vec![])], vec![], "among entries that are");
    }
    let append = (composite(1, 7, b"k", b""), Op::Append, b"v".to_vec());
    refused(vec![append], vec![], "a Append among");
    refused(vec![(vec![0, 0, 0, 1, 0, 6], Op::Put, vec![])], vec![], "composite key");
    let astray = (composite(1, 9, b"k", b""), Op::Put, b"astray".to_vec());
    let mut two = one(vec![state(1, StateKind::Value)], [vec![astray], vec![]]);
    two.subtasks
        .push(SubtaskSource { keyed: two.subtasks[0].keyed.clone(), ..SubtaskSource::default() });
    let error = write_one(&memory(), two).unwrap_err();
    assert!(error.to_string().contains("key group 9 among 32768-65535"), "{error}");
}

#[test]
fn a_folder_that_holds_something_else_is_left_as_it_is() {
    let mut job = job();
    let before = opened(&job);
    job.set(1, Some(77));
    job.checkpoint(true);
    let now = opened(&job);
    let refused = |target: &Store, reason: &str| {
        let before = content(target);
        let error = write(&now, target).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Conflict && error.to_string().contains(reason),
            "{error}"
        );
        assert_eq!(content(target), before);
    };
    let target = memory();
    write(&before, &target).unwrap();
    refused(&target, "another snapshot, checkpoint=4 job=\"flights\"");
    // One that differs in what it holds alone.
    let mut alike = opened(&job);
    alike.parts.clone_from(&before.parts);
    let target = memory();
    write(&alike, &target).unwrap();
    refused(&target, "another snapshot");
    let target = memory();
    block_on(target.put(&name(MANIFEST_NAME), "what".into())).unwrap();
    refused(&target, "a manifest that cannot be read");
    for other in ["notes/of mine", "mine.run", &format!("other/{}.part", "0".repeat(64))] {
        let target = memory();
        block_on(target.put(&name(other), "what".into())).unwrap();
        refused(&target, &format!("not of this savepoint, {other}"));
    }
    // A run of another one that was never finished: nobody can tell before the end.
    let target = memory();
    let stale = name(&format!("{}.run", "0".repeat(64)));
    block_on(target.put(&stale, "what".into())).unwrap();
    let error = write(&now, &target).unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains(stale.as_str()));
    assert!(
        error.to_string().contains("interrupted. If none is under way there, delete the folder")
    );
    // Somebody else may be at work there, and name what both have put.
    let left = content(&target);
    assert!(left.len() > 1 && left[&stale] == b"what" && !left.contains_key(&name(MANIFEST_NAME)));
}

#[test]
fn any_one_failing_call_leaves_no_snapshot_or_all_of_it() {
    let job = job();
    let open = opened(&job);
    let whole = memory();
    write(&open, &whole).unwrap();
    let whole = content(&whole);
    let mut failed = 0;
    for number in 1.. {
        let mut met = false;
        for when in [When::Before, When::After] {
            let inner = memory();
            let (fault, target) = faulty(&inner);
            fault.fail_at(number, when);
            let done = write(&open, &target);
            met |= fault.call_count() >= number;
            failed += u32::from(done.is_err());
            let left = content(&inner);
            assert!(done.is_err() || left == whole, "call={number} {when:?}");
            assert!(left.iter().all(|(name, bytes)| whole.get(name) == Some(bytes)));
            assert!(!left.contains_key(&name(MANIFEST_NAME)) || left == whole);
            let again = write(&open, &inner).unwrap();
            assert_eq!(again.present.files, left.len() as u64, "call={number} {when:?}");
            assert_eq!(content(&inner), whole, "call={number} {when:?}");
        }
        if !met {
            break;
        }
    }
    assert!(failed > 20, "{failed} calls failed");
}

#[test]
fn it_is_written_on_any_executor() {
    let (job, target) = (job(), memory());
    let (open, settings) = (opened(&job), small());
    let (manifest, of_open) = (open.manifest.clone(), sources(&open));
    let sent: Box<dyn Future<Output = _> + Send> =
        Box::new(write_savepoint(&target, manifest, of_open, &settings, &|_| {}));
    futures::executor::block_on(Box::into_pin(sent)).unwrap();
    assert!(content(&target).contains_key(&name(MANIFEST_NAME)));
}
