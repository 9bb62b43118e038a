//! esker's side of the rows: a backend with one state, and keys as its database has them.

use crate::measure::in_turn;
use crate::report::{Question, Report};
use esker::backend::rocksdb::{Budget, RocksBackend, RocksOptions};
use esker::backend::{Backend, Descriptor, Handle, KeyedState};
use esker_format::composite::CompositeKey;
use esker_format::manifest::Operator;
use esker_format::{Key, KeyGroup, KeyGroupRange};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Memory of each side: what esker takes by default.
pub(super) const BUDGET_LEN_BYTES: usize = 512 << 20;
/// The operator's uid.
pub(super) const UID: &str = "op";
/// How long a folder does not change once compactions are done.
const QUIET: Duration = Duration::from_millis(2500);
/// Of a state's id in a composite key, which a column family leaves out.
pub(super) const ID_LEN_BYTES: usize = 4;

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A backend with one open state.
pub(crate) struct Side<S> {
    pub(crate) backend: RocksBackend,
    pub(crate) handle: Handle<S>,
    folder: TempDir,
}

impl<S: KeyedState> Side<S> {
    /// An empty one with a budget of its own.
    pub(super) fn new<D: Descriptor<RocksBackend, State = S>>(d: D) -> Result<Self, String> {
        Self::within(BUDGET_LEN_BYTES, d, None)
    }

    /// The same; to be restored, if it is given what is `stored`.
    pub(crate) fn within<D: Descriptor<RocksBackend, State = S>>(
        budget_len_bytes: usize,
        descriptor: D,
        stored: Option<&Operator>,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let options = RocksOptions::new(Budget::new(budget_len_bytes));
        let (dir, range) = (folder.path().join("db"), KeyGroupRange::ALL);
        let mut backend = match stored {
            Some(stored) => RocksBackend::restoring(&dir, stored, range, &options).map_err(text)?,
            None => RocksBackend::new(&dir, UID, range, &options).map_err(text)?,
        };
        let handle = backend.open(descriptor).map_err(text)?;
        Ok(Self { backend, handle, folder })
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    pub(crate) fn state(&mut self) -> Result<&mut S, String> {
        self.backend.state(self.handle).map_err(text)
    }

    /// Writes what is in memory to files.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        self.backend.capture_native().map(drop).map_err(text)
    }
}

/// Waits until no file of the database in `dir` comes, grows or goes: compactions are done.
pub(crate) fn settle(dir: &Path) {
    let files = || {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let len = |entry: &std::fs::DirEntry| entry.metadata().map_or(0, |metadata| metadata.len());
        let mut all: Vec<_> = entries.map(|entry| (entry.file_name(), len(&entry))).collect();
        all.sort_unstable();
        all
    };
    let mut before = files();
    loop {
        std::thread::sleep(QUIET);
        let now = files();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Bytes of many keys, in the order that they are asked for.
#[derive(Default)]
pub(super) struct Bytes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bytes {
    /// The keys of the column family, of `keys` in the empty namespace.
    pub(super) fn of(keys: &[u64]) -> Self {
        let (mut all, mut composite) = (Self::default(), Vec::new());
        for key in keys {
            let mut encoded = Vec::new();
            key.encode_into(&mut encoded);
            composite.clear();
            let group = KeyGroup::of(&encoded);
            CompositeKey::new(0, group, &encoded, &[], &[]).encode_into(&mut composite);
            all.push(&[], composite.get(ID_LEN_BYTES..).unwrap_or_default());
        }
        all
    }

    pub(super) fn push(&mut self, front: &[u8], rest: &[u8]) {
        self.bytes.extend_from_slice(front);
        self.bytes.extend_from_slice(rest);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let key = self.bytes.get(*start..*end);
            *start = *end;
            key
        })
    }
}

/// A row in operations per second; each side gives seconds, and not a number if it failed.
pub(super) fn speed<S>(
    report: &mut Report,
    (name, target, peer): (&str, f64, &str),
    (entries, ops, rounds): (usize, usize, usize),
    sides: &mut S,
    esker: impl FnMut(&mut S, usize) -> f64,
    by_hand: impl FnMut(&mut S, usize) -> f64,
) -> Result<(), String> {
    let (a, b) = in_turn(rounds, sides, esker, by_hand);
    if a.is_nan() || b.is_nan() {
        return Err(format!("{name}: a call failed, or the answers differ"));
    }
    let ops = ops as f64;
    report.versus(Question::speed(name, target, entries, rounds), ops / a, ops / b, peer);
    Ok(())
}
