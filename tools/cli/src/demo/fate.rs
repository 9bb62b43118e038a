//! What is in store for a process of the job, as its parent commands: which call waits for a kill, which worker
//! dies, and whether the coordinator stands still.

use super::event::{Activity, Event};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The call that is to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Once this row is read,
    pub(super) row: u64,
    /// the next call of this kind,
    pub(super) activity: Activity,
    /// after it took effect, or before.
    pub(super) done: bool,
}

/// What the parent says while the job runs, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Command {
    /// A worker ends, and the job goes on in this process from its last checkpoint.
    KillWorker {
        /// Which one is drawn from this.
        drawn: u64,
        /// How many subtasks each operator has from then on.
        parallelism: u32,
        /// For the next kill.
        hold: Option<Hold>,
    },
    /// The coordinator does nothing any more: it counts as dead.
    StandStill,
    /// It had not died, and does what it was about to do.
    GoOn,
}

/// No worker.
const NOBODY: usize = usize::MAX;

struct State {
    hold: Option<Hold>,
    is_held: bool,
    is_still: bool,
    parallelism: u32,
}

pub(super) struct Fate {
    state: Mutex<State>,
    changed: Condvar,
    doomed: AtomicUsize,
}

impl Fate {
    pub(super) fn new(parallelism: u32, hold: Option<Hold>) -> Arc<Self> {
        let state = State { hold, is_held: false, is_still: false, parallelism };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Arc::new(Self { state, changed, doomed: AtomicUsize::new(NOBODY) })
    }

    /// Obeys what is written to standard input, on a thread of its own, while anybody writes.
    pub(super) fn listen(self: &Arc<Self>) {
        let fate = Arc::clone(self);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let Ok(command) = serde_json::from_str(&line) else { break };
                fate.obey(command);
            }
        });
    }

    fn obey(&self, command: Command) {
        let mut state = self.state();
        match command {
            Command::KillWorker { drawn, parallelism, hold } => {
                // Two operators.
                let workers = u64::from(state.parallelism) * 2;
                self.doomed.store((drawn % workers.max(1)) as usize, Ordering::Relaxed);
                (state.is_held, state.hold, state.parallelism) = (false, hold, parallelism);
            }
            Command::StandStill => state.is_still = true,
            Command::GoOn => (state.is_held, state.is_still) = (false, false),
        }
        drop(state);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, waits: impl Fn(&State) -> bool) {
        let state = self.changed.wait_while(self.state(), |state| waits(state));
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits in a call if it is the one that is to be held.
    pub(super) fn hold_back(&self, activity: Activity, done: bool, row: u64, path: &str) {
        let mut state = self.state();
        let is_it =
            |hold: &mut Hold| hold.activity == activity && hold.done == done && hold.row <= row;
        if state.hold.take_if(is_it).is_none() {
            return;
        }
        state.is_held = true;
        drop(state);
        Event::Held { activity, path: path.to_owned(), done }.tell();
        // A process that is killed never leaves this.
        self.wait_while(|state| state.is_held);
    }

    /// Whether a call that is to be held has not come yet.
    pub(super) fn awaits_call(&self) -> bool {
        self.state().hold.is_some()
    }

    /// Where a coordinator that counts as dead waits.
    pub(super) fn stand_still(&self) {
        self.wait_while(|state| state.is_still);
    }

    /// Whether a worker, by its number among all, is to die.
    pub(super) fn is_doomed(&self, worker: usize) -> bool {
        self.doomed.load(Ordering::Relaxed) == worker
    }

    /// All workers are new: with how many subtasks of each operator the job begins.
    pub(super) fn reborn(&self) -> u32 {
        self.doomed.store(NOBODY, Ordering::Relaxed);
        self.state().parallelism
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Hold = Hold { row: 100, activity: Activity::Publish, done: false };

    #[test]
    fn one_worker_of_those_that_there_are_dies_once() {
        let fate = Fate::new(2, None);
        for drawn in 0..100 {
            fate.obey(Command::KillWorker { drawn, parallelism: 2, hold: None });
            assert_eq!((0..4).filter(|worker| fate.is_doomed(*worker)).count(), 1, "{drawn}");
        }
        fate.obey(Command::KillWorker { drawn: 3, parallelism: 5, hold: None });
        assert!(fate.is_doomed(3));
        assert_eq!(fate.reborn(), 5);
        assert!((0..10).all(|worker| !fate.is_doomed(worker)));
    }

    #[test]
    fn a_call_is_held_once_its_row_is_read_and_until_somebody_says_so() {
        let fate = Fate::new(2, Some(HOLD));
        // Others are not: these calls come back.
        fate.hold_back(HOLD.activity, false, 99, "early");
        fate.hold_back(HOLD.activity, true, 100, "done");
        fate.hold_back(Activity::Sweep, false, 100, "a sweep");
        assert!(fate.awaits_call());
        let held = Arc::clone(&fate);
        let call = std::thread::spawn(move || held.hold_back(HOLD.activity, false, 100, "it"));
        while !fate.state().is_held {
            std::thread::yield_now();
        }
        assert!(!call.is_finished());
        fate.obey(Command::GoOn);
        call.join().unwrap();
        // Once.
        assert!(!fate.awaits_call());
        fate.hold_back(HOLD.activity, false, 200, "the next");
    }
}
