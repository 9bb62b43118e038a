//! Rows `heap.*`: state on the heap beside hashbrown with foldhash.

mod capture;
mod first;
pub mod list;
pub mod map;
pub(crate) mod memory;
mod narrow;
pub mod timers;
mod value;
pub(crate) mod worst;

use crate::report::Report;
use esker::backend::heap::ValueState;
use esker_format::{KeyGroupRange, Ordered};

/// u64 to u64, through the public API.
pub type State = ValueState<u64, (), u64>;
/// The peer.
pub(crate) type Peer<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
pub(crate) const PEER: &str = "hashbrown + foldhash";

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    value::run(report)?;
    narrow::run(report)?;
    capture::run(report)?;
    worst::run(report)?;
    timers::run(report)?;
    map::run(report)?;
    list::run(report)?;
    first::run(report)?;
    memory::run(report)
}

/// An empty state.
pub fn state(range: KeyGroupRange) -> Result<State, String> {
    ValueState::new(1, range, Ordered).map_err(|e| e.to_string())
}

/// A state that holds `keys`.
pub fn filled(range: KeyGroupRange, keys: &[u64]) -> Result<State, String> {
    let mut state = state(range)?;
    update(&mut state, keys, 1);
    Ok(state)
}

/// How far ahead the rows `….ahead` name their keys.
const AHEAD: usize = 12;

/// Prefetches the key `AHEAD` places on, if that is any.
#[inline]
fn announce<const AHEAD: usize>(state: &State, keys: &[u64], at: usize) {
    if AHEAD > 0
        && let Some(key) = keys.get(at + AHEAD)
    {
        state.prefetch(key, &());
    }
}

/// Reads each key.
pub fn get(state: &mut State, keys: &[u64]) -> u64 {
    get_ahead::<0>(state, keys)
}

/// Sets each key.
pub fn update(state: &mut State, keys: &[u64], value: u64) -> bool {
    update_ahead::<0>(state, keys, value)
}

/// Adds one to each key.
pub fn rmw(state: &mut State, keys: &[u64]) -> bool {
    rmw_ahead::<0>(state, keys)
}

// Each operation has one place where it is called in a loop: the compiler decides there, once for all
// rows, what is inlined.
#[inline(never)]
fn get_ahead<const AHEAD: usize>(state: &mut State, keys: &[u64]) -> u64 {
    keys.iter().enumerate().fold(0, |sum, (at, key)| {
        announce::<AHEAD>(state, keys, at);
        match state.get(key, &()) {
            Ok(Some(value)) => sum ^ value,
            _ => sum,
        }
    })
}

#[inline(never)]
fn update_ahead<const AHEAD: usize>(state: &mut State, keys: &[u64], value: u64) -> bool {
    keys.iter().enumerate().fold(true, |ok, (at, key)| {
        announce::<AHEAD>(state, keys, at);
        ok & state.update(key, &(), value).is_ok()
    })
}

#[inline(never)]
fn rmw_ahead<const AHEAD: usize>(state: &mut State, keys: &[u64]) -> bool {
    let add = |slot: &mut Option<u64>| *slot = Some(slot.unwrap_or(0) + 1);
    keys.iter().enumerate().fold(true, |ok, (at, key)| {
        announce::<AHEAD>(state, keys, at);
        ok & state.rmw(key, &(), add).is_ok()
    })
}
