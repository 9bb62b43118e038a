//! Inputs that entries are read from, and lines of JSON among them.

use crate::format::canonical::Line;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::io::{self, BufRead, Read as _};

/// The columns of CSV and Parquet, in the order in which they are written: the members of a line.
pub const COLUMNS: [&str; 8] =
    ["operator", "state", "kind", "key", "namespace", "userKey", "value", "ttl"];
/// No line or row is longer: a value takes less than half of it.
pub(super) const LINE_LEN_BYTES_MAX: u64 = 1 << 30;

/// Canonical lines from somewhere, in any order, for [`Bootstrap::read`](super::Bootstrap::read): [`Jsonl`],
/// [`Csv`](super::Csv), with the feature `parquet` also `processor::columnar::Rows`, or a program's own.
pub trait Input {
    /// What one of its lines is called.
    fn unit(&self) -> Unit;

    /// Calls `each` with every line and its number, from 1 on, until it says no.
    ///
    /// # Errors
    /// Those of reading: `Retry` if the bytes do not come, `Corrupt` if they are damaged, `Unsupported` if they hold no
    /// such lines, or in no way that is read. Those of `each`, as they are.
    fn each(self, each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool>) -> Result<()>
    where
        Self: Sized;
}

/// A line with the text that its members are parts of (empty if they are not), or what is wrong with it.
pub type Read<'a> = std::result::Result<(&'a str, Line<'a>), WrongLine>;

/// Why something is no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongLine {
    /// Where in it, in bytes from 0 on, if that is known.
    pub at: Option<usize>,
    /// What was expected and what was found.
    pub message: String,
}

impl WrongLine {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }

    pub(super) fn too_long(len_bytes_max: u64) -> Self {
        Self::new(format!("longer than {len_bytes_max} bytes"))
    }
}

/// What one entry of an input is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// One that a program added.
    Entry,
    /// A line of text.
    Line,
    /// A row of a table.
    Row,
}

impl Unit {
    /// Several of them.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Entry => "entries",
            Self::Line => "lines",
            Self::Row => "rows",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entry => "entry",
            Self::Line => "line",
            Self::Row => "row",
        })
    }
}

/// Lines of JSON; blank ones are passed over. Memory: one line, of 1 GiB at most; behind one that is longer none is
/// read.
pub struct Jsonl<R> {
    from: R,
    len_bytes_max: u64,
}

impl<R: BufRead> Jsonl<R> {
    /// Those that `from` holds.
    pub fn new(from: R) -> Self {
        Self::within(LINE_LEN_BYTES_MAX, from)
    }

    pub(super) fn within(len_bytes_max: u64, from: R) -> Self {
        Self { from, len_bytes_max }
    }
}

impl<R: BufRead> Input for Jsonl<R> {
    fn unit(&self) -> Unit {
        Unit::Line
    }

    fn each(mut self, each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool>) -> Result<()> {
        let (mut bytes, len_bytes_max) = (Vec::new(), self.len_bytes_max);
        for number in 1.. {
            bytes.clear();
            let mut limited = (&mut self.from).take(len_bytes_max);
            if limited.read_until(b'\n', &mut bytes).map_err(unread)? == 0 {
                break;
            }
            let is_whole = bytes.last() == Some(&b'\n') || bytes.len() as u64 != len_bytes_max;
            let line = match std::str::from_utf8(&bytes) {
                _ if !is_whole => Err(WrongLine::too_long(len_bytes_max)),
                Err(error) => {
                    let at = Some(error.valid_up_to());
                    Err(WrongLine { at, message: "no text in UTF-8".to_owned() })
                }
                Ok(text) => {
                    let text = text.trim_end_matches(['\n', '\r']);
                    if text.trim().is_empty() {
                        continue;
                    }
                    let line = Line::parse(text).map(|line| (text, line));
                    line.map_err(|e| WrongLine {
                        at: e.offset.map(|at| at as usize),
                        message: format!("JSON: {}", e.message),
                    })
                }
            };
            if !each(number, line)? || !is_whole {
                break;
            }
        }
        Ok(())
    }
}

/// That bytes do not come.
pub(super) fn unread(error: io::Error) -> Error {
    Error::new(ErrorKind::Retry, error.to_string()).with_source(error)
}
