//! Captures: what the state was, whatever it becomes.

use crate::every::{Call, Program, call};
use crate::harness::{for_cases, fresh, live};
use crate::lines;
use esker::Result;
use esker::backend::{
    Backend, BackendFactory, EntrySink, KeyedState, ListCalls, MapCalls, StateCapture, TimerCalls,
    ValueCalls,
};
use esker::format::KeyGroupRange;
use esker::format::composite::CompositeKey;
use esker::format::run::{Entry, Op};
use esker::snapshot::Captures;
use esker::state::{
    ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, ValueDescriptor,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Key and value of each entry, in the order in which they were written.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Keeps entries, and checks that they are in run order and no removals, in `range`.
struct Kept {
    state: u32,
    range: KeyGroupRange,
    entries: Entries,
}

impl EntrySink for Kept {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let key = CompositeKey::decode(entry.key)?;
        assert_eq!(key.state, self.state);
        assert!(self.range.contains(key.group), "{:?} is not in {:?}", key.group, self.range);
        assert!(matches!(entry.op, Op::Put | Op::Append), "{:?} in a full capture", entry.op);
        let last = self.entries.last().map(|(key, _)| key.as_slice());
        assert!(last.is_none_or(|last| last < entry.key), "{last:?} before {:?}", entry.key);
        self.entries.push((entry.key.to_vec(), entry.value.to_vec()));
        Ok(())
    }
}

fn written(capture: &dyn StateCapture, range: KeyGroupRange) -> Entries {
    let mut sink = Kept { state: capture.id(), range, entries: Vec::new() };
    capture.write_full(range, &mut sink).unwrap();
    sink.entries
}

fn all_written(captures: &Captures) -> Vec<Entries> {
    captures.iter().map(|capture| written(&**capture, KeyGroupRange::ALL)).collect()
}

fn epochs() -> impl Strategy<Value = Vec<Vec<Call>>> {
    vec(vec(call(34), 0..120), 1..6)
}

/// I4: what a capture writes is the same as long as it lives, whatever is written, however many
/// others there are, in whatever order they are dropped, and without the backend.
pub fn captures_never_change<F: BackendFactory>(factory: &F) {
    for_cases(200, (epochs(), any::<u64>()), |(epochs, seed)| {
        let mut program = Program::empty(factory, 1).unwrap();
        let mut alive: Vec<(Captures, Vec<Entries>)> = Vec::new();
        for (number, calls) in (0..).zip(epochs) {
            calls.into_iter().for_each(|call| program.call(call));
            let captures = program.backends[0].capture().unwrap();
            let entries = all_written(&captures);
            alive.push((captures, entries));
            if (seed >> number) & 1 == 1 {
                alive.remove(seed as usize % alive.len());
            }
            for (captures, entries) in &alive {
                assert!(all_written(captures) == *entries, "a capture changed");
            }
        }
        drop(program);
        for (captures, entries) in &alive {
            assert!(all_written(captures) == *entries, "a capture changed with its backend");
        }
    });
}

/// The canonical lines of a capture are those of a model, in every state and in order.
pub fn captures_hold_what_the_states_held<F: BackendFactory>(factory: &F) {
    for_cases(200, epochs(), |epochs| {
        let mut program = Program::empty(factory, 3).unwrap();
        for calls in epochs {
            calls.into_iter().for_each(|call| program.call(call));
            let difference = lines::difference(&program.lines().unwrap(), &program.model.lines());
            assert!(difference.is_empty(), "{difference:#?}");
        }
        for backend in &mut program.backends {
            let range = backend.range();
            for capture in backend.capture().unwrap() {
                let all = written(&*capture, KeyGroupRange::ALL);
                assert_eq!(all, written(&*capture, range));
            }
        }
    });
}

/// Several threads write the same captures by range of key groups while the state goes on.
pub fn captures_are_written_from_several_threads<F: BackendFactory>(factory: &F) {
    let calls = || vec(call(34), 100..300);
    for_cases(60, (calls(), calls()), |(before, after)| {
        let mut program = Program::empty(factory, 1).unwrap();
        before.into_iter().for_each(|call| program.call(call));
        let captures = program.backends[0].capture().unwrap();
        let whole = all_written(&captures);
        std::thread::scope(|scope| {
            let captures = &captures;
            let slices: Vec<_> = (0..5)
                .map(|index| {
                    let range = KeyGroupRange::of_subtask(index, 5).unwrap();
                    let write =
                        move || captures.iter().map(|capture| written(&**capture, range)).collect();
                    scope.spawn::<_, Vec<Entries>>(write)
                })
                .collect();
            let again = scope.spawn(move || all_written(captures));
            after.into_iter().for_each(|call| program.call(call));
            let mut joined = vec![Entries::new(); whole.len()];
            for slice in slices {
                let slice = slice.join().unwrap();
                joined.iter_mut().zip(slice).for_each(|(all, part)| all.extend(part));
            }
            assert!(joined == whole, "slices are not the whole");
            assert!(again.join().unwrap() == whole, "another thread writes something else");
        });
    });
}

