//! `esker salvage` as its users meet it: what it says of damage, what it leaves, and what that holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::format::manifest::Manifest;
use esker::format::part::{Native, Part, RunRef};
use esker::format::run::RunReader;
use esker::format::{Key, KeyGroup, RelativeName};
use esker::snapshot::{NewOperator, OpenSnapshot, open_snapshot, write_manifest};
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use world::*;

fn dumped(folder: &Path, name: &str) -> Vec<String> {
    let (code, out, err) = esker(folder, &["dump", "--sorted", name]);
    assert_eq!((code, err.as_str()), (0, ""), "{name}");
    out.lines().map(str::to_owned).collect()
}

fn opened(folder: &Path, name: &str) -> OpenSnapshot {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    block_on(open_snapshot(&store, &name.parse().unwrap())).unwrap()
}

fn sound(folder: &Path, name: &str) {
    let (code, out, err) = esker(folder, &["verify", name]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
}

fn flip(file: &Path, at: u64) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at as usize] ^= 4;
    std::fs::write(file, bytes).unwrap();
}

/// The newest run of an operator's first part in the last checkpoint, and its index.
fn newest_run(folder: &Path, operator: usize) -> (RunRef, RunReader) {
    let snapshot = opened(&folder.join("job"), "chk-2-1/_metadata");
    let run = snapshot.parts[operator][0].as_ref().unwrap().runs.last().unwrap().clone();
    let bytes = std::fs::read(folder.join("job").join(run.file.as_str())).unwrap();
    let reader = RunReader::open_file(&bytes).unwrap();
    (run, reader)
}

#[test]
fn a_sound_snapshot_is_whole() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let expected: Vec<String> = world.lines.iter().cloned().collect();
    let (code, out, err) = esker(folder, &["salvage", "job", "new", "--report", "lost.json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("ok new: checkpoint 2 of job: 844 entries; written "), "{out}");
    assert!(out.ends_with("; there already 0 files, 0 bytes\n"), "{out}");
    assert_eq!(out.lines().count(), 1, "{out}");
    assert_eq!(dumped(folder, "new"), expected);
    sound(folder, "new");
    let report: Value =
        serde_json::from_slice(&std::fs::read(folder.join("lost.json")).unwrap()).unwrap();
    assert_eq!(report["status"], "ok");
    for empty in ["damage", "lost", "notAsked"] {
        assert_eq!(report[empty], json!([]));
    }
    assert_eq!(
        report["sources"],
        json!([{"name": "job", "status": "ok", "message": null, "job": "flights", "checkpoint": 2}])
    );
    let airports = json!({
        "operator": "airports", "state": "names", "kind": "value", "before": 40, "entries": 40,
        "taken": [], "withheld": 0,
    });
    assert_eq!(report["states"][0], airports);
    // Again, all of it is there.
    let (code, out, _) = esker(folder, &["salvage", "--json", "job", "new"]);
    let again: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &again["written"]), (0, &json!({"files": 0, "bytes": 0})));
    assert_eq!(again["present"], report["written"]);
}

