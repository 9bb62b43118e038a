//! The one public error: a kind that says what to do, and what went wrong where.

use esker_format::{FormatError, FormatErrorKind};
use serde::{Deserialize, Serialize};

/// What a caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Try again: it did not happen, and may next time.
    Retry,
    /// Somebody else was first; look at what they did.
    Conflict,
    /// A newer generation owns the job: stop for ever.
    Fenced,
    /// The call or a setting is wrong.
    Invalid,
    /// A state is of another kind, codec or shape than what is asked for.
    Incompatible,
    /// Stored bytes are damaged.
    Corrupt,
    /// Written by a newer version, or not built into this program.
    Unsupported,
    /// The backend failed before; restore it.
    Poisoned,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", .path.as_deref().map(|path| format!(": path={path}")).unwrap_or_default())]
pub struct Error {
    kind: ErrorKind,
    message: String,
    path: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether a device cannot give back what it holds.
    is_unreadable: bool,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, source: None, is_unreadable: false }
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file or object it is about, where there is one.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The same error, about the file or object `path`.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same error without its cause.
    pub(crate) fn again(&self) -> Self {
        let Self { kind, message, path, is_unreadable, .. } = self;
        let (message, path) = (message.clone(), path.clone());
        Self { kind: *kind, message, path, source: None, is_unreadable: *is_unreadable }
    }

    /// Whether stored bytes are damaged, for who looks at a snapshot: [`ErrorKind::Corrupt`], or that a
    /// device cannot give them back, as with a sector that cannot be read (`EIO`).
    ///
    /// That is `Retry` nevertheless: what lies on a network may be back in a while, and a job waits for it
    /// rather than going back to an older checkpoint.
    pub fn is_damage(&self) -> bool {
        self.kind == ErrorKind::Corrupt || self.is_unreadable
    }

    /// Whether it is damage that a device tells of by itself.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// The same error, of a device that cannot give back what it holds if that is so.
    #[must_use]
    pub(crate) fn unreadable(mut self, is_unreadable: bool) -> Self {
        self.is_unreadable = is_unreadable;
        self
    }

    /// The same error, with what it happened to in front.
    #[must_use]
    pub(crate) fn of(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub(crate) fn with_source(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        let kind = match error.kind {
            FormatErrorKind::UnsupportedVersion => ErrorKind::Unsupported,
            FormatErrorKind::Invalid => ErrorKind::Invalid,
            FormatErrorKind::Incompatible => ErrorKind::Incompatible,
            _ => ErrorKind::Corrupt,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;
