//! `esker copy` as its users meet it: what it says, what it leaves, and what becomes of the copy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::backend::KeyedState;
use esker::backend::heap::ValueState;
use esker::format::manifest::SnapshotKind;
use esker::format::{Bincode, KeyGroupRange};
use esker::snapshot::{SnapshotSettings, Target, open_snapshot, restore};
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use world::*;

/// How many files there are below a folder, and their bytes.
fn sizes(folder: &Path) -> (usize, u64) {
    let files = files(folder);
    (files.len(), files.iter().map(|file| file.metadata().unwrap().len()).sum())
}

fn dumped(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, &[&["dump", "--sorted"], args].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    assert!(!out.is_empty());
    out
}

#[test]
fn a_copy_says_what_it_did_and_stands_alone() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let expected = [dumped(folder, &["job", "--checkpoint", "1"]), dumped(folder, &["job"])];
    for (number, source, args, checkpoint) in [
        (0, "job", &["--checkpoint", "1"][..], 1),
        (1, "job", &[], 2),
        (1, "job", &["--fallback", "--transfers", "1"], 2),
        (1, "job/chk-2-1", &[], 2),
        (1, "job/chk-2-1/_metadata", &[], 2),
        (1, "save", &[], 2),
    ] {
        let target = format!("{}-{}", source.replace('/', "-"), args.len());
        let args = [&["copy", source, &target], args].concat();
        let (code, out, err) = esker(folder, &args);
        let (count, bytes) = sizes(&folder.join(&target));
        let said = format!(
            "ok {target}: checkpoint {checkpoint} of {source}: copied {count} files, {bytes} bytes; \
             there already 0 files, 0 bytes\n"
        );
        assert_eq!((code, out, err.as_str()), (0, said, ""), "{args:?}");
        assert!(dumped(folder, &[&target]) == expected[number], "{args:?}");
        let (code, out, err) = esker(folder, &args);
        let said = format!(
            "ok {target}: checkpoint {checkpoint} of {source}: copied 0 files, 0 bytes; there already \
             {count} files, {bytes} bytes\n"
        );
        assert_eq!((code, out, err.as_str()), (0, said, ""), "{args:?}");
        std::fs::rename(folder.join(&target), folder.join(format!("moved-{target}"))).unwrap();
    }
    std::fs::remove_dir_all(folder.join("job")).unwrap();
    std::fs::remove_dir_all(folder.join("save")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let moved = entry.unwrap().file_name().into_string().unwrap();
        let (code, out, err) = esker(folder, &["verify", "--deep", &moved]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.starts_with(&format!("ok {moved} savepoint: ")), "{out}");
        let is_first = moved == "moved-job-2";
        assert!(dumped(folder, &[&moved]) == expected[usize::from(!is_first)], "{moved}");
        let (code, out, _) = esker(folder, &["inspect", "--json", &moved]);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &report["kind"]), (0, &json!("savepoint")));
    }
}

