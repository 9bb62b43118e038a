//! A state of every kind, under one type of namespace.

use super::job::Call;
use super::model::{Mean, Model};
use esker::backend::heap::{
    HeapBackend, ListState, MapState, TimerState, TtlListState, TtlMapState, TtlValueState,
    ValueState,
};
use esker::backend::{Aggregating, AggregatingState, Backend, Handle, Reducing, ReducingState};
use esker::format::manifest::TtlUpdate;
use esker::format::{Key, Ordered};
use esker::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    TimerDescriptor, TtlConfig, ValueDescriptor,
};

pub(crate) const DURATION_MS: u64 = 50;

/// Sums and counts.
pub(crate) struct Means;

impl Aggregate for Means {
    type Input = u32;
    type Accumulator = Mean;
    type Output = u64;

    fn create(&self) -> Mean {
        Mean::default()
    }

    fn add(&self, mean: &mut Mean, input: u32) {
        mean.count += 1;
        mean.sum += u64::from(input);
    }

    fn result(&self, mean: &Mean) -> u64 {
        mean.sum / u64::from(mean.count)
    }
}

/// A type of namespace: none, or a number.
pub(crate) trait Space: Key {
    /// The prefix of the states' names.
    const NAME: &str;
    const UPDATE: TtlUpdate;

    fn of(number: i16) -> Self;

    /// As the model has it.
    fn number(&self) -> Option<i16>;
}

impl Space for () {
    const NAME: &str = "plain";
    const UPDATE: TtlUpdate = TtlUpdate::Write;

    fn of(_number: i16) -> Self {}

    fn number(&self) -> Option<i16> {
        None
    }
}

impl Space for i16 {
    const NAME: &str = "spaced";
    const UPDATE: TtlUpdate = TtlUpdate::ReadAndWrite;

    fn of(number: i16) -> Self {
        number
    }

    fn number(&self) -> Option<i16> {
        Some(*self)
    }
}

type Expiring<N, V> = TtlValueState<u64, N, V>;

/// The states.
pub(crate) struct Kinds<N: Space> {
    value: Handle<ValueState<u64, N, u32>>,
    list: Handle<ListState<u64, N, u32>>,
    map: Handle<MapState<u64, N, u8, String>>,
    reducing: Handle<Reducing<HeapBackend, u64, N, u32>>,
    aggregating: Handle<Aggregating<HeapBackend, u64, N, Means>>,
    event: Handle<TimerState<u64, N>>,
    processing: Handle<TimerState<u64, N>>,
    ttl_value: Handle<Expiring<N, u32>>,
    ttl_list: Handle<TtlListState<u64, N, u32>>,
    ttl_map: Handle<TtlMapState<u64, N, u8, String>>,
    ttl_reducing: Handle<ReducingState<u64, N, u32, Expiring<N, u32>>>,
    ttl_aggregating: Handle<AggregatingState<u64, N, Means, Expiring<N, Mean>>>,
}

impl<N: Space> Kinds<N> {
    pub(crate) fn open(backend: &mut HeapBackend) -> esker::Result<Self> {
        let name = |kind: &str| format!("{}-{kind}", N::NAME);
        let max = |value: &mut u32, input: u32| *value = input.max(*value);
        let keeps = TtlConfig { update: N::UPDATE, ..TtlConfig::new(DURATION_MS) };
        let cleans = TtlConfig { clean_entries_per_call: 3, ..keeps };
        let shows = TtlConfig { clean_full_snapshots: false, ..keeps };
        Ok(Self {
            value: backend.open(ValueDescriptor::with_codec(name("value"), Ordered))?,
            list: backend.open(ListDescriptor::new(name("list")))?,
            map: backend.open(MapDescriptor::new(name("map")))?,
            reducing: backend.open(ReducingDescriptor::new(name("reducing"), max))?,
            aggregating: backend.open(AggregatingDescriptor::new(name("aggregating"), Means))?,
            event: backend.open(TimerDescriptor::event(name("event")))?,
            processing: backend.open(TimerDescriptor::processing(name("processing")))?,
            ttl_value: backend.open(ValueDescriptor::new(name("ttl-value")).with_ttl(cleans))?,
            ttl_list: backend.open(ListDescriptor::new(name("ttl-list")).with_ttl(cleans))?,
            ttl_map: backend.open(MapDescriptor::new(name("ttl-map")).with_ttl(cleans))?,
            ttl_reducing: backend
                .open(ReducingDescriptor::new(name("ttl-reducing"), max).with_ttl(keeps))?,
            ttl_aggregating: backend
                .open(AggregatingDescriptor::new(name("ttl-aggregating"), Means).with_ttl(shows))?,
        })
    }

