//! The parts of a manifest in its JSON: `"<folder>:<digest>"`, or `"<folder>:<age>:<digest>"` where
//! the folder of the table has `*` for a number: the manifest's checkpoint less that age.
//!
//! If each checkpoint changes one subtask, every part lies in a folder of its own, which differs in
//! the checkpoint's number alone: 1,000 parts then take 52 bytes each, and 48 if they share one.

use super::PartRef;
use crate::digest::ShortDigest;
use crate::dirs::{self, DirTable, PLACEHOLDER};
use crate::{FormatError, RelativeName, Result};
use std::collections::HashMap;

/// The part that `text` stands for, in a manifest of `checkpoint`.
pub(super) fn read(text: &str, dirs: &[String], checkpoint: u64) -> Result<PartRef> {
    let refused = || {
        let message = "a part is `folder:digest` or `folder:age:digest`";
        FormatError::corrupt("manifest", format!("{message}: part={text:?}"))
    };
    let (dir, rest) = text.split_once(':').ok_or_else(refused)?;
    let (age, digest) = rest.split_once(':').map_or((None, rest), |(a, rest)| (Some(a), rest));
    let dir = number(dir).and_then(|dir| u32::try_from(dir).ok()).ok_or_else(refused)?;
    let dir = dirs::dir(dirs, dir)?;
    let dir = match (dir.matches(PLACEHOLDER).count(), age) {
        (0, None) => dir.to_owned(),
        (1, Some(age)) => {
            let age = number(age).ok_or_else(refused)?;
            let number = checkpoint.checked_sub(age).ok_or_else(refused)?;
            dir.replace(PLACEHOLDER, &number.to_string())
        }
        _ => return Err(refused()),
    };
    let ShortDigest(digest) = ShortDigest::try_from(digest.to_owned())?;
    Ok(PartRef { dir: RelativeName::new(dir)?, digest })
}

/// A decimal number in its one form: neither sign nor leading zeros.
fn number(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// Writes parts; asks first how often each folder is used, to choose the shorter form.
pub(super) struct PartWriter<'a> {
    checkpoint: u64,
    uses: HashMap<&'a str, usize>,
    table: DirTable,
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(checkpoint: u64, parts: impl Iterator<Item = &'a PartRef>) -> Self {
        let mut uses = HashMap::new();
        parts.for_each(|part| *uses.entry(part.dir.as_str()).or_default() += 1);
        Self { checkpoint, uses, table: DirTable::default() }
    }

    pub(super) fn write(&mut self, part: &PartRef) -> Result<String> {
        let dir = part.dir.as_str();
        dirs::check_dir(dir)?;
        let digest = String::from(ShortDigest(part.digest));
        let uses = self.uses.get(dir).copied().unwrap_or(1);
        Ok(match self.aged(dir) {
            // A folder of its own takes two quotes and a comma, each age a colon.
            Some((pattern, age)) if uses * (age.len() + 1) < dir.len() + 3 => {
                format!("{}:{age}:{digest}", self.table.number(&pattern))
            }
            _ => format!("{}:{digest}", self.table.number(dir)),
        })
    }

    /// `dir` with its first number as placeholder, and that number's age.
    fn aged(&self, dir: &str) -> Option<(String, String)> {
        let start = dir.find(|c: char| c.is_ascii_digit())?;
        let (before, rest) = dir.split_at(start);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let age = self.checkpoint.checked_sub(number(digits)?)?;
        Some((format!("{before}{PLACEHOLDER}{after}"), age.to_string()))
    }

    pub(super) fn dirs(self) -> Vec<String> {
        self.table.dirs
    }
}
