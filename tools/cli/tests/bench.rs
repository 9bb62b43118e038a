//! `esker bench`: tiny runs, whose counts are known and whose figures mean nothing.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The backends of this build.
const BACKENDS: &[&str] = if cfg!(feature = "rocksdb") { &["heap", "rocksdb"] } else { &["heap"] };
const WORKLOADS: [&str; 5] = ["value", "list", "map", "window", "nexmark"];

/// Exit code, standard output and standard error.
fn bench(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let output = command.arg("bench").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const TINY: [&str; 8] =
    ["--entries", "300", "--operations", "2000", "--checkpoint-every", "500", "--memory", "16M"];

/// The object of a tiny run, and its text.
fn tiny(args: &[&str]) -> (Value, String) {
    let (code, out, err) = bench(&[&TINY[..], &["--json"], args].concat());
    assert_eq!(code, 0, "{err}");
    (serde_json::from_str(&out).unwrap(), out)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The calls of both phases together.
fn count(phases: &Value) -> u64 {
    ["quiet", "checkpoint"].iter().filter_map(|phase| phases[phase]["count"].as_u64()).sum()
}

#[test]
fn every_workload_runs_on_every_backend() {
    let workloads = WORKLOADS.join(",");
    let (report, _) = tiny(&["--workload", &workloads]);
    let runs = report["runs"].as_array().unwrap();
    let expected =
        WORKLOADS.iter().flat_map(|workload| BACKENDS.iter().map(move |b| (workload, b)));
    assert_eq!(runs.len(), WORKLOADS.len() * BACKENDS.len());
    for (run, (workload, backend)) in runs.iter().zip(expected) {
        let at = format!("{workload} on {backend}");
        assert_eq!((&run["workload"], &run["backend"]), (&(*workload).into(), &(*backend).into()));
        let operations = run["operations"].as_u64().unwrap();
        // A window fires several calls at once.
        assert!((2_000..4_000).contains(&operations), "{at}: {operations}");
        assert_eq!(count(&run["all"]), operations, "{at}");
        let calls = run["calls"].as_array().unwrap();
        assert_eq!(calls.iter().map(count).sum::<u64>(), operations, "{at}");
        let over_time = run["series"]["operations"].as_array().unwrap();
        let over_time: u64 = over_time.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(over_time, operations, "{at}");
        if *workload != "nexmark" {
            assert!(calls.iter().all(|call| count(call) > 0), "{at}: {calls:?}");
        }
        assert!(run["all"]["quiet"]["count"].as_u64().unwrap() >= 490, "{at}");

        let checkpoints = run["checkpoints"].as_array().unwrap();
        let busy: Vec<bool> = checkpoints.iter().map(|c| c["busy"].as_bool().unwrap()).collect();
        assert!((2..=4).contains(&busy.len()), "{at}: {busy:?}");
        assert!(busy[0] && !busy[busy.len() - 1], "{at}: {busy:?}");
        assert_eq!(checkpoints[0]["full"], true, "{at}");
        assert!(checkpoints.iter().all(|c| c["writtenBytes"].as_u64().unwrap() > 0), "{at}");

        let restore = &run["restore"];
        assert!(restore["entries"].as_u64().unwrap() > 0, "{at}");
        if *backend == "heap" {
            assert_eq!(restore["entries"], restore["entriesBefore"], "{at}");
            let expected = match *workload {
                "value" | "list" | "map" => 300,
                // Each key has a window open, and its timer.
                "window" => 600,
                _ => run["load"]["entries"].as_u64().unwrap().max(1),
            };
            assert_eq!(run["load"]["entries"], expected, "{at}");
            // What is read to its end is cleared: lists stay short, and windows that fired are gone.
            let entries = restore["entries"].as_u64().unwrap();
            let most =
                BTreeMap::from([("value", 300), ("list", 800), ("map", 300), ("window", 400)]);
            assert!(most.get(workload).is_none_or(|most| entries <= *most), "{at}: {entries}");
            assert_eq!(checkpoints[busy.len() - 1]["full"], false, "{at}");
        }
    }
}

/// Windows of ten seconds end with the hundred thousandth event.
#[test]
fn windows_of_nexmark_queries_fire() {
    let args = ["--workload", "nexmark", "--backend", "heap", "--checkpoint-every", "never"];
    let length = ["--entries", "99900", "--operations", "20000", "--json"];
    let (code, out, err) = bench(&[&args[..], &length].concat());
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let run = &report["runs"][0];
    for call in ["q4.take", "q4.add", "q5.take", "q8.take"] {
        let mut calls = run["calls"].as_array().unwrap().iter();
        let counts = calls.find(|found| found["name"] == call).map(count);
        assert!(counts.unwrap() > 0, "{call}");
    }
    assert_eq!(run["checkpoints"].as_array().unwrap().len(), 1);
    assert_eq!(run["all"]["checkpoint"], Value::Null);
}

#[test]
fn subtasks_share_the_work() {
    for workload in ["value", "nexmark"] {
        let (report, _) = tiny(&["--workload", workload, "--parallelism", "3"]);
        for run in report["runs"].as_array().unwrap() {
            assert!(run["operations"].as_u64().unwrap() >= 2_000, "{run}");
            if run["backend"] == "heap" {
                assert_eq!(run["restore"]["entries"], run["restore"]["entriesBefore"]);
            }
            if run["backend"] == "heap" && workload == "value" {
                assert_eq!(run["load"]["entries"], 300);
                assert_eq!(run["restore"]["entries"], 300);
            }
        }
    }
}

#[test]
fn the_object_has_one_shape() {
    let (report, _) = tiny(&["--backend", "heap", "--seed", "7"]);
    assert_eq!(keys(&report), ["esker", "machine", "runs", "settings", "version"]);
    assert_eq!(report["version"], 1);
    let machine =
        ["began", "memoryBytes", "optimized", "processor", "processors", "system", "timerNs"];
    assert_eq!(keys(&report["machine"]), machine);
    let settings = serde_json::json!({
        "entries": 300, "keySize": 16, "valueSize": 100, "distribution": "uniform", "readShare": 0.5,
        "checkpointEvery": {"operations": 500}, "length": {"operations": 2000}, "seed": 7,
        "parallelism": 1, "memory": 16 << 20,
    });
    assert_eq!(report["settings"], settings);
    let run = &report["runs"][0];
    let expected = [
        "all",
        "backend",
        "calls",
        "checkpoints",
        "load",
        "localBytes",
        "memory",
        "operations",
        "operationsPerSecond",
        "restore",
        "seconds",
        "series",
        "waitedSeconds",
        "workload",
    ];
    assert_eq!(keys(run), expected);
    let names: Vec<_> = run["calls"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["get", "update", "rmw"]);
    assert_eq!(keys(&run["calls"][0]), ["checkpoint", "name", "quiet"]);
    let latency = ["count", "curve", "maxNs", "meanNs", "p50Ns", "p90Ns", "p999Ns", "p99Ns"];
    assert_eq!(keys(&run["all"]["quiet"]), latency);
    let checkpoint = [
        "atSeconds",
        "busy",
        "captureSeconds",
        "checkpoint",
        "full",
        "referencedBytes",
        "totalSeconds",
        "writtenBytes",
    ];
    assert_eq!(keys(&run["checkpoints"][0]), checkpoint);
    assert_eq!(keys(&run["restore"]), ["entries", "entriesBefore", "seconds"]);
    if cfg!(target_os = "linux") {
        assert_eq!(keys(&run["memory"]), ["emptyBytes", "loadedBytes", "peakBytes"]);
    }
    assert_eq!(run["localBytes"], Value::Null);
}

#[test]
fn a_page_needs_no_other_file_and_a_run_is_like_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, html) = (path("run.json"), path("page.html"));
    let (mut report, text) = tiny(&["--workload", "value,window"]);
    fs::write(&json, text).unwrap();
    let args = ["--from", &json, "--compare", &json, "--html", &html];
    let (code, out, err) = bench(&args);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\nlatencies of window\n"), "{out}");
    assert!(!out.contains("NOT ALIKE"), "{out}");
    let ratios: Vec<_> =
        out.lines().skip_while(|line| !line.contains("new / old")).skip(2).collect();
    assert!(ratios.len() > 20 * BACKENDS.len(), "{out}");
    assert!(ratios.iter().all(|line| line.ends_with(" 1.00 |")), "{out}");

    let page = fs::read_to_string(&html).unwrap();
    assert!(!page.contains("http") && !page.contains("<script"), "{page}");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<svg").count(), 12, "six plots of each workload");
    for word in BACKENDS.iter().chain(&["<h2>value</h2>", "<h2>window</h2>", "new / old"]) {
        assert!(page.contains(word), "{word}");
    }

    // A run by other settings, and twice as slow.
    report["settings"]["valueSize"] = 7.into();
    let run = &mut report["runs"][0];
    run["restore"]["seconds"] = (run["restore"]["seconds"].as_f64().unwrap() * 2.0).into();
    let slow = path("slow.json");
    fs::write(&slow, report.to_string()).unwrap();
    let (code, out, _) = bench(&["--from", &slow, "--compare", &json]);
    assert_eq!(code, 0);
    assert!(out.contains("NOT ALIKE  setting valueSize: 100, now 7\n"), "{out}");
    let restore: Vec<_> = out.lines().filter(|line| line.contains("| restore  ")).collect();
    assert!(restore[0].ends_with(" 2.00 |") && restore[1].ends_with(" 1.00 |"), "{restore:?}");
}

