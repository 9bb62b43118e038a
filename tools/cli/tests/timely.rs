//! The demo on timely dataflow: processes are killed, others start, and its savepoint agrees with a recount in
//! another language.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

mod flights;
mod run;

use esker_test_support::soak;
use flights::{flights, recount};
use std::fs;
use std::path::Path;

/// Two months, so that timers of thirty days fire.
const ROWS: usize = 60_000;
/// All of them.
const ALL_ROWS: u32 = 336_776;

fn demo(folder: &Path, csv: &str, args: &[&str]) -> (i32, String, String) {
    fs::write(folder.join("flights.csv"), csv).unwrap();
    let fixed = ["demo", "--engine", "timely", "--input", "flights.csv", "--dir", "snapshots"];
    run::esker(folder, &[&fixed, args].concat())
}

/// Of three processes one is killed, at a moment drawn by seed, ten times: two or four start then, or three again.
#[test]
fn ten_kills_of_processes_leave_what_an_independent_recount_says() {
    let folder = tempfile::tempdir().unwrap();
    let csv = flights((soak::count(ALL_ROWS) as usize).max(ROWS));
    let seed = (soak::seed() % 1_000_000).to_string();
    let rows = csv.lines().count() as u64 - 1;
    let rate = (rows / 6).to_string();
    let args = ["--processes", "3", "--kills", "10", "--seed", &seed, "--rate", &rate];
    let (code, out, err) = demo(folder.path(), &csv, &args);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("all states agree"), "{out}");
    let kills: Vec<&str> = err.lines().filter(|line| line.contains(" of 10: process ")).collect();
    assert_eq!(kills.len(), 10, "{err}");
    for part in ["resumed from checkpoint", "with 2 processes", "with 3 processes"] {
        assert!(kills.iter().any(|kill| kill.contains(part)), "{part}: {err}");
    }
    // They were started, though it may be that they were killed before they read on.
    assert!(err.contains("of 4 after row") || err.contains("with 4 processes"), "{err}");

    let savepoint = folder.path().join("snapshots/savepoint");
    let dump = ["dump", "--format", "jsonl", "--sorted", savepoint.to_str().unwrap()];
    let (code, dumped, err) = run::esker(folder.path(), &dump);
    assert_eq!(code, 0, "{err}");
    assert!(dumped.lines().count() > 10_000);
    if let Some(recounted) = recount(&csv) {
        let differs = dumped.lines().zip(recounted.lines()).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differs, None);
        assert_eq!(dumped.len(), recounted.len());
    }
    let (code, out, err) =
        run::esker(folder.path(), &["verify", "--deep", "snapshots/job", "snapshots/savepoint"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn one_process_of_several_workers_gives_one_json_object() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--processes", "1", "--workers", "3", "--kills", "0", "--seed", "1"];
    let csv = flights(2_000);
    let (code, out, err) =
        demo(folder.path(), &csv, &[&args[..], &["--rate", "2000", "--json"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let outcome: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&outcome["agree"], &outcome["rows"]), (&true.into(), &2_000.into()), "{outcome}");
    assert!(outcome["checkpoints"].as_u64().unwrap() > 1, "{outcome}");

    let (code, _, err) = demo(folder.path(), &csv, &args);
    assert_eq!(code, 2);
    assert!(err.contains("choose another --dir"), "{err}");
}

#[test]
fn what_cannot_be_run_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let bad = flights(300).replacen(",IAH,", ",,", 1);
    let (code, _, err) = demo(folder.path(), &bad, &["--kills", "0"]);
    assert_eq!(code, 2);
    assert!(err.contains("line 2, column dest"), "{err}");
    let (code, _, err) = demo(folder.path(), &bad, &["--processes", "0"]);
    assert_eq!(code, 2);
    assert!(err.contains("--processes"), "{err}");
    let (code, _, err) = run::esker(folder.path(), &["demo", "--timely-process", "{}"]);
    assert_eq!(code, 1);
    assert!(err.contains("the process failed: missing field"), "{err}");
}
