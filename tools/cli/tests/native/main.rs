//! Native checkpoints of RocksDB as the tool's users meet them.
#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod states;

use esker::backend::heap::HeapBackends;
use esker::backend::rocksdb::{Budget, RocksBackends, RocksOptions};
use esker::backend::{Backend, BackendFactory};
use esker::format::{KeyGroupRange, RelativeName};
use esker::snapshot::{SnapshotSettings, open_snapshot, read_manifest};
use esker::{ErrorKind, Store, block_on};
use serde_json::Value;
use states::Job;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code, standard output and standard error of `esker`, whose temporary files go to `tmp`.
fn esker(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let tmp = folder.join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let output = command.args(args).current_dir(folder).env("TMPDIR", &tmp).output().unwrap();
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0, "{args:?} leaves temporary files");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn backends(folder: &Path) -> RocksBackends {
    let options = RocksOptions::new(Budget::new(32 << 20));
    RocksBackends::new(folder.join("local"), options).unwrap()
}

/// A folder with `rocks`, a job of two native checkpoints, and `heap`, the savepoint of the same state.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut rocks = Job::new(&backends(folder.path()), &at("rocks"));
    let mut heap = Job::new(&HeapBackends, &at("job"));
    for round in 0..2 {
        rocks.change(round);
        heap.change(round);
        rocks.checkpoint();
    }
    heap.savepoint(&at("heap"));
    folder
}

/// The data files of the last checkpoint of `rocks`, by the names of their states.
fn data(folder: &Path) -> Vec<(String, PathBuf)> {
    let root = folder.join("rocks");
    let store = Store::open(root.to_str().unwrap()).unwrap();
    let name = RelativeName::new("chk-2-1/_metadata").unwrap();
    let snapshot = block_on(open_snapshot(&store, &name)).unwrap();
    let states = &snapshot.manifest.operators[0].states;
    let natives = snapshot.parts[0].iter().map(|part| part.as_ref().unwrap().native.as_ref());
    let files = natives.flat_map(|native| &native.unwrap().files);
    let found = files.filter_map(|file| {
        let (id, _) = file.holds?;
        let named = states.iter().find(|info| info.id == id).unwrap();
        Some((named.name.clone(), root.join(file.file.as_str())))
    });
    found.collect()
}

