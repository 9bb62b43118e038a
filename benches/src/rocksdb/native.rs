//! Row `rocksdb.restore.native`: a native checkpoint opened again, beside copying its files.

use super::checkpoint::{Checkpoints, ENTRIES};
use super::side::{BUDGET_LEN_BYTES, Side, text};
use super::value::{descriptor, filled};
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker::backend::{Backend, ValueCalls};
use esker::block_on;
use esker::snapshot::SnapshotSettings;
use esker_format::KeyGroupRange;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "rocksdb.restore.native.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut checkpoints = Checkpoints::new()?;
    let mut side = filled(&keys)?;
    checkpoints.take(&mut side)?;
    let manifest = checkpoints.manifest(&side)?;
    drop(side);
    let files = files(&checkpoints.dir().join("shared"))?;
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| {
            let mut last = None;
            let time = seconds(|| {
                let stored = manifest.operators.first();
                let mut side = Side::within(BUDGET_LEN_BYTES, descriptor(), stored).ok()?;
                let settings = SnapshotSettings::default();
                let restored = side.backend.restore(&checkpoints.store, &manifest, &settings);
                block_on(restored).ok()?;
                last = Some(side);
                last.as_ref().map(|_| ())
            });
            let mut read = || last.as_mut()?.state().ok()?.get(&keys[7], &()).ok()?;
            if read() == Some(7) { time } else { f64::NAN }
        },
        |(), _| {
            let Ok(folder) = tempfile::tempdir() else { return f64::NAN };
            let mut copied = Ok(());
            let time = seconds(|| copied = copy(&files, folder.path()));
            if copied.is_ok() { time } else { f64::NAN }
        },
    );
    if a.is_nan() || b.is_nan() {
        return Err(format!("{name}: a restore or a copy failed"));
    }
    let question = Question::less(name, "s", 1.5, ENTRIES, rounds);
    report.versus(question, a, b, "cp and fsync of the files");
    Ok(())
}

/// All files in `dir` and below it.
fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(text)? {
        let path = entry.map_err(text)?.path();
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => all.push(path),
        }
    }
    Ok(all)
}

fn copy(files: &[PathBuf], to: &Path) -> std::io::Result<()> {
    for (number, file) in files.iter().enumerate() {
        let copied = to.join(number.to_string());
        fs::copy(file, &copied)?;
        File::open(&copied)?.sync_all()?;
    }
    File::open(to)?.sync_all()
}
