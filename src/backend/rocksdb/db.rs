//! The database of one backend: column families, snapshots, and nothing else of RocksDB.
//!
//! Families and snapshots hold the database that they borrow from, so that captures may outlive their
//! backend; the last of them closes it and removes its folder.

mod family;
#[cfg(feature = "metrics")]
mod figures;
mod import;
mod link;
mod native;

pub(super) use family::{Family, Frozen};
#[cfg(feature = "metrics")]
pub(crate) use figures::Figures;
pub(super) use import::{Change, Changes, Pool};
pub(super) use link::{Linked, Linking};
pub(super) use native::{Imported, Parent};

use super::RocksOptions;
use super::error::{named, not_opened};
use super::expiry::Expiry;
use super::filter::Content;
use super::folder::Folder;
use crate::{Error, ErrorKind, Result};
use rocksdb::{ColumnFamilyDescriptor, DBWithThreadMode, MultiThreaded, Options};
use std::path::Path;
use std::sync::{Arc, OnceLock};

type Db = DBWithThreadMode<MultiThreaded>;

/// An open database.
struct Open {
    db: Db,
    /// Why every call fails, once one did.
    failed: OnceLock<String>,
    /// Goes after the database, as fields are dropped in order.
    folder: Folder,
    /// The one that was there before this was restored: it has the folder that this one's lies in,
    /// and keeps others out.
    _before: Option<Arc<Open>>,
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

    /// What an error means. It poisons the backend, but for a full disk that the database goes on
    /// after: that one does, unless what it had in memory could not be written.
    #[cold]
    fn fail(&self, error: rocksdb::Error) -> Error {
        let error = named(error, self.folder.dir());
        if error.kind() != ErrorKind::Retry {
            let _ = self.failed.set(error.to_string());
        } else if self.background_errors() > 0 {
            // RocksDB resumes by itself only with a file manager, which its crate has no call for.
            let _ = self.failed.set(format!("{STOPPED}: {error}"));
        }
        error
    }
}

/// Why a database is used no more once its disk was full.
const STOPPED: &str = "the disk was full, and what was in memory is not all written: make room, then \
                       restore the backend from a checkpoint";

impl Drop for Open {
    fn drop(&mut self) {
        // What would be compacted now is removed next.
        self.db.cancel_all_background_work(true);
    }
}

/// The database of one backend, in a folder that nobody else uses.
pub(super) struct Database {
    open: Arc<Open>,
    options: Options,
    families: Vec<Arc<Family>>,
    /// How many folders were made in that of the database.
    folders: u64,
    links: link::Links,
    imports: import::Imports,
    #[cfg(feature = "metrics")]
    made_with: RocksOptions,
}

impl Database {
    /// An empty database in `dir`, locked until it is dropped; what was left there is removed.
    ///
    /// # Errors
    /// `Conflict` if somebody has the folder open, `Invalid` for wrong options, `Retry` if there is no
    /// room or it cannot be opened.
    pub(super) fn open(dir: &Path, options: &RocksOptions) -> Result<Self> {
        #[cfg(feature = "metrics")]
        let made_with = options.clone();
        let options = options.build()?;
        let folder = Folder::cleared(dir)?;
        let marks = ColumnFamilyDescriptor::new(link::DEFAULT_FAMILY, options.clone());
        let db = Db::open_cf_descriptors(&options, dir, [marks])
            .map_err(|error| not_opened(error, dir))?;
        let open = Open { db, failed: OnceLock::new(), folder, _before: None };
        Ok(Self {
            open: Arc::new(open),
            options,
            families: Vec::new(),
            folders: 0,
            links: link::Links::default(),
            imports: import::Imports::default(),
            #[cfg(feature = "metrics")]
            made_with,
        })
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
        &mut self,
        id: u32,
        content: Content,
        expiry: Option<Arc<Expiry>>,
    ) -> Result<Arc<Family>> {
        self.check()?;
        let mut options = self.options.clone();
        content.set(&mut options, expiry);
        let family = Arc::new(Family::new(&self.open, id, options, &self.imports)?);
        self.families.push(Arc::clone(&family));
        Ok(family)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A thread that is in RocksDB when the process ends aborts it.
        self.links.end();
        // Of a restore that nobody waits for any more: it holds families, which hold it.
        drop(import::locked(&self.imports).take());
    }
}

/// The name of a column family: the state's number decides, as names of states may change.
fn name_of(id: u32) -> String {
    format!("state-{id}")
}
