//! Rows `candidates.*`: esker's copy-on-write table beside a flat table with an undo log, for the
//! decision between them. No budget: asked by name alone, and a ratio above 1 speaks for esker.

use crate::heap::{Peer, State, filled, get, state, update, worst};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Better, Question, Report};
use crate::undo::UndoTable;
use esker_format::{KeyGroup, KeyGroupRange};

const PEER: &str = "flat table with undo log";
const OPS: usize = 1_000_000;

struct Both {
    state: State,
    undo: UndoTable,
}

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    if !report.names("candidates") {
        return Ok(());
    }
    for (entries, size) in
        [(10_000, "10k"), (100_000, "100k"), (1_000_000, "1m"), (10_000_000, "10m")]
    {
        let keys = keys::in_range(entries, KeyGroupRange::ALL);
        insert(report, &keys, size)?;
        look_ups(report, &keys, size)?;
        floor(report, &keys, size);
    }
    Ok(())
}

fn undo_filled(keys: &[u64]) -> UndoTable {
    let mut undo = UndoTable::new(KeyGroupRange::ALL);
    keys.iter().for_each(|key| _ = undo.update(*key, 1));
    undo
}

fn insert(report: &mut Report, keys: &[u64], size: &str) -> Result<(), String> {
    let rounds = report.rounds(9);
    state(KeyGroupRange::ALL)?;
    let name = format!("candidates.insert.{size}");
    if report.wants(&name) {
        let (a, b) = in_turn(
            rounds,
            &mut (),
            |(), _| seconds(|| filled(KeyGroupRange::ALL, keys).map(|state| state.len())),
            |(), _| seconds(|| _ = undo_filled(keys)),
        );
        let ops = keys.len() as f64;
        report.versus(Question::speed(&name, 1.0, keys.len(), rounds), ops / a, ops / b, PEER);
    }
    let name = format!("candidates.worst-write.{size}");
    if report.wants(&name) {
        let (a, b) = in_turn(
            rounds,
            &mut (),
            |(), _| {
                let Ok(mut state) = state(KeyGroupRange::ALL) else { return f64::NAN };
                worst::slowest(keys, |key| _ = state.update(&key, &(), 1))
            },
            |(), _| {
                let mut undo = UndoTable::new(KeyGroupRange::ALL);
                worst::slowest(keys, |key| _ = undo.update(key, 1))
            },
        );
        let (unit, better) = ("ms", Better::Lower);
        let name = &name;
        let question = Question { name, unit, better, target: 1.0, entries: keys.len(), rounds };
        report.versus(question, a * 1e3, b * 1e3, PEER);
    }
    Ok(())
}

fn look_ups(report: &mut Report, keys: &[u64], size: &str) -> Result<(), String> {
    let rounds = report.rounds(15);
    let drawn = keys::uniform(keys, OPS);
    let undo = undo_filled(keys);
    let mut both = Both { state: filled(KeyGroupRange::ALL, keys)?, undo };
    let ops = OPS as f64;
    for op in ["get", "update", "update-during", "capture"] {
        let name = format!("candidates.{op}.{size}");
        if !report.wants(&name) {
            continue;
        }
        let (a, b) = match op {
            "get" => in_turn(
                rounds,
                &mut both,
                |both, _| seconds(|| get(&mut both.state, &drawn)),
                |both, _| {
                    let add = |sum, key: &u64| sum ^ both.undo.get(*key).unwrap_or(0);
                    seconds(|| drawn.iter().fold(0, add))
                },
            ),
            "update" => in_turn(
                rounds,
                &mut both,
                |both, round| seconds(|| update(&mut both.state, &drawn, round as u64)),
                |both, round| seconds(|| update_undo(&mut both.undo, &drawn, round as u64)),
            ),
            "update-during" => in_turn(
                rounds,
                &mut both,
                |both, round| {
                    let capture = both.state.capture();
                    let time = seconds(|| update(&mut both.state, &drawn, round as u64));
                    drop(capture);
                    time
                },
                |both, round| {
                    let capture = both.undo.capture();
                    let time = seconds(|| update_undo(&mut both.undo, &drawn, round as u64));
                    both.undo.drop_capture(capture);
                    time
                },
            ),
            _ => in_turn(
                rounds,
                &mut both,
                |both, _| {
                    update(&mut both.state, &drawn[..1000], 7);
                    let mut capture = None;
                    seconds(|| capture = Some(both.state.capture()))
                },
                |both, _| {
                    update_undo(&mut both.undo, &drawn[..1000], 7);
                    let mut capture = 0;
                    let time = seconds(|| capture = both.undo.capture());
                    both.undo.drop_capture(capture);
                    time
                },
            ),
        };
        let times = if op == "capture" { 1.0 } else { ops };
        let question = Question::speed(&name, 1.0, keys.len(), rounds);
        report.versus(question, times / a, times / b, PEER);
    }
    Ok(())
}

/// What the key group's hash alone costs: hashbrown, asked whether the key group is owned before
/// each look-up, beside hashbrown. No table that owns key groups can be faster than that.
fn floor(report: &mut Report, keys: &[u64], size: &str) {
    let names = ["get", "update"].map(|op| format!("candidates.floor.{op}.{size}"));
    if !names.iter().any(|name| report.wants(name)) {
        return;
    }
    let (rounds, ops) = (report.rounds(15), OPS as f64);
    let drawn = keys::uniform(keys, OPS);
    let mut peer = Peer::default();
    keys.iter().for_each(|key| _ = peer.insert(*key, 1));
    let range = std::hint::black_box(KeyGroupRange::ALL);
    let owned = |key: &u64| range.contains(KeyGroup::of(&key.to_be_bytes()));
    let read = |peer: &Peer<u64, u64>, key: &u64| peer.get(key).copied().unwrap_or(0);
    let (a, b) = in_turn(
        rounds,
        &mut peer,
        |peer, _| {
            let add = |sum, key: &u64| if owned(key) { sum ^ read(peer, key) } else { sum };
            seconds(|| drawn.iter().fold(0, add))
        },
        |peer, _| seconds(|| drawn.iter().fold(0, |sum, key| sum ^ read(peer, key))),
    );
    let question = |name| Question::speed(name, 1.0, keys.len(), rounds);
    report.versus(question(&names[0]), ops / a, ops / b, crate::heap::PEER);
    let (a, b) = in_turn(
        rounds,
        &mut peer,
        |peer, round| {
            seconds(|| {
                for key in drawn.iter().filter(|key| owned(key)) {
                    peer.insert(*key, round as u64);
                }
            })
        },
        |peer, round| seconds(|| drawn.iter().for_each(|key| _ = peer.insert(*key, round as u64))),
    );
    report.versus(question(&names[1]), ops / a, ops / b, crate::heap::PEER);
}

fn update_undo(undo: &mut UndoTable, keys: &[u64], value: u64) -> bool {
    keys.iter().fold(true, |ok, key| ok & undo.update(*key, value).is_some())
}
