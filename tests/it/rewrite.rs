//! Random plans on random snapshots of every kind of state: what a rewrite leaves is what a model makes
//! of the canonical lines. `ESKER_SOAK` says how many cases run.

use crate::identity::job::{self, Job};
use crate::timed;
use esker::backend::heap::HeapBackends;
use esker::format::manifest::{Manifest, StateInfo, StateKind};
use esker::format::{CodecId, Key, KeyGroup, Schema};
use esker::processor::{
    AddFieldStep, EntryStep, RekeyStep, RewritePlan, SetStep, StateLeft, Transport, TtlStep,
    Winner, rehearse, rewrite,
};
use esker::snapshot::{MANIFEST_NAME, OpenSnapshot, SnapshotSettings, open_snapshot};
use esker::store::fault::FaultStore;
use esker::{Store, block_on};
use esker_conformance::every::{Call, UID, settings as small};
use esker_conformance::lines;
use esker_conformance::store::new_store;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

/// An expression, and what it says of a line.
type Predicate = (&'static str, fn(&Value) -> bool);

/// They hold or not, whatever the types of a state.
const PREDICATES: [Predicate; 8] = [
    ("key % 3u != 1", |line| number(&line["key"]) % 3 != 1),
    ("ns == null || ns > 0", |line| line["namespace"].is_null() || number(&line["namespace"]) > 0),
    ("userKey == null || userKey < 3", |line| {
        line.get("userKey").is_none_or(|user_key| number(user_key) < 3)
    }),
    // The time of a timer is signed.
    ("type(value) == uint ? value % 2u == 0 : type(value) != int || value % 2 == 0", |line| {
        line["value"].as_i64().is_none_or(|value| value % 2 == 0)
    }),
    ("type(value) != list || size(value) > 1 && value[0] <= value[1]", |line| {
        line["value"]
            .as_array()
            .is_none_or(|values| values.len() > 1 && number(&values[0]) <= number(&values[1]))
    }),
    ("type(value) != map || value.count > 1 || value.sum > 50", |line| {
        line["value"]
            .as_object()
            .is_none_or(|mean| number(&mean["count"]) > 1 || number(&mean["sum"]) > 50)
    }),
    ("type(ttl) == list ? ttl.all(time, time > 20) : ttl == null || ttl > 20", |line| {
        match line.get("ttl") {
            Some(Value::Array(times)) => times.iter().all(|time| number(time) > 20),
            Some(time) => number(time) > 20,
            None => true,
        }
    }),
    ("type(value) != string || value.endsWith('1')", |line| {
        line["value"].as_str().is_none_or(|value| value.ends_with('1'))
    }),
];

/// Of those, which do not ask for a key: operator state has none.
const KEYLESS: [usize; 2] = [3, 5];

/// Of those, which no change of a type concerns.
const OF_ALL_TYPES: [usize; 7] = [0, 1, 2, 3, 4, 6, 7];

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// The time that counts as now.
const NOW_MS: i64 = 1000;

/// What a step makes of a line whose state was captured at some time; `false` if it goes.
type Change = Box<dyn Fn(&mut Value, Option<i64>) -> bool>;

/// What is done to entries, if it goes with their type.
#[derive(Debug, Clone)]
enum Of {
    Filter(usize),
    Set,
    SetPart,
    DeleteField,
    AddField,
    /// With other times, or those that there are.
    Ttl(bool),
    RemoveTtl,
    Codec(bool),
}

fn of_entries() -> impl Strategy<Value = Vec<Of>> {
    let of = prop_oneof![
        2 => (0..PREDICATES.len()).prop_map(Of::Filter),
        3 => Just(Of::Set),
        3 => Just(Of::SetPart),
        2 => Just(Of::DeleteField),
        2 => Just(Of::AddField),
        3 => any::<bool>().prop_map(Of::Ttl),
        1 => Just(Of::RemoveTtl),
        1 => any::<bool>().prop_map(Of::Codec),
    ];
    prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(of, 1..5)]
}

/// What a state is after some steps, as far as it concerns the next ones.
struct Now {
    kind: StateKind,
    is_text: bool,
    /// The fields of its values.
    fields: Vec<&'static str>,
    has_ttl: bool,
}

