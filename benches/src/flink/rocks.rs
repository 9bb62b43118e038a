//! esker's answers for state in RocksDB. RocksDB is given as much memory as Flink gives it for a state by
//! default, two write buffers of 64 MB and 8 MB of cache, to divide as esker does.

use super::states::{LIST_LEN, Pace, Values};
use super::{Answers, Group};
use crate::heap::map::USER_KEYS;
use crate::keys;
use crate::rocksdb::side::{Side, settle};
use esker::backend::rocksdb::RocksBackend;
use esker::backend::rocksdb::{ListState, MapState, ValueState};
use esker::backend::{Descriptor, KeyedState, ListCalls, MapCalls, ValueCalls};
use esker::state::{ListDescriptor, MapDescriptor, ValueDescriptor};
use esker_format::{Bincode, Ordered};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of which RocksDB is given three quarters.
const BUDGET_LEN_BYTES: usize = ((2 * 64 + 8) << 20) / 3 * 4;

/// What esker is to be ahead by.
pub(super) fn target(group: &Group, operation: &str) -> f64 {
    match (group.state, operation, group.size) {
        ("map", "get" | "contains-miss" | "iterate", _) => 3.0,
        (_, _, "10m") => 2.0,
        _ => 1.0,
    }
}

/// Nanoseconds of each operation; `second` is how long a round lasts.
pub(super) fn ask(group: &Group, operations: &[&str], second: f64) -> Answers {
    let pace = Pace { second, len: group.keys };
    let order = keys::shuffled(0, group.keys);
    let values = Values::new();
    let answers = match group.state {
        "value" => of_values(&pace, (&order, &values), operations),
        "list" => of_lists(&pace, (&order, &values), operations),
        _ => of_maps(&pace, &order, operations),
    };
    match FAILED.load(Ordering::Relaxed) {
        true => Err(format!("a call on {} state in RocksDB failed", group.state)),
        false => answers,
    }
}

fn empty<D: Descriptor<RocksBackend>>(descriptor: D) -> Result<Side<D::State>, String>
where
    D::State: KeyedState,
{
    Side::within(BUDGET_LEN_BYTES, descriptor, None)
}

/// Nothing is in memory alone, and nothing is left to compact.
fn written<S: KeyedState>(side: &mut Side<S>) -> Result<(), String> {
    side.flush()?;
    settle(&side.dir());
    Ok(())
}

/// A call failed: what was timed is worth nothing.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Calls `each` for the keys of a chunk and their number.
fn over<S: KeyedState>(
    side: &mut Side<S>,
    (order, at): (&[u64], Range<usize>),
    mut each: impl FnMut(&mut S, &u64, u64) -> esker::Result<u64>,
) -> u64 {
    let Ok(state) = side.state() else {
        FAILED.store(true, Ordering::Relaxed);
        return 0;
    };
    let numbered = order.get(at.clone()).unwrap_or_default().iter().zip(at.start as u64..);
    numbered.fold(0, |sum, (key, i)| {
        sum ^ each(state, key, i).unwrap_or_else(|_| {
            FAILED.store(true, Ordering::Relaxed);
            0
        })
    })
}

