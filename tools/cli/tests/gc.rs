//! `esker gc` as its users meet it: what it says, what goes, and what stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::checkpoint::Job;
use esker::snapshot::ManifestReferences;
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

/// Another process owns the job from here on.
fn claimed(root: &Path) -> Job {
    let store = Store::open(root.to_str().unwrap()).unwrap();
    block_on(Job::claim(store, Arc::new(ManifestReferences))).unwrap()
}

/// A folder with the job `job` of three checkpoints, the first retired, and a new owner; files that died with
/// the old one, files that the new one is writing, and files of someone else.
fn made() -> (tempfile::TempDir, World) {
    let (folder, mut world) = world::made(3);
    world.keep(2);
    let job = folder.path().join("job");
    put(&job, "chk-1-1/_metadata", "deleted too late");
    put(&job, "chk-4-1/_metadata", "never published");
    put(&job, "shared/1/4-0-lost.run", "lost");
    put(&job, "shared/1/4-0-half.run#2", "half");
    drop(claimed(&job));
    put(&job, "shared/2/4-0-new.run", "in flight");
    put(&job, "shared/2/4-0-new.run#1", "in flight");
    put(&job, "notes.txt", "mine");
    put(&job, "shared/1/odd", "mine too");
    (folder, world)
}

const WENT: [&str; 4] =
    ["chk-1-1/_metadata", "chk-4-1/_metadata", "shared/1/4-0-half.run#2", "shared/1/4-0-lost.run"];

