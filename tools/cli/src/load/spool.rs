//! Entries in any order, sorted in bounded memory: chunks become runs in a temporary folder, and runs
//! are merged once there are many.
//!
//! In these runs an entry is an append, and its value a list of what was put under its key, each with the
//! line that it came from: so merging loses nothing, and what was put twice is seen at the end.

use esker::format::list::{elements, put_element};
use esker::format::part::RunRef;
use esker::format::run::{Entry, IndexLocation, Op, RunOptions, RunWriter};
use esker::format::{KeyGroupRange, RelativeName};
use esker::snapshot::ChainReader;
use esker::{Error, ErrorKind, Result, Store, block_on};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tempfile::TempDir;

/// Entries are kept up to this many bytes before they are sorted into a run.
const MEMORY_LEN_BYTES: usize = 48 << 20;
/// What an entry takes besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;
/// So many runs of one level are merged into one of the next.
const FAN_IN: usize = 16;
/// A run's bytes go to its file when there are so many.
const TAKE_LEN_BYTES: usize = 1 << 20;
/// The number of a line, before a value.
const LINE_LEN_BYTES: usize = 8;

/// Entries that are sorted together, by the operator's position in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Keyed state.
    Keyed(usize),
    /// Broadcast state, which every subtask has.
    Broadcast(usize),
    /// Operator state of one subtask.
    Elements(usize, u32),
}

struct Held {
    lane: Lane,
    key: Box<[u8]>,
    line: u64,
    value: Box<[u8]>,
}

/// The runs of a lane, by how often they were merged.
#[derive(Debug, Default)]
struct Runs {
    levels: Vec<Vec<RunRef>>,
    raw_len_bytes: u64,
}

/// Takes entries in any order.
pub(crate) struct Spool {
    folder: Folder,
    held: Vec<Held>,
    len_bytes: usize,
    len_bytes_max: usize,
    lanes: BTreeMap<Lane, Runs>,
}

/// Told of what was put several times: composite key and lines.
pub(crate) type Twice<'a> = dyn FnMut(Lane, &[u8], Vec<u64>) -> Result<()> + 'a;

/// All entries, sorted. The files are gone when it is dropped.
pub(crate) struct Sorted {
    folder: Folder,
    lanes: BTreeMap<Lane, Runs>,
}

impl Spool {
    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub(crate) fn new() -> Result<Self> {
        Self::within(MEMORY_LEN_BYTES)
    }

    /// One that keeps about `len_bytes_max` in memory.
    fn within(len_bytes_max: usize) -> Result<Self> {
        let (held, lanes) = (Vec::new(), BTreeMap::new());
        Ok(Self { folder: Folder::new()?, held, len_bytes: 0, len_bytes_max, lanes })
    }

    /// Takes an entry of a composite key, which came from line number `line`.
    ///
    /// # Errors
    /// Those of the temporary folder; `Invalid` if it is too long for a run.
    pub(crate) fn add(&mut self, lane: Lane, line: u64, key: &[u8], value: &[u8]) -> Result<()> {
        self.len_bytes += key.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        self.held.push(Held { lane, key: key.into(), line, value: value.into() });
        if self.len_bytes < self.len_bytes_max { Ok(()) } else { self.flush() }
    }

    /// # Errors
    /// As for [`add`](Self::add).
    pub(crate) fn finish(mut self) -> Result<Sorted> {
        self.flush()?;
        Ok(Sorted { folder: self.folder, lanes: self.lanes })
    }

    fn flush(&mut self) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        self.len_bytes = 0;
        held.sort_unstable_by(|a, b| (a.lane, &a.key, a.line).cmp(&(b.lane, &b.key, b.line)));
        let mut list = Vec::new();
        for of_lane in held.chunk_by(|a, b| a.lane == b.lane) {
            let Some(Held { lane, .. }) = of_lane.first() else { continue };
            let mut file = self.folder.create()?;
            let mut raw_len_bytes = 0;
            for alike in of_lane.chunk_by(|a, b| a.key == b.key) {
                let Some(Held { key, .. }) = alike.first() else { continue };
                list.clear();
                for Held { line, value, .. } in alike {
                    put_element(&mut list, |out| {
                        out.extend_from_slice(&line.to_be_bytes());
                        out.extend_from_slice(value);
                        Ok(())
                    })?;
                }
                raw_len_bytes += (key.len() + list.len()) as u64;
                file.add(key, &list)?;
            }
            let runs = self.lanes.entry(*lane).or_default();
            runs.raw_len_bytes += raw_len_bytes;
            runs.push(&mut self.folder, file.finish()?)?;
        }
        Ok(())
    }
}