/// The steps that go with a state, and what a model does in their place.
fn applied(info: &StateInfo, all: &[Of]) -> Vec<(EntryStep, Change)> {
    let is_mean = matches!(info.kind, StateKind::Aggregating);
    let mut now = Now {
        kind: info.kind,
        is_text: info.value.as_ref().is_some_and(|value| value.schema == Schema::String),
        fields: if is_mean { vec!["count", "sum"] } else { Vec::new() },
        has_ttl: info.ttl.is_some(),
    };
    let has_values = info.value.is_some();
    all.iter().filter(|_| has_values).filter_map(|of| step(&mut now, of)).collect()
}

fn odd(value: &Value) -> bool {
    value.as_i64().is_some_and(|value| value % 2 == 1)
}

fn step(now: &mut Now, of: &Of) -> Option<(EntryStep, Change)> {
    let set = |field: &str, to: &str| {
        EntryStep::Set(SetStep { field: field.to_owned(), to: to.to_owned() })
    };
    let is_list = now.kind == StateKind::List;
    let scrambled = |value: &Value| (number(value) * 7 + 3) % 1000;
    Some(match of {
        Of::Filter(by) => {
            let by = if now.kind.is_keyed() { OF_ALL_TYPES[by % 7] } else { KEYLESS[0] };
            let (text, holds) = PREDICATES[by];
            (EntryStep::Filter(text.to_owned()), Box::new(move |line, _| holds(line)))
        }
        Of::Set if is_list && now.has_ttl => {
            let step = set("", "value.map(x, (x * 7u + 3u) % 1000u)");
            (
                step,
                Box::new(move |line, _| {
                    for value in line["value"].as_array_mut().unwrap() {
                        *value = scrambled(value).into();
                    }
                    true
                }),
            )
        }
        // A list of none is not there.
        Of::Set if is_list => {
            let step = set("", "value.filter(x, x % 2u == 1u)");
            (
                step,
                Box::new(|line, _| {
                    line["value"].as_array_mut().unwrap().retain(odd);
                    line["value"] != Value::Array(Vec::new())
                }),
            )
        }
        Of::Set if now.is_text => (
            set("", "value + '!'"),
            Box::new(|line, _| {
                line["value"] = format!("{}!", line["value"].as_str().unwrap()).into();
                true
            }),
        ),
        Of::Set if now.fields == ["count", "sum"] => {
            let step = set("", "{'sum': value.sum + uint(key % 2u), 'count': 2}");
            (
                step,
                Box::new(|line, _| {
                    let sum = number(&line["value"]["sum"]) + number(&line["key"]) % 2;
                    line["value"] = serde_json::json!({ "count": 2, "sum": sum });
                    true
                }),
            )
        }
        Of::Set if now.fields.is_empty() => {
            let step = set("", "(value * 7u + 3u) % 1000u");
            (
                step,
                Box::new(move |line, _| {
                    line["value"] = scrambled(&line["value"]).into();
                    true
                }),
            )
        }
        // The list is what it was while its elements are set.
        Of::SetPart if is_list => (
            set("[]", "it == value[0] ? 0 : it + 1u"),
            Box::new(|line, _| {
                let first = line["value"][0].clone();
                for value in line["value"].as_array_mut().unwrap() {
                    *value = if *value == first { 0 } else { number(value) + 1 }.into();
                }
                true
            }),
        ),
        Of::SetPart if !now.fields.is_empty() => (
            set("sum", "it * 2u"),
            Box::new(|line, _| {
                line["value"]["sum"] = (number(&line["value"]["sum"]) * 2).into();
                true
            }),
        ),
        Of::DeleteField if now.fields.contains(&"count") => {
            now.fields.retain(|name| *name != "count");
            (
                EntryStep::DeleteField("count".to_owned()),
                Box::new(|line, _| {
                    line["value"].as_object_mut().unwrap().remove("count").is_some()
                }),
            )
        }
        Of::AddField if !now.fields.is_empty() && !now.fields.contains(&"more") => {
            now.fields.push("more");
            let of = Schema::Option(Box::new(Schema::U64));
            let to = "has(it.count) && it.count > 1 ? it.sum : null".to_owned();
            let step = AddFieldStep { field: "more".to_owned(), of, to };
            (
                EntryStep::AddField(step),
                Box::new(|line, _| {
                    let has_more =
                        line["value"].get("count").is_some_and(|count| number(count) > 1);
                    let more = if has_more { line["value"]["sum"].clone() } else { Value::Null };
                    line["value"].as_object_mut().unwrap().insert("more".to_owned(), more);
                    true
                }),
            )
        }
        Of::Ttl(with_times) if now.kind.is_keyed() => {
            let with_times = *with_times || !now.has_ttl;
            now.has_ttl = true;
            // Of lists one time for each element, of other values those that are even expire.
            let last_update = match (is_list, now.is_text || !now.fields.is_empty()) {
                (true, _) => "value.map(x, x % 2u == 1u ? now : now - 30)",
                (_, true) => "key % 2u == 1u ? now : now - 30",
                _ => "value % 2u == 1u ? now : now - 30",
            };
            let by_key = now.is_text || !now.fields.is_empty();
            let last_update = with_times.then(|| last_update.to_owned());
            let step = TtlStep { duration_ms: 25, update: None, last_update };
            let time = |is_odd: bool| if is_odd { NOW_MS } else { NOW_MS - 30 };
            (
                EntryStep::Ttl(step),
                Box::new(move |line, captured_ms| {
                    if with_times {
                        line["ttl"] = match line["value"].as_array() {
                            Some(values) => values.iter().map(|value| time(odd(value))).collect(),
                            None => time(odd(&line[if by_key { "key" } else { "value" }])).into(),
                        };
                    }
                    live(line, captured_ms.unwrap_or(NOW_MS) - 25)
                }),
            )
        }
        Of::RemoveTtl if now.has_ttl => {
            now.has_ttl = false;
            (
                EntryStep::RemoveTtl {},
                Box::new(|line, _| line.as_object_mut().unwrap().remove("ttl").is_some()),
            )
        }
        // Lines do not show it.
        Of::Codec(is_ordered) if now.fields.is_empty() => {
            let codec = if *is_ordered { CodecId::ORDERED } else { CodecId::BINCODE2 };
            (EntryStep::Codec(codec), Box::new(|_, _| true))
        }
        _ => return None,
    })
}

