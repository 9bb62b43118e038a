//! A subtask that owns 1/64 of the key groups is as fast as one that owns all.

use super::{State, filled, get, update};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker_format::KeyGroupRange;

const OPS: usize = 1_000_000;
const ENTRIES: usize = 10_000_000;

pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    if !report.wants("heap.narrow.10m") {
        return Ok(());
    }
    let narrow = KeyGroupRange::of_subtask(17, 64).map_err(|e| e.to_string())?;
    let make = |range| -> Result<(State, Vec<u64>), String> {
        let keys = keys::in_range(ENTRIES, range);
        Ok((filled(range, &keys)?, keys::uniform(&keys, OPS)))
    };
    let mut both = [make(narrow)?, make(KeyGroupRange::ALL)?];
    let rounds = report.rounds(15);
    let ops = OPS as f64;
    let read = |which: usize| {
        move |both: &mut [(State, Vec<u64>); 2], _| {
            let (state, keys) = &mut both[which];
            seconds(|| get(state, keys))
        }
    };
    let (a, b) = in_turn(rounds, &mut both, read(0), read(1));
    let peer = "all key groups";
    let question = Question::speed("heap.narrow.10m.get", 0.95, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, peer);
    let write = |which: usize| {
        move |both: &mut [(State, Vec<u64>); 2], round: usize| {
            let (state, keys) = &mut both[which];
            seconds(|| update(state, keys, round as u64))
        }
    };
    let (a, b) = in_turn(rounds, &mut both, write(0), write(1));
    let question = Question::speed("heap.narrow.10m.update", 0.95, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, peer);
    let capture = |which: usize| {
        move |both: &mut [(State, Vec<u64>); 2], round: usize| {
            let (state, keys) = &mut both[which];
            update(state, &keys[..1000], round as u64);
            let mut capture = None;
            seconds(|| capture = Some(state.capture()))
        }
    };
    let (a, b) = in_turn(rounds.max(9), &mut both, capture(0), capture(1));
    let question = Question::speed("heap.narrow.10m.capture", 0.95, ENTRIES, rounds.max(9));
    report.versus(question, 1.0 / a, 1.0 / b, peer);
    Ok(())
}
