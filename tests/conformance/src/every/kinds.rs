//! A state of every kind, under one type of namespace.

use super::{Call, Mean, Model};
use esker::Result;
use esker::backend::{
    Aggregating, AggregatingState, Backend, Handle, ListCalls, MapCalls, Reducing, ReducingState,
    TimerCalls, ValueCalls,
};
use esker::format::manifest::TtlUpdate;
use esker::format::{Key, Ordered};
use esker::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    TimerDescriptor, TtlConfig, ValueDescriptor,
};

/// How long entries of the states with TTL live, in milliseconds.
pub const DURATION_MS: u64 = 50;

/// Sums and counts.
#[derive(Debug, Clone, Copy)]
pub struct Means;

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
pub trait Space: Key {
    /// The prefix of the states' names.
    const NAME: &str;
    /// When the times of the states with TTL are renewed.
    const UPDATE: TtlUpdate;

    /// The namespace that stands for `number`.
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

type TtlReducing<B, N> = ReducingState<u64, N, u32, <B as Backend>::TtlValue<u64, N, u32>>;
type TtlAggregating<B, N> = AggregatingState<u64, N, Means, <B as Backend>::TtlValue<u64, N, Mean>>;

/// A state of every kind, with TTL and without.
pub struct Kinds<B: Backend, N: Space> {
    value: Handle<B::Value<u64, N, u32>>,
    list: Handle<B::List<u64, N, u32>>,
    map: Handle<B::Map<u64, N, u8, String>>,
    reducing: Handle<Reducing<B, u64, N, u32>>,
    aggregating: Handle<Aggregating<B, u64, N, Means>>,
    event: Handle<B::Timers<u64, N>>,
    processing: Handle<B::Timers<u64, N>>,
    ttl_value: Handle<B::TtlValue<u64, N, u32>>,
    ttl_list: Handle<B::TtlList<u64, N, u32>>,
    ttl_map: Handle<B::TtlMap<u64, N, u8, String>>,
    ttl_reducing: Handle<TtlReducing<B, N>>,
    ttl_aggregating: Handle<TtlAggregating<B, N>>,
}

impl<B: Backend, N: Space> Kinds<B, N> {
    /// Opens the states.
    ///
    /// # Errors
    /// Those of [`Backend::open`].
    pub fn open(backend: &mut B) -> Result<Self> {
        let name = |kind: &str| format!("{}-{kind}", N::NAME);
        let max = |value: &mut u32, input: u32| *value = input.max(*value);
        let keeps = TtlConfig { update: N::UPDATE, ..TtlConfig::new(DURATION_MS) };
        let cleans = TtlConfig { clean_entries_per_call: 3, ..keeps };
        let shows = TtlConfig { clean_full_snapshots: false, ..keeps };
        let (value, list, map) = (name("value"), name("list"), name("map"));
        let (reducing, aggregating) = (name("reducing"), name("aggregating"));
        let (event, processing) = (name("event"), name("processing"));
        let ttl_value = ValueDescriptor::<u64, u32, N>::new(name("ttl-value"));
        let ttl_list = ListDescriptor::<u64, u32, N>::new(name("ttl-list"));
        let ttl_map = MapDescriptor::<u64, u8, String, N>::new(name("ttl-map"));
        let ttl_reducing = ReducingDescriptor::<u64, u32, N>::new(name("ttl-reducing"), max);
        let ttl_aggregating =
            AggregatingDescriptor::<u64, Means, N>::new(name("ttl-aggregating"), Means);
        Ok(Self {
            value: backend.open(ValueDescriptor::<u64, u32, N>::with_codec(value, Ordered))?,
            list: backend.open(ListDescriptor::<u64, u32, N>::new(list))?,
            map: backend.open(MapDescriptor::<u64, u8, String, N>::new(map))?,
            reducing: backend.open(ReducingDescriptor::<u64, u32, N>::new(reducing, max))?,
            aggregating: backend
                .open(AggregatingDescriptor::<u64, Means, N>::new(aggregating, Means))?,
            event: backend.open(TimerDescriptor::<u64, N>::event(event))?,
            processing: backend.open(TimerDescriptor::<u64, N>::processing(processing))?,
            ttl_value: backend.open(ttl_value.with_ttl(cleans))?,
            ttl_list: backend.open(ttl_list.with_ttl(cleans))?,
            ttl_map: backend.open(ttl_map.with_ttl(cleans))?,
            ttl_reducing: backend.open(ttl_reducing.with_ttl(keeps))?,
            ttl_aggregating: backend.open(ttl_aggregating.with_ttl(shows))?,
        })
    }

    /// Makes a call, of the model too, and compares what is read. A call that changes reads first,
    /// where that renews no time.
    ///
    /// # Panics
    /// If the call fails, or what is read is not as in the model.
    pub fn call(&self, backend: &mut B, model: &mut Model, call: Call) {
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
                let old = state!(value).get(k, n).unwrap();
                assert_eq!(old, model.value.insert(at, amount));
                state!(value).update(k, n, amount).unwrap();
            }
            2 => {
                let old = state!(value).get(k, n).unwrap();
                assert_eq!(old, model.value.remove(&at));
                state!(value).clear(k, n).unwrap();
            }
            3 | 4 => {
                state!(list).append(k, n, amount).unwrap();
                model.list.entry(at).or_default().push(amount);
            }
            5 => {
                state!(list).update(k, n, [amount, 1]).unwrap();
                model.list.insert(at, vec![amount, 1]);
            }
            6 => {
                let old = state!(list).get(k, n).unwrap();
                assert_eq!(old, model.list.remove(&at).unwrap_or_default());
                state!(list).clear(k, n).unwrap();
            }
            7..=9 => {
                let old = state!(map).get(k, n, u).unwrap();
                state!(map).put(k, n, u, text.clone()).unwrap();
                assert_eq!(old, model.map.insert((at, user_key), text));
            }
            10 => {
                let old = state!(map).get(k, n, u).unwrap();
                assert_eq!(old, model.map.remove(&(at, user_key)));
                state!(map).remove(k, n, u).unwrap();
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
                let is_set = state!(event).contains(time_ms, k, n).unwrap();
                assert_eq!(is_set, !model.event.insert((at, time_ms)));
                state!(event).register(time_ms, k, n).unwrap();
            }
            15 => {
                let was = state!(event).contains(time_ms, k, n).unwrap();
                assert_eq!(was, model.event.remove(&(at, time_ms)));
                state!(event).delete(time_ms, k, n).unwrap();
            }
            16 => {
                let is_set = state!(processing).contains(time_ms, k, n).unwrap();
                assert_eq!(is_set, !model.processing.insert((at, time_ms)));
                state!(processing).register(time_ms, k, n).unwrap();
            }
            17 => {
                // One timer that is due.
                if let Some((time_ms, key, n)) = state!(processing).pop_due(5).unwrap() {
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
                let was = state!(ttl_map).contains(k, n, u).unwrap();
                assert_eq!(was, model.ttl_map.remove(&(at, user_key)).is_some());
                state!(ttl_map).remove(k, n, u).unwrap();
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