#[test]
fn a_damaged_block_takes_its_keys_and_an_older_snapshot_has_them() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let older = dumped(folder, "job/chk-1-1");
    let (run, reader) = newest_run(folder, 0);
    let blocks = &reader.index().blocks;
    assert!(blocks.len() > 2);
    flip(&folder.join("job").join(run.file.as_str()), blocks[1].offset + 9);

    let ends: Vec<(u16, u32)> = blocks
        .iter()
        .map(|block| {
            let key = esker::format::composite::CompositeKey::decode(&block.first_key).unwrap();
            (key.group.0, u32::decode(&key.key).unwrap())
        })
        .collect();
    let ((group_from, from), (group_to, to)) = (ends[1], ends[2]);
    let entries = blocks[1].entries;
    let damaged = format!(
        "esker: damaged job: {}: run block: digest differs; it holds state 1 key group {group_from} up \
         to state 1 key group {group_to} at byte {} ({entries} entries)\n",
        run.file, blocks[1].offset
    );
    let lost =
        format!("lost airports/names key groups {group_from}-{group_to} from {from} to {to}");

    let (code, out, err) = esker(folder, &["salvage", "job", "new"]);
    assert_eq!((code, err), (1, format!("{damaged}esker: {lost}: gone\n")));
    let left = 40 - entries;
    assert!(out.starts_with("damaged new: checkpoint 2 of job: "), "{out}");
    // The run before holds them as they were.
    let told = format!(
        "\nairports/names: {left} entries, 40 before; {entries} keys left out that may be stale\n"
    );
    assert!(out.ends_with(&told), "{out}");
    sound(folder, "new");
    let found: BTreeSet<String> = dumped(folder, "new").into_iter().collect();
    assert!(found.is_subset(&world.lines));
    let missing: Vec<&String> = world.lines.difference(&found).collect();
    assert_eq!(missing.len(), entries as usize);
    for line in missing {
        let line: Value = serde_json::from_str(line).unwrap();
        let code = line["key"].as_u64().unwrap() as u32;
        let KeyGroup(group) = code.with_encoded(KeyGroup::of);
        assert_eq!(line["operator"], "airports");
        assert!(group >= group_from && group <= group_to, "{line}");
    }

    let (code, out, err) = esker(folder, &["salvage", "job", "job/chk-1-1", "save", "newer"]);
    let now = format!("{damaged}esker: {lost}: older now, from job/chk-1-1\n");
    assert_eq!((code, err), (1, now));
    let told = format!("airports/names: 40 entries, 40 before; {entries} keys from job/chk-1-1\n");
    assert!(out.ends_with(&told), "{out}");
    sound(folder, "newer");
    let newer: BTreeSet<String> = dumped(folder, "newer").into_iter().collect();
    let old: Vec<&String> = newer.difference(&world.lines).collect();
    assert_eq!(old.len(), entries as usize);
    assert!(old.iter().all(|line| older.contains(line)));

    // `--older` names them by itself.
    let (code, out, err) = esker(folder, &["salvage", "--json", "--older", "job", "by-itself"]);
    assert_eq!(code, 1, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&Value> =
        report["sources"].as_array().unwrap().iter().map(|source| &source["name"]).collect();
    assert_eq!(names, ["job/chk-2-1", "job/chk-1-1"]);
    let expected = json!([{
        "source": "job/chk-2-1", "damage": 0, "operator": "airports", "state": "names",
        "kind": "value", "subtask": null, "keyGroupFirst": group_from, "keyGroupLast": group_to,
        "from": {"key": from}, "to": {"key": to}, "older": "job/chk-1-1",
    }]);
    assert_eq!(report["lost"], expected);
    assert_eq!(report["damage"][0]["file"], run.file.as_str());
    assert_eq!(report["damage"][0]["entries"], entries);
    assert_eq!(report["states"][0]["taken"], json!([{"source": "job/chk-1-1", "keys": entries}]));
    assert_eq!(dumped(folder, "by-itself"), newer.into_iter().collect::<Vec<_>>());
}

