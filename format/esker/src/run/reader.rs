//! Reading a run: the footer tells where the index is, the index where and what each block is.

use super::block::{Block, Entry, ascends};
use super::filter::RunFilter;
use super::index::RunIndex;
use super::stats::StateStats;
use super::{FOOTER_LEN_BYTES, HEADER_LEN_BYTES, MAGIC, Op, check_entry, check_version};
use crate::bytes::Cursor;
use crate::composite::prefix_of;
use crate::{Digest, FormatError, KeyGroup, Result};
use std::collections::BTreeMap;

/// Where the index of a run lies, and its digest: what a part, or else the footer, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexLocation {
    /// Offset from the start of the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Digest of the index.
    pub digest: Digest,
}

impl IndexLocation {
    /// Reads the footer, the last [`FOOTER_LEN_BYTES`] of a run of `file_len_bytes`.
    ///
    /// # Errors
    /// `Corrupt` if these are not the last bytes of a run; `UnsupportedVersion` for a newer one.
    pub fn from_footer(footer: &[u8], file_len_bytes: u64) -> Result<Self> {
        let mut cursor = Cursor::new("run footer", footer);
        let location = Self {
            offset: cursor.u64()?,
            len_bytes: cursor.u64()?,
            digest: Digest(cursor.array()?),
        };
        let (version, reserved) = (cursor.u32()?, cursor.u32()?);
        if cursor.array()? != MAGIC || !cursor.is_empty() {
            return Err(cursor.corrupt("not the end of a run: cut off, or another kind of file"));
        }
        check_version("run footer", version)?;
        let end = location.offset.checked_add(location.len_bytes);
        let fits = end.and_then(|end| end.checked_add(FOOTER_LEN_BYTES as u64));
        if fits != Some(file_len_bytes) || location.offset < HEADER_LEN_BYTES as u64 {
            return Err(cursor.corrupt("the index does not lie before the footer"));
        }
        if reserved != 0 {
            return Err(cursor.corrupt("reserved bytes are not zero"));
        }
        Ok(location)
    }
}

/// A run whose index has been verified.
#[derive(Debug, Clone)]
pub struct RunReader {
    index: RunIndex,
}

impl RunReader {
    /// Opens a run by the bytes of its index.
    ///
    /// # Errors
    /// `Corrupt` if they are not those that `location` names.
    pub fn open(location: IndexLocation, index: &[u8]) -> Result<Self> {
        if index.len() as u64 != location.len_bytes || Digest::of(index) != location.digest {
            return Err(FormatError::corrupt("run index", "digest differs").at(location.offset));
        }
        Ok(Self { index: RunIndex::decode(index, location.offset)? })
    }

    /// Checks the header, the first [`HEADER_LEN_BYTES`] of a run, given these or more.
    ///
    /// # Errors
    /// `Corrupt` if these are not the first bytes of a run; `UnsupportedVersion` for a newer one.
    pub fn check_header(file: &[u8]) -> Result<()> {
        let mut header = Cursor::new("run header", file);
        if header.array()? != MAGIC {
            return Err(FormatError::corrupt("run header", "not a run").at(0));
        }
        check_version("run header", header.u32()?)?;
        match header.u32()? {
            0 => Ok(()),
            _ => Err(header.corrupt("reserved bytes are not zero")),
        }
    }

    /// Opens a run that is wholly in memory, by its own footer.
    ///
    /// # Errors
    /// `Corrupt`, or `UnsupportedVersion` for a newer run.
    pub fn open_file(file: &[u8]) -> Result<Self> {
        Self::check_header(file)?;
        let footer_at = file.len().checked_sub(FOOTER_LEN_BYTES);
        let Some((before, footer)) = footer_at.and_then(|at| file.split_at_checked(at)) else {
            return Err(FormatError::corrupt("run footer", "the file is cut off"));
        };
        let location = IndexLocation::from_footer(footer, file.len() as u64)?;
        let index = usize::try_from(location.offset).ok().and_then(|at| before.get(at..));
        let index = index.ok_or_else(|| FormatError::corrupt("run index", "outside the file"))?;
        Self::open(location, index)
    }

    /// The verified index.
    pub fn index(&self) -> &RunIndex {
        &self.index
    }

    /// The verified index, for who has read what it needs of the run.
    pub fn into_index(self) -> RunIndex {
        self.index
    }

