//! Entries that a restore brings, on their way into a family by files of their own: sorted, written on
//! other threads, and taken in as they are, past write buffers and compactions.

mod changes;

pub(in super::super) use changes::{Change, Changes, Pool};

use super::super::folder::unusable;
use super::{Database, Family};
use crate::{Error, ErrorKind, Result};
use changes::Chunk;
use rocksdb::{DBCompressionType, IngestExternalFileOptions};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::mem;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How what comes in is divided, in bytes of keys and values before they are compressed.
#[derive(Clone, Copy)]
struct Limits {
    /// A file is begun anew after so much, where keys that follow are greater than those before: files
    /// that overlap are not taken in as they are.
    file: usize,
    /// And after so much in any case. Memory: this much for each thread, once more for what comes next,
    /// as files are waited for in turn, and once more for what comes in meanwhile; three times that for
    /// small entries that come out of order.
    file_max: usize,
    /// The last file is divided among the threads if each gets so much.
    file_min: usize,
    /// A file costs some writes that are waited for: less than this goes by calls.
    calls_max: usize,
}

/// So many files are taken in at once, while others are written; a file waits for the disk here.
const FILES_AT_ONCE: usize = if cfg!(test) { 2 } else { 4 };

const LIMITS: Limits =
    Limits { file: 16 << 20, file_max: 32 << 20, file_min: 1 << 20, calls_max: 256 << 10 };
/// Of LZ4, faster than by default: measured, 2.0 times as fast, for 8 to 14 % more bytes.
const LZ4_LEVEL: i32 = -4;
/// RocksDB's default; not LZ4's.
const ZLIB_WINDOW_BITS: i32 = -14;

/// The families of a database that entries come in for, one after the other.
pub(super) struct Import {
    /// Has a folder for the files of each family; it is made for the first, and goes in the end.
    dir: PathBuf,
    threads: usize,
    limits: Limits,
    families: BTreeMap<u32, Incoming>,
    /// What came in last, and for which family.
    chunk: (u32, Chunk),
    /// What changes of all families are decoded into.
    pool: Arc<Pool>,
    /// Of these families.
    writing: VecDeque<(u32, JoinHandle<Result<()>>)>,
}

/// What came in for a family.
struct Incoming {
    family: Arc<Family>,
    /// How many there are by now.
    files_count: usize,
    /// Those that are not taken in yet, in the order in which they are to be: later ones replace what is
    /// in earlier ones. How many of them are written.
    files: Vec<PathBuf>,
    written: usize,
    /// Not worth a file so far; what came in first.
    little: Chunk,
    /// It was taken in, and calls are made at once.
    is_direct: bool,
}

impl Import {
    /// Makes ready to push what begins with `key` to the chunk of family `id`.
    ///
    /// # Errors
    /// Those of RocksDB: of an earlier chunk.
    fn chunk(&mut self, id: u32, key: &[u8]) -> Result<&mut Chunk> {
        let (of, chunk) = &self.chunk;
        let len_bytes = chunk.len_bytes();
        let is_full = len_bytes >= self.limits.file_max
            || (len_bytes >= self.limits.file && chunk.is_before(key));
        if *of != id || is_full {
            self.turn()?;
            self.chunk.0 = id;
        }
        Ok(&mut self.chunk.1)
    }

    /// Ends the chunk: a thread writes it, or it is put aside.
    fn turn(&mut self) -> Result<()> {
        self.turn_by(1)
    }

