//! `esker load` as its users meet it: what was dumped comes back, and what is wrong with lines is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::backend::KeyedState;
use esker::backend::heap::{ListState, ValueState};
use esker::backend::operator::OperatorBackend;
use esker::format::manifest::{
    Manifest, Operator, SnapshotKind, StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo,
};
use esker::format::{Bincode, CodecId, KeyGroupRange, Schema, ValueCodec};
use esker::processor::{OperatorSources, SubtaskSource, write_savepoint};
use esker::snapshot::{SnapshotSettings, Target, open_snapshot, read_operator_state, restore};
use esker::state::OperatorListDescriptor;
use esker::{Store, block_on};
use run::{esker, piped};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use world::*;

fn dumped(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, &[&["dump"], args].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    assert!(!out.is_empty());
    out
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn is_empty(folder: &Path) -> bool {
    !folder.exists() || files(folder).is_empty()
}

#[test]
fn what_was_dumped_comes_back_in_any_order_at_any_parallelism() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let first = dumped(folder, &["--sorted", "job", "--checkpoint", "1"]);
    let last = dumped(folder, &["--sorted", "job"]);
    for (number, (source, like, expected)) in [
        (&["job", "--checkpoint", "1"][..], &["--like", "job", "--checkpoint", "1"][..], &first),
        (&["job"], &["--like", "job"], &last),
        (&["save"], &["--like", "save"], &last),
    ]
    .into_iter()
    .enumerate()
    {
        for format in ["jsonl", "csv", "parquet"] {
            let args = [&["dump", "--format", format], source].concat();
            let (code, mut text, err) = piped(folder, &args, &[]);
            assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
            // In another order, where there is no head.
            if format == "jsonl" {
                let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
                lines.reverse();
                text = lines.concat();
            }
            std::fs::write(folder.join("lines"), text).unwrap();
            for parallelism in ["", "1", "2", "7"] {
                let target = format!("{number}-{format}-{parallelism}");
                let mut args = [&["load", "--format", format], like, &[&target, "lines"]].concat();
                if !parallelism.is_empty() {
                    args.extend(["--parallelism", parallelism]);
                }
                let (code, out, err) = esker(folder, &args);
                assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
                let count = expected.lines().count();
                let head = format!("ok {target}: checkpoint {} as ", usize::from(number > 0) + 1);
                let tail = format!(" has it: {count} lines, ");
                assert!(out.starts_with(&head) && out.contains(&tail), "{out}");
                assert!(dumped(folder, &["--sorted", &target]) == *expected, "{args:?}");
                let (code, out, err) = esker(folder, &["verify", "--deep", &target]);
                assert_eq!((code, err.as_str()), (0, ""), "{out}");
                assert!(out.starts_with(&format!("ok {target} savepoint: ")), "{out}");
                // Again, there is nothing left to do.
                let (code, out, err) = esker(folder, &args);
                assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
                assert!(out.contains(": written 0 files, 0 bytes; there already "), "{out}");
            }
        }
    }
    // The same lines in another order, the same bytes, but for operator state, which has an order.
    let lines = dumped(folder, &["save"]);
    let (of_operator, keyed): (Vec<&str>, Vec<&str>) =
        lines.split_inclusive('\n').partition(|line| line.contains("operator-list"));
    for (target, keyed) in [("one", keyed.clone()), ("two", keyed.into_iter().rev().collect())] {
        put(folder, "lines", &[of_operator.concat(), keyed.concat()].concat());
        let (code, _, err) = esker(folder, &["load", "--like", "save", target, "lines"]);
        assert_eq!(code, 0, "{err}");
    }
    let names = |target: &str| {
        let below = folder.join(target);
        let files = files(&below).into_iter();
        files
            .map(|file| {
                (file.strip_prefix(&below).unwrap().to_owned(), std::fs::read(file).unwrap())
            })
            .collect::<Vec<_>>()
    };
    assert!(names("one") == names("two"));
}

#[derive(Serialize, Deserialize)]
struct Everything {
    wide: (u128, i128, u64, i64),
    floats: (f32, f64),
    letter: char,
    flag: bool,
    nested: Option<Option<u8>>,
    unit: (),
    choice: Vec<Choice>,
    map: BTreeMap<u16, Option<String>>,
    set: BTreeSet<i8>,
    wrapped: Wrapped,
}

