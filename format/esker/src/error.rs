//! The one error of this crate: what was being decoded, where, and why it was refused.

/// What a caller should make of a [`FormatError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The bytes are damaged or were never of this format.
    Corrupt,
    /// Written by a newer version than this one reads.
    UnsupportedVersion,
    /// The caller asked for something that cannot be written.
    Invalid,
    /// The bytes are sound, but not of the type that was asked for.
    Incompatible,
}

/// Why bytes were refused, or could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {message}{}", .offset.map(|at| format!(" at byte {at}")).unwrap_or_default())]
pub struct FormatError {
    /// What to do about it.
    pub kind: FormatErrorKind,
    /// The structure that was being read or written, `run footer` say.
    pub what: &'static str,
    /// Where in that structure, in bytes, where it is known.
    pub offset: Option<u64>,
    /// What is wrong with it.
    pub message: String,
}

impl FormatError {
    /// An error of `kind` about the structure `what`.
    pub fn new(kind: FormatErrorKind, what: &'static str, message: impl Into<String>) -> Self {
        Self { kind, what, offset: None, message: message.into() }
    }

    /// Damaged bytes in the structure `what`.
    pub fn corrupt(what: &'static str, message: impl Into<String>) -> Self {
        Self::new(FormatErrorKind::Corrupt, what, message)
    }

    /// A request about `what` that cannot be met.
    pub fn invalid(what: &'static str, message: impl Into<String>) -> Self {
        Self::new(FormatErrorKind::Invalid, what, message)
    }

    /// The same error, with the byte offset at which it was found.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, FormatError>;
