//! Whole commands on Flink's snapshots: a savepoint of a million keys, read by the tool and by a real Flink, and
//! `inspect` of every golden snapshot. `tools/flink` is the lab; Flink writes the savepoint once, into the user's cache.

use crate::machine::available_gib;
use crate::measure::{in_turn, median, seconds};
use crate::report::{Better, Question, Report};
use crate::tool::{NO_TOOL, counted, files, text, timed, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "2.3.0";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/flink/flink.sh");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../format/flink/golden");
/// How the script ends where there is no Java or no way to PyPI.
const MISSING: i32 = 3;

const DUMP: &str = "flink.dump.1m";
const INSPECT: &str = "flink.inspect";
const KEYS: usize = 1_000_000;
/// Each key has a value and a map of five entries.
const ENTRIES: usize = 6 * KEYS;
/// What Flink reads the savepoint with: the second tier of its compiler, and room for all of it on the heap.
const HEAP_GIB: u64 = 8;
const JVM_OPTIONS: &str = "-Xmx8g -XX:+UseParallelGC";
const INSPECT_MS: f64 = 50.0;

/// Measures all rows that are asked for.
pub(super) fn run(report: &mut Report) -> Result<(), String> {
    if report.wants(DUMP) {
        dump(report)?;
    }
    if report.wants(INSPECT) {
        inspect(report)?;
    }
    Ok(())
}

fn dump(report: &mut Report) -> Result<(), String> {
    let rounds = report.rounds(3);
    let question = Question::speed(DUMP, 20.0, ENTRIES, rounds);
    let savepoint = match savepoint()? {
        Ok(savepoint) if tool().is_some() => savepoint,
        Ok(_) => {
            report.skip(question, NO_TOOL);
            return Ok(());
        }
        Err(why) => {
            report.skip(question, &why);
            return Ok(());
        }
    };
    // Both see the same.
    let lines = counted(&[&"dump", &"--format", &"jsonl", &savepoint])?;
    let entries = read(&savepoint)?;
    if lines != entries || lines < ENTRIES as u64 {
        return Err(format!("esker dumps {lines} lines of what Flink reads {entries} entries"));
    }
    let mut failed = Ok(());
    let mut keep = |result: Result<f64, String>| match result {
        Ok(seconds) => seconds,
        Err(error) => {
            failed = Err(error);
            f64::NAN
        }
    };
    let (esker, flink) = in_turn(
        rounds,
        &mut keep,
        |keep, _| keep(timed(&[&"dump", &"--format", &"jsonl", &savepoint], 0)),
        |keep, _| {
            let mut result = Ok(0);
            let time = seconds(|| result = read(&savepoint));
            keep(result.map(|_| time))
        },
    );
    failed?;
    let name = format!("Flink {VERSION}, {JVM_OPTIONS}, start-up included");
    report.versus(question, ENTRIES as f64 / esker, ENTRIES as f64 / flink, &name);
    Ok(())
}

/// The savepoint, written by Flink if it is not there yet; or why there is none.
fn savepoint() -> Result<Result<PathBuf, String>, String> {
    if available_gib()? <= HEAP_GIB {
        return Ok(Err(format!("needs more than {HEAP_GIB} GiB of free memory")));
    }
    let installed = Command::new(SCRIPT).args(["install", VERSION]).output();
    let installed = installed.map_err(|error| format!("{SCRIPT}: {error}"))?;
    match installed.status.code() {
        Some(0) => {}
        Some(MISSING) => {
            let said = String::from_utf8_lossy(&installed.stderr);
            return Ok(Err(said.trim().lines().last().unwrap_or_default().to_owned()));
        }
        _ => return Err(format!("{SCRIPT} install {VERSION}: {}", installed.status)),
    }
    let folder = cache()?.join(format!("bench-{VERSION}-{KEYS}"));
    if let Some(there) = with_metadata(&folder)?.into_iter().next() {
        return Ok(Ok(there));
    }
    let keys = KEYS.to_string();
    let mut java = flink("SavepointWriter");
    java.args(["--spec", "BenchSpec", "--keys", &keys, "--backend", "rocksdb", "--out"]);
    let status = java.arg(&folder).status().map_err(|error| format!("{SCRIPT}: {error}"))?;
    match with_metadata(&folder)?.into_iter().next() {
        Some(there) if status.success() => Ok(Ok(there)),
        _ => Err(format!("{java:?}: {status}")),
    }
}

/// How many entries Flink finds.
fn read(savepoint: &Path) -> Result<u64, String> {
    let mut java = flink("SnapshotDumper");
    java.args(["--count", "--backend", "rocksdb", "--snapshot"]).arg(savepoint);
    let output = java.output().map_err(text)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let count = said.lines().find_map(|line| line.strip_prefix("entries ")?.split(',').next());
    let count = count.and_then(|count| count.parse().ok());
    count.ok_or_else(|| format!("{java:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

fn flink(class: &str) -> Command {
    let mut command = Command::new(SCRIPT);
    command.env("FLINK_TIER", "4").env("FLINK_JVM_OPTS", JVM_OPTIONS);
    command.args(["java", VERSION, class]);
    command
}

/// As `flink.sh` has it.
fn cache() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("ESKER_FLINK_CACHE") {
        return Ok(folder.into());
    }
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("esker/flink"))
}

fn inspect(report: &mut Report) -> Result<(), String> {
    let snapshots = with_metadata(Path::new(GOLDEN))?;
    let rounds = report.rounds(9);
    let question = Question {
        name: INSPECT,
        unit: "ms",
        better: Better::Lower,
        target: 1.0,
        entries: snapshots.len(),
        rounds,
    };
    if tool().is_none() {
        report.skip(question, NO_TOOL);
        return Ok(());
    }
    // Of each the median; of these the worst.
    let mut worst = 0.0_f64;
    for snapshot in &snapshots {
        let times: Result<Vec<f64>, String> =
            (0..rounds).map(|_| timed(&[&"inspect", snapshot], 0)).collect();
        worst = worst.max(median(times?));
    }
    report.limit(question, worst * 1e3, INSPECT_MS);
    Ok(())
}

/// The folders below `folder` that hold a snapshot's metadata; none if it is not there.
fn with_metadata(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found: Vec<PathBuf> = files(folder)?
        .into_iter()
        .filter(|(path, _)| path.file_name().is_some_and(|name| name == "_metadata"))
        .filter_map(|(path, _)| path.parent().map(Path::to_owned))
        .collect();
    found.sort();
    Ok(found)
}
