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
    Put,
    /// The value goes behind what it has.
    Merge,
    /// It is gone.
    Delete,
}

/// Changes of keys, in the order in which they came.
#[derive(Default)]
pub(in super::super::super) struct Changes {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Begins where the one before ends.
struct Row {
    change: Change,
    key_end: usize,
    value_end: usize,
}

impl Changes {
    /// None yet, with room for so many and for so many bytes of keys and values.
    pub(in super::super::super) fn with_capacity(count: usize, len_bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(len_bytes), rows: Vec::with_capacity(count) }
    }

    pub(in super::super::super) fn push(&mut self, change: Change, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.rows.push(Row { change, key_end, value_end: self.bytes.len() });
    }

    fn begin(&self, at: usize) -> usize {
        let before = at.checked_sub(1).and_then(|before| self.rows.get(before));
        before.map_or(0, |row| row.value_end)
    }

    /// Those of `range`, as change, key and value.
    pub(super) fn of(&self, range: Range<usize>) -> impl Iterator<Item = (Change, &[u8], &[u8])> {
        let mut begin = self.begin(range.start);
        self.rows.get(range).unwrap_or_default().iter().map(move |row| {
            let key = self.bytes.get(begin..row.key_end).unwrap_or_default();
            let value = self.bytes.get(row.key_end..row.value_end).unwrap_or_default();
            begin = row.value_end;
            (row.change, key, value)
        })
    }

    fn len_bytes(&self, range: &Range<usize>) -> usize {
        let bytes = self.begin(range.end).saturating_sub(self.begin(range.start));
        bytes + range.len() * size_of::<Row>()
    }
}

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
    }

    pub(super) fn push_all(&mut self, changes: &Arc<Changes>, range: Range<usize>) {
        self.close();
        self.pieces_len_bytes += changes.len_bytes(&range);
        self.pieces.push((Arc::clone(changes), range));
    }

    pub(super) fn append(&mut self, mut later: Self) {
        self.close();
        later.close();
        self.pieces.append(&mut later.pieces);
        self.pieces_len_bytes += later.pieces_len_bytes;
    }

    fn close(&mut self) {
        if !self.last.rows.is_empty() {
            let last = mem::take(&mut self.last);
            let range = 0..last.rows.len();
            self.pieces_len_bytes += last.len_bytes(&range);
            self.pieces.push((Arc::new(last), range));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.pieces_len_bytes + self.last.len_bytes(&(0..self.last.rows.len()))
    }

    /// All changes, as change, key and value.
    pub(super) fn all(&self) -> impl Iterator<Item = (Change, &[u8], &[u8])> {
        let pieces = self.pieces.iter().flat_map(|(changes, range)| changes.of(range.clone()));
        pieces.chain(self.last.of(0..self.last.rows.len()))
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
