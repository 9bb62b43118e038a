//! `esker merge` as its users meet it: what it says, what it leaves, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use world::*;

fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

/// The dump without operator state, which both halves have.
fn keyed(folder: &Path, name: &str) -> Vec<String> {
    let out = ok(folder, &["dump", "--sorted", name]);
    out.lines().filter(|line| !line.contains(r#""kind":"operator-"#)).map(str::to_owned).collect()
}

/// A job, and two snapshots, each with some of its keys.
fn halves() -> tempfile::TempDir {
    let (folder, _world) = made(2);
    let path = folder.path();
    let low = "type(key) == string ? key.endsWith('0') : key < 20u";
    ok(path, &["rewrite", "job", "low", "--filter", low]);
    ok(path, &["rewrite", "job", "high", "--filter", &format!("!({low})")]);
    for half in ["low", "high"] {
        assert!(!keyed(path, half).is_empty(), "{half}");
    }
    folder
}

#[test]
fn halves_become_one_and_what_is_said_tells_it() {
    let folder = halves();
    let folder = folder.path();
    let out = ok(folder, &["merge", "low", "high", "both"]);
    let said = "ok both: checkpoint 2 of low and high: ";
    assert!(out.starts_with(said) && out.ends_with("there already 0 files, 0 bytes\n"), "{out}");
    assert_eq!(keyed(folder, "both"), keyed(folder, "job"));
    ok(folder, &["verify", "--deep", "both"]);
    // The same again writes nothing.
    let again = ok(folder, &["merge", "low", "high", "both"]);
    assert!(again.contains(" entries: written 0 files, 0 bytes; there already "), "{again}");

    let (code, out, err) = esker(folder, &["merge", "--json", "low", "high", "more"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(report["sources"], json!(["low", "high"]));
    assert_eq!((&report["status"], &report["job"]), (&json!("ok"), &json!("flights")));
    assert_eq!((&report["of"], &report["damage"]), (&Value::Null, &json!([])));
    assert!(report["entries"].as_u64() > Some(0) && report["written"]["files"].as_u64() > Some(0));
}

#[test]
fn a_key_of_both_is_refused_by_name_unless_the_later_one_wins() {
    let folder = halves();
    let folder = folder.path();
    let (code, out, err) = esker(folder, &["merge", "job", "high", "both"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let said = "esker: refused both: operator=";
    assert!(err.starts_with(said) && err.contains(": snapshots 1 and 2 have it: "), "{err}");
    assert!(err.contains(" key="), "{err}");
    assert!(!folder.join("both/_metadata").exists());
    ok(folder, &["merge", "--later-wins", "job", "high", "both"]);
    assert_eq!(keyed(folder, "both"), keyed(folder, "job"));

    // Under another name nothing clashes, and both are there.
    ok(
        folder,
        &[
            "rewrite",
            "high",
            "other",
            "--rename-operator",
            "airports=ports",
            "--rename-operator",
            "delays=late",
        ],
    );
    ok(folder, &["merge", "job", "other", "all"]);
    let both = keyed(folder, "job").len() + keyed(folder, "other").len();
    assert_eq!(keyed(folder, "all").len(), both);
}

#[test]
fn what_cannot_be_read_is_told_by_its_folder() {
    let folder = halves();
    let folder = folder.path();
    let (code, out, err) = esker(folder, &["merge", "--json", "low", "nowhere", "both"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 2);
    assert_eq!((&report["status"], &report["of"]), (&json!("unreadable"), &json!("nowhere")));
    assert!(err.starts_with("esker: unreadable nowhere: "), "{err}");
    let (code, _, err) = esker(folder, &["merge", "low", "high", "low"]);
    assert!(code == 1 && err.starts_with("esker: refused low: "), "{err}");
    assert!(err.contains("a copy goes to another folder"), "{err}");
    let (code, _, err) = esker(folder, &["merge", "low", "high"]);
    assert!(code == 2 && err.contains("Usage: esker merge"), "{err}");
    // What is read while it merges is of a source too.
    let runs = std::fs::read_dir(folder.join("high")).unwrap().map(|entry| entry.unwrap().path());
    let mut runs: Vec<_> = runs.filter(|path| path.extension() == Some("run".as_ref())).collect();
    runs.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    let run = runs.pop().unwrap();
    let sound = std::fs::read(&run).unwrap();
    let mut bytes = sound.clone();
    bytes[20] ^= 1;
    std::fs::write(&run, bytes).unwrap();
    let (code, out, err) = esker(folder, &["merge", "--json", "low", "high", "both"]);
    let file = run.file_name().unwrap().to_str().unwrap();
    let said = format!("esker: damaged high: {file}: operator=");
    assert!(err.starts_with(&said) && err.contains(": snapshot 2: run block: digest"), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["status"], &report["of"]), (1, &json!("damaged"), &json!("high")));
    assert_eq!(report["damage"][0]["file"], json!(file));
    std::fs::write(&run, sound).unwrap();
    // Another merge does not go on with what is there, and neither can once both left something.
    let left = std::fs::read_dir(folder.join("both")).unwrap().count();
    assert!(left > 0);
    ok(folder, &["rewrite", "high", "other", "--rename-operator", "airports=ports"]);
    let (code, _, err) = esker(folder, &["merge", "low", "other", "both"]);
    assert!(code == 1 && err.starts_with("esker: refused both: "), "{err}");
    let said = " for one, and no manifest: it is left of a call for another one that was interrupted. If \
                none is under way there, delete the folder; or choose another\n";
    assert!(err.ends_with(said), "{err}");
    std::fs::remove_dir_all(folder.join("both")).unwrap();
    ok(folder, &["merge", "low", "high", "both"]);
    std::fs::remove_dir_all(folder.join("both")).unwrap();

    let part = std::fs::read_dir(folder.join("high/parts")).unwrap().next().unwrap().unwrap();
    std::fs::write(part.path(), b"esker").unwrap();
    let (code, _, err) = esker(folder, &["merge", "low", "high", "both"]);
    assert!(code == 1 && err.starts_with("esker: damaged high: parts/"), "{err}");
    assert!(!folder.join("both").exists());
}
