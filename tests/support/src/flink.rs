//! The golden snapshots that real Flink wrote, and the lines that they hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The operators of the jobs that wrote them, as metadata of Flink 1.x knows hashes alone; the last is one that tests
/// rename another to.
pub const UIDS: [&str; 9] =
    ["users", "orders", "minutes", "buffer", "carts", "stock", "outbox", "numbers", "people"];

/// The folder of the goldens.
#[must_use]
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/flink/golden").canonicalize().unwrap()
}

/// A snapshot of the goldens.
#[derive(Debug)]
pub struct Golden {
    /// `VERSION/NAME`, which snapshots of one job share.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// The file of the lines that it holds, for [`expected`].
    pub expected: String,
    /// Whether records were in flight, which the lines count as if they had come.
    pub is_in_flight: bool,
}

impl Golden {
    /// Whether a tool can read it that has RocksDB only if `has_rocksdb`.
    #[must_use]
    pub fn is_readable(&self, has_rocksdb: bool) -> bool {
        let is_of = |what: &str| self.name.contains(what);
        let is_database = is_of("/rocksdb-checkpoint-") || is_of("/rocksdb-savepoint-native");
        // No golden changelog was materialized, which makes a database of it.
        has_rocksdb || !is_database || is_of("changelog")
    }
}

/// All snapshots of the goldens, by their names; those of one job in the order in which they were taken.
///
/// # Panics
/// If one lacks what describes it.
#[must_use]
pub fn goldens() -> Vec<Golden> {
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    };
    let mut found = Vec::new();
    for version in folders(&golden()) {
        let number = version.file_name().unwrap().to_str().unwrap();
        if !number.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        for folder in folders(&version) {
            let text = fs::read_to_string(folder.join("snapshot.json")).unwrap();
            let described: Value = serde_json::from_str(&text).unwrap();
            for snapshot in described["snapshots"].as_array().unwrap() {
                let path = folder.join(snapshot["path"].as_str().unwrap());
                found.push(Golden {
                    name: format!("{number}/{}", folder.file_name().unwrap().to_str().unwrap()),
                    path: path.to_str().unwrap().to_owned(),
                    expected: snapshot["expected"].as_str().unwrap().to_owned(),
                    is_in_flight: snapshot["inFlight"] == true,
                });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// The lines that a job had written, for [`known`].
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn expected(file: &str) -> String {
    let path = golden().join("expected").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is known of lines, sorted: nobody expects any of the source, nor shows the values that only Kryo reads.
#[must_use]
pub fn known(lines: &str) -> Vec<String> {
    let of_source = r#"{"operator":"numbers","#;
    let shown = |line: &str| match line.split_once(r#","value":"#) {
        Some((head, value)) if line.contains(r#""state":"generic""#) => {
            // As dumps of Flink's have it, dumps of esker's, and the job.
            let forms = [r#"{"opaque":"#, "\"", r#"{"number":"#];
            assert!(forms.iter().any(|form| value.starts_with(form)), "{line}");
            head.to_owned()
        }
        _ => line.to_owned(),
    };
    let lines = lines.lines().filter(|line| !line.starts_with(of_source));
    let mut lines: Vec<String> = lines.map(shown).collect();
    lines.sort_unstable();
    lines
}

/// That lines are those, both [`known`].
///
/// # Panics
/// If they are not: with the first that is missing and the first that is too many.
#[track_caller]
pub fn assert_lines(found: &[String], expected: &[String], what: &str) {
    let missing = expected.iter().find(|line| !found.contains(line));
    let extra = found.iter().find(|line| !expected.contains(line));
    let counts = (found.len(), expected.len());
    assert!(found == expected, "{what}: {counts:?}, missing {missing:?}, extra {extra:?}");
}