#[derive(Serialize, Deserialize)]
struct Wrapped(String);

#[derive(Serialize, Deserialize)]
enum Choice {
    None,
    One(u32),
    Two(u32, i32),
    Named { of: Box<Choice>, bytes: [u8; 2] },
}

fn ordered(schema: Schema) -> TypeInfo {
    TypeInfo { codec: CodecId::ORDERED, schema }
}

/// States of every kind, ids from 1 on; what they hold is `value`.
fn every_kind(value: &TypeInfo) -> Vec<StateInfo> {
    let state = |id: u32, name: &str, kind: StateKind, ttl: bool| StateInfo {
        id,
        name: name.into(),
        kind,
        namespace: ttl.then(|| ordered(Schema::Tuple(vec![Schema::I64, Schema::String]))),
        user_key: matches!(kind, StateKind::Map | StateKind::OperatorBroadcast)
            .then(|| ordered(Schema::Bytes)),
        value: Some(value.clone())
            .filter(|_| !matches!(kind, StateKind::TimerEvent | StateKind::TimerProcessing)),
        ttl: ttl.then_some(Ttl { duration_ms: Some(100), update: TtlUpdate::Write }),
        extra: Default::default(),
    };
    vec![
        state(1, "value", StateKind::Value, true),
        state(2, "list", StateKind::List, true),
        state(3, "map", StateKind::Map, true),
        state(4, "plain", StateKind::List, false),
        state(5, "reducing", StateKind::Reducing, false),
        state(6, "aggregating", StateKind::Aggregating, true),
        state(7, "event", StateKind::TimerEvent, false),
        state(8, "processing", StateKind::TimerProcessing, false),
        state(9, "split", StateKind::OperatorList, false),
        state(10, "union", StateKind::OperatorUnion, false),
        state(11, "broadcast", StateKind::OperatorBroadcast, false),
    ]
}

/// A savepoint that holds nothing, its subtasks captured at `times_ms`.
fn empty(folder: &Path, states: Vec<StateInfo>, times_ms: [i64; 2]) {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let source = |time_ms: i64| SubtaskSource {
        ttl_times_ms: states.iter().map(|state| (state.id, time_ms)).collect(),
        ..SubtaskSource::default()
    };
    let subtasks = times_ms.map(source).into();
    let key = Some(ordered(Schema::Tuple(vec![Schema::String, Schema::U8])));
    let (uid, parts, extra) = ("all".into(), Vec::new(), Default::default());
    let operator = Operator { uid, key, states, parts, dropped: Vec::new(), extra };
    let operator = OperatorSources { operator, subtasks };
    let (kind, operators) = (SnapshotKind::Savepoint, Vec::new());
    let (job, extra) = ("job".into(), Default::default());
    let manifest = Manifest { job, kind, checkpoint: 9, generation: 1, operators, extra };
    let settings = SnapshotSettings::default();
    block_on(write_savepoint(&store, manifest, vec![operator], &settings, &|_| {})).unwrap();
}