    /// The same by as many as `files_max` files.
    fn turn_by(&mut self, files_max: usize) -> Result<()> {
        let (id, chunk) = mem::take(&mut self.chunk);
        let Some(incoming) = self.families.get_mut(&id) else { return Ok(()) };
        let Incoming { family, files_count, little, .. } = incoming;
        little.append(chunk);
        if little.is_empty() || (*files_count == 0 && little.len_bytes() <= self.limits.calls_max) {
            return Ok(());
        }
        let mut options = family.options.clone();
        // They go to the last level, whose usual compression was two fifths of the time that writing
        // them takes: compactions apply it.
        options.set_bottommost_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_options(ZLIB_WINDOW_BITS, LZ4_LEVEL, 0, 0, true);
        fs::create_dir_all(&self.dir).map_err(|error| unusable(error, &self.dir))?;
        let whole = mem::take(little);
        let worth_files = whole.len_bytes() / self.limits.file_min;
        for chunk in whole.split(worth_files.min(files_max)) {
            while self.writing.len() > self.threads {
                self.end_one()?;
            }
            let Some(incoming) = self.families.get_mut(&id) else { return Ok(()) };
            let path = self.dir.join(format!("{id}-{}.sst", incoming.files_count));
            incoming.files_count += 1;
            incoming.files.push(path.clone());
            let options = options.clone();
            let write = move || chunk.write(&options, &path);
            let started = thread::Builder::new().name("esker-import".into()).spawn(write);
            let started = started.map_err(|error| {
                Error::new(ErrorKind::Retry, "no thread for a restore").with_source(error)
            })?;
            self.writing.push_back((id, started));
        }
        self.take_in_written()
    }

    /// Takes in what is written, where that is some files. Nobody reads them before all is taken in, and a
    /// restore that fails leaves nothing to read.
    fn take_in_written(&mut self) -> Result<()> {
        for Incoming { family, files, written, .. } in self.families.values_mut() {
            if *written >= FILES_AT_ONCE {
                family.ingest(files.drain(..mem::take(written)).collect())?;
            }
        }
        Ok(())
    }

    /// Waits for the thread that was started first.
    fn end_one(&mut self) -> Result<()> {
        let Some((id, writing)) = self.writing.pop_front() else { return Ok(()) };
        let panicked = |_| Error::new(ErrorKind::Poisoned, "a thread of a restore panicked");
        writing.join().map_err(panicked)??;
        if let Some(incoming) = self.families.get_mut(&id) {
            incoming.written += 1;
        }
        Ok(())
    }

    /// Takes in what came for all families, or for one.
    fn take_in(&mut self, only: Option<u32>) -> Result<()> {
        // Nothing else is left to do for the threads.
        self.turn_by(self.threads)?;
        self.end_all()?;
        let wanted =
            self.families.iter_mut().filter(|(id, _)| only.is_none_or(|only| only == **id));
        for (_, Incoming { family, files, written, little, is_direct, .. }) in wanted {
            (*is_direct, *written) = (true, 0);
            let little = mem::take(little);
            little.all().try_for_each(|(change, key, value)| family.change(change, key, value))?;
            family.ingest(mem::take(files))?;
        }
        Ok(())
    }

    /// Waits for all threads; the first error.
    fn end_all(&mut self) -> Result<()> {
        let mut done = Ok(());
        while !self.writing.is_empty() {
            done = done.and(self.end_one());
        }
        done
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        let _ = self.end_all();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The import of a database, while there is one.
pub(super) type Imports = Arc<Mutex<Option<Import>>>;

impl Database {
    /// What a restore brings goes by files from now on, which `threads` threads write.
    pub(in super::super) fn begin_imports(&mut self, threads: usize) {
        let incoming = |family: &Arc<Family>| {
            let incoming = Incoming {
                family: Arc::clone(family),
                files_count: 0,
                files: Vec::new(),
                written: 0,
                little: Chunk::default(),
                is_direct: false,
            };
            (family.id, incoming)
        };
        let families = self.families.iter().map(incoming).collect();
        let (dir, threads) = (self.inner_name(), threads.max(1));
        let (chunk, pool, writing) = Default::default();
        let import = Import { dir, threads, limits: LIMITS, families, chunk, pool, writing };
        *locked(&self.imports) = Some(import);
    }

    /// Takes in what came; nothing goes on in the background then, whatever happens.
    ///
    /// # Errors
    /// Those of RocksDB, the first.
    pub(in super::super) fn end_imports(&self) -> Result<()> {
        let import = locked(&self.imports).take();
        import.map_or(Ok(()), |mut import| import.take_in(None))
    }
}

pub(super) fn locked(imports: &Imports) -> MutexGuard<'_, Option<Import>> {
    imports.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Family {
    /// Changes `key` as a restore wants it. Reads may see it once the import has ended.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn restore(&self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        let added = self.import(key, |chunk| chunk.push(change, key, value))?;
        if added { Ok(()) } else { self.change(change, key, value) }
    }

    /// The same for some of `changes`, which are not copied.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn restore_all(
        &self,
        changes: &Arc<Changes>,
        range: Range<usize>,
    ) -> Result<()> {
        let Some((_, first, _)) = changes.of(range.clone()).next() else { return Ok(()) };
        let push = |chunk: &mut Chunk| {
            chunk.push_all(changes, range.clone());
            Ok(())
        };
        if self.import(first, push)? {
            return Ok(());
        }
        changes.of(range).try_for_each(|(change, key, value)| self.change(change, key, value))
    }