impl Runs {
    fn push(&mut self, folder: &mut Folder, mut run: RunRef) -> Result<()> {
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(runs) = self.levels.get_mut(level) else { break };
            runs.push(run);
            if runs.len() < FAN_IN {
                break;
            }
            run = folder.merge(std::mem::take(runs))?;
        }
        Ok(())
    }
}

impl Sorted {
    /// The entries of some lanes together, and about how many bytes they have.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(crate) fn open(&self, lanes: &[Lane]) -> Result<(ChainReader, u64)> {
        let found = || lanes.iter().filter_map(|lane| self.lanes.get(lane));
        let runs: Vec<RunRef> = found().flat_map(|r| r.levels.iter().flatten()).cloned().collect();
        let raw_len_bytes = found().map(|runs| runs.raw_len_bytes).sum();
        Ok((block_on(ChainReader::open(&self.folder.store, &runs))?, raw_len_bytes))
    }

    /// Calls `each` with the composite key and the lines, ascending, of what was put several times; of
    /// broadcast state only if it differs. Reads everything once.
    ///
    /// # Errors
    /// Those of the temporary folder, and of `each`.
    pub(crate) fn duplicates(&self, each: &mut Twice<'_>) -> Result<()> {
        for lane in self.lanes.keys() {
            let (chain, _) = self.open(&[*lane])?;
            chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
                let mut all = elements(entry.value);
                let (line, first) = numbered(all.next())?;
                let mut lines = Vec::new();
                let mut differs = !matches!(lane, Lane::Broadcast(_));
                for other in all {
                    let (line, value) = numbered(Some(other))?;
                    lines.push(line);
                    differs |= value != first;
                }
                if lines.is_empty() {
                    return Ok(());
                }
                lines.push(line);
                lines.sort_unstable();
                if differs { each(*lane, entry.key, lines) } else { Ok(()) }
            })?;
        }
        Ok(())
    }
}

/// An element of what was put under a key: its line and value.
fn numbered(element: Option<esker::format::Result<&[u8]>>) -> Result<(u64, &[u8])> {
    let damaged = || failed("a run of the temporary folder is damaged");
    let element = element.ok_or_else(damaged)??;
    let (line, value) = element.split_first_chunk::<LINE_LEN_BYTES>().ok_or_else(damaged)?;
    Ok((u64::from_be_bytes(*line), value))
}

/// The value that was put, of a spooled one; the first, where it was put several times.
///
/// # Errors
/// `Retry` if it is no spooled value.
pub(super) fn value_of(spooled: &[u8]) -> Result<&[u8]> {
    numbered(elements(spooled).next()).map(|(_, value)| value)
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Retry, message)
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
        Ok(RunFile { name, path, file, writer, entries: 0 })
    }

    /// One run of what is in `runs`, which are removed.
    fn merge(&mut self, runs: Vec<RunRef>) -> Result<RunRef> {
        let mut file = self.create()?;
        let chain = block_on(ChainReader::open(&self.store, &runs))?;
        chain.merge(KeyGroupRange::ALL, None, &mut |entry| file.add(entry.key, entry.value))?;
        for run in &runs {
            block_on(self.store.delete(&run.file))?;
        }
        file.finish()
    }
}

/// A run on its way to its file.
struct RunFile {
    name: RelativeName,
    path: std::path::PathBuf,
    file: File,
    writer: RunWriter,
    entries: u64,
}

