//! Timers: 1,000,000 of them, about one a millisecond, registered in no order.

use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::heap::TimerState;
use esker::state::TimeDomain;
use esker_format::KeyGroupRange;
use std::collections::BTreeSet;

/// Event timers by key.
pub type Timers = TimerState<u64, ()>;
type PeerTimers = BTreeSet<(i64, u64)>;

const ENTRIES: usize = 1_000_000;
/// What a watermark moves on by, in milliseconds.
pub(crate) const STEP_MS: i64 = 1000;

/// `len` timers, one for each of as many keys, at most `len` milliseconds from now.
pub fn drawn(len: usize) -> Vec<(i64, u64)> {
    let keys = keys::in_range(len, KeyGroupRange::ALL).into_iter();
    keys.map(|key| ((keys::mixed(key) % len as u64) as i64, key)).collect()
}

/// A state that holds `timers`.
pub fn registered(timers: &[(i64, u64)]) -> Result<Timers, String> {
    let state = Timers::new(1, TimeDomain::Event, KeyGroupRange::ALL);
    let mut state = state.map_err(|e| e.to_string())?;
    for (time_ms, key) in timers {
        state.register(*time_ms, key, &()).map_err(|e| e.to_string())?;
    }
    Ok(state)
}

/// Deletes `timers`, and says how many were there.
pub fn delete(state: &mut Timers, timers: &[(i64, u64)]) -> usize {
    timers.iter().filter(|(time, key)| matches!(state.delete(*time, key, &()), Ok(true))).count()
}

/// Fires all timers, watermark by watermark, and says how many there were.
pub fn fire(state: &mut Timers) -> usize {
    let mut fired = 0;
    for watermark_ms in (0..).step_by(STEP_MS as usize) {
        while state.pop_due(watermark_ms).is_ok_and(|due| due.is_some()) {
            fired += 1;
        }
        if state.is_empty() {
            break;
        }
    }
    fired
}

fn fire_peer(peer: &mut PeerTimers) -> usize {
    let mut fired = 0;
    for watermark_ms in (0..).step_by(STEP_MS as usize) {
        while peer.first().is_some_and(|(time_ms, _)| *time_ms <= watermark_ms) {
            std::hint::black_box(peer.pop_first());
            fired += 1;
        }
        if peer.is_empty() {
            break;
        }
    }
    fired
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    if !report.wants("heap.timers") {
        return Ok(());
    }
    let timers = drawn(ENTRIES);
    // Not the order that they were registered in.
    let mut others = timers.clone();
    others.sort_unstable_by_key(|(_, key)| *key);
    let rounds = report.rounds(9);
    for operation in ["register", "delete", "fire"] {
        let name = format!("heap.timers.{operation}.1m");
        if !report.wants(&name) {
            continue;
        }
        let done = |time: f64, count: usize| if count == ENTRIES { time } else { f64::NAN };
        let (a, b) = in_turn(
            rounds,
            &mut (),
            |(), _| {
                let mut state = Err(String::new());
                let time = seconds(|| state = registered(&timers));
                let (Ok(mut state), mut count) = (state, 0) else { return f64::NAN };
                match operation {
                    "register" => done(time, state.len()),
                    "delete" => {
                        let time = seconds(|| count = delete(&mut state, &others));
                        done(time, count)
                    }
                    _ => {
                        let time = seconds(|| count = fire(&mut state));
                        done(time, count)
                    }
                }
            },
            |(), _| {
                let (mut peer, mut count) = (PeerTimers::new(), 0);
                let time = seconds(|| timers.iter().for_each(|timer| _ = peer.insert(*timer)));
                match operation {
                    "register" => done(time, peer.len()),
                    "delete" => {
                        let there = |timer: &&(i64, u64)| peer.remove(*timer);
                        let time = seconds(|| count = others.iter().filter(there).count());
                        done(time, count)
                    }
                    _ => {
                        let time = seconds(|| count = fire_peer(&mut peer));
                        done(time, count)
                    }
                }
            },
        );
        let ops = ENTRIES as f64;
        let question = Question::speed(&name, 0.8, ENTRIES, rounds);
        report.versus(question, ops / a, ops / b, "BTreeSet of (time, key)");
    }
    Ok(())
}
