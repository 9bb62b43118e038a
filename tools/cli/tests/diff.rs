//! `esker diff` as its users meet it: what it says of two snapshots, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use world::*;

/// The lines of `a` alone behind `-`, those of `b` alone behind `+`, sorted, by both dumps.
fn of_dumps(folder: &Path, args: &[&str], a: &str, b: &str) -> Vec<String> {
    let [a, b] = [a, b].map(|name| {
        let (code, out, err) = esker(folder, &[&["dump", "--sorted", name], args].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let alone = |own: &[String], other: &[String], sign: char| {
        let alone = own.iter().filter(|line| other.binary_search(line).is_err());
        alone.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    let mut lines = [alone(&a, &b, '-'), alone(&b, &a, '+')].concat();
    lines.sort_unstable();
    lines
}

#[test]
fn the_lines_are_those_that_the_dumps_differ_in() {
    let (folder, _world) = made(3);
    let folder = folder.path();
    for args in [
        &[][..],
        &["--operator", DELAYS],
        &["--state", "late"],
        &["--operator", DELAYS, "--state", "routes", "--key-group", "100..40000"],
        &["--include-expired"],
    ] {
        for (a, b) in [("job/chk-1-1", "job"), ("job", "job/chk-2-1"), ("job/chk-2-1", "save")] {
            let (code, out, err) = esker(folder, &[&["diff", "--lines", a, b], args].concat());
            let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            assert_eq!((code, err.as_str()), (1, ""), "{args:?}");
            assert!(lines == of_dumps(folder, args, a, b) && !lines.is_empty(), "{args:?} {a} {b}");
        }
    }
    // Of an entry that changed, the old line comes before the new one.
    let args = ["diff", "--lines", "job/chk-2-1", "save", "--operator", AIRPORTS];
    let (_, out, _) = esker(folder, &args);
    let lines: Vec<_> = out.lines().collect();
    let head = r#"{"operator":"airports","state":"names","kind":"value","key":"#;
    for pair in lines.chunks(2) {
        let [old, new] = pair else { panic!("{pair:?}") };
        let key = old.strip_prefix(&format!("-{head}")).unwrap().split(',').next().unwrap();
        assert!(old.ends_with(&format!("airport {key}, 1\\n\"}}")), "{old}");
        assert!(new.starts_with(&format!("+{head}{key},")) && new.ends_with(", 2\\n\"}"), "{new}");
    }
}

#[test]
fn a_summary_counts_what_differs() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let (code, out, err) = esker(folder, &["diff", "job/chk-1-1", "job"]);
    assert_eq!((code, err.as_str()), (1, ""));
    let rows: Vec<Vec<&str>> =
        out.lines().skip(2).map(|row| row.split('|').map(str::trim).collect()).collect();
    let row = |state: &str| {
        let row = rows.iter().find(|row| row.get(2) == Some(&state)).unwrap();
        row[4..7].iter().map(|count| count.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    // A third of 120 keys changed.
    assert_eq!(row("count"), [40, 0, 0]);
    assert_eq!(row("late"), [0, 0, 40]);
    assert_eq!(row("routes"), [40, 80, 0]);
    assert_eq!(row("total"), [0, 40, 0]);
    assert_eq!(row("names"), [0, 0, 40]);
    let head: Vec<_> = out.lines().next().unwrap().split('|').map(str::trim).collect();
    assert_eq!(head[4..8], ["only in A", "only in B", "changed", "equal"]);
    assert!(out.ends_with("\ndifferent: 5 of 7 states, 2 hold the same\n"), "{out}");

    for (a, b) in [("job", "job"), ("job", "save"), ("save", "job/chk-2-1/_metadata")] {
        let found = esker(folder, &["diff", a, b]);
        assert_eq!(found, (0, "same: 7 states\n".to_owned(), String::new()));
        assert_eq!(esker(folder, &["diff", "--lines", a, b]), (0, String::new(), String::new()));
    }
}

#[test]
fn json_tells_states_and_what_was_not_read() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let diff = |a: &str, b: &str, args: &[&str]| {
        let (code, out, err) = esker(folder, &[&["diff", "--json", a, b], args].concat());
        (code, serde_json::from_str::<Value>(&out).unwrap(), err)
    };
    let (code, report, err) = diff("job/chk-1-1", "save", &["--state", "late"]);
    let expected = json!({
        "a": "job/chk-1-1", "b": "save", "status": "different", "metadata": [],
        "states": [{
            "operator": DELAYS, "state": "late", "kind": "list", "inA": true, "inB": true,
            "onlyInA": 0, "onlyInB": 0, "changed": 40, "equal": 80, "sharedKeyGroups": 0,
        }],
        "damage": [],
    });
    assert_eq!((code, report, err.as_str()), (1, expected, ""));
    let (code, report, _) = diff("job", "job/chk-2-1", &[]);
    assert_eq!((code, &report["status"]), (0, &json!("same")));
    for state in report["states"].as_array().unwrap() {
        assert_eq!(state["equal"], 0);
        let is_keyed = state["state"] != "offsets";
        assert_eq!(state["sharedKeyGroups"].as_u64().unwrap() > 60_000, is_keyed, "{state}");
    }
    let (code, report, err) = diff("job", "jib", &[]);
    assert_eq!((code, &report["status"]), (2, &json!("unreadable")));
    assert!(report["states"].is_null() && report["metadata"].is_null());
    assert_eq!(report["damage"][0]["snapshot"], "b");
    assert!(err.starts_with("esker: unreadable jib: No such file"), "{err}");
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_compared() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let runs = files(&folder.join("save"));
    let run = runs.iter().find(|file| file.extension().is_some_and(|e| e == "run")).unwrap();
    let good = std::fs::read(run).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    std::fs::write(run, bad).unwrap();
    let name = run.file_name().unwrap().to_str().unwrap();
    let (code, out, err) = esker(folder, &["diff", "--lines", "job", "save"]);
    let said = format!("esker: damaged save: {name}: run block: digest differs");
    assert!(code == 1 && err.starts_with(&said) && err.contains("lost may be"), "{err}");
    assert!(!out.is_empty() && out.lines().all(|line| line.starts_with('-')), "{out}");
    let (code, out, _) = esker(folder, &["diff", "--json", "job", "save"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["status"]), (1, &json!("damaged")));
    assert_eq!(
        (&report["damage"][0]["snapshot"], &report["damage"][0]["file"]),
        (&json!("b"), &json!(name))
    );
    std::fs::write(run, good).unwrap();

    // Key groups of a part that is gone are not compared.
    let part = runs.iter().find(|file| file.extension().is_some_and(|e| e == "part")).unwrap();
    std::fs::remove_file(part).unwrap();
    let (code, out, err) = esker(folder, &["diff", "--lines", "job", "save"]);
    assert!(code == 1 && out.is_empty() && err.contains("the file is missing"), "{out}{err}");
}

#[test]
fn what_cannot_be_compared_is_told_apart() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    for (args, code, says) in [
        (&["job", "jib"][..], 2, "esker: unreadable jib: No such file"),
        (&["ftp://bucket/job", "job"], 2, "esker: unreadable ftp://bucket/job: not a store"),
        (&["save/parts", "job"], 1, "esker: absent save/parts: neither a snapshot nor"),
        (
            &["job", "save", "--operator", "x"],
            1,
            "esker: absent job: neither snapshot has an operator",
        ),
        (&["job", "save", "--state", "x"], 1, "esker: absent job: neither snapshot has a state"),
        (&["job"], 2, "error: "),
        (&["job", "save", "--lines", "--json"], 2, "error: "),
        (&["job", "save", "--key-group", "9..2"], 2, "error: "),
    ] {
        let (found, out, err) = esker(folder, &[&["diff"], args].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{args:?} {err}");
        assert!(err.starts_with(says), "{err}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_they_still_differ() {
    let (folder, _world) = made(2);
    let mut child = Command::new(env!("CARGO_BIN_EXE_esker"))
        .args(["diff", "--lines", "job/chk-1-1", "save"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]));
}
