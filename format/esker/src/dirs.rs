//! Folders of names, written once per file (SPEC.md, "Folders and files").
//!
//! A manifest of a thousand parts names a thousand files. Each is a number into a table of folders
//! and what is its own; `*` stands for what the reader knows already.

use crate::{Digest, FormatError, RelativeName, Result};
use std::collections::{HashMap, HashSet};

/// What stands for the digest in a file's name, for the number in a folder's.
pub(crate) const PLACEHOLDER: char = '*';
/// The longest folder in a table, in bytes: as it is written once and may be used 65,536 times, it
/// bounds what a reader makes of the bytes.
pub(crate) const DIR_LEN_BYTES_MAX: usize = 255;

/// Gives folders their numbers, in order of first use.
#[derive(Default)]
pub(crate) struct DirTable {
    pub(crate) dirs: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl DirTable {
    pub(crate) fn number(&mut self, dir: &str) -> u32 {
        if let Some(number) = self.numbers.get(dir) {
            return *number;
        }
        let number = self.dirs.len() as u32;
        self.dirs.push(dir.to_owned());
        self.numbers.insert(dir.to_owned(), number);
        number
    }

    /// The folder and the rest of `file`, its digest's hex as [`PLACEHOLDER`].
    pub(crate) fn split(&mut self, file: &RelativeName, digest: Digest) -> Result<(u32, String)> {
        let (dir, name) = file.as_str().rsplit_once('/').unwrap_or(("", file.as_str()));
        check_dir(dir)?;
        check_literal(name)?;
        let name = name.replacen(&digest.to_string(), &PLACEHOLDER.to_string(), 1);
        Ok((self.number(dir), name))
    }
}

/// A folder that can be written: of bounded length, without the placeholder.
pub(crate) fn check_dir(dir: &str) -> Result<()> {
    if dir.len() > DIR_LEN_BYTES_MAX {
        let message = format!("a folder above {DIR_LEN_BYTES_MAX} bytes: folder={dir:?}");
        return Err(FormatError::invalid("name", message));
    }
    check_literal(dir)
}

fn check_literal(text: &str) -> Result<()> {
    if text.contains(PLACEHOLDER) {
        let message = format!("`{PLACEHOLDER}` stands for a digest or number: name={text:?}");
        return Err(FormatError::invalid("name", message));
    }
    Ok(())
}

/// Whether a table that was read holds each folder once, and none that is too long.
pub(crate) fn check_table(dirs: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    for dir in dirs {
        if dir.len() > DIR_LEN_BYTES_MAX {
            let len = dir.len();
            let message = format!("a folder of {len} bytes, the limit is {DIR_LEN_BYTES_MAX}");
            return Err(FormatError::corrupt("name", message));
        }
        if !seen.insert(dir) {
            return Err(FormatError::corrupt("name", format!("a folder twice: folder={dir:?}")));
        }
    }
    Ok(())
}

/// The folder `number` of a table that was read and checked.
pub(crate) fn dir(dirs: &[String], number: u32) -> Result<&str> {
    let dir = usize::try_from(number).ok().and_then(|number| dirs.get(number));
    dir.map(String::as_str).ok_or_else(|| {
        let message = format!("there is no folder {number} of {}", dirs.len());
        FormatError::corrupt("name", message)
    })
}

/// The name of which [`DirTable::split`] made `number` and `name`.
pub(crate) fn join(
    dirs: &[String],
    number: u32,
    name: &str,
    digest: Digest,
) -> Result<RelativeName> {
    let dir = dir(dirs, number)?;
    if name.contains('/') || name.matches(PLACEHOLDER).count() > 1 {
        let message = format!("a slash, or more than one digest: name={name:?}");
        return Err(FormatError::corrupt("name", message));
    }
    if dir.contains(PLACEHOLDER) {
        let message = format!("`{PLACEHOLDER}` in the folder of a run: folder={dir:?}");
        return Err(FormatError::corrupt("name", message));
    }
    let name = name.replace(PLACEHOLDER, &digest.to_string());
    RelativeName::new(if dir.is_empty() { name } else { format!("{dir}/{name}") })
}
