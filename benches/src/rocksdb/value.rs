//! Value state: get, update, rmw.

use super::peer::{Merge, PEER, Peer};
use super::side::{Bytes, Side, settle, speed, text};
use crate::keys;
use crate::measure::seconds;
use crate::report::Report;
use esker::backend::ValueCalls;
use esker::backend::rocksdb::ValueState;
use esker::state::ValueDescriptor;
use esker_format::{KeyGroupRange, Ordered};

/// u64 to u64.
pub(super) type Values = ValueState<u64, (), u64>;

/// Calls in a round.
const OPS: usize = 200_000;
const TARGET: f64 = 0.90;

struct Both {
    side: Side<Values>,
    peer: Peer,
    drawn: Vec<u64>,
    bytes: Bytes,
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    for (entries, size) in [(500_000, "500k"), (10_000_000, "10m")] {
        let name = |operation: &str| format!("rocksdb.value.{operation}.{size}");
        if ["get", "update", "rmw"].iter().any(|operation| report.wants(&name(operation))) {
            sizes(report, entries, &name)?;
        }
    }
    Ok(())
}

pub(super) fn descriptor() -> ValueDescriptor<u64, u64> {
    ValueDescriptor::with_codec("value", Ordered)
}

/// An empty state and one that holds `keys`, each with its position.
pub(super) fn filled(keys: &[u64]) -> Result<Side<Values>, String> {
    let mut side = Side::new(descriptor())?;
    let state = side.state()?;
    for (key, value) in keys.iter().zip(0..) {
        state.update(key, &(), value).map_err(text)?;
    }
    Ok(side)
}

fn sizes(
    report: &mut Report,
    entries: usize,
    name: &impl Fn(&str) -> String,
) -> Result<(), String> {
    let keys = keys::in_range(entries, KeyGroupRange::ALL);
    let mut side = filled(&keys)?;
    let peer = Peer::new(&side.dir(), Merge::None)?;
    let filled = Bytes::of(&keys).iter().zip(0_u64..).all(|(k, v)| peer.put(k, &v.to_be_bytes()));
    if !filled {
        return Err("the peer's database failed".into());
    }
    // 500,000 entries are in the write buffer, 10,000,000 in files, where nothing is left to compact.
    if entries > 1_000_000 {
        side.flush()?;
        peer.flush()?;
        settle(&side.dir());
        settle(peer.dir());
    }
    let drawn = keys::uniform(&keys, OPS);
    let bytes = Bytes::of(&drawn);
    let mut both = Both { side, peer, drawn, bytes };
    let counts = (entries, OPS, report.rounds(15));
    for operation in ["get", "update", "rmw"] {
        let name = name(operation);
        if !report.wants(&name) {
            continue;
        }
        let (mut sum, mut peer_sum) = (0, 0);
        let row = (name.as_str(), TARGET, PEER);
        let esker = |both: &mut Both, round| {
            let Ok(state) = both.side.state() else { return f64::NAN };
            seconds(|| sum = operate(state, operation, &both.drawn, round as u64))
        };
        let by_hand = |both: &mut Both, round| {
            seconds(|| peer_sum = operate_peer(&both.peer, operation, &both.bytes, round as u64))
        };
        speed(report, row, counts, &mut both, esker, by_hand)?;
        if sum != peer_sum {
            return Err(format!("{name}: the answers differ"));
        }
    }
    Ok(())
}

/// Asks one operation of each key; `u64::MAX` if one failed.
#[inline(never)]
fn operate(state: &mut Values, operation: &str, keys: &[u64], value: u64) -> u64 {
    let sum = match operation {
        "get" => keys.iter().try_fold(0, |sum, key| {
            state.get(key, &()).map(|found| sum ^ found.unwrap_or(u64::MAX))
        }),
        "update" => keys.iter().try_for_each(|key| state.update(key, &(), value)).map(|()| 0),
        _ => {
            let add = |slot: &mut Option<u64>| *slot = Some(slot.unwrap_or(0) + 1);
            keys.iter().try_for_each(|key| state.rmw(key, &(), add)).map(|()| 0)
        }
    };
    sum.unwrap_or(u64::MAX)
}

#[inline(never)]
fn operate_peer(peer: &Peer, operation: &str, keys: &Bytes, value: u64) -> u64 {
    match operation {
        "get" => keys.iter().fold(0, |sum, key| sum ^ peer.get(key).unwrap_or(u64::MAX)),
        "update" => {
            let value = value.to_be_bytes();
            u64::from(!keys.iter().all(|key| peer.put(key, &value)))
        }
        _ => {
            let add = |key: &[u8]| {
                let value = peer.get(key).unwrap_or(0) + 1;
                peer.put(key, &value.to_be_bytes())
            };
            u64::from(!keys.iter().all(add))
        }
    }
}
