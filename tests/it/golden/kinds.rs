//! Every kind of state, with namespaces and without, with TTL and without.

use super::{Program, Subtasks, ranges, stored};
use esker::backend::operator::OperatorBackend;
use esker::backend::{Backend, BackendFactory, ListCalls, MapCalls, TimerCalls, ValueCalls};
use esker::format::manifest::{Manifest, TtlUpdate};
use esker::format::{Key, KeyGroup};
use esker::state::{
    Aggregate, AggregatingDescriptor, BroadcastDescriptor, ListDescriptor, MapDescriptor,
    OperatorListDescriptor, ReducingDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor,
};

/// What entries are written at, and when the savepoint is taken.
const WRITTEN_MS: i64 = 1_750_000_000_000;
const TAKEN_MS: i64 = WRITTEN_MS + 30_000;
pub(crate) const MINUTE: TtlConfig = TtlConfig::new(60_000);
/// As the time goes on, what is older is there and not seen: it was written with the savepoint.
pub(crate) const KEPT: TtlConfig = TtlConfig {
    update: TtlUpdate::ReadAndWrite,
    clean_full_snapshots: false,
    ..TtlConfig::new(20_000)
};
/// A window, and what it is of.
pub(crate) type Window = (i64, String);

pub(super) struct EveryKind;

#[derive(Clone, Copy)]
pub(crate) struct Mean;

impl Aggregate for Mean {
    type Input = u32;
    type Accumulator = (u64, u32);
    type Output = f64;

    fn create(&self) -> (u64, u32) {
        (0, 0)
    }

    fn add(&self, (sum, count): &mut (u64, u32), input: u32) {
        *sum += u64::from(input);
        *count += 1;
    }

    fn result(&self, (sum, count): &(u64, u32)) -> f64 {
        *sum as f64 / f64::from(*count)
    }
}

impl Program for EveryKind {
    const NAME: &'static str = "every-kind";

    fn open<F: BackendFactory>(
        factory: &F,
        parallelism: u32,
        manifest: Option<&Manifest>,
        fill: bool,
    ) -> Vec<(&'static str, Subtasks<F::Backend>)> {
        let subtask = |(at, range)| {
            let mut backend = factory.make("kinds", range, stored(manifest, "kinds")).unwrap();
            keyed(&mut backend, fill);
            (backend, Some(operator(stored(manifest, "kinds"), at, fill)))
        };
        vec![("kinds", (0..).zip(ranges(parallelism)).map(subtask).collect())]
    }
}

fn keyed<B: Backend>(backend: &mut B, fill: bool) {
    let add = |sum: &mut u64, more: u64| *sum += more;
    let value = backend.open(ValueDescriptor::<String, u64>::new("value")).unwrap();
    let list = backend.open(ListDescriptor::<String, String>::new("list")).unwrap();
    let map = backend.open(MapDescriptor::<String, u16, bool>::new("map")).unwrap();
    let reducing = backend.open(ReducingDescriptor::<String, u64>::new("reducing", add)).unwrap();
    let mean = AggregatingDescriptor::<String, Mean>::new("aggregating", Mean);
    let mean = backend.open(mean).unwrap();
    let event = backend.open(TimerDescriptor::<String>::event("event")).unwrap();
    let processing = backend.open(TimerDescriptor::<String>::processing("processing")).unwrap();

    let value_ttl = ValueDescriptor::<String, u64, Window>::new("value-ttl").with_ttl(MINUTE);
    let value_ttl = backend.open(value_ttl).unwrap();
    let list_ttl = ListDescriptor::<String, String, Window>::new("list-ttl").with_ttl(KEPT);
    let list_ttl = backend.open(list_ttl).unwrap();
    let map_ttl = MapDescriptor::<String, String, i32, Window>::new("map-ttl").with_ttl(KEPT);
    let map_ttl = backend.open(map_ttl).unwrap();
    let reducing_ttl = ReducingDescriptor::<String, u64, Window>::new("reducing-ttl", add);
    let reducing_ttl = backend.open(reducing_ttl.with_ttl(MINUTE)).unwrap();
    let mean_ttl = AggregatingDescriptor::<String, Mean, Window>::new("aggregating-ttl", Mean);
    let mean_ttl = backend.open(mean_ttl.with_ttl(MINUTE)).unwrap();
    let windows = backend.open(TimerDescriptor::<String, Window>::event("windows")).unwrap();

    let range = backend.range();
    for number in (0..12_u64).filter(|_| fill) {
        let key = ["", "a\0b", "é", "carrier"][number as usize % 4].to_owned();
        let key = format!("{key}{}", number / 4);
        if !range.contains(key.with_encoded(KeyGroup::of)) {
            continue;
        }
        let window = (number as i64 % 3 - 1, format!("w{}", number % 2));
        backend.set_time_ms(WRITTEN_MS + number as i64 * 2000);
        backend.state(value).unwrap().update(&key, &(), u64::MAX - number).unwrap();
        let elements = ["x", "", "\"\n"].map(str::to_owned);
        backend.state(list).unwrap().append_all(&key, &(), elements.clone()).unwrap();
        backend.state(reducing).unwrap().add(&key, &(), number).unwrap();
        backend.state(mean).unwrap().add(&key, &(), number as u32).unwrap();
        for time_ms in [i64::MIN, -1, number as i64, i64::MAX] {
            backend.state(event).unwrap().register(time_ms, &key, &()).unwrap();
            backend.state(windows).unwrap().register(time_ms, &key, &window).unwrap();
        }
        backend.state(processing).unwrap().register(WRITTEN_MS, &key, &()).unwrap();
        backend.state(value_ttl).unwrap().update(&key, &window, number).unwrap();
        backend.state(reducing_ttl).unwrap().add(&key, &window, number).unwrap();
        backend.state(mean_ttl).unwrap().add(&key, &window, number as u32).unwrap();
        for user_key in 0..number % 3 {
            let flag = user_key % 2 == 0;
            backend.state(map).unwrap().put(&key, &(), &(user_key as u16), flag).unwrap();
            let (name, count) = (format!("u{user_key}"), -(number as i32));
            backend.state(map_ttl).unwrap().put(&key, &window, &name, count).unwrap();
        }
        for (seconds, element) in (0..).step_by(7).zip(elements) {
            backend.set_time_ms(WRITTEN_MS + number as i64 * 500 + seconds * 1000);
            backend.state(list_ttl).unwrap().append(&key, &window, element).unwrap();
        }
    }
    backend.set_time_ms(TAKEN_MS);
}

fn operator(
    stored: Option<&esker::format::manifest::Operator>,
    subtask: u32,
    fill: bool,
) -> OperatorBackend {
    let new = || OperatorBackend::new("kinds");
    let mut operator = stored.map_or_else(new, OperatorBackend::restoring);
    let split = operator.open(OperatorListDescriptor::<(String, u64)>::split("split")).unwrap();
    let union = operator.open(OperatorListDescriptor::<i64>::union("union")).unwrap();
    let rules = operator.open(BroadcastDescriptor::<String, Vec<u8>>::new("broadcast")).unwrap();
    if fill {
        for number in 0..3 {
            let (partition, offset) = (format!("p{subtask}"), 1000 + number);
            operator.state(split).unwrap().add((partition, offset));
            operator.state(union).unwrap().add(number as i64 - i64::from(subtask));
            operator.state(rules).unwrap().put(format!("rule {number}"), vec![number as u8; 3]);
        }
    }
    operator
}