    /// Memory for changes, that of the import where there is one.
    pub(in super::super) fn pool(&self) -> Arc<Pool> {
        locked(&self.imports).as_ref().map(|import| Arc::clone(&import.pool)).unwrap_or_default()
    }

    /// Pushes what goes by files and begins with `key`; `false` where it goes by calls.
    fn import(&self, key: &[u8], push: impl FnOnce(&mut Chunk) -> Result<()>) -> Result<bool> {
        match &mut *locked(&self.imports) {
            Some(import)
                if import.families.get(&self.id).is_some_and(|incoming| !incoming.is_direct) =>
            {
                push(import.chunk(self.id, key)?)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Takes in what came for it so far, so that it can be read; what follows goes by calls.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn end_import(&self) -> Result<()> {
        let mut imports = locked(&self.imports);
        imports.as_mut().map_or(Ok(()), |import| import.take_in(Some(self.id)))
    }

    fn change(&self, change: Change, key: &[u8], value: &[u8]) -> Result<()> {
        match change {
            Change::Put => self.put(key, value),
            Change::Merge => self.merge(key, value),
            Change::Delete => self.delete(key),
        }
    }

    /// Takes in files that were written for it.
    pub(super) fn ingest(&self, files: Vec<PathBuf>) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
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
            for (change, key, value) in &changes {
                by_calls.restore(*change, &[*key], value.as_bytes()).unwrap();
            }
            let by_files = family(&mut database, 2 * case + 1);
            database.begin_imports(2);
            let mut at_once = Changes::default();
            for (number, (change, key, value)) in changes.iter().enumerate() {
                if number == cut && case % 3 == 0 {
                    by_files.end_import().unwrap();
                } else if number == cut {
                    let mut imports = locked(&by_files.imports);
                    let import = imports.as_mut().unwrap();
                    // A file is worth it, and as if another family were next.
                    import.limits = Limits { file: 20, file_max: 80, file_min: 40, calls_max: 0 };
                    import.turn().unwrap();
                }
                match number > cut && case % 2 == 0 {
                    true => at_once.push(*change, &[*key], value.as_bytes()).unwrap(),
                    false => by_files.restore(*change, &[*key], value.as_bytes()).unwrap(),
                }
            }
            let at_once = Arc::new(at_once);
            let end = at_once.len_bytes();
            let mut rest = at_once.of(0..end);
            rest.next();
            let second = end - rest.len_bytes();
            by_files.restore_all(&at_once, 0..second).unwrap();
            by_files.restore_all(&at_once, second..end).unwrap();
            database.end_imports().unwrap();
            assert_eq!(content(&by_files), content(&by_calls), "{changes:?}, cut at {cut}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_and_nothing_is_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(folder.path(), &RocksOptions::default()).unwrap();
        let family = family(&mut database, 1);
        database.begin_imports(1);
        let dir = locked(&database.imports).as_ref().unwrap().dir.clone();
        fs::write(&dir, "a file in its place").unwrap();
        family.restore(Change::Put, b"key", &vec![1; LIMITS.calls_max]).unwrap();
        let error = database.end_imports().unwrap_err();
        assert!(error.to_string().contains(&*dir.to_string_lossy()), "{error}");
        assert_eq!(content(&family), []);
    }
}
