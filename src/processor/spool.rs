//! Entries in any order, sorted in bounded memory: chunks become runs in a temporary folder, and runs
//! are merged once there are many.
//!
//! In these runs an entry is an append, and its value the list of what was kept of its key: so those of one
//! key come together whenever runs are read side by side.

use crate::format::list::{elements, put_encoded};
use crate::format::part::RunRef;
use crate::format::run::{
    BLOCK_LEN_BYTES_MAX, Entry, IndexLocation, KEY_LEN_BYTES_MAX, Op, RunOptions, RunWriter,
};
use crate::format::{KeyGroupRange, RelativeName};
use crate::snapshot::ChainReader;
use crate::{Error, ErrorKind, Result, Store, block_on};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Entries are kept up to this many bytes before they are sorted into a run.
const MEMORY_LEN_BYTES: usize = 48 << 20;
/// What an entry takes besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;
/// So many runs of one level are merged into one of the next.
const FAN_IN: usize = 16;
/// A run's bytes go to its file when there are so many.
const TAKE_LEN_BYTES: usize = 1 << 20;

/// What becomes of values that are put under one key of a [`Spool`].
pub trait Fold {
    /// Entries of one lane are sorted together, those of different ones apart.
    type Lane: Copy + Ord;

    /// Appends to `list`, by [`put_encoded`], what is kept of the values of a key: all that were put, or what was
    /// kept of them before. It is called for some of them, then for what is left of those and others, in
    /// no order that the caller knows; a key that was put once may never be seen.
    ///
    /// # Errors
    /// Its own: they end the sorting.
    fn fold(
        &self,
        lane: Self::Lane,
        key: &[u8],
        values: &mut dyn Iterator<Item = Result<&[u8]>>,
        list: &mut Vec<u8>,
    ) -> Result<()>;
}

/// Takes entries in any order, and gives them back sorted. Memory: 48 MiB of them; while it sorts, and for whoever
/// reads what is [open](Spooled::open), a few MiB for each of some dozens of runs. Runs of long entries are merged
/// sooner, a few at a time, so that the longest entries of those that are read side by side take about 48 MiB too, or are two:
/// each is held as it is stored, unpacked, and once more among what is folded. So with entries of tens of MiB it
/// comes to about six of them, whether they are of one key or not. The rest lies in a folder in the system's temporary
/// folder, of about their compressed size, and goes with it.
pub struct Spool<F: Fold> {
    fold: F,
    folder: Folder,
    held: Vec<Held<F::Lane>>,
    len_bytes: usize,
    len_bytes_max: usize,
    lanes: BTreeMap<F::Lane, Runs>,
    /// The first error that lost entries.
    failed: Option<String>,
}

/// Ordered as the derived order has it: by lane, key and value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held<L> {
    lane: L,
    key: Box<[u8]>,
    value: Box<[u8]>,
}

/// The runs of a lane, by how often they were merged.
#[derive(Debug, Default)]
struct Runs {
    levels: Vec<Vec<Sorted>>,
    raw_len_bytes: u64,
}

/// A run, and how long its longest entry is: whoever reads it holds that.
#[derive(Debug, Clone)]
struct Sorted {
    run: RunRef,
    longest_len_bytes: usize,
}

/// All entries of a [`Spool`], sorted. The files are gone when it is dropped.
pub struct Spooled<F: Fold> {
    fold: F,
    folder: Folder,
    lanes: BTreeMap<F::Lane, Runs>,
}

impl<F: Fold> Spool<F> {
    /// The longest entry, key and value together, in bytes.
    pub const ENTRY_LEN_BYTES_MAX: usize = BLOCK_LEN_BYTES_MAX - 64 - 8;

    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub fn new(fold: F) -> Result<Self> {
        Self::within(MEMORY_LEN_BYTES, fold)
    }

    /// One that keeps about `len_bytes_max` in memory.
    ///
    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub fn within(len_bytes_max: usize, fold: F) -> Result<Self> {
        let (held, lanes) = (Vec::new(), BTreeMap::new());
        let (folder, failed) = (Folder::new()?, None);
        Ok(Self { fold, folder, held, len_bytes: 0, len_bytes_max, lanes, failed })
    }

