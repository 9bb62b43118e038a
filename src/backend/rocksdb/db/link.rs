//! A database linked for a checkpoint: what it held at one moment, as files of their own.
//!
//! At that moment what is in memory is set aside, of all families at once, and calls go on; a thread
//! waits until it is written, and links all files. None of them may hold what was put since. What
//! shows it is a mark: a key of the default family, which holds nothing else, put first after the
//! moment. Families are written together (`atomic_flush`), so that where anything put since is in a
//! file, the mark is in one too.

use super::{Database, Family, Open};
use crate::{Error, ErrorKind, Result};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{FlushOptions, LiveFile, WriteBatch, WriteOptions, properties};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The column family that every database has: it holds marks.
pub(super) const DEFAULT_FAMILY: &str = "default";
const STATE_FAMILY: &str = "state-";
/// How often a thread looks whether all is written: RocksDB tells nobody.
const TICK: Duration = Duration::from_millis(1);
/// The limits of the log to write what is in memory before files are linked: always, and never.
const WRITTEN: u64 = 0;
const AS_THEY_ARE: u64 = u64::MAX;

const OUTRUN: &str = "more was put than memory holds before the files of the checkpoint were there: \
                      the next one makes calls wait for them";

/// What a database knows of its links.
#[derive(Default)]
pub(super) struct Links {
    /// Makes the last one.
    thread: Option<JoinHandle<()>>,
    mark: Option<[u8; 8]>,
    /// Whether the last one failed, as calls had put more than memory holds.
    outrun: Arc<AtomicBool>,
    pace: Pace,
}

/// Which links are made while calls wait. After one that was outrun the next one is; if the first that is
/// not is outrun again, twice as many are before the next try: few checkpoints fail of a job that always
/// writes too fast.
#[derive(Default)]
struct Pace {
    /// How many are to come.
    left: u32,
    /// How many there were to be the last time.
    last: u32,
    /// Whether the last link was one of them.
    waited: bool,
}

const WAITING_MAX: u32 = 64;

impl Pace {
    /// Whether calls wait for the next link; `outrun` is what the last one was.
    fn waits(&mut self, outrun: bool) -> bool {
        if outrun {
            self.last = (2 * self.last).clamp(1, WAITING_MAX);
            self.left = self.last;
        } else if !self.waited {
            self.last = 0;
        }
        self.waited = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.waited
    }
}