/// When the state of a line was captured: by the part that has its key, or the latest time of all parts if
/// keys become others.
fn captured_ms(snapshot: &OpenSnapshot, id: u32, line: &Value, is_rekeyed: bool) -> Option<i64> {
    let parts = &snapshot.parts[0];
    let key = line.get("key")?.as_u64()?;
    let subtask = key.with_encoded(KeyGroup::of).subtask(parts.len() as u32);
    let subtasks = if is_rekeyed { 0..parts.len() } else { subtask as usize..subtask as usize + 1 };
    let states = parts[subtasks].iter().flatten().flat_map(|part| &part.states);
    states.filter(|state| state.id == id).filter_map(|state| state.ttl_time_ms).max()
}

/// Takes away what was last updated at `until_ms` or before; `false` if nothing stays.
fn live(line: &mut Value, until_ms: i64) -> bool {
    let Value::Array(times) = line["ttl"].clone() else {
        return number(&line["ttl"]) > until_ms;
    };
    for member in ["value", "ttl"] {
        let mut times = times.iter();
        let is_live = |_: &Value| number(times.next().unwrap()) > until_ms;
        line[member].as_array_mut().unwrap().retain(is_live);
    }
    line["ttl"] != Value::Array(Vec::new())
}

/// What is done to a state.
#[derive(Debug, Clone)]
enum Step {
    Nothing,
    Drop,
    /// To the name of another state, which gets that of the next, and so on around.
    Rename,
    Filter(usize),
    RenameAndFilter(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Nothing),
        1 => Just(Step::Drop),
        2 => Just(Step::Rename),
        2 => (0..PREDICATES.len()).prop_map(Step::Filter),
        1 => (0..PREDICATES.len()).prop_map(Step::RenameAndFilter),
    ];
    proptest::collection::vec(step, 40)
}

