//! Map state: 500,000 maps of ten entries, as flink-benchmarks has them.

use super::Peer;
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::heap::MapState;
use esker_format::{Bincode, KeyGroupRange};

/// Long to double, by key.
pub type Maps = MapState<u64, (), u64, f64>;
type PeerMaps = Peer<u64, Peer<u64, f64>>;

const ENTRIES: usize = 500_000;
const OPS: usize = 1_000_000;
/// Entries of each map, with user keys from 0 on.
pub const USER_KEYS: u64 = 10;
/// What is asked of it.
pub const OPERATIONS: [&str; 4] = ["get", "put", "contains-miss", "iterate"];

/// A state without a map.
pub(super) fn empty() -> Result<Maps, String> {
    Maps::new(1, KeyGroupRange::ALL, Bincode).map_err(|e| e.to_string())
}

/// A state with a map of ten entries for each of `keys`.
pub fn filled(keys: &[u64]) -> Result<Maps, String> {
    let mut maps = empty()?;
    for (at, key) in keys.iter().enumerate() {
        for user in 0..USER_KEYS {
            maps.put(key, &(), &user, (at as u64 + user) as f64).map_err(|e| e.to_string())?;
        }
    }
    Ok(maps)
}

/// Asks one of the [`OPERATIONS`] of each key in turn: one user key of it, or all (`iterate`).
#[inline(never)]
pub fn operate(maps: &mut Maps, operation: &str, keys: &[u64]) -> f64 {
    let keys = keys.iter().zip(0_u64..);
    match operation {
        "get" => keys.fold(0.0, |sum, (key, i)| {
            sum + maps.get(key, &(), &(i % USER_KEYS)).ok().flatten().unwrap_or(0.0)
        }),
        "contains-miss" => keys.fold(0.0, |sum, (key, i)| {
            let found = maps.contains(key, &(), &(i % USER_KEYS + USER_KEYS));
            sum + f64::from(u8::from(found.unwrap_or(false)))
        }),
        "iterate" => keys.fold(0.0, |mut sum, (key, _)| {
            let _ = maps.for_each(key, &(), |user, value| sum += *user as f64 + value);
            sum
        }),
        "put" => keys.fold(0.0, |_, (key, i)| {
            let _ = maps.put(key, &(), &(i % USER_KEYS), i as f64);
            0.0
        }),
        _ => f64::NAN,
    }
}

/// The same of the peer.
#[inline(never)]
fn operate_peer(maps: &mut PeerMaps, operation: &str, keys: &[u64]) -> f64 {
    let keys = keys.iter().zip(0_u64..);
    match operation {
        "get" => keys.fold(0.0, |sum, (key, i)| {
            sum + maps.get(key).and_then(|map| map.get(&(i % USER_KEYS))).copied().unwrap_or(0.0)
        }),
        "contains-miss" => keys.fold(0.0, |sum, (key, i)| {
            let miss = i % USER_KEYS + USER_KEYS;
            let found = maps.get(key).is_some_and(|map| map.contains_key(&miss));
            sum + f64::from(u8::from(found))
        }),
        "iterate" => keys.fold(0.0, |mut sum, (key, _)| {
            if let Some(map) = maps.get(key) {
                map.iter().for_each(|(user, value)| sum += *user as f64 + value);
            }
            sum
        }),
        "put" => keys.fold(0.0, |_, (key, i)| {
            maps.entry(*key).or_default().insert(i % USER_KEYS, i as f64);
            0.0
        }),
        _ => f64::NAN,
    }
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let names = OPERATIONS.map(|operation| format!("heap.map.{operation}.500k"));
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut peer = PeerMaps::default();
    for (at, key) in keys.iter().enumerate() {
        for user in 0..USER_KEYS {
            peer.entry(*key).or_default().insert(user, (at as u64 + user) as f64);
        }
    }
    let mut both = (filled(&keys)?, peer);
    let drawn = keys::uniform(&keys, OPS);
    let rounds = report.rounds(15);
    for (operation, name) in OPERATIONS.iter().zip(&names) {
        if !report.wants(name) {
            continue;
        }
        let (a, b) = in_turn(
            rounds,
            &mut both,
            |(maps, _), _| seconds(|| operate(maps, operation, &drawn)),
            |(_, peer), _| seconds(|| operate_peer(peer, operation, &drawn)),
        );
        let ops = OPS as f64;
        let question = Question::speed(name, 0.70, ENTRIES, rounds);
        report.versus(question, ops / a, ops / b, "hashbrown of hashbrown");
    }
    Ok(())
}
