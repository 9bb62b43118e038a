//! States with TTL: what is seen depends on the times of updates alone.

use crate::harness::{CASES, for_cases, fresh};
use crate::lines;
use esker::backend::{Backend, BackendFactory, ListCalls, MapCalls, ValueCalls};
use esker::format::manifest::TtlUpdate;
use esker::state::{ListDescriptor, MapDescriptor, TtlConfig, TtlVisibility, ValueDescriptor};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DURATION_MS: i64 = 10;
const TTL: TtlConfig = TtlConfig::new(DURATION_MS as u64);
const KEYS: u64 = 12;

fn configs() -> impl Strategy<Value = TtlConfig> {
    let update = prop_oneof![Just(TtlUpdate::Write), Just(TtlUpdate::ReadAndWrite)];
    (update, any::<bool>(), 0..5_usize).prop_map(|(update, clean_full_snapshots, some)| TtlConfig {
        update,
        clean_full_snapshots,
        clean_entries_per_call: some,
        ..TTL
    })
}

/// By key and user key: the value, and the time of its last update.
type Model<V> = BTreeMap<(u64, u8), (V, i64)>;

#[derive(Debug, Clone)]
enum Call {
    Get(u64, u8),
    Write(u64, u8, u32),
    Rmw(u64, u8, u32),
    Remove(u64, u8),
    Clear(u64),
    All(u64),
    Later(i64),
}

fn call() -> impl Strategy<Value = Call> {
    let at = || (0..KEYS, 0..4_u8);
    prop_oneof![
        5 => at().prop_map(|(k, u)| Call::Get(k, u)),
        8 => (at(), any::<u32>()).prop_map(|((k, u), v)| Call::Write(k, u, v)),
        3 => (at(), any::<u32>()).prop_map(|((k, u), v)| Call::Rmw(k, u, v)),
        2 => at().prop_map(|(k, u)| Call::Remove(k, u)),
        1 => (0..KEYS).prop_map(Call::Clear),
        2 => (0..KEYS).prop_map(Call::All),
        4 => (0..7_i64).prop_map(Call::Later),
    ]
}

/// What has expired by `now_ms` is gone.
fn expire<V>(model: &mut Model<V>, now_ms: i64) {
    model.retain(|_, (_, time_ms)| now_ms < *time_ms + DURATION_MS);
}

/// What a read sees; it renews the time where reads do.
fn read<V: Clone>(
    model: &mut Model<V>,
    at: (u64, u8),
    now_ms: i64,
    config: TtlConfig,
) -> Option<V> {
    let (value, time_ms) = model.get_mut(&at)?;
    if config.update == TtlUpdate::ReadAndWrite {
        *time_ms = now_ms;
    }
    Some(value.clone())
}

/// That the canonical lines are those of `model`, with its times.
fn same_lines(backend: &mut impl Backend, now_ms: i64, expected: Vec<String>) {
    let captures = backend.capture().unwrap();
    assert_eq!(captures[0].ttl_time_ms(), Some(now_ms));
    let found = lines::of_captures(backend, &captures).unwrap();
    let difference = lines::difference(&lines::sorted(found), &lines::sorted(expected));
    assert!(difference.is_empty(), "{difference:#?}");
}

fn line(kind: &str, key: u64, rest: &str) -> String {
    format!(
        r#"{{"operator":"op","state":"state","kind":"{kind}","key":{key},"namespace":null,{rest}}}"#
    )
}

