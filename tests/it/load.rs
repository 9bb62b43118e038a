//! Savepoints made of entries from elsewhere: what a snapshot's lines say comes back, whatever it is loaded from, and what
//! does not fit is told.

mod typed;
mod wrong;

use crate::identity::job::{self, Job};
use esker::backend::heap::HeapBackends;
use esker::format::canonical::{DynamicEntry, Line};
use esker::format::manifest::{Manifest, StateKind, TypeInfo};
use esker::format::{Schema, Value};
use esker::processor::load::{Bootstrap, COLUMNS, Csv, Input, Jsonl, SortedEntries, Template};
use esker::snapshot::{MANIFEST_NAME, OpenSnapshot, open_snapshot};
use esker::{Store, block_on};
use esker_conformance::every::settings;
use esker_conformance::lines;
use esker_conformance::store::new_store;
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the entries come from.
#[derive(Debug, Clone, Copy)]
enum From {
    Jsonl,
    Csv,
    Values,
    #[cfg(feature = "parquet")]
    Parquet,
}

const FROM: &[From] = &[
    From::Jsonl,
    From::Csv,
    From::Values,
    #[cfg(feature = "parquet")]
    From::Parquet,
];

/// A golden savepoint and the lines that it says.
fn golden(name: &str) -> (OpenSnapshot, Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("format/esker/golden/v1/savepoints");
    let store = Store::open(root.join(name).to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &MANIFEST_NAME.parse().unwrap())).unwrap();
    let said = std::fs::read_to_string(root.join(format!("{name}.jsonl"))).unwrap();
    (snapshot, said.lines().map(str::to_owned).collect())
}

/// The lines as a program has them that knows their types as schemas alone.
fn dynamic(manifest: &Manifest, line: &str) -> DynamicEntry {
    let line = Line::parse(line).unwrap();
    let operator = manifest.operators.iter().find(|o| o.uid == line.operator).unwrap();
    let info = operator.states.iter().find(|info| info.name == line.state).unwrap();
    let many = |schema: Schema| match info.kind {
        StateKind::List => Schema::Seq(Box::new(schema)),
        _ => schema,
    };
    let of =
        |json: Option<&str>, schema: Schema| Value::parse_json(&schema, json.unwrap()).unwrap();
    let member = |json: Option<&str>, info: &Option<TypeInfo>| {
        info.as_ref().map(|info| of(json, info.schema.clone()))
    };
    DynamicEntry {
        operator: line.operator.to_string(),
        state: line.state.to_string(),
        key: operator
            .key
            .as_ref()
            .filter(|_| info.kind.is_keyed())
            .map(|key| of(line.key, key.schema.clone())),
        namespace: member(line.namespace, &info.namespace),
        user_key: member(line.user_key, &info.user_key),
        value: Some(match &info.value {
            Some(value) => of(line.value, many(value.schema.clone())),
            None => of(line.value, Schema::I64),
        }),
        ttl: info.ttl.map(|_| of(line.ttl, many(Schema::I64))),
    }
}

fn csv_of(all: &[String]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).unwrap();
    for line in all {
        let Line { operator, state, kind, key, namespace, user_key, value, ttl } =
            Line::parse(line).unwrap();
        let json = [key, namespace, user_key, value, ttl];
        let json = json.map(|json| json.filter(|json| *json != "null").unwrap_or(""));
        writer.write_record([&*operator, &*state, &*kind].into_iter().chain(json)).unwrap();
    }
    writer.into_inner().unwrap()
}

/// A Parquet file, in the types that the states of a manifest agree in.
#[cfg(feature = "parquet")]
fn parquet_of(manifest: &Manifest, all: &[String]) -> std::fs::File {
    use esker::processor::columnar::{Writer, shapes};
    let mut file = tempfile::tempfile().unwrap();
    let operators = manifest.operators.iter();
    let states = operators.flat_map(|o| o.states.iter().map(|info| (o.key.as_ref(), info)));
    let mut writer = Writer::new(&mut file, &shapes(states)).unwrap();
    all.iter().for_each(|line| writer.write(&Line::parse(line).unwrap()).unwrap());
    writer.finish().unwrap();
    file
}

