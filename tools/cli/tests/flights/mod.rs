//! The demo's input, and what a recount in another language makes of it.

use esker_test_support::tool;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// The head and the first `rows` rows.
pub(crate) fn flights(rows: usize) -> String {
    let packed: &[u8] = include_bytes!("../../../../examples/data/flights-2013.csv.zst");
    let mut csv = String::new();
    zstd::Decoder::new(packed).unwrap().read_to_string(&mut csv).unwrap();
    csv.split_inclusive('\n').take(rows + 1).collect()
}

/// What `recount.py` makes of `csv`; none where there is no Python.
pub(crate) fn recount(csv: &str) -> Option<String> {
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
