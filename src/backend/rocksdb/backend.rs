//! The RocksDB backend of one subtask of an operator.

use super::db::{Database, Family};
use super::expiry::Expiry;
use super::filter::Content;
use super::folder::{clear, unusable};
use super::{
    ListState, MapState, RocksOptions, TimerState, TtlListState, TtlMapState, TtlValueState,
    ValueState, native,
};
use crate::backend::keyed::DynCodec;
use crate::backend::{
    Backend, BackendFactory, KeyedStates, NativeCapture, StateCapture, StateValue,
};
use crate::format::manifest::{Manifest, Operator, StateInfo};
use crate::format::{Key, KeyGroupRange};
use crate::snapshot::{Restored, SnapshotSettings};
use crate::state::{TimeDomain, TtlConfig};
use crate::{ErrorKind, Result, Store};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All keyed state of one subtask of an operator, in a RocksDB database of its own: on the local disk,
/// as much of it in memory as the [`Budget`](super::Budget) has room for.
///
/// After an error of RocksDB every call fails with `Poisoned`: a new backend is to be restored from the
/// last checkpoint. Where the disk is full, the call that finds it so fails with `Retry`, naming the
/// folder; if what was in memory could not be written by then, later ones fail with `Poisoned`, as
/// RocksDB does not go on by itself once there is room.
///
/// Captures may outlive the backend, and keep its files until they are dropped. All of them are to be
/// dropped before `main` returns: what is left of RocksDB goes then, and a thread that still uses it
/// aborts the process.
///
/// ```
/// # use esker::backend::{Backend, ValueCalls};
/// # use esker::backend::rocksdb::{RocksBackend, RocksOptions};
/// # use esker::format::KeyGroupRange;
/// # use esker::state::ValueDescriptor;
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("carriers");
/// let options = RocksOptions::default();
/// let mut backend = RocksBackend::new(&dir, "carriers", KeyGroupRange::ALL, &options)?;
/// let flights = backend.open(ValueDescriptor::<String, u64>::new("flights"))?;
/// backend.state(flights)?.update(&"UA".into(), &(), 7)?;
/// assert_eq!(backend.state(flights)?.get(&"UA".into(), &())?, Some(7));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct RocksBackend {
    pub(super) states: KeyedStates,
    pub(super) database: Database,
}

impl RocksBackend {
    /// The backend of the subtask of operator `uid` that owns the key groups in `range`, with its
    /// database in the folder `dir`, which is its own until it is dropped. A database that is there
    /// already is removed: it is what a crash left.
    ///
    /// # Errors
    /// `Conflict` if another backend has the folder open, `Invalid` for wrong options, `Retry` if the
    /// folder cannot be used.
    pub fn new(
        dir: &Path,
        uid: impl Into<String>,
        range: KeyGroupRange,
        options: &RocksOptions,
    ) -> Result<Self> {
        Self::of(dir, KeyedStates::new(uid, range), options)
    }

    /// The same, to be restored from what a snapshot holds of the operator: states opened from here
    /// on are checked against it.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn restoring(
        dir: &Path,
        stored: &Operator,
        range: KeyGroupRange,
        options: &RocksOptions,
    ) -> Result<Self> {
        Self::of(dir, KeyedStates::restoring(stored, range), options)
    }

    fn of(dir: &Path, states: KeyedStates, options: &RocksOptions) -> Result<Self> {
        Ok(Self { states, database: Database::open(dir, options)? })
    }

    /// Publishes the metrics `esker_rocksdb_…` as they are now; each capture does it too. Costs no I/O,
    /// some microseconds for each state; nothing without the feature `metrics`.
    pub fn publish_metrics(&self) {
        #[cfg(feature = "metrics")]
        {
            crate::metrics::rocksdb(self.uid(), self.range(), &self.database.figures());
            crate::metrics::rocksdb_budget(self.database.budget());
        }
    }

    fn place(&self, info: &StateInfo) -> (u32, KeyGroupRange) {
        (info.id, self.states.range())
    }

    fn family(&mut self, info: &StateInfo, content: Content) -> Result<Arc<Family>> {
        self.database.family(info.id, content, None)
    }

    /// A family whose entries expire, and by what time.
    fn expiring(
        &mut self,
        info: &StateInfo,
        content: Content,
        config: TtlConfig,
    ) -> Result<(Arc<Family>, Arc<Expiry>)> {
        let expiry = Expiry::new(config);
        let family = self.database.family(info.id, content, Some(Arc::clone(&expiry)))?;
        Ok((family, expiry))
    }
}

impl Backend for RocksBackend {
    type Value<K: Key, N: Key, V: StateValue> = ValueState<K, N, V>;
    type TtlValue<K: Key, N: Key, V: StateValue> = TtlValueState<K, N, V>;
    type List<K: Key, N: Key, E: StateValue> = ListState<K, N, E>;
    type TtlList<K: Key, N: Key, E: StateValue> = TtlListState<K, N, E>;
    type Map<K: Key, N: Key, U: Key, V: StateValue> = MapState<K, N, U, V>;
    type TtlMap<K: Key, N: Key, U: Key, V: StateValue> = TtlMapState<K, N, U, V>;
    type Timers<K: Key, N: Key> = TimerState<K, N>;