#[test]
fn nothing_stale_comes_back_where_newer_runs_are_lost() {
    let (folder, world) = made(3);
    let folder = folder.path();
    let snapshot = opened(&folder.join("job"), "chk-3-1/_metadata");
    let runs: Vec<RunRef> = snapshot.parts[1][0].as_ref().unwrap().runs.clone();
    let newest = runs.iter().rev().find(|run| run.base.is_empty());
    let newest = newest.expect("a run of changes");
    for how in ["cut off", "removed"] {
        let path = folder.join("job").join(newest.file.as_str());
        match how {
            "removed" => std::fs::remove_file(&path).unwrap(),
            _ => {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
                // The index is whole: no entry is lost with a footer.
                let target = format!("whole {how}");
                let (code, _, err) = esker(folder, &["salvage", "job", &target]);
                assert_eq!((code, err.as_str()), (0, ""));
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
        let (code, out, err) = esker(folder, &["salvage", "job", how]);
        assert_eq!(code, 1, "{err}");
        assert!(out.contains(" keys left out that may be stale\n"), "{out}");
        let groups = format!("key groups {}-{}: gone", newest.range.first(), newest.range.last());
        assert!(err.contains(&format!("esker: lost delays/count {groups}\n")), "{err}");
        sound(folder, how);
        let found: BTreeSet<String> = dumped(folder, how).into_iter().collect();
        assert!(found.is_subset(&world.lines), "{how}");
        let kept = |line: &&String| line.contains("airports") || line.contains("offsets");
        assert!(world.lines.iter().filter(kept).all(|line| found.contains(line)));
        assert!(found.len() < world.lines.len());
    }
}

#[test]
fn a_part_that_is_gone_takes_its_subtask_and_a_manifest_everything() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let snapshot = opened(&folder.join("job"), "chk-2-1/_metadata");
    let part = snapshot.manifest.operators[1].parts[1].name().unwrap();
    std::fs::remove_file(folder.join("job").join(part.as_str())).unwrap();
    let (code, out, err) = esker(folder, &["salvage", "job", "new"]);
    assert_eq!(code, 1);
    assert!(out.contains("\ndelays/wake: "), "{out}");
    let states = ["count", "late", "routes", "total", "wake"];
    let mut said =
        format!("esker: damaged job: {part}: the file is missing, and a snapshot names it\n");
    for state in states {
        said += &format!("esker: lost delays/{state} key groups 32768-65535: gone\n");
    }
    said += "esker: lost delays/offsets of subtask 1: gone\n";
    assert_eq!(err, said);
    sound(folder, "new");
    let found: BTreeSet<String> = dumped(folder, "new").into_iter().collect();
    let expected: BTreeSet<String> = world
        .lines
        .iter()
        .filter(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            match (line["operator"].as_str(), line["key"].as_str()) {
                (Some("airports"), _) => true,
                (_, None) => line["value"].as_u64().unwrap() < 10,
                (_, Some(key)) => key.to_owned().with_encoded(KeyGroup::of).0 < 32768,
            }
        })
        .cloned()
        .collect();
    assert!(found == expected);

    // Of the savepoint all is taken; the airports of the first are newer, and the same.
    let (code, _, err) = esker(folder, &["salvage", "job", "save", "both"]);
    assert!(
        code == 1 && err.contains("delays/wake key groups 32768-65535: older now, from save\n"),
        "{err}"
    );
    let all: BTreeSet<String> = dumped(folder, "both").into_iter().collect();
    assert!(all == world.lines);

    let manifest = folder.join("job/chk-2-1/_metadata");
    let text = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() - 1]).unwrap();
    let (code, out, err) = esker(folder, &["salvage", "job/chk-2-1", "none"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("esker: damaged job/chk-2-1: "), "{err}");
    assert!(!folder.join("none").exists());
    let args = ["salvage", "job", "job/chk-1-1", "older", "--report", "lost.json"];
    let (code, out, err) = esker(folder, &args);
    assert_eq!(code, 1);
    assert!(out.starts_with("damaged older: checkpoint 1 of job/chk-1-1: "), "{out}");
    let known = "esker: nothing of job is known without its _metadata: all is older\n";
    assert!(err.starts_with("esker: damaged job: ") && err.ends_with(known), "{err}");
    assert_eq!(dumped(folder, "older"), dumped(folder, "job/chk-1-1"));
    let report = std::fs::read(folder.join("lost.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (&report["status"], &report["checkpoint"], &report["sources"][0]["status"]),
        (&json!("damaged"), &json!(1), &json!("damaged"))
    );
}

#[test]
fn operator_state_is_lost_by_position_and_found_in_an_older_snapshot() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let snapshot = opened(&folder.join("job"), "chk-2-1/_metadata");
    let run = snapshot.parts[1][0].as_ref().unwrap().operator_run.clone().unwrap();
    flip(&folder.join("job").join(run.file.as_str()), 20);
    let (code, _, err) = esker(folder, &["salvage", "job", "new"]);
    assert_eq!(code, 1);
    let said = "esker: lost delays/offsets of subtask 0 from 0: gone\n";
    assert!(err.ends_with(said), "{err}");
    let found = dumped(folder, "new");
    assert_eq!(found.len(), world.lines.len() - 2);
    let (code, out, err) = esker(folder, &["salvage", "--json", "job", "job/chk-1-1", "newer"]);
    assert_eq!(code, 1, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let lost = &report["lost"][0];
    assert_eq!((&lost["subtask"], &lost["from"]), (&json!(0), &json!({"position": 0})));
    assert!(dumped(folder, "newer") == world.lines.iter().cloned().collect::<Vec<_>>());
}

/// Damages the block of operator state of a subtask of `save`; what is said of it, and then of its states.
fn lose_operator_state(folder: &Path, subtask: usize, broadcast: &str) -> String {
    let snapshot = opened(&folder.join("save"), "_metadata");
    let run = snapshot.parts[0][subtask].as_ref().unwrap().operator_run.clone().unwrap();
    flip(&folder.join("save").join(run.file.as_str()), 40);
    format!(
        "esker: damaged save: {}: run block: digest differs; it holds state 2876920718 key group 0 up to \
         the end of the run at byte 16 (9 entries)\n\
         esker: lost kinds/union of subtask {subtask} from 0: gone\n\
         esker: lost kinds/split of subtask {subtask}: gone\n\
         esker: lost kinds/broadcast of subtask {subtask}: {broadcast}\n",
        run.file
    )
}

#[test]
fn what_every_subtask_holds_is_taken_from_another_and_gone_where_none_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let golden = "../../format/esker/golden/v1/savepoints/every-kind";
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(golden), &folder.join("save"));
    let is_broadcast = |line: &String| line.contains("operator-broadcast");
    let rules: Vec<String> = dumped(folder, "save").into_iter().filter(is_broadcast).collect();
    assert_eq!(rules.len(), 6);

    let first = lose_operator_state(folder, 0, "another subtask holds the same");
    let (code, out, err) = esker(folder, &["salvage", "save", "one"]);
    assert_eq!((code, &err), (1, &first));
    let told = "\nkinds/union: 3 entries, 6 before\nkinds/split: 3 entries, 6 before\n\
                kinds/broadcast: 6 entries, 6 before; 3 keys from save\n";
    assert!(out.starts_with("damaged one: checkpoint 7 of save: 288 entries; "), "{out}");
    assert!(out.ends_with(told), "{out}");
    sound(folder, "one");
    let found: Vec<String> = dumped(folder, "one").into_iter().filter(is_broadcast).collect();
    assert_eq!(found, rules);
    let (code, out, _) = esker(folder, &["salvage", "--json", "save", "one"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let older: Vec<_> = report["lost"].as_array().unwrap().iter().map(|l| &l["older"]).collect();
    assert_eq!((code, older), (1, vec![&Value::Null, &Value::Null, &json!("save")]));

    let first = first.replace("another subtask holds the same", "gone");
    let second = lose_operator_state(folder, 1, "gone");
    let (code, out, err) = esker(folder, &["salvage", "save", "none"]);
    assert_eq!((code, err), (1, first + &second));
    assert!(out.ends_with("\nkinds/broadcast: 0 entries, 6 before\n"), "{out}");
    sound(folder, "none");
    assert!(!dumped(folder, "none").iter().any(is_broadcast));
}

/// A copy of `save` whose operator `delays` has a database for its keyed state.
fn native(folder: &Path) {
    let snapshot = opened(&folder.join("save"), "_metadata");
    let files = folder.join("native");
    copy(&folder.join("save"), &files);
    std::fs::remove_file(files.join("_metadata")).unwrap();
    let store = Store::open(files.to_str().unwrap()).unwrap();
    let mut operators = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let is_native = operator.uid == DELAYS;
        let parts = parts.iter().map(|part| {
            let mut part: Part = part.clone().unwrap();
            if is_native {
                let (engine, extra) = ("rocksdb".to_owned(), Default::default());
                part.runs.clear();
                part.native = Some(Native { engine, files: Vec::new(), extra });
            }
            (part, None)
        });
        operators.push(NewOperator { operator: operator.clone(), parts: parts.collect() });
    }
    let manifest = Manifest { operators: Vec::new(), ..snapshot.manifest.clone() };
    block_on(write_manifest(&store, manifest, operators)).unwrap();
}

