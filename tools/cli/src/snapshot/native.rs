//! Parts that hold a database of a backend's own in place of runs.

use esker::format::KeyGroupRange;
use esker::format::manifest::StateInfo;
use esker::format::part::{Native, Part, RunRef};
use esker::format::run::Entry;
use esker::snapshot::{ChainReader, Damage};
use esker::{Error, ErrorKind, Store, block_on};

/// Where the keyed entries of a part are read from.
pub(crate) enum Entries {
    Runs(ChainReader),
    #[cfg(feature = "rocksdb")]
    Database(database::Database),
}

impl Entries {
    /// Opens what `part` holds of the keyed `states`, its range being `range`: `runs` of it, or its
    /// database, which is fetched into a temporary folder. What is damaged is passed over.
    ///
    /// # Errors
    /// `Unsupported` for a database that this build does not read; the store's that are no damage.
    pub(crate) fn open<'a>(
        store: &Store,
        (part, range): (&Part, KeyGroupRange),
        runs: &[RunRef],
        states: impl IntoIterator<Item = &'a StateInfo>,
    ) -> Result<Self, Error> {
        match &part.native {
            None => Self::of_runs(store, runs, states),
            #[cfg(feature = "rocksdb")]
            Some(native) => {
                database::Database::open(store, native, range, states).map(Self::Database)
            }
            #[cfg(not(feature = "rocksdb"))]
            Some(native) => {
                let _ = range;
                Err(unreadable(native))
            }
        }
    }

    /// Opens what `run`, that of operator state, holds of `states`. What is damaged is passed over.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(crate) fn of_run<'a>(
        store: &Store,
        run: &RunRef,
        states: impl IntoIterator<Item = &'a StateInfo>,
    ) -> Result<Self, Error> {
        Self::of_runs(store, std::slice::from_ref(run), states)
    }

    fn of_runs<'a>(
        store: &Store,
        runs: &[RunRef],
        states: impl IntoIterator<Item = &'a StateInfo>,
    ) -> Result<Self, Error> {
        let chain = block_on(ChainReader::open_salvaging(store, runs))?;
        Ok(Self::Runs(chain.of_states(states.into_iter().map(|info| info.id))))
    }

    /// The entries in run order, as [`ChainReader::merge`].
    ///
    /// # Errors
    /// Those of the reader and of `f`.
    pub(crate) fn merge(
        &self,
        range: KeyGroupRange,
        state: Option<u32>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Runs(chain) => chain.merge(range, state, f),
            #[cfg(feature = "rocksdb")]
            Self::Database(database) => database.reader.merge(range, state, f),
        }
    }

    /// The entries under one key, as [`ChainReader::get`].
    ///
    /// # Errors
    /// Those of the reader and of `f`.
    pub(crate) fn get(
        &self,
        prefix: &[u8],
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Runs(chain) => chain.get(prefix, f),
            #[cfg(feature = "rocksdb")]
            Self::Database(database) => database.reader.get(prefix, f),
        }
    }

    /// What was passed over so far. Of a database, one damaged file takes all of its state, or all
    /// there is.
    pub(crate) fn damage(&mut self) -> Vec<Damage> {
        match self {
            Self::Runs(chain) => chain.damage(),
            #[cfg(feature = "rocksdb")]
            Self::Database(database) => database.reader.take_damage(),
        }
    }
}

/// Why entries of a database cannot be shown.
pub(crate) fn unreadable(native: &Native) -> Error {
    let Native { engine, files, .. } = native;
    let files = files.len();
    let message = if engine == "rocksdb" {
        format!(
            "the keyed state is a database of rocksdb, whose {files} files can be checked, but whose \
             entries need an esker that is built with the feature rocksdb, which this one is not: \
             `cargo xtask rocksdb`, then `cargo build --release --features rocksdb`"
        )
    } else {
        format!(
            "the keyed state is a database of {engine:?}, whose {files} files can be checked, and \
             whose entries this esker cannot read: restore it with that backend, and take a savepoint"
        )
    };
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(feature = "rocksdb")]
mod database {
    use super::unreadable;
    use esker::backend::rocksdb::NativeReader;
    use esker::format::KeyGroupRange;
    use esker::format::manifest::StateInfo;
    use esker::format::part::Native;
    use esker::snapshot::SnapshotSettings;
    use esker::{Error, ErrorKind, Store, block_on};
    use tempfile::TempDir;

    /// A database, and the folder it lies in; that is closed first.
    pub(crate) struct Database {
        pub(super) reader: NativeReader,
        _folder: TempDir,
    }

    impl Database {
        pub(super) fn open<'a>(
            store: &Store,
            native: &Native,
            range: KeyGroupRange,
            states: impl IntoIterator<Item = &'a StateInfo>,
        ) -> Result<Self, Error> {
            let no_room = |error: std::io::Error| {
                let message = format!("no temporary folder for the database: {error}");
                Error::new(ErrorKind::Retry, message)
            };
            let folder = tempfile::tempdir().map_err(no_room)?;
            let dir = folder.path().join("database");
            std::fs::create_dir(&dir).map_err(no_room)?;
            let settings = SnapshotSettings::default();
            let opened =
                block_on(NativeReader::open(store, native, states, range, &dir, &settings));
            let reader = opened.map_err(|error| match error.kind() {
                ErrorKind::Unsupported => unreadable(native),
                _ => error,
            })?;
            Ok(Self { reader, _folder: folder })
        }
    }
}
