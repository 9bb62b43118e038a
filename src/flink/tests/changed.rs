//! Snapshots of real Flink's, changed.

use super::{golden, is_readable, lines, options};
use crate::flink::FlinkSnapshot;
use esker_flink::metadata::Slot;
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};

/// A golden snapshot in a folder of its own.
struct Copied {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// All files, `_metadata` among them, that it refers to.
    files: Vec<PathBuf>,
}

fn copied(name: &str) -> Option<Copied> {
    let from = golden().join("2.3.0").join(name);
    if !is_readable(from.to_str().unwrap()) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    copy(&from, &to);
    let json = fs::read_to_string(to.join("snapshot.json")).unwrap();
    let json: Json = serde_json::from_str(&json).unwrap();
    let last = json["snapshots"].as_array().unwrap().last().unwrap();
    let path = to.join(last["path"].as_str().unwrap());
    let snapshot = open(&path).unwrap();
    let mut files = vec![path.join("_metadata")];
    snapshot
        .metadata()
        .visit_streams(|site, handle| {
            let stream = match site.slot {
                Slot::KeyedChanges => snapshot.log_stream(handle).unwrap(),
                _ => snapshot.stream(handle).unwrap(),
            };
            if stream.file().is_none() {
                return Ok::<_, ()>(());
            }
            let file = PathBuf::from(stream.path());
            if !files.contains(&file) {
                files.push(file);
            }
            Ok(())
        })
        .unwrap();
    Some(Copied { _folder: folder, path, files })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn open(path: &Path) -> crate::Result<FlinkSnapshot> {
    FlinkSnapshot::open_at(path.to_str().unwrap(), &options())
}

#[test]
fn compressed_logs_are_replayed() {
    let copied = copied("hashmap-checkpoint-changelog").unwrap();
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
