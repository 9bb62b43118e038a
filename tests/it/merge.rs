//! Snapshots that become one, and one that becomes several: what comes of random ones is what a model makes of
//! their canonical lines. `ESKER_SOAK` says how many cases run.

use crate::identity::job::{self, Job};
use crate::timed::{self, SEEN};
use esker::backend::heap::HeapBackends;
use esker::format::manifest::{Manifest, StateInfo, Ttl, TtlUpdate};
use esker::processor::{
    Clash, OperatorSplit, RewritePlan, Rewritten, SplitPlan, Transport, merge, rewrite, split,
};
use esker::snapshot::{MANIFEST_NAME, OpenSnapshot, SnapshotSettings, open_snapshot};
use esker::{ErrorKind, Result, Store, block_on};
use esker_conformance::every::{Call, UID, settings as small};
use esker_conformance::lines;
use esker_conformance::store::new_store;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn settings() -> SnapshotSettings {
    SnapshotSettings { threads: 2, ..small() }
}

fn open(store: &Store, manifest: &Manifest) -> OpenSnapshot {
    let path = match manifest.kind {
        esker::format::manifest::SnapshotKind::Savepoint => MANIFEST_NAME.to_owned(),
        _ => format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint),
    };
    block_on(open_snapshot(store, &path.parse().unwrap())).unwrap()
}

fn merged(snapshots: Vec<OpenSnapshot>, clash: Clash, target: &Store) -> Result<Manifest> {
    let written = block_on(merge(snapshots, clash, target, &settings(), &|_| {}))?;
    Ok(written.manifest)
}

fn rewritten(snapshot: OpenSnapshot, plan: &RewritePlan) -> (Store, Manifest) {
    let (target, settings) = (new_store(), settings());
    let done = rewrite(snapshot, plan, &target, Transport::Link, &settings, &|_| {});
    let manifest = block_on(done).unwrap().manifest;
    (target, manifest)
}

fn dealt(
    snapshot: OpenSnapshot,
    plan: &SplitPlan,
    targets: &[(&str, Store)],
) -> Result<Vec<Rewritten>> {
    block_on(split(snapshot, plan, targets, Transport::Link, &settings(), &|_| {}))
}

