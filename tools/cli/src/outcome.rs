//! How a command ends, and why a file was refused.

use esker::store::is_device_error;
use esker_format::{FormatError, FormatErrorKind};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The answer of a command; of many files, the worst one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Exit code 0.
    Yes,
    /// Exit code 1: something is damaged, newer than this esker, in the way, or not there.
    No,
    /// Exit code 2: no such file, say.
    NotTried,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Yes => 0,
            Outcome::No => 1,
            Outcome::NotTried => 2,
        })
    }
}

/// What is to be thought of a file; the words are part of the output's stable shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Status {
    /// Sound.
    Ok,
    /// Not what esker wrote, or nothing that the device gives back.
    Damaged,
    /// Newer than this esker, or not to be overwritten.
    Refused,
    /// The file could not be read.
    Unreadable,
    /// Nothing of that name is there.
    Absent,
}

impl Status {
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Ok => Outcome::Yes,
            Self::Damaged | Self::Refused | Self::Absent => Outcome::No,
            Self::Unreadable => Outcome::NotTried,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Absent => "absent",
        })
    }
}

/// Why a file has no good answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    #[serde(skip)]
    pub(crate) status: Status,
    /// The structure that was being read.
    what: String,
    /// What is wrong with it.
    message: String,
    /// Where in that structure, in bytes, where it is known.
    offset: Option<u64>,
}

impl Problem {
    /// A file that the operating system does not give us.
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        let (what, message) = ("file".to_owned(), error.to_string());
        let status = match is_device_error(error) {
            true => Status::Damaged,
            false => Status::Unreadable,
        };
        Self { status, what, message, offset: None }
    }
}

impl From<FormatError> for Problem {
    fn from(error: FormatError) -> Self {
        let status = match error.kind {
            FormatErrorKind::UnsupportedVersion => Status::Refused,
            _ => Status::Damaged,
        };
        Self { status, what: error.what.into(), message: error.message, offset: error.offset }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.message)?;
        self.offset.map_or(Ok(()), |at| write!(f, " at byte {at}"))
    }
}

/// A line to whoever watches; that nobody does is no failure.
pub(crate) fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "esker: {message}");
}
