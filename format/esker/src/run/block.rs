//! A block: some tens of kilobytes of entries in three columns, each compressed on its own.
//!
//! Columns keep like with like: operations and lengths repeat and all but vanish, keys compress among
//! themselves, and incompressible values are stored as they are.

use super::columns::{Column, Packer};
use super::limit::{KeyLimit, keys_len_bytes_max};
use super::planes::{self, Lens};
use super::{BLOCK_LEN_BYTES_MAX, Op};
use crate::bytes::{Cursor, put_varint};
use crate::{FormatError, Result};

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
    ops: Vec<u8>,
    /// Varints, as they are stored.
    shared: Vec<u8>,
    key_lens: Vec<u8>,
    value_lens: Vec<u8>,
    keys: Items,
    values: Items,
    /// Of all keys in full.
    keys_len_bytes: usize,
    pub(super) entries: u32,
    packer: Packer,
}

/// Bytes of items one behind the other, and their lengths.
#[derive(Default)]
struct Items {
    bytes: Vec<u8>,
    lens: Vec<u32>,
}

impl Items {
    fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        // An entry takes less than 2^28 bytes.
        self.lens.push(item.len() as u32);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lens.clear();
    }
}

impl BlockBuilder {
    pub(super) fn len_bytes(&self) -> usize {
        let lists = self.ops.len() + self.shared.len() + self.key_lens.len();
        lists + self.value_lens.len() + self.keys.bytes.len() + self.values.bytes.len()
    }

    /// Whether another key of `key_len_bytes` is more than a reader would rebuild.
    pub(super) fn is_full_of_keys(&self, key_len_bytes: usize) -> bool {
        let max = keys_len_bytes_max(self.len_bytes() - self.values.bytes.len());
        self.keys_len_bytes + key_len_bytes > max
    }

    /// Adds an entry whose key has the first `shared` bytes of the one before it, if there is one.
    pub(super) fn add(&mut self, entry: Entry<'_>, shared: usize) {
        let shared = if self.entries == 0 { 0 } else { shared };
        self.ops.push(entry.op.code());
        put_varint(&mut self.shared, shared as u64);
        put_varint(&mut self.key_lens, entry.key.len() as u64);
        put_varint(&mut self.value_lens, entry.value.len() as u64);
        self.keys.push(&entry.key[shared..]);
        self.values.push(entry.value);
        self.keys_len_bytes += entry.key.len();
        self.entries += 1;
    }

    /// Appends the stored block to `out` and empties the builder.
    pub(super) fn finish_into(&mut self, level: i32, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.entries.to_le_bytes());
        for list in [&self.shared, &self.key_lens, &self.value_lens] {
            self.ops.extend_from_slice(list);
        }
        self.packer.put(level, &self.ops, out)?;
        self.packer.put_items(level, 0, &self.keys.bytes, &self.keys.lens, out)?;
        self.packer.put_items(level, 1, &self.values.bytes, &self.values.lens, out)?;
        for list in [&mut self.ops, &mut self.shared, &mut self.key_lens, &mut self.value_lens] {
            list.clear();
        }
        self.keys.clear();
        self.values.clear();
        self.keys_len_bytes = 0;
        self.entries = 0;
        Ok(())
    }
}

/// What *meta* says of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) op: Op,
    /// How many bytes of its key are those of the key before.
    pub(super) shared: u32,
    /// How many bytes of its key stand in *keys*.
    pub(super) suffix_len: u32,
    pub(super) value_len: u32,
}

