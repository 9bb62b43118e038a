//! Checkpoints: what is decided about them, and how every decision is recorded.
//!
//! Decisions are functions without I/O from observed facts: [`log`] and [`retention`]. A thin layer
//! acts on them: [`Job`] for the owner, [`Attached`] beside it, [`read_log`] for whoever looks on.
mod collect;
pub mod coordinator;
mod driver;
mod fallback;
mod job;
pub mod log;
pub mod orphan;
mod place;
pub mod retention;
mod sweep;

pub use collect::{Collection, File, Rate, Unread, Which, judged};
pub use driver::{Attached, read_log};
pub use fallback::{Fallback, Skipped};
pub use job::{Job, ReferenceSource};
pub use place::{Place, log_folder, log_name, manifest_name, shared_folder};
pub use retention::Retention;
pub use sweep::Swept;

#[cfg(test)]
mod tests;
