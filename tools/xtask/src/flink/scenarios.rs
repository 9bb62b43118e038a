//! What is tried.

use super::lines::Lines;
use super::place::{Check, Place};
use std::path::{Path, PathBuf};

/// Something that the tool makes of a golden snapshot.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// The backends that can restore it.
    pub(super) backends: &'static [&'static str],
    pub(super) make: fn(&Place) -> Result<Check, String>,
}

const BOTH: &[&str] = &["hashmap", "rocksdb"];
const ROCKSDB: &[&str] = &["rocksdb"];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "as Flink wrote it", backends: BOTH, make: as_it_is },
    Scenario { name: "a uid renamed", backends: BOTH, make: renamed_uid },
    Scenario { name: "states and an operator dropped", backends: BOTH, make: dropped },
    Scenario { name: "max parallelism 128 -> 512", backends: BOTH, make: more_key_groups },
    Scenario { name: "max parallelism 1000 -> 96", backends: BOTH, make: fewer_key_groups },
    Scenario { name: "entries filtered", backends: BOTH, make: filtered },
    Scenario { name: "values edited", backends: BOTH, make: edited },
    Scenario { name: "native savepoint, a state renamed", backends: BOTH, make: native },
    Scenario { name: "compressed savepoint, max parallelism 512", backends: BOTH, make: snappy },
    Scenario { name: "SQL rows, max parallelism 128 -> 300", backends: BOTH, make: sql },
    Scenario { name: "incremental checkpoint, copied", backends: ROCKSDB, make: copied },
    Scenario { name: "incremental checkpoint, rewritten", backends: ROCKSDB, make: incremental },
    Scenario { name: "Flink -> esker -> Flink", backends: BOTH, make: round_trip },
    Scenario { name: "Flink -> esker -> Flink, 512", backends: BOTH, make: wider_round_trip },
    Scenario { name: "older Flink -> esker -> Flink", backends: BOTH, make: from_older },
    Scenario { name: "esker -> Flink", backends: BOTH, make: born_here },
];

/// The lines of jobs in golden snapshots: their spec, keys, and the records that they had seen.
const DEV: &str = "DevSpec-60-p2m128-120.jsonl";
const DEV_1000: &str = "DevSpec-60-p4m1000-120.jsonl";
const COMPACT: &str = "DevCompactSpec-150-p2m128-300.jsonl";
const SQL: &str = "SqlWriter-50-p2m128-150.jsonl";

/// The types of what COMPACT holds, as esker's own.
const COMPACT_SCHEMA: &str = include_str!("compact-schema.json");

/// Makes `target` of a golden savepoint whose operators the metadata may not name.
fn rewritten(place: &Place, golden: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    rewritten_from(place, &place.golden(golden), arguments)
}

fn rewritten_from(place: &Place, source: &Path, arguments: &[&str]) -> Result<PathBuf, String> {
    let target = place.path("rewritten");
    let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"rewrite", &source, &target];
    words.extend(arguments.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
    place.esker(&words)?;
    Ok(target)
}

/// Names for `--uid`, as metadata before version 5 has none.
const USERS: [&str; 2] = ["--uid", "users"];

/// That the lab works: nothing is made.
fn as_it_is(place: &Place) -> Result<Check, String> {
    let check = place.check(&place.golden("savepoint-canonical"), &place.expected(DEV)?)?;
    Ok(check.parallelism(3).job("DevSpec", 60, 120, 50))
}

fn renamed_uid(place: &Place) -> Result<Check, String> {
    let [uid, users] = USERS;
    let steps = [uid, users, "--rename-operator", "users=people of all kinds"];
    let made = rewritten(place, "savepoint-canonical", &steps)?;
    let lines = place.expected(DEV)?.renamed("users", "people of all kinds");
    Ok(place.check(&made, &lines)?.parallelism(3))
}

fn dropped(place: &Place) -> Result<Check, String> {
    let made = rewritten(
        place,
        "savepoint-canonical",
        &[
            "--uid=users",
            "--uid=orders",
            "--uid=buffer",
            "--drop-operator=orders",
            "--drop-state=users/generic",
            "--drop-state=users/ttl-map",
            "--drop-state=users/_timer_state/event_user-timers",
            "--drop-state=buffer/pending",
        ],
    )?;
    let lines = place
        .expected(DEV)?
        .without_operator("orders")
        .without_state("users", "generic")
        .without_state("users", "ttl-map")
        .without_state("users", "_timer_state/event_user-timers")
        .without_state("buffer", "pending");
    place.check(&made, &lines)
}

