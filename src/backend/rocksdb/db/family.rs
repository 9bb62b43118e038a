//! Column families, and what they held at one moment. Both hold the database that they borrow from.

use super::import::Imports;
use super::{Db, Open, name_of};
use crate::{Error, ErrorKind, Result};
use rocksdb::{
    BoundColumnFamily, DBAccess, DBRawIteratorWithThreadMode, Options, ReadOptions,
    SnapshotWithThreadMode, WriteBatch, WriteOptions, properties,
};
use self_cell::self_cell;
use std::sync::{Arc, OnceLock};

pub(super) type Bound<'a> = Arc<BoundColumnFamily<'a>>;
type Snapshot<'a> = SnapshotWithThreadMode<'a, Db>;

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

/// A column family: what one state holds.
pub(in super::super) struct Family {
    pub(super) id: u32,
    pub(super) options: Options,
    first: FamilyCell,
    /// The one that takes its place once a database is restored.
    restored: OnceLock<FamilyCell>,
    write: WriteOptions,
    read: ReadOptions,
    /// What a restore brings, until it ends.
    pub(super) imports: Imports,
}

impl Family {
    /// A new family for the state with number `id`.
    ///
    /// # Errors
    /// Those of RocksDB.
    pub(super) fn new(
        open: &Arc<Open>,
        id: u32,
        options: Options,
        imports: &Imports,
    ) -> Result<Self> {
        let first = made(open, id, &options)?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        let (restored, read) = (OnceLock::new(), ReadOptions::default());
        let imports = Arc::clone(imports);
        Ok(Self { id, options, first, restored, write, read, imports })
    }

    /// Stands for the family of the same name in another database from now on, which need not have it
    /// yet if it `is_new` there.
    ///
    /// # Errors
    /// Those of RocksDB, and `Invalid` the second time.
    pub(super) fn move_to(&self, open: &Arc<Open>, is_new: bool) -> Result<()> {
        let cell = match is_new {
            true => made(open, self.id, &self.options)?,
            false => found(open, self.id)?,
        };
        let twice = |_| Error::new(ErrorKind::Invalid, "the backend was restored already");
        self.restored.set(cell).map_err(twice)
    }

    /// The state's number.
    pub(in super::super) fn id(&self) -> u32 {
        self.id
    }

    #[inline]
    fn cell(&self) -> &FamilyCell {
        self.restored.get().unwrap_or(&self.first)
    }

    #[inline]
    pub(super) fn parts(&self) -> Result<(&Open, &Bound<'_>)> {
        let cell = self.cell();
        let open = cell.borrow_owner();
        open.check()?;
        Ok((open, cell.borrow_dependent()))
    }

