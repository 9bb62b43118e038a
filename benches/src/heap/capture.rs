//! Updates while a capture is live, beside updates without one.

use super::{State, filled, update};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Better, Question, Report};
use esker_format::KeyGroupRange;
use std::time::Instant;

const OPS: usize = 1_000_000;
const ENTRIES: usize = 10_000_000;

pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    if !report.wants("heap.update-during.10m") {
        return Ok(());
    }
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut state = filled(KeyGroupRange::ALL, &keys)?;
    let drawn = keys::uniform(&keys, OPS);
    drop(keys);
    let peer = "no capture live";
    let rounds = report.rounds(9);
    let (a, b) = in_turn(
        rounds,
        &mut state,
        |state, round| {
            let capture = state.capture();
            let time = seconds(|| update(state, &drawn, round as u64));
            drop(capture);
            time
        },
        |state, round| {
            update(state, &drawn, 0);
            seconds(|| update(state, &drawn, round as u64))
        },
    );
    let ops = OPS as f64;
    let question = Question::speed("heap.update-during.10m", 0.60, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, peer);
    if !report.wants("heap.update-during.10m.p999") {
        return Ok(());
    }
    let (a, b) = in_turn(
        rounds,
        &mut state,
        |state, round| {
            let capture = state.capture();
            let time = p999(state, &drawn, round as u64);
            drop(capture);
            time
        },
        |state, round| {
            update(state, &drawn, 0);
            p999(state, &drawn, round as u64)
        },
    );
    let question = Question {
        name: "heap.update-during.10m.p999",
        unit: "us",
        better: Better::Lower,
        target: 2.0,
        entries: ENTRIES,
        rounds,
    };
    report.versus(question, a * 1e6, b * 1e6, peer);
    Ok(())
}

/// The time in seconds that one update in a thousand exceeds.
fn p999(state: &mut State, keys: &[u64], value: u64) -> f64 {
    let mut times: Vec<u64> = Vec::with_capacity(keys.len());
    for key in keys {
        let start = Instant::now();
        update(state, std::slice::from_ref(key), value);
        times.push(start.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    times.get(times.len() / 1000 * 999).map_or(0.0, |ns| *ns as f64 * 1e-9)
}
