//! The demo on some of its rows, and its savepoint against a recount in another language.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

mod flights;
mod terminal;

use flights::{flights, recount};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use terminal::Terminal;

/// Two months, so that timers of thirty days fire.
const ROWS: usize = 60_000;

fn esker(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_esker")).args(args).output().unwrap()
}

fn demo(folder: &Path, csv: &str, args: &[&str]) -> Output {
    let input = folder.join("flights.csv");
    fs::write(&input, csv).unwrap();
    let dir = folder.join("snapshots");
    let fixed = ["demo", "--input", input.to_str().unwrap(), "--dir", dir.to_str().unwrap()];
    esker(&[&fixed, args].concat())
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

/// The outcome of a job of some rows, as JSON; it must be what its mode promises.
fn outcome(rows: usize, args: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let done = demo(folder.path(), &flights(rows), &[args, &["--json"]].concat());
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{}{err}", String::from_utf8_lossy(&done.stdout));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Rows that came again and rows that were lost, as the states have them and as the kills account for them, of
/// carriers and fleet.
fn off(outcome: &serde_json::Value) -> [[u64; 2]; 4] {
    let rows = |what: &str, by: &str| {
        ["carriers", "fleet"].map(|operator| outcome[what][by][operator].as_u64().unwrap())
    };
    [
        rows("again", "found"),
        rows("again", "accounted"),
        rows("lost", "found"),
        rows("lost", "accounted"),
    ]
}

/// A few seconds, with two kills in the midst of an upload and of a publish.
const TWO_KILLS: [&str; 6] = ["--kills", "2", "--seed", "4", "--rate", "4000"];

#[test]
fn whatever_is_killed_exactly_once_is_exact() {
    let args = [&TWO_KILLS[..], &["--kill", "worker", "--kill", "coordinator"]].concat();
    let outcome = outcome(12_000, &args);
    assert_eq!(off(&outcome), [[0; 2]; 4], "{outcome}");
    assert_eq!(outcome["linesOff"], 0);
    let of = |what: &str| [0, 1].map(|kill| outcome["kills"][kill][what].clone());
    assert_eq!(of("victim"), ["worker", "coordinator"]);
    // Workers die under one owner; another one takes over where a coordinator does, and the first is refused.
    assert_eq!(of("generation"), [1, 2]);
    assert_eq!(outcome["fenced"], serde_json::json!([1]));
    assert_eq!(of("parallelism"), [2, 3]);
}

#[test]
fn at_least_once_counts_rows_again_and_knows_how_many() {
    let args = [&TWO_KILLS[..], &["--mode", "at-least-once", "--kill", "worker,process"]].concat();
    let outcome = outcome(12_000, &args);
    let [again, accounted, lost, none] = off(&outcome);
    assert_eq!((again, lost), (accounted, none), "{outcome}");
    assert!(again[0] > 0 && again[1] > 0, "{outcome}");
    assert_eq!(none, [0, 0]);
    assert!(outcome["linesOff"].as_u64() > Some(0));
}

#[test]
fn without_checkpoints_what_a_kill_finds_is_lost_and_counted() {
    let args = ["--kills", "3", "--seed", "1", "--rate", "4000"];
    let kills = ["--mode", "none", "--kill", "worker", "--kill", "coordinator,process"];
    let outcome = outcome(8_000, &[&args[..], &kills].concat());
    let [again, none, lost, accounted] = off(&outcome);
    assert_eq!((again, lost), (none, accounted), "{outcome}");
    // All that was read before the last kill.
    let row = outcome["kills"][2]["resumedAtRow"].as_u64().unwrap();
    assert_eq!(lost[0], row, "{outcome}");
    assert!(lost[0] > 5_000 && lost[1] > 5_000, "{outcome}");
    assert_eq!((none, &outcome["checkpoints"]), ([0, 0], &serde_json::json!([])));
    assert_eq!(outcome["fenced"], serde_json::json!([1]));
}

#[test]
fn kills_in_calls_of_the_store_come_however_short_the_file_is() {
    let outcome = outcome(300, &["--kills", "3", "--seed", "1", "--rate", "3000"]);
    assert_eq!(outcome["kills"].as_array().map(Vec::len), Some(3), "{outcome}");
    assert_eq!(off(&outcome), [[0; 2]; 4], "{outcome}");
}

#[test]
fn without_kills_every_mode_is_exact() {
    for mode in ["exactly-once", "at-least-once", "none"] {
        let outcome = outcome(2_000, &["--kills", "0", "--rate", "4000", "--mode", mode]);
        assert_eq!(off(&outcome), [[0; 2]; 4], "{outcome}");
        assert_eq!((&outcome["linesOff"], &outcome["mode"]), (&0.into(), &mode.into()));
    }
}

#[test]
fn what_was_lost_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--kills", "1", "--seed", "1", "--rate", "2000", "--mode", "none"];
    let done = demo(folder.path(), &flights(2_000), &args);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}{err}");
    let rest = out.split_once("no guarantee: rows lost: ").unwrap().1;
    let (lost, rest) = rest.split_once('\n').unwrap();
    assert!(
        rest.starts_with(&format!("the kills account for:   {lost}\nboth agree; of ")),
        "{out}"
    );
    assert!(err.contains("seed 1, 2000 rows, none, 1 kills"), "{err}");
    let row = lost.split_once(" at carriers").unwrap().0;
    assert!(err.contains(&format!("went on at row {row} without any state")), "{err}");
}

