//! The commands on snapshots that real Flink wrote: what they hold, and what is said of them.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

mod run;

use esker_test_support::flink::{Golden, UIDS, assert_lines, expected, golden, goldens, known};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Whether this build of the tool can read it.
fn is_readable(golden: &Golden) -> bool {
    golden.is_readable(cfg!(feature = "rocksdb"))
}

fn with_uids<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(UIDS.iter().flat_map(|uid| ["--uid", uid])).collect()
}

/// The dump's lines, but for those of the source, which nobody expects.
fn dumped(path: &str) -> (i32, Vec<String>, String) {
    let (code, out, err) =
        run::esker(Path::new("."), &with_uids(&["dump", "--format", "jsonl", "--sorted", path]));
    (code, known(&out), err)
}

#[test]
fn every_snapshot_of_real_flink_holds_what_its_job_wrote() {
    let mut compared = 0;
    for golden in goldens().iter().filter(|golden| is_readable(golden) && !golden.is_in_flight) {
        let (code, found, err) = dumped(&golden.path);
        assert_eq!(code, 0, "{}: {err}", golden.name);
        assert_lines(&found, &known(&expected(&golden.expected)), &golden.path);
        compared += 1;
    }
    println!("{compared} snapshots compared");
    assert!(compared >= 30, "{compared}");
}

#[test]
fn every_snapshot_is_inspected_listed_and_found_sound() {
    for golden in goldens().iter().filter(|golden| is_readable(golden)) {
        for command in ["inspect", "ls", "verify"] {
            let mut args = vec![command, "--json", &golden.path];
            if command != "ls" {
                args = with_uids(&args);
            }
            let (code, out, err) = run::esker(Path::new("."), &args);
            assert_eq!(code, 0, "{command} {}: {out}{err}", golden.name);
            for line in out.lines() {
                let json: Value = serde_json::from_str(line).unwrap();
                assert!(json.is_object(), "{line}");
            }
            assert!(!out.is_empty(), "{command} {}", golden.name);
        }
    }
}

#[test]
fn a_savepoint_that_is_cut_short_is_damaged_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let from = golden().join("2.3.0/hashmap-savepoint-canonical/snapshot/_metadata");
    let bytes = fs::read(from).unwrap();
    for len in [0, 3, 4, 9, 100, bytes.len() / 2] {
        fs::write(folder.path().join("_metadata"), &bytes[..len]).unwrap();
        for command in ["dump", "inspect", "verify"] {
            let (code, out, err) = run::esker(folder.path(), &[command, "."]);
            assert!(code == 1 || code == 2, "{command} of {len} bytes: {out}{err}");
            assert!(
                err.contains("_metadata") || out.contains("_metadata"),
                "{command} {len}: {out}{err}"
            );
        }
    }
}

/// A golden snapshot of 2.3.0, by its folder.
fn golden_path(name: &str) -> String {
    let mut found = goldens().into_iter().filter(|golden| golden.name == format!("2.3.0/{name}"));
    found.next_back().unwrap().path
}

