//! `esker rewrite` as its users meet it: what it says, what it leaves, and what becomes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::format::RelativeName;
use esker::snapshot::{OpenSnapshot, open_snapshot};
use esker::{Store, block_on};
use run::esker;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use world::*;

fn dumped(folder: &Path, name: &str) -> Vec<String> {
    let (code, out, err) = esker(folder, &["dump", "--sorted", name]);
    assert_eq!((code, err.as_str()), (0, ""), "{name}");
    out.lines().map(str::to_owned).collect()
}

/// The lines of the world with `change` made to each, or without it; sorted as a dump is.
fn changed(world: &World, change: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut lines: Vec<String> = world.lines.iter().filter_map(|line| change(line)).collect();
    lines.sort_unstable();
    lines
}

fn of(operator: &str, state: &str) -> String {
    format!(r#"{{"operator":"{operator}","state":"{state}","#)
}

fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, &[&["rewrite"], args].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

fn opened(folder: &Path) -> OpenSnapshot {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap()
}

#[test]
fn names_change_and_what_is_dropped_is_gone_whatever_the_source_is() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let expected = changed(&world, |line| {
        let dropped = [of(AIRPORTS, "names"), of(DELAYS, "late"), of(DELAYS, "offsets")];
        if dropped.iter().any(|of| line.starts_with(of)) {
            return None;
        }
        let line = line.replace(&of(DELAYS, "count"), &of("arrivals", "total"));
        let line = line.replace(&of(DELAYS, "total"), &of("arrivals", "count"));
        Some(line.replace(&of(DELAYS, ""), "").replace(r#""delays""#, r#""arrivals""#))
    });
    let steps = [
        "--rename-operator=delays=arrivals",
        "--rename-state=delays/count=total",
        "--rename-state=delays/total=count",
        "--drop-state=delays/late",
        "--drop-state=delays/offsets",
        "--drop-operator=airports",
    ];
    std::fs::write(
        folder.join("plan.toml"),
        "operator.airports.drop = true\n[operator.delays]\nrename = 'arrivals'\n\
         state.total.rename = 'count'\nstate.late.drop = true\n",
    )
    .unwrap();
    let mixed =
        ["--plan=plan.toml", "--rename-state=delays/count=total", "--drop-state=delays/offsets"];
    for (number, source) in ["job", "save", "job/chk-2-1", "job"].into_iter().enumerate() {
        let (target, steps) =
            (format!("new-{number}"), if number == 3 { &mixed[..] } else { &steps });
        ok(folder, &[&[source, &target], steps].concat());
        assert!(dumped(folder, &target) == expected, "{source}");
        let (code, out, _) = esker(folder, &["verify", "--deep", &target]);
        assert!(code == 0 && out.starts_with(&format!("ok {target} savepoint: ")), "{out}");
    }
    let (code, _, err) = esker(folder, &["copy", "new-0", "copied"]);
    assert_eq!(code, 0, "{err}");
    std::fs::remove_dir_all(folder.join("job")).unwrap();
    std::fs::remove_dir_all(folder.join("new-0")).unwrap();
    assert!(dumped(folder, "new-2") == expected, "links outlive their source");
    assert!(dumped(folder, "copied") == expected);
}

#[test]
fn what_is_said_tells_each_step_and_the_same_command_ends_what_was_begun() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let args =
        &["save", "new", "--drop-state", "delays/late", "--rename-operator", "airports=ports"];
    let counted = |operator: &str, state: &str| {
        let (code, out, _) = esker(folder, &["du", "--json", "save"]);
        assert_eq!(code, 0);
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let line = lines.into_iter().find(|l| l["operator"] == operator && l["state"] == state);
        let line = line.unwrap();
        let bytes = line["keyBytes"].as_u64().unwrap() + line["valueBytes"].as_u64().unwrap();
        (line["entries"].as_u64().unwrap(), bytes)
    };
    let ((names, names_bytes), (late, late_bytes)) =
        (counted(AIRPORTS, "names"), counted(DELAYS, "late"));
    assert_eq!((names, late), (40, 160));
    let steps = format!(
        "rename-operator airports to ports: 40 entries, {names_bytes} bytes\n\
         drop-state delays/late: 160 entries, {late_bytes} bytes\n"
    );
    let dry = [&args[..], &["--dry-run"]].concat();
    let rehearsed = ok(folder, &dry);
    assert!(!folder.join("new").exists());

    let said = ok(folder, args);
    let runs = opened(&folder.join("new")).files().len();
    let all = files(&folder.join("new"));
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    let all = format!("{} files, {bytes} bytes", all.len());
    assert_eq!(rehearsed, format!("{steps}would be new: checkpoint 2 of save: {all}\n"));
    let linked: u64 = opened(&folder.join("new")).files().values().sum();
    let written = all_but(folder, linked);
    let begin =
        format!("{steps}ok new: checkpoint 2 of save: linked {runs} files, {linked} bytes; ");
    assert_eq!(said, format!("{begin}written {written}; there already 0 files, 0 bytes\n"));
    let again = ok(folder, args);
    let begin = "ok new: checkpoint 2 of save: linked 0 files, 0 bytes; written 0 files, 0 bytes; ";
    assert_eq!(again, format!("{steps}{begin}there already {all}\n"));

    // One is gone, as after an interruption.
    let lost = opened(&folder.join("new")).runs()[0].file.to_string();
    std::fs::remove_file(folder.join("new").join(&lost)).unwrap();
    assert!(ok(folder, args).contains("linked 1 files, "));
    let lines = changed(&world, |line| {
        let line = line.replace(&of(AIRPORTS, "names"), &of("ports", "names"));
        (!line.starts_with(&of(DELAYS, "late"))).then_some(line)
    });
    assert!(dumped(folder, "new") == lines);
}

/// What is not linked of `new`, in words.
fn all_but(folder: &Path, linked: u64) -> String {
    let all = files(&folder.join("new"));
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    let runs = opened(&folder.join("new")).files().len();
    format!("{} files, {} bytes", all.len() - runs, bytes - linked)
}

#[test]
fn links_are_not_read_and_copies_are() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let step = "--rename-operator=airports=ports";
    ok(folder, &["save", "linked", step]);
    let said = ok(folder, &["save", "copied", step, "--copy"]);
    assert!(said.contains(": linked 0 files, 0 bytes; written "), "{said}");
    let links = |name: &str| -> Vec<u64> {
        let runs = opened(&folder.join(name)).files().into_keys().cloned().collect::<Vec<_>>();
        runs.iter()
            .map(|run| folder.join(name).join(run.as_str()).metadata().unwrap().nlink())
            .collect()
    };
    assert!(links("linked").iter().all(|links| *links == 2), "{:?}", links("linked"));
    assert!(links("copied").iter().all(|links| *links == 1));
    assert!(dumped(folder, "linked") == dumped(folder, "copied"));

    let run = opened(&folder.join("save")).runs()[0].file.to_string();
    let mut bytes = std::fs::read(folder.join("save").join(&run)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(folder.join("save").join(&run)).unwrap();
    std::fs::write(folder.join("save").join(&run), &bytes).unwrap();
    ok(folder, &["save", "damaged", step]);
    let (code, out, _) = esker(folder, &["verify", "damaged"]);
    assert!(code == 1 && out.contains(&run), "{out}");
    let (code, out, err) = esker(folder, &["rewrite", "save", "other", step, "--copy"]);
    let said = format!(
        "esker: damaged save: {run}: the file's digest is not the one that its part names it by\n"
    );
    assert_eq!((code, out.as_str(), err), (1, "", said));
    assert!(!folder.join("other/_metadata").exists());

    // Of another length, or not there at all, it is no file to link.
    bytes.pop();
    std::fs::write(folder.join("save").join(&run), &bytes).unwrap();
    let (code, _, err) = esker(folder, &["rewrite", "save", "short", step]);
    let len = bytes.len();
    let said = format!("esker: damaged save: {run}: {len} bytes, its part says {}\n", len + 1);
    assert_eq!((code, err), (1, said));
    std::fs::remove_file(folder.join("save").join(&run)).unwrap();
    let (code, _, err) = esker(folder, &["rewrite", "save", "lost", step]);
    assert!(code == 1 && err.contains(&format!("{run}: the file is missing")), "{err}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let has = r#"it has ["airports", "delays"]"#;
    let states = r#"it has ["count", "late", "routes", "total", "wake", "offsets"]"#;
    let both = "it is to be dropped, and something else is to be done to it";
    for (steps, reason) in [
        (&["--drop-operator=ports"][..], format!(r#"the snapshot has no operator "ports"; {has}"#)),
        (&["--drop-state=ports/x"], format!(r#"the snapshot has no operator "ports"; {has}"#)),
        (&["--rename-operator=a=b"], format!(r#"the snapshot has no operator "a"; {has}"#)),
        (
            &["--rename-state=delays/a=b"],
            format!(r#"operator=delays: it has no state "a"; {states}"#),
        ),
        (
            &["--rename-operator=delays=airports"],
            r#"two operators would be "airports": "airports" and "delays""#.to_owned(),
        ),
        (
            &["--rename-state=delays/count=late", "--rename-state=delays/late=wake"],
            r#"operator=delays: two states would be "wake": "late" and "wake""#.to_owned(),
        ),
        (
            &["--drop-operator=delays", "--rename-state=delays/count=x"],
            format!("operator=delays: {both}"),
        ),
        (
            &["--drop-state=delays/count", "--rename-state=delays/count=x"],
            format!("operator=delays: state=count: {both}"),
        ),
        (
            &["--rename-operator=delays="],
            "operator=delays: a new name has no characters".to_owned(),
        ),
        (
            &["--drop-operator=delays", "--drop-state=airports/names"],
            "the plan drops every state that the snapshot holds".to_owned(),
        ),
    ] {
        let said = format!("esker: refused save: {reason}\n");
        for more in [&[][..], &["--dry-run"]] {
            let args = [&["rewrite", "save", "new"], steps, more].concat();
            assert_eq!(esker(folder, &args), (1, String::new(), said.clone()), "{steps:?}");
            assert!(!folder.join("new").exists());
        }
    }
    std::fs::create_dir(folder.join("notes")).unwrap();
    std::fs::write(folder.join("notes/mine"), "mine").unwrap();
    let step = "--rename-operator=delays=x";
    for (target, reason) in [("notes", "the folder holds what is not of"), ("save", "lies there")] {
        let (code, out, err) = esker(folder, &["rewrite", "save", target, step]);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("esker: refused save: ") && err.contains(reason), "{err}");
    }
    std::fs::write(folder.join("empty.toml"), "[operator.delays]\n").unwrap();
    let (code, _, err) = esker(folder, &["rewrite", "save", "new", "--plan", "empty.toml"]);
    assert_eq!((code, err.as_str()), (1, "esker: refused save: the plan does nothing\n"));
}

#[test]
fn what_cannot_be_tried_is_told_apart() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    std::fs::write(folder.join("bad.toml"), "[operator.delays]\nrenam = 'x'\n").unwrap();
    for (args, code, reason) in [
        (
            &["save", "new", "--plan", "none.toml"][..],
            2,
            "unreadable save: none.toml: No such file",
        ),
        (
            &["save", "new", "--plan", "bad.toml"],
            2,
            "unreadable save: bad.toml: plan: TOML parse error",
        ),
        (&["save", "new", "--rename-state", "delays"], 2, "unreadable save: \"delays\" is not of"),
        (&["gone", "new", "--drop-state", "a/b"], 2, "unreadable gone: No such file or directory"),
        (
            &["save", "new", "--rename-operator=delays=a", "--rename-operator=delays=b"],
            2,
            "unreadable save: renamed twice: to \"a\" and to \"b\"",
        ),
        (
            &["job", "new", "--checkpoint", "9", "--drop-state=a/b"],
            1,
            "absent job: the job retains [1]",
        ),
    ] {
        let (found, out, err) = esker(folder, &[&["rewrite"], args].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
        assert!(!folder.join("new").exists(), "{args:?}");
    }
    let (code, out, err) = esker(folder, &["rewrite", "save", "new"]);
    assert!(code == 2 && out.is_empty() && err.contains("required"), "{err}");
}

#[test]
fn json_tells_steps_files_and_damage() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let rewrite = |args: &[&str]| {
        let args = [&["rewrite", "--json", "save", "new", "--drop-state=delays/wake"], args];
        let (code, out, err) = esker(folder, &args.concat());
        (code, serde_json::from_str::<Value>(&out).unwrap(), err)
    };
    let step = json!({
        "step": "drop-state", "operator": "delays", "state": "wake", "to": null,
        "what": null, "entries": 120, "bytes": 3460, "left": null, "leftBytes": null,
    });
    let (code, mut report, err) = rewrite(&["--dry-run"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let files = report["files"].take();
    let bytes = report["steps"][0]["bytes"].take();
    assert!(bytes.as_u64().unwrap() > 1000);
    let mut expected = json!({
        "source": "save", "target": "new", "status": "ok", "dryRun": true, "steps": [step],
        "job": "flights", "checkpoint": 1, "files": null, "linked": null, "written": null,
        "present": null, "damage": [],
    });
    expected["steps"][0]["bytes"] = Value::Null;
    assert_eq!(report, expected);
    let (code, report, _) = rewrite(&[]);
    assert_eq!((code, &report["files"], &report["dryRun"]), (0, &files, &json!(false)));
    let sum = |field: &str| -> u64 {
        ["linked", "written", "present"].iter().map(|of| report[of][field].as_u64().unwrap()).sum()
    };
    assert_eq!(
        (json!(sum("files")), json!(sum("bytes"))),
        (files["files"].clone(), files["bytes"].clone())
    );
    let (code, report, err) = rewrite(&["--drop-state=delays/none"]);
    assert_eq!((code, &report["status"], &report["files"]), (1, &json!("refused"), &Value::Null));
    assert!(report["damage"][0]["message"].as_str().unwrap().contains("no state"), "{err}");
}

#[test]
fn a_dropped_state_is_nobodys_and_its_blocks_are_not_read() {
    let (folder, world) = made(2);
    let folder = folder.path();
    ok(folder, &["job", "new", "--drop-state=delays/routes"]);
    let operator = opened(&folder.join("new")).manifest.operators[1].clone();
    assert_eq!((operator.uid.as_str(), &operator.dropped[..]), (DELAYS, &[3][..]));
    // A second drop adds to the first.
    ok(folder, &["new", "newer", "--drop-state=delays/late"]);
    let newer = opened(&folder.join("newer"));
    assert_eq!(newer.manifest.operators[1].dropped, [2, 3]);
    for name in ["new", "newer"] {
        for command in ["verify", "du", "inspect"] {
            let (code, out, err) = esker(folder, &[command, name]);
            assert_eq!((code, err.as_str()), (0, ""), "{out}");
            assert!(!out.contains("routes"), "{out}");
        }
    }
    let (code, _, err) =
        esker(folder, &["get", "new", "--operator", DELAYS, "--state", "routes", "\"carrier-1\""]);
    assert!(code == 1 && err.contains("has no state"), "{err}");

    // Damage in it alone harms no dump, and verify finds it.
    let runs: Vec<_> = newer.runs().into_iter().cloned().collect();
    let mut damaged = 0;
    for run in &runs {
        let path = folder.join("newer").join(run.file.as_str());
        let mut bytes = std::fs::read(&path).unwrap();
        let end = (run.index.offset + run.index.len_bytes) as usize;
        let index = bytes[run.index.offset as usize..end].to_vec();
        let reader = esker::format::run::RunReader::open(run.index, &index).unwrap();
        for (number, block) in reader.index().blocks.iter().enumerate() {
            let held = reader.index().block_holds(number);
            let is_dropped = |id: u32| id == 3 || id == 2;
            if held.into_iter().all(|(id, _)| is_dropped(id)) {
                bytes[block.offset as usize + 5] ^= 1;
                damaged += 1;
            }
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 5, "{damaged}");
    let lines = changed(&world, |line| {
        let dropped = [of(DELAYS, "late"), of(DELAYS, "routes")];
        (!dropped.iter().any(|of| line.starts_with(of))).then(|| line.to_owned())
    });
    assert!(dumped(folder, "newer") == lines);
    let (code, out, _) = esker(folder, &["verify", "newer"]);
    assert_eq!((code, out.lines().count() >= damaged), (1, true), "{out}");
}

#[test]
fn no_run_of_an_operator_stays_without_a_state_of_it() {
    let (folder, world) = made(1);
    let folder = folder.path();
    let keyed =
        ["count", "late", "routes", "total", "wake"].map(|s| format!("--drop-state=delays/{s}"));
    let args: Vec<&str> =
        ["save", "new"].into_iter().chain(keyed.iter().map(String::as_str)).collect();
    ok(folder, &args);
    let snapshot = opened(&folder.join("new"));
    let operator = &snapshot.manifest.operators[1];
    assert!(operator.key.is_none() && operator.states.len() == 1);
    assert!(snapshot.parts[1].iter().flatten().all(|part| part.runs.is_empty()));
    let lines = changed(&world, |line| {
        let is_kept = line.contains(r#""offsets""#) || line.contains(r#""airports""#);
        is_kept.then(|| line.to_owned())
    });
    assert!(dumped(folder, "new") == lines);
    ok(folder, &["new", "none", "--drop-state=delays/offsets"]);
    let operator = &opened(&folder.join("none")).manifest.operators[1];
    assert!(operator.states.is_empty() && operator.dropped.is_empty());
    let (code, out, _) = esker(folder, &["verify", "none"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_filter_leaves_what_its_expression_holds_of() {
    let (folder, world) = made(2);
    let folder = folder.path();
    let number = |line: &str| -> u64 {
        let line: Value = serde_json::from_str(line).unwrap();
        let key = line["key"].as_str().map(|key| key.trim_start_matches("carrier-").to_owned());
        key.map_or_else(|| line["key"].as_u64().unwrap(), |key| key.parse().unwrap())
    };
    let is_of = |line: &str, operator: &str, state: &str| line.starts_with(&of(operator, state));
    // Of each: which lines it is about, and which of those stay.
    type Holds<'a> = &'a dyn Fn(&str) -> Option<bool>;
    let of_state = |line: &str, state: &str| is_of(line, DELAYS, state).then_some(());
    let cases: [(&[&str], Holds<'_>); 9] = [
        (&["--filter=key == 'carrier-7' || key == 7"], &|line| {
            (!is_of(line, DELAYS, "offsets")).then(|| number(line) == 7)
        }),
        (&["--filter-state=delays/count=value > 50 && value < 90"], &|line| {
            of_state(line, "count")?;
            Some(number(line) > 50 && number(line) < 90)
        }),
        (&["--filter-state=delays/late=value.size() > 1"], &|line| {
            of_state(line, "late").map(|()| line.contains("flight \\\"1"))
        }),
        (&["--filter-state=delays/late=value.exists(flight, flight.contains('1'))"], &|line| {
            of_state(line, "late").map(|()| line.contains("flight \\\"1"))
        }),
        (&["--filter-state=delays/routes=userKey.startsWith('JFK')"], &|line| {
            of_state(line, "routes").map(|()| line.contains("\"userKey\":\"JFK"))
        }),
        (&["--filter-state=delays/total=ns == 1"], &|line| {
            of_state(line, "total").map(|()| line.contains("\"namespace\":1,"))
        }),
        (&["--filter-state=delays/wake=value % 2 == 0"], &|line| {
            of_state(line, "wake").map(|()| number(line) % 2 == 0)
        }),
        (&["--filter-state=delays/offsets=value > 0"], &|line| {
            of_state(line, "offsets").map(|()| !line.contains("\"value\":0}"))
        }),
        (
            &["--filter=ns == null && ttl == null", "--filter=true", "--drop-operator=airports"],
            &|line| {
                if is_of(line, AIRPORTS, "names") {
                    return Some(false);
                }
                (!is_of(line, DELAYS, "offsets")).then(|| line.contains("\"namespace\":null"))
            },
        ),
    ];
    for (number, (steps, holds)) in cases.into_iter().enumerate() {
        let target = format!("new-{number}");
        let source = if number % 2 == 0 { "job" } else { "save" };
        let said = ok(folder, &[&[source, &target], steps].concat());
        let expected = changed(&world, |line| holds(line).unwrap_or(true).then(|| line.to_owned()));
        assert!(dumped(folder, &target) == expected, "{steps:?}: {said}");
        assert!(expected.len() < world.lines.len(), "{steps:?}");
        let (code, out, _) = esker(folder, &["verify", "--deep", &target]);
        assert_eq!(code, 0, "{out}");
        // What is said of it beforehand is what came of it, and a second call finds it there.
        let lefts = |said: &str| -> Vec<String> {
            let steps = said.lines().filter(|line| line.starts_with("filter "));
            steps.map(str::to_owned).collect()
        };
        let rehearsed = ok(folder, &[&[source, "nowhere", "--dry-run"], steps].concat());
        assert!(!lefts(&said).is_empty() && lefts(&said) == lefts(&rehearsed), "{said}{rehearsed}");
        assert!(!folder.join("nowhere").exists());
        let again = ok(folder, &[&[source, &target], steps].concat());
        assert!(again.contains("linked 0 files, 0 bytes; written 0 files, 0 bytes; "), "{again}");
    }
    let lines = dumped(folder, "new-7");
    assert_eq!(lines.iter().filter(|line| line.contains("offsets")).count(), 3);
    // The operator without a filter is linked.
    let runs = opened(&folder.join("new-1")).parts[0][0].as_ref().unwrap().runs.clone();
    let links =
        |run: &RelativeName| folder.join("new-1").join(run.as_str()).metadata().unwrap().nlink();
    assert!(!runs.is_empty() && runs.iter().all(|run| links(&run.file) > 1));
}

#[test]
fn an_expression_that_does_not_fit_is_named_and_leaves_no_snapshot() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    for (step, reason) in [
        ("--filter=key ==", "operator=airports state=names: filter=\"key ==\": "),
        ("--filter-state=delays/count=value", "it gives uint, not true or false"),
        (
            "--filter-state=delays/count=true || nothing > 1",
            "it names {\"nothing\"}, and an entry has [\"key\", \"ns\", \"userKey\", \"value\", \"ttl\"] alone",
        ),
        ("--filter-state=delays/count=value.x > 1", "operator=delays: state=count key=\"carrier-"),
        ("--filter-state=delays/none=true", "operator=delays: it has no state \"none\""),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let (code, out, err) =
                esker(folder, &[&["rewrite", "save", "new", step], more].concat());
            assert_eq!((code, out.as_str()), (1, ""), "{step}");
            assert!(err.starts_with("esker: refused save: ") && err.contains(reason), "{err}");
            assert!(!folder.join("new/_metadata").exists());
        }
    }
    // Another one can follow.
    assert!(files(&folder.join("new")).is_empty());
    ok(folder, &["save", "new", "--filter=key != 'carrier-7'"]);
}