/// What captures say of themselves: ids ascending as those of the states, entries, the earliest timer;
/// and how many were taken.
pub fn captures_count_their_entries<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let value = backend.open(ValueDescriptor::<u64, u32>::new("value")).unwrap();
    let list = backend.open(ListDescriptor::<u64, u32>::new("list")).unwrap();
    let map = backend.open(MapDescriptor::<u64, u8, u32>::new("map")).unwrap();
    let timers = backend.open(TimerDescriptor::<u64>::event("timers")).unwrap();
    let largest = |value: &mut u32, input: u32| *value = input.max(*value);
    let reducing = backend.open(ReducingDescriptor::<u64, u32>::new("reducing", largest)).unwrap();
    for key in 0..40 {
        let number = key as u32;
        backend.state(value).unwrap().update(&key, &(), number).unwrap();
        backend.state(value).unwrap().update(&key, &(), number + 1).unwrap();
        backend.state(list).unwrap().append_all(&key, &(), 0..3).unwrap();
        backend.state(map).unwrap().put(&key, &(), &1, number).unwrap();
        backend.state(map).unwrap().put(&key, &(), &2, number).unwrap();
        backend.state(map).unwrap().put(&key, &(), &2, number).unwrap();
        backend.state(timers).unwrap().register(100 - key as i64, &key, &()).unwrap();
        backend.state(timers).unwrap().register(100 - key as i64, &key, &()).unwrap();
        backend.state(reducing).unwrap().add(&key, &(), number).unwrap();
        backend.state(reducing).unwrap().add(&key, &(), number).unwrap();
    }
    backend.state(value).unwrap().clear(&0, &()).unwrap();
    backend.state(value).unwrap().clear(&0, &()).unwrap();
    backend.state(list).unwrap().clear(&0, &()).unwrap();
    backend.state(list).unwrap().update(&1, &(), [1]).unwrap();
    backend.state(map).unwrap().clear(&0, &()).unwrap();
    backend.state(map).unwrap().remove(&1, &(), &1).unwrap();
    backend.state(map).unwrap().remove(&1, &(), &9).unwrap();
    backend.state(timers).unwrap().delete(61, &39, &()).unwrap();
    backend.state(timers).unwrap().delete(61, &39, &()).unwrap();
    let expected = [39, 38 * 3 + 1, 39 * 2 - 1, 39, 40];
    let counted = [
        backend.state(value).unwrap().entries(),
        backend.state(list).unwrap().entries(),
        backend.state(map).unwrap().entries(),
        backend.state(timers).unwrap().entries(),
        backend.state(reducing).unwrap().entries(),
    ];
    let taken = backend.captures_taken();
    let captures = backend.capture().unwrap();
    // The others may say about how many.
    if captures.iter().all(|capture| capture.is_counted()) {
        assert_eq!(counted, expected);
    }
    assert_eq!(backend.captures_taken(), taken + 1);
    let infos = backend.infos();
    assert!(infos.is_sorted_by(|a, b| a.id < b.id));
    assert!(captures.iter().map(|capture| capture.id()).eq(infos.iter().map(|info| info.id)));
    let names = ["value", "list", "map", "timers", "reducing"];
    for (name, expected) in names.into_iter().zip(expected) {
        let at = infos.iter().position(|info| info.name == name).unwrap();
        assert_eq!(live(&*captures[at]), expected, "{name}");
        let earliest_ms = (name == "timers").then_some(62);
        assert_eq!(captures[at].earliest_timer_ms(), earliest_ms, "{name}");
        assert_eq!(captures[at].ttl_time_ms(), None, "{name}");
    }
    // As it was, though the state goes on.
    backend.state(value).unwrap().clear(&5, &()).unwrap();
    backend.state(timers).unwrap().register(1, &5, &()).unwrap();
    let at = |name: &str| infos.iter().position(|info| info.name == name).unwrap();
    assert_eq!(live(&*captures[at("value")]), 39);
    assert_eq!(captures[at("timers")].earliest_timer_ms(), Some(62));
}