/// The plan of `steps` for the states of `manifest`, and of all of them `filter`; with the new names.
fn plan(
    manifest: &Manifest,
    steps: &[Step],
    of_entries: &[Vec<Of>],
    filter: Option<usize>,
) -> (RewritePlan, Vec<String>) {
    let states = &manifest.operators[0].states;
    let renames = |step: &Step| matches!(step, Step::Rename | Step::RenameAndFilter(_));
    let renamed: Vec<usize> = (0..states.len()).filter(|at| renames(&steps[*at])).collect();
    let mut plan =
        RewritePlan { filter: filter.map(|at| PREDICATES[at].0.into()), ..Default::default() };
    plan.now_ms = Some(NOW_MS);
    plan.operator(UID).rename = Some("renamed".into());
    let mut names = Vec::new();
    for (at, info) in states.iter().enumerate() {
        let to = renamed.iter().position(|renamed| *renamed == at);
        let to = to.map(|place| &states[renamed[(place + 1) % renamed.len()]].name);
        names.push(to.unwrap_or(&info.name).clone());
        let of_state = plan.state(UID, &info.name);
        of_state.rename = to.cloned();
        match &steps[at] {
            Step::Drop => of_state.drop = true,
            Step::Filter(by) | Step::RenameAndFilter(by) => {
                of_state.filter = Some(PREDICATES[predicate(info.kind.is_keyed(), *by)].0.into());
            }
            Step::Nothing | Step::Rename => {}
        }
        if !of_state.drop {
            let steps = applied(info, &of_entries[at]).into_iter().map(|(step, _)| step);
            of_state.steps = steps.collect();
        }
    }
    (plan, names)
}

fn predicate(keyed: bool, by: usize) -> usize {
    if keyed { by } else { KEYLESS[by % KEYLESS.len()] }
}

/// Steps of states and of their entries, the filter of all, the new names, and whether there are other keys.
type OfModel<'a> = (&'a [Step], &'a [Vec<Of>], Option<usize>, &'a [String], bool);

/// What the plan makes of `line`.
fn modelled(
    line: &str,
    snapshot: &OpenSnapshot,
    (steps, of_entries, filter, names, is_rekeyed): OfModel<'_>,
) -> Option<Value> {
    let manifest = &snapshot.manifest;
    let mut value: Value = serde_json::from_str(line).unwrap();
    let mut states = manifest.operators[0].states.iter();
    let at = states.position(|info| value["state"] == info.name.as_str()).unwrap();
    let info = &manifest.operators[0].states[at];
    let keyed = info.kind.is_keyed();
    let by = match &steps[at] {
        Step::Drop => return None,
        Step::Filter(by) | Step::RenameAndFilter(by) => Some(predicate(keyed, *by)),
        Step::Nothing | Step::Rename => None,
    };
    let captured_ms = captured_ms(snapshot, info.id, &value, is_rekeyed);
    let duration_ms = info.ttl.and_then(|ttl| ttl.duration_ms);
    if let (Some(captured_ms), Some(duration_ms)) = (captured_ms, duration_ms)
        && !live(&mut value, captured_ms - duration_ms as i64)
    {
        return None;
    }
    let mut all = by.into_iter().chain(filter.filter(|_| keyed));
    if !all.all(|by| PREDICATES[by].1(&value)) {
        return None;
    }
    if !applied(info, &of_entries[at]).iter().all(|(_, change)| change(&mut value, captured_ms)) {
        return None;
    }
    value["operator"] = "renamed".into();
    value["state"] = names[at].as_str().into();
    Some(value)
}

/// Other keys: an expression, their type, and which of two stays; and the new one in JSON.
type OtherKeys = (&'static str, Option<&'static str>, Option<Winner>, fn(i64, &str) -> Value);

