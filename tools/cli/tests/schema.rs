//! `esker schema` as its users meet it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::format::schema_file::SchemaFile;
use run::esker;
use world::*;

const TEXT: &str = r#"{
  "esker-schema": 1,
  "operators": [
    {
      "uid": "airports",
      "key": {"codec": "ordered", "schema": "u32"},
      "states": [
        {"name": "names", "kind": "value", "value": {"codec": "bincode2", "schema": "string"}}
      ]
    },
    {
      "uid": "delays",
      "key": {"codec": "ordered", "schema": "string"},
      "states": [
        {"name": "count", "kind": "value", "value": {"codec": "bincode2", "schema": "u64"}},
        {"name": "late", "kind": "list", "value": {"codec": "bincode2", "schema": "string"}},
        {
          "name": "offsets",
          "kind": "operator-list",
          "value": {"codec": "bincode2", "schema": "u64"}
        },
        {
          "name": "routes",
          "kind": "map",
          "userKey": {"codec": "ordered", "schema": "string"},
          "value": {"codec": "bincode2", "schema": "u64"}
        },
        {
          "name": "total",
          "kind": "reducing",
          "namespace": {"codec": "ordered", "schema": "u32"},
          "value": {"codec": "bincode2", "schema": "u64"}
        },
        {"name": "wake", "kind": "timer-event"}
      ]
    }
  ]
}
"#;

#[test]
fn every_snapshot_of_a_job_has_one_schema_and_no_data_is_read_for_it() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    for name in ["save", "job", "job/chk-2-1", "job/chk-2-1/_metadata"] {
        assert_eq!(esker(folder, &["schema", name]), (0, TEXT.to_owned(), String::new()), "{name}");
    }
    let (code, line, err) = esker(folder, &["schema", "--json", "--checkpoint", "1", "job"]);
    assert_eq!((code, err.as_str(), line.lines().count()), (0, "", 1));
    assert_eq!(SchemaFile::parse(&line).unwrap().to_text().unwrap(), TEXT);

    for run in files(&folder.join("save")) {
        if run.file_name().unwrap() != "_metadata" {
            std::fs::remove_file(run).unwrap();
        }
    }
    assert_eq!(esker(folder, &["schema", "save"]), (0, TEXT.to_owned(), String::new()));
}

#[test]
fn what_is_no_snapshot_or_damaged_has_none() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let (code, out, err) = esker(folder, &["schema", "nothing"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("esker: unreadable nothing: "), "{err}");
    let manifest = folder.join("save/_metadata");
    let mut bytes = std::fs::read(&manifest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    let said = "esker: damaged save: _metadata: metadata: the digest differs at byte ";
    let (code, out, err) = esker(folder, &["schema", "save"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with(said), "{err}");
}
