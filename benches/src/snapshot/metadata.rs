//! Rows `snapshot.metadata` and `snapshot.open`: what manifests and parts cost.

use super::subtask::written;
use crate::heap::memory::in_process;
use crate::measure::{median, seconds};
use crate::report::{Question, Report};
use esker::snapshot::open_snapshot;
use esker::{Store, block_on};
use esker_format::part::{Part, RunRef};
use esker_format::run::IndexLocation;
use esker_format::{Digest, KeyGroupRange, RelativeName};

const SUBTASKS: u32 = 1000;
const RUNS: u32 = 100;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "snapshot.metadata";
    if report.wants(name) {
        let store = Store::open("memory://").map_err(|e| e.to_string())?;
        let parts: Vec<Part> =
            (0..SUBTASKS).map(|subtask| part(subtask, RUNS)).collect::<Result<_, _>>()?;
        let new = parts.iter().map(|part| (part.clone(), None)).collect();
        let first = written(&store, 1, new)?;
        let before = first.manifest.operators[0].parts.iter().cloned().map(Some);
        let mut parts: Vec<_> = parts.into_iter().zip(before).collect();
        if let Some((part, _)) = parts.first_mut() {
            part.runs.pop();
        }
        let second = written(&store, 2, parts)?;
        let question = Question::less(name, "B", 1.0, SUBTASKS as usize, 1);
        report.limit(question, second.written_len_bytes as f64, f64::from(64 << 10));
    }
    if report.wants("snapshot.open.100k") {
        open(report)?;
    }
    Ok(())
}

fn open(report: &mut Report) -> Result<(), String> {
    let rounds = report.rounds(9);
    let folder = std::env::temp_dir().join(format!("esker-open-{}", std::process::id()));
    let store = Store::open(&folder.to_string_lossy()).map_err(|e| e.to_string())?;
    let parts = (0..SUBTASKS).map(|subtask| Ok((part(subtask, RUNS)?, None)));
    let path = written(&store, 1, parts.collect::<Result<_, String>>()?)?.published.manifest_path;
    let path = format!("{}/{path}", folder.display());
    let times = (0..rounds).map(|_| {
        let mut runs = Ok(0);
        let time = seconds(|| runs = opened(&path));
        runs.map(|_| time)
    });
    let times = times.collect::<Result<Vec<_>, _>>()?;
    // In a process of its own, as this one has memory to spare from writing it.
    let bytes = in_process("--peak", &path)?;
    drop(std::fs::remove_dir_all(&folder));
    let entries = (SUBTASKS * RUNS) as usize;
    let question = Question::less("snapshot.open.100k.time", "s", 1.0, entries, rounds);
    report.limit(question, median(times), 1.0);
    let question = Question::less("snapshot.open.100k.memory", "B", 1.0, entries, rounds);
    report.limit(question, bytes, f64::from(200 << 20));
    Ok(())
}

/// Opens the snapshot of a manifest at `path`, which must have all its runs.
pub(super) fn opened(path: &str) -> Result<usize, String> {
    let (folder, name) = path.rsplit_once("/chk-").ok_or("no path of a checkpoint's manifest")?;
    let store = Store::open(folder).map_err(|e| e.to_string())?;
    let name = RelativeName::new(format!("chk-{name}")).map_err(|e| e.to_string())?;
    let opened = block_on(open_snapshot(&store, &name)).map_err(|e| e.to_string())?;
    match opened.runs().len() {
        runs if runs == (SUBTASKS * RUNS) as usize => Ok(runs),
        runs => Err(format!("snapshot.open.100k: {runs} runs were opened")),
    }
}

/// A part of `count` runs that nobody wrote.
fn part(subtask: u32, count: u32) -> Result<Part, String> {
    let range = KeyGroupRange::of_subtask(subtask, SUBTASKS).map_err(|e| e.to_string())?;
    let run = |number: u32| {
        let digest = Digest::of(&(u64::from(subtask) << 32 | u64::from(number)).to_be_bytes());
        let name = format!("shared/1/{number}-0.{subtask}.0-{digest}.run");
        let file = RelativeName::new(name).map_err(|e| e.to_string())?;
        let index = IndexLocation { offset: 1 << 20, len_bytes: 3000, digest };
        let base = if number == 0 { vec![range] } else { Vec::new() };
        let len_bytes = (1 << 20) + 3064;
        Ok::<_, String>(RunRef { file, len_bytes, digest, index, range, base, entries: 100_000 })
    };
    let runs = (0..count).map(run).collect::<Result<_, _>>()?;
    Ok(Part {
        runs,
        operator_run: None,
        native: None,
        states: Vec::new(),
        extra: Default::default(),
    })
}