impl Links {
    /// Waits for the last one, and until its thread has let go of the database.
    pub(super) fn end(&mut self) {
        // One that panicked has told nobody of files.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A database at one moment, which is being linked.
#[derive(Default)]
pub(in super::super) struct Linking {
    outcome: Mutex<Option<Result<Linked>>>,
    ended: Condvar,
}

/// A database at one moment as files of its own, which are gone once it is dropped.
pub(in super::super) struct Linked {
    dir: PathBuf,
    /// What is known of its data files, perhaps of others too.
    pub(in super::super) data: Vec<DataFile>,
    _open: Arc<Open>,
}

/// A file of entries.
pub(in super::super) struct DataFile {
    pub(in super::super) name: String,
    pub(in super::super) state: u32,
    /// The database's keys that it begins and ends with.
    pub(in super::super) first: Vec<u8>,
    pub(in super::super) last: Vec<u8>,
}

impl Linking {
    fn end(&self, outcome: Result<Linked>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.ended.notify_all();
    }

    fn wait(&self) -> MutexGuard<'_, Option<Result<Linked>>> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.ended.wait_while(outcome, |outcome| outcome.is_none());
        ended.unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with the files, once they are there.
    ///
    /// # Errors
    /// Those of RocksDB and of `f`; `Retry` if more was put meanwhile than memory holds.
    pub(in super::super) fn get<R>(&self, f: impl FnOnce(&Linked) -> Result<R>) -> Result<R> {
        match &*self.wait() {
            Some(Ok(linked)) => f(linked),
            Some(Err(error)) => Err(Error::new(error.kind(), error.to_string())),
            None => Err(Error::new(ErrorKind::Poisoned, "a database was never linked")),
        }
    }
}

impl Linked {
    /// The whole database as files in `dir`, which is made.
    fn of(open: &Arc<Open>, dir: PathBuf, log_len_bytes: u64) -> Result<(Self, Vec<LiveFile>)> {
        let failed = |error| open.fail(error);
        Checkpoint::new(&open.db)
            .and_then(|made| made.create_checkpoint_with_log_size(&dir, log_len_bytes))
            .map_err(failed)?;
        let mut linked = Self { dir, data: Vec::new(), _open: Arc::clone(open) };
        let (marks, live): (Vec<_>, Vec<_>) = (open.db.live_files().map_err(failed)?)
            .into_iter()
            .partition(|file| file.column_family_name == DEFAULT_FAMILY);
        let data = live.into_iter().filter_map(|file| {
            let state = file.column_family_name.strip_prefix(STATE_FAMILY)?.parse().ok()?;
            let name = file.name.trim_start_matches('/').to_owned();
            Some(DataFile { name, state, first: file.start_key?, last: file.end_key? })
        });
        linked.data = data.collect();
        Ok((linked, marks))
    }

    pub(in super::super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        // What cannot be removed now goes with the folder that it is in.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Database {
    /// The whole database as it is now, whose files are there a while later; `holds` is dropped then.
    ///
    /// Setting aside what is in memory costs tens of microseconds for each family. Where the files of
    /// the last one are not there yet this waits for them, and where more was put meanwhile than
    /// memory holds, so that the last one failed, it waits for its own.
    ///
    /// # Errors
    /// Those of RocksDB; `Retry` if there can be no thread.
    pub(in super::super) fn link(&mut self, holds: impl Send + 'static) -> Result<Arc<Linking>> {
        self.check()?;
        self.links.end();
        let (open, dir) = (Arc::clone(&self.open), self.inner_name());
        if let Some(mark) = self.links.mark.take() {
            // Both go before they get to a file, if the mark did not.
            open.change_mark(|batch, family| batch.single_delete_cf(family, mark))?;
        }
        let linking = Arc::new(Linking::default());
        let outrun = self.links.outrun.swap(false, Ordering::Relaxed);
        if self.links.pace.waits(outrun) {
            let (linked, _) = Linked::of(&open, dir, WRITTEN)?;
            linking.end(Ok(linked));
            return Ok(linking);
        }
        let aside = self.set_aside()?;
        let ended = Arc::clone(&linking);
        let link = move || {
            let linked = aside.linked(dir);
            drop(holds);
            ended.end(linked);
        };
        let started = thread::Builder::new().name("esker-link".into()).spawn(link);
        self.links.thread = Some(started.map_err(|error| {
            Error::new(ErrorKind::Retry, "no thread for a checkpoint").with_source(error)
        })?);
        Ok(linking)
    }

    fn set_aside(&mut self) -> Result<Aside> {
        let (open, families) = (Arc::clone(&self.open), self.families.clone());
        // Names of marks are never given again, not even by a database that is restored.
        let mark = open.db.latest_sequence_number().to_be_bytes();
        let errors = open.background_errors();
        open.flush(&families, false)?;
        open.change_mark(|batch, family| batch.put_cf(family, mark, []))?;
        self.links.mark = Some(mark);
        let outrun = Arc::clone(&self.links.outrun);
        Ok(Aside { open, families, mark, errors, outrun })
    }
}

/// What was in memory at the moment of a capture, on its way to files.
struct Aside {
    open: Arc<Open>,
    families: Vec<Arc<Family>>,
    mark: [u8; 8],
    /// How many errors there were before.
    errors: u64,
    /// To be told of it.
    outrun: Arc<AtomicBool>,
}

impl Aside {
    fn linked(&self, dir: PathBuf) -> Result<Linked> {
        let is_outrun = self.is_outrun()?;
        let (linked, marks) = Linked::of(&self.open, dir, AS_THEY_ARE)?;
        match is_outrun || marks.iter().any(|file| may_hold(file, self.mark)) {
            true => {
                self.outrun.store(true, Ordering::Relaxed);
                Err(Error::new(ErrorKind::Retry, OUTRUN))
            }
            false => Ok(linked),
        }
    }

    /// Waits until it is in files; whether more than that is.
    fn is_outrun(&self) -> Result<bool> {
        let Self { open, families, mark, errors, .. } = self;
        loop {
            open.check()?;
            if families.iter().all(|family| family.is_written()) {
                return Ok(false);
            }
            if open.background_errors() > *errors {
                // Which one it was is told to whoever waits.
                open.flush(families, true)?;
                return Ok(true);
            }
            if open.has_marks() {
                let live = open.db.live_files().map_err(|error| open.fail(error))?;
                if live.iter().any(|file| may_hold(file, *mark)) {
                    return Ok(true);
                }
            }
            thread::sleep(TICK);
        }
    }
}

fn may_hold(file: &LiveFile, mark: [u8; 8]) -> bool {
    let (first, last) = (file.start_key.as_deref(), file.end_key.as_deref());
    file.column_family_name == DEFAULT_FAMILY
        && first.is_none_or(|first| first <= &mark[..])
        && last.is_none_or(|last| last >= &mark[..])
}

impl Open {
    /// Writes what is in memory of `families` and of marks to files.
    fn flush(&self, families: &[Arc<Family>], wait: bool) -> Result<()> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        let mut bound = Vec::with_capacity(families.len() + 1);
        for family in families {
            bound.push(family.parts()?.1);
        }
        let marks = self.marks()?;
        bound.push(&marks);
        self.db.flush_cfs_opt(&bound, &options).map_err(|error| self.fail(error))
    }

    fn marks(&self) -> Result<super::family::Bound<'_>> {
        let missing = || self.poisoned("the default column family is not there");
        self.db.cf_handle(DEFAULT_FAMILY).ok_or_else(missing)
    }

    fn change_mark(
        &self,
        change: impl FnOnce(&mut WriteBatch, &super::family::Bound<'_>),
    ) -> Result<()> {
        let (mut batch, mut options) = (WriteBatch::default(), WriteOptions::default());
        change(&mut batch, &self.marks()?);
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|error| self.fail(error))
    }

    /// Whether any mark is in a file.
    fn has_marks(&self) -> bool {
        let len_bytes = self.db.property_int_value(properties::TOTAL_SST_FILES_SIZE);
        len_bytes.ok().flatten() != Some(0)
    }

    pub(super) fn background_errors(&self) -> u64 {
        self.db.property_int_value(properties::BACKGROUND_ERRORS).ok().flatten().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::RocksOptions;
    use super::super::super::filter::Content;
    use super::*;

    fn database(dir: &Path) -> (Database, Arc<Family>) {
        let mut database = Database::open(dir, &RocksOptions::default()).unwrap();
        let family = database.family(1, Content::Values, None).unwrap();
        (database, family)
    }

    fn marks(database: &Database) -> usize {
        let live = database.open.db.live_files().unwrap();
        live.iter().filter(|file| file.column_family_name == DEFAULT_FAMILY).count()
    }

    #[test]
    fn a_link_that_is_outrun_fails_and_the_next_makes_calls_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (mut database, family) = database(folder.path());
        family.put(b"1", b"before").unwrap();
        let aside = database.set_aside().unwrap();
        family.put(b"2", b"after").unwrap();
        family.compact();
        assert_eq!(marks(&database), 1, "the mark goes with what was put after it");
        let error = aside.linked(database.inner_name()).err().unwrap();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Retry, OUTRUN.to_owned()));

