//! Snapshots of real Flink's, changed.

use super::copied::{copied, open};
use super::lines;
use std::fs;

#[test]
fn compressed_logs_are_replayed() {
    let copied = copied("hashmap-checkpoint-changelog");
    let before = lines(&open(&copied.path).unwrap());
    assert!(before.len() > 900);
    // Every log, compressed as Flink does it: the flag, then one stream.
    for file in copied.files.iter().filter(|file| !file.ends_with("_metadata")) {
        let bytes = fs::read(file).unwrap();
        assert_eq!(bytes[0], 0);
        let mut packed = vec![1];
        esker_flink::snappy::compress(&bytes[1..], &mut packed).unwrap();
        fs::write(file, packed).unwrap();
    }
    // What a handle says is how long it is unpacked.
    assert_eq!(lines(&open(&copied.path).unwrap()), before);
}
