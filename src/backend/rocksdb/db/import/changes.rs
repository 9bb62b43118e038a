//! Changes of keys, and files of them.

use super::super::super::error::named;
use crate::{Error, ErrorKind, Result};
use esker_format::bytes::copy_short;
use rocksdb::{Options, SstFileWriter};
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub(in super::super::super) struct Changes {
    bytes: Vec<u8>,
    /// Where they end: what is behind is room for others.
    end: usize,
    /// Where the last one begins.
    last: usize,
    /// Where the memory goes back to.
    pool: Option<Arc<Pool>>,
}

/// Memory of changes that are written, for those that come next: it is made by one thread and freed by
/// another, at which the allocator gives it back and asks for it again, page by page.
#[derive(Default)]
pub(in super::super::super) struct Pool(Mutex<Vec<Vec<u8>>>);

/// As many pieces wait for use at most, in all families of an import together; each is as large as a decoded
/// block, as a rule some 100 KiB.
const POOLED_MAX: usize = 256;
/// And larger ones do not wait: it is 32 MiB in all.
const POOLED_LEN_BYTES_MAX: usize = 128 << 10;

impl Pool {
    fn locked(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let Some(pool) = &self.pool else { return };
        let mut pooled = pool.locked();
        if pooled.len() < POOLED_MAX && self.bytes.capacity() <= POOLED_LEN_BYTES_MAX {
            pooled.push(mem::take(&mut self.bytes));
        }
    }
}

/// What stands before key and value.
const HEAD_LEN_BYTES: usize = 9;

impl Changes {
    /// None yet, with room for `count` changes of `len_bytes` of keys and values, which is taken from
    /// `pool` and goes back there.
    pub(in super::super::super) fn within(
        pool: &Arc<Pool>,
        count: usize,
        len_bytes: usize,
    ) -> Self {
        let mut bytes = pool.locked().pop().unwrap_or_default();
        let room = len_bytes + count * HEAD_LEN_BYTES;
        if bytes.len() < room {
            bytes.resize(room, 0);
        }
        Self { bytes, end: 0, last: 0, pool: Some(Arc::clone(pool)) }
    }

    /// # Errors
    /// `Invalid` for a key or value that is longer than RocksDB takes.
    pub(in super::super::super) fn push(
        &mut self,
        change: Change,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        let [a, b, c, d] = len_of(key)?.to_le_bytes();
        let [e, f, g, h] = len_of(value)?.to_le_bytes();
        let end = self.end + HEAD_LEN_BYTES + key.len() + value.len();
        if self.bytes.len() < end {
            self.bytes.resize(end.max(2 * self.bytes.len()), 0);
        }
        let (head, rest) = self.bytes[self.end..end].split_at_mut(HEAD_LEN_BYTES);
        let (key_place, value_place) = rest.split_at_mut(key.len());
        head.copy_from_slice(&[change as u8, a, b, c, d, e, f, g, h]);
        copy_short(key_place, key);
        copy_short(value_place, value);
        (self.last, self.end) = (self.end, end);
        Ok(())
    }

    /// Gives back what was not needed, if that is most of it.
    pub(in super::super::super) fn shrink(&mut self) {
        if self.end < self.bytes.capacity() / 2 {
            self.bytes.truncate(self.end);
            self.bytes.shrink_to_fit();
        }
    }

    pub(in super::super::super) fn len_bytes(&self) -> usize {
        self.end
    }

    /// The key of the last of those that begin in `range`, as [`of`](Self::of) has it.
    fn last_key(&self, range: Range<usize>) -> Option<&[u8]> {
        let last = match range.end == self.end && range.contains(&self.last) {
            true => self.of(self.last..range.end).next(),
            false => self.of(range).last(),
        };
        last.map(|(_, key, _)| key)
    }

    /// Those that begin in `range`, whose ends are where changes begin, as change, key and value.
    pub(in super::super::super) fn of(&self, range: Range<usize>) -> Iter<'_> {
        Iter(self.bytes.get(range).unwrap_or_default())
    }
}

fn len_of(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| {
        let message = format!("RocksDB takes no key or value of {} bytes", bytes.len());
        Error::new(ErrorKind::Invalid, message)
    })
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
    /// The greatest key so far, and whether one came that is not greater than those before.
    max_key: Vec<u8>,
    has_disorder: bool,
}

impl Chunk {
    /// # Errors
    /// Those of [`Changes::push`].
    pub(super) fn push(&mut self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        self.last.push(change, key, value)?;
        self.saw(key, key);
        if self.last.len_bytes() >= PIECE_LEN_BYTES {
            self.close();
        }
        Ok(())
    }

    /// Those of `range`, which are a run's: in order, but perhaps for one key that has several.
    pub(super) fn push_all(&mut self, changes: &Arc<Changes>, range: Range<usize>) {
        self.close();
        if let Some((_, first, _)) = changes.of(range.clone()).next() {
            self.saw(first, changes.last_key(range.clone()).unwrap_or(first));
            self.pieces_len_bytes += range.len();
            self.pieces.push((Arc::clone(changes), range));
        }
    }

    fn saw(&mut self, first: &[u8], last: &[u8]) {
        self.has_disorder |= !self.is_before(first);
        if self.is_before(last) {
            self.max_key.clear();
            self.max_key.extend_from_slice(last);
        }
    }

    /// Whether all keys so far are less than `key`.
    pub(super) fn is_before(&self, key: &[u8]) -> bool {
        // No key is empty.
        self.max_key.is_empty() || *self.max_key < *key
    }

    pub(super) fn append(&mut self, mut later: Self) {
        self.close();
        later.close();
        for (changes, range) in later.pieces {
            self.push_all(&changes, range);
        }
        self.has_disorder |= later.has_disorder;
        if self.is_before(&later.max_key) {
            self.max_key = later.max_key;
        }
    }

    fn close(&mut self) {
        let last = mem::take(&mut self.last);
        let range = 0..last.len_bytes();
        if !range.is_empty() {
            self.pieces_len_bytes += range.end;
            self.pieces.push((Arc::new(last), range));
        }
    }

    /// The same as `count` chunks of about the same size, one behind the other; as one if keys are not in
    /// order. Of files that overlap, RocksDB takes all but the first into its uppermost level.
    pub(super) fn split(mut self, count: usize) -> Vec<Self> {
        if self.has_disorder {
            return vec![self];
        }
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
        let in_order = || {
            write(options, path, |file| {
                let pieces = self.pieces.iter().map(|(changes, range)| changes.of(range.clone()));
                for piece in pieces.chain([self.last.of(0..self.last.len_bytes())]) {
                    for (change, key, value) in piece {
                        put(file, change, key, value)?;
                    }
                }
                Ok(())
            })
        };
        let written = match self.has_disorder {
            true => self.write_sorted(options, path),
            // Keys that come twice are found by the file's writer.
            false => in_order().or_else(|error| match error.kind() {
                rocksdb::ErrorKind::InvalidArgument => self.write_sorted(options, path),
                _ => Err(error),
            }),
        };
        written.map_err(|error| named(error, path))
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