const REKEYS: [OtherKeys; 3] = [
    ("key * 2u + 1u", None, None, |key, _| (key * 2 + 1).into()),
    ("key / 3u", Some(r#""u16""#), Some(Winner::LowestKey), |key, _| (key / 3).into()),
    (
        "[state.contains('l') ? 'l' : 'k', key % 4u]",
        Some(r#"{"tuple":["string","u8"]}"#),
        Some(Winner::HighestKey),
        |key, state| serde_json::json!([if state.contains('l') { "l" } else { "k" }, key % 4]),
    ),
];

fn rekey(by: usize) -> RekeyStep {
    let (to, of, wins, _) = REKEYS[by];
    let of = of.map(|json| serde_json::from_str(json).unwrap());
    RekeyStep { to: to.to_owned(), of, wins }
}

/// The lines under their new keys, one of each.
fn rekeyed(lines: Vec<Value>, by: usize, old_names: &BTreeMap<String, String>) -> Vec<Value> {
    let (_, _, wins, new_key) = REKEYS[by];
    let mut kept = BTreeMap::new();
    let mut unkeyed = Vec::new();
    for mut line in lines {
        let Some(old) = line.get("key").and_then(Value::as_i64) else {
            unkeyed.push(line);
            continue;
        };
        let state = &old_names[line["state"].as_str().unwrap()];
        line["key"] = new_key(old, state);
        let is_timer = line["kind"].as_str().unwrap().starts_with("timer");
        let time = is_timer.then(|| line["value"].clone());
        let at = [&line["state"], &line["key"], &line["namespace"]].map(Value::to_string);
        let at = (at, line.get("userKey").map(Value::to_string), time.map(|time| time.to_string()));
        match kept.entry(at) {
            Entry::Vacant(entry) => {
                entry.insert((old, line));
            }
            Entry::Occupied(mut entry) => {
                let before = entry.get().0;
                assert!(is_timer || wins.is_some() && before != old);
                if (wins == Some(Winner::LowestKey)) == (old < before) {
                    entry.insert((old, line));
                }
            }
        }
    }
    kept.into_values().map(|(_, line)| line).chain(unkeyed).collect()
}

/// The same line, its members in another order.
fn reordered(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap().to_string()
}

/// What is said of keyed states is what is there, of lists each element; of the latter what has expired is
/// nobody's.
fn check_left(left: &[StateLeft], lines: &[Value], manifest: &Manifest, names: &[String]) {
    for left in left {
        let states = &manifest.operators[0].states;
        let at = states.iter().position(|info| info.name == left.state).unwrap();
        if !states[at].kind.is_keyed() {
            continue;
        }
        let of_state = lines.iter().filter(|line| line["state"] == names[at].as_str());
        let count = |line: &Value| line["value"].as_array().map_or(1, Vec::len) as u64;
        assert_eq!(left.entries, of_state.map(count).sum::<u64>(), "{}", left.state);
    }
}

#[test]
fn what_a_plan_makes_of_a_snapshot_is_what_a_model_makes_of_its_lines() {
    let config = Config { cases: soak::count(400), failure_persistence: None, ..Config::default() };
    let calls = proptest::collection::vec(job::call(), 0..250);
    let epochs = proptest::collection::vec(calls, 1..5);
    let filter = prop::option::weighted(0.3, 0..PREDICATES.len());
    let of_entries = proptest::collection::vec(of_entries(), 40);
    let rekeys = prop::option::weighted(0.5, 0..REKEYS.len());
    let steps = (steps(), of_entries, rekeys);
    let strategy = (1..4_u32, epochs, steps, filter, any::<bool>());
    TestRunner::new(config)
        .run(&strategy, |(parallelism, epochs, (steps, of_entries, rekeys), filter, rescaled)| {
            let mut job = Job::<HeapBackends>::new(parallelism, small());
            for calls in epochs {
                calls.into_iter().for_each(|call| job.call(call));
                job.checkpoint(true);
            }
            if rescaled {
                job = job.restored(parallelism + 1);
                job.checkpoint(true);
            }
            let manifest = job.last().clone();
            let (mut plan, names) = plan(&manifest, &steps, &of_entries, filter);
            plan.operator(UID).rekey = rekeys.map(rekey);
            prop_assume!(plan.check(&manifest).is_ok());
            let path = format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint).parse().unwrap();
            let open = || block_on(open_snapshot(&job.store, &path)).unwrap();
            let target = new_store();
            let settings = SnapshotSettings { threads: 2, ..small() };
            let done = rewrite(open(), &plan, &target, Transport::Link, &settings, &|_| {});
            let done = block_on(done).unwrap();
            let found = lines::of(&target, &done.manifest);
            let found = lines::sorted(found.iter().map(|line| reordered(line)).collect());
            let (source, snapshot) = (lines::of(&job.store, &manifest), open());
            let of_model = (&steps[..], &of_entries[..], filter, &names[..], rekeys.is_some());
            let expected = source.iter().filter_map(|line| modelled(line, &snapshot, of_model));
            let mut expected: Vec<Value> = expected.collect();
            if let Some(by) = rekeys {
                let states = manifest.operators[0].states.iter().map(|info| info.name.clone());
                expected = rekeyed(expected, by, &names.iter().cloned().zip(states).collect());
            }
            check_left(&done.left, &expected, &manifest, &names);
            let expected = expected.iter().map(Value::to_string).collect();
            let difference = lines::difference(&found, &lines::sorted(expected));
            prop_assert!(difference.is_empty(), "{:?}: {:#?}", plan, difference);
            let rehearsed = block_on(rehearse(open(), &plan)).unwrap();
            prop_assert_eq!(rehearsed.left, done.left);
            // A second time all of it is there.
            let again = rewrite(open(), &plan, &target, Transport::Link, &settings, &|_| {});
            let again = block_on(again).unwrap();
            prop_assert_eq!((again.linked.files, again.written.files), (0, 0));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn rekeyed_entries_expire_by_the_latest_capture_and_go_to_the_subtask_of_their_key() {
    // Whichever subtask a key is of, what it shows at its capture was updated within 100 ms.
    let seen: Vec<timed::Seen> = (0..40).map(|key| (key, 960 + key as i64, key as u8)).collect();
    let (store, manifest) = timed::savepoint("shop", &[(1000, &seen), (1090, &[])]);
    let path = MANIFEST_NAME.parse().unwrap();
    let open = |store: &Store| block_on(open_snapshot(store, &path)).unwrap();
    let lines_of = |store: &Store, manifest: &Manifest| -> Vec<Value> {
        let lines = lines::of(store, manifest);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let before = lines_of(&store, &manifest);
    let plan = RewritePlan::from_toml("operator.shop.rekey.to = 'key + 1000u'").unwrap();
    let target = new_store();
    let settings = SnapshotSettings::default();
    let done = rewrite(open(&store), &plan, &target, Transport::Link, &settings, &|_| {});
    let done = block_on(done).unwrap();
    let opened = open(&target);
    let times = opened.parts[0].iter().map(|part| {
        let states = &part.as_ref().unwrap().states;
        states[0].ttl_time_ms
    });
    assert_eq!(times.collect::<Vec<_>>(), [Some(1090); 2]);
    let mut expected: Vec<i64> = before
        .iter()
        .filter(|line| number(&line["ttl"]) > 990)
        .map(|line| number(&line["key"]) + 1000)
        .collect();
    expected.sort_unstable();
    assert!(expected.len() < before.len());
    assert_eq!(done.left[0].entries, expected.len() as u64);
    let mut found: Vec<i64> =
        lines_of(&target, &done.manifest).iter().map(|line| number(&line["key"])).collect();
    found.sort_unstable();
    assert_eq!(found, expected);

    // What expires does not win over what stays.
    let plan = "operator.shop.rekey = { to = '7u', wins = 'lowest-key' }";
    let plan = RewritePlan::from_toml(plan).unwrap();
    let target = new_store();
    let done = rewrite(open(&store), &plan, &target, Transport::Link, &settings, &|_| {});
    let one = lines_of(&target, &block_on(done).unwrap().manifest);
    assert_eq!(one.iter().map(|line| number(&line["key"])).collect::<Vec<_>>(), [7]);
}

#[test]
fn a_new_key_that_is_too_long_is_told_with_its_state_and_the_old_one() {
    let (store, _) = timed::savepoint("shop", &[(1000, &[(7, 950, 1)])]);
    let snapshot = block_on(open_snapshot(&store, &MANIFEST_NAME.parse().unwrap())).unwrap();
    let mut plan = RewritePlan::default();
    // A MiB of them.
    let times = |name: &str, count| vec![name; count].join(" + ");
    let (xs, a, b) = ("x".repeat(8192), times("a", 8), times("b", 16));
    let to = format!("['{xs}'].map(a, {a}).map(b, {b})[0]");
    plan.operator("shop").rekey = Some(RekeyStep { to, of: Some(Schema::String), wins: None });
    let target = new_store();
    let settings = SnapshotSettings::default();
    let done = rewrite(snapshot, &plan, &target, Transport::Link, &settings, &|_| {});
    let error = block_on(done).unwrap_err().to_string();
    let said = "operator=shop: state=seen key=7: rekey: the new key with its namespace has 1048586 bytes, \
                the limit is 1048576";
    assert_eq!(error, said);
}

#[test]
fn parts_that_get_other_keys_are_opened_one_after_the_other() {
    let seen: Vec<timed::Seen> = (0..40).map(|key| (key, 990, key as u8)).collect();
    let (store, _) = timed::savepoint("shop", &[(1000, &seen), (1000, &[]), (1000, &[])]);
    let read = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&read);
    let store = store.map_object_store(move |objects| {
        let faults = FaultStore::new(objects);
        faults.on_call(move |call| told.lock().unwrap().push(call.path.clone()));
        Arc::new(faults)
    });
    let snapshot = block_on(open_snapshot(&store, &MANIFEST_NAME.parse().unwrap())).unwrap();
    read.lock().unwrap().clear();
    let plan = RewritePlan::from_toml("operator.shop.rekey.to = 'key + 1000u'").unwrap();
    let target = new_store();
    let settings = SnapshotSettings::default();
    let done = rewrite(snapshot, &plan, &target, Transport::Link, &settings, &|_| {});
    block_on(done).unwrap();
    let mut read = read.lock().unwrap().clone();
    assert!(read.len() >= 6, "indexes and blocks: {read:?}");
    read.dedup();
    assert_eq!(read.len(), 3, "{read:?}");
}

#[test]
fn other_keys_for_keyed_states_that_all_go_leave_what_the_drops_alone_leave() {
    let mut job = Job::<HeapBackends>::new(1, small());
    let call = Call { what: 0, spaced: false, key: 1, namespace: 0, user_key: 0, amount: 7 };
    // One of an operator's list, whose entries are looked at.
    [call, Call { what: 30, ..call }].into_iter().for_each(|call| job.call(call));
    job.checkpoint(true);
    let manifest = job.last();
    let mut plan = RewritePlan::default();
    for info in &manifest.operators[0].states {
        let of_state = plan.state(UID, &info.name);
        of_state.drop = info.kind.is_keyed();
        if info.kind == StateKind::OperatorList {
            of_state.filter = Some("value > 1u".to_owned());
        }
    }
    let rewritten = |plan: &RewritePlan| {
        let path = format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint);
        let snapshot = block_on(open_snapshot(&job.store, &path.parse().unwrap())).unwrap();
        let target = new_store();
        let settings = SnapshotSettings::default();
        let done = rewrite(snapshot, plan, &target, Transport::Link, &settings, &|_| {});
        block_on(done).unwrap().manifest
    };
    let dropped = rewritten(&plan);
    assert_eq!(dropped.operators[0].key, None);
    plan.operator(UID).rekey = Some(rekey(0));
    assert_eq!(rewritten(&plan), dropped);
}

#[test]
fn keys_of_a_foreign_codec_are_replaced_by_keys_of_a_given_type_alone() {
    let (store, manifest) = timed::savepoint("shop", &[(1000, &[(1, 950, 1), (2, 950, 2)])]);
    let path = MANIFEST_NAME.parse().unwrap();
    let rekeyed = |step: &str| {
        let mut snapshot = block_on(open_snapshot(&store, &path)).unwrap();
        let key = snapshot.manifest.operators[0].key.as_mut().unwrap();
        key.codec = serde_json::from_str("\"postcard\"").unwrap();
        let plan = RewritePlan::from_toml(&format!("[operator.shop.rekey]\n{step}")).unwrap();
        let target = new_store();
        let settings = SnapshotSettings::default();
        let done = rewrite(snapshot, &plan, &target, Transport::Link, &settings, &|_| {});
        block_on(done).map(|done| lines::of(&target, &done.manifest).len())
    };
    assert_eq!(manifest.operators[0].key.as_ref().unwrap().codec, CodecId::ORDERED);
    let error = rekeyed("to = 'value'").unwrap_err().to_string();
    let said = "operator=shop rekey: keys have codec=postcard, not one of esker's: give type";
    assert_eq!(error, said);
    assert_eq!(rekeyed("to = 'value'\ntype = 'u64'").unwrap(), 2);
}