impl RunFile {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writer.add(Entry { key, op: Op::Append, value })?;
        self.entries += 1;
        if self.writer.pending_bytes() < TAKE_LEN_BYTES {
            return Ok(());
        }
        let bytes = self.writer.take_output();
        self.file.write_all(&bytes).map_err(|error| of_folder(&self.path, &error))
    }

    fn finish(mut self) -> Result<RunRef> {
        let (rest, summary) = self.writer.finish()?;
        self.file.write_all(&rest).map_err(|error| of_folder(&self.path, &error))?;
        let index = IndexLocation {
            offset: summary.index_offset,
            len_bytes: summary.index_len_bytes,
            digest: summary.index_digest,
        };
        Ok(RunRef {
            file: self.name,
            len_bytes: summary.len_bytes,
            digest: summary.digest,
            index,
            range: KeyGroupRange::ALL,
            base: Vec::new(),
            entries: self.entries,
        })
    }
}

fn of_folder(path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot write what is sorted ({error}); TMPDIR names another folder");
    Error::new(ErrorKind::Retry, message).at_path(path.display().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use esker::format::KeyGroup;
    use esker::format::composite::CompositeKey;

    fn key(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let group = KeyGroup((number * 7919) as u16);
        CompositeKey::new(1, group, &number.to_be_bytes(), b"", b"").encode_into(&mut out);
        out
    }

    #[test]
    fn entries_come_back_in_order_and_what_was_put_twice_with_its_lines_whatever_the_memory() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut numbers: Vec<u64> = (0..3000).collect();
        random.shuffle(&mut numbers);
        // All in memory; a few runs; so many that runs are merged, twice over.
        for len_bytes_max in [1 << 20, 40_000, 900] {
            let mut spool = Spool::within(len_bytes_max).unwrap();
            for (line, number) in (1..).zip(&numbers) {
                let lane = Lane::Elements(0, (number % 2) as u32);
                spool.add(lane, line, &key(*number), &number.to_be_bytes()[6..]).unwrap();
            }
            let (first, second) = (numbers[5], numbers[2500]);
            spool.add(Lane::Elements(0, (first % 2) as u32), 9001, &key(first), b"x").unwrap();
            spool.add(Lane::Broadcast(3), 9002, &key(second), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9003, &key(second), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9004, &key(7), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9005, &key(7), b"other").unwrap();
            let sorted = spool.finish().unwrap();
            let most = sorted.lanes.values().flat_map(|r| &r.levels).map(Vec::len).max();
            assert!(most.unwrap() < FAN_IN);
            let files = std::fs::read_dir(sorted.folder.dir.path()).unwrap().count();
            let named = sorted.lanes.values().flat_map(|r| r.levels.iter().flatten()).count();
            assert_eq!(files, named, "what was merged is gone");
            assert_eq!(sorted.lanes[&Lane::Elements(0, 0)].levels.len() > 2, len_bytes_max == 900);

            for subtask in 0..2_u64 {
                let (chain, _) = sorted.open(&[Lane::Elements(0, subtask as u32)]).unwrap();
                let mut expected: Vec<_> = (0..3000).filter(|n| n % 2 == subtask).collect();
                expected.sort_by_key(|number| key(*number));
                let mut found = Vec::new();
                let each = &mut |entry: Entry<'_>| {
                    let parts = CompositeKey::decode(entry.key)?;
                    let number = u64::from_be_bytes(parts.key[..].try_into().unwrap());
                    let value = value_of(entry.value)?;
                    assert!(value == &number.to_be_bytes()[6..] || number == first);
                    found.push(number);
                    Ok(())
                };
                chain.merge(KeyGroupRange::ALL, None, each).unwrap();
                assert!(found == expected, "{len_bytes_max}");
            }
            let mut twice = Vec::new();
            let each = &mut |lane, key: &[u8], lines| {
                twice.push((lane, key.to_vec(), lines));
                Ok(())
            };
            sorted.duplicates(each).unwrap();
            let lane = Lane::Elements(0, (first % 2) as u32);
            let expected =
                [(Lane::Broadcast(3), key(7), vec![9004, 9005]), (lane, key(first), vec![6, 9001])];
            assert_eq!(twice, expected);
        }
    }
}
