//! Every serializer snapshot in what real Flink wrote.

use super::super::Serializer;
use crate::Input;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The names of snapshot classes in `bytes`, and where their length is.
fn classes(bytes: &[u8]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in 0..bytes.len().saturating_sub(2) {
        let len = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let Some(name) = bytes.get(at + 2..at + 2 + len) else { continue };
        if len > 30 && name.starts_with(b"org.apache.flink.") && name.ends_with(b"Snapshot") {
            found.push((at, String::from_utf8_lossy(name).into_owned()));
        }
    }
    found
}

#[test]
fn all_are_read_and_written_as_they_were() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), &mut paths);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        for (at, class) in classes(&bytes) {
            let mut input = Input::new("golden", &bytes[at..]).based_at(at as u64);
            let serializer = match Serializer::read(&mut input) {
                Ok(serializer) => serializer,
                Err(error) => panic!("{}: {class}: {error}", path.display()),
            };
            let mut out = Vec::new();
            serializer.write(&mut out);
            assert_eq!(out, bytes[at..at + input.position()], "{}", path.display());
            assert_eq!(serializer.class(), class);
            *seen.entry(class).or_default() += 1;
        }
    }
    for (class, count) in &seen {
        println!("{count:6} {class}");
    }
    assert!(seen.len() >= 28, "{} classes", seen.len());
}
