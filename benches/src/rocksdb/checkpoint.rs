//! Rows `rocksdb.checkpoint`: what a native checkpoint uploads after 1 % of updates, and for how long the
//! stream stands still.

use super::side::{Side, UID, settle, text};
use super::value::{Values, filled};
use crate::keys;
use crate::measure::{median, seconds};
use crate::report::{Question, Report};
use esker::backend::{Backend, ValueCalls};
use esker::snapshot::{
    Chain, NewOperator, PartId, PartInput, SnapshotSettings, write_manifest, write_native_part,
};
use esker::{Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::{Manifest, Operator, SnapshotKind};
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

pub(super) const ENTRIES: usize = 10_000_000;
/// What is in memory after so many updates is written in no time.
const SMALL: usize = 1_000;
const SYNC_MS_MAX: f64 = 5.0;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "rocksdb.checkpoint.1pct.10m";
    let rows = ["bytes", "sync", "sync-small"].map(|row| format!("{name}.{row}"));
    if !rows.iter().any(|row| report.wants(row)) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut side = filled(&keys)?;
    let mut checkpoints = Checkpoints::new()?;
    let small = uploads(&mut side, &mut checkpoints, (&keys, SMALL), rounds)?;
    let uploads = uploads(&mut side, &mut checkpoints, (&keys, ENTRIES / 100), rounds)?;
    let question = Question::less(&rows[0], "B", 1.02, ENTRIES, rounds);
    report.versus(question, uploads.put, uploads.new_data, "new SST files");
    let sync = |name| Question::less(name, "ms", 1.0, ENTRIES, rounds);
    report.limit(sync(&rows[1]), uploads.sync_s * 1e3, SYNC_MS_MAX);
    report.limit(sync(&rows[2]), small.sync_s * 1e3, SYNC_MS_MAX);
    Ok(())
}

struct Uploads {
    /// Bytes put, and bytes of data files that the checkpoint before did not have.
    put: f64,
    new_data: f64,
    sync_s: f64,
}

/// Checkpoints after `count` updates each; compactions in between are over before the next.
fn uploads(
    side: &mut Side<Values>,
    checkpoints: &mut Checkpoints,
    (keys, count): (&[u64], usize),
    rounds: usize,
) -> Result<Uploads, String> {
    checkpoints.take(side)?;
    let (mut put, mut new_data, mut times) = (0, 0, Vec::new());
    for round in 0..rounds {
        settle(&side.dir());
        let state = side.state()?;
        for key in &keys[round * count..(round + 1) * count] {
            state.update(key, &(), keys::mixed(*key)).map_err(text)?;
        }
        let taken = checkpoints.take(side)?;
        put += taken.put_len_bytes;
        new_data += taken.new_data_len_bytes;
        times.push(taken.sync_s);
    }
    Ok(Uploads { put: put as f64, new_data: new_data as f64, sync_s: median(times) })
}

/// Native checkpoints of one backend, each built on the one before, on the local disk.
pub(super) struct Checkpoints {
    pub(super) store: Store,
    folder: TempDir,
    number: u64,
    chain: Chain,
    /// Data files of the last one.
    known: BTreeSet<String>,
}

pub(super) struct Taken {
    put_len_bytes: u64,
    new_data_len_bytes: u64,
    sync_s: f64,
}

impl Checkpoints {
    pub(super) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let store = Store::open(&folder.path().to_string_lossy()).map_err(text)?;
        let (chain, known) = (Chain::default(), BTreeSet::new());
        Ok(Self { store, folder, number: 0, chain, known })
    }

    pub(super) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Takes one, which completes.
    pub(super) fn take(&mut self, side: &mut Side<Values>) -> Result<Taken, String> {
        self.number += 1;
        let mut capture = Ok(None);
        let sync_s = seconds(|| capture = side.backend.capture_native());
        let capture = capture.map_err(text)?.ok_or("no native checkpoint")?;
        let files = capture.files().map_err(text)?.into_iter();
        let data = files.filter(|file| file.is_final);
        let data: Vec<(String, u64)> = data.map(|file| (file.local, file.len_bytes)).collect();
        let new = data.iter().filter(|(name, _)| !self.known.contains(name));
        let new_data_len_bytes = new.map(|(_, len_bytes)| len_bytes).sum();
        self.known = data.into_iter().map(|(name, _)| name).collect();
        let id = PartId {
            kind: SnapshotKind::Checkpoint,
            checkpoint: self.number,
            generation: 1,
            operator: 0,
            subtask: 0,
        };
        let (range, chain) = (KeyGroupRange::ALL, std::mem::take(&mut self.chain));
        let input = PartInput { id, range, captures: Vec::new(), operator: None, chain };
        let settings = SnapshotSettings::default();
        let written = block_on(write_native_part(&self.store, input, capture, &settings));
        let written = written.map_err(text)?;
        self.chain = written.chain;
        let put_len_bytes = written.stats.written_len_bytes;
        Ok(Taken { put_len_bytes, new_data_len_bytes, sync_s })
    }

    /// The manifest of the last one.
    pub(super) fn manifest(&self, side: &Side<Values>) -> Result<Manifest, String> {
        let parts = vec![(self.chain.part.clone(), None)];
        manifest(&self.store, self.number, side, parts)
    }
}

/// The manifest of a checkpoint of one operator.
pub(super) fn manifest(
    store: &Store,
    checkpoint: u64,
    side: &Side<Values>,
    parts: Vec<(esker_format::part::Part, Option<esker_format::manifest::PartRef>)>,
) -> Result<Manifest, String> {
    let operator = Operator {
        uid: UID.into(),
        key: side.backend.key().cloned(),
        states: side.backend.infos(),
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    };
    let manifest = Manifest {
        job: "bench".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let written = write_manifest(store, manifest, vec![NewOperator { operator, parts }]);
    Ok(block_on(written).map_err(text)?.manifest)
}
