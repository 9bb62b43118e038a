//! `esker schema` and `esker check` as their users meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::format::schema_file::SchemaFile;
use run::esker;
use serde_json::{Value, json};
use std::path::Path;
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

/// A schema file of the world with something changed in it, and what `check` says of it.
fn checked(folder: &Path, from: &str, to: &str, more: &[&str]) -> (i32, String, String) {
    let text = TEXT.replacen(from, to, 1);
    assert!(from == to || text != TEXT, "{from}");
    std::fs::write(folder.join("new.json"), text).unwrap();
    esker(folder, &[&["check", "save", "--schema", "new.json"], more].concat())
}

#[test]
fn check_tells_what_becomes_of_each_state() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let names = "compatible  airports/names\n";
    let all = format!(
        "{names}compatible  delays/count\ncompatible  delays/late\ncompatible  delays/offsets\n\
         compatible  delays/routes\ncompatible  delays/total\ncompatible  delays/wake\n"
    );
    let said = (0, format!("{all}deployable: 7 compatible\n"), String::new());
    assert_eq!(checked(folder, "", "", &[]), said);
    std::fs::write(folder.join("same.json"), TEXT).unwrap();
    assert_eq!(esker(folder, &["check", "job", "--schema", "same.json", "--checkpoint=1"]), said);

    let count = r#""count", "kind": "value", "value": {"codec": "bincode2", "schema": "u64"}"#;
    for (from, to, code, word, told, end) in [
        (
            count,
            r#""count", "kind": "value", "value": {"codec": "bincode2", "schema": "u128"}"#,
            0,
            "migratable",
            r#"value: "u64" becomes "u128": wider (migratable)"#,
            "deployable: 6 compatible, 1 migratable",
        ),
        (
            count,
            r#""count", "kind": "value", "value": {"codec": "bincode2", "schema": "u8"}"#,
            1,
            "impossible",
            r#"value: "u64" becomes "u8": narrower: only what is small enough fits (impossible)"#,
            "not deployable: 6 compatible, 1 impossible",
        ),
        (
            count,
            r#""count", "kind": "list", "value": {"codec": "bincode2", "schema": "u64"}"#,
            1,
            "impossible",
            "kind: value becomes list (impossible)",
            "not deployable: 6 compatible, 1 impossible",
        ),
    ] {
        let line = "compatible  delays/count\n";
        let changed = format!("{word}  delays/count\n            {told}\n");
        let said = format!("{}{end}\n", all.replace(line, &changed));
        assert_eq!(checked(folder, from, to, &[]), (code, said, String::new()), "{to}");
    }

    // A state of the snapshot that the program lacks, one that it adds, and keys of another type.
    let (code, out, err) = checked(folder, r#""late""#, r#""later""#, &[]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.contains("missing     delays/late\n            state: the program does not"),
        "{out}"
    );
    assert!(out.contains("new         delays/later\n"), "{out}");
    assert!(out.ends_with("not deployable: 6 compatible, 1 missing, 1 new\n"), "{out}");
    let keys = r#""key": {"codec": "ordered", "schema": "u32"}"#;
    let (code, out, _) = checked(folder, keys, &keys.replace("u32", "u64"), &[]);
    let said = "impossible  airports/(keys)\n            key: \"u32\" by codec=ordered becomes \
                \"u64\" by codec=ordered: keys are not migrated, but re-keyed (impossible)\n";
    assert!(code == 1 && out.starts_with(said), "{out}");
}

