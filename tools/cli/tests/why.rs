//! `esker why` as its users meet it: who keeps a file, and what is said of those that nobody keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::checkpoint::Job;
use esker::snapshot::{ManifestReferences, open_snapshot};
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use world::*;

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What is said of `file`, which is one of the job's.
fn why(folder: &Path, file: &str) -> (i32, String, String) {
    esker(folder, &["why", "job", file])
}

#[test]
fn who_keeps_a_file_is_said_by_checkpoint_operator_subtask_and_state() {
    let (folder, mut world) = made(2);
    world.hold(1, "audit");
    let folder = folder.path();
    let first =
        block_on(open_snapshot(&world.store, &"chk-1-1/_metadata".parse().unwrap())).unwrap();
    let (delays, airports) = (&first.parts[1], &first.parts[0]);
    let run = delays[1].as_ref().unwrap().runs[0].file.clone();
    let len = folder.join("job").join(run.as_str()).metadata().unwrap().len();
    let states = "key groups 32768 to 65535, states count, late, routes, total, wake";
    let expected = format!(
        "job/{run}: {len} bytes, 2 retained checkpoints reach it\n\
         \x20 checkpoint 1, held as audit: run of operator delays, subtask 1, {states}\n\
         \x20 checkpoint 2: run of operator delays, subtask 1, {states}\n"
    );
    for file in [run.to_string(), format!("job/{run}")] {
        assert_eq!(why(folder, &file), (0, expected.clone(), String::new()));
    }
    let (code, below, err) = esker(folder, &["why", ".", &format!("job/{run}")]);
    assert_eq!((code, below, err), (0, expected.replace("job/", "./job/"), String::new()));

    let operator = delays[0].as_ref().unwrap().operator_run.as_ref().unwrap().file.clone();
    let (_, out, _) = why(folder, operator.as_str());
    let said = "run of operator state of operator delays, subtask 0, key groups 0 to 65535, states offsets\n";
    assert!(out.lines().count() == 2 && out.ends_with(said), "{out}");
    let part = first.manifest.operators[1].parts[0].name().unwrap();
    let (_, out, _) = why(folder, part.as_str());
    let said =
        "checkpoint 1, held as audit: part of operator delays, subtask 0, key groups 0 to 32767\n";
    assert!(out.lines().count() == 2 && out.ends_with(said), "{out}");
    let (_, out, _) = why(folder, "chk-2-1/_metadata");
    assert!(
        out.ends_with("1 retained checkpoints reach it\n  checkpoint 2: its manifest\n"),
        "{out}"
    );

    let names = &airports[0].as_ref().unwrap().runs[0].file;
    let (code, out, _) = esker(folder, &["why", "--json", "job", names.as_str()]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &found["why"], &found["record"]), (0, &json!("reached"), &Value::Null));
    let keeper = json!({
        "checkpoint": 1, "holds": ["audit"], "as": "run", "operator": "airports", "subtask": 0,
        "keyGroupFirst": 0, "keyGroupLast": 65535, "states": ["names"],
    });
    assert_eq!(found["keptBy"][0], keeper);

    std::fs::remove_file(folder.join("job").join(run.as_str())).unwrap();
    let (code, out, err) = why(folder, run.as_str());
    assert!(code == 1 && out.contains("checkpoint 2: run of operator delays"), "{out}");
    assert!(err.contains(&format!("damaged {run}: the file is missing")), "{err}");
}

#[test]
fn what_nobody_keeps_is_explained() {
    let (folder, mut world) = made(2);
    world.keep(1);
    let (folder, job) = (folder.path(), folder.path().join("job"));
    put(&job, "chk-1-1/_metadata", "deleted too late");
    put(&job, "shared/1/4-0-lost.run", "lost");
    put(&job, "shared/1/4-0-half.run#2", "half");
    put(&job, "notes.txt", "mine");
    let root = Store::open(job.to_str().unwrap()).unwrap();
    drop(block_on(Job::claim(root, Arc::new(ManifestReferences))).unwrap());
    put(&job, "shared/2/4-0-new.run", "in flight");
    for (file, said) in [
        ("chk-1-1/_metadata", "16 bytes, condemned by record 4"),
        (
            "shared/1/4-0-lost.run",
            "4 bytes, of generation 1, and no retained checkpoint reaches it",
        ),
        (
            "shared/1/4-0-half.run#2",
            "half-written, of generation 1, and no retained checkpoint reaches it",
        ),
        (
            "shared/2/4-0-new.run",
            "9 bytes, of generation 2, whose owner may need it: it sweeps it itself",
        ),
        ("notes.txt", "4 bytes, none of esker's"),
    ] {
        assert_eq!(why(folder, file), (0, format!("job/{file}: {said}\n"), String::new()));
    }
    let (code, out, err) = why(folder, "log/00000000000000000001");
    assert!(code == 0 && out.ends_with("a record of the job's log\n"), "{out}{err}");
    let (code, out, err) = why(folder, "shared/1/7-0-gone.run");
    let said =
        "esker: absent job/shared/1/7-0-gone.run: there is no such file, and nothing names it\n";
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", said));
    for (url, file, code, said) in [
        ("save", "_metadata", 1, "absent save: a snapshot, not a job's root"),
        (".", "elsewhere/file", 1, "absent .: elsewhere/file is in the folder of no job there"),
        ("job", "../secret", 1, "absent job: ../secret: no file's name: "),
        ("nowhere", "x", 2, "unreadable nowhere: "),
    ] {
        let (found, out, err) = esker(folder, &["why", url, file]);
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {said}")), "{err}");
    }
}
