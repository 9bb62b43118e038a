//! List state: 500,000 lists of a hundred elements.

use super::Peer;
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::heap::ListState;
use esker_format::{KeyGroupRange, Ordered};

/// Lists of longs, by key.
pub type Lists = ListState<u64, (), u64>;
type PeerLists = Peer<u64, Vec<u64>>;

const ENTRIES: usize = 500_000;
const LEN: usize = 100;
const OPS: usize = 1_000_000;
const PEER: &str = "hashbrown of Vec";

/// A state without a list.
pub fn empty() -> Result<Lists, String> {
    Lists::new(1, KeyGroupRange::ALL, Ordered).map_err(|e| e.to_string())
}

/// Appends one of `values` to the list of each of `keys`.
pub fn append(lists: &mut Lists, keys: &[u64], values: impl IntoIterator<Item = u64>) -> u64 {
    for (key, value) in keys.iter().zip(values) {
        let _ = lists.append(key, &(), value);
    }
    keys.len() as u64
}

/// Reads every element of the list of each of `keys`.
#[inline(never)]
pub fn get(lists: &mut Lists, keys: &[u64]) -> u64 {
    keys.iter().fold(0, |sum, key| {
        let list = lists.get_with(key, &(), |list| list.iter().fold(0, |sum, n| sum ^ n));
        sum ^ list.unwrap_or(0)
    })
}

#[inline(never)]
fn get_peer(lists: &PeerLists, keys: &[u64]) -> u64 {
    let sum = |list: &Vec<u64>| list.iter().fold(0, |sum, n| sum ^ n);
    keys.iter().fold(0, |all, key| all ^ lists.get(key).map_or(0, sum))
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let (appended, read) = ("heap.list.append.500k", "heap.list.get.500k");
    if !report.wants(appended) && !report.wants(read) {
        return Ok(());
    }
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut both = (empty()?, PeerLists::default());
    // From nothing to a hundred each, list by list in turn: what grows a list is in the figure.
    let rounds = if report.wants(appended) { report.rounds(3) } else { 0 };
    let (a, b) = in_turn(
        rounds,
        &mut both,
        |(lists, _), _| {
            let Ok(new) = empty() else { return f64::NAN };
            *lists = new;
            seconds(|| (0..LEN).for_each(|_| _ = append(lists, &keys, 0..)))
        },
        |(_, peer), _| {
            *peer = PeerLists::default();
            seconds(|| {
                for _ in 0..LEN {
                    for (key, value) in keys.iter().zip(0..) {
                        peer.entry(*key).or_default().push(value);
                    }
                }
            })
        },
    );
    let ops = (ENTRIES * LEN) as f64;
    if rounds > 0 {
        let question = Question::speed(appended, 0.70, ENTRIES, rounds);
        report.versus(question, ops / a, ops / b, PEER);
    }
    if report.wants(read) {
        let drawn = keys::uniform(&keys, OPS);
        let rounds = report.rounds(15);
        let (a, b) = in_turn(
            rounds,
            &mut both,
            |(lists, _), _| seconds(|| get(lists, &drawn)),
            |(_, peer), _| seconds(|| get_peer(peer, &drawn)),
        );
        let ops = OPS as f64;
        report.versus(Question::speed(read, 0.70, ENTRIES, rounds), ops / a, ops / b, PEER);
    }
    Ok(())
}
