//! esker's answers to the questions about value, list and map state.

use super::{Answers, Group};
use crate::heap::{State, get, list, map, rmw, state};
use crate::keys;
use crate::measure::{median, seconds};
use esker_format::KeyGroupRange;
use std::ops::Range;

pub(super) const ROUNDS: usize = 5;
const CHUNK: usize = 10_000;
/// Elements that `append` leaves in a list, and `get10` reads.
pub(super) const LIST_LEN: usize = 10;

/// Nanoseconds of each operation; `second` is how long a round lasts.
pub(super) fn ask(group: &Group, operations: &[&str], second: f64) -> Answers {
    let pace = Pace { second, len: group.keys };
    let order = keys::shuffled(0, group.keys);
    let ascending: Vec<u64> = (0..group.keys as u64).collect();
    let values = Values::new();
    Ok(match group.state {
        "value" => {
            let mut state = values.filled(&ascending)?;
            let added = keys::shuffled(group.keys as u64, group.keys);
            let answer = |operation: &&str| match *operation {
                "get" => pace.ns(&mut state, |_, _| (), |s, at| get(s, &order[at])),
                "rmw" => pace.ns(&mut state, |_, _| (), |s, at| rmw(s, &order[at])),
                "update" => pace.ns(&mut state, |_, _| (), |s, at| values.update(s, &order, at)),
                _ => {
                    // A new state for each pass: no pass overwrites.
                    let anew = |s: &mut State, _| values.refill(s, &ascending);
                    pace.ns(&mut state, anew, |s, at| values.update(s, &added, at))
                }
            };
            operations.iter().map(answer).collect()
        }
        "list" => {
            let mut lists = list::empty()?;
            let one = |lists: &mut list::Lists| {
                for (key, value) in ascending.iter().zip(values.of(0..group.keys)) {
                    let _ = lists.update(key, &(), [value]);
                }
            };
            let append = |lists: &mut list::Lists, at: Range<usize>| {
                list::append(lists, &order[at.clone()], values.of(at))
            };
            one(&mut lists);
            let answer = |operation: &&str| match *operation {
                "append" => {
                    let back = |lists: &mut list::Lists, pass: usize| {
                        if pass.is_multiple_of(LIST_LEN - 1) {
                            one(lists);
                        }
                    };
                    pace.ns(&mut lists, back, append)
                }
                operation => {
                    one(&mut lists);
                    let passes = if operation == "get10" { LIST_LEN - 1 } else { 0 };
                    (0..passes).for_each(|_| _ = append(&mut lists, 0..group.keys));
                    pace.ns(&mut lists, |_, _| (), |l, at| list::get(l, &order[at]))
                }
            };
            operations.iter().map(answer).collect()
        }
        _ => {
            let mut maps = map::filled(&ascending)?;
            let answer = |operation: &&str| {
                let ask = |maps: &mut map::Maps, at: Range<usize>| {
                    map::operate(maps, operation, &order[at]).to_bits()
                };
                pace.ns(&mut maps, |_, _| (), ask)
            };
            operations.iter().map(answer).collect()
        }
    })
}

/// How long is measured: passes over `len` keys, in chunks.
pub(super) struct Pace {
    pub(super) second: f64,
    pub(super) len: usize,
}

impl Pace {
    /// The median of five rounds after one of three times the length. `before` is called, untimed,
    /// before each pass over the keys, with the number of the pass.
    pub(super) fn ns<S, R>(
        &self,
        state: &mut S,
        mut before: impl FnMut(&mut S, usize),
        mut operate: impl FnMut(&mut S, Range<usize>) -> R,
    ) -> f64 {
        let (mut at, mut pass, mut rounds) = (0, 0, Vec::new());
        for round in 0..=ROUNDS {
            let budget = if round == 0 { 3.0 * self.second } else { self.second };
            let (mut spent, mut ops) = (0.0, 0);
            while spent < budget {
                if at == 0 {
                    before(state, pass);
                    pass += 1;
                }
                spent += seconds(|| operate(state, at..at + CHUNK));
                ops += CHUNK;
                at = (at + CHUNK) % self.len;
            }
            if round > 0 {
                rounds.push(spent * 1e9 / ops as f64);
            }
        }
        median(rounds)
    }
}

/// The recipe's values: operation i has the ith, over and over.
pub(super) struct Values(Vec<u64>);

impl Values {
    pub(super) fn new() -> Self {
        Self(keys::values())
    }

    /// The value of operation `number`.
    pub(super) fn at(&self, number: u64) -> u64 {
        self.0[number as usize & (self.0.len() - 1)]
    }

    pub(super) fn of(&self, operations: Range<usize>) -> impl Iterator<Item = u64> {
        operations.map(|i| self.at(i as u64))
    }

    fn update(&self, state: &mut State, keys: &[u64], at: Range<usize>) -> bool {
        let mut each = keys[at.clone()].iter().zip(self.of(at));
        each.all(|(key, value)| state.update(key, &(), value).is_ok())
    }

    /// A state of `keys`, put in this order.
    pub(super) fn filled(&self, keys: &[u64]) -> Result<State, String> {
        let mut state = state(KeyGroupRange::ALL)?;
        self.update(&mut state, keys, 0..keys.len());
        Ok(state)
    }

    fn refill(&self, old: &mut State, keys: &[u64]) {
        if let Ok(state) = self.filled(keys) {
            *old = state;
        }
    }
}
