//! Timers that are not there yet.

use super::{UID, failing, open, settings};
use esker::backend::heap::{HeapBackend, TimerState};
use esker::backend::{Backend, Handle};
use esker::block_on;
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::state::TimerDescriptor;

/// When the first timer is due.
const FIRST_MS: i64 = 1000;

/// A backend of timers, one for each of 500 keys, the first at `FIRST_MS`.
fn timers(job: &mut LocalJob) -> (HeapBackend, Handle<TimerState<u64, ()>>) {
    let mut backend = job.backend(UID, KeyGroupRange::ALL).lazily(1);
    let timers = backend.open(TimerDescriptor::<u64>::event("wake")).unwrap();
    block_on(job.restore(&mut backend)).unwrap();
    (backend, timers)
}

#[test]
fn the_first_watermark_that_a_timer_may_be_due_at_waits_for_all() {
    let (fault, store) = failing();
    let mut job = open(&store, &settings());
    let (mut backend, wake) = timers(&mut job);
    for key in 0..500_u64 {
        backend.state(wake).unwrap().register(FIRST_MS + key as i64, &key, &()).unwrap();
    }
    block_on(job.checkpoint(&mut [backend])).unwrap();

    let mut job = open(&store, &settings());
    let (mut backend, wake) = timers(&mut job);
    let before = fault.call_count();
    let state = backend.state(wake).unwrap();
    // Before any of them nothing is due, and nothing is read.
    assert_eq!(state.pop_due(FIRST_MS - 1).unwrap(), None);
    assert_eq!(fault.call_count(), before);
    // One key group is read for one timer, which is the first then.
    state.register(5, &0, &()).unwrap();
    assert!(state.len() < 10);
    assert_eq!(state.peek().unwrap(), Some(5));
    assert_eq!(state.pop_due(FIRST_MS).unwrap(), Some((5, 0, ())));
    assert!(state.len() < 10);
    assert!(state.contains(FIRST_MS + 7, &7, &()).unwrap());
    assert!(!state.contains(FIRST_MS, &7, &()).unwrap());
    state.delete(FIRST_MS + 9, &9, &()).unwrap();
    // A watermark that a timer may be due at waits; where they cannot be read, it is told so.
    fault.fail_always(true);
    assert!(state.pop_due(FIRST_MS).is_err());
    assert!(state.peek().is_err());
    fault.fail_always(false);
    let mut fired = Vec::new();
    while let Some((time_ms, key, ())) = state.pop_due(i64::MAX).unwrap() {
        assert_eq!(time_ms, FIRST_MS + key as i64);
        fired.push(key);
    }
    let expected: Vec<u64> = (0..500).filter(|key| *key != 9).collect();
    assert_eq!(fired, expected);
    // And all of that is in the next checkpoint.
    block_on(job.checkpoint(&mut [backend])).unwrap();
    let (mut backend, wake) = timers(&mut open(&store, &settings()));
    assert_eq!(backend.state(wake).unwrap().peek().unwrap(), None);
}
