//! What the states hold, in ordered maps; and its canonical lines, written by hand.

use super::DURATION_MS;
use crate::lines::sorted;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What inputs are folded into.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// How many there were.
    pub count: u32,
    /// Their sum.
    pub sum: u64,
}

/// Key and namespace.
pub type At = (u64, Option<i16>);

/// Everything. What has expired is not there.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The time, in milliseconds.
    pub now_ms: i64,
    /// Values.
    pub value: BTreeMap<At, u32>,
    /// Lists.
    pub list: BTreeMap<At, Vec<u32>>,
    /// Maps, by user key.
    pub map: BTreeMap<(At, u8), String>,
    /// The largest inputs.
    pub reducing: BTreeMap<At, u32>,
    /// Accumulators.
    pub aggregating: BTreeMap<At, Mean>,
    /// Timers of event time, in milliseconds.
    pub event: BTreeSet<(At, i64)>,
    /// Timers of processing time, in milliseconds.
    pub processing: BTreeSet<(At, i64)>,
    /// Values that expire, and the time of their last update in milliseconds; so of the others.
    pub ttl_value: BTreeMap<At, (u32, i64)>,
    /// Elements that expire.
    pub ttl_list: BTreeMap<At, Vec<(u32, i64)>>,
    /// Entries of maps that expire.
    pub ttl_map: BTreeMap<(At, u8), (String, i64)>,
    /// Largest inputs that expire.
    pub ttl_reducing: BTreeMap<At, (u32, i64)>,
    /// Accumulators that expire.
    pub ttl_aggregating: BTreeMap<At, (Mean, i64)>,
    /// Operator state: a list that is dealt out. The suite has none; who adds some has the lines.
    pub offsets: Vec<u32>,
    /// A list of which every subtask gets all.
    pub partitions: BTreeSet<u32>,
    /// A broadcast map.
    pub rules: BTreeMap<String, u32>,
}

impl Model {
    /// It is `by_ms` milliseconds later.
    pub fn later(&mut self, by_ms: i64) {
        self.now_ms += by_ms;
        let live = |time_ms: i64| self.now_ms < time_ms + DURATION_MS as i64;
        self.ttl_value.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_list.values_mut().for_each(|list| list.retain(|(_, time_ms)| live(*time_ms)));
        self.ttl_list.retain(|_, list| !list.is_empty());
        self.ttl_map.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_reducing.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_aggregating.retain(|_, (_, time_ms)| live(*time_ms));
    }

    /// Its canonical lines, sorted.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |name: &str, kind: &str, at: &At, rest: String| {
            let (key, namespace) = at;
            let (space, namespace) = match namespace {
                Some(number) => ("spaced", number.to_string()),
                None => ("plain", "null".to_owned()),
            };
            lines.push(format!(
                r#"{{"operator":"every","state":"{space}-{name}","kind":"{kind}","key":{key},"namespace":{namespace},{rest}}}"#
            ));
        };
        let value = |value: &dyn std::fmt::Display| format!(r#""value":{value}"#);
        let list = |list: &[u32]| value(&format!("{list:?}").replace(' ', ""));
        let entry = |user_key: u8, text: &str| format!(r#""userKey":{user_key},"value":"{text}""#);
        let mean =
            |mean: &Mean| value(&format!(r#"{{"count":{},"sum":{}}}"#, mean.count, mean.sum));
        let ttl =
            |rest: String, time_ms: &dyn std::fmt::Display| format!(r#"{rest},"ttl":{time_ms}"#);

        self.value.iter().for_each(|(at, v)| add("value", "value", at, value(v)));
        self.list.iter().for_each(|(at, all)| add("list", "list", at, list(all)));
        self.map.iter().for_each(|((at, u), v)| add("map", "map", at, entry(*u, v)));
        self.reducing.iter().for_each(|(at, v)| add("reducing", "reducing", at, value(v)));
        self.aggregating.iter().for_each(|(at, v)| add("aggregating", "aggregating", at, mean(v)));
        self.event.iter().for_each(|(at, t)| add("event", "timer-event", at, value(t)));
        self.processing.iter().for_each(|(at, t)| {
            add("processing", "timer-processing", at, value(t));
        });
        self.ttl_value.iter().for_each(|(at, (v, t))| {
            add("ttl-value", "value", at, ttl(value(v), t));
        });
        self.ttl_list.iter().for_each(|(at, all)| {
            let (elements, times): (Vec<u32>, Vec<i64>) = all.iter().copied().unzip();
            let times = format!("{times:?}").replace(' ', "");
            add("ttl-list", "list", at, ttl(list(&elements), &times));
        });
        self.ttl_map.iter().for_each(|((at, u), (v, t))| {
            add("ttl-map", "map", at, ttl(entry(*u, v), t));
        });
        self.ttl_reducing.iter().for_each(|(at, (v, t))| {
            add("ttl-reducing", "reducing", at, ttl(value(v), t));
        });
        self.ttl_aggregating.iter().for_each(|(at, (v, t))| {
            add("ttl-aggregating", "aggregating", at, ttl(mean(v), t));
        });

        let mut add = |name: &str, kind: &str, rest: String| {
            lines.push(format!(
                r#"{{"operator":"every","state":"{name}","kind":"operator-{kind}",{rest}}}"#
            ));
        };
        self.offsets.iter().for_each(|v| add("offsets", "list", value(v)));
        self.partitions.iter().for_each(|v| add("partitions", "union", value(v)));
        for (key, v) in &self.rules {
            add("rules", "broadcast", format!(r#""userKey":"{key}",{}"#, value(v)));
        }
        sorted(lines)
    }
}
