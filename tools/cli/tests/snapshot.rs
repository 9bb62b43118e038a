//! Snapshots as the tool's users meet them: built by the library, read by the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::snapshot::open_snapshot;
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use world::*;

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
    for (name, code, reason) in [
        ("ftp://bucket/job", 2, "unreadable ftp://bucket/job: not a store"),
        ("save/parts", 1, "absent save/parts: neither a snapshot nor a job's root"),
        ("job/log/00000000000000000001", 1, "absent job/log/00000000000000000001: a snapshot is"),
    ] {
        let (found, out, err) = esker(folder.path(), &["dump", name]);
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
    }
}

#[test]
fn a_dump_goes_around_a_part_that_is_gone_and_stops_at_a_manifest_that_is_damaged() {
    let (folder, world) = made();
    let save = folder.path().join("save");
    for part in files(&save.join("parts")) {
        let good = std::fs::read(&part).unwrap();
        std::fs::remove_file(&part).unwrap();
        let (code, out, err) = esker(folder.path(), &["dump", "save"]);
        let name = part.strip_prefix(&save).unwrap().to_str().unwrap();
        assert!(
            code == 1 && err.contains(&format!("damaged {name}: the file is missing")),
            "{err}"
        );
        assert!(err.contains("; lost may be ") && err.contains(" key groups "), "{err}");
        let kept = out.lines().count();
        assert!(kept > 0 && kept < world.lines.len());
        assert!(out.lines().all(|line| world.lines.contains(line)));
        std::fs::write(&part, good).unwrap();
    }
    let manifest = save.join("_metadata");
    let mut bad = std::fs::read(&manifest).unwrap();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    std::fs::write(&manifest, bad).unwrap();
    for command in [
        &["dump"][..],
        &["inspect"],
        &["du"],
        &["get", "7", "--operator", AIRPORTS, "--state", "names"],
    ] {
        let args = [&command[..1], &["save"], &command[1..]].concat();
        let (code, out, err) = esker(folder.path(), &args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}");
        assert!(err.contains("damaged save: _metadata: metadata: the digest differs"), "{err}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (folder, _world) = made();
    for args in
        [&["dump", "job"][..], &["dump", "job", "--sorted"], &["dump", "job", "--format", "csv"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
        let child = command.args(args).current_dir(folder.path()).stdout(writer).output().unwrap();
        assert_eq!((child.status.code(), child.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
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

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn get_finds_what_dump_shows_under_each_key_and_nothing_else() {
    let (folder, world) = made();
    let lines: Vec<Value> =
        world.lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let args = |state| ["get", "job", "--operator", DELAYS, "--state", state];
    for key in ["carrier-3", "carrier-4", "carrier-119"] {
        for state in ["count", "late", "routes", "total", "wake"] {
            let expected: Vec<_> =
                lines.iter().filter(|line| line["state"] == state && line["key"] == key).collect();
            let (code, out, err) =
                esker(folder.path(), &[&args(state)[..], &[&format!("\"{key}\"")]].concat());
            assert_eq!(json_lines(&out).iter().collect::<Vec<_>>(), expected, "{state} {key}");
            assert_eq!((code, err.is_empty()), (i32::from(expected.is_empty()), code == 0));
        }
    }
    let total = [&args("total")[..], &["\"carrier-3\"", "--namespace", "1"]].concat();
    let (code, out, _) = esker(folder.path(), &total);
    assert_eq!((code, out.lines().count()), (0, 1));
    for (state, key, code, reason) in [
        ("count", "\"nobody\"", 1, "absent job: delays/count holds nothing under \"nobody\""),
        ("count", "carrier-3", 2, "KEY carrier-3: JSON: expected a string, found carrier-3"),
        ("count", "7", 2, "KEY 7: "),
        ("offsets", "7", 2, "offsets is operator-list, which has no keys"),
        ("x", "7", 1, "absent job: delays has no state \"x\"; it has "),
    ] {
        let (found, out, err) = esker(folder.path(), &[&args(state)[..], &[key]].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
    }
}

#[test]
fn get_reads_no_more_than_its_key_needs() {
    let (folder, world) = made();
    let save = folder.path().join("save");
    let runs = files(&save).into_iter().filter(|file| file.extension().is_some_and(|e| e == "run"));
    // The first block of each run is of states with low ids.
    for run in runs {
        let mut bad = std::fs::read(&run).unwrap();
        bad[40] ^= 1;
        std::fs::write(&run, bad).unwrap();
    }
    let (mut found, mut damaged) = (0, 0);
    for key in (0..120).step_by(7).map(|number| format!("\"carrier-{number}\"")) {
        let args = ["get", "save", "--operator", DELAYS, "--state", "late", &key];
        let (code, out, err) = esker(folder.path(), &args);
        match code {
            0 => assert!(world.lines.contains(out.trim_end()), "{out}"),
            _ => assert!(err.contains("run block: digest differs"), "{err}"),
        }
        found += i32::from(code == 0);
        damaged += code;
    }
    assert!(found > 10, "{found} found, {damaged} damaged");
    let args = ["get", "save", "--operator", AIRPORTS, "--state", "names", "7"];
    let (codes, errs): (Vec<_>, Vec<_>) = (0..40)
        .map(|code| {
            let code = code.to_string();
            let (code, _, err) = esker(folder.path(), &[&args[..6], &[&code]].concat());
            (code, err)
        })
        .unzip();
    assert!(codes.contains(&1) && codes.contains(&0), "{errs:?}");
}

#[test]
fn ls_shows_jobs_checkpoints_holds_and_savepoints() {
    let (folder, _world) = made();
    let (code, out, err) = esker(folder.path(), &["ls", ".", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let rows = json_lines(&out);
    let facts = |row: &Value| {
        let field = |name: &str| row[name].clone();
        json!([
            field("path"),
            field("kind"),
            field("checkpoint"),
            field("generation"),
            field("holds")
        ])
    };
    let facts: Vec<_> = rows.iter().map(facts).collect();
    let expected = [
        json!(["./job", "checkpoint", 1, 1, ["why"]]),
        json!(["./job", "checkpoint", 2, 1, []]),
        json!(["./save", "savepoint", 2, 1, []]),
    ];
    assert_eq!(facts, expected);
    assert_eq!(rows[1]["entries"], rows[2]["entries"]);
    assert!(rows[1]["runs"].as_u64() > rows[0]["runs"].as_u64());
    let (code, out, _) = esker(folder.path(), &["ls", "job"]);
    let last = "job: generation 1, last checkpoint 2, 2 retained, 0 files condemned";
    assert_eq!((code, out.lines().last()), (0, Some(last)));
    let (code, out, err) = esker(folder.path(), &["ls", "job/shared"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
}

#[test]
fn inspect_and_du_tell_operators_states_and_sizes() {
    let (folder, world) = made();
    let (code, out, err) = esker(folder.path(), &["inspect", "--json", "job", "save"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for (report, kind) in json_lines(&out).iter().zip(["checkpoint", "savepoint"]) {
        assert_eq!((&report["kind"], &report["status"]), (&json!(kind), &json!("ok")));
        let delays = &report["snapshot"]["operators"][1];
        assert_eq!((&delays["uid"], &delays["parallelism"]), (&json!(DELAYS), &json!(2)));
        let state = &delays["states"][3];
        assert_eq!(state["namespace"], json!({"codec": "ordered", "schema": "u32"}));
        assert_eq!((&state["kind"], &state["name"]), (&json!("reducing"), &json!("total")));
    }
    let (code, out, err) = esker(folder.path(), &["du", "--json", "save"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut entries = 0;
    for state in json_lines(&out) {
        entries += state["entries"].as_u64().unwrap();
        let sum = |name: &str| -> u64 {
            state[name].as_array().unwrap().iter().map(|pair| pair[1].as_u64().unwrap()).sum()
        };
        let bytes = state["keyBytes"].as_u64().unwrap() + state["valueBytes"].as_u64().unwrap();
        assert_eq!(sum("slices"), bytes, "{state}");
        assert_eq!(state["storedEntries"], json!(sum("keySizes")));
        assert_eq!(state["storedEntries"], json!(sum("valueSizes")));
    }
    // A list counts for each of its elements: forty have two.
    assert_eq!(entries, world.lines.len() as u64 + 40);
    let (code, out, _) = esker(folder.path(), &["du", "job"]);
    assert!(code == 0 && out.contains("delays/late") && out.contains(" times the mean"), "{out}");
}

#[test]
fn verify_says_what_is_damaged_as_text_and_as_json() {
    let (folder, _world) = made();
    let (code, out, err) = esker(folder.path(), &["verify", "job", "save"]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 4, ""), "{out}");
    let run = files(&folder.path().join("job/shared")).remove(0);
    let mut bad = std::fs::read(&run).unwrap();
    bad[30] ^= 1;
    std::fs::write(&run, bad).unwrap();
    let (code, out, err) = esker(folder.path(), &["verify", "--json", "job"]);
    assert_eq!((code, err.as_str()), (1, ""));
    let reports = json_lines(&out);
    let file = run.strip_prefix(folder.path().join("job")).unwrap().to_str().unwrap();
    let checkpoint = &reports[1];
    assert_eq!(
        (&checkpoint["status"], &checkpoint["kind"]),
        (&json!("damaged"), &json!("checkpoint"))
    );
    let damage = &checkpoint["damage"][0];
    assert_eq!((&damage["file"], &damage["status"]), (&json!(file), &json!("damaged")));
    let lost = &damage["lost"][0];
    assert!(lost["operator"].is_string() && lost["keyGroupFirst"].is_u64(), "{lost}");
    let (code, out, _) = esker(folder.path(), &["verify", "job"]);
    assert!(
        code == 1 && out.contains(&format!("damaged job/chk-1-1: {file}: run block: ")),
        "{out}"
    );
}

#[test]
fn verify_takes_urls_of_files_and_tells_of_checkpoints_newer_than_the_log() {
    let (folder, _world) = made();
    let run = files(&folder.path().join("job/shared")).remove(0);
    let url = format!("file://{}", run.to_str().unwrap());
    for command in ["verify", "inspect"] {
        let (code, out, err) = esker(folder.path(), &[command, &url]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
    }
    let (_, before, _) = esker(folder.path(), &["verify", "job"]);
    assert!(!before.contains("unpublished"), "{before}");
    // The record of the second checkpoint, and whatever came after it.
    let is_of_second = |path: &Path| std::fs::read_to_string(path).unwrap().contains("chk-2-1");
    let mut log = files(&folder.path().join("job/log"));
    log.sort();
    let at = log.iter().position(|path| is_of_second(path)).unwrap();
    log[at..].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (code, out, err) = esker(folder.path(), &["verify", "job"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("unpublished job/chk-2-1: "), "{out}");
    let (code, out, _) = esker(folder.path(), &["verify", "--json", "job"]);
    let reports = json_lines(&out);
    assert!(code == 0 && reports.iter().any(|report| report["kind"] == "unpublished"), "{out}");
}

#[test]
fn help_of_every_command_has_examples_and_json() {
    for command in ["ls", "inspect", "du", "get", "dump", "verify", "copy"] {
        let (code, out, _) = esker(Path::new("."), &[command, "--help"]);
        assert!(code == 0 && out.contains("Examples:") && out.contains("--json"), "{out}");
    }
}

#[test]
fn a_fallback_goes_to_the_newest_checkpoint_that_is_sound_and_names_the_others() {
    let (folder, _) = made();
    let get = ["get", "job", "\"carrier-1\"", "--operator", DELAYS, "--state", "routes"];
    let dump = |args: &[&str]| esker(folder.path(), &[&["dump", "--sorted", "job"], args].concat());
    let (_, first, _) = dump(&["--checkpoint", "1"]);
    let (_, last, _) = dump(&[]);
    assert_eq!(dump(&["--fallback"]), (0, last, String::new()));

    // The last one's newest run, which the first does not have.
    let of = |number: u64| {
        let store = Store::open(folder.path().join("job").to_str().unwrap()).unwrap();
        let name = format!("chk-{number}-1/_metadata").parse().unwrap();
        let snapshot = block_on(open_snapshot(&store, &name)).unwrap();
        snapshot.files().keys().map(|file| file.to_string()).collect::<Vec<_>>()
    };
    let old = of(1);
    let name = of(2).into_iter().find(|file| !old.contains(file)).unwrap();
    let run = folder.path().join("job").join(&name);
    let mut bad = std::fs::read(&run).unwrap();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&run, bad).unwrap();
    let (code, out, err) = dump(&["--fallback"]);
    assert_eq!((code, out), (0, first));
    assert!(
        err.starts_with("esker: skipped checkpoint 2: damaged") && err.contains(&name),
        "{err}"
    );
    let (code, out, err) = esker(folder.path(), &[&get[..], &["--fallback"]].concat());
    assert_eq!((code, out.lines().count()), (0, 2), "{err}");

    // Of files that both have, neither is sound.
    std::fs::remove_file(folder.path().join("job").join(&old[0])).unwrap();
    let (code, out, err) = dump(&["--fallback"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("checkpoint=2: ") && err.contains("checkpoint=1: "), "{err}");
    let (code, _, err) = esker(folder.path(), &["dump", "--fallback", "save"]);
    assert!(code == 1 && err.contains("name its root"), "{err}");
    let (code, _, _) = dump(&["--fallback", "--checkpoint", "1"]);
    assert_eq!(code, 2);
}
