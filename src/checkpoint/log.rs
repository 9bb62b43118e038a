//! The log protocol: one dense sequence of create-only records per job holds every decision.
//!
//! This is pure code. A [`Reader`] or a [`Writer`] says what to do next (an [`Action`]), the caller
//! does it and tells what it observed (a [`Fact`]), until the action is one that ends the work.
//! [`LogState`] is what the records amount to. The store needs create-only puts, reads and lists.
//!
//! - A writer appends only at last-known + 1. Where that number exists it reads the record: a newer
//!   claim means stop for ever; anything else is applied and the next number tried.
//! - After an append it lists once: a newer claim above its own record means stop.
//! - An unknown outcome is resolved by reading back and comparing generation and nonce.
//! - Records below the newest base are ignored, so they can be deleted, late and in any order, and
//!   a put that was delayed until its number is free again changes nothing.
//!
//! Why that is enough. A record is deleted only when a base above it exists, and a base only when a
//! newer one does. So whoever reads records and then finds nothing above them in a list has read
//! the true ones; readers and writers both end with such a list. An append that came late leaves its
//! writer with a wrong idea of the log until then, a claim of its own included: a list that lacks
//! what it built on, or a record above that cannot follow, makes it read the log afresh. For the
//! same reason nothing is refused, or found to be done already, on an idea that is not fresh. The
//! protocol is model-checked in `tests.rs`.

mod reader;
mod state;
mod writer;

pub use reader::Reader;
pub use state::{Applied, Claim, LogState, References, Refusal};
pub use writer::{Intent, Writer};

use crate::format::FormatError;

/// The position of a record in the log; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first position.
    pub const FIRST: Self = Self(1);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What the caller is to do next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// List the numbers of all records; answer with [`Fact::Listed`].
    List,
    /// Read a record; answer with [`Fact::ReadOk`] or [`Fact::NotFound`].
    Read(Sequence),
    /// Create a record that must not exist yet, durably; answer with [`Fact::Created`],
    /// [`Fact::AlreadyExists`] or [`Fact::Unknown`].
    Create(Sequence, Vec<u8>),
    /// The work is done: the state is up to date, and the decision, if there was one, is in it.
    Done,
    /// A newer claim exists: stop for ever. Whether the last decision was recorded before it is
    /// for the newer writer to know.
    Fenced,
    /// The state as it is now does not allow the decision; nothing was written.
    Refused(Refusal),
}

/// What the caller observed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The numbers of all records, in any order.
    Listed(Vec<Sequence>),
    /// The bytes of the record that was to be read.
    ReadOk(Vec<u8>),
    /// The record that was to be read does not exist.
    NotFound,
    /// The record was created by this call.
    Created,
    /// A record of that number exists.
    AlreadyExists,
    /// The call failed, and the record may or may not be created, now or later.
    Unknown,
}

/// Why the log cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A record's bytes were refused, or could not be written.
    #[error("log record sequence={}: {source}", .sequence.0)]
    Record {
        /// The record.
        sequence: Sequence,
        /// Why.
        source: FormatError,
    },
    /// A record breaks the rules of the log.
    #[error("log record sequence={}: {message}", .sequence.0)]
    Broken {
        /// The record.
        sequence: Sequence,
        /// The rule.
        message: String,
    },
    /// Records that must exist are missing, however often the log is listed.
    #[error("records are missing from the log above sequence={}", .0.0)]
    Missing(Sequence),
    /// The caller answered an action with a fact that does not fit it.
    #[error("fact does not answer the action {0}")]
    Unexpected(&'static str),
}

#[cfg(test)]
mod tests;
