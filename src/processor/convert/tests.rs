//! Golden snapshots of Flink's there and back, and states that never were Flink's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::flink::tests::{lines as flink_lines, open, options};
use crate::flink::{FlinkFilter, FlinkSnapshot};
use crate::format::canonical::{Canonical, Expired};
use crate::format::manifest::{Operator, StateInfo, StateKind};
use crate::format::part::{Part, RunRef};
use crate::format::schema_file::SchemaFile;
use crate::format::{KeyGroupRange, RelativeName, Schema};
use crate::processor::load::{Bootstrap, Jsonl, Template};
use crate::snapshot::{ChainReader, MANIFEST_NAME, OpenSnapshot, SnapshotSettings, open_snapshot};
use crate::{ErrorKind, Result, Store, block_on};
use esker_flink::OperatorId;
use esker_flink::header::Role;
use esker_test_support::flink::{assert_lines, expected, known};

const DEV: &str = "DevSpec-60-p2m128-120.jsonl";
const SQL: &str = "SqlWriter-50-p2m128-150.jsonl";

fn opened(store: &Store) -> OpenSnapshot {
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    block_on(open_snapshot(store, &name)).unwrap()
}

/// The lines of a savepoint of esker's; broadcast state once.
fn lines(snapshot: &OpenSnapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        for (subtask, part) in parts.iter().enumerate() {
            let part = part.as_ref().unwrap();
            for runs in [&part.runs[..], part.operator_run.as_slice()] {
                lines.extend(lines_of(snapshot, operator, (subtask, part), runs));
            }
        }
    }
    known(&lines.join("\n"))
}

fn lines_of(
    snapshot: &OpenSnapshot,
    operator: &Operator,
    (subtask, part): (usize, &Part),
    runs: &[RunRef],
) -> Vec<String> {
    let mut lines = Vec::new();
    let chain = block_on(ChainReader::open(&snapshot.store, runs)).unwrap();
    chain
        .merge(KeyGroupRange::ALL, None, &mut |entry| {
            let id = u32::from_be_bytes(*entry.key.first_chunk().unwrap());
            let info = operator.states.iter().find(|info| info.id == id).unwrap();
            if info.kind == StateKind::OperatorBroadcast && subtask > 0 {
                return Ok(());
            }
            let mut canonical = Canonical::new(&operator.uid, operator.key.as_ref(), info);
            let of = part.states.iter().find(|state| state.id == id).unwrap();
            canonical.at(of.ttl_time_ms, Expired::Hidden);
            let mut line = String::new();
            assert!(canonical.write(entry, &mut line)?);
            lines.push(line);
            Ok(())
        })
        .unwrap();
    lines
}

fn to_esker(snapshot: &FlinkSnapshot, options: &FromFlink) -> Result<(Store, FlinkConverted)> {
    let store = Store::open("memory://").unwrap();
    let settings = SnapshotSettings::default();
    let done = block_on(from_flink(snapshot, options, &store, &settings, &|_| {}))?;
    Ok((store, done))
}

fn back(store: &Store, options: &ToFlink) -> Result<FlinkSnapshot> {
    let target = Store::open("memory://").unwrap();
    block_on(to_flink(opened(store), options, &target, &|_| {}))?;
    Ok(FlinkSnapshot::open(&target, None, &self::options()).unwrap())
}

fn job() -> FromFlink {
    FromFlink { job: "job".into(), ..FromFlink::default() }
}

fn to(version: FlinkVersion, max_parallelism: u32) -> ToFlink {
    ToFlink { version, max_parallelism, parallelism: None }
}