    #[inline]
    fn states(&self) -> &KeyedStates {
        &self.states
    }

    #[inline]
    fn states_mut(&mut self) -> &mut KeyedStates {
        &mut self.states
    }

    fn make_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<ValueState<K, N, V>> {
        ValueState::new(self.place(info), self.family(info, Content::Values)?, codec)
    }

    fn make_ttl_value<K: Key, N: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<TtlValueState<K, N, V>> {
        let (family, expiry) = self.expiring(info, Content::Values, config)?;
        TtlValueState::new(self.place(info), family, codec, (config, expiry))
    }

    fn make_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
    ) -> Result<ListState<K, N, E>> {
        ListState::new(self.place(info), self.family(info, Content::Lists)?, codec)
    }

    fn make_ttl_list<K: Key, N: Key, E: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<E>,
        config: TtlConfig,
    ) -> Result<TtlListState<K, N, E>> {
        let (family, expiry) = self.expiring(info, Content::Lists, config)?;
        TtlListState::new(self.place(info), family, codec, (config, expiry))
    }

    fn make_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
    ) -> Result<MapState<K, N, U, V>> {
        MapState::new(self.place(info), self.family(info, Content::Values)?, codec)
    }

    fn make_ttl_map<K: Key, N: Key, U: Key, V: StateValue>(
        &mut self,
        info: &StateInfo,
        codec: DynCodec<V>,
        config: TtlConfig,
    ) -> Result<TtlMapState<K, N, U, V>> {
        let (family, expiry) = self.expiring(info, Content::Values, config)?;
        TtlMapState::new(self.place(info), family, codec, (config, expiry))
    }

    fn make_timers<K: Key, N: Key>(
        &mut self,
        info: &StateInfo,
        _domain: TimeDomain,
    ) -> Result<TimerState<K, N>> {
        TimerState::new(self.place(info), self.family(info, Content::Values)?)
    }

    fn capture(&mut self) -> Result<Vec<Arc<dyn StateCapture>>> {
        self.database.check()?;
        let captured = self.states.capture()?;
        self.publish_metrics();
        Ok(captured)
    }

    /// Sets aside what is in memory, of all states at one moment; a thread writes it to files and links
    /// all files, while calls go on. Waits for the thread of the capture before, where that is not done;
    /// and for its own, where calls had put more before than memory holds until that was done: such a
    /// capture fails with `Retry` once its files are asked for, as some would hold what is newer. After
    /// each further such failure twice as many captures wait.
    fn capture_native(&mut self) -> Result<Option<Arc<dyn NativeCapture>>> {
        self.states.check()?;
        let captured = native::capture(&mut self.states, &mut self.database)?;
        self.publish_metrics();
        Ok(Some(captured))
    }

    fn restore(
        &mut self,
        store: &Store,
        manifest: &Manifest,
        settings: &SnapshotSettings,
    ) -> impl Future<Output = Result<Restored>> + Send {
        native::restore(self, store, manifest, settings)
    }
}

/// What the folders of backends are called, with a number behind it.
const FOLDER: &str = "backend-";

/// Makes [`RocksBackend`]s, each in a new folder of its own.
#[derive(Debug)]
pub struct RocksBackends {
    base: PathBuf,
    options: RocksOptions,
    next: AtomicU64,
}

impl RocksBackends {
    /// Backends with folders in `base`, which several processes may share. Folders that nobody has
    /// open are what a crash left, and are removed.
    ///
    /// # Errors
    /// `Retry` if `base` cannot be used.
    pub fn new(base: impl Into<PathBuf>, options: RocksOptions) -> Result<Self> {
        let base = base.into();
        let at_base = |error| unusable(error, &base);
        fs::create_dir_all(&base).map_err(at_base)?;
        for entry in fs::read_dir(&base).map_err(at_base)? {
            let entry = entry.map_err(at_base)?;
            // One that is in use, or whose files cannot be removed, stays as it is.
            if entry.file_name().to_string_lossy().starts_with(FOLDER)
                && clear(&entry.path()).is_ok()
            {
                let _ = fs::remove_dir(entry.path());
            }
        }
        Ok(Self { base, options, next: AtomicU64::new(0) })
    }

    /// A folder that nobody else has.
    fn folder(&self) -> Result<PathBuf> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let dir = self.base.join(format!("{FOLDER}{number}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(dir),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unusable(error, &dir)),
            }
        }
    }
}

impl BackendFactory for RocksBackends {
    type Backend = RocksBackend;

    fn make(
        &self,
        uid: &str,
        range: KeyGroupRange,
        stored: Option<&Operator>,
    ) -> Result<RocksBackend> {
        loop {
            let dir = self.folder()?;
            let made = match stored {
                Some(stored) => RocksBackend::restoring(&dir, stored, range, &self.options),
                None => RocksBackend::new(&dir, uid, range, &self.options),
            };
            match made {
                // Another process took the empty folder for what a crash left, then for its own.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                made => return made,
            }
        }
    }
}
