//! Blocks of runs, decoded ahead.

use super::all::{All, call};
use super::backend;
use crate::backend::heap::HeapBackend;
use crate::backend::heap::testing::{changes, for_blocks, full};
use crate::backend::{Backend, KeyedState, StateCapture};
use crate::state::TtlConfig;
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::sync::Arc;

/// Owned by the backend, but not of the run.
fn counts(group: KeyGroup) -> bool {
    !group.0.is_multiple_of(3)
}

/// Takes a run into two states: one decodes its blocks ahead, and takes `step` entries at a time.
/// Returns how many blocks were decoded ahead.
fn taken_alike<S: KeyedState>(
    ahead: &mut S,
    one_by_one: &mut S,
    (run, step): (&[u8], usize),
) -> usize {
    let mut blocks = 0;
    for_blocks(run, |block| {
        let mut entries = Vec::new();
        let mut clears = false;
        let each = |entry: Entry<'_>| {
            clears |= entry.op == Op::Clear;
            let group = CompositeKey::decode(entry.key).unwrap().group;
            if counts(group) {
                entries.push((group.0, entry.key.to_vec(), entry.op, entry.value.to_vec()));
            }
            Ok(())
        };
        block.for_each(each).unwrap();
        let decoded = ahead.decoder().unwrap().decode(&block, &mut counts).unwrap();
        assert_eq!(decoded.is_none(), clears, "what clears is looked for entry by entry");
        let Some(mut decoded) = decoded else { return };
        blocks += 1;
        let groups: Vec<u16> = entries.iter().map(|(group, ..)| *group).collect();
        assert_eq!(decoded.groups, groups);
        for few in entries.chunks(step) {
            ahead.apply_decoded(&mut *decoded.entries, few.len()).unwrap();
            for (_, key, op, value) in few {
                let entry = Entry { key, op: *op, value };
                one_by_one.apply(entry).unwrap();
            }
            assert!(full(&*ahead.capture_state()) == full(&*one_by_one.capture_state()));
        }
    });
    blocks
}

#[test]
fn entries_decoded_ahead_are_those_applied_one_by_one() {
    let mut runner = TestRunner::deterministic();
    let mut heap = All::open(HeapBackend::new("all", KeyGroupRange::ALL), TtlConfig::new(30));
    let mut captures = Vec::new();
    for _ in 0..2 {
        for _ in 0..500 {
            let mut call = call().new_tree(&mut runner).unwrap().current();
            call.key *= 7;
            heap.call(&call);
        }
        captures.push(heap.capture());
    }
    let [first, second] = &captures[..] else { unreachable!() };
    let (first_backend, _first_folder) = backend();
    let (second_backend, _second_folder) = backend();
    let mut ahead = All::open(first_backend, TtlConfig::new(30));
    let mut one_by_one = All::open(second_backend, TtlConfig::new(30));
    let id_of = |name: &str| {
        heap.backend.infos().iter().find(|info| info.name == name).map(|info| info.id).unwrap()
    };
    let named = |name| {
        let find = |captures: &[Arc<dyn StateCapture>]| {
            Arc::clone(captures.iter().find(|capture| capture.id() == id_of(name)).unwrap())
        };
        [full(&*find(first)), changes(&*find(second))]
    };
    let mut blocks = 0;
    let (a, b) = (&mut ahead.backend, &mut one_by_one.backend);
    for (run, step) in named("value").iter().zip([7, 3]) {
        let states = (a.state(ahead.value).unwrap(), b.state(one_by_one.value).unwrap());
        blocks += taken_alike(states.0, states.1, (run, step));
    }
    for (run, step) in named("list").iter().zip([7, 3]) {
        let states = (a.state(ahead.list).unwrap(), b.state(one_by_one.list).unwrap());
        blocks += taken_alike(states.0, states.1, (run, step));
    }
    for (run, step) in named("map").iter().zip([7, 3]) {
        let states = (a.state(ahead.map).unwrap(), b.state(one_by_one.map).unwrap());
        blocks += taken_alike(states.0, states.1, (run, step));
    }
    assert!(
        blocks >= 5,
        "{blocks}: a run in full and one of changes of each, but for clears of maps"
    );
    let mut others = Box::new(7_u64);
    let error = ahead.backend.state(ahead.value).unwrap().apply_decoded(&mut *others, 1);
    assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Corrupt);
}