fn read(bootstrap: &mut Bootstrap<'_>, input: impl Input) -> u64 {
    let mut told = 0;
    bootstrap.read(input, &mut |lines| told += lines).unwrap();
    told
}

/// All of `all`, in the order in which it is there.
fn loaded<'t>(
    template: &'t Template,
    from: From,
    parallelism: Option<u32>,
    all: &[String],
) -> SortedEntries<'t> {
    let mut bootstrap = Bootstrap::new(template, parallelism).unwrap();
    let told = match from {
        From::Jsonl => read(&mut bootstrap, Jsonl::new(all.join("\n").as_bytes())),
        From::Csv => read(&mut bootstrap, Csv::new(&*csv_of(all))),
        #[cfg(feature = "parquet")]
        From::Parquet => {
            let rows = esker::processor::columnar::Rows::open(parquet_of(template.manifest(), all));
            read(&mut bootstrap, rows.unwrap())
        }
        From::Values => {
            let entries = all.iter().map(|line| dynamic(template.manifest(), line));
            entries.map(|entry| bootstrap.add(&entry).unwrap()).count() as u64
        }
    };
    let sorted = bootstrap.finish().unwrap();
    assert_eq!(sorted.problems(), []);
    assert_eq!((sorted.count(), told), (all.len() as u64, all.len() as u64));
    sorted
}

/// The lines of the savepoint that comes of it, sorted.
fn said(sorted: &SortedEntries<'_>, parallelism: u32) -> Vec<String> {
    let (target, told) = (new_store(), AtomicU64::new(0));
    let tell = |entries| {
        told.fetch_add(entries, Ordering::Relaxed);
    };
    // An engine may write on any thread.
    fn sent<T: Send>(writing: T) -> T {
        writing
    }
    let written = block_on(sent(sorted.write(&target, &settings(), &tell))).unwrap();
    // Of a list it is told once.
    let told = told.into_inner();
    assert!(told <= written.entries && (told > 0) == (sorted.count() > 0));
    for operator in &written.manifest.operators {
        assert_eq!(operator.parts.len() as u32, parallelism);
    }
    // A second time all of it is there.
    let again = block_on(sorted.write(&target, &settings(), &|_| {})).unwrap();
    assert_eq!((again.written.files, again.present.files), (0, written.written.files));
    lines::of(&target, &written.manifest)
}

#[test]
fn the_lines_of_random_snapshots_come_back_in_any_order_at_any_parallelism_from_anywhere() {
    let config = Config { cases: soak::count(300), failure_persistence: None, ..Config::default() };
    let calls = proptest::collection::vec(job::call(), 0..250);
    let epochs = proptest::collection::vec(calls, 1..4);
    let strategy =
        (1..4_u32, epochs, prop::sample::select(FROM), prop::option::of(1..6_u32), any::<u64>());
    TestRunner::new(config)
        .run(&strategy, |(of_job, epochs, from, parallelism, seed)| {
            let mut job = Job::<HeapBackends>::new(of_job, settings());
            for calls in epochs {
                calls.into_iter().for_each(|call| job.call(call));
                job.checkpoint(true);
            }
            let manifest = job.last();
            let path = format!("chk-{}-1/{MANIFEST_NAME}", manifest.checkpoint).parse().unwrap();
            let snapshot = block_on(open_snapshot(&job.store, &path)).unwrap();
            let expected = lines::of(&job.store, manifest);
            let template = Template::of_snapshot(snapshot).unwrap();
            let mut all = expected.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut all);
            let sorted = loaded(&template, from, parallelism, &all);
            let found = said(&sorted, parallelism.unwrap_or(of_job));
            let difference = lines::difference(&found, &expected);
            prop_assert!(difference.is_empty(), "{:?}: {:#?}", from, difference);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_kind_and_type_comes_back_from_anywhere() {
    for name in ["every-kind", "every-type"] {
        let (snapshot, expected) = golden(name);
        let template = Template::of_snapshot(snapshot).unwrap();
        for from in FROM {
            let sorted = loaded(&template, *from, Some(3), &expected);
            let difference = lines::difference(&said(&sorted, 3), &expected);
            assert!(difference.is_empty(), "{name} {from:?}: {difference:#?}");
        }
    }
}
