//! Work on all processors at once, its results in the order of what they are of, in bounded memory.

use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many results of the item whose turn it is may wait for the consumer.
const WAITING_MAX: usize = 4;
/// How many results of later items wait for their turn, for each thread.
const AHEAD_MAX: usize = 4;

/// Calls `work` with each of `items`, one for each processor at once and begun in their order, and `consume`, on this
/// thread, with what it hands out: all of the first item, then all of the second, and so on. Items whose turn has not come
/// are held up once 4 results for each thread wait, so that memory is bounded whatever an item hands out.
///
/// # Errors
/// The first of `consume`, or of `work` in the order of items; nothing is consumed after it.
pub(super) fn ordered<T: Sync, C: Send>(
    items: &[T],
    work: impl Fn(&T, &mut dyn FnMut(C) -> Result<()>) -> Result<()> + Sync,
    consume: &mut dyn FnMut(C) -> Result<()>,
) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let lanes = Lanes::new(items.len(), threads * AHEAD_MAX);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(turn) = lanes.begin() {
                    let Some(item) = items.get(turn.number) else { break };
                    let done = work(item, &mut |result| lanes.push(turn.number, result));
                    turn.end(done);
                }
            });
        }
        // Whatever ends the consumer ends the workers.
        let _stop = Stop(&lanes);
        for number in 0..items.len() {
            while let Some(result) = lanes.next(number)? {
                consume(result)?;
            }
        }
        Ok(())
    })
}

/// What waits of each item that was begun and not consumed yet.
struct Lanes<C> {
    state: Mutex<State<C>>,
    changed: Condvar,
    items: usize,
    ahead_max: usize,
}

struct State<C> {
    /// The item that is begun next.
    next: usize,
    /// The item that is consumed.
    head: usize,
    lanes: BTreeMap<usize, Lane<C>>,
    /// Results in all lanes.
    waiting: usize,
    stopped: bool,
}

struct Lane<C> {
    results: VecDeque<C>,
    done: Option<Result<()>>,
}

impl<C> Lanes<C> {
    fn new(items: usize, ahead_max: usize) -> Self {
        let state = State { next: 0, head: 0, lanes: BTreeMap::new(), waiting: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), items, ahead_max }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<C>>) -> MutexGuard<'a, State<C>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item, for a worker; none if there are no more, or nobody wants them.
    fn begin(&self) -> Option<Turn<'_, C>> {
        let mut state = self.lock();
        if state.stopped || state.next == self.items {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.lanes.insert(number, Lane { results: VecDeque::new(), done: None });
        Some(Turn { lanes: self, number, done: None })
    }

    /// Adds a result of item `number` once there is room.
    fn push(&self, number: usize, result: C) -> Result<()> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Error::new(ErrorKind::Retry, "nobody waits for this any more"));
            }
            let (is_head, waiting) = (state.head == number, state.waiting);
            let Some(lane) = state.lanes.get_mut(&number) else { return Ok(()) };
            // Only the head's lane is emptied, so its worker is never held up by others.
            let has_room = match is_head {
                true => lane.results.len() < WAITING_MAX,
                false => waiting < self.ahead_max,
            };
            if has_room {
                lane.results.push_back(result);
                state.waiting += 1;
                self.changed.notify_all();
                return Ok(());
            }
            state = self.wait(state);
        }
    }

    /// The next result of item `number`; none once it is done.
    fn next(&self, number: usize) -> Result<Option<C>> {
        let mut state = self.lock();
        if state.head != number {
            state.head = number;
            self.changed.notify_all();
        }
        loop {
            if let Some(lane) = state.lanes.get_mut(&number) {
                if let Some(result) = lane.results.pop_front() {
                    state.waiting -= 1;
                    self.changed.notify_all();
                    return Ok(Some(result));
                }
                if let Some(done) = lane.done.take() {
                    state.lanes.remove(&number);
                    return done.map(|()| None);
                }
            }
            state = self.wait(state);
        }
    }
}

/// An item that a worker has begun; one that panics ends it with an error, so that nobody waits for ever.
struct Turn<'a, C> {
    lanes: &'a Lanes<C>,
    number: usize,
    done: Option<Result<()>>,
}

impl<C> Turn<'_, C> {
    fn end(mut self, done: Result<()>) {
        self.done = Some(done);
    }
}

impl<C> Drop for Turn<'_, C> {
    fn drop(&mut self) {
        let panicked = || Err(Error::new(ErrorKind::Poisoned, "a worker panicked"));
        let done = self.done.take().unwrap_or_else(panicked);
        if let Some(lane) = self.lanes.lock().lanes.get_mut(&self.number) {
            lane.done = Some(done);
        }
        self.lanes.changed.notify_all();
    }
}

struct Stop<'a, C>(&'a Lanes<C>);

impl<C> Drop for Stop<'_, C> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_however_many_an_item_has() {
        let items: Vec<usize> = (0..200).map(|number| number * 7 % 31).collect();
        let mut found = Vec::new();
        let work = |item: &usize, give: &mut dyn FnMut(usize) -> Result<()>| {
            (0..*item).try_for_each(|part| give(item * 100 + part))
        };
        let mut keep = |result| {
            found.push(result);
            Ok(())
        };
        ordered(&items, work, &mut keep).unwrap();
        let expected = items.iter().flat_map(|item| (0..*item).map(move |part| item * 100 + part));
        assert!(found == expected.collect::<Vec<_>>());
        ordered(&[], |_: &u8, _| Ok(()), &mut |_: u8| Ok(())).unwrap();
    }

    #[test]
    fn what_waits_is_bounded_by_threads() {
        let (made, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<usize> = (0..64).collect();
        let work = |_: &usize, give: &mut dyn FnMut(()) -> Result<()>| {
            for _ in 0..100 {
                let waiting = made.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(waiting, Ordering::SeqCst);
                give(())?;
            }
            Ok(())
        };
        let mut taken = 0;
        let mut slowly = |()| {
            taken += 1;
            made.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        ordered(&items, work, &mut slowly).unwrap();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        assert_eq!(taken, 6_400);
        let bound = WAITING_MAX + threads * (AHEAD_MAX + 1) + 2;
        assert!(most.load(Ordering::SeqCst) <= bound, "{most:?} over {bound}");
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        let items: Vec<usize> = (0..1_000).collect();
        let work = |item: &usize, give: &mut dyn FnMut(usize) -> Result<()>| {
            give(*item)?;
            match item {
                5 | 6 => Err(Error::new(ErrorKind::Corrupt, item.to_string())),
                _ => Ok(()),
            }
        };
        let mut found = Vec::new();
        let mut keep = |result| {
            found.push(result);
            Ok(())
        };
        let failed = ordered(&items, work, &mut keep).unwrap_err();
        assert_eq!((failed.to_string().as_str(), found.len()), ("5", 6));
        let mut ended = |_| Err(Error::new(ErrorKind::Retry, "enough"));
        let failed = ordered(&items, work, &mut ended).unwrap_err();
        assert_eq!(failed.to_string(), "enough");
    }
}
