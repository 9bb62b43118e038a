//! Entries of a program's own types: the golden savepoint of every kind, put entry by entry.

use super::{golden, said};
use crate::golden::kinds::{KEPT, MINUTE, Mean, Window};
use esker::ErrorKind;
use esker::processor::load::{Bootstrap, Template, TypedState};
use esker::state::{
    AggregatingDescriptor, BroadcastDescriptor, Described, ListDescriptor, MapDescriptor,
    OperatorListDescriptor, ProgramSchema, ReducingDescriptor, TimerDescriptor, TtlConfig,
    ValueDescriptor,
};
use esker_conformance::lines;
use serde_json::{Value, from_value};

/// Puts all lines of a state.
fn put<D: TypedState>(
    bootstrap: &mut Bootstrap<'_>,
    all: &[Value],
    (name, descriptor): (&str, &D),
    entry: impl Fn(&Value) -> D::Entry,
) {
    let state = bootstrap.open("kinds", descriptor).unwrap();
    let lines: Vec<_> = all.iter().filter(|line| line["state"] == name).collect();
    assert!(!lines.is_empty(), "{name}");
    lines.into_iter().for_each(|line| bootstrap.put(&state, &entry(line)).unwrap());
}

fn of<T: serde::de::DeserializeOwned>(line: &Value, member: &str) -> T {
    from_value(line[member].clone()).unwrap()
}

fn plain<T: serde::de::DeserializeOwned>(line: &Value) -> (String, (), T) {
    (of(line, "key"), (), of(line, "value"))
}

fn spaced<T: serde::de::DeserializeOwned>(line: &Value) -> (String, Window, T) {
    (of(line, "key"), of(line, "namespace"), of(line, "value"))
}

#[test]
fn typed_entries_of_every_kind_come_back() {
    let (snapshot, expected) = golden("every-kind");
    let template = Template::of_snapshot(snapshot).unwrap();
    let all: Vec<Value> = expected.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut into = Bootstrap::new(&template, Some(2)).unwrap();
    let add = |sum: &mut u64, more: u64| *sum += more;
    let ttl = |line: &Value| of::<i64>(line, "ttl");
    let to = &mut into;

    let value = ValueDescriptor::<String, u64>::new("value");
    put(to, &all, ("value", &value), plain);
    let list = ListDescriptor::<String, String>::new("list");
    put(to, &all, ("list", &list), plain);
    let map = MapDescriptor::<String, u16, bool>::new("map");
    put(to, &all, ("map", &map), |l| (of(l, "key"), (), of(l, "userKey"), of(l, "value")));
    let reducing = ReducingDescriptor::<String, u64>::new("reducing", add);
    put(to, &all, ("reducing", &reducing), plain);
    let mean = AggregatingDescriptor::<String, Mean>::new("aggregating", Mean);
    put(to, &all, ("aggregating", &mean), plain);
    put(to, &all, ("event", &TimerDescriptor::<String>::event("event")), plain);
    let processing = TimerDescriptor::<String>::processing("processing");
    put(to, &all, ("processing", &processing), plain);

    let value = ValueDescriptor::<String, u64, Window>::new("value-ttl").with_ttl(MINUTE);
    put(to, &all, ("value-ttl", &value), |line| (spaced(line), ttl(line)));
    let list = ListDescriptor::<String, String, Window>::new("list-ttl").with_ttl(KEPT);
    put(to, &all, ("list-ttl", &list), |line| (spaced(line), of(line, "ttl")));
    let map = MapDescriptor::<String, String, i32, Window>::new("map-ttl").with_ttl(KEPT);
    put(to, &all, ("map-ttl", &map), |line| {
        let (key, window, value) = spaced(line);
        ((key, window, of(line, "userKey"), value), ttl(line))
    });
    let reducing = ReducingDescriptor::<String, u64, Window>::new("reducing-ttl", add);
    let reducing = reducing.with_ttl(MINUTE);
    put(to, &all, ("reducing-ttl", &reducing), |line| (spaced(line), ttl(line)));
    let mean = AggregatingDescriptor::<String, Mean, Window>::new("aggregating-ttl", Mean);
    let mean = mean.with_ttl(MINUTE);
    put(to, &all, ("aggregating-ttl", &mean), |line| (spaced(line), ttl(line)));
    put(to, &all, ("windows", &TimerDescriptor::<String, Window>::event("windows")), spaced);

    let split = OperatorListDescriptor::<(String, u64)>::split("split");
    put(to, &all, ("split", &split), |line| of(line, "value"));
    let union = OperatorListDescriptor::<i64>::union("union");
    put(to, &all, ("union", &union), |line| of(line, "value"));
    let broadcast = BroadcastDescriptor::<String, Vec<u8>>::new("broadcast");
    put(to, &all, ("broadcast", &broadcast), |l| (of(l, "userKey"), of(l, "value")));

    let sorted = into.finish().unwrap();
    assert_eq!((sorted.count(), sorted.problems()), (expected.len() as u64, &[][..]));
    let difference = lines::difference(&said(&sorted, 2), &expected);
    assert!(difference.is_empty(), "{difference:#?}");
}

