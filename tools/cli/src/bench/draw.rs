//! Keys and values, drawn by seed.

use super::settings::{Distribution, Settings};
use esker::format::{KeyGroup, KeyGroupRange};
use std::fmt::Write;

/// The exponent of Zipf's law, as YCSB has it.
const THETA: f64 = 0.99;
/// Values are slices of this many bytes.
const POOL_LEN_BYTES: usize = 1 << 20;
/// The fewest bytes that tell all keys apart.
pub(super) const KEY_SIZE_MIN: usize = 8;

/// What a subtask draws its keys and values from. The same seed draws the same.
pub(super) struct Draw {
    random: fastrand::Rng,
    keys: Keys,
    key_size: usize,
    value_size: usize,
    read_share: f64,
    pool: Vec<u8>,
}

/// The keys of a subtask.
struct Keys {
    /// Numbers of keys; all below `len` where there is one subtask.
    own: Option<Vec<u64>>,
    len: u64,
    order: Order,
}

enum Order {
    Uniform,
    Zipf(Zipf),
    Sequential(u64),
}

impl Draw {
    /// Of `keys` keys those in `range`. Takes memory for each of them unless the range is all there is.
    pub(super) fn new(settings: &Settings, keys: u64, range: KeyGroupRange) -> Self {
        let seed = settings.seed ^ (u64::from(range.first()) << 48);
        let mut random = fastrand::Rng::with_seed(seed);
        let own = (range != KeyGroupRange::ALL).then(|| {
            let mut key = String::new();
            let is_own = |number: &u64| {
                write_key(*number, settings.key_size, &mut key);
                range.contains(KeyGroup::of(key.as_bytes()))
            };
            (0..keys).filter(is_own).collect::<Vec<_>>()
        });
        let len = own.as_ref().map_or(keys, |own| own.len() as u64);
        let order = match settings.distribution {
            Distribution::Uniform => Order::Uniform,
            Distribution::Zipf => Order::Zipf(Zipf::new(len)),
            Distribution::Sequential => Order::Sequential(0),
        };
        // Hexadecimal digits: a compression makes about half of them, as of much real data.
        let digit = |_| char::from_digit(random.u32(..16), 16).map_or(0, |digit| digit as u8);
        let pool = (0..POOL_LEN_BYTES.max(2 * settings.value_size)).map(digit).collect();
        Self {
            random,
            keys: Keys { own, len, order },
            key_size: settings.key_size,
            value_size: settings.value_size,
            read_share: settings.read_share,
            pool,
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> u64 {
        self.keys.len
    }

    /// The key at `position` of the subtask's own, into `key`.
    pub(super) fn key_at(&self, position: u64, key: &mut String) {
        let number = match &self.keys.own {
            Some(own) => own.get(position as usize).copied().unwrap_or_default(),
            None => position,
        };
        write_key(number, self.key_size, key);
    }

    /// The next key, into `key`; returns its position.
    pub(super) fn key(&mut self, key: &mut String) -> u64 {
        let len = self.keys.len.max(1);
        let position = match &mut self.keys.order {
            Order::Uniform => self.random.u64(..len),
            Order::Zipf(zipf) => zipf.rank(self.random.f64()).min(len - 1),
            Order::Sequential(next) => {
                let position = *next;
                *next = (position + 1) % len;
                position
            }
        };
        self.key_at(position, key);
        position
    }

    /// A new value.
    pub(super) fn value(&mut self) -> Vec<u8> {
        let from = self.random.usize(..=self.pool.len() - self.value_size);
        self.pool.get(from..from + self.value_size).unwrap_or_default().to_vec()
    }

    /// Whether the next operation reads.
    pub(super) fn reads(&mut self) -> bool {
        self.random.f64() < self.read_share
    }

    /// One number below `len`.
    pub(super) fn below(&mut self, len: u64) -> u64 {
        self.random.u64(..len.max(1))
    }
}

/// Zeros, then the number in hexadecimal digits.
fn write_key(number: u64, key_size: usize, key: &mut String) {
    key.clear();
    // Writing to a string does not fail.
    let _ = write!(key, "{number:0>key_size$x}");
}

/// Ranks by Zipf's law, by the method of Gray et al., "Quickly generating billion-record synthetic
/// databases" (1994): the time of one power, after a sum over all ranks at the beginning.
struct Zipf {
    len: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    fn new(len: u64) -> Self {
        let zeta: f64 = (1..=len.max(2)).map(|rank| (rank as f64).powf(-THETA)).sum();
        let len = len.max(2) as f64;
        let eta = (1.0 - (2.0 / len).powf(1.0 - THETA)) / (1.0 - Self::zeta_2() / zeta);
        Self { len, zeta, eta }
    }

    fn zeta_2() -> f64 {
        1.0 + 2_f64.powf(-THETA)
    }

    /// The rank, from 0, that a uniform `u` in `0..1` stands for.
    fn rank(&self, u: f64) -> u64 {
        let scaled = u * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < Self::zeta_2() {
            return 1;
        }
        let rank = self.len * (self.eta * u - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        (rank as u64).min(self.len as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tests::settings;
    use std::collections::BTreeSet;

    fn keys(settings: &Settings, range: KeyGroupRange) -> BTreeSet<String> {
        let draw = Draw::new(settings, settings.entries, range);
        let mut key = String::new();
        let each = |position| {
            draw.key_at(position, &mut key);
            key.clone()
        };
        (0..draw.len()).map(each).collect()
    }

    #[test]
    fn subtasks_share_all_keys_between_them() {
        let settings = settings();
        let all = keys(&settings, KeyGroupRange::ALL);
        assert_eq!(all.len() as u64, settings.entries);
        assert!(all.iter().all(|key| key.len() == settings.key_size));
        let [one, two] = [0, 1].map(|subtask| {
            let range = KeyGroupRange::of_subtask(subtask, 2).unwrap();
            keys(&settings, range)
        });
        assert!(one.is_disjoint(&two) && !one.is_empty() && !two.is_empty());
        assert_eq!(one.union(&two).cloned().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn zipf_prefers_few_keys_and_uniform_none() {
        let often = |distribution| {
            let settings = Settings { distribution, entries: 1000, ..settings() };
            let mut draw = Draw::new(&settings, 1000, KeyGroupRange::ALL);
            let mut counts = vec![0; 1000];
            (0..100_000).for_each(|_| counts[draw.key(&mut String::new()) as usize] += 1);
            counts.sort_unstable();
            counts[990..].iter().sum::<u32>()
        };
        // By the law the first ten of a thousand have 38 % of all.
        let zipf = often(Distribution::Zipf);
        assert!((36_000..42_000).contains(&zipf), "{zipf}");
        let uniform = often(Distribution::Uniform);
        assert!((1_000..1_600).contains(&uniform), "{uniform}");
        assert_eq!(often(Distribution::Sequential), 1_000);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let drawn = |seed| {
            let settings = Settings { seed, ..settings() };
            let mut draw = Draw::new(&settings, settings.entries, KeyGroupRange::ALL);
            (0..20).map(|_| (draw.key(&mut String::new()), draw.value())).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert!(drawn(1).iter().all(|(_, value)| value.len() == settings().value_size));
    }
}
