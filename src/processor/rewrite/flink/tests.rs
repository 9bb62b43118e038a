//! Golden snapshots rewritten, and read back by our own reader.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::block_on;
use crate::flink::tests::{lines, open, options};
use esker_flink::OperatorId;
use esker_flink::metadata::{KeyedHandle, StreamKind};
use esker_test_support::flink::{assert_lines, expected, golden, known};

fn rewritten_to(
    target: &Store,
    snapshot: &FlinkSnapshot,
    plan: &str,
) -> Result<(FlinkSnapshot, FlinkRewritten)> {
    let plan = RewritePlan::from_toml(plan).unwrap();
    let done = block_on(rewrite_flink(snapshot, &plan, target, &|_| {}))?;
    Ok((FlinkSnapshot::open(target, None, &options()).unwrap(), done))
}

fn rewritten(path: &str, plan: &str) -> (FlinkSnapshot, FlinkRewritten) {
    rewritten_to(&Store::open("memory://").unwrap(), &open(path), plan).unwrap()
}

/// Sources of each kind of state: one that every Flink restores comes of them.
const SOURCES: [&str; 5] = [
    "2.3.0/hashmap-savepoint-canonical/snapshot",
    "1.20.5/rocksdb-savepoint-canonical/snapshot",
    "1.16.3/hashmap-savepoint-canonical/snapshot",
    "2.3.0/hashmap-savepoint-native/snapshot",
    "1.20.5/hashmap-savepoint-canonical-snappy/snapshot",
];
const DEV: &str = "DevSpec-60-p2m128-120.jsonl";

#[test]
fn a_uid_is_renamed_and_all_else_stays() {
    for path in SOURCES {
        let (made, done) = rewritten(path, "operator.users.rename = 'people'");
        let metadata = made.metadata();
        assert_eq!((metadata.version, metadata.master_states.len()), (3, 0), "{path}");
        assert!(metadata.operators.iter().any(|o| o.id == OperatorId::of_uid("people")));
        assert!(!metadata.operators.iter().any(|o| o.id == OperatorId::of_uid("users")));
        let source = open(path);
        for (before, after) in source.metadata().operators.iter().zip(&metadata.operators) {
            let both = (before.parallelism, before.max_parallelism, &before.coordinator);
            assert_eq!(both, (after.parallelism, after.max_parallelism, &after.coordinator));
        }
        let users = r#"{"operator":"users","#;
        let renamed = expected(DEV).replace(users, r#"{"operator":"people","#);
        assert_lines(&lines(&made), &known(&renamed), path);
        assert!(done.written.entries >= 2_050, "{}", done.written.entries);
        // What was written is canonical, and nothing is outside of the folder.
        metadata
            .visit_streams(|site, stream| {
                let inside =
                    matches!(stream.kind, StreamKind::Bytes { .. } | StreamKind::Relative { .. });
                assert!(inside, "{site:?}");
                Ok::<_, ()>(())
            })
            .unwrap();
    }
}

#[test]
fn serializers_and_entries_that_nothing_changes_stay_byte_for_byte() {
    let path = "2.3.0/hashmap-savepoint-canonical/snapshot";
    let (source, (made, _)) = (open(path), rewritten(path, "operator.orders.drop = true"));
    let users = source.operator("users").unwrap();
    let (before, after) =
        (source.layout(users).unwrap(), made.layout(made.operator("users").unwrap()).unwrap());
    assert_eq!(before.keyed, after.keyed);
    let bytes = |snapshot: &FlinkSnapshot| {
        let (mut all, operator) = (Vec::new(), snapshot.operator("users").unwrap().clone());
        let range = esker_flink::key_group::KeyGroupRange::of_subtask(0, 1, 128).unwrap();
        let mut keep = |state: &crate::flink::FlinkState, entry: crate::flink::FlinkEntry<'_>| {
            all.push(format!("{} {entry:?}", state.name));
            Ok(())
        };
        snapshot.each_entry(&operator, range, &mut keep).unwrap();
        all.sort();
        all
    };
    assert!(bytes(&source) == bytes(&made));
    // One that was written anew is written as it is: an answer to nothing changed but the files' names.
    let KeyedHandle::KeyGroups(handle) =
        made.metadata().operators[made.operator("users").unwrap().number].subtasks[0]
            .state
            .as_ref()
            .unwrap()
            .keyed
            .as_ref()
            .unwrap()
    else {
        panic!("no handle with key groups")
    };
    assert_eq!(handle.range.count(), 64);
}

