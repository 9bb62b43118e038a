//! Unaligned checkpoints: the state as captured, and the records that were in flight, are all that the job had read.

use super::{goldens, is_readable, known, lines, options};
use crate::flink::FlinkSnapshot;
use esker_flink::Input;
use esker_flink::channel::Blocks;
use esker_flink::metadata::ChannelHandle;
use std::collections::{BTreeMap, BTreeSet};

/// The job's keys, and how many records it had read.
const KEYS: u64 = 100;
const RECORDS: u64 = 200;

/// What is on the way, by partition of the source, and by subtask that it goes to.
type Bytes = BTreeMap<(String, i32), Vec<u8>>;

/// Is given a channel and a block of it.
type Each<'a> = dyn FnMut((i32, i32), &[u8]) + 'a;

fn add(snapshot: &FlinkSnapshot, handles: &[ChannelHandle], add: &mut Each<'_>) {
    for handle in handles {
        let stream = snapshot.stream(&handle.stream).unwrap();
        let stream = stream.read(0..stream.len_bytes()).unwrap();
        for channel in &handle.channels {
            for block in Blocks::new(&stream, channel).unwrap() {
                add(channel.channel, block.unwrap());
            }
        }
    }
}

/// The numbers that were in flight to each operator. What a subtask had received comes before what was not sent to it.
fn in_flight(snapshot: &FlinkSnapshot) -> BTreeMap<String, BTreeSet<u64>> {
    // The source's partitions are in the order in which the job was built.
    let targets = ["carts", "stock", "outbox"];
    let mut bytes = Bytes::new();
    for is_input in [true, false] {
        for (operator, stored) in snapshot.operators().iter().zip(&snapshot.metadata().operators) {
            for subtask in &stored.subtasks {
                let Some(state) = subtask.state.as_deref() else { continue };
                let handles = if is_input { &state.inputs } else { &state.outputs };
                add(snapshot, handles, &mut |(first, second), block| {
                    let place = match is_input {
                        true => (operator.label.clone(), subtask.index as i32),
                        false => (targets[first as usize].to_owned(), second),
                    };
                    bytes.entry(place).or_default().extend_from_slice(block);
                });
            }
        }
    }
    let mut found = BTreeMap::<String, BTreeSet<u64>>::new();
    for ((operator, subtask), bytes) in bytes {
        let mut input = Input::new("records", &bytes);
        while !input.is_empty() {
            let len = input.i32().unwrap();
            // A number with its time.
            assert_eq!((len, input.u8().unwrap()), (17, 0), "{operator} {subtask}");
            let (time, number) = (input.i64().unwrap(), input.i64().unwrap() as u64);
            assert_eq!(time, 1_700_000_000_000 + number as i64 * 1000);
            assert!(found.entry(operator.clone()).or_default().insert(number), "{number} twice");
        }
    }
    found
}

/// Lines by what they are of.
#[derive(Default)]
struct Lines(BTreeMap<String, String>);

impl Lines {
    fn put(&mut self, head: String, rest: Option<String>) {
        match rest {
            Some(rest) => drop(self.0.insert(head, rest)),
            None => drop(self.0.remove(&head)),
        }
    }
}

fn key_of(number: u64) -> u64 {
    if number < KEYS { number } else { (number - KEYS) * 7 % KEYS }
}