fn of_values(pace: &Pace, (order, values): (&[u64], &Values), operations: &[&str]) -> Answers {
    type State = ValueState<u64, (), u64>;
    let value = |i: u64| values.at(i);
    let filled = || -> Result<Side<State>, String> {
        let mut side = empty(ValueDescriptor::<u64, u64>::with_codec("value", Ordered))?;
        let ascending: Vec<u64> = (0..pace.len as u64).collect();
        over(&mut side, (&ascending, 0..pace.len), |s, key, i| {
            s.update(key, &(), value(i)).map(|()| 0)
        });
        if pace.len > 1_000_000 {
            written(&mut side)?;
        }
        Ok(side)
    };
    let mut side = filled()?;
    let added = keys::shuffled(pace.len as u64, pace.len);
    let answer = |operation: &&str| match *operation {
        "get" => pace.ns(
            &mut side,
            |_, _| (),
            |side, at| over(side, (order, at), |s, key, _| Ok(s.get(key, &())?.unwrap_or(0))),
        ),
        "rmw" => pace.ns(
            &mut side,
            |_, _| (),
            |side, at| {
                let add = |slot: &mut Option<u64>| *slot = Some(slot.unwrap_or(0).wrapping_add(1));
                over(side, (order, at), |s, key, _| s.rmw(key, &(), add).map(|()| 0))
            },
        ),
        "update" => pace.ns(
            &mut side,
            |_, _| (),
            |side, at| {
                over(side, (order, at), |s, key, i| s.update(key, &(), value(i)).map(|()| 0))
            },
        ),
        _ => {
            // A new state for each pass: no pass overwrites.
            let anew = |side: &mut Side<State>, _| {
                if let Ok(new) = filled() {
                    *side = new;
                }
            };
            pace.ns(&mut side, anew, |side, at| {
                over(side, (&added, at), |s, key, i| s.update(key, &(), value(i)).map(|()| 0))
            })
        }
    };
    Ok(operations.iter().map(answer).collect())
}

fn of_lists(pace: &Pace, (order, values): (&[u64], &Values), operations: &[&str]) -> Answers {
    type State = ListState<u64, (), u64>;
    let ascending: Vec<u64> = (0..pace.len as u64).collect();
    let one = |side: &mut Side<State>| {
        let put = |s: &mut State, key: &u64, i| s.update(key, &(), [values.at(i)]).map(|()| 0);
        over(side, (&ascending, 0..pace.len), put);
    };
    let append = |side: &mut Side<State>, at: Range<usize>| {
        over(side, (order, at), |s, key, i| s.append(key, &(), values.at(i)).map(|()| 0))
    };
    let mut side = empty(ListDescriptor::<u64, u64>::with_codec("list", Ordered))?;
    let mut answers = Vec::new();
    for operation in operations {
        one(&mut side);
        answers.push(match *operation {
            "append" => {
                let back = |side: &mut Side<State>, pass: usize| {
                    if pass.is_multiple_of(LIST_LEN - 1) {
                        one(side);
                    }
                };
                pace.ns(&mut side, back, append)
            }
            operation => {
                let passes = if operation == "get10" { LIST_LEN - 1 } else { 0 };
                (0..passes).for_each(|_| _ = append(&mut side, 0..pace.len));
                written(&mut side)?;
                pace.ns(
                    &mut side,
                    |_, _| (),
                    |side, at| {
                        over(side, (order, at), |s, key, _| {
                            let mut sum = 0;
                            s.for_each(key, &(), |element| sum ^= element)?;
                            Ok(sum)
                        })
                    },
                )
            }
        });
    }
    Ok(answers)
}

fn of_maps(pace: &Pace, order: &[u64], operations: &[&str]) -> Answers {
    type State = MapState<u64, (), u64, f64>;
    let mut side = empty(MapDescriptor::<u64, u64, f64>::with_codec("map", Bincode))?;
    let ascending: Vec<u64> = (0..pace.len as u64).collect();
    over(&mut side, (&ascending, 0..pace.len), |s, key, i| {
        (0..USER_KEYS).try_for_each(|user| s.put(key, &(), &user, (i + user) as f64))?;
        Ok(0)
    });
    written(&mut side)?;
    let answer = |operation: &&str| {
        pace.ns(
            &mut side,
            |_, _| (),
            |side, at| {
                over(side, (order, at), |s: &mut State, key, i| match *operation {
                    "get" => Ok(s.get(key, &(), &(i % USER_KEYS))?.map_or(0, f64::to_bits)),
                    "contains-miss" => {
                        Ok(s.contains(key, &(), &(i % USER_KEYS + USER_KEYS))?.into())
                    }
                    "put" => s.put(key, &(), &(i % USER_KEYS), i as f64).map(|()| 0),
                    _ => {
                        let mut sum = 0.0;
                        s.for_each(key, &(), |user, value| sum += *user as f64 + value)?;
                        Ok(sum.to_bits())
                    }
                })
            },
        )
    };
    Ok(operations.iter().map(answer).collect())
}
