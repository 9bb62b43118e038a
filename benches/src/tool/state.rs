//! Commands on a state of 10,000,000 small entries, and on two checkpoints of it.

use super::{Folder, NO_TOOL, files, text, timed, tool};
use crate::heap::update;
use crate::keys;
use crate::measure::{in_turn, median, seconds};
use crate::report::{Better, Question, Report};
use crate::snapshot::subtask::{Subtask, UID, operator, stored, written, written_with};
use esker::Store;
use esker_format::KeyGroupRange;
use esker_format::manifest::StateInfo;
use esker_format::part::Part;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

const ENTRIES: usize = 10_000_000;
/// Of so many keys one is updated between the checkpoints, all over the key groups.
const CHANGED_EVERY: usize = 100;
/// What a thread of the tool is to get through, in bytes of keys and values, before any packing.
const LEN_BYTES_A_SECOND: f64 = 60e6;
const MB: f64 = 1e6;
const B3SUM: &str = "BLAKE3 of the files, mapped, on all cores";

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    if !["verify", "copy", "dump", "rewrite", "rename", "drop", "diff.1pct"]
        .iter()
        .any(|row| report.wants(&format!("tool.{row}")))
    {
        return Ok(());
    }
    let rounds = report.rounds(7);
    if tool().is_none() {
        report.skip(Question::speed("tool.verify", 0.8, ENTRIES, rounds), NO_TOOL);
        return Ok(());
    }
    let folder = Folder::new("tool")?;
    let state = State::new(&folder)?;
    hashed(report, &state, &folder, rounds)?;
    typed(report, &state, &folder, rounds)?;
    named(report, &state, &folder, rounds)?;
    diff(report, &state, rounds)
}

/// A job on disk.
struct State {
    /// Its checkpoints: before the updates and after them.
    checkpoints: [PathBuf; 2],
    /// Of the files of the first, which was alone when they were counted.
    files: Vec<(PathBuf, u64)>,
    /// Of its keys and values.
    encoded_len_bytes: u64,
    threads: usize,
    /// Where the checkpoints are, and the part of the first.
    root: PathBuf,
    store: Store,
    part: Part,
    /// A few of its keys.
    some_keys: Vec<u64>,
}

/// How many keys another operator has.
const SOME: usize = 1000;

impl State {
    fn new(folder: &Folder) -> Result<Self, String> {
        let root = folder.join("job");
        let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
        let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
        subtask.full_at(&root.to_string_lossy())?;
        let first = manifest(&subtask, &root)?;
        let part = subtask.lineage.chain().part.clone();
        let (found, encoded_len_bytes) = (files(&root)?, subtask.encoded_len_bytes());
        let changed: Vec<u64> = keys.iter().copied().step_by(CHANGED_EVERY).collect();
        update(&mut subtask.state, &changed, 2);
        subtask.checkpoint()?;
        let checkpoints = [first, manifest(&subtask, &root)?];
        Ok(Self {
            checkpoints,
            files: found,
            encoded_len_bytes,
            threads: subtask.settings.threads,
            root,
            store: subtask.store,
            part,
            some_keys: keys.into_iter().take(SOME).collect(),
        })
    }

    fn len_bytes(&self) -> f64 {
        self.files.iter().map(|(_, len_bytes)| *len_bytes).sum::<u64>() as f64
    }

    /// A savepoint of the state as it was first, from which it can go: its operator has another state, without
    /// entries, and there is another operator.
    fn savepoint(&self, folder: &Folder) -> Result<PathBuf, String> {
        let mut other = Subtask::new(KeyGroupRange::ALL, &self.some_keys)?;
        other.full_at(&self.root.to_string_lossy())?;
        let rest = other.lineage.chain().part.clone();
        let empty = StateInfo { id: 2, name: "empty".into(), ..stored()? };
        let operators = vec![
            operator(UID, vec![stored()?, empty], vec![(self.part.clone(), None)])?,
            operator("rest", vec![stored()?], vec![(rest, None)])?,
        ];
        let written = written_with(&self.store, self.checkpoints.len() as u64 + 1, operators)?;
        let source = self.root.join(written.published.manifest_path.as_str());
        let target = folder.join("savepoint");
        timed(&[&"copy", &source, &target], 0)?;
        Ok(target)
    }

    fn hash(&self) -> f64 {
        let hash =
            |path: &Path| blake3::Hasher::new().update_mmap_rayon(path).map(|h| h.finalize());
        let mut hashed = Ok(());
        let time = seconds(|| {
            hashed = self.files.iter().try_for_each(|(path, _)| hash(path).map(drop));
        });
        if hashed.is_ok() { time } else { f64::NAN }
    }
}

/// Writes the manifest of the last checkpoint of `subtask`: the folder it is in.
fn manifest(subtask: &Subtask, root: &Path) -> Result<PathBuf, String> {
    let parts = vec![(subtask.lineage.chain().part.clone(), None)];
    let written = written(&subtask.store, subtask.checkpoint, parts)?;
    let path = root.join(written.published.manifest_path.as_str());
    path.parent().map(Path::to_owned).ok_or_else(|| "a manifest has no folder".to_owned())
}

