//! One state of each kind, in whatever backend.

use crate::backend::heap::testing::full;
use crate::backend::{
    Backend, Handle, ListCalls, MapCalls, Reducing, StateCapture, TimerCalls, ValueCalls,
};
use crate::state::{
    ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor,
};
use proptest::prelude::*;
use std::sync::Arc;

/// States by number, as calls name them.
const STATES: u8 = 8;

/// A call on one of the states.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) state: u8,
    pub(super) op: u8,
    pub(super) key: u64,
    pub(super) namespace: u8,
    pub(super) user_key: String,
    pub(super) value: u32,
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let user_key = prop_oneof![Just(""), Just("\0"), Just("\0\u{1}"), Just("a"), Just("ab")];
    (0..STATES, 0..8_u8, 0..6_u64, 0..2_u8, user_key, 0..40_u32).prop_map(
        |(state, op, key, namespace, user_key, value)| {
            let user_key = user_key.to_owned();
            Call { state, op, key, namespace, user_key, value }
        },
    )
}

pub(super) struct All<B: Backend> {
    pub(super) backend: B,
    pub(super) value: Handle<B::Value<u64, u8, u32>>,
    pub(super) ttl_value: Handle<B::TtlValue<u64, u8, u32>>,
    pub(super) list: Handle<B::List<u64, u8, u32>>,
    pub(super) ttl_list: Handle<B::TtlList<u64, u8, u32>>,
    pub(super) map: Handle<B::Map<u64, u8, String, u32>>,
    pub(super) ttl_map: Handle<B::TtlMap<u64, u8, String, u32>>,
    pub(super) timers: Handle<B::Timers<u64, u8>>,
    pub(super) sum: Handle<Reducing<B, u64, u8, u32>>,
}

impl<B: Backend> All<B> {
    pub(super) fn open(mut backend: B, config: TtlConfig) -> Self {
        let value = backend.open(ValueDescriptor::new("value")).unwrap();
        let ttl = ValueDescriptor::new("ttl-value").with_ttl(config);
        let ttl_value = backend.open(ttl).unwrap();
        let list = backend.open(ListDescriptor::new("list")).unwrap();
        let ttl = ListDescriptor::new("ttl-list").with_ttl(config);
        let ttl_list = backend.open(ttl).unwrap();
        let map = backend.open(MapDescriptor::new("map")).unwrap();
        let ttl = MapDescriptor::new("ttl-map").with_ttl(config);
        let ttl_map = backend.open(ttl).unwrap();
        let timers = backend.open(TimerDescriptor::event("timers")).unwrap();
        let add = |sum: &mut u32, value: u32| *sum = sum.wrapping_add(value);
        let sum = backend.open(ReducingDescriptor::new("sum", add)).unwrap();
        Self { backend, value, ttl_value, list, ttl_list, map, ttl_map, timers, sum }
    }

    /// What a call shows.
    pub(super) fn call(&mut self, call: &Call) -> String {
        let (k, n) = (&call.key, &call.namespace);
        let backend = &mut self.backend;
        match call.state {
            0 => value(backend.state(self.value).unwrap(), call),
            1 => value(backend.state(self.ttl_value).unwrap(), call),
            2 => list(backend.state(self.list).unwrap(), call),
            3 => list(backend.state(self.ttl_list).unwrap(), call),
            4 => map(backend.state(self.map).unwrap(), call),
            5 => map(backend.state(self.ttl_map).unwrap(), call),
            6 => timer(backend.state(self.timers).unwrap(), call),
            _ => {
                let sum = backend.state(self.sum).unwrap();
                match call.op {
                    0..=3 => sum.add(k, n, call.value).map(|()| String::new()).unwrap(),
                    4 => sum.clear(k, n).map(|_| String::new()).unwrap(),
                    _ => format!("{:?}", sum.get(k, n).unwrap()),
                }
            }
        }
    }

    pub(super) fn capture(&mut self) -> Vec<Arc<dyn StateCapture>> {
        self.backend.capture().unwrap()
    }
}

/// The runs of captures.
pub(super) fn runs(captures: &[Arc<dyn StateCapture>]) -> Vec<Vec<u8>> {
    captures.iter().map(|capture| full(&**capture)).collect()
}

fn value(state: &mut impl ValueCalls<u64, u8, u32>, call: &Call) -> String {
    let (k, n) = (&call.key, &call.namespace);
    match call.op {
        0 | 1 => state.update(k, n, call.value).unwrap(),
        2 => state.clear(k, n).unwrap(),
        3 => return format!("{:?}", state.rmw(k, n, |slot| slot.replace(call.value)).unwrap()),
        4 => return format!("{:?}", state.rmw(k, n, Option::take).unwrap()),
        // As it is, which is a write all the same.
        5 => return format!("{:?}", state.rmw(k, n, |slot| *slot).unwrap()),
        _ => return format!("{:?}", state.get(k, n).unwrap()),
    }
    String::new()
}

fn list(state: &mut impl ListCalls<u64, u8, u32>, call: &Call) -> String {
    let (k, n) = (&call.key, &call.namespace);
    match call.op {
        0..=2 => state.append(k, n, call.value).unwrap(),
        3 => state.append_all(k, n, 0..call.value % 4).unwrap(),
        4 => state.update(k, n, 0..call.value % 4).unwrap(),
        5 => state.clear(k, n).unwrap(),
        _ => return format!("{:?}", state.get(k, n).unwrap()),
    }
    String::new()
}

fn map(state: &mut impl MapCalls<u64, u8, String, u32>, call: &Call) -> String {
    let (k, n, u) = (&call.key, &call.namespace, &call.user_key);
    match (call.op, call.value % 2) {
        (0 | 1, _) => state.put(k, n, u, call.value).unwrap(),
        (2, 0) => state.remove(k, n, u).unwrap(),
        (2, _) => state.clear(k, n).unwrap(),
        (3, _) => {
            return format!("{:?}", state.rmw(k, n, u, |slot| slot.replace(call.value)).unwrap());
        }
        (4, 0) => return format!("{:?}", state.rmw(k, n, u, Option::take).unwrap()),
        (4, _) => return format!("{:?}", state.is_empty(k, n).unwrap()),
        (5, 0) => return format!("{:?}", state.contains(k, n, u).unwrap()),
        (5, _) => return format!("{:?}", state.get(k, n, u).unwrap()),
        _ => {
            let mut all = Vec::new();
            state.for_each(k, n, |u, v| all.push((u.clone(), *v))).unwrap();
            all.sort();
            return format!("{all:?}");
        }
    }
    String::new()
}

fn timer(state: &mut impl TimerCalls<u64, u8>, call: &Call) -> String {
    let (k, n) = (&call.key, &call.namespace);
    let time_ms = i64::from(call.value) - 20;
    match call.op {
        0..=3 => state.register(time_ms, k, n).unwrap(),
        4 => state.delete(time_ms, k, n).unwrap(),
        5 => return format!("{:?}", state.contains(time_ms, k, n).unwrap()),
        6 => return format!("{:?}", state.peek().unwrap()),
        _ => return format!("{:?}", state.pop_due(time_ms).unwrap()),
    }
    String::new()
}