#[test]
fn a_database_is_refused_and_an_older_one_is_not_asked() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    native(folder);
    let (code, out, err) = esker(folder, &["salvage", "native", "new"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let said = "esker: refused native: operator=delays: its state is a database of rocksdb, of which no \
                entries are salvaged: go back to an older checkpoint, or salvage a savepoint\n";
    assert_eq!(err, said);
    let (run, reader) = newest_run(folder, 1);
    flip(&folder.join("job").join(run.file.as_str()), reader.index().blocks[0].offset);
    let (code, _, err) = esker(folder, &["salvage", "job", "native", "new"]);
    assert_eq!(code, 1);
    let said = "esker: native was not asked for delays/count: it is a database of rocksdb\n";
    assert!(err.contains(said) && err.contains(": gone\n"), "{err}");
}

#[test]
fn what_cannot_be_tried_is_told_apart() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    std::fs::create_dir(folder.join("notes")).unwrap();
    std::fs::write(folder.join("notes/mine"), "mine").unwrap();
    for (args, code, reason) in [
        (&["job-9", "new"][..], 2, "unreadable job-9: No such file or directory"),
        (&["save", "job-9", "new"], 2, "unreadable job-9: No such file or directory"),
        (&["save/parts", "new"], 1, "absent save/parts: neither a snapshot nor a job's root"),
        (&["notes", "new", "--older"], 1, "absent notes: neither a snapshot nor a job's root"),
        (&["ftp://bucket/job", "new"], 2, "unreadable ftp://bucket/job: not a store"),
        (&["save", "save"], 1, "refused save: "),
        (&["job", "save", "save"], 1, "refused job: "),
        (&["save", "notes"], 1, "refused save: "),
        (&["save", "job"], 1, "refused save: "),
    ] {
        let (found, out, err) = esker(folder, &[&["salvage"], args].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
        assert!(!folder.join("new").exists(), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(folder.join("notes")).unwrap().count(), 1);
    for args in [&["salvage", "job"][..], &["salvage", "job", "new", "--transfers", "0"]] {
        let (code, out, err) = esker(folder, args);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
    }
    let (code, out, _) = esker(folder, &["salvage", "--json", "save", "notes"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["status"], &report["entries"]), (1, &json!("refused"), &Value::Null));
    assert_eq!(report["damage"][0]["status"], "refused");
    let (code, _, err) = esker(folder, &["salvage", "save", "new", "--report", "none/lost.json"]);
    assert_eq!(code, 2);
    assert!(err.starts_with("esker: unreadable none/lost.json: No such file"), "{err}");
    let name: RelativeName = "_metadata".parse().unwrap();
    assert!(folder.join("new").join(name.as_str()).exists(), "what is salvaged is there");
}
