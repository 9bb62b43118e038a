//! Entries that a restore brings, on their way into a family by files of their own: sorted, written on
//! other threads, and taken in as they are, past write buffers and compactions.

use super::super::error::named;
use super::super::folder::unusable;
use super::Family;
use crate::{Error, ErrorKind, Result};
use rocksdb::{IngestExternalFileOptions, Options, SstFileWriter};
use std::collections::VecDeque;
use std::fs;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread::{self, JoinHandle};

/// Keys and values of one file, before they are compressed; so much memory for each thread, and once
/// more for what comes in meanwhile.
const CHUNK_LEN_BYTES: usize = 32 << 20;

/// What comes in all goes by calls if it is no more: a file costs some writes that are waited for.
const CALLS_LEN_BYTES: usize = 256 << 10;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Change {
    /// It has the value from now on.
    Put,
    /// The value goes behind what it has.
    Merge,
    /// It is gone.
    Delete,
}

/// What was brought, in the order in which it came.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    changes: Vec<(Change, Range<usize>, Range<usize>)>,
}

/// The entries of one family.
pub(super) struct Import {
    dir: PathBuf,
    options: Options,
    threads: usize,
    chunk: Chunk,
    writing: VecDeque<JoinHandle<Result<()>>>,
    /// In the order in which they are to be taken in: later ones replace what is in earlier ones.
    files: Vec<PathBuf>,
}

