//! Map and list state: 100,000 maps of ten entries, and as many lists that grow.

mod common;

use esker_benches::heap::{list, map};
use esker_benches::keys;
use esker_format::KeyGroupRange;

const ENTRIES: usize = 100_000;
/// Elements that each list has before it is read.
const LIST_LEN: usize = 10;

fn main() -> Result<(), String> {
    let mut criterion = common::criterion();
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let drawn = keys::uniform(&keys, ENTRIES);
    let mut group = criterion.benchmark_group("map.100k");
    let mut maps = map::filled(&keys)?;
    for operation in map::OPERATIONS {
        common::in_batches(&mut group, operation, &drawn, &mut maps, |maps, keys| {
            map::operate(maps, operation, keys)
        });
    }
    group.finish();
    drop(maps);
    let mut group = criterion.benchmark_group("list.100k");
    let mut lists = list::empty()?;
    for _ in 0..LIST_LEN {
        list::append(&mut lists, &keys, 0..);
    }
    common::in_batches(&mut group, "get", &drawn, &mut lists, list::get);
    common::in_batches(&mut group, "append", &drawn, &mut lists, |lists, keys| {
        list::append(lists, keys, 0..)
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