#[test]
fn what_goes_and_what_stays_is_said_with_its_reason() {
    let (folder, _world) = made();
    let job = folder.path().join("job");
    let before = files(&job);
    let needed: u64 = files(&job)
        .iter()
        .map(|path| (path.strip_prefix(&job).unwrap().to_str().unwrap(), path))
        .filter(|(name, _)| {
            let others =
                ["shared/2/4-0-new.run", "shared/2/4-0-new.run#1", "notes.txt", "shared/1/odd"];
            !WENT.contains(name) && !others.contains(name)
        })
        .map(|(_, path)| path.metadata().unwrap().len())
        .sum();
    let count = before.len() - 8;
    let expected = |would: &str, does: &str| {
        format!(
            "kept job/notes.txt: 4 bytes, none of esker's\n\
             kept job/shared/1/odd: 8 bytes, none of esker's\n\
             kept job/shared/2/4-0-new.run#1: 9 bytes, half-written, of generation 2, whose owner may need it: it \
             sweeps it itself\n\
             kept job/shared/2/4-0-new.run: 9 bytes, of generation 2, whose owner may need it: it sweeps it itself\n\
             {would} job/chk-1-1/_metadata: 16 bytes, condemned by record 5\n\
             {would} job/chk-4-1/_metadata: 15 bytes, of generation 1, and no retained checkpoint reaches it\n\
             {would} job/shared/1/4-0-half.run#2: 4 bytes, half-written, of generation 1, and no retained checkpoint \
             reaches it\n\
             {would} job/shared/1/4-0-lost.run: 4 bytes, of generation 1, and no retained checkpoint reaches it\n\
             job: generation 2, 2 retained: {does} 4 files, 39 bytes; kept 4 files, 30 bytes; needed {count} \
             files, {needed} bytes\n"
        )
    };
    // The order is that of names; here by what is done.
    let sorted = |out: &str| {
        let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
        let last = lines.pop().unwrap();
        lines.sort_by_key(|line| (!line.starts_with("kept"), line.clone()));
        lines.into_iter().chain([last]).map(|line| line + "\n").collect::<String>()
    };
    for url in ["job", "job/"] {
        let (code, out, err) = esker(folder.path(), &["gc", "--dry-run", url]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(sorted(&out), expected("would delete", "would delete"));
    }
    assert_eq!(files(&job), before, "a dry run deletes nothing");
    let (code, out, err) = esker(folder.path(), &["gc", "job"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(sorted(&out), expected("deleted", "deleted"));
    let left = files(&job);
    let gone = before.iter().filter(|path| !left.contains(path));
    let gone: Vec<_> =
        gone.map(|path| path.strip_prefix(&job).unwrap().to_str().unwrap()).collect();
    assert_eq!(gone, WENT);
    assert!(!job.join("chk-4-1").exists(), "an empty folder goes too");
    let (code, out, _) = esker(folder.path(), &["gc", "job"]);
    assert_eq!((code, out.lines().count()), (0, 5));
    let (code, _, err) = esker(folder.path(), &["verify", "--deep", "job"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn all_jobs_below_a_folder_are_looked_at_and_json_tells_the_same() {
    let (folder, _world) = made();
    let other = World::new(&folder.path().join("deep/other"));
    drop(other);
    let (code, out, err) = esker(folder.path(), &["gc", "--dry-run", "--json", "."]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0]["job"], "./deep/other");
    assert_eq!((&lines[0]["generation"], &lines[0]["retained"]), (&json!(1), &json!([])));
    let first = json!({
        "job": "./job", "file": "chk-1-1/_metadata", "bytes": 16, "halfWritten": false, "does": "wouldDelete",
        "why": "condemned", "record": 5, "generation": null,
    });
    assert_eq!(lines[1], first);
    let of = |does: &str, why: &str| {
        let is_it = |line: &&Value| line["does"] == does && line["why"] == why;
        lines.iter().filter(is_it).count()
    };
    assert_eq!(of("wouldDelete", "orphan"), 3);
    assert_eq!((of("kept", "owners"), of("kept", "foreign")), (2, 2));
    let last = lines.last().unwrap();
    assert_eq!(last["wouldDelete"], json!({"files": 4, "bytes": 39}));
    assert_eq!((&last["retained"], &last["unread"]), (&json!([2, 3]), &json!([])));
    assert_eq!(last["deleted"], json!({"files": 0, "bytes": 0}));
}

#[test]
fn what_was_written_lately_stays_and_a_rate_is_kept() {
    let (folder, _world) = made();
    let (code, out, _) = esker(folder.path(), &["gc", "job", "--older-than", "1h"]);
    assert_eq!(code, 0);
    let young = "kept job/chk-1-1/_metadata: 16 bytes, condemned by record 5; written lately\n";
    assert!(out.contains(young) && out.contains("deleted 0 files, 0 bytes"), "{out}");
    let (code, out, _) =
        esker(folder.path(), &["gc", "job", "--older-than", "0s", "--rate", "1GiB"]);
    assert!(code == 0 && out.contains("deleted 4 files, 39 bytes"), "{out}");
    for bad in [&["gc", "job", "--older-than", "5"][..], &["gc", "job", "--rate", "fast"]] {
        let (code, _, err) = esker(folder.path(), bad);
        assert!(code == 2 && err.contains("for '--"), "{err}");
    }
}

#[test]
fn while_a_retained_checkpoint_is_damaged_only_what_is_condemned_goes() {
    let (folder, _world) = made();
    put(&folder.path().join("job"), "chk-2-1/_metadata", "damaged");
    let (code, out, err) = esker(folder.path(), &["gc", "job"]);
    assert_eq!(code, 1, "{out}");
    assert!(err.starts_with("esker: damaged chk-2-1/_metadata: "), "{err}");
    let why = "of generation 1, and a retained checkpoint that cannot be read may reach it";
    assert!(out.contains(&format!("kept job/shared/1/4-0-lost.run: 4 bytes, {why}\n")), "{out}");
    // What is half-written is no file that anything could reach.
    assert!(out.contains("deleted 2 files, 20 bytes"), "{out}");
    let (_, out, _) = esker(folder.path(), &["gc", "--json", "job"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last["unread"], json!([2]));
}

#[test]
fn what_is_no_job_is_refused() {
    let (folder, _world) = made();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    put(&folder.path().join("bad"), "log/00000000000000000001", "no record");
    for (url, code, said) in [
        ("save", 1, "absent save: a snapshot, not a job's root"),
        ("job/chk-2-1", 1, "absent job/chk-2-1: a snapshot, not a job's root"),
        ("empty", 1, "absent empty: no job is below"),
        ("nowhere", 2, "unreadable nowhere: "),
        ("bad", 1, "damaged bad: "),
    ] {
        let (found, out, err) = esker(folder.path(), &["gc", "--dry-run", url]);
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {said}")), "{err}");
    }
    assert!(!folder.path().join("nowhere").exists());
}