/// The same line of keys and values that are rows as esker has them: with their kinds, which Flink's lines do not show.
fn with_row_kinds(line: &str) -> String {
    let of_row = |line: String, end: &str| {
        assert_eq!(line.matches(end).count(), 1, "{line}");
        line.replace(end, &format!(r#","INSERT"{end}"#))
    };
    of_row(of_row(line.to_owned(), r#"],"namespace":"#), "]}")
}

#[test]
fn golden_snapshots_go_there_and_back() {
    for (path, file, version) in [
        ("2.3.0/hashmap-savepoint-canonical/snapshot", DEV, FlinkVersion::V2),
        ("1.20.5/rocksdb-savepoint-canonical/snapshot", DEV, FlinkVersion::V1_20),
        ("1.14.6/hashmap-savepoint-canonical/snapshot", DEV, FlinkVersion::V1_20),
        ("2.3.0/hashmap-savepoint-native/snapshot", DEV, FlinkVersion::V2),
        (
            "1.20.5/hashmap-savepoint-canonical-p4m1000/snapshot",
            "DevSpec-60-p4m1000-120.jsonl",
            FlinkVersion::V1_20,
        ),
        ("2.3.0/hashmap-savepoint-canonical-sql/snapshot", SQL, FlinkVersion::V2),
    ] {
        let source = open(path);
        let (store, done) = to_esker(&source, &job()).unwrap();
        let snapshot = opened(&store);
        let (manifest, checkpoint) = (&snapshot.manifest, source.metadata().checkpoint_id);
        assert_eq!((&*manifest.job, manifest.checkpoint as i64), ("job", checkpoint), "{path}");
        let of_flink = known(&expected(file));
        let of_esker = of_flink.iter().map(|line| match file {
            SQL => with_row_kinds(line),
            _ => line.clone(),
        });
        assert_lines(&lines(&snapshot), &of_esker.collect::<Vec<_>>(), path);
        let kept = |opaque: &OpaqueState| opaque.state == "generic" && !opaque.is_skipped;
        assert!(done.opaque.iter().all(kept), "{:?}", done.opaque);

        let made = back(&store, &to(version, 128)).unwrap();
        assert_lines(&flink_lines(&made), &of_flink, path);
        for operator in made.operators() {
            let before = source.operators().iter().find(|before| before.id == operator.id).unwrap();
            let (was, is) = (source.layout(before).unwrap(), made.layout(operator).unwrap());
            let (Some(was), Some(is)) = (was.keyed, is.keyed) else { continue };
            assert_eq!(was.key, is.key, "{path} {}", operator.label);
            for state in &was.states {
                // Options and serializers as they were, byte for byte.
                assert!(is.states.contains(state), "{path} {}", state.name);
            }
            let of = |snapshot: &FlinkSnapshot, number: usize| {
                snapshot.metadata().operators[number].coordinator.clone().map(|of| of.len_bytes())
            };
            assert_eq!(of(&source, before.number), of(&made, operator.number));
        }
        // What nobody can read came back as it was.
        if file == DEV {
            let raw = |snapshot: &FlinkSnapshot| {
                let mut found = Vec::new();
                let filter = FlinkFilter { state: Some("generic".into()), ..Default::default() };
                snapshot
                    .items(&filter, &mut |item| {
                        found.push(format!("{:?}", item.content).replace("key_group: ", ""));
                        Ok(())
                    })
                    .unwrap();
                found.sort();
                found
            };
            assert_eq!(raw(&made).len(), 60);
            assert!(raw(&made) == raw(&source), "{path}");
        }
    }
}

#[test]
fn other_key_groups_and_parallelisms_hold_the_same() {
    let (store, _) = to_esker(
        &open("2.3.0/hashmap-savepoint-canonical/snapshot"),
        &FromFlink { parallelism: Some(5), ..job() },
    )
    .unwrap();
    assert!(opened(&store).manifest.operators.iter().all(|operator| operator.parts.len() == 5));
    for (max_parallelism, parallelism) in [(512, Some(3)), (3, None), (32_768, Some(1))] {
        let options = ToFlink { parallelism, ..to(FlinkVersion::V2, max_parallelism) };
        let made = back(&store, &options).unwrap();
        let operator = made.operator("users").unwrap();
        let is = (operator.parallelism, operator.max_parallelism);
        assert_eq!(is, (parallelism.unwrap_or(3), max_parallelism));
        assert_lines(&flink_lines(&made), &known(&expected(DEV)), DEV);
    }
}

#[test]
fn opaque_states_are_left_out_if_asked_and_go_to_no_other_major_version() {
    let source = open("2.3.0/hashmap-savepoint-canonical/snapshot");
    let (store, done) = to_esker(&source, &FromFlink { skip_opaque: true, ..job() }).unwrap();
    let class = "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot";
    let (operator, state) = ("users".to_owned(), "generic".to_owned());
    let skipped = OpaqueState { operator, state, class: class.into(), is_skipped: true };
    assert_eq!(done.opaque, [skipped]);
    let mut left = known(&expected(DEV));
    left.retain(|line| !line.contains(r#""state":"generic""#));
    assert_lines(&lines(&opened(&store)), &left, "esker's");
    let made = back(&store, &to(FlinkVersion::V1_20, 128)).unwrap();
    assert_lines(&flink_lines(&made), &left, "Flink's");

    let (store, _) = to_esker(&source, &job()).unwrap();
    let refused = back(&store, &to(FlinkVersion::V1_20, 128)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Incompatible);
    let refused = refused.to_string();
    assert!(refused.contains("state=generic") && refused.contains("Flink 2"), "{refused}");
}

const COMPACT: &str = include_str!("../../../tools/xtask/src/flink/compact-schema.json");

/// A savepoint of esker's own with these lines.
fn born(schema: &str, lines: &str) -> Store {
    let schema = SchemaFile::parse(schema).unwrap();
    let template = Template::of_schema(&schema, "born");
    let mut bootstrap = Bootstrap::new(&template, Some(3)).unwrap();
    bootstrap.read(Jsonl::new(lines.as_bytes()), &mut |_| {}).unwrap();
    let store = Store::open("memory://").unwrap();
    let sorted = bootstrap.finish().unwrap();
    block_on(sorted.write(&store, &SnapshotSettings::default(), &|_| {})).unwrap();
    store
}

#[test]
fn what_never_was_flinks_gets_serializers_of_flinks() {
    let file = "DevCompactSpec-150-p2m128-300.jsonl";
    let text = expected(file);
    let store = born(COMPACT, &text);
    for (version, max_parallelism) in [(FlinkVersion::V1_20, 128), (FlinkVersion::V2, 4_096)] {
        let made = back(&store, &to(version, max_parallelism)).unwrap();
        assert_lines(&flink_lines(&made), &known(&text), file);
        let carts = made.operator("carts").unwrap();
        assert_eq!(carts.id, OperatorId::of_uid("carts"));
        // The same serializers as those of a job of Flink's with these types.
        let own = open("2.3.0/rocksdb-savepoint-canonical-heaptimers/snapshot");
        let theirs = own.layout(own.operator("carts").unwrap()).unwrap().keyed.unwrap();
        let ours = made.layout(carts).unwrap().keyed.unwrap();
        assert_eq!(ours.key, theirs.key);
        for state in &ours.states {
            let theirs = theirs.states.iter().find(|of| of.name == state.name).unwrap();
            for (role, serializer) in &state.serializers {
                let of = theirs.serializers.iter().find(|(of, _)| of == role).unwrap();
                assert_eq!(*serializer, of.1, "{} {role}", state.name);
            }
        }
    }
}

#[test]
fn types_that_flink_has_nothing_for_are_refused_by_path() {
    let of = |schema: &str| {
        let file = format!(
            r#"{{"esker-schema": 1, "operators": [{{"uid": "op", "key": {{"codec": "ordered", "schema": "string"}},
               "states": [{{"name": "s", "kind": "value", "value": {{"codec": "bincode2", "schema": {schema}}}}}]}}]}}"#
        );
        back(&born(&file, ""), &to(FlinkVersion::V2, 128)).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(of(r#""u8""#), Ok(()));
    assert_eq!(of(r#"{"option": {"seq": "u64"}}"#), Ok(()));
    let pair = r#"{"tuple": ["i64", {"struct": {"name": "Pair", "fields": []}}]}"#;
    let refused = of(pair).unwrap_err();
    assert!(refused.starts_with("operator=op: state=s: value: "), "{refused}");
    assert!(refused.contains("path=value.1") && refused.contains("Pair"), "{refused}");
    let refused = of(r#"{"opaque": {"name": "X"}}"#).unwrap_err();
    assert!(refused.contains("X is of unknown shape"), "{refused}");
}

#[test]
fn versions_are_read_as_they_are_written() {
    for (text, shown) in [
        ("1.20", "1.20"),
        ("1.20.5", "1.20"),
        ("2.x", "2.0"),
        ("2.3.0", "2.3"),
        ("2", "2.0"),
        ("1.14", "1.14"),
    ] {
        assert_eq!(text.parse::<FlinkVersion>().unwrap().to_string(), shown);
    }
    for text in ["", "1.13", "3.0", "x", "1.21", "2.y", "-1.20"] {
        assert!(text.parse::<FlinkVersion>().is_err(), "{text}");
    }
    let store = born(COMPACT, "");
    let refused = back(&store, &to(FlinkVersion::V2, 0)).err().unwrap().to_string();
    assert!(refused.contains("1 to 32,768"), "{refused}");
}

/// The package of most serializers.
const BASE: &str = "org.apache.flink.api.common.typeutils.base";

#[test]
fn types_that_changed_here_get_new_serializers() {
    // A rewrite of esker's keeps what it does not know; the type tells that it no longer fits.
    let (store, _) = to_esker(&open("2.3.0/hashmap-savepoint-canonical/snapshot"), &job()).unwrap();
    let mut snapshot = opened(&store);
    let users = snapshot.manifest.operators.iter_mut().find(|of| of.uid == "users").unwrap();
    let int = users.states.iter_mut().find(|info| info.name == "int").unwrap();
    let class = |info: &StateInfo| {
        let state = types::state(info, None).unwrap();
        state.meta.serializer(Role::Value).unwrap().class().to_owned()
    };
    assert_eq!(class(int), format!("{BASE}.IntSerializer$IntSerializerSnapshot"));
    int.value.as_mut().unwrap().schema = Schema::I64;
    assert_eq!(class(int), format!("{BASE}.LongSerializer$LongSerializerSnapshot"));
}
