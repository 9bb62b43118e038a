//! What the states hold, in ordered maps; and its canonical lines, written by hand.

use super::kinds::DURATION_MS;
use super::lines::sorted;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean {
    pub(crate) count: u32,
    pub(crate) sum: u64,
}

/// Key and namespace.
type At = (u64, Option<i16>);

/// Everything. What has expired is not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) now_ms: i64,
    pub(crate) value: BTreeMap<At, u32>,
    pub(crate) list: BTreeMap<At, Vec<u32>>,
    pub(crate) map: BTreeMap<(At, u8), String>,
    pub(crate) reducing: BTreeMap<At, u32>,
    pub(crate) aggregating: BTreeMap<At, Mean>,
    pub(crate) event: BTreeSet<(At, i64)>,
    pub(crate) processing: BTreeSet<(At, i64)>,
    pub(crate) ttl_value: BTreeMap<At, (u32, i64)>,
    pub(crate) ttl_list: BTreeMap<At, Vec<(u32, i64)>>,
    pub(crate) ttl_map: BTreeMap<(At, u8), (String, i64)>,
    pub(crate) ttl_reducing: BTreeMap<At, (u32, i64)>,
    pub(crate) ttl_aggregating: BTreeMap<At, (Mean, i64)>,
    pub(crate) offsets: Vec<u32>,
    pub(crate) partitions: BTreeSet<u32>,
    pub(crate) rules: BTreeMap<String, u32>,
}

impl Model {
    /// It is later.
    pub(crate) fn later(&mut self, by_ms: i64) {
        self.now_ms += by_ms;
        let live = |time_ms: i64| self.now_ms < time_ms + DURATION_MS as i64;
        self.ttl_value.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_list.values_mut().for_each(|list| list.retain(|(_, time_ms)| live(*time_ms)));
        self.ttl_list.retain(|_, list| !list.is_empty());
        self.ttl_map.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_reducing.retain(|_, (_, time_ms)| live(*time_ms));
        self.ttl_aggregating.retain(|_, (_, time_ms)| live(*time_ms));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
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
