//! Keys: spread over all 64 bits, in an order that says nothing.

use esker_format::{KeyGroup, KeyGroupRange};

/// What splitmix64 adds to its state for each number.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The `n`th number of splitmix64 from seed 0, counted from 1: each number is different.
pub fn mixed(n: u64) -> u64 {
    mix(n.wrapping_mul(STEP))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The first 2^20 numbers: the values of the recipe that Flink is measured by.
pub(crate) fn values() -> Vec<u64> {
    (1..=1 << 20).map(mixed).collect()
}

/// `first..first + len`, shuffled from the end by splitmix64 from seed 1 (Fisher and Yates), as that
/// recipe does.
pub(crate) fn shuffled(first: u64, len: usize) -> Vec<u64> {
    let mut keys: Vec<u64> = (first..first + len as u64).collect();
    let mut state = 1_u64;
    for i in (1..len).rev() {
        state = state.wrapping_add(STEP);
        let j = ((mix(state) >> 33) * (i as u64 + 1)) >> 31;
        keys.swap(i, j as usize);
    }
    keys
}

/// `len` keys of the key groups in `range`.
pub fn in_range(len: usize, range: KeyGroupRange) -> Vec<u64> {
    let owned = |key: &u64| range.contains(KeyGroup::of(&key.to_be_bytes()));
    (0..).map(mixed).filter(owned).take(len).collect()
}

/// `len` of the items, drawn evenly.
pub fn uniform<T: Clone>(items: &[T], len: usize) -> Vec<T> {
    let draw = |i: usize| mixed(1 << 40 | i as u64) % items.len() as u64;
    (0..len).map(|i| items[draw(i) as usize].clone()).collect()
}

/// `len` of the items by Zipf's law with exponent 0.99 (Gray et al., 1994): few keys, most often.
pub(crate) fn zipf<T: Clone>(items: &[T], len: usize) -> Vec<T> {
    const THETA: f64 = 0.99;
    let n = items.len() as f64;
    let zeta: f64 = (1..=items.len()).map(|i| (i as f64).powf(-THETA)).sum();
    let zeta_2 = 1.0 + 0.5_f64.powf(THETA);
    let alpha = 1.0 / (1.0 - THETA);
    let eta = (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - zeta_2 / zeta);
    let draw = |i: usize| {
        let u = (mixed(2 << 40 | i as u64) >> 11) as f64 / (1_u64 << 53) as f64;
        let uz = u * zeta;
        let rank = match uz {
            _ if uz < 1.0 => 0.0,
            _ if uz < zeta_2 => 1.0,
            _ => n * (eta * u - eta + 1.0).powf(alpha),
        };
        (rank as usize).min(items.len() - 1)
    };
    (0..len).map(|i| items[draw(i)].clone()).collect()
}

/// A key of 100 bytes.
pub(crate) fn text(key: u64) -> String {
    format!("{key:020}-{:078}-", mixed(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures are what the Java of the recipe prints: `Numbers.longs(2)`, `Numbers.shuffled(0, 10)`.
    #[test]
    fn the_recipe_gives_the_same_numbers() {
        assert_eq!(values()[..2], [16294208416658607535, 7960286522194355700]);
        assert_eq!(shuffled(0, 10), [9, 0, 1, 4, 8, 2, 3, 7, 6, 5]);
    }
}
