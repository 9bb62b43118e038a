//! Rows `snapshot.*`: taking and writing a snapshot.

mod chain;
mod full;
pub(crate) mod memory;
mod metadata;
pub mod subtask;

use crate::heap::{filled, update};
use crate::keys;
use crate::measure::{median, seconds};
use crate::report::{Better, Question, Report};
use esker_format::KeyGroupRange;

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    captures(report)?;
    full::run(report)?;
    chain::run(report)?;
    metadata::run(report)?;
    memory::run(report)
}

fn captures(report: &mut Report) -> Result<(), String> {
    if !report.wants("snapshot.capture") {
        return Ok(());
    }
    let rounds = report.rounds(45);
    let large = capture(10_000_000, rounds)?;
    let small = capture(10_000, rounds)?;
    let question = |name, unit, target| Question {
        name,
        unit,
        better: Better::Lower,
        target,
        entries: 10_000_000,
        rounds,
    };
    report.limit(question("snapshot.capture.10m", "us", 1.0), large * 1e6, 100.0);
    let question = question("snapshot.capture.10m.over-10k", "us", 4.0);
    report.versus(question, large * 1e6, small * 1e6, "capture of 10,000 entries");
    Ok(())
}

/// Median seconds of a capture after 1,000 updates; the one before is dropped first.
fn capture(entries: usize, rounds: usize) -> Result<f64, String> {
    let keys = keys::in_range(entries, KeyGroupRange::ALL);
    let mut state = filled(KeyGroupRange::ALL, &keys)?;
    let mut times = Vec::new();
    for round in 0..rounds {
        update(&mut state, &keys::uniform(&keys[round * 100..], 1000), round as u64);
        let mut capture = None;
        times.push(seconds(|| capture = Some(state.capture())));
    }
    Ok(median(times))
}
