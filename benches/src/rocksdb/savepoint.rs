//! Row `rocksdb.savepoint-restore`: a portable snapshot into a database, beside putting its entries.

use super::checkpoint::{ENTRIES, manifest};
use super::peer::{Merge, Peer};
use super::side::{BUDGET_LEN_BYTES, ID_LEN_BYTES, Side, text};
use super::value::{descriptor, filled};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::{Backend, ValueCalls};
use esker::snapshot::{Chain, ChainReader, PartId, PartInput, SnapshotSettings, write_part};
use esker::{Error, ErrorKind, Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::SnapshotKind;
use esker_format::part::RunRef;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "rocksdb.savepoint-restore.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let rounds = report.rounds(5);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut side = filled(&keys)?;
    let store = Store::open("memory://").map_err(text)?;
    let kind = SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint: 1, generation: 1, operator: 0, subtask: 0 };
    let captures = vec![side.backend.capture().map_err(text)?];
    let (range, chain) = (KeyGroupRange::ALL, Chain::default());
    let input = PartInput { id, range, captures, operator: None, chain };
    let settings = SnapshotSettings::default();
    let written = block_on(write_part(&store, input, &settings)).map_err(text)?;
    let runs = written.chain.part.runs.clone();
    let manifest = manifest(&store, 1, &side, vec![(written.chain.part, None)])?;
    let dir = side.dir();
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| {
            let stored = manifest.operators.first();
            let Ok(mut side) = Side::within(BUDGET_LEN_BYTES, descriptor(), stored) else {
                return f64::NAN;
            };
            let mut restored = Ok(());
            let time = seconds(|| {
                let done = side.backend.restore(&store, &manifest, &settings);
                restored = block_on(done).map(drop);
            });
            let mut read = || side.state().ok()?.get(&keys[7], &()).ok()?;
            if restored.is_ok() && read() == Some(7) { time } else { f64::NAN }
        },
        |(), _| {
            let Ok(peer) = Peer::new(&dir, Merge::None) else { return f64::NAN };
            let mut put = Ok(());
            let time = seconds(|| put = put_by_put(&store, &runs, &peer));
            if put.is_ok() { time } else { f64::NAN }
        },
    );
    if a.is_nan() || b.is_nan() {
        return Err(format!("{name}: a restore or a put failed"));
    }
    let ops = ENTRIES as f64;
    let question = Question::speed(name, 5.0, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, "the same runs read and put by put, no WAL");
    Ok(())
}

/// Reads what `runs` hold, and puts it, as who has no files of his own to write does.
fn put_by_put(store: &Store, runs: &[RunRef], peer: &Peer) -> esker::Result<()> {
    let chain = block_on(ChainReader::open(store, runs))?;
    chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
        let key = entry.key.get(ID_LEN_BYTES..).unwrap_or_default();
        match peer.put(key, entry.value) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Retry, "a put failed")),
        }
    })
}
