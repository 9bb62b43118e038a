//! The commands on snapshots that real Flink wrote: what they hold, and what is said of them.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

mod run;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Operators of the jobs that wrote them, as metadata of Flink 1.x knows hashes alone.
const UIDS: [&str; 8] =
    ["users", "orders", "minutes", "buffer", "carts", "stock", "outbox", "numbers"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/flink/golden")
}

/// A snapshot, and the lines that are expected of it.
struct Golden {
    name: String,
    path: String,
    expected: Vec<String>,
    is_in_flight: bool,
}

fn goldens() -> Vec<Golden> {
    let mut found = Vec::new();
    for version in ["1.14.6", "1.16.3", "1.20.5", "2.3.0"] {
        for folder in fs::read_dir(golden().join(version)).unwrap() {
            let folder = folder.unwrap().path();
            let about = fs::read_to_string(folder.join("snapshot.json")).unwrap();
            let about: Value = serde_json::from_str(&about).unwrap();
            for snapshot in about["snapshots"].as_array().unwrap() {
                let expected =
                    golden().join("expected").join(snapshot["expected"].as_str().unwrap());
                let expected = fs::read_to_string(expected).unwrap();
                let name = folder.file_name().unwrap().to_str().unwrap();
                found.push(Golden {
                    name: format!("{version}/{name}"),
                    path: folder
                        .join(snapshot["path"].as_str().unwrap())
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    expected: expected.lines().map(comparable).collect(),
                    is_in_flight: snapshot["inFlight"] == true,
                });
            }
        }
    }
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// Whether this build can read it.
fn is_readable(golden: &Golden) -> bool {
    let is_database = golden.name.contains("/rocksdb-checkpoint-")
        || golden.name.contains("/rocksdb-savepoint-native");
    // Changelogs are refused by name.
    !golden.name.contains("changelog") && (cfg!(feature = "rocksdb") || !is_database)
}

/// A line without the value of a state that only Kryo reads.
fn comparable(line: &str) -> String {
    match line.split_once(r#","value":"#) {
        Some((head, _)) if line.contains(r#""state":"generic""#) => head.to_owned(),
        _ => line.to_owned(),
    }
}

fn with_uids<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(UIDS.iter().flat_map(|uid| ["--uid", uid])).collect()
}

/// The dump's lines, but for those of the source, which nobody expects.
fn dumped(path: &str) -> (i32, Vec<String>, String) {
    let (code, out, err) =
        run::esker(Path::new("."), &with_uids(&["dump", "--format", "jsonl", "--sorted", path]));
    let lines = out.lines().filter(|line| !line.starts_with(r#"{"operator":"numbers","#));
    (code, lines.map(comparable).collect(), err)
}

#[test]
fn every_snapshot_of_real_flink_holds_what_its_job_wrote() {
    let mut compared = 0;
    for golden in goldens().iter().filter(|golden| is_readable(golden) && !golden.is_in_flight) {
        let (code, mut found, err) = dumped(&golden.path);
        assert_eq!(code, 0, "{}: {err}", golden.name);
        let mut expected = golden.expected.clone();
        // Without their values some are in another order.
        found.sort_unstable();
        expected.sort_unstable();
        let difference = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        assert_eq!(difference, None, "{}", golden.name);
        assert_eq!(found.len(), expected.len(), "{}", golden.name);
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
