//! The database of one backend: column families, snapshots, and nothing else of RocksDB.
//!
//! Families and snapshots hold the database that they borrow from, so that captures may outlive their
//! backend; the last of them closes it and removes its folder.

use super::RocksOptions;
use super::error::{named, not_opened};
use super::expiry::Expiry;
use super::filter::Content;
use super::folder::Folder;
use crate::{Error, ErrorKind, Result};
use rocksdb::{
    BoundColumnFamily, DBRawIteratorWithThreadMode, DBWithThreadMode, MultiThreaded, Options,
    ReadOptions, SnapshotWithThreadMode, WriteBatch, WriteOptions, properties,
};
use self_cell::self_cell;
use std::path::Path;
use std::sync::{Arc, OnceLock};

type Db = DBWithThreadMode<MultiThreaded>;
type Bound<'a> = Arc<BoundColumnFamily<'a>>;
type Snapshot<'a> = SnapshotWithThreadMode<'a, Db>;

/// An open database.
struct Open {
    db: Db,
    /// Why every call fails, once one did.
    failed: OnceLock<String>,
    /// Goes after the database, as fields are dropped in order.
    folder: Folder,
}

impl Open {
    /// # Errors
    /// `Poisoned` after an error.
    #[inline]
    fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(self.poisoned(why)),
        }
    }

    #[cold]
    fn poisoned(&self, why: &str) -> Error {
        Error::new(ErrorKind::Poisoned, why).at_path(self.folder.dir().display().to_string())
    }

    /// What an error means; all but a full disk poisons the backend.
    #[cold]
    fn fail(&self, error: rocksdb::Error) -> Error {
        let error = named(error, self.folder.dir());
        if error.kind() != ErrorKind::Retry {
            let _ = self.failed.set(error.to_string());
        }
        error
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What would be compacted now is removed next.
        self.db.cancel_all_background_work(true);
    }
}

self_cell!(
    struct FamilyCell {
        owner: Arc<Open>,
        #[covariant]
        dependent: Bound,
    }
);

