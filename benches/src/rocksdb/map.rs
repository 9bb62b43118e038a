//! Map state: 500,000 maps of ten entries, as flink-benchmarks has them.

use super::peer::{Merge, PEER, Peer};
use super::side::{Bytes, Side, settle, speed, text};
use crate::keys;
use crate::measure::seconds;
use crate::report::Report;
use esker::backend::MapCalls;
use esker::backend::rocksdb::MapState;
use esker::state::MapDescriptor;
use esker_format::KeyGroupRange;

/// Long to double, by key.
type Maps = MapState<u64, (), u64, f64>;

const ENTRIES: usize = 500_000;
const USER_KEYS: u64 = 10;
const OPS: usize = 200_000;
const TARGET: f64 = 0.85;
const OPERATIONS: [&str; 3] = ["get", "put", "iterate"];

struct Both {
    side: Side<Maps>,
    peer: Peer,
    drawn: Vec<u64>,
    bytes: Bytes,
}

impl Both {
    /// Writes what is in memory, and waits for compactions.
    fn settle(&mut self) -> Result<(), String> {
        self.side.flush()?;
        self.peer.flush()?;
        settle(&self.side.dir());
        settle(self.peer.dir());
        Ok(())
    }
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = |operation: &str| format!("rocksdb.map.{operation}.500k");
    if !OPERATIONS.iter().any(|operation| report.wants(&name(operation))) {
        return Ok(());
    }
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut side = Side::new(MapDescriptor::<u64, u64, f64>::new("map"))?;
    let peer = Peer::new(&side.dir(), Merge::None)?;
    let maps = side.state()?;
    let (bytes, mut buffer) = (Bytes::of(&keys), Vec::new());
    for ((at, key), bytes) in keys.iter().enumerate().zip(bytes.iter()) {
        for user in 0..USER_KEYS {
            let value = (at as u64 + user) as f64;
            maps.put(key, &(), &user, value).map_err(text)?;
            peer.put(entry(bytes, user, &mut buffer), &value.to_le_bytes());
        }
    }
    let drawn = keys::uniform(&keys, OPS);
    let bytes = Bytes::of(&drawn);
    let mut both = Both { side, peer, drawn, bytes };
    for operation in OPERATIONS {
        let name = name(operation);
        if !report.wants(&name) {
            continue;
        }
        // Else it would count by whom compactions of what was put are behind.
        both.settle()?;
        let ops = if operation == "iterate" { OPS / 10 } else { OPS };
        let counts = (ENTRIES, ops, report.rounds(15));
        let (mut sum, mut peer_sum) = (0.0, 0.0);
        speed(
            report,
            (&name, TARGET, PEER),
            counts,
            &mut both,
            |both, _| {
                let Ok(maps) = both.side.state() else { return f64::NAN };
                seconds(|| sum = operate(maps, operation, &both.drawn[..ops]))
            },
            |both, _| {
                let keys = both.bytes.iter().take(ops);
                seconds(|| peer_sum = operate_peer(&both.peer, operation, keys))
            },
        )?;
        if sum != peer_sum {
            return Err(format!("{name}: the answers differ"));
        }
    }
    Ok(())
}

/// The database's key of an entry, in `buffer`.
#[inline]
fn entry<'a>(map: &[u8], user: u64, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    buffer.extend_from_slice(map);
    buffer.extend_from_slice(&user.to_be_bytes());
    buffer
}

/// Asks one operation of each key: one user key of it, or all (`iterate`).
#[inline(never)]
fn operate(maps: &mut Maps, operation: &str, keys: &[u64]) -> f64 {
    let mut keys = keys.iter().zip(0_u64..);
    let done: esker::Result<f64> = match operation {
        "get" => keys.try_fold(0.0, |sum, (key, i)| {
            Ok(sum + maps.get(key, &(), &(i % USER_KEYS))?.unwrap_or(f64::NAN))
        }),
        "iterate" => keys.try_fold(0.0, |mut sum, (key, _)| {
            maps.for_each(key, &(), |user, value| sum += *user as f64 + value)?;
            Ok(sum)
        }),
        _ => keys.try_fold(0.0, |_, (key, i)| {
            maps.put(key, &(), &(i % USER_KEYS), i as f64).map(|()| 0.0)
        }),
    };
    done.unwrap_or(f64::NAN)
}

/// The same of the peer.
#[inline(never)]
fn operate_peer<'a>(peer: &Peer, operation: &str, keys: impl Iterator<Item = &'a [u8]>) -> f64 {
    let keys = keys.zip(0_u64..);
    let mut buffer = Vec::new();
    let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(f64::NAN, f64::from_le_bytes);
    match operation {
        "get" => keys.fold(0.0, |sum, (key, i)| {
            let key = entry(key, i % USER_KEYS, &mut buffer);
            match peer.db.get_pinned_opt(key, &peer.read) {
                Ok(Some(value)) => sum + number(&value),
                _ => f64::NAN,
            }
        }),
        "iterate" => keys.fold(0.0, |mut sum, (key, _)| {
            let mut entries = peer.db.raw_iterator();
            entries.seek(key);
            while let Some((found, value)) = entries.item() {
                let Some(user) = found.strip_prefix(key) else { break };
                let user = user.first_chunk().copied().map_or(0, u64::from_be_bytes);
                sum += user as f64 + number(value);
                entries.next();
            }
            sum
        }),
        _ => keys.fold(0.0, |_, (key, i)| {
            let key = entry(key, i % USER_KEYS, &mut buffer);
            if peer.put(key, &(i as f64).to_le_bytes()) { 0.0 } else { f64::NAN }
        }),
    }
}