#[test]
fn a_state_of_other_types_is_not_opened_and_what_cannot_be_is_not_taken() {
    let descriptor = ListDescriptor::<String, u64>::new("late");
    let timed = ListDescriptor::<String, u64>::new("timed").with_ttl(TtlConfig::new(1000));
    let mut program = ProgramSchema::default();
    program.keyed("op", &descriptor).unwrap().keyed("op", &timed).unwrap();
    let template = Template::of_schema(program.file(), "job");
    let mut into = Bootstrap::new(&template, None).unwrap();
    fn refused<D: Described + TypedState>(into: &Bootstrap<'_>, descriptor: &D) -> String {
        into.open("op", descriptor).err().unwrap().to_string()
    }
    for (found, expected) in [
        (
            refused(&into, &ValueDescriptor::<String, u64>::new("late")),
            "operator=op: state=late: the kind is list in the template, not value",
        ),
        (
            refused(&into, &ListDescriptor::<u32, u64>::new("late")),
            "operator=op: state=late: the type of keys is \"string\" by codec=ordered in the template, not \"u32\" by \
             codec=ordered",
        ),
        (
            refused(&into, &ListDescriptor::<String, u64, u8>::new("late")),
            "operator=op: state=late: the type of namespaces is none in the template, not \"u8\" by codec=ordered",
        ),
        (
            refused(&into, &ListDescriptor::<String, i64>::new("late")),
            "operator=op: state=late: the type of values is \"u64\" by codec=bincode2 in the template, not \"i64\" by \
             codec=bincode2",
        ),
        (
            refused(&into, &ListDescriptor::<String, u64>::new("timed")),
            "operator=op: state=timed: TTL is there in the template, not none",
        ),
        (
            refused(&into, &ListDescriptor::<String, u64>::new("other")),
            "operator=op: state=other: the operator has no such state; it has [\"late\", \"timed\"]",
        ),
    ] {
        assert_eq!(found, expected);
    }
    assert!(into.open("no", &descriptor).err().unwrap().to_string().contains("no such operator"));

    let late = into.open("op", &descriptor).unwrap();
    let timed = into.open("op", &timed).unwrap();
    let key = || "k".to_owned();
    let error = into.put(&late, &(key(), (), Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().starts_with("entry 1: op/late: "), "{error}");
    let error = into.put(&timed, &((key(), (), vec![1, 2]), vec![7])).unwrap_err();
    assert!(error.to_string().contains("1 times of 2 elements"), "{error}");
    let error = into.put(&late, &("k".repeat(2 << 20), (), vec![1])).unwrap_err();
    assert!(error.to_string().contains("entry 3: op/late: a key"), "{error}");
    let other = Template::of_schema(program.file(), "job");
    let mut other = Bootstrap::new(&other, None).unwrap();
    assert_eq!(other.put(&late, &(key(), (), vec![1])).unwrap_err().kind(), ErrorKind::Invalid);
    // What is sound is taken all the same, and its latest time is when it was captured.
    into.put(&late, &(key(), (), vec![1])).unwrap();
    into.put(&timed, &((key(), (), vec![1, 2, 3]), vec![500, 10_000, 9001])).unwrap();
    let sorted = into.finish().unwrap();
    assert_eq!(sorted.count(), 2);
    let expected = [
        r#"{"operator":"op","state":"late","kind":"list","key":"k","namespace":null,"value":[1]}"#,
        r#"{"operator":"op","state":"timed","kind":"list","key":"k","namespace":null,"value":[2,3],"ttl":[10000,9001]}"#,
    ];
    assert_eq!(said(&sorted, 1), expected);
}
