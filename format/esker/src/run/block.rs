//! A block: some tens of kilobytes of entries in three columns, each compressed on its own.
//!
//! Columns keep like with like: operation and lengths repeat and all but vanish, key suffixes
//! compress among themselves, and incompressible values are stored as they are.

use super::limit::{KeyLimit, keys_len_bytes_max};
use super::{BLOCK_LEN_BYTES_MAX, Op};
use crate::bytes::{Cursor, put_varint};
use crate::{FormatError, Result};

/// How the bytes of a column are stored: as they are, or as one zstd frame.
const CODING_RAW: u8 = 0;
const CODING_ZSTD: u8 = 1;
/// No zstd frame unpacks to more than this many times its length: its blocks hold 128 KiB at most
/// and take 4 bytes at least.
const ZSTD_RATIO_MAX: usize = 1 << 15;

/// One entry of a run, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The encoded [composite key](crate::composite::CompositeKey).
    pub key: &'a [u8],
    /// What the entry does.
    pub op: Op,
    /// The encoded value; empty for `Delete` and `Clear`.
    pub value: &'a [u8],
}

/// Collects entries until they are worth a block.
#[derive(Default)]
pub(super) struct BlockBuilder {
    meta: Vec<u8>,
    keys: Vec<u8>,
    values: Vec<u8>,
    last_key: Vec<u8>,
    /// Of all keys in full.
    keys_len_bytes: usize,
    pub(super) entries: u32,
}

impl BlockBuilder {
    pub(super) fn len_bytes(&self) -> usize {
        self.meta.len() + self.keys.len() + self.values.len()
    }

    /// Whether another key of `key_len_bytes` is more than a reader would rebuild.
    pub(super) fn is_full_of_keys(&self, key_len_bytes: usize) -> bool {
        let max = keys_len_bytes_max(self.meta.len() + self.keys.len());
        self.keys_len_bytes + key_len_bytes > max
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) {
        let shared = self.last_key.iter().zip(entry.key).take_while(|(a, b)| a == b).count();
        let suffix = &entry.key[shared..];
        self.meta.push(entry.op.code());
        put_varint(&mut self.meta, shared as u64);
        put_varint(&mut self.meta, suffix.len() as u64);
        put_varint(&mut self.meta, entry.value.len() as u64);
        self.keys.extend_from_slice(suffix);
        self.values.extend_from_slice(entry.value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(suffix);
        self.keys_len_bytes += entry.key.len();
        self.entries += 1;
    }

    /// Appends the stored block to `out` and empties the builder.
    pub(super) fn finish_into(&mut self, level: i32, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.entries.to_le_bytes());
        for column in [&self.meta, &self.keys, &self.values] {
            put_column(column, level, out)?;
        }
        self.meta.clear();
        self.keys.clear();
        self.values.clear();
        self.last_key.clear();
        self.keys_len_bytes = 0;
        self.entries = 0;
        Ok(())
    }
}

fn put_column(column: &[u8], level: i32, out: &mut Vec<u8>) -> Result<()> {
    let packed = zstd::bulk::compress(column, level)
        .map_err(|error| FormatError::invalid("run block", format!("zstd: {error}")))?;
    let (coding, stored) = if packed.len() < column.len() {
        (CODING_ZSTD, packed.as_slice())
    } else {
        (CODING_RAW, column)
    };
    out.push(coding);
    put_varint(out, column.len() as u64);
    put_varint(out, stored.len() as u64);
    out.extend_from_slice(stored);
    Ok(())
}

fn take_column(cursor: &mut Cursor<'_>) -> Result<Vec<u8>> {
    let coding = cursor.u8()?;
    let len = cursor.length(BLOCK_LEN_BYTES_MAX)?;
    let stored_len = cursor.length(cursor.remaining())?;
    let stored = cursor.take(stored_len)?;
    match coding {
        CODING_RAW if len == stored.len() => Ok(stored.to_vec()),
        CODING_ZSTD => {
            // The frame's own idea of its size must agree before memory is set aside for it.
            if len > stored.len().saturating_mul(ZSTD_RATIO_MAX) {
                return Err(cursor.corrupt("column is longer than its zstd frame can unpack to"));
            }
            let declared = zstd::zstd_safe::get_frame_content_size(stored).ok().flatten();
            if declared != Some(len as u64) {
                return Err(cursor.corrupt("column length differs from its zstd frame's"));
            }
            let column = zstd::bulk::decompress(stored, len)
                .map_err(|error| cursor.corrupt(format!("zstd: {error}")))?;
            if column.len() == len {
                Ok(column)
            } else {
                Err(cursor.corrupt("column is shorter than it says"))
            }
        }
        CODING_RAW => Err(cursor.corrupt("raw column lengths differ")),
        _ => Err(cursor.corrupt(format!("unknown column coding {coding}"))),
    }
}

/// A decoded block.
#[derive(Debug, Clone)]
pub struct Block {
    pub(super) meta: Vec<u8>,
    pub(super) keys: Vec<u8>,
    pub(super) values: Vec<u8>,
    pub(super) entries: u32,
}

impl Block {
    /// Unpacks a stored block. The caller has checked its digest against the index.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a block, or claim to unpack to more than
    /// [`BLOCK_LEN_BYTES_MAX`].
    pub fn decode(stored: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("run block", stored);
        let entries = cursor.u32()?;
        let meta = take_column(&mut cursor)?;
        let keys = take_column(&mut cursor)?;
        let values = take_column(&mut cursor)?;
        if !cursor.is_empty() {
            return Err(cursor.corrupt("bytes behind the last column"));
        }
        Ok(Self { meta, keys, values, entries })
    }

    /// How many entries the block says it holds.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Calls `f` with every entry, in order; the key is rebuilt in one buffer, not per entry.
    ///
    /// # Errors
    /// `Corrupt` if the columns do not fit together or keys do not ascend; what `f` returns.
    pub fn for_each(&self, mut f: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        let mut meta = Cursor::new("run block", &self.meta);
        let mut keys = Cursor::new("run block", &self.keys);
        let mut values = Cursor::new("run block", &self.values);
        let mut limit = KeyLimit::of(self.meta.len() + self.keys.len());
        let mut key = Vec::new();
        let mut last: Option<(Vec<u8>, Op)> = None;
        for _ in 0..self.entries {
            let op = Op::from_code(meta.u8()?)?;
            let shared = meta.length(key.len())?;
            let suffix_len = meta.length(keys.remaining())?;
            let value_len = meta.length(values.remaining())?;
            limit.count(shared + suffix_len)?;
            key.truncate(shared);
            key.extend_from_slice(keys.take(suffix_len)?);
            if let Some((last_key, last_op)) = &mut last {
                if !ascends(last_key, *last_op, &key, op) {
                    return Err(meta.corrupt("keys do not ascend"));
                }
                last_key.clone_from(&key);
                *last_op = op;
            } else {
                last = Some((key.clone(), op));
            }
            f(Entry { key: &key, op, value: values.take(value_len)? })?;
        }
        if meta.is_empty() && keys.is_empty() && values.is_empty() {
            Ok(())
        } else {
            Err(meta.corrupt("columns hold more than the entries"))
        }
    }
}

/// Keys ascend strictly, but that a `Clear` may stand before another entry of its own key.
pub(super) fn ascends(last: &[u8], last_op: Op, key: &[u8], op: Op) -> bool {
    last < key || (last == key && last_op == Op::Clear && op != Op::Clear)
}
