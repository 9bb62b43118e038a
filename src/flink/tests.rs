//! The snapshots that real Flink wrote, and the lines that they hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod changed;
mod in_flight;

use super::{FlinkFilter, FlinkOptions, FlinkSnapshot};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

pub(super) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("format/flink/golden")
}

/// A snapshot of the goldens.
pub(super) struct Golden {
    /// `VERSION/NAME/…`, its folder.
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) is_in_flight: bool,
}

/// All snapshots of the goldens.
pub(super) fn goldens() -> Vec<Golden> {
    let mut found = Vec::new();
    for version in std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()) {
        let number = version.file_name().unwrap().to_str().unwrap().chars().next();
        if !version.is_dir() || !number.unwrap().is_ascii_digit() {
            continue;
        }
        for folder in std::fs::read_dir(&version).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(folder.join("snapshot.json")).unwrap();
            let json: Json = serde_json::from_str(&text).unwrap();
            for snapshot in json["snapshots"].as_array().unwrap() {
                let path = folder.join(snapshot["path"].as_str().unwrap());
                found.push(Golden {
                    path: path.to_str().unwrap().to_owned(),
                    expected: snapshot["expected"].as_str().unwrap().to_owned(),
                    is_in_flight: snapshot["inFlight"] == true,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 60, "{}", found.len());
    found
}

pub(super) fn options() -> FlinkOptions {
    let uids = ["users", "orders", "minutes", "buffer", "carts", "stock", "outbox", "numbers"];
    FlinkOptions { uids: uids.map(str::to_owned).to_vec(), ..FlinkOptions::default() }
}

/// The lines of a snapshot, sorted, without the source's.
pub(super) fn lines(snapshot: &FlinkSnapshot) -> Vec<String> {
    let mut text = String::new();
    let mut keep = |lines: &str| {
        text.push_str(lines);
        Ok(())
    };
    let damage = snapshot.lines(&FlinkFilter::default(), &mut |_| {}, &mut keep).unwrap();
    assert!(damage.is_empty(), "{}: {damage:#?}", snapshot.path());
    let of_source = r#"{"operator":"numbers","#;
    let lines = text.lines().filter(|line| !line.starts_with(of_source));
    let mut lines: Vec<String> = lines.map(known).collect();
    lines.sort_unstable();
    lines
}

/// A line without the value of an opaque state.
fn known(line: &str) -> String {
    if !line.contains(r#""state":"generic""#) {
        return line.to_owned();
    }
    let (head, value) = line.split_once(r#","value":"#).unwrap();
    assert!(value.starts_with(r#"{"opaque":"#) || value.starts_with(r#"{"number":"#), "{line}");
    head.to_owned()
}

/// Whether this build can read it.
fn is_readable(path: &str) -> bool {
    let is_database =
        path.contains("/rocksdb-checkpoint-") || path.contains("/rocksdb-savepoint-native");
    // No golden changelog was materialized, which makes a database of it.
    path.contains("changelog") || cfg!(feature = "rocksdb") || !is_database
}

#[test]
fn every_golden_snapshot_holds_what_it_should() {
    for Golden { path, expected, is_in_flight } in goldens() {
        if is_in_flight || !is_readable(&path) {
            continue;
        }
        let found = lines(&FlinkSnapshot::open_at(&path, &options()).unwrap());
        let text = std::fs::read_to_string(golden().join("expected").join(expected)).unwrap();
        let mut expected: Vec<String> = text.lines().map(known).collect();
        expected.sort_unstable();
        let missing = expected.iter().find(|line| !found.contains(line));
        let extra = found.iter().find(|line| !expected.contains(line));
        assert!(found == expected, "{path}: missing {missing:?}, extra {extra:?}");
    }
}
