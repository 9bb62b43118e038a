//! Value state: get, update, rmw, insert.

use super::{
    AHEAD, PEER, Peer, State, filled, get, get_ahead, rmw, rmw_ahead, state, update, update_ahead,
};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::heap::ValueState;
use esker_format::{KeyGroupRange, Ordered};

/// Look-ups per round.
const OPS: usize = 1_000_000;

struct Both {
    state: State,
    peer: Peer<u64, u64>,
}

pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    for (entries, name) in [(500_000, "500k"), (1_000_000, "1m"), (10_000_000, "10m")] {
        let rows = ["get", "update", "rmw"].map(|op| format!("heap.value.{op}.{name}"));
        if rows.iter().any(|row| report.wants(row)) {
            look_ups(report, entries, name)?;
        }
    }
    insert(report, 10_000_000)?;
    text(report, 1_000_000)
}

fn look_ups(report: &mut Report, entries: usize, size: &str) -> Result<(), String> {
    let keys = keys::in_range(entries, KeyGroupRange::ALL);
    let mut peer = Peer::default();
    for key in &keys {
        peer.insert(*key, 1);
    }
    let mut both = Both { state: filled(KeyGroupRange::ALL, &keys)?, peer };
    let rounds = report.rounds(15);
    // Not a row of the budget: the same look-ups with keys named ahead, held to the same targets.
    let plain = [0.85, 0.80, 0.80];
    for (kind, target) in [("", plain), (".ahead", plain), (".zipf", [0.75; 3])] {
        if !kind.is_empty() && size == "500k" {
            continue;
        }
        let drawn = match kind {
            ".zipf" => keys::zipf(&keys, OPS),
            _ => keys::uniform(&keys, OPS),
        };
        let ahead = kind == ".ahead";
        let get = if ahead { get_ahead::<AHEAD> } else { get };
        let update = if ahead { update_ahead::<AHEAD> } else { update };
        let rmw = if ahead { rmw_ahead::<AHEAD> } else { rmw };
        for (op, target) in ["get", "update", "rmw"].into_iter().zip(target) {
            let name = format!("heap.value.{op}.{size}{kind}");
            if !report.wants(&name) {
                continue;
            }
            let (a, b) = match op {
                "get" => in_turn(
                    rounds,
                    &mut both,
                    |both, _| seconds(|| get(&mut both.state, &drawn)),
                    |both, _| {
                        let peer = &both.peer;
                        let add = |sum, key: &u64| sum ^ peer.get(key).copied().unwrap_or(0);
                        seconds(|| drawn.iter().fold(0, add))
                    },
                ),
                "update" => in_turn(
                    rounds,
                    &mut both,
                    |both, round| seconds(|| update(&mut both.state, &drawn, round as u64)),
                    |both, round| {
                        seconds(|| {
                            drawn.iter().for_each(|key| _ = both.peer.insert(*key, round as u64));
                        })
                    },
                ),
                _ => in_turn(
                    rounds,
                    &mut both,
                    |both, _| seconds(|| rmw(&mut both.state, &drawn)),
                    |both, _| {
                        seconds(|| {
                            drawn.iter().for_each(|k| *both.peer.entry(*k).or_insert(0) += 1)
                        })
                    },
                ),
            };
            let ops = OPS as f64;
            let question = Question::speed(&name, target, entries, rounds);
            report.versus(question, ops / a, ops / b, PEER);
        }
    }
    Ok(())
}

fn insert(report: &mut Report, entries: usize) -> Result<(), String> {
    let name = "heap.value.insert.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let keys = keys::in_range(entries, KeyGroupRange::ALL);
    let rounds = report.rounds(5);
    state(KeyGroupRange::ALL)?;
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| {
            let mut table = None;
            let time = seconds(|| table = filled(KeyGroupRange::ALL, &keys).ok());
            drop(table);
            time
        },
        |(), _| {
            let mut peer = Peer::default();
            seconds(|| keys.iter().for_each(|key| _ = peer.insert(*key, 1)))
        },
    );
    let ops = entries as f64;
    report.versus(Question::speed(name, 0.90, entries, rounds), ops / a, ops / b, PEER);
    Ok(())
}

/// 100-byte text keys with 100-byte values.
fn text(report: &mut Report, entries: usize) -> Result<(), String> {
    let names = ["heap.value.get.1m.text", "heap.value.update.1m.text"];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let keys: Vec<String> = (0..entries as u64).map(|i| keys::text(keys::mixed(i))).collect();
    let mut table = ValueState::<String, (), Vec<u8>>::new(1, KeyGroupRange::ALL, Ordered)
        .map_err(|e| e.to_string())?;
    let mut peer = Peer::<Box<str>, Vec<u8>>::default();
    for key in &keys {
        table.update(key, &(), vec![1; 100]).map_err(|e| e.to_string())?;
        peer.insert(key.as_str().into(), vec![1; 100]);
    }
    // Cloned in the order they are asked in, so that the keys asked for are read in memory order.
    let drawn = keys::uniform(&keys, OPS / 2);
    drop(keys);
    let mut both = (table, peer);
    let rounds = report.rounds(15);
    let ops = drawn.len() as f64;
    if report.wants(names[0]) {
        let (a, b) = in_turn(
            rounds,
            &mut both,
            |(table, _), _| {
                seconds(|| {
                    drawn.iter().fold(0, |sum, key| {
                        let len = table.get_with(key, &(), |v| v.map_or(0, |v| v[0]));
                        sum ^ len.unwrap_or(0)
                    })
                })
            },
            |(_, peer), _| {
                seconds(|| {
                    drawn.iter().fold(0, |sum, k| sum ^ peer.get(k.as_str()).map_or(0, |v| v[0]))
                })
            },
        );
        report.versus(Question::speed(names[0], 0.80, entries, rounds), ops / a, ops / b, PEER);
    }
    if report.wants(names[1]) {
        // The peer changes the value in place, so esker gets the same: both write what is new.
        let (a, b) = in_turn(
            rounds,
            &mut both,
            |(table, _), round| {
                seconds(|| {
                    for key in &drawn {
                        let _ = table.update(key, &(), vec![round as u8; 100]);
                    }
                })
            },
            |(_, peer), round| {
                seconds(|| {
                    for key in &drawn {
                        if let Some(value) = peer.get_mut(key.as_str()) {
                            *value = vec![round as u8; 100];
                        }
                    }
                })
            },
        );
        report.versus(Question::speed(names[1], 0.80, entries, rounds), ops / a, ops / b, PEER);
    }
    Ok(())
}