/// What reads or writes all bytes and looks at none, beside hashing them.
fn hashed(report: &mut Report, on: &State, folder: &Folder, rounds: usize) -> Result<(), String> {
    let (source, target) = (&on.checkpoints[0], folder.join("copy"));
    let mb = on.len_bytes() / MB;
    let question = |name| {
        let (unit, better, target) = ("MB/s", Better::Higher, 0.8);
        Question { name, unit, better, target, entries: ENTRIES, rounds }
    };
    let mut failed = Ok(());
    let mut row =
        |report: &mut Report, name: &'static str, run: &dyn Fn() -> Result<f64, String>| {
            if !report.wants(name) {
                return;
            }
            let mut timed = |_: &mut (), _| match run() {
                Ok(time) => time,
                Err(error) => {
                    failed = Err(error);
                    f64::NAN
                }
            };
            let (a, b) = in_turn(rounds, &mut (), &mut timed, |(), _| on.hash());
            report.versus(question(name), mb / a, mb / b, B3SUM);
        };
    row(report, "tool.verify", &|| timed(&[&"verify", source], 0));
    row(report, "tool.copy", &|| {
        let time = timed(&[&"copy", source, &target], 0);
        std::fs::remove_dir_all(&target).map_err(text)?;
        time
    });
    failed
}

/// What looks at every entry.
fn typed(report: &mut Report, on: &State, folder: &Folder, rounds: usize) -> Result<(), String> {
    let (source, target) = (&on.checkpoints[0], folder.join("rewritten"));
    let mut row = |name, threads: usize, run: &dyn Fn() -> Result<f64, String>| {
        if !report.wants(name) {
            return Ok(());
        }
        let times = (0..rounds).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
        let speed = on.encoded_len_bytes as f64 / median(times) / threads as f64;
        let (unit, better, target) = ("MB/s", Better::Higher, 1.0);
        let question = Question { name, unit, better, target, entries: ENTRIES, rounds };
        report.limit(question, speed / MB, LEN_BYTES_A_SECOND / MB);
        Ok::<_, String>(())
    };
    let cores = available_parallelism().map_or(1, usize::from);
    row("tool.verify.deep", cores, &|| timed(&[&"verify", &"--deep", source], 0))?;
    row("tool.dump", 1, &|| timed(&[&"dump", source], 0))?;
    row("tool.rewrite", on.threads, &|| {
        let time = timed(&[&"rewrite", source, &target, &"--filter", &"key % 2u == 0"], 0);
        std::fs::remove_dir_all(&target).map_err(text)?;
        time
    })
}

/// What reads no entry: names stand in manifests alone, and files are linked.
fn named(report: &mut Report, on: &State, folder: &Folder, rounds: usize) -> Result<(), String> {
    let target = folder.join("named");
    let row = |report: &mut Report, name, source: &Path, step: [&dyn AsRef<OsStr>; 2]| {
        if !report.wants(name) {
            return Ok(());
        }
        let times = (0..rounds).map(|_| {
            let time = timed(&[&"rewrite", &source, &target, step[0], step[1]], 0);
            std::fs::remove_dir_all(&target).map_err(text)?;
            time
        });
        let times = times.collect::<Result<Vec<_>, _>>()?;
        report.limit(Question::less(name, "s", 1.0, ENTRIES, rounds), median(times), 1.0);
        Ok::<_, String>(())
    };
    row(report, "tool.rename", &on.checkpoints[0], [&"--rename-operator", &"op=renamed"])?;
    let drops = ["tool.drop.operator", "tool.drop.state"];
    if drops.iter().any(|name| report.wants(name)) {
        let savepoint = on.savepoint(folder)?;
        row(report, drops[0], &savepoint, [&"--drop-operator", &"op"])?;
        row(report, drops[1], &savepoint, [&"--drop-state", &"op/counts"])?;
    }
    Ok(())
}

/// What differs between two checkpoints of one chain, beside dumping both.
fn diff(report: &mut Report, on: &State, rounds: usize) -> Result<(), String> {
    let name = "tool.diff.1pct";
    if !report.wants(name) {
        return Ok(());
    }
    let [before, after] = &on.checkpoints;
    let mut failed = Ok(());
    let mut ran = |run: Result<f64, String>| {
        run.unwrap_or_else(|error| {
            failed = Err(error);
            f64::NAN
        })
    };
    let (mut of_diff, mut of_dumps) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_diff.push(ran(timed(&[&"diff", before, after], 1)));
        let dumps = [before, after].map(|of| ran(timed(&[&"dump", of], 0)));
        of_dumps.push(dumps.iter().sum());
    }
    failed?;
    let question = Question::less(name, "s", 0.05, ENTRIES, rounds);
    report.versus(question, median(of_diff), median(of_dumps), "esker dump of both");
    Ok(())
}