    /// Verifies and decodes the filter, given the bytes that [`RunIndex::filter`] locates.
    ///
    /// # Errors
    /// `Invalid` if the run has none; `Corrupt` if the bytes are not those that the index names.
    pub fn filter(&self, stored: &[u8]) -> Result<RunFilter> {
        let Some(location) = self.index.filter else {
            return Err(FormatError::invalid("run filter", "the run has none"));
        };
        if stored.len() as u64 != location.len_bytes || Digest::of(stored) != location.digest {
            return Err(FormatError::corrupt("run filter", "digest differs").at(location.offset));
        }
        RunFilter::decode(stored)
    }

    /// Verifies and unpacks block `number`, given its stored bytes.
    ///
    /// # Errors
    /// `Corrupt`, naming the states and key groups that the block holds.
    pub fn block(&self, number: usize, stored: &[u8]) -> Result<Block> {
        self.check_block(number, stored)?;
        Block::decode(stored)
    }

    /// Verifies block `number`, given its stored bytes, and unpacks nothing.
    ///
    /// # Errors
    /// As for [`block`](Self::block).
    pub fn check_block(&self, number: usize, stored: &[u8]) -> Result<()> {
        let Some(handle) = self.index.blocks.get(number) else {
            return Err(FormatError::invalid("run block", format!("there is no block {number}")));
        };
        if stored.len() as u64 != handle.len_bytes || Digest::of(stored) != handle.digest {
            let message = format!("digest differs; {}", self.holds(number));
            return Err(FormatError::corrupt("run block", message).at(handle.offset));
        }
        Ok(())
    }

    /// The state and key group that block `number` begins with, and those that it ends before.
    fn holds(&self, number: usize) -> String {
        let at = |number: usize| {
            let key = &self.index.blocks.get(number)?.first_key;
            prefix_of(key)
                .map(|(state, KeyGroup(group))| format!("state {state} key group {group}"))
        };
        let first = at(number).unwrap_or_else(|| "an unknown state".into());
        let next = at(number + 1).unwrap_or_else(|| "the end of the run".into());
        format!("it holds {first} up to {next}")
    }

    /// Checks all of a run in memory: digests, order across blocks, every key decodes and passes the
    /// filter, statistics. Returns the statistics found.
    ///
    /// # Errors
    /// `Corrupt`, naming the first thing that is wrong.
    pub fn verify(&self, file: &[u8]) -> Result<BTreeMap<u32, StateStats>> {
        let mut found: BTreeMap<u32, StateStats> = BTreeMap::new();
        let mut last: Option<(Vec<u8>, Op)> = None;
        let filter = self.index.filter.map(|at| self.filter(slice(file, at.offset, at.len_bytes)));
        let filter = filter.transpose()?;
        for (number, handle) in self.index.blocks.iter().enumerate() {
            let block = self.block(number, slice(file, handle.offset, handle.len_bytes))?;
            let corrupt = |message| FormatError::corrupt("run block", message).at(handle.offset);
            if block.entries() != handle.entries {
                return Err(corrupt("entries differ from the index".to_owned()));
            }
            let mut first = true;
            block.for_each(|entry: Entry<'_>| {
                if std::mem::take(&mut first) && entry.key != handle.first_key {
                    return Err(corrupt("first key differs from the index".to_owned()));
                }
                if last.as_ref().is_some_and(|(key, op)| !ascends(key, *op, entry.key, entry.op)) {
                    return Err(corrupt("keys do not ascend".to_owned()));
                }
                let (state, prefix) = check_entry("run block", entry)?;
                if filter.as_ref().is_some_and(|filter| !filter.may_contain(prefix)) {
                    return Err(corrupt("the filter denies an entry".to_owned()));
                }
                found.entry(state).or_default().count(entry.op, entry.key, entry.value);
                last = Some((entry.key.to_vec(), entry.op));
                Ok(())
            })?;
        }
        if found != self.index.stats {
            return Err(FormatError::corrupt("run index", "statistics differ from the entries"));
        }
        Ok(found)
    }
}

/// Bytes of a file; none if they do not lie inside it, so that their digest will differ.
fn slice(file: &[u8], offset: u64, len_bytes: u64) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
    file.get(start..start.saturating_add(len)).unwrap_or_default()
}
