//! List state: appends of one element to 500,000 lists.

use super::peer::{Merge, PEER, Peer};
use super::side::{Bytes, Side, speed};
use crate::keys;
use crate::measure::seconds;
use crate::report::Report;
use esker::backend::ListCalls;
use esker::backend::rocksdb::ListState;
use esker::state::ListDescriptor;
use esker_format::{KeyGroupRange, Ordered};

type Lists = ListState<u64, (), u64>;

const ENTRIES: usize = 500_000;
const OPS: usize = 200_000;

struct Both {
    side: Side<Lists>,
    peer: Peer,
    drawn: Vec<u64>,
    bytes: Bytes,
}

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "rocksdb.list.append.500k";
    if !report.wants(name) {
        return Ok(());
    }
    let drawn = keys::uniform(&keys::in_range(ENTRIES, KeyGroupRange::ALL), OPS);
    let side = Side::new(ListDescriptor::<u64, u64>::with_codec("list", Ordered))?;
    let peer = Peer::new(&side.dir(), Merge::Lists)?;
    let bytes = Bytes::of(&drawn);
    let mut both = Both { side, peer, drawn, bytes };
    let counts = (ENTRIES, OPS, report.rounds(15));
    speed(
        report,
        (name, 0.85, PEER),
        counts,
        &mut both,
        |both, _| {
            let Ok(lists) = both.side.state() else { return f64::NAN };
            let mut ok = true;
            let time = seconds(|| ok = append(lists, &both.drawn));
            if ok { time } else { f64::NAN }
        },
        |both, _| {
            let mut ok = true;
            let time = seconds(|| ok = append_peer(&both.peer, &both.bytes));
            if ok { time } else { f64::NAN }
        },
    )
}

#[inline(never)]
fn append(lists: &mut Lists, keys: &[u64]) -> bool {
    keys.iter().zip(0..).all(|(key, value)| lists.append(key, &(), value).is_ok())
}

/// An element is its length and its bytes, as in a list of esker's.
#[inline(never)]
fn append_peer(peer: &Peer, keys: &Bytes) -> bool {
    keys.iter().zip(0_u64..).all(|(key, value)| {
        let mut element = [8; 9];
        element[1..].copy_from_slice(&value.to_be_bytes());
        peer.db.merge_opt(key, element, &peer.write).is_ok()
    })
}