self_cell!(
    struct SnapshotCell {
        owner: Arc<Open>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// The database of one backend, in a folder that nobody else uses.
pub(super) struct Database {
    open: Arc<Open>,
    options: Options,
}

impl Database {
    /// An empty database in `dir`, locked until it is dropped; what was left there is removed.
    ///
    /// # Errors
    /// `Conflict` if somebody has the folder open, `Invalid` for wrong options, `Retry` if there is no
    /// room or it cannot be opened.
    pub(super) fn open(dir: &Path, options: &RocksOptions) -> Result<Self> {
        let options = options.build()?;
        let folder = Folder::cleared(dir)?;
        let db = Db::open(&options, dir).map_err(|error| not_opened(error, dir))?;
        Ok(Self { open: Arc::new(Open { db, failed: OnceLock::new(), folder }), options })
    }

    /// That it can be used.
    ///
    /// # Errors
    /// `Poisoned` after an error.
    pub(super) fn check(&self) -> Result<()> {
        self.open.check()
    }

    /// A new column family for the state with number `id`; where its values expire, `expiry` says
    /// when.
    ///
    /// # Errors
    /// Those of RocksDB.
    pub(super) fn family(
        &self,
        id: u32,
        content: Content,
        expiry: Option<Arc<Expiry>>,
    ) -> Result<Arc<Family>> {
        self.check()?;
        let name = name_of(id);
        let mut options = self.options.clone();
        content.set(&mut options, expiry);
        self.open.db.create_cf(&name, &options).map_err(|error| self.open.fail(error))?;
        let cell = FamilyCell::try_new(Arc::clone(&self.open), |open| {
            let missing = || open.poisoned("a column family that was made is not there");
            open.db.cf_handle(&name).ok_or_else(missing)
        })?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Ok(Arc::new(Family { cell, write, read: ReadOptions::default() }))
    }
}

/// The name of a column family: the state's number decides, as names of states may change.
fn name_of(id: u32) -> String {
    format!("state-{id}")
}

/// A column family: what one state holds.
pub(super) struct Family {
    cell: FamilyCell,
    write: WriteOptions,
    read: ReadOptions,
}

impl Family {
    #[inline]
    fn parts(&self) -> Result<(&Open, &Bound<'_>)> {
        let open = self.cell.borrow_owner();
        open.check()?;
        Ok((open, self.cell.borrow_dependent()))
    }

    /// Calls `f` with the value of `key` in place.
    ///
    /// # Errors
    /// Of this and all others: those of RocksDB; `Poisoned` after one.
    #[inline]
    pub(super) fn get<R>(&self, key: &[u8], f: impl FnOnce(Option<&[u8]>) -> R) -> Result<R> {
        let (open, family) = self.parts()?;
        let found = open.db.get_pinned_cf_opt(family, key, &self.read);
        Ok(f(found.map_err(|error| open.fail(error))?.as_deref()))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.put_cf_opt(family, key, value, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Puts `operand` behind the value of `key`, by the family's merge operator.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(super) fn merge(&self, key: &[u8], operand: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.merge_cf_opt(family, key, operand, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(super) fn delete(&self, key: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.delete_cf_opt(family, key, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Removes all keys from `from` on and before `to`: one by one, at once, where there are at most
    /// `points_max`, else as a range. Reads look at ranges for as long as these are not compacted
    /// away, whatever they ask for, so that ranges are for what would take as long to go through.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(super) fn delete_all(&self, from: &[u8], to: &[u8], points_max: usize) -> Result<()> {
        let mut batch = WriteBatch::default();
        let family = self.cell.borrow_dependent();
        self.for_each(from, to, |key, _| {
            batch.delete_cf(family, key);
            Ok(batch.len() <= points_max)
        })?;
        if batch.len() > points_max {
            batch.clear();
            batch.delete_range_cf(family, from, to);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let (open, _) = self.parts()?;
        open.db.write_opt(batch, &self.write).map_err(|error| open.fail(error))
    }

    /// Calls `f` with the keys from `from` on and before `to`, and their values, in order, until it
    /// says `false`. An empty `to` is the end.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and those of `f`.
    pub(super) fn for_each(
        &self,
        from: &[u8],
        to: &[u8],
        f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let (open, family) = self.parts()?;
        let entries = open.db.raw_iterator_cf_opt(family, bounded(to));
        walk(open, entries, from, f)
    }

    /// About how many keys there are. Costs no I/O.
    pub(super) fn keys_estimate(&self) -> u64 {
        let open = self.cell.borrow_owner();
        let family = self.cell.borrow_dependent();
        let known = open.db.property_int_value_cf(family, properties::ESTIMATE_NUM_KEYS);
        known.ok().flatten().unwrap_or(0)
    }

    /// What it holds now; it never changes.
    pub(super) fn freeze(self: &Arc<Self>) -> Frozen {
        let open = Arc::clone(self.cell.borrow_owner());
        let snapshot = SnapshotCell::new(open, |open| open.db.snapshot());
        Frozen { snapshot, family: Arc::clone(self) }
    }

    /// Writes all that is in memory to files, and merges all files: tests see what compactions do.
    #[cfg(test)]
    pub(super) fn compact(&self) {
        let (open, family) = self.parts().unwrap();
        open.db.flush_cf(family).unwrap();
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        let all: (Option<&[u8]>, Option<&[u8]>) = (None, None);
        open.db.compact_range_cf_opt(family, all.0, all.1, &options);
    }
}

/// A column family at one moment.
pub(super) struct Frozen {
    snapshot: SnapshotCell,
    family: Arc<Family>,
}

impl Frozen {
    /// As [`Family::for_each`], of what there was. Blocks that are read leave the cache as it is.
    ///
    /// # Errors
    /// As for [`Family::for_each`].
    pub(super) fn for_each(
        &self,
        from: &[u8],
        to: &[u8],
        f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let (open, family) = self.family.parts()?;
        let mut options = bounded(to);
        options.fill_cache(false);
        let entries = self.snapshot.borrow_dependent().raw_iterator_cf_opt(family, options);
        walk(open, entries, from, f)
    }
}

fn bounded(to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    if !to.is_empty() {
        options.set_iterate_upper_bound(to);
    }
    options
}

fn walk(
    open: &Open,
    mut entries: DBRawIteratorWithThreadMode<'_, Db>,
    from: &[u8],
    mut f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
) -> Result<()> {
    entries.seek(from);
    while let Some((key, value)) = entries.item() {
        if !f(key, value)? {
            return Ok(());
        }
        entries.next();
    }
    // At the end, or where it could not go on.
    entries.status().map_err(|error| open.fail(error))
}
