//! Where in a file what lies: every field with its offset, for people and for other implementations.
//!
//! Damage never stops it: what is understood is listed, and each problem is said beside it. The text
//! form stands beside every golden file.

mod run;
mod sealed;
#[cfg(test)]
mod tests;

use crate::FormatError;
use crate::bytes::Cursor;
use std::fmt::{self, Display};

/// A value that takes more characters is cut off.
const VALUE_LEN_MAX: usize = 96;
/// Fields of a file that are listed; a file of tens of gigabytes has more blocks than anyone reads.
const FIELDS_MAX: usize = 1 << 20;

/// What a file consists of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// `run`, the kind of a sealed file, or `unknown`.
    pub kind: String,
    /// The length of the file, in bytes.
    pub len_bytes: u64,
    /// In order of what holds what, then of where the file's own description lists it.
    pub fields: Vec<Field>,
    /// What is wrong; empty if and only if the file verifies.
    pub problems: Vec<Problem>,
}

/// A field, or what holds fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Offset from the start of the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// How many fields this one lies in.
    pub depth: usize,
    /// What it is, in the words of SPEC.md.
    pub name: String,
    /// What it says; empty if its parts do.
    pub value: String,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where in the file, in bytes, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// Describes a run, part, manifest or log record, damaged or not. Verifies all of it.
pub fn describe(bytes: &[u8]) -> Layout {
    let mut out = Out { fields: Vec::new(), problems: Vec::new(), depth: 0 };
    let kind = if bytes.starts_with(&crate::run::MAGIC) {
        run::describe(bytes, &mut out);
        "run".to_owned()
    } else if bytes.starts_with(sealed::PREFIX) {
        sealed::describe(bytes, &mut out)
    } else {
        out.problem(Some(0), "not a file of esker");
        "unknown".to_owned()
    };
    Layout { kind, len_bytes: bytes.len() as u64, fields: out.fields, problems: out.problems }
}

impl Display for Layout {
    /// One line for each field: offset, length, name, value; then the problems.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} bytes", self.kind, self.len_bytes)?;
        for Field { offset, len_bytes, depth, name, value } in &self.fields {
            let line = format!("{offset:>8} {len_bytes:>8}  {:1$}{name}  {value}", "", 2 * depth);
            writeln!(f, "{}", line.trim_end())?;
        }
        for Problem { offset, message } in &self.problems {
            match offset {
                Some(offset) => writeln!(f, "problem at {offset}: {message}")?,
                None => writeln!(f, "problem: {message}")?,
            }
        }
        Ok(())
    }
}

/// What has been found so far.
struct Out {
    fields: Vec<Field>,
    problems: Vec<Problem>,
    depth: usize,
}

impl Out {
    fn field(&mut self, offset: u64, len_bytes: u64, name: impl Into<String>, value: impl Display) {
        if self.fields.len() == FIELDS_MAX {
            self.problem(Some(offset), "there are more fields than are listed");
        }
        if self.fields.len() >= FIELDS_MAX {
            return;
        }
        let mut value = value.to_string();
        if let Some((at, _)) = value.char_indices().nth(VALUE_LEN_MAX) {
            value.truncate(at);
            value.push('…');
        }
        let (name, depth) = (name.into(), self.depth);
        self.fields.push(Field { offset, len_bytes, depth, name, value });
    }

    fn problem(&mut self, offset: Option<u64>, message: impl Into<String>) {
        let problem = Problem { offset, message: message.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The error of a decoder, whose structure begins at `base`.
    fn error(&mut self, base: u64, error: &FormatError) {
        let offset = error.offset.map(|at| base.saturating_add(at));
        self.problem(offset, format!("{}: {}", error.what, error.message));
    }

    /// Lists what `f` finds as parts of the field before.
    fn inside<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let found = f(self);
        self.depth -= 1;
        found
    }
}

/// Reads one structure and lists what it reads.
struct Walk<'a, 'o> {
    cursor: Cursor<'a>,
    base: u64,
    out: &'o mut Out,
}

impl<'a> Walk<'a, '_> {
    /// Reads with `read` and lists it as `name`, with the text that `read` gives.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Cursor<'a>) -> crate::Result<T>,
        text: impl FnOnce(&T) -> String,
    ) -> crate::Result<T> {
        let from = self.cursor.position();
        let value = read(&mut self.cursor)?;
        let len = self.cursor.position() - from;
        self.out.field(self.base + from as u64, len as u64, name, text(&value));
        Ok(value)
    }

    fn varint(&mut self, name: &str) -> crate::Result<u64> {
        self.read(name, Cursor::varint, u64::to_string)
    }

    fn u32(&mut self, name: &str) -> crate::Result<u32> {
        self.read(name, Cursor::u32, u32::to_string)
    }

    fn u64(&mut self, name: &str) -> crate::Result<u64> {
        self.read(name, Cursor::u64, u64::to_string)
    }

    fn take(&mut self, name: &str, len: usize) -> crate::Result<&'a [u8]> {
        let text = |bytes: &&[u8]| crate::digest::hex(&bytes[..bytes.len().min(VALUE_LEN_MAX)]);
        self.read(name, |cursor| cursor.take(len), text)
    }
}