        assert!(database.links.outrun.load(Ordering::Relaxed));
        family.put(b"3", b"at last").unwrap();
        let linking = database.link(()).unwrap();
        let outcome = linking.outcome.lock().unwrap();
        assert!(
            outcome.as_ref().is_some_and(|linked| linked.is_ok()),
            "nothing is left to wait for"
        );
        drop(outcome);
        // Once the mark is gone from files, or another name is looked for, it is as before.
        family.put(b"4", b"again").unwrap();
        database.link(()).unwrap().get(|_| Ok(())).unwrap();
    }

    #[test]
    fn who_is_outrun_again_waits_longer() {
        let mut pace = Pace::default();
        let mut waits = |outrun| pace.waits(outrun);
        assert_eq!([false, true, false, false].map(&mut waits), [false, true, false, false]);
        // Again and again: one waits, then two, then four.
        assert_eq!(
            [true, false, true, false, false].map(&mut waits),
            [true, false, true, true, false]
        );
        assert_eq!(
            [true, false, false, false, false].map(&mut waits),
            [true, true, true, true, false]
        );
        assert_eq!([false, true, false].map(&mut waits), [false, true, false], "one went well");
        (0..9).for_each(|_| _ = (waits(true), waits(false)));
        assert!((0..WAITING_MAX - 2).all(|_| waits(false)));
        assert!(!waits(false));
    }

    #[test]
    fn marks_get_to_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut database, family) = database(folder.path());
        for number in 0..5_u8 {
            family.put(&[number], b"value").unwrap();
            let linking = database.link(()).unwrap();
            let data = linking.get(|linked| Ok(linked.data.len())).unwrap();
            assert!(data > 0);
            assert_eq!(marks(&database), 0);
        }
    }

    #[test]
    fn files_are_gone_with_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let (mut database, family) = database(folder.path());
        family.put(b"1", b"value").unwrap();
        let linking = database.link(()).unwrap();
        let dir = linking.get(|linked| Ok(linked.dir().to_owned())).unwrap();
        assert!(dir.join("CURRENT").exists());
        drop(linking);
        // The thread that told of them may be the last to let go.
        while dir.exists() {
            thread::sleep(TICK);
        }
    }
}
