//! Snapshots as the tool's users meet them: built by the library, read by the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::path::Path;
use std::process::Command;
use world::*;

/// Exit code, standard output and standard error of `esker`.
fn esker(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let output = command.args(args).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with the job `job` of two checkpoints, the first one held, and the savepoint `save`.
fn made() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("job"));
    world.change(0);
    world.checkpoint();
    world.hold(1, "why");
    world.change(1);
    world.checkpoint();
    world.savepoint(&folder.path().join("save"));
    (folder, world)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_dump_holds_all_state_whatever_names_the_snapshot() {
    let (folder, world) = made();
    let expected: Vec<_> = world.lines.iter().map(String::as_str).collect();
    let url = format!("file://{}/save", folder.path().to_str().unwrap());
    for name in ["job", "job/chk-2-1", "job/chk-2-1/_metadata", "save", "save/_metadata", &url] {
        let (code, out, err) = esker(folder.path(), &["dump", name]);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        assert_eq!(sorted(&out), expected, "{name}");
        let (_, sorted, _) = esker(folder.path(), &["dump", name, "--sorted"]);
        assert_eq!(sorted.lines().collect::<Vec<_>>(), expected, "{name}");
    }
    let (code, first, _) = esker(folder.path(), &["dump", "job", "--checkpoint", "1"]);
    assert_eq!((code, first.lines().count()), (0, 120 * 6 + 4 + 40));
    let (code, out, err) = esker(folder.path(), &["dump", "job", "--checkpoint", "9"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let (code, out, err) = esker(folder.path(), &["dump", "jib"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(!folder.path().join("jib").exists());
}

#[test]
fn a_dump_leaves_out_what_is_not_asked_for() {
    let (folder, world) = made();
    let dump = |args: &[&str]| {
        let (code, out, err) = esker(folder.path(), &[&["dump", "job"], args].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        out
    };
    let with = |part: &str| -> Vec<&str> {
        world.lines.iter().map(String::as_str).filter(|line| line.contains(part)).collect()
    };
    assert_eq!(sorted(&dump(&["--operator", AIRPORTS])), with(r#""operator":"airports""#));
    assert_eq!(sorted(&dump(&["--state", "late"])), with(r#""state":"late""#));
    let keyed = world.lines.len() - with("operator-list").len();
    let halves =
        ["0..20000", "20001..65535"].map(|groups| dump(&["--key-group", groups]).lines().count());
    assert!(halves.iter().all(|half| *half > 0) && halves.iter().sum::<usize>() == keyed);
    let csv = dump(&["--format", "csv", "--state", "routes", "--sorted"]);
    let head = "operator,state,kind,key,namespace,userKey,value,ttl\n\
                delays,routes,map,\"\"\"carrier-0\"\"\",,\"\"\"ATL1\"\"\",1,\n";
    assert!(csv.starts_with(head), "{csv}");
    for args in [&["--operator", "x"][..], &["--state", "x"]] {
        let (code, out, err) = esker(folder.path(), &[&["dump", "job"], args].concat());
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains("\"x\"; it has"), "{err}");
    }
}

#[test]
fn a_dump_names_what_is_damaged_and_gives_the_rest() {
    let (folder, world) = made();
    let save = folder.path().join("save");
    let runs = files(&save).into_iter().filter(|file| file.extension().is_some_and(|e| e == "run"));
    for run in runs {
        let good = std::fs::read(&run).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        std::fs::write(&run, bad).unwrap();
        let (code, out, err) = esker(folder.path(), &["dump", "save"]);
        assert_eq!(code, 1, "{err}");
        let name = run.file_name().unwrap().to_str().unwrap();
        assert!(
            err.starts_with(&format!("esker: damaged {name}: run block: digest differs")),
            "{err}"
        );
        let lost: Vec<_> = world.lines.iter().filter(|line| !out.contains(line.as_str())).collect();
        assert!(!lost.is_empty() && lost.len() < 100);
        for line in lost {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let named = format!(
                "{}/{} key groups",
                line["operator"].as_str().unwrap(),
                line["state"].as_str().unwrap()
            );
            assert!(err.contains(&named), "{err}: {line}");
        }
        assert!(out.lines().all(|line| world.lines.contains(line)));
        std::fs::write(&run, good).unwrap();
    }
}