/// What the records that `carts` and `stock` have processed leave, and the state that `outbox` has from the start: the job's
/// own formulas.
fn expected(carts: &BTreeSet<u64>, stock: &BTreeSet<u64>) -> Vec<String> {
    let mut lines = Lines::default();
    let (mut items, mut event) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    let mut processing = BTreeSet::new();
    for &i in carts {
        let key = format!("\"cart/{}\"", key_of(i));
        let head = |state: &str, kind: &str, more: &str| {
            format!(
                r#"{{"operator":"carts","state":"{state}","kind":"{kind}","key":{key},"namespace":null{more},"value":"#
            )
        };
        let total = Some(format!("{}}}", i as i64 * 7 - 100)).filter(|_| i % 17 != 3);
        lines.put(head("total", "value", ""), total);
        let list = items.entry(head("items", "list", "")).or_default();
        match i % 29 {
            0 => list.clear(),
            _ => list.push(format!("\"item-{}\"", i % 11)),
        }
        let user_key = format!(r#","userKey":"p{}""#, i % 4);
        let price = Some(format!("{:?}}}", i as f64 * 0.5)).filter(|_| i % 13 != 5);
        lines.put(head("prices", "map", &user_key), price);
        let seen = format!(r#"[{i},"at {i}"],"ttl":{}}}"#, 1_710_000_000_000 + i * 10);
        lines.put(head("seen", "value", ""), Some(seen));
        let timers =
            event.entry(head("_timer_state/event_user-timers", "timer-event", "")).or_default();
        let time = 4_000_000_000_000 + i % 40 * 1000;
        timers.insert(time);
        if i % 10 == 3 {
            timers.remove(&time);
        }
        if i % 2 == 0 {
            let head = head("_timer_state/processing_user-timers", "timer-processing", "");
            processing.insert(format!("{head}{}}}", 4_102_444_800_000 + i));
        }
    }
    let mut sums = BTreeMap::<_, (u64, i64)>::new();
    for &i in stock {
        let (count, sum) = sums.entry(key_of(i) * 1_000_003).or_default();
        (*count, *sum) = (*count + 1, *sum + i as i64);
    }
    let mut all: Vec<String> = lines.0.into_iter().map(|(head, rest)| head + &rest).collect();
    let lists = items.into_iter().filter(|(_, list)| !list.is_empty());
    all.extend(lists.map(|(head, list)| format!("{head}[{}]}}", list.join(","))));
    for (head, times) in event {
        all.extend(times.into_iter().map(|time| format!("{head}{time}}}")));
    }
    all.extend(processing);
    for (key, (count, sum)) in sums {
        let head = |state: &str, kind: &str| {
            format!(
                r#"{{"operator":"stock","state":"{state}","kind":"{kind}","key":{key},"namespace":null,"value":"#
            )
        };
        all.push(format!("{}{sum}}}", head("sum", "reducing")));
        all.push(format!("{}[{count},{}]}}", head("mean", "aggregating"), -sum));
    }
    for subtask in 0..2 {
        let element = |j| {
            format!(
                r#"{{"operator":"outbox","state":"unsent","kind":"operator-list","value":{}}}"#,
                subtask * 100 + j
            )
        };
        all.extend((0..4).map(element));
        let flag = |j| {
            format!(
                r#"{{"operator":"outbox","state":"flags","kind":"operator-broadcast","userKey":"flag-{j}","value":{}}}"#,
                j == 1
            )
        };
        all.extend((0..2).filter(|_| subtask == 0).map(flag));
    }
    all.sort_unstable();
    all
}

#[test]
fn what_was_captured_lacks_the_records_in_flight_and_nothing_else() {
    let all: BTreeSet<u64> = (0..RECORDS).collect();
    let mut compared = 0;
    for golden in goldens() {
        if !golden.is_in_flight || !is_readable(&golden) {
            continue;
        }
        let path = &golden.path;
        let snapshot = FlinkSnapshot::open_at(path, &options()).unwrap();
        let flying = in_flight(&snapshot);
        let done = |operator: &str| -> BTreeSet<u64> {
            all.difference(flying.get(operator).unwrap_or(&BTreeSet::new())).copied().collect()
        };
        let (carts, stock) = (done("carts"), done("stock"));
        assert!(carts.len() < all.len() && stock.len() < all.len(), "{path}");
        assert!(!carts.is_empty() && !stock.is_empty(), "{path}");
        assert_eq!(lines(&snapshot), expected(&carts, &stock), "{path}");
        // The formulas are the job's: all records give what it predicted.
        assert_eq!(expected(&all, &all), known(&super::expected(&golden.expected)));
        compared += 1;
    }
    assert!(compared >= 2, "{compared}");
}
