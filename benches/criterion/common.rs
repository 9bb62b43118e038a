//! What the benches share: how long is measured, and keys in batches.

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use std::time::Duration;

/// Operations of one iteration.
pub(crate) const BATCH: usize = 1000;

/// Short: a few seconds for each question.
pub(crate) fn criterion() -> Criterion {
    let short = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500));
    short.measurement_time(Duration::from_secs(2)).configure_from_args()
}

/// Asks `operate` of one batch of the keys after the other, over and over.
#[allow(dead_code, reason = "not every bench has batches")]
pub(crate) fn in_batches<S, R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    keys: &[u64],
    state: &mut S,
    mut operate: impl FnMut(&mut S, &[u64]) -> R,
) {
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut batches = keys.chunks_exact(BATCH).cycle();
    group.bench_function(name, |bencher| {
        bencher.iter(|| batches.next().map(|batch| operate(state, batch)));
    });
}