/// Values expire by the time of their last write, or read where reads renew it.
pub fn values_expire<F: BackendFactory>(factory: &F) {
    for_cases(CASES, (configs(), vec(call(), 0..200)), |(config, calls)| {
        let mut backend = fresh(factory);
        let descriptor = ValueDescriptor::<u64, u32>::new("state").with_ttl(config);
        let handle = backend.open(descriptor).unwrap();
        let (mut model, mut now_ms) = (Model::new(), 0);
        for call in calls {
            let state = backend.state(handle).unwrap();
            match call {
                Call::Get(k, _) | Call::All(k) => {
                    let known = read(&mut model, (k, 0), now_ms, config);
                    assert_eq!(state.get(&k, &()).unwrap(), known);
                }
                Call::Write(k, _, value) => {
                    state.update(&k, &(), value).unwrap();
                    model.insert((k, 0), (value, now_ms));
                }
                Call::Rmw(k, _, value) => {
                    let was = state.rmw(&k, &(), |slot| slot.replace(value)).unwrap();
                    assert_eq!(was, model.insert((k, 0), (value, now_ms)).map(|(value, _)| value));
                }
                Call::Remove(k, _) | Call::Clear(k) => {
                    state.clear(&k, &()).unwrap();
                    model.remove(&(k, 0));
                }
                Call::Later(by_ms) => {
                    now_ms += by_ms;
                    backend.set_time_ms(now_ms);
                    expire(&mut model, now_ms);
                }
            }
        }
        let of = |((k, _), (v, t)): (&(u64, u8), &(u32, i64))| {
            line("value", *k, &format!(r#""value":{v},"ttl":{t}"#))
        };
        same_lines(&mut backend, now_ms, model.iter().map(of).collect());
    });
}

/// Entries of a map expire one by one.
pub fn map_entries_expire<F: BackendFactory>(factory: &F) {
    for_cases(CASES, (configs(), vec(call(), 0..250)), |(config, calls)| {
        let mut backend = fresh(factory);
        let descriptor = MapDescriptor::<u64, u8, u32>::new("state").with_ttl(config);
        let handle = backend.open(descriptor).unwrap();
        let (mut model, mut now_ms) = (Model::new(), 0);
        for call in calls {
            let state = backend.state(handle).unwrap();
            match call {
                Call::Get(k, u) => {
                    let known = read(&mut model, (k, u), now_ms, config);
                    assert_eq!(state.contains(&k, &(), &u).unwrap(), known.is_some());
                    assert_eq!(state.get(&k, &(), &u).unwrap(), known);
                }
                Call::Write(k, u, value) => {
                    state.put(&k, &(), &u, value).unwrap();
                    model.insert((k, u), (value, now_ms));
                }
                Call::Rmw(k, u, value) => {
                    let was = state.rmw(&k, &(), &u, |slot| slot.replace(value)).unwrap();
                    assert_eq!(was, model.insert((k, u), (value, now_ms)).map(|(value, _)| value));
                }
                Call::Remove(k, u) => {
                    state.remove(&k, &(), &u).unwrap();
                    model.remove(&(k, u));
                }
                Call::Clear(k) => {
                    state.clear(&k, &()).unwrap();
                    model.retain(|(of, _), _| *of != k);
                }
                Call::All(k) => {
                    let mut seen = Vec::new();
                    state.for_each(&k, &(), |u, value| seen.push((*u, *value))).unwrap();
                    seen.sort_unstable();
                    let known = (0..4).filter_map(|u| {
                        read(&mut model, (k, u), now_ms, config).map(|value| (u, value))
                    });
                    assert_eq!(seen, known.collect::<Vec<_>>());
                    if config.update == TtlUpdate::Write {
                        assert_eq!(state.is_empty(&k, &()).unwrap(), seen.is_empty());
                    }
                }
                Call::Later(by_ms) => {
                    now_ms += by_ms;
                    backend.set_time_ms(now_ms);
                    expire(&mut model, now_ms);
                }
            }
        }
        let of = |((k, u), (v, t)): (&(u64, u8), &(u32, i64))| {
            line("map", *k, &format!(r#""userKey":{u},"value":{v},"ttl":{t}"#))
        };
        same_lines(&mut backend, now_ms, model.iter().map(of).collect());
    });
}

/// Elements of a list expire one by one: an append renews no other.
pub fn list_elements_expire<F: BackendFactory>(factory: &F) {
    for_cases(CASES, (configs(), vec(call(), 0..250)), |(config, calls)| {
        let mut backend = fresh(factory);
        let descriptor = ListDescriptor::<u64, u32>::new("state").with_ttl(config);
        let handle = backend.open(descriptor).unwrap();
        let (mut model, mut now_ms) = (BTreeMap::<u64, Vec<(u32, i64)>>::new(), 0);
        for call in calls {
            let state = backend.state(handle).unwrap();
            match call {
                Call::Get(k, _) | Call::All(k) => {
                    let known = model.entry(k).or_default();
                    if config.update == TtlUpdate::ReadAndWrite {
                        known.iter_mut().for_each(|(_, time_ms)| *time_ms = now_ms);
                    }
                    let known: Vec<u32> = known.iter().map(|(value, _)| *value).collect();
                    assert_eq!(state.get(&k, &()).unwrap(), known);
                }
                Call::Write(k, few, value) => {
                    let all = (0..u32::from(few)).map(|more| value ^ more);
                    state.append_all(&k, &(), all.clone()).unwrap();
                    state.append(&k, &(), value).unwrap();
                    let all = all.chain([value]).map(|value| (value, now_ms));
                    model.entry(k).or_default().extend(all);
                }
                Call::Rmw(k, few, value) => {
                    let all = vec![value; few.into()];
                    state.update(&k, &(), all.iter().copied()).unwrap();
                    model.insert(k, all.into_iter().map(|value| (value, now_ms)).collect());
                }
                Call::Remove(k, _) | Call::Clear(k) => {
                    state.clear(&k, &()).unwrap();
                    model.remove(&k);
                }
                Call::Later(by_ms) => {
                    now_ms += by_ms;
                    backend.set_time_ms(now_ms);
                    let live = |time_ms: i64| now_ms < time_ms + DURATION_MS;
                    model.values_mut().for_each(|list| list.retain(|(_, time)| live(*time)));
                }
            }
        }
        let of = |(k, list): (&u64, &Vec<(u32, i64)>)| {
            let (values, times): (Vec<_>, Vec<_>) = list.iter().copied().unzip();
            let rest = format!(r#""value":{values:?},"ttl":{times:?}"#).replace(' ', "");
            line("list", *k, &rest)
        };
        let lists = model.iter().filter(|(_, list)| !list.is_empty());
        same_lines(&mut backend, now_ms, lists.map(of).collect());
    });
}

/// Where a read may see what has expired, it sees that or nothing, and no read after it does.
pub fn what_has_expired_is_seen_once_at_most<F: BackendFactory>(factory: &F) {
    for update in [TtlUpdate::Write, TtlUpdate::ReadAndWrite] {
        let config = TtlConfig { visibility: TtlVisibility::UntilCleanedUp, update, ..TTL };
        let mut backend = fresh(factory);
        let value = backend.open(ValueDescriptor::<u64, u32>::new("v").with_ttl(config)).unwrap();
        let list = backend.open(ListDescriptor::<u64, u32>::new("l").with_ttl(config)).unwrap();
        let map = backend.open(MapDescriptor::<u64, u8, u32>::new("m").with_ttl(config)).unwrap();
        backend.state(value).unwrap().update(&1, &(), 5).unwrap();
        backend.state(list).unwrap().append(&1, &(), 5).unwrap();
        backend.state(map).unwrap().put(&1, &(), &2, 5).unwrap();
        backend.set_time_ms(DURATION_MS);
        let mut read = || {
            let mut all = backend.state(list).unwrap().get(&1, &()).unwrap();
            all.extend(backend.state(value).unwrap().get(&1, &()).unwrap());
            all.extend(backend.state(map).unwrap().get(&1, &(), &2).unwrap());
            all
        };
        assert!(read().iter().all(|seen| *seen == 5));
        assert!(read().is_empty());
    }
}

/// An earlier time is passed over: what has expired may be gone, and must not come back elsewhere.
pub fn time_never_goes_back<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    let handle = backend.open(ValueDescriptor::<u64, u32>::new("state").with_ttl(TTL)).unwrap();
    backend.set_time_ms(-100);
    backend.state(handle).unwrap().update(&1, &(), 1).unwrap();
    backend.set_time_ms(-100 + DURATION_MS);
    backend.state(handle).unwrap().update(&2, &(), 2).unwrap();
    backend.set_time_ms(-95);
    let state = backend.state(handle).unwrap();
    assert_eq!((state.get(&1, &()).unwrap(), state.get(&2, &()).unwrap()), (None, Some(2)));
    let capture = backend.capture().unwrap().remove(0);
    assert_eq!(capture.ttl_time_ms(), Some(-90));
}

/// The time holds for states that are opened after it was set.
pub fn states_are_opened_at_the_time_of_the_backend<F: BackendFactory>(factory: &F) {
    let mut backend = fresh(factory);
    backend.set_time_ms(1000);
    let handle = backend.open(ListDescriptor::<u64, u32>::new("state").with_ttl(TTL)).unwrap();
    backend.state(handle).unwrap().append(&1, &(), 7).unwrap();
    same_lines(&mut backend, 1000, vec![line("list", 1, r#""value":[7],"ttl":[1000]"#)]);
}