#[test]
fn a_codec_of_the_programs_own_is_not_judged_and_stops_a_deployment_unless_it_is_allowed() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let count = r#""count", "kind": "value", "value": {"codec": "bincode2", "schema": "u64"}"#;
    let mine = count.replace("bincode2", "mine");
    let told = "unknown     delays/count\n            value: \"u64\" by codec=bincode2 becomes \"u64\" by \
                codec=mine: unknown, the program's codec mine decides (unknown)\n";
    let (code, out, err) = checked(folder, count, &mine, &[]);
    assert!(code == 1 && err.is_empty() && out.contains(told), "{out}");
    assert!(out.ends_with("\nnot deployable: 6 compatible, 1 unknown\n"), "{out}");
    // What is lost is another thing.
    assert_eq!(checked(folder, count, &mine, &["--allow-lossy"]).0, 1);
    let (code, allowed, err) = checked(folder, count, &mine, &["--allow-unknown"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(allowed, out.replace("not deployable", "deployable"));
    let (code, out, _) = checked(folder, count, &mine, &["--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let states = report["states"].as_array().unwrap();
    let fates: Vec<&Value> = states.iter().map(|state| &state["fate"]).collect();
    assert!(code == 1 && fates[1] == "unknown", "{fates:?}");
    assert_eq!(
        (&report["deployable"], &states[1]["changes"][0]["fate"]),
        (&json!(false), &json!("unknown"))
    );
}

#[test]
fn what_is_lost_stops_a_deployment_unless_it_is_allowed() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let late = r#""late", "kind": "list", "value": {"codec": "bincode2", "schema": "string"}"#;
    let of = |fields: &str| {
        let schema = format!(r#"{{"struct": {{"name": "L", "fields": [{fields}]}}}}"#);
        late.replace(r#""string""#, &schema)
    };
    let both = r#"{"name": "a", "schema": "u8"}, {"name": "b", "schema": "u8"}"#;
    let one = r#"{"name": "a", "schema": "u8"}"#;
    for (name, fields) in [("old.json", both), ("one.json", one)] {
        std::fs::write(folder.join(name), TEXT.replacen(late, &of(fields), 1)).unwrap();
    }
    // A savepoint whose list holds structs of two fields.
    let manifest = std::fs::read(folder.join("save/_metadata")).unwrap();
    let mut manifest = esker::format::manifest::Manifest::decode(&manifest).unwrap();
    let file =
        SchemaFile::parse(&std::fs::read_to_string(folder.join("old.json")).unwrap()).unwrap();
    let value = file.operator("delays").unwrap().state("late").unwrap().value.clone();
    let states = &mut manifest.operators.iter_mut().find(|o| o.uid == "delays").unwrap().states;
    states.iter_mut().find(|state| state.name == "late").unwrap().value = value;
    std::fs::write(folder.join("save/_metadata"), manifest.encode().unwrap()).unwrap();

    let lossy =
        "lossy       delays/late\n            value.b: removed: what it holds is lost (lossy)\n";
    let (code, out, err) = esker(folder, &["check", "save", "--schema", "one.json"]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.contains(lossy) && out.ends_with("not deployable: 6 compatible, 1 lossy\n"),
        "{out}"
    );
    let args = ["check", "save", "--schema", "one.json", "--allow-lossy"];
    let (code, out, _) = esker(folder, &args);
    assert!(code == 0 && out.ends_with("\ndeployable: 6 compatible, 1 lossy\n"), "{out}");

    let (code, out, err) = esker(folder, &["check", "--json", "save", "--schema", "one.json"]);
    assert_eq!((code, err.as_str()), (1, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["snapshot"], &report["schema"], &report["status"], &report["deployable"]),
        (&json!("save"), &json!("one.json"), &json!("ok"), &json!(false))
    );
    let late = report["states"].as_array().unwrap().iter().find(|s| s["state"] == "late").unwrap();
    let change =
        json!({"path": "value.b", "fate": "lossy", "what": "removed: what it holds is lost"});
    assert_eq!(
        *late,
        json!({
            "operator": "delays", "state": "late", "stands": "both", "fate": "lossy",
            "changes": [change],
        })
    );
    assert_eq!((report["states"].as_array().unwrap().len(), &report["damage"]), (7, &json!([])));
}

#[test]
fn what_cannot_be_checked_is_named() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    for (name, text) in [
        ("cut.json", &TEXT[..TEXT.len() / 2]),
        ("newer.json", r#"{"esker-schema": 2}"#),
        ("typo.json", &TEXT.replace(r#""kind": "map""#, r#""kinds": "map""#)),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("same.json"), TEXT).unwrap();
    for (snapshot, schema, code, said) in [
        ("save", "none.json", 2, "esker: unreadable none.json: No such file or directory"),
        ("save", "cut.json", 2, "esker: unreadable cut.json: schema file: EOF while parsing"),
        ("save", "newer.json", 1, "esker: refused newer.json: schema file: version=2 is newer"),
        ("save", "typo.json", 2, "esker: unreadable typo.json: schema file: unknown field `kinds`"),
        ("nothing", "same.json", 2, "esker: unreadable nothing: "),
    ] {
        let (found, out, err) = esker(folder, &["check", snapshot, "--schema", schema]);
        assert_eq!((found, out.as_str()), (code, ""), "{schema}");
        assert!(err.starts_with(said), "{err}");
        let args = ["check", "--json", snapshot, "--schema", schema];
        let (found, out, _) = esker(folder, &args);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (found, &report["deployable"], &report["states"]),
            (code, &Value::Null, &json!([]))
        );
        assert_ne!(report["status"], "ok");
        assert_eq!(report["damage"].as_array().unwrap().len(), 1);
    }
    let (code, _, err) = esker(folder, &["check", "save"]);
    assert!(code == 2 && err.contains("--schema"), "{err}");
}