    /// Makes a call, of the model too.
    pub(crate) fn call(&self, backend: &mut HeapBackend, model: &mut Model, call: Call) {
        let Call { what, key, namespace, user_key, amount, .. } = call;
        let n = &N::of(namespace);
        let (k, u) = (&key, &user_key);
        let at = (key, n.number());
        let time_ms = i64::from(amount % 40);
        let now_ms = model.now_ms;
        let renews = N::UPDATE == TtlUpdate::ReadAndWrite;
        let text = format!("v{amount}");
        macro_rules! state {
            ($state:ident) => {
                backend.state(self.$state).unwrap()
            };
        }
        match what {
            0 | 1 => {
                let old = state!(value).update(k, n, amount).unwrap();
                assert_eq!(old, model.value.insert(at, amount));
            }
            2 => assert_eq!(state!(value).clear(k, n).unwrap(), model.value.remove(&at)),
            3 | 4 => {
                state!(list).append(k, n, amount).unwrap();
                model.list.entry(at).or_default().push(amount);
            }
            5 => {
                state!(list).update(k, n, [amount, 1]).unwrap();
                model.list.insert(at, vec![amount, 1]);
            }
            6 => {
                assert_eq!(state!(list).clear(k, n).unwrap(), model.list.remove(&at).is_some());
            }
            7..=9 => {
                let old = state!(map).put(k, n, u, text.clone()).unwrap();
                assert_eq!(old, model.map.insert((at, user_key), text));
            }
            10 => {
                let old = state!(map).remove(k, n, u).unwrap();
                assert_eq!(old, model.map.remove(&(at, user_key)));
            }
            11 if amount % 4 == 0 => {
                state!(map).clear(k, n).unwrap();
                model.map.retain(|(of, _), _| *of != at);
            }
            11 | 12 => {
                state!(reducing).add(k, n, amount).unwrap();
                let max = model.reducing.entry(at).or_default();
                *max = amount.max(*max);
            }
            13 => {
                state!(aggregating).add(k, n, amount).unwrap();
                Means.add(model.aggregating.entry(at).or_default(), amount);
            }
            14 => {
                let is_new = state!(event).register(time_ms, k, n).unwrap();
                assert_eq!(is_new, model.event.insert((at, time_ms)));
            }
            15 => {
                let was = state!(event).delete(time_ms, k, n).unwrap();
                assert_eq!(was, model.event.remove(&(at, time_ms)));
            }
            16 => {
                let is_new = state!(processing).register(time_ms, k, n).unwrap();
                assert_eq!(is_new, model.processing.insert((at, time_ms)));
            }
            17 => {
                // One timer that is due.
                if let Some((time_ms, key, n)) = state!(processing).pop_due(5) {
                    assert!(time_ms <= 5);
                    assert!(model.processing.remove(&((key, n.number()), time_ms)));
                }
            }
            18 | 19 => {
                state!(ttl_value).update(k, n, amount).unwrap();
                model.ttl_value.insert(at, (amount, now_ms));
            }
            20 => {
                let value = state!(ttl_value).get(k, n).unwrap();
                let known = model.ttl_value.get_mut(&at);
                assert_eq!(value, known.as_ref().map(|(value, _)| *value));
                known.into_iter().filter(|_| renews).for_each(|(_, time_ms)| *time_ms = now_ms);
            }
            21 | 22 => {
                state!(ttl_list).append(k, n, amount).unwrap();
                model.ttl_list.entry(at).or_default().push((amount, now_ms));
            }
            23 => {
                let list = state!(ttl_list).get(k, n).unwrap();
                let known = model.ttl_list.get_mut(&at).into_iter().flatten();
                let known = known.map(|(element, time_ms)| {
                    *time_ms = if renews { now_ms } else { *time_ms };
                    *element
                });
                assert_eq!(list, known.collect::<Vec<_>>());
            }
            24..=26 => {
                state!(ttl_map).put(k, n, u, text.clone()).unwrap();
                model.ttl_map.insert((at, user_key), (text, now_ms));
            }
            27 => {
                let was = state!(ttl_map).remove(k, n, u).unwrap().is_some();
                assert_eq!(was, model.ttl_map.remove(&(at, user_key)).is_some());
            }
            28 => {
                state!(ttl_reducing).add(k, n, amount).unwrap();
                let (max, time_ms) = model.ttl_reducing.entry(at).or_default();
                (*max, *time_ms) = (amount.max(*max), now_ms);
            }
            _ => {
                state!(ttl_aggregating).add(k, n, amount).unwrap();
                let (mean, time_ms) = model.ttl_aggregating.entry(at).or_default();
                Means.add(mean, amount);
                *time_ms = now_ms;
            }
        }
    }
}