impl Import {
    /// # Errors
    /// Those of RocksDB: of an earlier chunk.
    fn add(&mut self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        let Chunk { bytes, changes } = &mut self.chunk;
        let key_at = bytes.len();
        bytes.extend_from_slice(key);
        let value_at = bytes.len();
        bytes.extend_from_slice(value);
        changes.push((change, key_at..value_at, value_at..bytes.len()));
        if bytes.len() + mem::size_of_val(&changes[..]) >= CHUNK_LEN_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Lets a thread write what came in.
    fn write(&mut self) -> Result<()> {
        let chunk = mem::take(&mut self.chunk);
        if chunk.changes.is_empty() {
            return Ok(());
        }
        while self.writing.len() >= self.threads {
            self.writing.pop_front().map_or(Ok(()), ended)?;
        }
        if self.files.is_empty() {
            fs::create_dir(&self.dir).map_err(|error| unusable(error, &self.dir))?;
        }
        let path = self.dir.join(format!("{}.sst", self.files.len()));
        self.files.push(path.clone());
        let options = self.options.clone();
        let write = move || chunk.write(&options, &path);
        let started = thread::Builder::new().name("esker-import".into()).spawn(write);
        self.writing.push_back(started.map_err(|error| {
            Error::new(ErrorKind::Retry, "no thread for a restore").with_source(error)
        })?);
        Ok(())
    }

    /// The files, once they are all written.
    fn written(&mut self) -> Result<Vec<PathBuf>> {
        self.write()?;
        self.writing.drain(..).try_for_each(ended)?;
        Ok(mem::take(&mut self.files))
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        for writing in self.writing.drain(..) {
            let _ = ended(writing);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn ended(writing: JoinHandle<Result<()>>) -> Result<()> {
    let panicked = |_| Error::new(ErrorKind::Poisoned, "a thread of a restore panicked");
    writing.join().map_err(panicked)?
}

impl Chunk {
    fn each(&self, mut f: impl FnMut(Change, &[u8], &[u8]) -> Result<()>) -> Result<()> {
        let of = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.changes.iter().try_for_each(|(change, key, value)| f(*change, of(key), of(value)))
    }

    /// Writes a file, keys ascending, with one change for each key.
    fn write(mut self, options: &Options, path: &Path) -> Result<()> {
        let Self { bytes, changes } = &mut self;
        let of = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        // What came later stays behind what came before.
        changes.sort_by(|(_, a, _), (_, b, _)| of(a).cmp(of(b)));
        let failed = |error| named(error, path);
        let mut file = SstFileWriter::create(options);
        file.open(path).map_err(failed)?;
        let mut folded = Vec::new();
        for same in changes.chunk_by(|(_, a, _), (_, b, _)| of(a) == of(b)) {
            let [(first, key, value), later @ ..] = same else { continue };
            let (mut change, mut value) = (*first, of(value));
            if !later.is_empty() {
                folded.clear();
                folded.extend_from_slice(value);
                for (next, _, value) in later {
                    change = fold((change, &mut folded), *next, of(value));
                }
                value = &folded;
            }
            match change {
                Change::Put => file.put(of(key), value),
                Change::Merge => file.merge(of(key), value),
                Change::Delete => file.delete(of(key)),
            }
            .map_err(failed)?;
        }
        file.finish().map_err(failed)
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

impl Family {
    /// What a restore brings goes by files in `dir` from now on, which `threads` threads write; `dir`
    /// is made for the first of them, and goes in the end.
    pub(in super::super) fn begin_import(&self, dir: PathBuf, threads: usize) {
        let (options, threads) = (self.options.clone(), threads.max(1));
        let (chunk, writing, files) = Default::default();
        let import = Import { dir, options, threads, chunk, writing, files };
        *self.import.lock().unwrap_or_else(PoisonError::into_inner) = Some(import);
    }

    /// Changes `key` as a restore wants it. Reads may see it once the import has ended.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn restore(&self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        match &mut *self.import.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(import) => import.add(change, key, value),
            None => self.change(change, key, value),
        }
    }

    fn change(&self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        match change {
            Change::Put => self.put(key, value),
            Change::Merge => self.merge(key, value),
            Change::Delete => self.delete(key),
        }
    }

    /// Takes in what an import wrote, if one was begun; calls that follow go the usual way.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn end_import(&self) -> Result<()> {
        let import = self.import.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut import) = import else { return Ok(()) };
        if import.files.is_empty() && import.chunk.bytes.len() <= CALLS_LEN_BYTES {
            return import.chunk.each(|change, key, value| self.change(change, key, value));
        }
        let files = import.written()?;
        let (open, family) = self.parts()?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let done = open.db.ingest_external_file_cf_opts(family, &options, files);
        done.map_err(|error| open.fail(error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::RocksOptions;
    use super::super::super::filter::Content;
    use super::super::Database;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::sync::Arc;

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![Just(Change::Put), Just(Change::Merge), Just(Change::Delete)]
    }

    fn content(family: &Family) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut content = Vec::new();
        let each = |key: &[u8], value: &[u8]| {
            content.push((key.to_vec(), value.to_vec()));
            Ok(true)
        };
        family.for_each(&[], &[], each).unwrap();
        content
    }

    fn family(database: &mut Database, id: u32) -> Arc<Family> {
        database.family(id, Content::Lists, None).unwrap()
    }

    #[test]
    fn files_make_of_entries_what_calls_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path(), &RocksOptions::default()).unwrap();
        let changes = (vec((change(), 0..9_u8, "[a-z]{1,3}"), 0..40), 0..40_usize);
        let mut runner = TestRunner::deterministic();
        for case in 0..64 {
            let (changes, cut) = changes.new_tree(&mut runner).unwrap().current();
            let by_calls = family(&mut database, 2 * case);
            let by_files = family(&mut database, 2 * case + 1);
            by_files.begin_import(database.inner_name(), 2);
            for (number, (change, key, value)) in changes.iter().enumerate() {
                if number == cut {
                    by_files.import.lock().unwrap().as_mut().unwrap().write().unwrap();
                }
                by_calls.restore(*change, &[*key], value.as_bytes()).unwrap();
                by_files.restore(*change, &[*key], value.as_bytes()).unwrap();
            }
            by_files.end_import().unwrap();
            assert_eq!(content(&by_files), content(&by_calls), "{changes:?}, cut at {cut}");
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_and_nothing_is_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path(), &RocksOptions::default()).unwrap();
        let family = family(&mut database, 1);
        family.begin_import(folder.path().join("gone").join("import"), 1);
        family.restore(Change::Put, b"key", &vec![1; CALLS_LEN_BYTES]).unwrap();
        let error = family.end_import().unwrap_err();
        assert!(error.to_string().contains("gone/import"), "{error}");
        assert_eq!(content(&family), []);
    }
}