    /// Takes an entry of a composite key.
    ///
    /// # Errors
    /// Those of the temporary folder and of [`Fold::fold`]; `Invalid` if it is too long for a run, and nothing is
    /// taken. After any other error entries are lost: from then on it is `Retry`, and names the first.
    pub fn add(&mut self, lane: F::Lane, key: &[u8], value: &[u8]) -> Result<()> {
        self.check()?;
        check_len("a key with its namespace", key.len(), KEY_LEN_BYTES_MAX)?;
        check_len("key and value", key.len() + value.len(), Self::ENTRY_LEN_BYTES_MAX)?;
        self.len_bytes += key.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        self.held.push(Held { lane, key: key.into(), value: value.into() });
        if self.len_bytes < self.len_bytes_max { Ok(()) } else { self.flush() }
    }

    /// # Errors
    /// As for [`add`](Self::add).
    pub fn finish(mut self) -> Result<Spooled<F>> {
        self.check()?;
        self.flush()?;
        for (lane, runs) in &mut self.lanes {
            runs.settle(self.len_bytes_max, |runs| self.folder.merge(&self.fold, *lane, runs))?;
        }
        Ok(Spooled { fold: self.fold, folder: self.folder, lanes: self.lanes })
    }

    /// That no entries were lost: what is left of them would pass for all.
    fn check(&self) -> Result<()> {
        let Some(first) = &self.failed else { return Ok(()) };
        Err(failed(&format!(
            "entries were lost when they could not be sorted: begin anew ({first})"
        )))
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.sort();
        if let Err(error) = &flushed {
            self.failed = Some(error.to_string());
        }
        flushed
    }

    fn sort(&mut self) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        self.len_bytes = 0;
        held.sort_unstable();
        let mut list = Vec::new();
        for of_lane in held.chunk_by(|a, b| a.lane == b.lane) {
            let Some(Held { lane, .. }) = of_lane.first() else { continue };
            let mut file = self.folder.create()?;
            let mut raw_len_bytes = 0;
            for alike in of_lane.chunk_by(|a, b| a.key == b.key) {
                let [Held { key, value, .. }, others @ ..] = alike else { continue };
                list.clear();
                if others.is_empty() {
                    put_encoded(&mut list, value);
                } else {
                    let mut values = alike.iter().map(|held| Ok(&*held.value));
                    self.fold.fold(*lane, key, &mut values, &mut list)?;
                }
                raw_len_bytes += (key.len() + list.len()) as u64;
                file.add(key, &list)?;
            }
            let runs = self.lanes.entry(*lane).or_default();
            runs.raw_len_bytes += raw_len_bytes;
            let merge = |runs: &[Sorted]| self.folder.merge(&self.fold, *lane, runs);
            runs.push(file.finish()?, self.len_bytes_max, merge)?;
        }
        Ok(())
    }
}

impl Runs {
    fn push(
        &mut self,
        mut run: Sorted,
        len_bytes_max: usize,
        mut merge: impl FnMut(&[Sorted]) -> Result<Sorted>,
    ) -> Result<()> {
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(runs) = self.levels.get_mut(level) else { break };
            runs.push(run);
            if runs.len() < FAN_IN && are_few(runs, len_bytes_max) {
                break;
            }
            run = merge(&std::mem::take(runs))?;
        }
        Ok(())
    }

    /// Merges the shortest runs until all of them can be read side by side.
    fn settle(
        &mut self,
        len_bytes_max: usize,
        mut merge: impl FnMut(&[Sorted]) -> Result<Sorted>,
    ) -> Result<()> {
        let mut runs: Vec<Sorted> =
            std::mem::take(&mut self.levels).into_iter().flatten().collect();
        while runs.len() > 2 && !are_few(&runs, len_bytes_max) {
            runs.sort_by_key(|sorted| Reverse(sorted.run.len_bytes));
            let shortest = runs.split_off(runs.len() - 2);
            runs.push(merge(&shortest)?);
        }
        self.levels.push(runs);
        Ok(())
    }
}

/// Whether the longest entries of `runs` can be in memory together: one always can.
fn are_few(runs: &[Sorted], len_bytes_max: usize) -> bool {
    let longest = runs.iter().map(|sorted| sorted.longest_len_bytes);
    runs.len() < 2 || longest.fold(0, usize::saturating_add) <= len_bytes_max
}