#[test]
fn wrong_arguments_are_told_what_there_is() {
    for (args, expected) in [
        (
            ["--mode", "twice"],
            "error: invalid value 'twice' for '--mode <MODE>'\n  [possible values: exactly-once, at-least-once, none]\n",
        ),
        (
            ["--kill", "worker,nobody"],
            "error: invalid value 'nobody' for '--kill <KILL>'\n  [possible values: worker, process, coordinator]\n",
        ),
        (
            ["--kills", "1001"],
            "error: invalid value '1001' for '--kills <KILLS>': 1001 is not in 0..=1000\n",
        ),
        (
            ["--rate", "0"],
            "error: invalid value '0' for '--rate <RATE>': 0 is not in 1..18446744073709551615\n",
        ),
    ] {
        let refused = esker(&["demo", args[0], args[1]]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(refused.stdout.is_empty());
        let err = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(err, format!("{expected}\nFor more information, try '--help'.\n"));
    }
    let refused = esker(&["demo", "--engine", "flink"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[possible values: local"));
}

#[test]
fn on_a_terminal_the_run_is_drawn_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flights.csv"), flights(6_000)).unwrap();
    let args =
        "--kills 1 --seed 1 --rate 2000 --kill coordinator --mode at-least-once --dir snapshots";
    let mut terminal = Terminal::open(folder.path(), &format!("demo --input flights.csv {args}"));
    terminal.shows("esker demo  at-least-once, seed 1");
    let screen = terminal.shows("kills and recoveries: 1 of 1");
    assert!(screen.contains("coordinator killed after row"), "{screen}");
    let screen = terminal.shows("generation 1 woke up and was fenced");
    assert!(screen.contains("rows a second") && screen.contains(" complete, "), "{screen}");
    // The screen goes away; what is to be kept is on the one below.
    let screen = terminal.shows("not in the savepoint");
    assert!(screen.contains("at-least-once: rows counted again: "), "{screen}");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn q_and_control_c_end_the_run_and_leave_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flights.csv"), flights(6_000)).unwrap();
    for (number, key) in ["q", "\x03"].into_iter().enumerate() {
        let args = format!("demo --input flights.csv --rate 100 --dir snapshots-{number}");
        let mut terminal = Terminal::open(folder.path(), &args);
        terminal.shows(" of 6,000 rows");
        terminal.press(key);
        terminal.shows("esker: demo: stopped by its user (seed ");
        assert_eq!(terminal.ended(), 2);
    }
}

#[test]
fn plain_lines_are_to_be_had_on_a_terminal_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flights.csv"), flights(600)).unwrap();
    let args = "demo --input flights.csv --kills 0 --rate 1000 --dir snapshots --plain";
    let mut terminal = Terminal::open(folder.path(), args);
    let screen = terminal.shows("exactly once");
    assert!(!screen.contains("rows a second") && !screen.contains("q leave"), "{screen}");
    assert_eq!(terminal.ended(), 0);
}
