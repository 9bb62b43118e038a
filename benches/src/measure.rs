//! Rounds in turn, and medians.

use std::time::Instant;

/// The median; 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Seconds that `f` takes.
pub(crate) fn seconds<R>(f: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    std::hint::black_box(f());
    start.elapsed().as_secs_f64()
}

/// Median seconds of each of two, after one round of each to warm up: A B B A A B …, so that
/// neither always comes first.
pub(crate) fn in_turn<S>(
    rounds: usize,
    state: &mut S,
    mut a: impl FnMut(&mut S, usize) -> f64,
    mut b: impl FnMut(&mut S, usize) -> f64,
) -> (f64, f64) {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (first, second);
        if round % 2 == 0 {
            first = a(state, round);
            second = b(state, round);
        } else {
            second = b(state, round);
            first = a(state, round);
        }
        if round > 0 {
            of_a.push(first);
            of_b.push(second);
        }
    }
    (median(of_a), median(of_b))
}