/// A decoded block.
#[derive(Debug, Clone)]
pub struct Block {
    pub(super) rows: Vec<Row>,
    /// Suffixes of keys, and values, one behind the other; as long as the rows say.
    pub(super) keys: Vec<u8>,
    pub(super) values: Vec<u8>,
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
        let meta = Column::take(&mut cursor)?;
        if meta.has_planes() {
            return Err(cursor.corrupt("meta has planes"));
        }
        let rows = meta.read(|meta| decode_meta(meta, entries))?;
        let keys = items(&mut cursor, "keys", rows.iter().map(|row| row.suffix_len))?;
        let values = items(&mut cursor, "values", rows.iter().map(|row| row.value_len))?;
        if !cursor.is_empty() {
            return Err(cursor.corrupt("bytes behind the last column"));
        }
        let mut limit = KeyLimit::of(meta.len_bytes() + keys.len());
        for row in &rows {
            limit.count(row.shared as usize + row.suffix_len as usize)?;
        }
        Ok(Self { rows, keys, values })
    }

    /// Bytes that a stored block takes in memory once it is unpacked, as it says itself.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode), as far as that is seen without unpacking.
    pub fn unpacked_len_bytes(stored: &[u8]) -> Result<usize> {
        let mut cursor = Cursor::new("run block", stored);
        let entries = cursor.u32()? as usize;
        // Each entry takes at least a byte in each of the four lists.
        let entries = entries.min(Column::take(&mut cursor)?.len_bytes() / 4);
        let keys = Column::take(&mut cursor)?.len_bytes();
        let values = Column::take(&mut cursor)?.len_bytes();
        Ok(entries * size_of::<Row>() + keys + values)
    }

    /// How many entries the block holds.
    pub fn entries(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Bytes that the entries take, in memory.
    pub fn len_bytes(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// Bytes that keys and values take once keys are rebuilt.
    pub fn entries_len_bytes(&self) -> usize {
        self.len_bytes() + self.rows.iter().map(|row| row.shared as usize).sum::<usize>()
    }

    /// Calls `f` with every entry, in order; the key is rebuilt in one buffer, not per entry.
    ///
    /// # Errors
    /// `Corrupt` if keys do not ascend; what `f` returns.
    pub fn for_each(&self, mut f: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        let mut keys = self.keys.as_slice();
        let mut values = self.values.as_slice();
        let mut key = Vec::new();
        let mut last_op = None;
        for row in &self.rows {
            // Lengths were added up when the block was decoded.
            let (suffix, rest) = keys.split_at(row.suffix_len as usize);
            let (value, values_left) = values.split_at(row.value_len as usize);
            (keys, values) = (rest, values_left);
            let shared = row.shared as usize;
            if last_op.is_some_and(|op| !ascends(&key[shared..], op, suffix, row.op)) {
                return Err(FormatError::corrupt("run block", "keys do not ascend"));
            }
            key.truncate(shared);
            key.extend_from_slice(suffix);
            last_op = Some(row.op);
            f(Entry { key: &key, op: row.op, value })?;
        }
        Ok(())
    }
}

fn decode_meta(meta: &[u8], entries: u32) -> Result<Vec<Row>> {
    let mut meta = Cursor::new("run block", meta);
    // Each entry takes at least a byte in each of the four lists.
    if meta.remaining() / 4 < entries as usize {
        return Err(meta.corrupt("fewer entries in meta than the block says"));
    }
    let mut rows = Vec::with_capacity(entries as usize);
    for code in meta.take(entries as usize)? {
        rows.push(Row { op: Op::from_code(*code)?, shared: 0, suffix_len: 0, value_len: 0 });
    }
    each_length(&mut meta, &mut rows, |row, shared| row.shared = shared)?;
    // For now, of the whole key.
    each_length(&mut meta, &mut rows, |row, key_len| row.suffix_len = key_len)?;
    let mut last_len = 0;
    for row in &mut rows {
        if row.shared > last_len {
            return Err(meta.corrupt("a key shares more bytes than the one before has"));
        }
        last_len = row.suffix_len;
        let suffix_len = last_len.checked_sub(row.shared);
        let suffix_len = suffix_len.ok_or_else(|| meta.corrupt("a key shares more than it has"));
        row.suffix_len = suffix_len?;
    }
    each_length(&mut meta, &mut rows, |row, value_len| row.value_len = value_len)?;
    if meta.is_empty() { Ok(rows) } else { Err(meta.corrupt("meta holds more than the entries")) }
}

/// The next list of *meta*: a length for each row.
fn each_length(meta: &mut Cursor<'_>, rows: &mut [Row], set: impl Fn(&mut Row, u32)) -> Result<()> {
    // Most lists hold lengths of one byte alone.
    if let Some(lens) = meta.peek(rows.len()).filter(|lens| lens.is_ascii()) {
        rows.iter_mut().zip(lens).for_each(|(row, len)| set(row, u32::from(*len)));
        return meta.take(rows.len()).map(drop);
    }
    for row in rows {
        set(row, meta.length(BLOCK_LEN_BYTES_MAX)? as u32);
    }
    Ok(())
}

/// The items of the next column, one behind the other.
fn items(cursor: &mut Cursor<'_>, name: &str, lens: impl Lens) -> Result<Vec<u8>> {
    let column = Column::take(cursor)?;
    let sum: u64 = lens.clone().map(u64::from).sum();
    if sum != column.len_bytes() as u64 {
        return Err(cursor.corrupt(format!("{name} are not as long as meta says")));
    }
    if !column.has_planes() {
        return column.into_bytes();
    }
    let joined = column.read(|planes| Ok(planes::join(planes, lens)))?;
    joined.ok_or_else(|| cursor.corrupt(format!("{name}: an item too long for planes")))
}

/// Keys ascend strictly, but that a `Clear` may stand before another entry of its own key. Both without
/// what they are known to share.
#[inline]
pub(super) fn ascends(last: &[u8], last_op: Op, key: &[u8], op: Op) -> bool {
    // A writer leaves out all that keys share: what is left differs at once, most often.
    match (last.first(), key.first()) {
        (Some(a), Some(b)) if a != b => a < b,
        _ => last < key || (last == key && last_op == Op::Clear && op != Op::Clear),
    }
}

/// How many bytes two keys begin with in common.
#[inline]
pub(super) fn shared_len(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let mut shared = 0;
    for (x, y) in a_words.iter().zip(b_words) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return shared + differ.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    let rest = a[shared..].iter().zip(&b[shared..]);
    shared + rest.take_while(|(x, y)| x == y).count()
}