fn more_key_groups(place: &Place) -> Result<Check, String> {
    let steps = ["--max-parallelism=512", "--parallelism=3"];
    let made = rewritten(place, "savepoint-canonical", &steps)?;
    let check = place.check(&made, &place.expected(DEV)?)?;
    Ok(check.parallelism(5).job("DevSpec", 60, 120, 50).max_parallelism(512))
}

fn fewer_key_groups(place: &Place) -> Result<Check, String> {
    let made = rewritten(place, "savepoint-canonical-p4m1000", &["--max-parallelism=96"])?;
    let check = place.check(&made, &place.expected(DEV_1000)?)?;
    Ok(check.parallelism(3).job("DevSpec", 60, 120, 50).max_parallelism(96))
}

fn filtered(place: &Place) -> Result<Check, String> {
    let made = rewritten(
        place,
        "savepoint-canonical",
        &[
            "--uid=users",
            "--uid=orders",
            "--filter-state=users/long=value > 60000000",
            "--filter-state=users/pojo=value.level == 'GOLD' && value.street != null",
            "--filter-state=users/map=userKey != 'm1'",
            "--filter-state=orders/tags=size(value) > 2",
        ],
    )?;
    let number = |text: &str| text.parse().unwrap_or(0_i64);
    let lines = place
        .expected(DEV)?
        .filtered("users", "long", |value| number(value) > 60_000_000)
        .filtered("users", "pojo", |value| {
            value.contains(r#""level":"GOLD""#) && !value.contains(r#""street":null"#)
        })
        .filtered("orders", "tags", |value| value.split(',').count() > 2)
        .kept(|line| !(line.contains(r#""state":"map""#) && line.contains(r#""userKey":"m1""#)));
    Ok(place.check(&made, &lines)?.parallelism(1))
}

fn edited(place: &Place) -> Result<Check, String> {
    let made = rewritten(
        place,
        "savepoint-canonical",
        &[
            "--uid=users",
            "--uid=buffer",
            r#"--step=users/long=set.to = "value * 2""#,
            r#"--step=users/string=set.to = "value + ' – ünï 🎉'""#,
            r#"--step=users/pojo=set = { field = "street", to = "'Große Straße'" }"#,
            r#"--step=users/map=set.to = "it - 1""#,
            r#"--step=users/ttl-value=set.to = "'other'""#,
            r#"--step=users/list=set = { field = "[]", to = "it + 1" }"#,
            r#"--step=buffer/pending=set.to = "'x' + it""#,
        ],
    )?;
    let add = |text: &str, by: i64| (text.parse().unwrap_or(0_i64) + by).to_string();
    let lines = place
        .expected(DEV)?
        .edited("users", "long", |value| add(value, value.parse().unwrap_or(0)))
        .edited("users", "string", |value| format!("{} – ünï 🎉\"", value.trim_end_matches('"')))
        .edited("users", "pojo", with_street)
        .edited("users", "map", |value| add(value, -1))
        .edited("users", "ttl-value", |_| "\"other\"".to_owned())
        .edited("users", "list", |value| {
            let each = value.trim_matches(['[', ']']).split(',').map(|element| add(element, 1));
            format!("[{}]", each.collect::<Vec<_>>().join(","))
        })
        .edited("buffer", "pending", |value| value.replacen('"', "\"x", 1));
    Ok(place.check(&made, &lines)?.parallelism(3))
}

fn with_street(pojo: &str) -> String {
    const NAME: &str = "\"street\":";
    let Some((before, rest)) = pojo.split_once(NAME) else { return pojo.to_owned() };
    let after = rest.find(",\"weight\"").map_or("", |at| &rest[at..]);
    format!("{before}{NAME}\"Große Straße\"{after}")
}

fn native(place: &Place) -> Result<Check, String> {
    let steps = ["--uid=users", "--rename-state=users/long=very long"];
    let made = rewritten(place, "savepoint-native", &steps)?;
    let lines = place.expected(DEV)?.renamed_state("users", "long", "very long");
    Ok(place.check(&made, &lines)?.parallelism(3))
}

fn snappy(place: &Place) -> Result<Check, String> {
    let made = rewritten(place, "savepoint-canonical-snappy", &["--max-parallelism=512"])?;
    let check = place.check(&made, &place.expected(DEV)?)?;
    Ok(check.parallelism(3).job("DevSpec", 60, 120, 50).max_parallelism(512))
}

fn sql(place: &Place) -> Result<Check, String> {
    let made = rewritten(place, "savepoint-canonical-sql", &["--max-parallelism=300"])?;
    Ok(place.check(&made, &place.expected(SQL)?)?.parallelism(3))
}

fn copied(place: &Place) -> Result<Check, String> {
    let copy = place.path("copy");
    place.esker(&[&"copy", &place.last_checkpoint("checkpoint-incremental")?, &copy])?;
    let check = place.check(&copy, &place.expected(COMPACT)?)?;
    Ok(check.parallelism(3).job("DevCompactSpec", 150, 300, 50))
}

fn incremental(place: &Place) -> Result<Check, String> {
    let source = place.last_checkpoint("checkpoint-incremental-p3m1000")?;
    let made = rewritten_from(place, &source, &["--max-parallelism=128", "--parallelism=2"])?;
    let lines = place.expected("DevCompactSpec-150-p3m1000-300.jsonl")?;
    let check = place.check(&made, &lines)?;
    Ok(check.parallelism(3).job("DevCompactSpec", 150, 300, 50).max_parallelism(128))
}

/// To esker's savepoint and back.
fn there_and_back(place: &Place, max_parallelism: &str) -> Result<PathBuf, String> {
    let there = place.path("esker");
    place.esker(&[&"convert", &place.golden("savepoint-canonical"), &there])?;
    back(place, &there, max_parallelism)
}

/// A savepoint of Flink's of esker's at `there`.
fn back(place: &Place, there: &Path, max_parallelism: &str) -> Result<PathBuf, String> {
    let back = place.path("flink");
    place.esker(&[&"verify", &there])?;
    let version = place.feature_version();
    place.esker(&[
        &"convert",
        &there,
        &back,
        &"--flink-version",
        &version,
        &"--max-parallelism",
        &max_parallelism,
    ])?;
    Ok(back)
}

fn round_trip(place: &Place) -> Result<Check, String> {
    let check = place.check(&there_and_back(place, "128")?, &place.expected(DEV)?)?;
    Ok(check.parallelism(3).job("DevSpec", 60, 120, 50))
}

fn wider_round_trip(place: &Place) -> Result<Check, String> {
    let check = place.check(&there_and_back(place, "512")?, &place.expected(DEV)?)?;
    Ok(check.parallelism(1).job("DevSpec", 60, 120, 50).max_parallelism(512))
}

/// From the version before: of 2.3 that is another major one, whose Kryo it does not read.
fn from_older(place: &Place) -> Result<Check, String> {
    let there = place.path("esker");
    let uids = ["--uid=users", "--uid=orders", "--uid=minutes", "--uid=buffer"];
    let [users, orders, minutes, buffer] = &uids;
    let source = place.older_golden("savepoint-canonical");
    place.esker(&[
        &"convert",
        &source,
        &there,
        users,
        orders,
        minutes,
        buffer,
        &"--skip-opaque",
    ])?;
    let lines = place.expected(DEV)?.without_state("users", "generic");
    Ok(place.check(&back(place, &there, "256")?, &lines)?.parallelism(3))
}

/// A savepoint that never was Flink's, of the types that a job of Flink's has.
fn born_here(place: &Place) -> Result<Check, String> {
    let lines: Lines = place.expected(COMPACT)?;
    let schema = place.write("schema.json", COMPACT_SCHEMA)?;
    let text = place.write("lines.jsonl", &lines.text())?;
    let (born, made) = (place.path("esker"), place.path("flink"));
    place.esker(&[&"load", &"--schema", &schema, &"--job=born", &born, &text])?;
    let version = place.feature_version();
    let how: [&str; 3] = ["--flink-version", &version, "--max-parallelism=128"];
    place.esker(&[&"convert", &born, &made, &how[0], &how[1], &how[2], &"--parallelism=2"])?;
    // Its source begins anew: the job sees no further records.
    Ok(place.check(&made, &lines)?.parallelism(3).job("DevCompactSpec", 150, 300, 0))
}
