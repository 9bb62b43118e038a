//! Changes of keys, and files of them.

use super::super::super::error::named;
use crate::Result;
use rocksdb::{Options, SstFileWriter};
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super::super) enum Change {
    /// It has the value from now on.
    Put = 0,
    /// The value goes behind what it has.
    Merge = 1,
    /// It is gone.
    Delete = 2,
}

/// Changes of keys, in the order in which they came, one behind the other: what it is, the lengths of
/// key and value, key, value. RocksDB takes neither keys nor values of more than 32 bits.
#[derive(Default)]
pub(in super::super::super) struct Changes(Vec<u8>);

/// What stands before key and value.
const HEAD_LEN_BYTES: usize = 9;

impl Changes {
    /// None yet, with room for `count` changes of `len_bytes` of keys and values.
    pub(in super::super::super) fn with_capacity(count: usize, len_bytes: usize) -> Self {
        Self(Vec::with_capacity(len_bytes + count * HEAD_LEN_BYTES))
    }

    pub(in super::super::super) fn push(&mut self, change: Change, key: &[u8], value: &[u8]) {
        let [a, b, c, d] = (key.len() as u32).to_le_bytes();
        let [e, f, g, h] = (value.len() as u32).to_le_bytes();
        self.0.extend_from_slice(&[change as u8, a, b, c, d, e, f, g, h]);
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(value);
    }

    pub(in super::super::super) fn len_bytes(&self) -> usize {
        self.0.len()
    }

    /// Those that begin in `range`, whose ends are where changes begin, as change, key and value.
    pub(in super::super::super) fn of(&self, range: Range<usize>) -> Iter<'_> {
        Iter(self.0.get(range).unwrap_or_default())
    }
}

/// Goes over [`Changes`].
pub(in super::super::super) struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (Change, &'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<HEAD_LEN_BYTES>()?;
        let [change, a, b, c, d, e, f, g, h] = *head;
        let change = match change {
            0 => Change::Put,
            1 => Change::Merge,
            _ => Change::Delete,
        };
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([e, f, g, h]) as usize)?;
        self.0 = rest;
        Some((change, key, value))
    }
}

impl Iter<'_> {
    /// How many bytes are left.
    pub(in super::super::super) fn len_bytes(&self) -> usize {
        self.0.len()
    }
}

/// What comes one by one is kept in pieces of about this length.
const PIECE_LEN_BYTES: usize = 64 << 10;

/// What is to go into one file, in the order in which it came.
#[derive(Default)]
pub(super) struct Chunk {
    pieces: Vec<(Arc<Changes>, Range<usize>)>,
    pieces_len_bytes: usize,
    /// What came one by one since the last piece.
    last: Changes,
}

impl Chunk {
    pub(super) fn push(&mut self, change: Change, key: &[u8], value: &[u8]) {
        self.last.push(change, key, value);
        if self.last.len_bytes() >= PIECE_LEN_BYTES {
            self.close();
        }
    }

    pub(super) fn push_all(&mut self, changes: &Arc<Changes>, range: Range<usize>) {
        self.close();
        if !range.is_empty() {
            self.pieces_len_bytes += range.len();
            self.pieces.push((Arc::clone(changes), range));
        }
    }

    pub(super) fn append(&mut self, mut later: Self) {
        self.close();
        later.close();
        self.pieces.append(&mut later.pieces);
        self.pieces_len_bytes += later.pieces_len_bytes;
    }

    fn close(&mut self) {
        let last = mem::take(&mut self.last);
        let range = 0..last.len_bytes();
        if !range.is_empty() {
            self.pieces_len_bytes += range.end;
            self.pieces.push((Arc::new(last), range));
        }
    }

    /// The same as `count` chunks of about the same size, one behind the other.
    pub(super) fn split(mut self, count: usize) -> Vec<Self> {
        self.close();
        let each_len_bytes = self.pieces_len_bytes.div_ceil(count.max(1));
        let mut chunks = vec![Self::default()];
        for (changes, range) in self.pieces {
            if chunks.last().is_some_and(|chunk| chunk.pieces_len_bytes >= each_len_bytes) {
                chunks.push(Self::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.push_all(&changes, range);
            }
        }
        chunks
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.pieces_len_bytes + self.last.len_bytes()
    }

    /// All changes, as change, key and value.
    pub(super) fn all(&self) -> impl Iterator<Item = (Change, &[u8], &[u8])> {
        let pieces = self.pieces.iter().flat_map(|(changes, range)| changes.of(range.clone()));
        pieces.chain(self.last.of(0..self.last.len_bytes()))
    }

    /// Writes a file, keys ascending, with one change for each key.
    pub(super) fn write(self, options: &Options, path: &Path) -> Result<()> {
        // What one run holds is in order, and the file's writer checks that it is: what several hold
        // is found out of order at once.
        match write(options, path, |file| {
            self.all().try_for_each(|(change, key, value)| put(file, change, key, value))
        }) {
            Ok(()) => Ok(()),
            Err(_) => self.write_sorted(options, path).map_err(|error| named(error, path)),
        }
    }

    fn write_sorted(&self, options: &Options, path: &Path) -> RocksResult {
        let mut changes: Vec<_> = self.all().collect();
        // What came later stays behind what came before.
        changes.sort_by_key(|(_, key, _)| *key);
        let mut folded = Vec::new();
        write(options, path, |file| {
            for same in changes.chunk_by(|(_, a, _), (_, b, _)| a == b) {
                let [(first, key, value), later @ ..] = same else { continue };
                let (mut change, mut value) = (*first, *value);
                if !later.is_empty() {
                    folded.clear();
                    folded.extend_from_slice(value);
                    for (next, _, value) in later {
                        change = fold((change, &mut folded), *next, value);
                    }
                    value = &folded;
                }
                put(file, change, key, value)?;
            }
            Ok(())
        })
    }
}

type RocksResult = std::result::Result<(), rocksdb::Error>;

/// A new file of what `content` puts.
fn write(
    options: &Options,
    path: &Path,
    content: impl FnOnce(&mut SstFileWriter<'_>) -> RocksResult,
) -> RocksResult {
    let mut file = SstFileWriter::create(options);
    file.open(path)?;
    content(&mut file)?;
    file.finish()
}

fn put(file: &mut SstFileWriter<'_>, change: Change, key: &[u8], value: &[u8]) -> RocksResult {
    match change {
        Change::Put => file.put(key, value),
        Change::Merge => file.merge(key, value),
        Change::Delete => file.delete(key),
    }
}

/// Two changes of one key, in order, as one; values are merged by what the families' merge operator
/// does: one behind the other.
fn fold((first, folded): (Change, &mut Vec<u8>), next: Change, value: &[u8]) -> Change {
    if next != Change::Merge || first == Change::Delete {
        folded.clear();
    }
    folded.extend_from_slice(value);
    match (first, next) {
        (Change::Put | Change::Delete, Change::Merge) => Change::Put,
        (_, next) => next,
    }
}
