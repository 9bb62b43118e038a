//! Golden snapshots to be changed, each in a folder of its own.

use super::{golden, options};
use crate::flink::FlinkSnapshot;
use esker_flink::metadata::Slot;
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};

/// A golden snapshot in a folder of its own.
pub(super) struct Copied {
    _folder: tempfile::TempDir,
    pub(super) path: PathBuf,
    /// All files, `_metadata` among them, that it refers to.
    pub(super) files: Vec<PathBuf>,
    /// Where in each the bytes end that count.
    pub(super) ends: Vec<u64>,
}

pub(super) fn copied(name: &str) -> Copied {
    let from = golden().join("2.3.0").join(name);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    copy(&from, &to);
    let json = fs::read_to_string(to.join("snapshot.json")).unwrap();
    let json: Json = serde_json::from_str(&json).unwrap();
    let last = json["snapshots"].as_array().unwrap().last().unwrap();
    let path = to.join(last["path"].as_str().unwrap());
    let snapshot = open(&path).unwrap();
    let (mut files, mut ends) = (vec![path.join("_metadata")], vec![snapshot.len_bytes()]);
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
            let number = files.iter().position(|known| *known == file).unwrap_or(files.len());
            if number == files.len() {
                files.push(file);
                ends.push(0);
            }
            ends[number] = ends[number].max(stream.offset_in_file(stream.len_bytes()));
            Ok(())
        })
        .unwrap();
    Copied { _folder: folder, path, files, ends }
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

pub(super) fn open(path: &Path) -> crate::Result<FlinkSnapshot> {
    FlinkSnapshot::open_at(path.to_str().unwrap(), &options())
}
