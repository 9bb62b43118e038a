//! Whole databases: opened from a checkpoint, or taken over from several.

use super::super::error::{named, not_opened};
use super::super::filter::Content;
use super::super::folder::{Folder, INNER, unusable};
use super::family::{bounded, walk};
use super::link::{DEFAULT_FAMILY, Links};
use super::{Database, Db, Family, Open, name_of};
use crate::Result;
use rocksdb::{ColumnFamilyDescriptor, DB, LogLevel, Options, SstFileWriter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Files that are taken over are cut at about this size.
const IMPORTED_LEN_BYTES: u64 = 64 << 20;

impl Database {
    /// A new folder in that of the database; it goes with it.
    ///
    /// # Errors
    /// `Retry` if it cannot be made.
    pub(in super::super) fn inner_folder(&mut self) -> Result<PathBuf> {
        let dir = self.inner_name();
        fs::create_dir(&dir).map_err(|error| unusable(error, &dir))?;
        Ok(dir)
    }

    pub(super) fn inner_name(&mut self) -> PathBuf {
        self.folders += 1;
        self.open.folder.dir().join(format!("{INNER}{}", self.folders))
    }

    /// Puts the database in `dir`, which is one of its [inner folders](Self::inner_folder), in its own
    /// place: the families are those of it. One that is not there is made.
    ///
    /// # Errors
    /// Those of RocksDB.
    pub(in super::super) fn adopt(&mut self, dir: &Path) -> Result<()> {
        self.check()?;
        let names = Db::list_cf(&self.options, dir).map_err(|error| not_opened(error, dir))?;
        let family = |name: &str| self.families.iter().find(|family| name_of(family.id) == name);
        let mut unknown = self.options.clone();
        // Nobody knows how its values are merged.
        unknown.set_disable_auto_compactions(true);
        let descriptors = names.iter().map(|name| {
            let options = match family(name) {
                Some(family) => &family.options,
                None if name == DEFAULT_FAMILY => &self.options,
                None => &unknown,
            };
            ColumnFamilyDescriptor::new(name.as_str(), options.clone())
        });
        let db = Db::open_cf_descriptors(&self.options, dir, descriptors)
            .map_err(|error| not_opened(error, dir))?;
        let folder = Folder::kept(dir);
        let (failed, _before) = (OnceLock::new(), Some(Arc::clone(&self.open)));
        let open = Arc::new(Open { db, failed, folder, _before });
        for name in names.iter().filter(|name| family(name).is_none() && *name != DEFAULT_FAMILY) {
            // Of a state that was there before.
            open.db.drop_cf(name).map_err(|error| open.fail(error))?;
        }
        for family in &self.families {
            family.move_to(&open, !names.contains(&name_of(family.id)))?;
        }
        self.open = open;
        self.links.end();
        self.links = Links::default();
        Ok(())
    }

    /// The family of a state.
    pub(in super::super) fn family_of(&self, id: u32) -> Option<Arc<Family>> {
        self.families.iter().find(|family| family.id == id).cloned()
    }
}

/// A database that is read alone, and removed with its folder.
pub(in super::super) struct Parent {
    db: DB,
    dir: PathBuf,
}

impl Parent {
    /// Opens the families of `states` in `dir`.
    ///
    /// # Errors
    /// `Corrupt` and others as RocksDB says.
    pub(in super::super) fn open(dir: &Path, states: &[Arc<Family>]) -> Result<Self> {
        let families = states.iter().map(|family| (family.id, family.options.clone()));
        Self::open_families(dir, families.collect())
    }

    /// The same for who has no database of his own: of each state its number and what it holds. Files
    /// of other states need not be there.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(in super::super) fn open_alone(dir: &Path, states: &[(u32, Content)]) -> Result<Self> {
        let family = |(id, content): &(u32, Content)| {
            let mut options = Options::default();
            content.set(&mut options, None);
            (*id, options)
        };
        Self::open_families(dir, states.iter().map(family).collect())
    }

    fn open_families(dir: &Path, states: Vec<(u32, Options)>) -> Result<Self> {
        let mut options = Options::default();
        // It is open for a moment, and writes nothing worth keeping.
        options.set_log_level(LogLevel::Fatal);
        let names = DB::list_cf(&options, dir).map_err(|error| not_opened(error, dir))?;
        let mut descriptors = vec![ColumnFamilyDescriptor::new(DEFAULT_FAMILY, options.clone())];
        for (id, options) in states {
            if names.contains(&name_of(id)) {
                descriptors.push(ColumnFamilyDescriptor::new(name_of(id), options));
            }
        }
        let db = DB::open_cf_descriptors_read_only(&options, dir, descriptors, false)
            .map_err(|error| not_opened(error, dir))?;
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// As [`Family::for_each`] of the family of state `id`; it need not be there.
    ///
    /// # Errors
    /// Those of RocksDB, and of `f`.
    pub(in super::super) fn for_each(
        &self,
        id: u32,
        (from, to): (&[u8], &[u8]),
        f: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let Some(family) = self.db.cf_handle(&name_of(id)) else { return Ok(()) };
        let mut options = bounded(to);
        options.fill_cache(false);
        let entries = self.db.raw_iterator_cf_opt(family, options);
        walk(entries, from, f, |error| named(error, &self.dir))
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // Its files stay open until the database is closed, which the system allows.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Files of one family, made to be taken in as they are.
pub(in super::super) struct Imported {
    dir: PathBuf,
    family: Arc<Family>,
    files: Vec<PathBuf>,
}

impl Imported {
    /// Files in `dir` of what `parent` holds of a family from `from` on and before `to` and that
    /// `wanted` wants by its key.
    ///
    /// # Errors
    /// Those of RocksDB.
    pub(in super::super) fn of(
        parent: &Parent,
        dir: PathBuf,
        family: Arc<Family>,
        (from, to): (&[u8], &[u8]),
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Self> {
        let mut files: Vec<PathBuf> = Vec::new();
        let (failed, options) = (|error| named(error, &dir), family.options.clone());
        let mut writer: Option<SstFileWriter<'_>> = None;
        parent.for_each(family.id, (from, to), |key, value| {
            if !wanted(key) {
                return Ok(true);
            }
            if let Some(mut full) = writer.take_if(|file| file.file_size() >= IMPORTED_LEN_BYTES) {
                full.finish().map_err(failed)?;
            }
            if writer.is_none() {
                let path = dir.join(format!("{}.sst", files.len()));
                let file = SstFileWriter::create(&options);
                file.open(&path).map_err(failed)?;
                files.push(path);
                writer = Some(file);
            }
            if let Some(file) = &mut writer {
                file.put(key, value).map_err(failed)?;
            }
            Ok(true)
        })?;
        if let Some(mut last) = writer {
            last.finish().map_err(failed)?;
        }
        Ok(Self { dir, family, files })
    }

    /// Takes the files into their family.
    ///
    /// # Errors
    /// Those of RocksDB.
    pub(in super::super) fn ingest(mut self) -> Result<()> {
        self.family.ingest(std::mem::take(&mut self.files))
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