    /// Calls `f` with the value of `key` in place.
    ///
    /// # Errors
    /// Of this and all others: those of RocksDB; `Poisoned` after one.
    #[inline]
    pub(in super::super) fn get<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        let (open, family) = self.parts()?;
        let found = open.db.get_pinned_cf_opt(family, key, &self.read);
        Ok(f(found.map_err(|error| open.fail(error))?.as_deref()))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(in super::super) fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.put_cf_opt(family, key, value, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Puts `operand` behind the value of `key`, by the family's merge operator.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(in super::super) fn merge(&self, key: &[u8], operand: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.merge_cf_opt(family, key, operand, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    #[inline]
    pub(in super::super) fn delete(&self, key: &[u8]) -> Result<()> {
        let (open, family) = self.parts()?;
        let done = open.db.delete_cf_opt(family, key, &self.write);
        done.map_err(|error| open.fail(error))
    }

    /// Removes `keys`, all or none of them. For each it takes half the time of [`delete`](Self::delete).
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn delete_each(&self, keys: &[Vec<u8>]) -> Result<()> {
        let (open, family) = self.parts()?;
        let mut batch = WriteBatch::default();
        keys.iter().for_each(|key| batch.delete_cf(family, key));
        open.db.write_opt(batch, &self.write).map_err(|error| open.fail(error))
    }

    /// Removes all keys from `from` on and before `to`: one by one, at once, where there are at most
    /// `points_max`, else as a range. Reads look at ranges for as long as these are not compacted
    /// away, whatever they ask for, so that ranges are for what would take as long to go through.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(in super::super) fn delete_all(
        &self,
        from: &[u8],
        to: &[u8],
        points_max: usize,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        let family = self.cell().borrow_dependent();
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
    pub(in super::super) fn for_each(
        &self,
        from: &[u8],
        to: &[u8],
        f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let (open, family) = self.parts()?;
        let entries = open.db.raw_iterator_cf_opt(family, bounded(to));
        walk(entries, from, f, |error| open.fail(error))
    }

    /// Whether nothing waits to be written to files but what calls put there.
    pub(super) fn is_written(&self) -> bool {
        let open = self.cell().borrow_owner();
        let family = self.cell().borrow_dependent();
        let waiting = open.db.property_int_value_cf(family, properties::NUM_IMMUTABLE_MEM_TABLE);
        waiting.ok().flatten().unwrap_or(0) == 0
    }

    /// About how many keys there are. Costs no I/O.
    pub(in super::super) fn keys_estimate(&self) -> u64 {
        let open = self.cell().borrow_owner();
        let family = self.cell().borrow_dependent();
        let known = open.db.property_int_value_cf(family, properties::ESTIMATE_NUM_KEYS);
        known.ok().flatten().unwrap_or(0)
    }

    /// What it holds now; it never changes.
    pub(in super::super) fn freeze(self: &Arc<Self>) -> Frozen {
        let open = Arc::clone(self.cell().borrow_owner());
        let snapshot = SnapshotCell::new(open, |open| open.db.snapshot());
        Frozen { snapshot, family: Arc::clone(self) }
    }

    /// Writes all that is in memory of all families to files, and merges those of this one: tests see
    /// what compactions do.
    #[cfg(test)]
    pub(in super::super) fn compact(&self) {
        let (open, family) = self.parts().unwrap();
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        let all: (Option<&[u8]>, Option<&[u8]>) = (None, None);
        open.db.compact_range_cf_opt(family, all.0, all.1, &options);
    }
}

/// A column family at one moment.
pub(in super::super) struct Frozen {
    snapshot: SnapshotCell,
    family: Arc<Family>,
}

impl Frozen {
    /// As [`Family::for_each`], of what there was. Blocks that are read leave the cache as it is.
    ///
    /// # Errors
    /// As for [`Family::for_each`].
    pub(in super::super) fn for_each(
        &self,
        from: &[u8],
        to: &[u8],
        f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let (open, family) = self.family.parts()?;
        let mut options = bounded(to);
        options.fill_cache(false);
        let entries = self.snapshot.borrow_dependent().raw_iterator_cf_opt(family, options);
        walk(entries, from, f, |error| open.fail(error))
    }
}

/// A new column family.
fn made(open: &Arc<Open>, id: u32, options: &Options) -> Result<FamilyCell> {
    open.db.create_cf(name_of(id), options).map_err(|error| open.fail(error))?;
    found(open, id)
}

/// A column family that is there.
fn found(open: &Arc<Open>, id: u32) -> Result<FamilyCell> {
    FamilyCell::try_new(Arc::clone(open), |open| {
        let missing = || open.poisoned("a column family that was made is not there");
        open.db.cf_handle(&name_of(id)).ok_or_else(missing)
    })
}

pub(super) fn bounded(to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    if !to.is_empty() {
        options.set_iterate_upper_bound(to);
    }
    options
}

/// Calls `f` with `entries` from `from` on, until it says `false`; `failed` says what an error means.
pub(super) fn walk<D: DBAccess>(
    mut entries: DBRawIteratorWithThreadMode<'_, D>,
    from: &[u8],
    mut f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    failed: impl FnOnce(rocksdb::Error) -> Error,
) -> Result<()> {
    entries.seek(from);
    while let Some((key, value)) = entries.item() {
        if !f(key, value)? {
            return Ok(());
        }
        entries.next();
    }
    // At the end, or where it could not go on.
    entries.status().map_err(failed)
}