impl<F: Fold> Spooled<F> {
    /// The entries of some lanes together, and about how many bytes they have. Each is an append, whose value is
    /// the list of what was kept of its key, of each run that holds some; so they are not folded to the end. They
    /// can be read for as long as `self` is there.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub fn open(&self, lanes: &[F::Lane]) -> Result<(ChainReader, u64)> {
        let found = || lanes.iter().filter_map(|lane| self.lanes.get(lane));
        let runs = found().flat_map(|runs| runs.levels.iter().flatten());
        let runs: Vec<RunRef> = runs.map(|sorted| sorted.run.clone()).collect();
        let raw_len_bytes = found().map(|runs| runs.raw_len_bytes).sum();
        Ok((block_on(ChainReader::open(&self.folder.store, &runs))?, raw_len_bytes))
    }

    /// The lanes that have entries, ascending.
    pub fn lanes(&self) -> impl Iterator<Item = F::Lane> {
        self.lanes.keys().copied()
    }

    /// What decides about values of one key.
    pub fn fold(&self) -> &F {
        &self.fold
    }
}

/// A temporary folder of runs.
struct Folder {
    dir: TempDir,
    store: Store,
    made: u64,
}

impl Folder {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().map_err(|error| of_folder(&std::env::temp_dir(), &error))?;
        let path = dir.path().to_str().ok_or_else(|| failed("the temporary folder is no text"))?;
        let store = Store::open(path)?;
        Ok(Self { dir, store, made: 0 })
    }

    fn create(&mut self) -> Result<RunFile> {
        self.made += 1;
        let name = format!("{}.run", self.made);
        let path = self.dir.path().join(&name);
        let file = File::create(&path).map_err(|error| of_folder(&path, &error))?;
        let options = RunOptions { filter_bits_per_key: 0, ..RunOptions::default() };
        let (name, writer) = (RelativeName::new(name)?, RunWriter::new(options));
        Ok(RunFile { name, path, file, writer, entries: 0, longest_len_bytes: 0 })
    }

    /// One run of what is in `runs` of a lane, which are removed.
    fn merge<F: Fold>(&mut self, fold: &F, lane: F::Lane, runs: &[Sorted]) -> Result<Sorted> {
        let mut file = self.create()?;
        let runs: Vec<RunRef> = runs.iter().map(|sorted| sorted.run.clone()).collect();
        let chain = block_on(ChainReader::open(&self.store, &runs))?;
        let mut list = Vec::new();
        chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
            list.clear();
            let mut values = elements(entry.value).map(|value| Ok(value?));
            fold.fold(lane, entry.key, &mut values, &mut list)?;
            file.add(entry.key, &list)
        })?;
        for run in runs {
            block_on(self.store.delete(&run.file))?;
        }
        file.finish()
    }
}

/// A run on its way to its file.
struct RunFile {
    name: RelativeName,
    path: PathBuf,
    file: File,
    writer: RunWriter,
    entries: u64,
    longest_len_bytes: usize,
}

impl RunFile {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writer.add(Entry { key, op: Op::Append, value })?;
        self.entries += 1;
        self.longest_len_bytes = self.longest_len_bytes.max(key.len() + value.len());
        if self.writer.pending_bytes() < TAKE_LEN_BYTES {
            return Ok(());
        }
        let bytes = self.writer.take_output();
        self.file.write_all(&bytes).map_err(|error| of_folder(&self.path, &error))
    }

    fn finish(mut self) -> Result<Sorted> {
        let (rest, summary) = self.writer.finish()?;
        self.file.write_all(&rest).map_err(|error| of_folder(&self.path, &error))?;
        let index = IndexLocation {
            offset: summary.index_offset,
            len_bytes: summary.index_len_bytes,
            digest: summary.index_digest,
        };
        let run = RunRef {
            file: self.name,
            len_bytes: summary.len_bytes,
            digest: summary.digest,
            index,
            range: KeyGroupRange::ALL,
            base: Vec::new(),
            entries: self.entries,
        };
        Ok(Sorted { run, longest_len_bytes: self.longest_len_bytes })
    }
}

fn check_len(what: &str, len_bytes: usize, max: usize) -> Result<()> {
    if len_bytes <= max {
        return Ok(());
    }
    let message = format!("{what} of {len_bytes} bytes, the limit is {max}");
    Err(Error::new(ErrorKind::Invalid, message))
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Retry, message)
}

fn of_folder(path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot write what is sorted ({error}); TMPDIR names another folder");
    failed(&message).at_path(path.display().to_string())
}

#[cfg(test)]
mod tests;