#[test]
fn key_groups_are_as_many_as_asked() {
    for (path, file, max_parallelism) in [
        (SOURCES[0], DEV, 512),
        (SOURCES[1], DEV, 300),
        (SOURCES[3], DEV, 7),
        ("1.20.5/rocksdb-savepoint-canonical-p4m1000/snapshot", "DevSpec-60-p4m1000-120.jsonl", 96),
        ("2.3.0/hashmap-savepoint-canonical-sql/snapshot", "SqlWriter-50-p2m128-150.jsonl", 32_768),
    ] {
        let plan = format!("max_parallelism = {max_parallelism}\nparallelism = 5");
        let (made, _) = rewritten(path, &plan);
        for operator in made.operators() {
            assert_eq!((operator.parallelism, operator.max_parallelism), (5, max_parallelism));
        }
        assert_lines(&lines(&made), &known(&expected(file)), path);
    }
}

#[cfg(feature = "rocksdb")]
#[test]
fn databases_become_canonical() {
    for (path, file, plan) in [
        ("2.3.0/rocksdb-savepoint-native/snapshot", DEV, "parallelism = 1"),
        ("1.20.5/rocksdb-savepoint-native/snapshot", DEV, "max_parallelism = 64"),
    ] {
        assert_lines(&lines(&rewritten(path, plan).0), &known(&expected(file)), path);
    }
}

#[test]
fn entries_are_filtered_by_what_they_hold() {
    let plan = r#"
        operator.users.state.long.filter = "value > 60000000"
        operator.users.state.pojo.filter = "value.level == 'GOLD' && value.street != null"
        operator.users.state.map.filter = "userKey != 'm1'"
        operator.users.state.ttl-list.filter = "ttl.size() > 1"
        operator.users.state._timer_state/event_user-timers.filter = "value > 4000000010000"
        operator.orders.filter = "key >= 0"
        operator.buffer.state.pending.filter = "value.endsWith('3')"
        operator.buffer.state.rules.filter = "userKey == 'rule-1'"
        operator.minutes.filter = "ns.start > 1700000000000"
    "#;
    let plan = plan
        .replace("state._timer_state/event_user-timers", "state.'_timer_state/event_user-timers'");
    for path in &SOURCES[..4] {
        let (made, done) = rewritten(path, &plan);
        let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let before = expected(DEV);
        let left = before.lines().filter(|line| {
            let line = json(line);
            let value = &line["value"];
            match (line["operator"].as_str().unwrap(), line["state"].as_str().unwrap()) {
                ("users", "long") => value.as_i64().unwrap() > 60_000_000,
                ("users", "pojo") => value["level"] == "GOLD" && !value["street"].is_null(),
                ("users", "map") => line["userKey"] != "m1",
                ("users", "ttl-list") => line["ttl"].as_array().unwrap().len() > 1,
                ("users", "_timer_state/event_user-timers") => {
                    value.as_i64() > Some(4_000_000_010_000)
                }
                ("orders", _) => line["key"].as_i64().unwrap() >= 0,
                ("buffer", "pending") => value.as_str().unwrap().ends_with('3'),
                ("buffer", "rules") => line["userKey"] == "rule-1",
                ("minutes", _) => line["namespace"]["start"].as_i64() > Some(1_700_000_000_000),
                _ => true,
            }
        });
        let left: Vec<&str> = left.collect();
        assert_lines(&lines(&made), &known(&left.join("\n")), path);
        let of = done.left.iter().find(|left| left.state == "long").unwrap();
        assert!(of.before.0 == 60 && of.left.0 < 60, "{of:?}");
    }
}

