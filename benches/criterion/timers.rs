//! Timers: 100,000 of them registered, deleted and fired.

mod common;

use criterion::{BatchSize, Throughput};
use esker_benches::heap::timers::{delete, drawn, fire, registered};

const TIMERS: usize = 100_000;

fn main() -> Result<(), String> {
    let mut criterion = common::criterion();
    let mut group = criterion.benchmark_group("timers.100k");
    group.throughput(Throughput::Elements(TIMERS as u64));
    let timers = drawn(TIMERS);
    registered(&timers)?;
    group.bench_function("register", |bencher| {
        bencher.iter_with_large_drop(|| registered(&timers));
    });
    let mut others = timers.clone();
    others.sort_unstable_by_key(|(_, key)| *key);
    group.bench_function("delete", |bencher| {
        let ask = |state: &mut Result<_, _>| state.as_mut().map_or(0, |s| delete(s, &others));
        bencher.iter_batched_ref(|| registered(&timers), ask, BatchSize::PerIteration);
    });
    group.bench_function("fire", |bencher| {
        let ask = |state: &mut Result<_, _>| state.as_mut().map_or(0, fire);
        bencher.iter_batched_ref(|| registered(&timers), ask, BatchSize::PerIteration);
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
