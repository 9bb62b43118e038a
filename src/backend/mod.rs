//! Where keyed state is held.
pub mod heap;
