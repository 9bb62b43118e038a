//! Value state of 1,000,000 keys: get, update, rmw, insert, and updates while a capture is held.

mod common;

use esker_benches::heap::{filled, get, rmw, update};
use esker_benches::keys;
use esker_format::KeyGroupRange;

const ENTRIES: usize = 1_000_000;

fn main() -> Result<(), String> {
    let mut criterion = common::criterion();
    let mut group = criterion.benchmark_group("value.1m");
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let drawn = keys::uniform(&keys, ENTRIES);
    let mut state = filled(KeyGroupRange::ALL, &keys)?;
    common::in_batches(&mut group, "get", &drawn, &mut state, get);
    common::in_batches(&mut group, "update", &drawn, &mut state, |state, keys| {
        update(state, keys, 2)
    });
    common::in_batches(&mut group, "rmw", &drawn, &mut state, rmw);
    // What each batch copies because a capture holds it; taking and dropping that is in the figure.
    let mut held = None;
    common::in_batches(&mut group, "update-after-capture", &drawn, &mut state, |state, keys| {
        drop(held.take());
        held = Some(state.capture());
        update(state, keys, 3)
    });
    drop(held);
    // Keys that are not there; they go again, so that the table stays as it is.
    let new: Vec<u64> = (0..ENTRIES as u64).map(|n| keys::mixed(1 << 50 | n)).collect();
    common::in_batches(&mut group, "insert-and-clear", &new, &mut state, |state, keys| {
        update(state, keys, 4);
        keys.iter().filter(|key| state.clear(key, &()).is_ok()).count()
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
