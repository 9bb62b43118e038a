//! A program that holds a state of every kind, and a model of what they hold.

mod kinds;
mod model;
mod program;

pub use kinds::{DURATION_MS, Kinds, Means, Space};
pub use model::{At, Mean, Model};
pub use program::{Program, UID, call, settings};

/// What is done to one state.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Which kind of state, and how: below 30, as [`Kinds::call`] has it.
    pub what: u8,
    /// In the states with namespaces, or in those without.
    pub spaced: bool,
    /// The key.
    pub key: u64,
    /// The namespace, where there are any.
    pub namespace: i16,
    /// The user key of maps.
    pub user_key: u8,
    /// What is written.
    pub amount: u32,
}