#[test]
fn values_are_set_and_keep_their_types() {
    let plan = r#"
        [[operator.users.state.long.steps]]
        set.to = "value * 2"
        [[operator.users.state.string.steps]]
        set.to = "it + ' – 🎉'"
        [[operator.users.state.pojo.steps]]
        set = { field = "street", to = "null" }
        [[operator.users.state.map.steps]]
        set.to = "it - 1"
        [[operator.users.state.ttl-list.steps]]
        set = { field = "[]", to = "it + 1" }
        [[operator.users.state.ttl-map.steps]]
        set.to = "7"
        [[operator.buffer.state.offsets.steps]]
        set = { field = ".1", to = "it + 1" }
    "#;
    for path in &SOURCES[..4] {
        let (made, _) = rewritten(path, plan);
        let lines_before = expected(DEV);
        let edited = lines_before.lines().map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            let value = json["value"].to_string();
            let number = json["value"].as_i64().unwrap_or_default();
            let (operator, state) =
                (json["operator"].as_str().unwrap(), json["state"].as_str().unwrap());
            let replaced = |new: String| {
                line.replace(&format!(r#""value":{value}"#), &format!(r#""value":{new}"#))
            };
            match (operator, state) {
                ("users", "long") => replaced((number * 2).to_string()),
                ("users", "string") => line.replace(r#""}"#, r#" – 🎉"}"#),
                ("users", "pojo") => {
                    let street = json["value"]["street"].to_string();
                    line.replace(&format!(r#""street":{street}"#), r#""street":null"#)
                }
                ("users", "map") => replaced((number - 1).to_string()),
                ("users", "ttl-list") => {
                    let of = json["value"].as_array().unwrap().iter();
                    let of: Vec<_> =
                        of.map(|one| (one.as_i64().unwrap() + 1).to_string()).collect();
                    replaced(format!("[{}]", of.join(",")))
                }
                ("users", "ttl-map") => replaced("7".to_owned()),
                ("buffer", "offsets") => {
                    let of = json["value"][1].as_i64().unwrap();
                    line.replace(&format!(",{of}]"), &format!(",{}]", of + 1))
                }
                _ => line.to_owned(),
            }
        });
        let edited: Vec<String> = edited.collect();
        assert_lines(&lines(&made), &known(&edited.join("\n")), path);
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_name_and_nothing_is_written() {
    let canonical = SOURCES[0];
    for (plan, message) in [
        ("", "the plan does nothing"),
        ("operator.nobody.drop = true", "the snapshot has no operator \"nobody\""),
        (
            "operator.users.state.generic.filter = \"value == 1\"",
            "KryoSerializerSnapshot wrote them",
        ),
        ("operator.users.state.long.steps = [{ remove_ttl = {} }]", "step remove_ttl: types, TTL"),
        ("operator.users.rekey.to = \"key\"", "rekey is for snapshots of esker's"),
        ("max_parallelism = 40000", "there are 1 to 32,768 key groups"),
        ("max_parallelism = 1", "parallelism=2 and max_parallelism=1"),
        (
            "operator.users.state.long.steps = [{ set = { to = \"'text'\" } }]",
            "found string \"text\"",
        ),
        ("operator.users.state.long.steps = [{ set = { to = \"1 / 0\" } }]", "operator=users"),
    ] {
        let target = Store::open("memory://").unwrap();
        let refused = rewritten_to(&target, &open(canonical), plan).err().unwrap().to_string();
        assert!(refused.contains(message), "{plan}: {refused}");
        assert!(block_on(target.list(None)).unwrap().is_empty(), "{plan}");
    }
    let in_flight = "2.3.0/hashmap-checkpoint-unaligned/snapshot";
    let folder = std::fs::read_dir(golden().join(in_flight)).unwrap().next().unwrap().unwrap();
    let folders = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let checkpoint = folders.filter(|path| path.join("_metadata").is_file()).max().unwrap();
    let snapshot = FlinkSnapshot::open_at(checkpoint.to_str().unwrap(), &options()).unwrap();
    let target = Store::open("memory://").unwrap();
    let refused = rewritten_to(&target, &snapshot, "parallelism = 2").err().unwrap();
    assert!(refused.to_string().contains("records were in flight"), "{refused}");
    // An esker plan is no plan of theirs.
    let plan = RewritePlan::from_toml("max_parallelism = 12").unwrap();
    let (manifest, _) = described(&open(canonical)).unwrap();
    assert!(plan.check(&manifest).unwrap_err().to_string().contains("snapshots of Flink's"));
}

#[test]
fn a_second_call_finds_what_is_there_and_another_plan_is_refused() {
    let target = Store::open("memory://").unwrap();
    let source = open(SOURCES[0]);
    let (_, first) = rewritten_to(&target, &source, "parallelism = 3").unwrap();
    let (_, again) = rewritten_to(&target, &source, "parallelism = 3").unwrap();
    let FlinkWritten { written, present, .. } = first.written;
    assert_eq!((again.written.written.files, again.written.present), (0, written));
    assert_eq!(present.files, 0);
    let other = rewritten_to(&target, &source, "parallelism = 4").err().unwrap();
    assert_eq!(other.kind(), ErrorKind::Conflict, "{other}");
    let made = FlinkSnapshot::open(&target, None, &options()).unwrap();
    assert_lines(&lines(&made), &known(&expected(DEV)), DEV);
    // What would be left is told without a target.
    let plan = RewritePlan::from_toml("parallelism = 3").unwrap();
    assert_eq!(rehearse_flink(&source, &plan).unwrap(), first.left);
}
