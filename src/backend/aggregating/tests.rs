//! Reducing and aggregating state against a model; both store the accumulator alone.

use super::*;
use crate::backend::ReducingState;
use crate::backend::heap::ValueState;
use crate::backend::heap::testing::{changes, full, owner, restore, subtasks};
use esker_format::{KeyGroupRange, Ordered};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Mean;

impl Aggregate for Mean {
    type Input = u32;
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, (sum, count): &mut (u64, u64), input: u32) {
        *sum += u64::from(input);
        *count += 1;
    }

    fn result(&self, (sum, count): &(u64, u64)) -> u64 {
        sum / count
    }
}

impl MergeAggregate for Mean {
    fn merge(&self, (sum, count): &mut (u64, u64), other: (u64, u64)) {
        *sum += other.0;
        *count += other.1;
    }
}

type Means = AggregatingState<u64, u8, Mean, ValueState<u64, u8, (u64, u64)>>;
type Sums = ReducingState<u64, u8, u64, ValueState<u64, u8, u64>>;

fn means(range: KeyGroupRange) -> Means {
    AggregatingState::over(ValueState::new(3, range, Ordered).unwrap(), Mean)
}

fn sums(range: KeyGroupRange) -> Sums {
    let values = ValueState::new(4, range, Ordered).unwrap();
    ReducingState::over(values, |value, input| *value += input)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// I8: at any parallelism, from a full snapshot or from a chain.
    #[test]
    fn restore_is_the_identity(
        epochs in proptest::collection::vec(
            proptest::collection::vec((0..60_u64, 0..3_u8, any::<Option<u32>>()), 0..120), 1..5),
        (before, after) in prop_oneof![Just((1, 2)), Just((2, 1)), Just((7, 11))],
    ) {
        let (mut mean, mut sum) = (subtasks(before, means), subtasks(before, sums));
        let (mut mean_full, mut mean_chain) = (subtasks(after, means), subtasks(after, means));
        let (mut sum_full, mut sum_chain) = (subtasks(after, sums), subtasks(after, sums));
        let mut model = BTreeMap::<(u64, u8), (u64, u64)>::new();
        let epoch_count = epochs.len();
        for (number, epoch) in epochs.into_iter().enumerate() {
            for (key, namespace, input) in epoch {
                let (mean, sum) = (owner(&mut mean, &key), owner(&mut sum, &key));
                match input {
                    Some(input) => {
                        mean.add(&key, &namespace, input).unwrap();
                        sum.add(&key, &namespace, input.into()).unwrap();
                        Mean.add(model.entry((key, namespace)).or_default(), input);
                    }
                    None => {
                        let old = model.remove(&(key, namespace));
                        prop_assert_eq!(mean.clear(&key, &namespace).unwrap(), old);
                        prop_assert_eq!(sum.clear(&key, &namespace).unwrap(), old.map(|old| old.0));
                    }
                }
            }
            for mean in &mut mean {
                let capture = mean.capture_state();
                restore(&mut mean_chain, &changes(&*capture));
                if number + 1 == epoch_count {
                    restore(&mut mean_full, &full(&*capture));
                }
            }
            for sum in &mut sum {
                let capture = sum.capture_state();
                restore(&mut sum_chain, &changes(&*capture));
                if number + 1 == epoch_count {
                    restore(&mut sum_full, &full(&*capture));
                }
            }
        }
        for (a, b) in mean_full.iter_mut().zip(&mut mean_chain) {
            prop_assert_eq!(full(&*a.capture_state()), full(&*b.capture_state()));
        }
        for (a, b) in sum_full.iter_mut().zip(&mut sum_chain) {
            prop_assert_eq!(full(&*a.capture_state()), full(&*b.capture_state()));
        }
        let entries: u64 = mean_full.iter().map(KeyedState::entries).sum();
        prop_assert_eq!(entries, model.len() as u64);
        for ((key, namespace), accumulator) in model {
            let mean = owner(&mut mean_full, &key);
            prop_assert_eq!(mean.accumulator(&key, &namespace).unwrap(), Some(accumulator));
            let result = Some(accumulator.0 / accumulator.1);
            prop_assert_eq!(mean.get(&key, &namespace).unwrap(), result);
            let sum = owner(&mut sum_full, &key).get(&key, &namespace).unwrap();
            prop_assert_eq!(sum, Some(accumulator.0));
        }
    }
}

#[test]
fn merged_namespaces_lose_no_input() {
    let (mut means, mut sums) = (means(KeyGroupRange::ALL), sums(KeyGroupRange::ALL));
    for namespace in 1..4 {
        means.add(&9, &namespace, 10 * u32::from(namespace)).unwrap();
        sums.add(&9, &namespace, 10 * u64::from(namespace)).unwrap();
    }
    // 5 is empty, and the target stands among its sources.
    means.merge_namespaces(&9, &[1, 2, 3, 5], &3).unwrap();
    sums.merge_namespaces(&9, &[1, 2, 3, 5], &3).unwrap();
    assert_eq!(means.accumulator(&9, &3).unwrap(), Some((60, 3)));
    assert_eq!(sums.get(&9, &3).unwrap(), Some(60));
    assert_eq!((means.entries(), sums.entries()), (1, 1));
    means.merge_namespaces(&9, &[3], &7).unwrap();
    assert_eq!(means.get(&9, &7).unwrap(), Some(20));
}
