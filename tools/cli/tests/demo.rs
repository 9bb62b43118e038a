//! The demo on some of its rows, and its savepoint against a recount in another language.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

use esker_test_support::tool;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Two months, so that timers of thirty days fire.
const ROWS: usize = 60_000;

fn esker(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_esker")).args(args).output().unwrap()
}

fn flights(rows: usize) -> String {
    let packed: &[u8] = include_bytes!("../../../examples/data/flights-2013.csv.zst");
    let mut csv = String::new();
    zstd::Decoder::new(packed).unwrap().read_to_string(&mut csv).unwrap();
    csv.split_inclusive('\n').take(rows + 1).collect()
}

fn demo(folder: &Path, csv: &str, args: &[&str]) -> Output {
    let input = folder.join("flights.csv");
    fs::write(&input, csv).unwrap();
    let dir = folder.join("snapshots");
    let fixed = ["demo", "--input", input.to_str().unwrap(), "--dir", dir.to_str().unwrap()];
    esker(&[&fixed, args].concat())
}

/// What `recount.py` makes of `csv`; none where there is no Python.
fn recount(csv: &str) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recount.py");
    if !tool::is_there("python3", "the recount in Python").unwrap() {
        return None;
    }
    let mut python = Command::new("python3");
    let mut python =
        python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_job_that_is_killed_agrees_with_an_independent_recount() {
    is_killed_and_agrees(&[]);
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_job_on_rocksdb_that_is_killed_agrees_with_an_independent_recount() {
    is_killed_and_agrees(&["--backend", "rocksdb"]);
}

#[cfg(not(feature = "rocksdb"))]
#[test]
fn where_there_is_no_rocksdb_it_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let refused = demo(folder.path(), &flights(300), &["--backend", "rocksdb"]);
    assert_eq!(refused.status.code(), Some(2));
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(err.contains("`cargo xtask rocksdb`") && err.contains("--features rocksdb"), "{err}");
}

fn is_killed_and_agrees(backend: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let csv = flights(ROWS);
    let args = ["--kills", "4", "--seed", "3", "--rate", "20000"];
    let done = demo(folder.path(), &csv, &[&args, backend].concat());
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("all states agree"), "{out}");
    for line in ["kill 4 of 4", "an upload", "a publish", "a sweep", "with 3 subtasks"] {
        assert!(err.contains(line), "{line}: {err}");
    }

    let savepoint = folder.path().join("snapshots/savepoint");
    let dump = esker(&["dump", "--format", "jsonl", "--sorted", savepoint.to_str().unwrap()]);
    assert_eq!(dump.status.code(), Some(0), "{}", String::from_utf8_lossy(&dump.stderr));
    let dumped = String::from_utf8(dump.stdout).unwrap();
    assert!(dumped.lines().count() > 10_000);
    if let Some(recounted) = recount(&csv) {
        let differs = dumped.lines().zip(recounted.lines()).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differs, None);
        assert_eq!(dumped.len(), recounted.len());
    }
    // Those lines again are a savepoint of the same lines.
    let (lines, loaded) = (folder.path().join("lines"), folder.path().join("loaded"));
    let (lines, loaded) = (lines.to_str().unwrap(), loaded.to_str().unwrap());
    let columns = esker(&["dump", "--format", "parquet", savepoint.to_str().unwrap()]);
    assert_eq!(columns.status.code(), Some(0), "{}", String::from_utf8_lossy(&columns.stderr));
    let others = [(loaded.to_owned() + "-parquet", columns.stdout.as_slice())];
    for (loaded, dump) in [(loaded.to_owned(), dumped.as_bytes())].into_iter().chain(others) {
        std::fs::write(lines, dump).unwrap();
        let load = esker(&["load", "--like", savepoint.to_str().unwrap(), &loaded, lines]);
        assert_eq!(load.status.code(), Some(0), "{}", String::from_utf8_lossy(&load.stderr));
        let again = esker(&["dump", "--sorted", &loaded]);
        assert!(again.stdout == dumped.as_bytes(), "dump of a load of a dump: {loaded}");
    }

    let job = folder.path().join("snapshots/job");
    let verified =
        esker(&["verify", "--deep", job.to_str().unwrap(), savepoint.to_str().unwrap(), loaded]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn the_outcome_is_one_json_object_and_a_bad_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let csv = flights(300);
    let done =
        demo(folder.path(), &csv, &["--kills", "0", "--seed", "1", "--rate", "300", "--json"]);
    let outcome: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(outcome["agree"], true, "{outcome}");
    assert_eq!(outcome["rows"], 300);
    assert!(outcome["checkpoints"].as_array().is_some_and(|checkpoints| checkpoints.len() > 1));

    let again = demo(folder.path(), &csv, &["--kills", "0"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("choose another --dir"));

    let bad = csv.replacen(",IAH,", ",,", 1);
    let refused = demo(folder.path(), &bad, &["--kills", "0"]);
    assert_eq!(refused.status.code(), Some(2));
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(err.contains("line 2, column dest"), "{err}");
}
