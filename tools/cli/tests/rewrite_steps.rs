//! Steps of `esker rewrite` that change entries and their types: what it says, and what it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;

use esker::backend::Backend;
use esker::backend::heap::HeapBackend;
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::snapshot::{SnapshotSettings, open_snapshot};
use esker::state::{ListDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor};
use esker::{Store, block_on};
use run::esker;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    total: Money,
    note: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Money {
    cents: u16,
    tax: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Late { minutes: u8, why: String },
}

fn order(cents: u16, kind: Kind) -> Order {
    Order { total: Money { cents, tax: 1 }, note: Some("n".to_owned()), kind }
}

/// A folder with the checkpoint of a job, captured at 1000 ms.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("job").to_str().unwrap()).unwrap();
    let mut job = block_on(LocalJob::open(store, "shop")).unwrap();
    let mut backend = job.backend("orders", KeyGroupRange::ALL);
    let orders = backend.open(ValueDescriptor::<String, Order>::new("order")).unwrap();
    let lines = backend.open(ListDescriptor::<String, Money>::new("lines")).unwrap();
    let seen = ValueDescriptor::<String, u8>::new("seen").with_ttl(TtlConfig::new(500));
    let seen = backend.open(seen).unwrap();
    let wake = backend.open(TimerDescriptor::<String, ()>::event("wake")).unwrap();
    block_on(job.restore(&mut backend)).unwrap();
    let late = Kind::Late { minutes: 9, why: "rain".to_owned() };
    for (key, order) in [("a", order(100, Kind::Plain)), ("b", order(250, late))] {
        let key = key.to_owned();
        backend.state(orders).unwrap().update(&key, &(), order.clone()).unwrap();
        for cents in [1, order.total.cents] {
            backend.state(lines).unwrap().append(&key, &(), Money { cents, tax: 0 }).unwrap();
        }
        backend.state(wake).unwrap().register(7, &key, &()).unwrap();
    }
    for (key, time_ms, value) in [("a", 600, 1), ("b", 900, 2)] {
        backend.set_time_ms(time_ms);
        backend.state(seen).unwrap().update(&key.to_owned(), &(), value).unwrap();
    }
    backend.set_time_ms(1000);
    block_on(job.checkpoint(&mut [backend])).unwrap();
    folder
}

fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, &[&["rewrite"], args].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