#[test]
fn wrong_arguments_are_refused_before_anything_runs() {
    for (args, words) in [
        (&["--entries", "0"][..], "a number from 1 on"),
        (&["--entries", "many"], "a number from 1 on"),
        (&["--key-size", "7"], "8 to 1048576 bytes"),
        (&["--value-size", "0"], "1 to 1048576 bytes"),
        (&["--read-share", "1.5"], "a number from 0 to 1"),
        (&["--checkpoint-every", "often"], "or never"),
        (&["--seconds", "0"], "a number of seconds"),
        (&["--seconds", "1", "--operations", "5"], "cannot be used with"),
        (&["--memory", "0"], "a number of bytes"),
        (&["--parallelism", "0"], "1..=256"),
        (&["--workload", "sort"], "[possible values: value, list, map, window, nexmark]"),
        (&["--distribution", "normal"], "[possible values: uniform, zipf, sequential]"),
        (&["--from", "a.json", "--entries", "5"], "cannot be used with"),
        (&["--from", "no-such-file.json"], "bench: no-such-file.json: "),
    ] {
        let (code, out, err) = bench(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn figures_of_another_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.json");
    for (text, words) in [
        (r#"{"version": 2}"#, "version 2 of the figures, where this esker reads 1"),
        ("{}", "version none of the figures"),
        ("[", "new.json: "),
        (r#"{"version": 1}"#, "missing field"),
    ] {
        fs::write(&file, text).unwrap();
        for option in ["--from", "--compare"] {
            let (code, out, err) = bench(&[option, file.to_str().unwrap()]);
            assert_eq!((code, out.as_str()), (2, ""), "{text}: {err}");
            assert!(err.contains(words), "{text}: {err}");
        }
    }
}

#[test]
fn a_store_keeps_the_checkpoints_and_is_used_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let args = ["--backend", "heap", "--store", store.to_str().unwrap()];
    tiny(&args);
    let names = |folder: &Path| -> BTreeSet<_> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(&store), BTreeSet::from(["value-heap".to_owned()]));
    assert!(names(&store.join("value-heap")).contains("log"));
    let (code, out, err) = bench(&[&TINY[..], &args].concat());
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("choose another --store"), "{err}");
    let in_memory = ["--backend", "heap", "--store", "memory://"];
    (0..2).for_each(|_| drop(tiny(&in_memory)));
}

#[cfg(not(feature = "rocksdb"))]
#[test]
fn a_build_without_rocksdb_says_how_to_get_it() {
    let (code, out, err) = bench(&["--backend", "heap,rocksdb"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("cargo xtask rocksdb") && err.contains("--features rocksdb"), "{err}");
}
