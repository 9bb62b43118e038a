//! Runs: sorted immutable files of state entries (SPEC.md, "Run").
//!
//! `header | block ... | filter | index | footer`. A part names a run by the digest of the whole file and by
//! the digest of its index; the index holds the digest of every block, so a reader that fetches one
//! block has verified it back to the manifest. Idea: sorted string tables (Bigtable, LevelDB); the
//! columns inside a block follow PAX.

mod block;
mod columns;
mod cursor;
mod filter;
mod index;
mod limit;
mod planes;
mod reader;
mod stats;
mod writer;

pub use block::{Block, Entry};
pub use cursor::BlockCursor;
pub use filter::RunFilter;
pub use index::{BlockHandle, FilterLocation, RunIndex};
pub use reader::{IndexLocation, RunReader};
pub use stats::{
    Counts, LARGE_KEY_LEN_BYTES_MAX, LARGEST_MAX, LargeEntry, SIZE_BUCKETS, SLICES, StateStats,
};
pub use writer::{RunOptions, RunSummary, RunWriter};

use crate::composite::{prefix_of, user_key_at};
use crate::{FormatError, Result};

/// The first eight bytes of a run, and the last eight.
///
/// The high bit catches a 7-bit transfer and the line ends one that rewrites them, as in PNG.
pub const MAGIC: [u8; 8] = *b"\x89ESK\r\n\x1a\n";
/// The version of the format that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Length of the header in bytes.
pub const HEADER_LEN_BYTES: usize = 16;
/// Length of the footer in bytes.
pub const FOOTER_LEN_BYTES: usize = 64;
/// No column of a block unpacks to more than this; one that claims to is refused unread.
pub const BLOCK_LEN_BYTES_MAX: usize = 1 << 28;

/// No composite key is longer than this.
pub const KEY_LEN_BYTES_MAX: usize = 1 << 20;

/// What an entry does to what older runs hold under its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Drops all older entries of its key and namespace, whatever their user key.
    Clear,
    /// Replaces.
    Put,
    /// Drops.
    Delete,
    /// Adds list elements behind the older ones.
    Append,
}

impl Op {
    const fn code(self) -> u8 {
        match self {
            Self::Clear => 1,
            Self::Put => 2,
            Self::Delete => 3,
            Self::Append => 4,
        }
    }

    fn from_code(code: u8) -> Result<Self> {
        match code {
            1 => Ok(Self::Clear),
            2 => Ok(Self::Put),
            3 => Ok(Self::Delete),
            4 => Ok(Self::Append),
            _ => Err(FormatError::corrupt("run block", format!("unknown operation {code}"))),
        }
    }
}

/// What holds for an entry by itself, whoever writes or reads it. Returns its state, and what stands
/// before the user key.
fn check_entry<'a>(what: &'static str, entry: Entry<'a>) -> Result<(u32, &'a [u8])> {
    let at = user_key_at(entry.key)?;
    let (prefix, user_key) = entry.key.split_at(at);
    let empty = matches!(entry.op, Op::Delete | Op::Clear);
    if empty && !entry.value.is_empty() {
        return Err(FormatError::corrupt(what, "a delete or clear has a value"));
    }
    if entry.op == Op::Clear && !user_key.is_empty() {
        return Err(FormatError::corrupt(what, "a clear has a user key"));
    }
    let (state, _) = prefix_of(prefix).unwrap_or((0, crate::KeyGroup(0)));
    Ok((state, prefix))
}

fn check_version(what: &'static str, version: u32) -> Result<()> {
    match version {
        1..=VERSION => Ok(()),
        0 => Err(FormatError::corrupt(what, "version 0 does not exist")),
        _ => Err(FormatError::new(
            crate::FormatErrorKind::UnsupportedVersion,
            what,
            format!("version {version}, this esker reads up to {VERSION}: use a newer one"),
        )),
    }
}

#[cfg(test)]
mod stats_tests;
#[cfg(test)]
mod tests;
