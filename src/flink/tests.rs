//! The snapshots that real Flink wrote, and the lines that they hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod changed;
mod copied;
mod damage;
mod in_flight;

use super::{FlinkFilter, FlinkOptions, FlinkSnapshot};
use esker_test_support::flink::{Golden, UIDS, assert_lines, expected, golden, goldens, known};

pub(crate) fn options() -> FlinkOptions {
    FlinkOptions { uids: UIDS.map(str::to_owned).to_vec(), ..FlinkOptions::default() }
}

/// A golden snapshot, by its path among them.
pub(crate) fn open(path: &str) -> FlinkSnapshot {
    FlinkSnapshot::open_at(golden().join(path).to_str().unwrap(), &options()).unwrap()
}

/// What is known of the lines of a snapshot, which is found sound: every key lies in its key group, too.
pub(crate) fn lines(snapshot: &FlinkSnapshot) -> Vec<String> {
    let mut text = String::new();
    let mut keep = |lines: &str| {
        text.push_str(lines);
        Ok(())
    };
    let damage = snapshot.lines(&FlinkFilter::default(), &mut |_| {}, &mut keep).unwrap();
    assert!(damage.is_empty(), "{}: {damage:#?}", snapshot.path());
    let damage = snapshot.verify(&mut |_| {}).unwrap().damage;
    assert!(damage.is_empty(), "{}: {damage:#?}", snapshot.path());
    known(&text)
}

/// Whether this build can read it.
fn is_readable(golden: &Golden) -> bool {
    golden.is_readable(cfg!(feature = "rocksdb"))
}

#[test]
fn every_golden_snapshot_holds_what_it_should() {
    for golden in goldens() {
        if golden.is_in_flight || !is_readable(&golden) {
            continue;
        }
        let found = lines(&FlinkSnapshot::open_at(&golden.path, &options()).unwrap());
        assert_lines(&found, &known(&expected(&golden.expected)), &golden.path);
    }
}