/// The lines of a state: key, value and time.
fn dumped(folder: &Path, name: &str, state: &str) -> Vec<String> {
    let args = ["dump", "--sorted", "--state", state, name];
    let (code, out, err) = esker(folder, &args);
    assert_eq!((code, err.as_str()), (0, ""), "{name}");
    let line = |line: &str| {
        let (_, rest) = line.split_once(r#","key":"#).unwrap();
        rest.replace(r#","namespace":null,"value""#, "").trim_end_matches('}').to_owned()
    };
    out.lines().map(line).collect()
}

/// Runs steps of one state, the same by a plan as by arguments, and looks at what is left of it.
fn stepped(state: &str, steps: &[&str], more: &[&str]) -> (Vec<String>, String) {
    let folder = made();
    let folder = folder.path();
    let named: Vec<String> = steps.iter().map(|step| format!("orders/{state}={step}")).collect();
    let mut args = vec!["job", "new"];
    named.iter().for_each(|step| args.extend(["--step", step.as_str()]));
    args.extend(more);
    let said = ok(folder, &args);
    let plan: String = steps
        .iter()
        .map(|step| format!("[[operator.orders.state.{state}.steps]]\n{step}\n"))
        .collect();
    std::fs::write(folder.join("plan.toml"), plan).unwrap();
    ok(folder, &[&["job", "planned", "--plan", "plan.toml"], more].concat());
    let lines = dumped(folder, "new", state);
    assert_eq!(dumped(folder, "planned", state), lines);
    let (code, out, err) = esker(folder, &["verify", "new"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for other in ["order", "lines", "seen", "wake"].iter().filter(|other| **other != state) {
        assert_eq!(dumped(folder, "new", other), dumped(folder, "job", other));
    }
    let rehearsed = ok(folder, &[&args[..], &["--dry-run"]].concat());
    let steps = |said: &str| {
        said.lines().map(str::to_owned).filter(|l| !l.contains(": checkpoint ")).collect::<Vec<_>>()
    };
    assert_eq!(steps(&rehearsed), steps(&said));
    // A second time all of it is there.
    let again = ok(folder, &args);
    assert!(again.contains("linked 0 files, 0 bytes; written 0 files, 0 bytes; "), "{again}");
    (lines, said)
}

#[test]
fn values_and_parts_of_them_are_set() {
    let steps = [
        "set = { field = 'total.cents', to = 'it * 2u + value.total.tax' }",
        "set = { field = 'kind::Late.minutes', to = \"key == 'b' ? 10 : 0\" }",
        "set = { field = 'note', to = \"value.total.cents > 300u ? null : it + '!'\" }",
    ];
    let (lines, said) = stepped("order", &steps, &[]);
    let a = r#""a":{"total":{"cents":201,"tax":1},"note":"n!","kind":"Plain""#;
    let b = r#""b":{"total":{"cents":501,"tax":1},"note":null,"kind":{"Late":{"minutes":10,"why":"rain""#;
    assert_eq!(lines, [a, b]);
    let first = "set orders/order total.cents = it * 2u + value.total.tax: 2 entries, ";
    let steps: Vec<&str> = said.lines().take(3).collect();
    assert!(
        said.starts_with(first) && steps.iter().all(|line| line.contains("; left 2 entries, "))
    );

    let whole = "set.to = \"{'kind': {'Late': {'why': key, 'minutes': 3}}, 'note': null, 'total': value.total}\"";
    let (lines, _) = stepped("order", &[whole], &[]);
    let a =
        r#""a":{"total":{"cents":100,"tax":1},"note":null,"kind":{"Late":{"minutes":3,"why":"a""#;
    assert_eq!(lines[0], a);

    let each = "set = { field = '[].cents', to = 'it + 1' }";
    let each_of_type = "set = { field = '[].cents', to = 'it + 1u' }";
    let (lines, _) = stepped("lines", &[each_of_type], &[]);
    assert_eq!(lines[0], r#""a":[{"cents":2,"tax":0},{"cents":101,"tax":0}]"#);
    let (lines, said) =
        stepped("lines", &["set.to = 'value.filter(line, line.cents > 100u)'"], &[]);
    assert_eq!(lines, [r#""b":[{"cents":250,"tax":0}]"#]);
    assert!(said.contains("; left 1 entries, "), "{said}");
    let refused =
        esker(made().path(), &["rewrite", "job", "new", "--step", &format!("orders/lines={each}")]);
    assert!(refused.0 == 1 && refused.2.contains("set: "), "{refused:?}");
}

#[test]
fn fields_go_and_come_in_the_type_and_in_each_value() {
    let steps = [
        "delete_field = 'total.tax'",
        "delete_field = 'kind::Late.why'",
        "add_field = { field = 'total.euros', type = 'f64', to = 'double(it.cents) / 100.0' }",
        "add_field = { field = 'by', type = { option = 'string' }, to = \"key == 'a' ? key : null\" }",
        "filter = 'value.total.euros > 0.0'",
        "delete_field = 'note'",
    ];
    let (lines, _) = stepped("order", &steps, &[]);
    assert_eq!(
        lines,
        [
            r#""a":{"total":{"cents":100,"euros":1.0},"kind":"Plain","by":"a""#,
            r#""b":{"total":{"cents":250,"euros":2.5},"kind":{"Late":{"minutes":9}},"by":null"#,
        ]
    );
    let (lines, _) = stepped("lines", &["delete_field = '[].tax'"], &[]);
    assert_eq!(lines[0], r#""a":[{"cents":1},{"cents":100}]"#);
}

/// What a program has that knows the new types.
mod new {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) total: Money,
        pub(super) kind: Kind,
        pub(super) count: u32,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Money {
        pub(super) tax: u16,
    }
}

#[test]
fn a_program_of_the_new_types_goes_on_with_what_was_made() {
    let folder = made();
    let folder = folder.path();
    let args = [
        "--now=1100",
        "--step=orders/order=delete_field = 'total.cents'",
        "--step=orders/order=delete_field = 'note'",
        "--step=orders/order=add_field = { field = 'count', type = 'u32', to = '7' }",
        "--step=orders/lines=ttl = { duration_ms = 100, last_update = 'now' }",
        "--step=orders/seen=remove_ttl = {}",
    ];
    ok(folder, &[&["job", "new"], &args[..]].concat());
    let store = Store::open(folder.join("new").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap();
    let mut backend = HeapBackend::restoring(&snapshot.manifest.operators[0], KeyGroupRange::ALL);
    let orders = backend.open(ValueDescriptor::<String, new::Order>::new("order")).unwrap();
    let lines = ListDescriptor::<String, Money>::new("lines").with_ttl(TtlConfig::new(100));
    let lines = backend.open(lines).unwrap();
    let seen = backend.open(ValueDescriptor::<String, u8>::new("seen")).unwrap();
    backend.open(TimerDescriptor::<String, ()>::event("wake")).unwrap();
    let settings = SnapshotSettings::default();
    block_on(backend.restore(&store, &snapshot.manifest, &settings)).unwrap();
    let a = "a".to_owned();
    let order = new::Order { total: new::Money { tax: 1 }, kind: Kind::Plain, count: 7 };
    assert_eq!(backend.state(orders).unwrap().get(&a, &()).unwrap(), Some(order));
    assert_eq!(backend.state(seen).unwrap().get(&a, &()).unwrap(), Some(1));
    assert_eq!(backend.state(lines).unwrap().get(&a, &()).unwrap().len(), 2);
    backend.set_time_ms(1200);
    assert!(backend.state(lines).unwrap().get(&a, &()).unwrap().is_empty());
}

/// A map that keeps the order in which it was filled.
#[derive(Debug, Clone, PartialEq)]
struct Filled(Vec<(String, u32)>);

impl Serialize for Filled {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Filled;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Filled, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Filled(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cached {
    filled: Filled,
    /// Wider than what expressions compute with.
    bytes: u128,
    note: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CachedNow {
    filled: Filled,
    bytes: u128,
    count: u8,
}

#[test]
fn what_no_step_names_stays_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let filled = Filled([("z", 1), ("a", 2), ("m", 3)].map(|(k, v)| (k.to_owned(), v)).into());
    let bytes = u128::MAX;
    let store = Store::open(folder.join("job").to_str().unwrap()).unwrap();
    let mut job = block_on(LocalJob::open(store, "caches")).unwrap();
    let mut backend = job.backend("caches", KeyGroupRange::ALL);
    let cached = backend.open(ValueDescriptor::<u64, Cached>::new("cached")).unwrap();
    block_on(job.restore(&mut backend)).unwrap();
    let value = Cached { filled: filled.clone(), bytes, note: "n".to_owned() };
    backend.state(cached).unwrap().update(&1, &(), value).unwrap();
    block_on(job.checkpoint(&mut [backend])).unwrap();

    let args = [
        "--step=caches/cached=delete_field = 'note'",
        "--step=caches/cached=add_field = { field = 'count', type = 'u8', to = '7' }",
    ];
    ok(folder, &[&["job", "new"], &args[..]].concat());
    let store = Store::open(folder.join("new").to_str().unwrap()).unwrap();
    let snapshot = block_on(open_snapshot(&store, &"_metadata".parse().unwrap())).unwrap();
    let mut backend = HeapBackend::restoring(&snapshot.manifest.operators[0], KeyGroupRange::ALL);
    let cached = backend.open(ValueDescriptor::<u64, CachedNow>::new("cached")).unwrap();
    let settings = SnapshotSettings::default();
    block_on(backend.restore(&store, &snapshot.manifest, &settings)).unwrap();
    let expected = CachedNow { filled, bytes, count: 7 };
    assert_eq!(backend.state(cached).unwrap().get(&1, &()).unwrap(), Some(expected));
}

#[test]
fn entries_get_a_time_to_live_or_another_or_none() {
    // Captured at 1000, updated at 600 and 900.
    let (lines, _) = stepped("seen", &["ttl.duration_ms = 300"], &[]);
    assert_eq!(lines, [r#""b":2,"ttl":900"#]);
    let renewed = "ttl = { duration_ms = 400, update = 'read-and-write', last_update = 'ttl + 1' }";
    let (lines, _) = stepped("seen", &[renewed], &[]);
    assert_eq!(lines, [r#""a":1,"ttl":601"#, r#""b":2,"ttl":901"#]);
    let (lines, _) = stepped("seen", &["remove_ttl = {}", "set.to = 'value + 1u'"], &[]);
    assert_eq!(lines, [r#""a":2"#, r#""b":3"#]);
    let given = "ttl = { duration_ms = 50, last_update = \"key == 'a' ? now : now - 50\" }";
    let (lines, _) = stepped("order", &[given], &["--now", "5000"]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("\"a\"") && lines[0].ends_with(r#""ttl":5000"#), "{lines:?}");
    // Of each element; and a filter sees the times.
    let each =
        "ttl = { duration_ms = 50, last_update = 'value.map(line, line.cents == 1u ? 10 : now)' }";
    let (lines, _) = stepped("lines", &[each, "filter = 'ttl == [now]'"], &["--now", "5000"]);
    assert_eq!(lines[0], r#""a":[{"cents":100,"tax":0}],"ttl":[5000]"#);
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_does_not_fit_is_refused_by_operator_state_key_and_step_and_leaves_nothing() {
    let folder = made();
    let folder = folder.path();
    let long = "ttl = { duration_ms = 9, last_update = 'now' }";
    for (state, step, reason) in [
        // Found before an entry is read.
        (
            "order",
            "set = { field = 'total.x', to = '1' }",
            r#"state=order: step=1 set: path: there is no field "x", but ["cents", "tax"]"#,
        ),
        (
            "order",
            "set = { field = 'kind::Slow', to = '1' }",
            r#""kind::Slow" leads nowhere: ::Plain, ::Late could stand"#,
        ),
        ("order", "set.to = 'it +'", r#"state=order: step=1 set: "it +": "#),
        (
            "order",
            "set.to = 'that'",
            r#"it names {"that"}, and an entry has ["key", "ns", "userKey", "value", "ttl", "it", "now"] alone"#,
        ),
        ("order", "filter = 'it == 1'", r#"step=1 filter: "it == 1": it names {"it"}"#),
        ("order", "set.to = 'now'", "it names now, and no time is given: give now_ms"),
        ("wake", "set.to = '1'", "state=wake: step=1 set: timers hold no values"),
        (
            "lines",
            "delete_field = 'tax'",
            r#""tax" leads nowhere: [] could stand where "tax" does"#,
        ),
        ("lines", "delete_field = '[]'", r#""[]" is no field of a struct"#),
        (
            "order",
            "add_field = { field = 'note', type = 'u8', to = '1' }",
            r#""note" is there already, or in no struct"#,
        ),
        (
            "order",
            "add_field = { field = 'x', type = { ref = 'Order' }, to = '1' }",
            "no type around it is called name=Order",
        ),
        ("order", "remove_ttl = {}", "state=order: step=1 remove_ttl: it has no TTL"),
        (
            "order",
            "ttl.duration_ms = 9",
            "it has no TTL so far: last_update says when entries were updated",
        ),
        ("order", long, "does not tell when a state without TTL was captured: give now_ms"),
        ("seen", "ttl.duration_ms = 0", "duration_ms is 0: every entry would expire at once"),
        ("wake", long, "timers and operator state have no TTL"),
        (
            "order",
            "codec = 'ordered'",
            "state=order: step=1 codec: the codec \"ordered\" has integers",
        ),
        ("seen", "codec = 'postcard'", "step=1 codec: \"postcard\" is not one of esker's codecs"),
        // Found at an entry.
        (
            "order",
            "set = { field = 'kind::Late.minutes', to = '256' }",
            "operator=orders: state=order key=\"b\": step=1 set: value: expected u8, 0 to 255, found int 256",
        ),
        (
            "order",
            "set = { field = 'note', to = '1' }",
            "state=order key=\"b\": step=1 set: value: expected a string, found int 1",
        ),
        ("seen", "set.to = 'value - 2u'", "state=seen key=\"a\": step=1 set: "),
        ("order", "set.to = '{}'", "key=\"b\": step=1 set: value: the field \"total\" is missing"),
        (
            "order",
            "set = { field = 'kind', to = \"'Slow'\" }",
            "expected a variant of Kind, \"A\" or {\"A\": …}: Plain, Late, found string \"Slow\"",
        ),
        (
            "order",
            "add_field = { field = 'x', type = 'u8', to = 'null' }",
            "step=1 add_field: value: .x: expected u8, 0 to 255, found null",
        ),
        (
            "seen",
            "ttl = { duration_ms = 9, last_update = '1.5' }",
            "step=1 ttl: last_update: value: expected i64, -9223372036854775808 to 9223372036854775807, found double 1.5",
        ),
        (
            "lines",
            "set.to = 'value.map(line, line.cents)'",
            "[0]: expected a map with the fields of Money: cents, tax, found uint 1",
        ),
    ] {
        let arg = format!("orders/{state}={step}");
        for more in [&[][..], &["--dry-run"]] {
            let args = [&["rewrite", "job", "new", "--step", &arg], more].concat();
            let (code, out, err) = esker(folder, &args);
            assert_eq!((code, out.as_str()), (1, ""), "{step}");
            assert!(
                err.starts_with("esker: refused job: operator=orders") && err.contains(reason),
                "{step}: {err}"
            );
            assert!(!folder.join("new/_metadata").exists());
        }
    }
    let ttl_list =
        ["--now=9", "--step=orders/lines=ttl = { duration_ms = 9, last_update = '[1]' }"];
    let (code, _, err) = esker(folder, &[&["rewrite", "job", "new"], &ttl_list[..]].concat());
    assert!(code == 1 && err.contains("step=1 ttl: last_update: 1 times for 2 elements"), "{err}");
    let shorter = [
        "--now=9",
        "--step=orders/lines=ttl = { duration_ms = 9, last_update = 'now' }",
        "--step=orders/lines=set.to = '[value[0]]'",
    ];
    let (code, _, err) = esker(folder, &[&["rewrite", "job", "new"], &shorter[..]].concat());
    let said = "step=2 set: a list with TTL keeps a time for each element: 1 elements instead of 2";
    assert!(code == 1 && err.contains(said), "{err}");

    // What is no step at all cannot be tried.
    for (step, reason) in [
        ("set = 'value'", "invalid type: string"),
        ("sett.to = '1'", "unknown variant `sett`"),
        ("set = { to = '1', form = 2 }", "unknown field `form`"),
        ("add_field = { field = 'x', type = 'u9', to = '1' }", "unknown variant `u9`"),
    ] {
        let arg = format!("orders/order={step}");
        let (code, out, err) = esker(folder, &["rewrite", "job", "new", "--step", &arg]);
        assert_eq!((code, out.as_str()), (2, ""), "{step}");
        assert!(err.starts_with("esker: unreadable job: step: ") && err.contains(reason), "{err}");
    }
    // Dropped, there is nothing to step through.
    let both = ["--drop-state=orders/order", "--step=orders/order=set.to = 'value'"];
    let (code, _, err) = esker(folder, &[&["rewrite", "job", "new"], &both[..]].concat());
    assert!(code == 1 && err.contains("to be dropped, and something else"), "{err}");
    // Another plan can follow.
    ok(folder, &["job", "new", "--drop-state=orders/wake"]);
}

#[test]
fn values_are_written_by_another_codec() {
    let folder = made();
    let folder = folder.path();
    let (lines, said) = stepped("seen", &["set.to = '200'", "codec = 'ordered'"], &[]);
    assert_eq!(lines, [r#""a":200,"ttl":600"#, r#""b":200,"ttl":900"#]);
    assert!(said.contains("\ncodec orders/seen ordered: 2 entries, "), "{said}");
    ok(folder, &["job", "new", "--step=orders/seen=codec = 'ordered'"]);
    let (code, out, _) = esker(folder, &["inspect", "--json", "new"]);
    assert!(code == 0 && out.contains(r#""codec":"ordered","schema":"u8""#), "{out}");
}

fn ok_of(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

#[test]
fn keyed_state_gets_other_keys() {
    let folder = made();
    let folder = folder.path();
    let rekeyed = |name: &str, plan: &str| {
        std::fs::write(folder.join("plan.toml"), format!("[operator.orders.rekey]\n{plan}\n"))
            .unwrap();
        let (code, out, err) = esker(folder, &["rewrite", "job", name, "--plan", "plan.toml"]);
        let rehearsed =
            esker(folder, &["rewrite", "job", name, "--plan", "plan.toml", "--dry-run"]);
        assert_eq!((rehearsed.0, &rehearsed.2), (code, &err));
        assert_eq!(out.lines().next(), rehearsed.1.lines().next());
        (code, out, err)
    };
    let (code, out, err) = rekeyed("number", "to = \"key == 'a' ? 300 : 5\"\ntype = 'u16'");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("rekey orders key == 'a' ? 300 : 5: 10 entries, ")
            && out.contains("; left 10 entries, "),
        "{out}"
    );
    assert_eq!(
        dumped(folder, "number", "seen"),
        [r#"300:1,"ttl":600"#, r#"5:2,"ttl":900"#].map(|l| l.to_owned())
    );
    assert_eq!(dumped(folder, "number", "wake"), ["300:7", "5:7"].map(|l| l.to_owned()));
    let (code, out, _) = esker(folder, &["verify", "number"]);
    assert_eq!(code, 0, "{out}");
    let args = ["get", "number", "--operator", "orders", "--state", "seen", "300"];
    let (code, out, _) = esker(folder, &args);
    assert!(code == 0 && out.contains(r#""value":1"#), "{out}");

    let types = |name: &str| ok_of(folder, &["inspect", "--json", name]);
    let key =
        |codec: &str, schema: &str| format!(r#""key":{{"codec":"{codec}","schema":{schema}}}"#);
    assert!(types("number").contains(&key("ordered", r#""u16""#)), "{}", types("number"));
    rekeyed("some", "to = 'key'\ntype = { option = 'string' }");
    assert!(
        types("some").contains(&key("bincode2", r#"{"option":"string"}"#)),
        "{}",
        types("some")
    );

    let (code, out, err) = rekeyed("one", "to = \"'x'\"");
    assert_eq!((code, out.as_str()), (1, ""));
    let said = "esker: refused job: operator=orders: state=order: two entries would have the key=\"x\": those of key=\"a\" and \
                key=\"b\"; say which wins, or give them different ones\n";
    assert_eq!(err, said);
    assert!(!folder.join("one/_metadata").exists());
    let (code, out, _) = rekeyed("one", "to = \"'x'\"\nwins = 'highest-key'");
    assert!(code == 0 && out.contains("; left 5 entries, "), "{out}");
    assert_eq!(dumped(folder, "one", "seen"), [r#""x":2,"ttl":900"#]);
    assert_eq!(dumped(folder, "one", "wake"), [r#""x":7"#]);
    rekeyed("low", "to = \"'x'\"\nwins = 'lowest-key'");
    assert_eq!(dumped(folder, "low", "seen"), [r#""x":1,"ttl":600"#]);
    // Two timers of one key and time are one, and there is nothing to choose.
    let timers = "to = \"'x'\"\n[operator.orders.state]\norder.drop = true\nlines.drop = true\nseen.drop = true";
    let (code, out, _) = rekeyed("timers", timers);
    assert!(code == 0 && out.contains("; left 1 entries, "), "{out}");
    assert_eq!(dumped(folder, "timers", "wake"), [r#""x":7"#]);

    for (plan, reason) in [
        ("to = 'key'\ntype = 'f64'", "operator=orders rekey: key type: path=key is a float"),
        ("to = 'that'", "operator=orders rekey: it names {\"that\"}"),
        ("to = '1'", "state=order key=\"b\": rekey: value: expected a string, found int 1"),
        ("to = 'key'\nwins = 'first'", "unknown variant `first`"),
        (
            "to = 'key'\n[operator.orders]\ndrop = true",
            "operator=orders: it is to be dropped, and something",
        ),
    ] {
        let (code, _, err) = rekeyed("none", plan);
        assert!(code > 0 && err.contains(reason), "{plan}: {err}");
    }
}

#[test]
fn json_tells_what_a_step_says_and_what_it_leaves() {
    let folder = made();
    let args = ["rewrite", "--json", "job", "new", "--step", "orders/seen=filter = 'value > 1'"];
    let (code, out, err) = esker(folder.path(), &args);
    assert_eq!((code, err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    let mut step = report["steps"][0].clone();
    let (bytes, left) = (step["bytes"].take(), step["leftBytes"].take());
    assert!(bytes.as_u64().unwrap() == 2 * left.as_u64().unwrap(), "{bytes} {left}");
    let expected = json!({
        "step": "filter", "operator": "orders", "state": "seen", "to": null, "what": "value > 1",
        "entries": 2, "bytes": null, "left": 1, "leftBytes": null,
    });
    assert_eq!(step, expected);
}