#[test]
fn du_counts_every_entry_once() {
    let path = golden_path("hashmap-savepoint-canonical");
    let (code, out, err) = run::esker(Path::new("."), &["du", "--json", &path]);
    assert_eq!((code, err.contains("opaque")), (0, false), "{err}");
    let states: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let golden = goldens().into_iter().find(|golden| golden.path == path).unwrap();
    let written = known(&expected(&golden.expected));
    let of = |operator: &str, state: &str| {
        let mut found = states.iter().filter(|s| s["operator"] == operator && s["state"] == state);
        (found.next().unwrap(), found.next().is_none())
    };
    for (operator, state) in [
        ("users", "long"),
        ("users", "map"),
        ("users", "list"),
        ("orders", "tags"),
        ("users", "_timer_state/event_user-timers"),
        ("minutes", "window-contents"),
        ("buffer", "rules"),
        ("buffer", "pending"),
    ] {
        let head = format!(r#"{{"operator":"{operator}","state":"{state}","#);
        let lines = written.iter().filter(|line| line.starts_with(&head)).count() as u64;
        let (found, is_alone) = of(operator, state);
        assert_eq!(found["entries"], lines, "{operator}/{state}: {found}");
        assert!(lines > 0 && is_alone);
    }
    // A long takes eight bytes; its key is as many bytes as its text and a length, and the namespace takes one.
    let (long, _) = of("users", "long");
    assert_eq!(long["valueBytes"], 60 * 8, "{long}");
    assert_eq!(long["keyBytes"], 60 * (1 + 10 + 1), "{long}");
    assert_eq!(long["valueSizes"], serde_json::json!([[8, 60]]));
    let slices = long["slices"].as_array().unwrap().iter().map(|slice| slice[1].as_u64().unwrap());
    assert_eq!(slices.sum::<u64>(), 60 * (8 + 12));

    let (code, out, _) = run::esker(Path::new("."), &["du", &path]);
    assert_eq!(code, 0);
    let files = fs::read_dir(&path)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name() != "_metadata");
    let lens: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    let files = format!("files       {}, {} bytes", lens.len(), lens.iter().sum::<u64>());
    for part in
        [&*files, "operator    users", "parallelism 2", "users/ttl-map", "key groups 0 to 127"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn du_agrees_between_all_that_hold_the_same() {
    let columns = |name: &str| {
        let (code, out, err) = run::esker(Path::new("."), &["du", "--json", &golden_path(name)]);
        assert_eq!(code, 0, "{name}: {err}");
        let states = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let states = states.filter(|state| state["operator"] != "numbers");
        let mut states: Vec<_> = states
            .map(|s| format!("{} {} {} {}", s["operator"], s["state"], s["entries"], s["keyBytes"]))
            .collect();
        states.sort_unstable();
        states
    };
    let canonical = columns("hashmap-savepoint-canonical");
    assert_eq!(canonical, columns("rocksdb-savepoint-canonical-snappy"));
    assert_eq!(canonical, columns("hashmap-checkpoint-full"));
    assert_eq!(columns("hashmap-checkpoint-changelog"), columns("rocksdb-checkpoint-changelog"));
}

#[test]
fn a_changelog_is_read_like_any_other_snapshot() {
    let path = golden_path("rocksdb-checkpoint-changelog");
    let key = r#""cart/7""#;
    let get =
        |args: &[&str]| run::esker(Path::new("."), &[&["get", &path, key][..], args].concat());
    let args = ["--operator", "carts", "--state"];
    let (code, out, err) = get(&[&args[..], &["prices"]].concat());
    assert_eq!(code, 0, "{err}");
    let golden = goldens().into_iter().find(|golden| golden.path == path).unwrap();
    let head = r#"{"operator":"carts","state":"prices","kind":"map","key":"cart/7","#;
    let mut written = known(&expected(&golden.expected));
    written.retain(|line| line.starts_with(head));
    let found = known(&out);
    assert!(found == written && !found.is_empty(), "{out}");

    // Both backends log alike.
    let other = golden_path("hashmap-checkpoint-changelog");
    let (code, out, err) = run::esker(Path::new("."), &["diff", &path, &other]);
    assert_eq!(code, 0, "{out}{err}");
    let earlier =
        goldens().into_iter().find(|golden| golden.name == "2.3.0/rocksdb-checkpoint-changelog");
    let (code, out, err) = run::esker(Path::new("."), &["diff", &earlier.unwrap().path, &path]);
    assert_eq!(code, 1, "{out}{err}");

    // Integers and floats of eight bytes are told apart by what is likely; the user knows.
    let dump = |key_type: &str| {
        let args = ["dump", "--operator", "stock", "--key-type", key_type, "--state", "sum", &path];
        run::esker(Path::new("."), &args)
    };
    let (code, out, _) = dump("stock=long");
    assert!(code == 0 && out.contains(r#""key":1000003,"#), "{out}");
    let (code, out, _) = dump("stock=double");
    assert!(code == 0 && !out.contains(r#""key":1000003,"#) && out.contains("E-3"), "{out}");
    let (code, _, err) = dump("stock=lng");
    assert!(code != 0 && err.contains("localdate"), "{code} {err}");
}

#[test]
fn records_in_flight_are_listed_by_channel() {
    let path = golden_path("hashmap-checkpoint-unaligned");
    let (code, out, err) = run::esker(Path::new("."), &["inspect", "--json", &path]);
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let channels = report["snapshot"]["inFlight"].as_array().unwrap();
    // The source sends to two subtasks of three operators.
    assert_eq!(channels.len(), 12, "{channels:#?}");
    let sum = |direction: &str, what: &str| {
        let of = channels.iter().filter(|channel| channel["direction"] == direction);
        of.map(|channel| channel[what].as_u64().unwrap()).sum::<u64>()
    };
    // Each record is a length, a kind, a time and a number; each buffer has its length before it, and here the version of its stream.
    let (input, output) = (sum("input", "bytes"), sum("output", "bytes"));
    let lengths = 8 * (sum("input", "buffers") + sum("output", "buffers"));
    assert!(input > 0 && output > 0);
    assert_eq!((input + output - lengths) % 21, 0);
    let (code, out, _) = run::esker(Path::new("."), &["inspect", &path]);
    assert!(code == 0 && out.contains("in flight") && out.contains("output"), "{out}");
}

#[test]
fn a_golden_is_copied_checked_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = golden_path("hashmap-checkpoint-full");
    let (code, out, err) = run::esker(folder.path(), &["copy", &path, "copy"]);
    assert!(code == 0 && out.starts_with("ok copy: checkpoint "), "{out}{err}");
    let (code, out, err) = run::esker(folder.path(), &["verify", "copy"]);
    assert!(code == 0 && out.starts_with("ok copy flink-checkpoint: "), "{out}{err}");
    let (code, out, err) = run::esker(folder.path(), &["diff", &path, "copy"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, schema, err) = run::esker(folder.path(), &["schema", "copy"]);
    assert_eq!(code, 0, "{err}");
    fs::write(folder.path().join("schema.json"), &schema).unwrap();
    let (code, out, err) = run::esker(folder.path(), &["check", "copy", "--schema", "schema.json"]);
    assert_eq!(code, 0, "{out}{err}");
    // Another type of a state is no longer what the program knows.
    fs::write(folder.path().join("schema.json"), schema.replacen("\"string\"", "\"i32\"", 1))
        .unwrap();
    let (code, out, err) = run::esker(folder.path(), &["check", "copy", "--schema", "schema.json"]);
    assert_eq!(code, 1, "{out}{err}");
    // A file that is gone is told of by name.
    let gone = fs::read_dir(folder.path().join("copy")).unwrap().map(|entry| entry.unwrap().path());
    let gone = gone.into_iter().find(|path| !path.ends_with("_metadata")).unwrap();
    fs::remove_file(&gone).unwrap();
    let name = gone.file_name().unwrap().to_str().unwrap();
    let (code, out, err) = run::esker(folder.path(), &["verify", "copy"]);
    assert!(code == 1 && out.contains(name), "{code} {out}{err}");
    let (code, out, err) = run::esker(folder.path(), &["dump", "copy"]);
    assert!(code == 1 && err.contains(name), "{code} {out}{err}");
}