#[test]
fn a_copy_restores_where_its_source_is_gone() {
    let (folder, world) = made(2);
    let (code, _, err) = esker(folder.path(), &["copy", "job", "copy"]);
    assert_eq!(code, 0, "{err}");
    std::fs::remove_dir_all(folder.path().join("job")).unwrap();
    let store = Store::open(folder.path().join("copy").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap();
    assert_eq!(snapshot.manifest.kind, SnapshotKind::Savepoint);
    let operator = &snapshot.manifest.operators[0];
    let mut names = ValueState::<u32, (), String>::new(1, KeyGroupRange::ALL, Bincode).unwrap();
    let state: &mut dyn KeyedState = &mut names;
    let mut targets = [Target { stored: operator.states[0].clone(), state }];
    let (range, settings) = (KeyGroupRange::ALL, SnapshotSettings::default());
    let restored = restore(&store, &snapshot.manifest, AIRPORTS, range, &mut targets, &settings);
    let restored = block_on(restored).unwrap();
    assert!(restored.chain.part.runs.is_empty(), "a next checkpoint names no file of the copy");
    let lines = world.lines.iter().filter(|line| line.contains(r#""operator":"airports""#));
    assert_eq!(names.len(), lines.count());
    assert_eq!(names.get(&7, &()).unwrap().unwrap().as_str(), "airport 7, 1\n");
}

#[test]
fn json_tells_files_bytes_and_damage() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let copy = |target: &str| {
        let (code, out, err) = esker(folder, &["copy", "--json", "job", target]);
        (code, serde_json::from_str::<Value>(&out).unwrap(), err)
    };
    let (code, report, err) = copy("copy");
    let (count, bytes) = sizes(&folder.join("copy"));
    let expected = json!({
        "source": "job", "target": "copy", "status": "ok", "job": "flights", "checkpoint": 2,
        "copied": {"files": count, "bytes": bytes}, "present": {"files": 0, "bytes": 0},
        "damage": [],
    });
    assert_eq!((code, report, err.as_str()), (0, expected, ""));

    let run = run_of_last(folder);
    std::fs::remove_file(folder.join("job").join(&run)).unwrap();
    let (code, report, err) = copy("other");
    let message = "the file is missing, and a snapshot names it";
    let expected = json!({
        "source": "job", "target": "other", "status": "damaged", "job": null, "checkpoint": null,
        "copied": null, "present": null,
        "damage": [{
            "file": run, "status": "damaged", "message": message, "entries": null, "lost": [],
        }],
    });
    assert_eq!((code, report), (1, expected));
    assert_eq!(err, format!("esker: damaged job: {run}: {message}\n"));
}

/// A run of the last checkpoint, below the job's root.
fn run_of_last(folder: &Path) -> String {
    let store = Store::open(folder.join("job").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"chk-2-1/_metadata".parse().unwrap())).unwrap();
    snapshot.runs().last().unwrap().file.to_string()
}

#[test]
fn damage_is_named_no_snapshot_is_left_and_the_next_copy_does_the_rest() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let expected = dumped(folder, &["job"]);
    let name = run_of_last(folder);
    let run = folder.join("job").join(&name);
    let good = std::fs::read(&run).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    std::fs::write(&run, flipped).unwrap();
    let said = format!(
        "esker: damaged job: {name}: the file's digest is not the one that its part names it by\n"
    );
    assert_eq!(esker(folder, &["copy", "job", "copy"]), (1, String::new(), said));
    assert!(!folder.join("copy/_metadata").exists());
    let (code, _, err) = esker(folder, &["dump", "copy"]);
    assert!(code == 1 && err.contains("neither a snapshot nor a job's root"), "{err}");

    // What was begun is ended, nothing of it is copied again.
    let (there, _) = sizes(&folder.join("copy"));
    assert!(there > 0);
    std::fs::write(&run, good).unwrap();
    let (code, out, err) = esker(folder, &["copy", "job", "copy"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(&format!("there already {there} files")), "{out}");
    assert!(dumped(folder, &["copy"]) == expected);

    // A file that is gone from a copy comes back.
    let lost = files(&folder.join("copy")).into_iter().find(|file| is_run(file)).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let (code, out, _) = esker(folder, &["copy", "job", "copy"]);
    assert!(code == 0 && out.contains(": copied 1 files, ") && lost.exists(), "{out}");

    // A part that is gone is named with what is lost, and nothing is begun.
    let store = Store::open(folder.join("job").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"chk-2-1/_metadata".parse().unwrap())).unwrap();
    let part = snapshot.manifest.operators[1].parts[1].name().unwrap().to_string();
    std::fs::remove_file(folder.join("job").join(&part)).unwrap();
    let (code, out, err) = esker(folder, &["copy", "job", "new"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let said = format!("esker: damaged job: {part}: the file is missing, and a snapshot names it");
    assert!(err.starts_with(&said) && err.contains("delays/count key groups 32768-65535"), "{err}");
    assert!(!folder.join("new").exists());
}

fn is_run(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "run")
}

#[test]
fn a_folder_that_holds_something_else_is_refused() {
    let (folder, _world) = made(2);
    let folder = folder.path().canonicalize().unwrap();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let read = |files: Vec<PathBuf>| -> Vec<_> {
        files.into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect()
    };
    std::fs::create_dir_all(folder.join("notes")).unwrap();
    std::fs::write(folder.join("notes/mine"), "mine").unwrap();
    let (code, _, err) = esker(&folder, &["copy", "job", "first", "--checkpoint", "1"]);
    assert_eq!(code, 0, "{err}");
    let other = "is not overwritten: choose another folder";
    let lies_there = "the snapshot lies there: a copy goes to another folder";
    for (source, target, reason) in [
        (
            "job",
            "first",
            format!("the folder holds another snapshot, checkpoint=1 job=\"flights\", and {other}"),
        ),
        (
            "save",
            "job/chk-2-1",
            format!("the folder holds another snapshot, checkpoint=2 job=\"flights\", and {other}"),
        ),
        (
            "job",
            "notes",
            "the folder holds what is not of this snapshot, mine for one: a copy has a folder of its \
             own"
            .to_owned(),
        ),
        ("save", "save", lies_there.to_owned()),
        ("save", "save/../save/", lies_there.to_owned()),
        ("job", "job", lies_there.to_owned()),
    ] {
        let before = read(files(&folder));
        let path = at(target.trim_end_matches('/').rsplit("../").next().unwrap());
        let said = format!("esker: refused {source}: {path}: {reason}\n");
        let found = esker(&folder, &["copy", source, target]);
        assert_eq!(found, (1, String::new(), said), "{source} {target}");
        assert!(read(files(&folder)) == before, "{source} {target}");
    }
    let (code, out, _) = esker(&folder, &["copy", "--json", "job", "notes"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["status"]), (1, &json!("refused")));
}

#[test]
fn what_cannot_be_tried_is_told_apart_and_makes_no_folder() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    std::fs::write(folder.join("file"), "no folder").unwrap();
    for (args, code, reason) in [
        (&["job-9", "copy"][..], 2, "unreadable job-9: No such file or directory"),
        (&["ftp://bucket/job", "copy"], 2, "unreadable ftp://bucket/job: not a store"),
        (&["save/parts", "copy"], 1, "absent save/parts: neither a snapshot nor a job's root"),
        (&["job", "copy", "--checkpoint", "9"], 1, "absent job: the job retains [1, 2], not"),
        (&["save", "copy", "--fallback"], 1, "absent save: --fallback goes back over"),
        (&["save", "ftp://bucket/copy"], 2, "unreadable save: ftp://bucket/copy: not a store"),
        (&["save", "file"], 2, "unreadable save: file: cannot open the folder"),
    ] {
        let (found, out, err) = esker(folder, &[&["copy"], args].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
        assert!(!folder.join("copy").exists(), "{args:?}");
    }
    for args in [&["copy", "job"][..], &["copy", "job", "copy", "--transfers", "0"]] {
        let (code, out, err) = esker(folder, args);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
    }
}
