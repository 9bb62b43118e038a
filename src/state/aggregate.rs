//! How inputs are folded into an accumulator.

use crate::backend::StateValue;

/// How inputs become an accumulator, and that an output.
pub trait Aggregate: Send + 'static {
    /// What is added.
    type Input;
    /// What is stored.
    type Accumulator: StateValue;
    /// What is read.
    type Output;

    /// An accumulator of no input.
    fn create(&self) -> Self::Accumulator;

    /// Folds `input` in.
    fn add(&self, accumulator: &mut Self::Accumulator, input: Self::Input);

    /// What the accumulator amounts to.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Output;
}

/// An aggregate whose accumulators can be brought together.
pub trait MergeAggregate: Aggregate {
    /// Folds another accumulator in.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator);
}
