//! Random plans on random snapshots of every kind of state: what a rewrite leaves is what a model makes
//! of the canonical lines. `ESKER_SOAK` says how many cases run.

use crate::identity::job::{self, Job};
use esker::backend::heap::HeapBackends;
use esker::format::manifest::Manifest;
use esker::processor::{RewritePlan, Transport, rehearse, rewrite};
use esker::snapshot::{MANIFEST_NAME, SnapshotSettings, open_snapshot};
use esker::{Store, block_on};
use esker_conformance::every::{UID, settings as small};
use esker_conformance::lines;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

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

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
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
fn plan(manifest: &Manifest, steps: &[Step], filter: Option<usize>) -> (RewritePlan, Vec<String>) {
    let states = &manifest.operators[0].states;
    let renames = |step: &Step| matches!(step, Step::Rename | Step::RenameAndFilter(_));
    let renamed: Vec<usize> = (0..states.len()).filter(|at| renames(&steps[*at])).collect();
    let mut plan =
        RewritePlan { filter: filter.map(|at| PREDICATES[at].0.into()), ..Default::default() };
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
    }
    (plan, names)
}

fn predicate(keyed: bool, by: usize) -> usize {
    if keyed { by } else { KEYLESS[by % KEYLESS.len()] }
}

/// What the plan makes of `line`.
fn modelled(
    line: &str,
    manifest: &Manifest,
    (steps, filter, names): (&[Step], Option<usize>, &[String]),
) -> Option<String> {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut states = manifest.operators[0].states.iter();
    let at = states.position(|info| value["state"] == info.name.as_str()).unwrap();
    let info = &manifest.operators[0].states[at];
    let keyed = info.kind.is_keyed();
    let by = match &steps[at] {
        Step::Drop => return None,
        Step::Filter(by) | Step::RenameAndFilter(by) => Some(predicate(keyed, *by)),
        Step::Nothing | Step::Rename => None,
    };
    let mut all = by.into_iter().chain(filter.filter(|_| keyed));
    if !all.all(|by| PREDICATES[by].1(&value)) {
        return None;
    }
    let head = |uid: &str, state: &str| format!(r#"{{"operator":"{uid}","state":"{state}","#);
    let rest = line.strip_prefix(&head(UID, &info.name)).unwrap();
    Some(format!("{}{rest}", head("renamed", &names[at])))
}

#[test]
fn what_a_plan_makes_of_a_snapshot_is_what_a_model_makes_of_its_lines() {
    let config = Config { cases: soak::count(400), failure_persistence: None, ..Config::default() };
    let calls = proptest::collection::vec(job::call(), 0..250);
    let epochs = proptest::collection::vec(calls, 1..5);
    let filter = prop::option::weighted(0.3, 0..PREDICATES.len());
    let strategy = (1..4_u32, epochs, steps(), filter, any::<bool>());
    TestRunner::new(config)
        .run(&strategy, |(parallelism, epochs, steps, filter, rescaled)| {
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
            let (plan, names) = plan(&manifest, &steps, filter);
            prop_assume!(plan.check(&manifest).is_ok());
            let path = format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint).parse().unwrap();
            let open = || block_on(open_snapshot(&job.store, &path)).unwrap();
            let target = Store::open("memory://").unwrap();
            let settings = SnapshotSettings { threads: 2, ..small() };
            let done = rewrite(open(), &plan, &target, Transport::Link, &settings, &|_| {});
            let done = block_on(done).unwrap();
            let found = lines::of(&target, &done.manifest);
            let source = lines::of(&job.store, &manifest);
            let of_model = (&steps[..], filter, &names[..]);
            let expected = source.iter().filter_map(|line| modelled(line, &manifest, of_model));
            let difference = lines::difference(&found, &lines::sorted(expected.collect()));
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