#[test]
fn every_kind_and_type_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let info = ValueCodec::<Everything>::info(&Bincode).unwrap();
    empty(&folder.join("like"), every_kind(&info), [1000, 950]);
    let value = |number: u32| {
        let wide = "[340282366920938463463374607431768211455,-170141183460469231731687303715884105728,\
                    18446744073709551615,-9223372036854775808]";
        let floats =
            [r#"["NaN","-Infinity"]"#, "[0.1,-0.0]", "[16777216.0,0.1]"][number as usize % 3];
        let nested = ["null", r#"{"some":null}"#, r#"{"some":7}"#][number as usize % 3];
        let choice =
            r#"["None",{"One":7},{"Two":[1,-1]},{"Named":{"of":{"One":2},"bytes":[1,2]}}]"#;
        let map = r#"[[1,null],[256,"é\n\u0001"]]"#;
        [
            format!(r#"{{"wide":{wide},"floats":{floats},"letter":"\"","flag":true"#),
            format!(r#""nested":{nested},"unit":null,"choice":{choice},"map":{map}"#),
            format!(r#""set":[1,{}],"wrapped":"😀 {number}"}}"#, 2 + number % 9),
        ]
        .join(",")
    };
    let mut lines = Vec::new();
    for number in 0..300 {
        let (v, w) = (value(number), value(number + 1));
        let key = format!(r#""key":["k\u0000{number}",{}],"#, number % 256);
        let window = format!(r#"{key}"namespace":[{},"w"],"#, i64::from(number) - 7);
        let plain = format!(r#"{key}"namespace":null,"#);
        let mut line = |state: &str, kind: &str, rest: String| {
            lines.push(format!(r#"{{"operator":"all","state":"{state}","kind":"{kind}",{rest}}}"#));
        };
        line("value", "value", format!(r#"{window}"value":{v},"ttl":901"#));
        line("list", "list", format!(r#"{window}"value":[{v},{w}],"ttl":[901,99999]"#));
        line(
            "map",
            "map",
            format!(r#"{window}"userKey":"00ff{:02x}","value":{v},"ttl":950"#, number % 256),
        );
        line("plain", "list", format!(r#"{plain}"value":[{v},{w}]"#));
        line("reducing", "reducing", format!(r#"{plain}"value":{v}"#));
        line("aggregating", "aggregating", format!(r#"{window}"value":{v},"ttl":901"#));
        line("event", "timer-event", format!(r#"{plain}"value":{}"#, i64::from(number) - 100));
        line("processing", "timer-processing", format!(r#"{plain}"value":{}"#, i64::MAX));
        line("split", "operator-list", format!(r#""value":{v}"#));
        line("union", "operator-union", format!(r#""value":{v}"#));
        for _ in 0..2 {
            let entry = format!(r#""userKey":"{number:08x}","value":{v}"#);
            line("broadcast", "operator-broadcast", entry);
        }
    }
    lines.sort_unstable();
    let expected = lines.join("\n") + "\n";
    // What had expired when the snapshot was taken stays out of sight; it is loaded all the same.
    let late = expected.lines().next().unwrap().replace("\"ttl\":901", "\"ttl\":850");
    let late = late.replace("[\"k\\u00000", "[\"late");
    assert!(late.contains("late") && late.contains(":850"), "{late}");
    put(folder, "lines", &format!("{late}\n{expected}"));
    for (number, format) in ["jsonl", "csv", "parquet", "jsonl"].iter().enumerate() {
        let target = format!("new-{number}");
        let args = ["load", "--like", "like", "--format", format, &target, "lines"];
        let (code, out, err) = esker(folder, &args);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let shown = dumped(folder, &["--sorted", &target]);
        let differs = shown.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert!(shown == expected, "{differs:?}");
        let all = dumped(folder, &["--include-expired", &target]);
        assert!(number > 0 || all.lines().count() == expected.lines().count() + 1);
        let (code, out, err) = esker(folder, &["verify", "--deep", &target]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        // For the next round, in the other format.
        let next = ["csv", "parquet"].get(number).unwrap_or(&"jsonl");
        let (code, text, err) = piped(folder, &["dump", "--format", next, &target], &[]);
        assert_eq!((code, err.as_str()), (0, ""));
        std::fs::write(folder.join("lines"), text).unwrap();
    }

    // What shows at the time of its part does so in whatever part it comes into.
    let values = expected.lines().filter(|line| line.contains(r#""kind":"value""#));
    let values: Vec<String> = values.map(|line| line.replace(":901", ":880") + "\n").collect();
    put(folder, "lines", &values.concat());
    for (target, parallelism) in [("parts", "2"), ("single", "1"), ("many", "9")] {
        let args = ["load", "--like", "like", "--parallelism", parallelism, target, "lines"];
        let (code, _, err) = esker(folder, &args);
        assert_eq!((code, err.as_str()), (0, ""));
        let shown = dumped(folder, &["--sorted", target]);
        assert!((100..200).contains(&shown.lines().count()), "those of the second part");
        assert!(
            target == "parts" || shown == std::fs::read_to_string(folder.join("lines")).unwrap()
        );
        put(folder, "lines", &shown);
    }

    // Of broadcast state, lines may say the same of a key, but not two things.
    let line = expected.lines().find(|line| line.contains("operator-broadcast")).unwrap();
    put(folder, "lines", &format!("{line}\n{}\n", line.replace("true", "false")));
    let (code, _, err) = esker(folder, &["load", "--like", "like", "two", "lines"]);
    assert!(code == 1 && err.contains("line 1 and 2: all/broadcast: these lines"), "{err}");
}

#[test]
fn a_loaded_savepoint_restores() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    put(folder, "lines", &dumped(folder, &["job"]));
    let (code, _, err) =
        esker(folder, &["load", "--like", "job", "new", "lines", "--parallelism", "3"]);
    assert_eq!(code, 0, "{err}");
    let store = Store::open(folder.join("new").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap();
    assert_eq!(snapshot.manifest.kind, SnapshotKind::Savepoint);
    let (range, settings) = (KeyGroupRange::ALL, SnapshotSettings::default());
    let mut names = ValueState::<u32, (), String>::new(1, range, Bincode).unwrap();
    let state: &mut dyn KeyedState = &mut names;
    let mut targets = [Target { stored: snapshot.manifest.operators[0].states[0].clone(), state }];
    block_on(restore(&store, &snapshot.manifest, AIRPORTS, range, &mut targets, &settings))
        .unwrap();
    assert_eq!(names.get(&7, &()).unwrap().unwrap().as_str(), "airport 7, 1\n");
    let mut late = ListState::<String, (), String>::new(2, range, Bincode).unwrap();
    let state: &mut dyn KeyedState = &mut late;
    let mut targets = [Target { stored: snapshot.manifest.operators[1].states[1].clone(), state }];
    block_on(restore(&store, &snapshot.manifest, DELAYS, range, &mut targets, &settings)).unwrap();
    let elements = late.get(&"carrier-3".to_owned(), &()).unwrap();
    assert_eq!(elements, ["flight \"0\"", "flight \"1\""]);

    // Four elements, dealt out to three subtasks: a restore on one has all of them.
    let operator = &snapshot.manifest.operators[1];
    let held: Vec<_> = snapshot.parts[1]
        .iter()
        .map(|part| part.as_ref().unwrap().operator_run.as_ref().map_or(0, |run| run.entries))
        .collect();
    assert_eq!(held, [2, 1, 1]);
    let elements = block_on(read_operator_state(&store, operator)).unwrap();
    let mut backend = OperatorBackend::restoring(operator);
    let offsets = backend.open(OperatorListDescriptor::<u64>::split("offsets")).unwrap();
    backend.restore(&elements, 0, 1).unwrap();
    let mut found: Vec<u64> = backend.state(offsets).unwrap().get().to_vec();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 10, 11]);
}

#[test]
fn lines_that_do_not_fit_are_told_by_number_and_place_and_nothing_is_written() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let good = r#"{"operator":"delays","state":"count","kind":"value","key":"a","namespace":null,"value":7}"#;
    let head = r#"{"operator":"delays","state":"#;
    for (line, reason) in [
        ("{", ", column 1: JSON: EOF while parsing an object"),
        (
            "7",
            ", column 1: JSON: invalid type: integer `7`, expected an object with operator, state, kind",
        ),
        (&format!("{good} x"), ", column 91: JSON: trailing characters"),
        (
            r#"{"operator":"delay","state":"count","kind":"value","value":7}"#,
            r#": delay/count: there is no such operator; they are ["airports", "delays"]"#,
        ),
        (
            &format!(r#"{head}"coun","kind":"value"}}"#),
            ": delays/coun: the operator has no such state; it has [\"count\", \"late\"",
        ),
        (
            &format!(r#"{head}"count","kind":"map","key":"a","value":7}}"#),
            ": delays/count: kind: expected value, found map",
        ),
        (
            &format!(r#"{head}"count","kind":"value","key":"a","value":-7}}"#),
            ", column 71: delays/count: value: expected u64, 0 to 18446744073709551615, found -7",
        ),
        (
            &format!(r#"{head}"late","kind":"list","key":"a","value":["x", 7]}}"#),
            ", column 75: delays/late: value[1]: expected a string, found 7]",
        ),
        (
            &format!(r#"{head}"total","kind":"reducing","key":"a","value":7}}"#),
            ": delays/total: namespace: is missing",
        ),
        (
            &format!(r#"{head}"count","kind":"value","key":"a","value":7,"ttl":5}}"#),
            ", column 79: delays/count: ttl: the state has none: leave it out",
        ),
    ] {
        put(folder, "lines", &format!("{good}\n\n{line}\n"));
        let (code, out, err) = esker(folder, &["load", "--like", "save", "new", "lines"]);
        let start = format!("esker: refused lines: line 3{reason}");
        assert!((code, out.as_str()) == (1, "") && err.starts_with(&start), "{line}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(is_empty(&folder.join("new")), "{line}");
    }
    std::fs::write(folder.join("lines"), [good.as_bytes(), b"\n\"\xff\"\n"].concat()).unwrap();
    let (code, _, err) = esker(folder, &["load", "--like", "save", "new", "lines"]);
    assert_eq!(
        (code, err.as_str()),
        (1, "esker: refused lines: line 2, column 2: no text in UTF-8\n")
    );

    // Ten of many, and then no more.
    put(folder, "lines", &"{}\n".repeat(50));
    let (code, _, err) = esker(folder, &["load", "--like", "save", "new", "lines"]);
    assert_eq!((code, err.lines().count()), (1, 10), "{err}");
    assert!(err.contains("line 10, column 2: JSON: missing field `operator`"), "{err}");

    // What is said twice.
    let offsets = r#"{"operator":"delays","state":"offsets","kind":"operator-list","value":5}"#;
    let other = good.replace("7}", "8}");
    put(folder, "lines", &format!("{good}\n{offsets}\n{offsets}\n{other}\n{good}\n"));
    let (code, out, err) = esker(folder, &["load", "--json", "--like", "save", "new", "lines"]);
    let message = "delays/count: these lines are of one key: leave all but one out";
    assert_eq!((code, err), (1, format!("esker: refused lines: line 1 and 4 and 5: {message}\n")));
    let report: Value = serde_json::from_str(&out).unwrap();
    let expected = json!({
        "like": "save", "schema": null, "target": "new", "status": "refused", "job": null, "checkpoint": null,
        "lines": null, "entries": null, "written": null, "present": null, "damage": [],
        "problems": [{"lines": [1, 4, 5], "column": null, "message": message}],
    });
    assert_eq!(report, expected);
    assert!(is_empty(&folder.join("new")));
}

#[test]
fn rows_that_do_not_fit_are_told_by_line() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let head = "operator,state,kind,key,namespace,userKey,value,ttl\n";
    let good = "delays,count,value,\"\"\"a\nb\"\"\",,,7,\n";
    for (text, reason) in [
        ("a,b\n".to_owned(), "line 1: the first row names the columns: operator,state,kind,"),
        (format!("{head}delays,count\n"), "line 2: 2 cells, not 8"),
        (
            format!("{head}delays,count,value,a,,,7,\n"),
            "line 2: delays/count: key: expected a string, found a",
        ),
        (
            format!("{head}delays,late,list,\"\"\"a\"\"\",,,,\ndelays,count,value,,,,7,\n"),
            "line 2: delays/late: value: expected an array, found null",
        ),
    ] {
        put(folder, "rows", &text);
        let (code, out, err) =
            esker(folder, &["load", "--format", "csv", "--like", "save", "new", "rows"]);
        let start = format!("esker: refused rows: {reason}");
        assert!((code, out.as_str()) == (1, "") && err.starts_with(&start), "{text}: {err}");
        assert!(is_empty(&folder.join("new")));
    }
    // A line end within a cell is escaped in JSON.
    put(folder, "rows", &format!("{head}{good}"));
    let (code, _, err) =
        esker(folder, &["load", "--format", "csv", "--like", "save", "new", "rows"]);
    assert!(code == 1 && err.contains("line 2: delays/count: key: a control character"), "{err}");
    put(folder, "rows", &format!("{head}{}", good.replace("a\nb", "a\\nb")));
    let (code, out, err) =
        esker(folder, &["load", "--format", "csv", "--like", "save", "new", "rows"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let line = r#"{"operator":"delays","state":"count","kind":"value","key":"a\nb","namespace":null,"value":7}"#;
    assert_eq!(dumped(folder, &["new"]), format!("{line}\n"));
}

#[test]
fn a_folder_that_holds_something_else_is_refused_and_no_lines_make_an_empty_savepoint() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    put(folder, "lines", "");
    let load = |args: &[&str]| esker(folder, &[&["load", "--like", "save"], args].concat());
    let (code, out, err) = load(&["--json", "new", "lines"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let written = json!({
        "files": files(&folder.join("new")).len(),
        "bytes": files(&folder.join("new")).iter().map(|f| f.metadata().unwrap().len()).sum::<u64>(),
    });
    let expected = json!({
        "like": "save", "schema": null, "target": "new", "status": "ok", "job": "flights", "checkpoint": 1,
        "lines": 0, "entries": 0, "written": written, "present": {"files": 0, "bytes": 0},
        "problems": [], "damage": [],
    });
    assert_eq!((code, report, err.as_str()), (0, expected, ""));
    let (code, out, _) = esker(folder, &["dump", "new"]);
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, out, _) = esker(folder, &["verify", "--deep", "new"]);
    assert_eq!(code, 0, "{out}");

    put(folder, "lines", &dumped(folder, &["save"]));
    let before = files(&folder.join("new"));
    let (code, out, err) = load(&["new", "lines"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("esker: refused new: ") && err.contains("another snapshot"), "{err}");
    assert_eq!(files(&folder.join("new")), before);
    std::fs::create_dir(folder.join("mine")).unwrap();
    put(folder, "mine/notes", "mine");
    let (code, _, err) = load(&["mine", "lines"]);
    assert!(code == 1 && err.contains("what is not of this savepoint, notes for one"), "{err}");
    assert_eq!(files(&folder.join("mine")).len(), 1);

    for (args, code, reason) in [
        (["load", "--like", "save", "x", "nowhere"], 2, "esker: unreadable nowhere: No such file"),
        (["load", "--like", "nowhere", "x", "lines"], 2, "esker: unreadable nowhere: "),
        (["load", "--like", "mine", "x", "lines"], 1, "esker: absent mine: neither a snapshot"),
    ] {
        let (found, out, err) = esker(folder, &args);
        assert!((found, out.as_str()) == (code, "") && err.starts_with(reason), "{err}");
        assert!(is_empty(&folder.join("x")));
    }
    let (code, _, err) = load(&["--parallelism", "0", "x", "lines"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_schema_file_will_do_in_the_place_of_a_snapshot() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let (code, schema, _) = esker(folder, &["schema", "save"]);
    assert_eq!(code, 0);
    put(folder, "schema.json", &schema);
    put(folder, "lines", &dumped(folder, &["save"]));
    let load = |args: &[&str]| esker(folder, &[&["load", "--schema"], args].concat());
    let (code, out, err) = load(&["schema.json", "new", "lines"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let start = "ok new: checkpoint 1 of loaded, states as in schema.json: ";
    assert!(out.starts_with(start), "{out}");
    assert_eq!(dumped(folder, &["--sorted", "new"]), dumped(folder, &["--sorted", "save"]));
    let (code, out, _) = esker(folder, &["verify", "new"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(esker(folder, &["schema", "new"]).1, schema);
    // The ids of states are those that a program gives them.
    let manifest = |name: &str| {
        let store = Store::open(folder.join(name).to_str().unwrap()).unwrap();
        block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap().manifest
    };
    let made = manifest("new");
    assert!(made.operators.iter().all(|operator| operator.parts.len() == 1));
    for operator in &made.operators {
        let file = esker::format::schema_file::OperatorSchema::of(operator);
        assert_eq!(operator.states, esker::state::state_infos(&file));
    }
    let args = ["schema.json", "--job", "flights", "--parallelism", "3", "--json", "more", "lines"];
    let (code, out, _) = load(&args);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["like"], &report["schema"]),
        (0, &json!(null), &json!("schema.json"))
    );
    assert_eq!((&report["job"], &report["checkpoint"]), (&json!("flights"), &json!(1)));
    assert_eq!(manifest("more").operators[1].parts.len(), 3);

    put(folder, "bad.json", &schema.replace("\"uid\"", "\"uidd\""));
    put(folder, "newer.json", &schema.replace("\"esker-schema\": 1", "\"esker-schema\": 2"));
    std::fs::write(folder.join("binary.json"), [0xff, 0xfe]).unwrap();
    for (schema, code, reason) in [
        ("nowhere", 2, "unreadable nowhere: No such file"),
        ("bad.json", 1, "refused bad.json: schema file: unknown field `uidd`"),
        ("newer.json", 1, "refused newer.json: schema file: version=2 is newer than"),
        ("binary.json", 1, "refused binary.json: schema file: no text in UTF-8, from byte 1 on"),
        ("lines", 1, "refused lines: schema file: "),
    ] {
        let (found, out, err) = load(&[schema, "none", "lines"]);
        assert_eq!((found, out.as_str()), (code, ""), "{schema}: {err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
        assert!(!folder.join("none").exists());
    }
    for args in [
        &["load", "none", "lines"][..],
        &["load", "--like", "save", "--schema", "schema.json", "none", "lines"],
        &["load", "--schema", "schema.json", "--checkpoint", "1", "none", "lines"],
        &["load", "--like", "save", "--job", "flights", "none", "lines"],
    ] {
        let (code, out, err) = esker(folder, args);
        assert!((code, out.as_str()) == (2, "") && !err.is_empty(), "{args:?}: {err}");
    }
}

#[test]
fn without_a_snapshot_the_latest_line_says_when_states_were_captured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    empty(&folder.join("like"), every_kind(&ordered(Schema::U8)), [1000, 950]);
    put(folder, "schema.json", &esker(folder, &["schema", "like"]).1);
    let line = |state: &str, kind: &str, key: u32, rest: &str| {
        let head =
            format!(r#"{{"operator":"all","state":"{state}","kind":"{kind}","key":["k",{key}]"#);
        format!(r#"{head},"namespace":[0,""],{rest}}}"#) + "\n"
    };
    // An entry lives for 100 ms; what is of another state is no matter.
    let shown = [
        line("list", "list", 1, r#""value":[1],"ttl":[5000]"#),
        line("value", "value", 1, r#""value":1,"ttl":300"#),
        line("value", "value", 2, r#""value":1,"ttl":201"#),
    ];
    let lists = line("list", "list", 2, r#""value":[1,2],"ttl":[ 4900 , 4901 ]"#);
    let hidden = line("value", "value", 3, r#""value":1,"ttl":200"#);
    put(folder, "lines", &[shown.concat(), lists, hidden].concat());
    let (code, _, err) = esker(folder, &["load", "--schema", "schema.json", "new", "lines"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let list = line("list", "list", 2, r#""value":[2],"ttl":[4901]"#);
    let mut expected: Vec<String> = shown.into_iter().chain([list]).collect();
    expected.sort_unstable();
    assert_eq!(dumped(folder, &["--sorted", "new"]), expected.concat());
    let all = dumped(folder, &["--include-expired", "new"]);
    assert_eq!(all.lines().count(), 5);
}

#[test]
fn a_key_that_is_too_long_is_told_by_its_line() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let line = |key: &str| {
        format!(
            r#"{{"operator":"delays","state":"count","kind":"value","key":"{key}","namespace":null,"value":7}}"#
        ) + "\n"
    };
    put(folder, "lines", &[line("a"), line(&"x".repeat(1 << 20)), line("b")].concat());
    let (code, out, err) = esker(folder, &["load", "--like", "save", "new", "lines"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let start = "esker: refused lines: line 2: delays/count: ";
    assert!(err.starts_with(start) && err.contains("the limit is 1048576"), "{err}");
    assert!(is_empty(&folder.join("new")));
}

#[test]
fn a_snapshot_without_one_of_its_parts_is_told_and_refused_where_ttl_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let info = ordered(Schema::U8);
    let with_ttl = every_kind(&info);
    let without = every_kind(&info).into_iter().filter(|state| state.ttl.is_none()).collect();
    empty(&folder.join("ttl"), with_ttl, [1000, 950]);
    empty(&folder.join("plain"), without, [1000, 950]);
    put(folder, "lines", "");
    for (like, needed) in [("ttl", true), ("plain", false)] {
        let part = files(&folder.join(like).join("parts")).remove(0);
        std::fs::remove_file(&part).unwrap();
        let name = part.strip_prefix(folder.join(like)).unwrap().to_str().unwrap();
        let said = format!("esker: damaged {like}: {name}: the file is missing");
        let target = format!("{like}-new");
        let (code, out, err) = esker(folder, &["load", "--json", "--like", like, &target, "lines"]);
        let report: Value = serde_json::from_str(&out).unwrap();
        let status = if needed { "damaged" } else { "ok" };
        assert_eq!((code, &report["status"]), (i32::from(needed), &json!(status)), "{err}");
        assert_eq!(report["damage"][0]["file"], json!(name));
        assert!(err.starts_with(&said), "{err}");
        assert_eq!(is_empty(&folder.join(&target)), needed);
    }
}
