//! `esker hold`, `release` and `expire` as their users meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::checkpoint::read_log;
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use world::*;

fn retained(folder: &Path) -> Vec<u64> {
    let store = Store::open(folder.join("job").to_str().unwrap()).unwrap();
    block_on(read_log(&store)).unwrap().retained().keys().copied().collect()
}

/// What the tool says on standard output; nothing on the other.
fn said(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
    out
}

#[test]
fn a_hold_keeps_a_checkpoint_from_its_job_and_from_expire_until_it_is_released() {
    let (folder, mut world) = made(3);
    let folder = folder.path();
    assert_eq!(said(folder, &["hold", "job", "1"]), "job: checkpoint 1 is held as manual\n");
    assert_eq!(said(folder, &["hold", "job", "1"]), "job: checkpoint 1 is held as manual\n");
    let json = said(folder, &["hold", "job/", "1", "--name", "audit", "--json"]);
    assert_eq!(json, "{\"job\":\"job/\",\"checkpoint\":1,\"hold\":\"audit\"}\n");
    let listed = said(folder, &["ls", "--json", "job"]);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(first["holds"], json!(["audit", "manual"]));
    // The owner, which lives, does not know of it before it looks.
    world.keep(1);
    assert_eq!(retained(folder), [1, 3]);
    let kept = "kept job: checkpoint 1, held\nkept job: checkpoint 3, the newest\n";
    assert_eq!(said(folder, &["expire", "job", "--keep", "1"]), kept);
    for (args, why) in [
        (&["expire", "job", "1"][..], "absent job: checkpoint 1 is held: release it first"),
        (&["expire", "job", "3"], "absent job: checkpoint 3 is the newest, which always stays"),
        (&["expire", "job", "7"], "absent job: checkpoint 7 is not retained"),
        (&["hold", "job", "2"], "absent job: the job retains [1, 3], not checkpoint 2"),
        (&["release", "job", "nobody"], "absent job: no such hold: nobody"),
        (&["release", "job", "audit", "--checkpoint", "3"], "absent job: no such hold: audit"),
    ] {
        let (code, out, err) = esker(folder, args);
        assert_eq!((code, out, err), (1, String::new(), format!("esker: {why}\n")));
    }
    let released = "job: checkpoint 1 is no longer held as audit\n";
    assert_eq!(said(folder, &["release", "job", "audit"]), released);
    let released = said(folder, &["release", "job", "manual", "--json"]);
    assert_eq!(released, "{\"job\":\"job\",\"checkpoint\":1,\"hold\":\"manual\"}\n");
    let expired = "expired job: checkpoint 1\nkept job: checkpoint 3, the newest\n";
    assert_eq!(said(folder, &["expire", "job", "1"]), expired);
    assert_eq!(retained(folder), [3]);
    // The job goes on.
    world.change(3);
    world.checkpoint();
    assert_eq!(retained(folder), [3, 4]);
}

#[test]
fn what_expires_is_said_first_and_goes_with_gc() {
    let (folder, mut world) = made(4);
    let (folder, job) = (folder.path(), folder.path().join("job"));
    let before = files(&job);
    let would = "would expire job: checkpoint 1\nwould expire job: checkpoint 2\nkept job: checkpoint 3\n\
                 kept job: checkpoint 4, the newest\n";
    assert_eq!(said(folder, &["expire", "job", "--keep", "2", "--dry-run"]), would);
    let young = said(folder, &["expire", "job", "--older-than", "1h"]);
    assert!(young.lines().all(|line| line.starts_with("kept")), "{young}");
    assert_eq!((files(&job), retained(folder)), (before.clone(), vec![1, 2, 3, 4]));
    std::thread::sleep(std::time::Duration::from_millis(20));
    let out = said(folder, &["expire", "job", "--older-than", "0s", "--json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |checkpoint: u64, does: &str, why: Option<&str>| json!({"job": "job", "checkpoint": checkpoint, "does": does, "why": why});
    let expired = (1..=3).map(|checkpoint| line(checkpoint, "expired", None));
    assert_eq!(lines, expired.chain([line(4, "kept", Some("newest"))]).collect::<Vec<_>>());
    assert_eq!(retained(folder), [4]);
    let left = files(&job);
    assert!(before.iter().all(|path| left.contains(path)), "nothing is deleted yet");
    let gone = said(folder, &["gc", "job"]);
    assert!(
        gone.lines().filter(|line| line.contains("condemned by record 6")).count() > 3,
        "{gone}"
    );
    assert!(!job.join("chk-1-1").exists() || files(&job.join("chk-1-1")).is_empty());
    said(folder, &["verify", "--deep", "job"]);
    world.change(4);
    world.checkpoint();
    said(folder, &["verify", "--deep", "job"]);
}

#[test]
fn nothing_expires_where_an_older_checkpoint_may_be_all_there_is() {
    let (folder, _world) = made(2);
    let (folder, job) = (folder.path(), folder.path().join("job"));
    let newest = files(&job.join("chk-2-1"));
    let part = newest.iter().find(|path| path.extension().is_some_and(|of| of == "part")).unwrap();
    let good = std::fs::read(part).unwrap();
    std::fs::remove_file(part).unwrap();
    let (code, out, err) = esker(folder, &["expire", "job", "1"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("esker: damaged chk-2-1/"), "{err}");
    assert_eq!(retained(folder), [1, 2]);
    std::fs::write(part, good).unwrap();
    for args in [
        &["expire", "job"][..],
        &["expire", "job", "--keep", "0"],
        &["expire", "job", "1", "--keep", "1"],
    ] {
        let (code, out, _) = esker(folder, args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
    }
    for (url, code, said) in [
        ("save", 1, "absent save: not a job's root"),
        (".", 1, "absent .: not a job's root"),
        ("nowhere", 2, "unreadable nowhere: "),
    ] {
        for args in
            [&["expire", url, "--keep", "1"][..], &["hold", url, "1"], &["release", url, "x"]]
        {
            let (found, out, err) = esker(folder, args);
            assert_eq!((found, out.as_str()), (code, ""), "{err}");
            assert!(err.starts_with(&format!("esker: {said}")), "{err}");
        }
    }
}