fn values(store: &Store, manifest: &Manifest) -> Vec<Value> {
    let lines = lines::of(store, manifest);
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sorted(lines: impl IntoIterator<Item = Value>) -> Vec<String> {
    lines::sorted(lines.into_iter().map(|line| line.to_string()).collect())
}

/// What lines clash by, but for lists of operator state: those of one key and namespace, and of one key of
/// broadcast state.
fn place(line: &Value) -> Option<[String; 4]> {
    let part = |member: &str| line.get(member).map_or(String::new(), Value::to_string);
    let user_key = match line["kind"].as_str().unwrap() {
        "operator-list" | "operator-union" => return None,
        "operator-broadcast" => part("userKey"),
        _ => String::new(),
    };
    Some([part("state"), part("key"), part("namespace"), user_key])
}

/// Of both, what clashes from the second; and whether something does.
fn modelled(first: &[Value], second: &[Value]) -> (Vec<String>, bool) {
    let places: BTreeSet<_> = second.iter().filter_map(place).collect();
    let stays = |line: &&Value| place(line).is_none_or(|place| !places.contains(&place));
    let stay: Vec<Value> = first.iter().filter(stays).cloned().collect();
    let alike: BTreeSet<_> = second.iter().map(Value::to_string).collect();
    // A key of broadcast state may be there twice with one value.
    let is_alike =
        |line: &&Value| line["kind"] == "operator-broadcast" && alike.contains(&line.to_string());
    let clashes = first.iter().any(|line| !stays(&line) && !is_alike(&line));
    (sorted(stay.into_iter().chain(second.iter().cloned())), clashes)
}

fn job(parallelism: u32, epochs: Vec<Vec<Call>>) -> Job<HeapBackends> {
    let mut job = Job::<HeapBackends>::new(parallelism, small());
    for calls in epochs {
        calls.into_iter().for_each(|call| job.call(call));
        job.checkpoint(true);
    }
    job
}

fn check(found: &[String], expected: &[String]) -> std::result::Result<(), TestCaseError> {
    let difference = lines::difference(found, expected);
    prop_assert!(difference.is_empty(), "{:#?}", difference);
    Ok(())
}

#[test]
fn what_becomes_of_several_snapshots_is_what_a_model_makes_of_their_lines() {
    let config = Config { cases: soak::count(300), failure_persistence: None, ..Config::default() };
    let calls = || proptest::collection::vec(job::call(), 0..120);
    let epochs = || proptest::collection::vec(calls(), 1..4);
    let strategy = ((1..4_u32, epochs()), (1..4_u32, epochs()), any::<bool>());
    TestRunner::new(config)
        .run(&strategy, |((of_a, epochs_a), (of_b, epochs_b), renamed)| {
            let (a, b) = (job(of_a, epochs_a), job(of_b, epochs_b));
            let open_a = || open(&a.store, a.last());
            // A part of the second, so that it often has no key of the first; under another name, or not.
            let mut plan =
                RewritePlan { filter: Some("key % 5u == 0u".into()), ..Default::default() };
            plan.operator(UID).rename = renamed.then(|| "other".to_owned());
            let (second, of_second) = rewritten(open(&b.store, b.last()), &plan);
            let open_second = || open(&second, &of_second);

            let (lines_a, lines_b) = (values(&a.store, a.last()), values(&second, &of_second));
            let (expected, clashes) = modelled(&lines_a, &lines_b);
            let clashes = clashes && !renamed;
            let expected = match renamed {
                true => sorted(lines_a.iter().chain(&lines_b).cloned()),
                false => expected,
            };
            let target = new_store();
            let both = merged(vec![open_a(), open_second()], Clash::LaterWins, &target).unwrap();
            check(&sorted(values(&target, &both)), &expected)?;
            // A second time all of it is there.
            merged(vec![open_a(), open_second()], Clash::LaterWins, &target).unwrap();

            let target = new_store();
            match merged(vec![open_a(), open_second()], Clash::Refuse, &target) {
                Ok(both) => {
                    prop_assert!(!clashes);
                    check(&sorted(values(&target, &both)), &expected)?;
                }
                Err(error) => {
                    prop_assert!(clashes, "{}", error);
                    prop_assert_eq!(error.kind(), ErrorKind::Invalid);
                    prop_assert!(block_on(target.list(None)).unwrap().is_empty());
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Which target an entry goes to, by its key or key group.
type Dealt = (&'static str, fn(&Value) -> bool);

const DEALT: [Dealt; 3] = [
    ("key % 2u == 0u ? 'here' : 'there'", |line| line["key"].as_u64().unwrap() % 2 == 0),
    ("keyGroup < 20000 ? 'here' : 'there'", |line| {
        use esker::format::{Key, KeyGroup};
        line["key"].as_u64().unwrap().with_encoded(KeyGroup::of).0 < 20_000
    }),
    ("state.startsWith('t') || ns == null ? 'here' : 'there'", |line| {
        line["state"].as_str().unwrap().starts_with('t') || line["namespace"].is_null()
    }),
];

#[test]
fn every_entry_goes_to_one_of_several_snapshots_and_all_of_them_together_are_what_it_was() {
    let config = Config { cases: soak::count(300), failure_persistence: None, ..Config::default() };
    let calls = proptest::collection::vec(job::call(), 0..250);
    let epochs = proptest::collection::vec(calls, 1..4);
    let whole = proptest::collection::vec(prop::option::weighted(0.2, any::<bool>()), 40);
    let strategy = (1..4_u32, epochs, 0..DEALT.len(), whole, any::<bool>());
    TestRunner::new(config)
        .run(&strategy, |(parallelism, epochs, by, whole, of_operator)| {
            let job = job(parallelism, epochs);
            let states = &job.last().operators[0].states;
            let (text, is_here) = DEALT[by];
            let names = |here: bool| if here { "here" } else { "there" };
            let whole: BTreeMap<&str, bool> = states
                .iter()
                .zip(whole)
                .filter_map(|(info, to)| Some((info.name.as_str(), to?)))
                .collect();
            let mut plan = SplitPlan::default();
            let of = plan.operator.entry(UID.to_owned()).or_default();
            of.state = whole.iter().map(|(name, to)| ((*name).into(), names(*to).into())).collect();
            match of_operator {
                true => of.by = Some(text.to_owned()),
                false => plan.by = Some(text.to_owned()),
            }
            let targets = [("here", new_store()), ("there", new_store())];
            let dealt = dealt(open(&job.store, job.last()), &plan, &targets).unwrap();

            let lines = values(&job.store, job.last());
            let goes = |line: &Value, here: bool| match whole.get(line["state"].as_str().unwrap()) {
                Some(to) => *to == here,
                None if line.get("key").is_none() => true,
                None => is_here(line) == here,
            };
            for ((number, here), (_, store)) in [true, false].into_iter().enumerate().zip(&targets)
            {
                let expected = lines.iter().filter(|line| goes(line, here)).cloned();
                check(&sorted(values(store, &dealt[number].manifest)), &sorted(expected))?;
            }
            // Keyed state of all of them is what it was, and what went to both is there twice, or once.
            let snapshots =
                targets.iter().zip(&dealt).map(|((_, store), one)| open(store, &one.manifest));
            let target = new_store();
            let both = merged(snapshots.collect(), Clash::Refuse, &target).unwrap();
            let twice = |line: &&Value| {
                let is_list = line["kind"] == "operator-list" || line["kind"] == "operator-union";
                is_list && !whole.contains_key(line["state"].as_str().unwrap())
            };
            let expected = lines.iter().chain(lines.iter().filter(twice)).cloned();
            check(&sorted(values(&target, &both)), &sorted(expected))
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_had_expired_in_one_does_not_come_back_and_what_one_shows_does_not_expire() {
    // Entries live for 100 ms. The second was captured later than the first.
    let first = timed::savepoint("first", &[(1000, &[(1, 950, 1), (2, 880, 2), (3, 990, 3)])]);
    let second = timed::savepoint("second", &[(2000, &[(4, 1950, 4), (5, 1890, 5), (3, 1700, 6)])]);
    let target = new_store();
    // Key 3 has expired in the second, so it clashes with nothing.
    let both =
        merged(vec![open(&first.0, &first.1), open(&second.0, &second.1)], Clash::Refuse, &target);
    let both = both.unwrap();
    let found = values(&target, &both);
    let found: Vec<_> =
        found.iter().map(|line| (line["key"].as_i64(), line["ttl"].as_i64())).collect();
    assert_eq!(found, [(Some(1), Some(950)), (Some(3), Some(990)), (Some(4), Some(1950))]);
    let part = open(&target, &both).parts[0][0].clone().unwrap();
    assert_eq!((part.states[0].ttl_time_ms, part.states[0].entries), (Some(1000), 3));
}

#[test]
fn a_key_of_two_snapshots_is_named_and_what_does_not_go_together_too() {
    let first = timed::savepoint("first", &[(1000, &[(1, 950, 1), (7, 960, 1)])]);
    let second = timed::savepoint("second", &[(1000, &[(7, 950, 2)])]);
    let both = || vec![open(&first.0, &first.1), open(&second.0, &second.1)];
    let target = new_store();
    let error = merged(both(), Clash::Refuse, &target).unwrap_err();
    let said = "operator=shop: state=seen key=7: snapshots 1 and 2 have it: say that the later one wins, or \
                filter it out of one";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, said));
    assert!(block_on(target.list(None)).unwrap().is_empty(), "another one can be written there");
    let written = merged(both(), Clash::LaterWins, &target).unwrap();
    let found: Vec<_> =
        values(&target, &written).iter().map(|line| line["value"].clone()).collect();
    assert_eq!(found, [1, 2]);

    let refused = |change: &dyn Fn(&mut Manifest), expected: &str| {
        let mut snapshots = both();
        change(&mut snapshots[1].manifest);
        let error = merged(snapshots, Clash::LaterWins, &new_store()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
        let expected = format!("operator=shop: {expected}: rewrite one of them first");
        assert_eq!(error.to_string(), expected);
    };
    fn seen(manifest: &mut Manifest) -> &mut StateInfo {
        &mut manifest.operators[0].states[0]
    }
    let key = "keys are \"u32\" by codec=ordered in snapshot 2, and \"u64\" by codec=ordered in one before";
    refused(&|m| m.operators[0].key.as_mut().unwrap().schema = esker::format::Schema::U32, key);
    refused(
        &|m| seen(m).kind = esker::format::manifest::StateKind::Reducing,
        "state=seen: it is of another kind in snapshot 2 than in one before",
    );
    refused(
        &|m| seen(m).value.as_mut().unwrap().codec = esker::format::CodecId::BINCODE2,
        "state=seen: its values have another type in snapshot 2 than in one before",
    );
    refused(
        &|m| seen(m).namespace = m.operators[0].key.clone(),
        "state=seen: namespaces have another type in snapshot 2 than in one before",
    );
    refused(
        &|m| {
            let ttl = Ttl { duration_ms: Some(7), update: TtlUpdate::Write };
            seen(m).ttl = Some(ttl);
        },
        "state=seen: it has another TTL in snapshot 2 than in one before",
    );
    let lies_there = merged(both(), Clash::Refuse, &first.0).unwrap_err();
    assert_eq!(lies_there.kind(), ErrorKind::Invalid);
    let damaged = both();
    let run = damaged[1].runs()[0].file.clone();
    block_on(second.0.delete(&run)).unwrap();
    let error = merged(damaged, Clash::LaterWins, &new_store()).unwrap_err();
    let path = format!("{}/{run}", second.0);
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(path.as_str())));
    assert!(error.to_string().contains("operator=shop: snapshot 2: "), "{error}");
    let none = merged(Vec::new(), Clash::Refuse, &new_store()).unwrap_err();
    assert_eq!(none.to_string(), "there is no snapshot");
    let twice = vec![open(&first.0, &first.1), open(&first.0, &first.1)];
    let twice = merged(twice, Clash::LaterWins, &new_store()).unwrap_err();
    assert!(twice.to_string().starts_with("snapshots 1 and 2 are the same"), "{twice}");
}

#[test]
fn lists_of_operator_state_that_cannot_be_read_are_told_with_their_snapshot() {
    let call = Call { what: 30, spaced: false, key: 1, namespace: 0, user_key: 0, amount: 7 };
    let (a, b) = (job(1, vec![vec![call]]), job(1, vec![vec![Call { amount: 8, ..call }]]));
    let parts = open(&b.store, b.last()).parts;
    let run = parts[0][0].as_ref().unwrap().operator_run.as_ref().unwrap().clone();
    let mut bytes = block_on(b.store.get(&run.file)).unwrap().unwrap().to_vec();
    // In its first block; its index is as it was.
    bytes[20] ^= 1;
    block_on(b.store.put(&run.file, bytes.into())).unwrap();
    let both = vec![open(&a.store, a.last()), open(&b.store, b.last())];
    let error = merged(both, Clash::Refuse, &new_store()).unwrap_err();
    let path = format!("{}/{}", b.store, run.file);
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(path.as_str())));
    assert!(error.to_string().contains(": snapshot 2: run block: digest differs"), "{error}");
}

#[test]
fn states_of_one_name_are_one_and_others_get_an_id_of_their_own() {
    let first = timed::savepoint("first", &[(1000, &[(1, 950, 1)]), (1000, &[])]);
    let mut second = timed::savepoint("second", &[(1000, &[(1, 950, 2)])]);
    // The id is that of another state of the first.
    let plan = RewritePlan::from_toml("operator.shop.state.seen.rename = 'other'").unwrap();
    second = rewritten(open(&second.0, &second.1), &plan);
    let target = new_store();
    let snapshots = || vec![open(&first.0, &first.1), open(&second.0, &second.1)];
    let both = merged(snapshots(), Clash::Refuse, &target).unwrap();
    let [operator] = &both.operators[..] else { panic!("{both:?}") };
    let ids: Vec<_> = operator.states.iter().map(|info| (info.id, info.name.as_str())).collect();
    assert_eq!(ids, [(SEEN, "seen"), (SEEN + 1, "other")]);
    assert_eq!((operator.parts.len(), both.job.as_str()), (2, "first"));
    let found = values(&target, &both);
    let found: Vec<_> =
        found.iter().map(|line| (line["state"].clone(), line["value"].clone())).collect();
    assert_eq!(found, [("other".into(), 2.into()), ("seen".into(), 1.into())]);
}

#[test]
fn a_split_says_where_everything_goes() {
    let (store, manifest) = timed::savepoint("first", &[(1000, &[(1, 950, 1), (2, 950, 1)])]);
    let dealt =
        |plan: &SplitPlan, targets: &[(&str, Store)]| dealt(open(&store, &manifest), plan, targets);
    let refused = |toml: &str, expected: &str| {
        let targets = [("a", new_store()), ("b", new_store())];
        let plan = SplitPlan::from_toml(toml).unwrap();
        let error = dealt(&plan, &targets).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, expected));
        for (_, store) in &targets {
            assert!(block_on(store.list(None)).unwrap().is_empty(), "{toml}");
        }
    };
    refused(
        "",
        "operator=shop state=seen: nothing says where it goes: name a target for it, or give by",
    );
    refused("operator.shop.to = 'a'", "the target \"b\" gets nothing");
    let none = "operator=shop: there is no target \"c\"; there are [\"a\", \"b\"]";
    refused("operator.shop.to = 'c'", none);
    refused("operator.shop.state.seen = 'c'", none);
    refused(
        "operator.shop = { to = 'a', by = '\"b\"' }",
        "operator=shop: all of it goes to one target, and more is said of it",
    );
    refused(
        "operator.shop.state.gone = 'a'",
        "operator=shop: it has no state \"gone\"; it has [\"seen\"]",
    );
    refused(
        "by = \"key == 1u ? 'a' : 'c'\"",
        "target=a: operator=shop: state=seen key=2: by: it gives \"c\", and targets are [\"a\", \"b\"]",
    );
    refused(
        "by = \"key == 1u ? 'a' : key\"",
        "target=a: operator=shop: state=seen key=2: by: it gives 2, and targets are [\"a\", \"b\"]",
    );
    let by = SplitPlan { by: Some("key == 1u ? 'a' : 'b'".into()), ..SplitPlan::default() };
    let one = new_store();
    let error = dealt(&by, &[("a", one.clone()), ("b", one)]).unwrap_err();
    assert_eq!(error.to_string(), "the targets \"a\" and \"b\" are one folder");
    let error = dealt(&by, &[("a", new_store()), ("a", new_store())]).unwrap_err();
    assert_eq!(error.to_string(), "two targets are called \"a\"");
    let first = new_store();
    let error = dealt(&by, &[("a", first.clone()), ("b", store.clone())]).unwrap_err();
    assert!(error.to_string().starts_with("target=b: the snapshot lies there"), "{error}");
    assert!(block_on(first.list(None)).unwrap().is_empty());

    let mut to = SplitPlan::default();
    to.operator.insert("shop".into(), OperatorSplit { to: Some("a".into()), ..Default::default() });
    let whole = dealt(&to, &[("a", new_store())]).unwrap();
    assert!(whole[0].left.is_empty() && whole[0].written.files > 0, "no entry is looked at");
}