#[test]
fn a_dump_has_the_lines_of_a_savepoint_of_the_same_state() {
    let folder = made();
    for rest in [
        &[][..],
        &["--key-group", "10000..40000"],
        &["--state", "late"],
        &["--state", "wake"],
        &["--state", "seen"],
    ] {
        let dump = |name| {
            let args = [&["dump", "--sorted", name], rest].concat();
            let (code, out, err) = esker(folder.path(), &args);
            assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
            out
        };
        let (rocks, heap) = (dump("rocks"), dump("heap"));
        assert!(!heap.is_empty());
        assert!(rocks == heap, "{rest:?}");
    }
    // What had expired is there, or not, as its database has it; what had not is in any case.
    let (code, all, err) = esker(folder.path(), &["dump", "--include-expired", "rocks"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, live, _) = esker(folder.path(), &["dump", "rocks"]);
    assert!(live.lines().count() < all.lines().count());
    // In snapshot order, which a subtask's key groups are in.
    let (_, lines, _) = esker(folder.path(), &["dump", "--state", "wake", "rocks"]);
    let (_, heap, _) = esker(folder.path(), &["dump", "--state", "wake", "heap"]);
    assert!(lines == heap, "timers are in the order of runs");
    let (code, first, err) = esker(folder.path(), &["dump", "--checkpoint", "1", "rocks"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(first.lines().count() > 0 && first != live);
}

#[test]
fn a_diff_has_the_lines_that_the_dumps_differ_in() {
    let folder = made();
    let lines = |name: &str| {
        let (code, out, err) = esker(folder.path(), &["dump", "--sorted", name]);
        assert_eq!((code, err.as_str()), (0, ""));
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for (a, b) in [("rocks/chk-1-1", "heap"), ("heap", "rocks/chk-1-1"), ("rocks/chk-1-1", "rocks")]
    {
        let (of_a, of_b) = (lines(a), lines(b));
        let alone = |own: &[String], other: &[String], sign: char| {
            let alone = own.iter().filter(|line| other.binary_search(line).is_err());
            alone.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
        };
        let mut expected = [alone(&of_a, &of_b, '-'), alone(&of_b, &of_a, '+')].concat();
        expected.sort_unstable();
        let (code, out, err) = esker(folder.path(), &["diff", "--lines", a, b]);
        let mut found: Vec<_> = out.lines().map(str::to_owned).collect();
        found.sort_unstable();
        assert_eq!((code, err.as_str()), (1, ""));
        assert!(found == expected && !found.is_empty(), "{a} {b}");
    }
    for b in ["heap", "rocks"] {
        let found = esker(folder.path(), &["diff", "rocks", b]);
        assert_eq!(found, (0, "same: 9 states\n".to_owned(), String::new()));
    }
    // Of the same files none is fetched.
    data(folder.path()).into_iter().for_each(|(_, path)| std::fs::remove_file(path).unwrap());
    let found = esker(folder.path(), &["diff", "rocks", "rocks"]);
    assert_eq!(found, (0, "same: 9 states\n".to_owned(), String::new()));
}

#[test]
fn a_copy_has_its_files_its_lines_and_restores_at_any_place() {
    let folder = made();
    let (code, out, err) = esker(folder.path(), &["copy", "rocks", "copy"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    std::fs::remove_dir_all(folder.path().join("rocks")).unwrap();
    let (code, out, err) = esker(folder.path(), &["verify", "--deep", "copy"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (code, copy, err) = esker(folder.path(), &["dump", "--sorted", "copy"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, heap, _) = esker(folder.path(), &["dump", "--sorted", "heap"]);
    assert!(copy == heap && !copy.is_empty());

    let store = Store::open(folder.path().join("copy").to_str().unwrap()).unwrap();
    let name = RelativeName::new("_metadata").unwrap();
    let manifest = block_on(read_manifest(&store, &name, None)).unwrap();
    let operator = &manifest.operators[0];
    for range in [operator.range(0).unwrap(), KeyGroupRange::ALL] {
        let made = backends(folder.path()).make("flights", range, Some(operator));
        let mut backend = made.unwrap();
        states::States::open(&mut backend);
        let settings = SnapshotSettings::default();
        let restored = block_on(backend.restore(&store, &manifest, &settings)).unwrap();
        assert!(restored.entries > 0 && restored.chain.part.native.is_none());
    }
}

#[test]
fn states_of_a_database_are_renamed_and_dropped() {
    let folder = made();
    let (code, whole, _) = esker(folder.path(), &["dump", "--sorted", "heap"]);
    assert_eq!(code, 0);
    let filter = ["rewrite", "rocks", "new", "--filter=true"];
    let (code, out, err) = esker(folder.path(), &filter);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("operator=flights: its state is a database of rocksdb"), "{err}");
    assert!(!folder.path().join("new/_metadata").exists());
    let steps = [
        "--rename-operator=flights=new",
        "--rename-state=flights/count=n",
        "--drop-state=flights/late",
    ];
    let (code, _, err) = esker(folder.path(), &[&["rewrite", "rocks", "new"], &steps[..]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    std::fs::remove_dir_all(folder.path().join("rocks")).unwrap();
    let (code, found, err) = esker(folder.path(), &["dump", "--sorted", "new"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines = whole.lines().filter(|line| !line.contains(r#""state":"late""#));
    let lines = lines.map(|line| {
        let line = line.replace(r#""operator":"flights""#, r#""operator":"new""#);
        line.replace(r#""state":"count""#, r#""state":"n""#)
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    assert!(found.lines().eq(lines.iter().map(String::as_str)), "{found}");
    let (code, out, _) = esker(folder.path(), &["verify", "--deep", "new"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn get_reads_the_state_that_it_is_asked_for_and_no_other() {
    let folder = made();
    let get = |name: &str, state: &str, rest: &[&str]| {
        let args = [&["get", name, "--operator", "flights", "--state", state], rest].concat();
        esker(folder.path(), &args)
    };
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    for state in ["count", "late", "routes", "sum", "wake", "seen", "ttl-late", "ttl-routes"] {
        for rest in [&["7"][..], &["7", "--namespace", "1"]] {
            let (code, rocks, err) = get("rocks", state, rest);
            let (_, heap, _) = get("heap", state, rest);
            assert_eq!((code, err.as_str()), (0, ""), "{state} {rest:?}");
            assert_eq!(sorted(rocks), sorted(heap), "{state} {rest:?}");
        }
    }
    let (code, _, err) = get("rocks", "count", &["999999"]);
    assert!(code == 1 && err.contains("holds nothing under 999999"), "{err}");
    // Files of other states are not touched.
    for (name, path) in data(folder.path()) {
        if name != "count" && path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (code, out, err) = get("rocks", "count", &["7", "--namespace", "1"]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 1, ""));
    let (code, out, err) = get("rocks", "late", &["7"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("it holds state=late key groups") && err.contains("missing"), "{err}");
}

#[test]
fn a_flipped_byte_is_named_by_file_state_and_key_groups() {
    let folder = made();
    let (code, out, err) = esker(folder.path(), &["verify", "rocks"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (_, all, _) = esker(folder.path(), &["dump", "rocks"]);
    let data = data(folder.path());
    for (state, path) in data.iter().step_by(data.len().div_ceil(3)) {
        let sound = std::fs::read(path).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        std::fs::write(path, flipped).unwrap();
        let file = path.strip_prefix(folder.path().join("rocks")).unwrap().to_str().unwrap();
        let (code, out, _) = esker(folder.path(), &["verify", "rocks"]);
        assert_eq!(code, 1, "{out}");
        let lost = format!("flights/{state} key groups ");
        assert!(out.contains(file) && out.contains(&lost), "{out}");
        // All but that state, of that subtask, is dumped.
        let (code, out, err) = esker(folder.path(), &["dump", "rocks"]);
        assert_eq!(code, 1);
        assert!(err.contains(file) && err.contains(&format!("state={state} key groups ")), "{err}");
        assert!(err.contains(&lost), "{err}");
        let missing = all.lines().filter(|line| !out.lines().any(|found| found == *line));
        let of_state = format!(r#""state":"{state}""#);
        assert!(missing.inspect(|line| assert!(line.contains(&of_state))).count() > 0, "{state}");
        std::fs::write(path, sound).unwrap();
    }
}

#[test]
fn a_job_falls_back_where_a_byte_is_flipped() {
    let folder = made();
    let dump =
        |rest: &[&str]| esker(folder.path(), &[&["dump", "--sorted", "rocks"], rest].concat());
    let (_, first, _) = dump(&["--checkpoint", "1"]);
    // One that the first checkpoint does not have.
    let data = data(folder.path());
    let is_new = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("2-");
    let (state, path) = data.iter().find(|(_, path)| is_new(path)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let names = |text: &str| {
        let holds = format!("state={state} key groups ");
        assert!(text.contains(file) && text.contains(&holds), "{text}");
    };

    let url = folder.path().join("rocks").to_str().unwrap().to_owned();
    let refused = Job::restored(&backends(folder.path()), &url, false).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    names(&refused.to_string());
    let (code, out, err) = dump(&["--fallback"]);
    assert!(code == 0 && out == first && err.contains("skipped checkpoint 2: "), "{err}");
    assert!(err.contains(file) && err.contains(&format!("flights/{state} key groups")), "{err}");

    let mut job = Job::restored(&backends(folder.path()), &url, true).unwrap();
    let [(2, why)] = &job.skipped()[..] else { panic!("{:?}", job.skipped()) };
    names(why);
    let again = folder.path().join("again");
    job.savepoint(again.to_str().unwrap());
    let (code, out, err) = esker(folder.path(), &["dump", "--sorted", "again"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out == first, "as the first checkpoint has it");
    // It goes on, on the files of the one that was restored.
    job.change(1);
    job.checkpoint();
    assert_eq!(dump(&["--fallback"]).1, esker(folder.path(), &["dump", "--sorted", "heap"]).1);
}

#[test]
fn sizes_are_told_without_opening_the_database() {
    let folder = made();
    let (code, out, err) = esker(folder.path(), &["du", "--json", "rocks"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut file_bytes = 0;
    for line in out.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        assert!(report["fileBytes"].as_u64().unwrap() > 0, "{line}");
        assert!(report["entries"].as_u64().unwrap() > 0, "{line}");
        file_bytes += report["fileBytes"].as_u64().unwrap();
    }
    let data: std::collections::BTreeSet<_> =
        data(folder.path()).into_iter().map(|(_, path)| path).collect();
    let on_disk: u64 = data.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(file_bytes, on_disk);
    let (code, out, err) = esker(folder.path(), &["du", "rocks"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("file bytes"), "{out}");
}
