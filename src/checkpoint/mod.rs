//! Checkpoints: what is decided about them, and how every decision is recorded.
//!
//! Decisions are functions without I/O from observed facts; a thin layer elsewhere acts on them.
pub mod log;
