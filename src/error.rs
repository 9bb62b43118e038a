//! The one public error: a kind that says what to do, and what went wrong where.

use esker_format::{FormatError, FormatErrorKind};

/// What a caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, source: None }
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
        let Self { kind, message, path, .. } = self;
        Self { kind: *kind, message: message.clone(), path: path.clone(), source: None }
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
        Self { kind, message: error.to_string(), path: None, source: Some(Box::new(error)) }
    }
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;
