//! Entries in any order, sorted in bounded memory: chunks become runs in a temporary folder, and runs
//! are merged once there are many.
//!
//! In these runs an entry is an append, and its value a list of what was put under its key, each with the
//! line that it came from: so what was put twice is seen at the end. A list holds one value at most, so that
//! it does not grow with the lines of its key: of what was put twice the lines alone are kept.

use esker::format::list::{elements, put_element};
use esker::format::part::RunRef;
use esker::format::run::{
    BLOCK_LEN_BYTES_MAX, Entry, IndexLocation, KEY_LEN_BYTES_MAX, Op, RunOptions, RunWriter,
};
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
/// Keys and values have so many bytes together at most: a run's entry, less what the spool and the run
/// themselves put beside them.
const ENTRY_LEN_BYTES_MAX: usize = BLOCK_LEN_BYTES_MAX - 64 - 24;
/// Of what was put several times so many lines are kept.
const LINES_MAX: usize = 10;
/// The first byte of an element: behind the line there is a value.
const WITH_VALUE: u8 = 0;
/// The first byte of an element: the line is one of several that do not go together.
const LINE_ALONE: u8 = 1;

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

/// Told of what was put several times: composite key and lines, the first ten of them.
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
    /// Those of the temporary folder; `Invalid` if it is too long for a run, and nothing is taken.
    pub(crate) fn add(&mut self, lane: Lane, line: u64, key: &[u8], value: &[u8]) -> Result<()> {
        let too_long = |what: &str, len: usize, max: usize| {
            let message = format!("{what} of {len} bytes, the limit is {max}");
            Err(Error::new(ErrorKind::Invalid, message))
        };
        if key.len() > KEY_LEN_BYTES_MAX {
            return too_long("a key with its namespace", key.len(), KEY_LEN_BYTES_MAX);
        }
        if key.len() + value.len() > ENTRY_LEN_BYTES_MAX {
            let len_bytes = key.len() + value.len();
            return too_long("key and value", len_bytes, ENTRY_LEN_BYTES_MAX);
        }
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
                let said = alike.iter().map(|held| Ok((held.line, Some(&*held.value))));
                Under::of(*lane, said)?.put(&mut list)?;
                raw_len_bytes += (key.len() + list.len()) as u64;
                file.add(key, &list)?;
            }
            let runs = self.lanes.entry(*lane).or_default();
            runs.raw_len_bytes += raw_len_bytes;
            runs.push(*lane, &mut self.folder, file.finish()?)?;
        }
        Ok(())
    }
}

impl Runs {
    fn push(&mut self, lane: Lane, folder: &mut Folder, mut run: RunRef) -> Result<()> {
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(runs) = self.levels.get_mut(level) else { break };
            runs.push(run);
            if runs.len() < FAN_IN {
                break;
            }
            run = folder.merge(lane, std::mem::take(runs))?;
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

    /// Calls `each` with the composite key and the lines, ascending and ten at most, of what was put
    /// several times; of broadcast state only if it differs. Reads everything once.
    ///
    /// # Errors
    /// Those of the temporary folder, and of `each`.
    pub(crate) fn duplicates(&self, each: &mut Twice<'_>) -> Result<()> {
        for lane in self.lanes.keys() {
            let (chain, _) = self.open(&[*lane])?;
            chain.merge(KeyGroupRange::ALL, None, &mut |entry| match Under::of(
                *lane,
                elements(entry.value).map(numbered),
            )? {
                Under::One(..) => Ok(()),
                Under::Lines(lines) => each(*lane, entry.key, lines),
            })?;
        }
        Ok(())
    }
}

/// What was put under a key.
enum Under<'v> {
    /// A value and a line that it came from.
    One(u64, &'v [u8]),
    /// Lines that do not go together.
    Lines(Vec<u64>),
}

impl<'v> Under<'v> {
    /// What comes of lines, each with its value unless it is known not to go with others: of broadcast
    /// state all may say the same.
    fn of(lane: Lane, said: impl Iterator<Item = Result<(u64, Option<&'v [u8]>)>>) -> Result<Self> {
        let may_repeat = matches!(lane, Lane::Broadcast(_));
        let (mut lines, mut first) = (Vec::new(), None);
        for one in said {
            let (line, value) = one?;
            match first {
                Some(known) if may_repeat && value == Some(known) => continue,
                None if lines.is_empty() => first = value,
                _ => {}
            }
            lines.push(line);
        }
        match (first, lines.as_slice()) {
            (_, []) => Err(damaged()),
            (Some(value), [line]) => Ok(Self::One(*line, value)),
            _ => {
                lines.sort_unstable();
                lines.truncate(LINES_MAX);
                Ok(Self::Lines(lines))
            }
        }
    }

    fn put(&self, list: &mut Vec<u8>) -> Result<()> {
        let mut put = |tag: u8, line: u64, value: &[u8]| {
            put_element(list, |out| {
                out.push(tag);
                out.extend_from_slice(&line.to_be_bytes());
                out.extend_from_slice(value);
                Ok(())
            })
        };
        match self {
            Self::One(line, value) => put(WITH_VALUE, *line, value)?,
            Self::Lines(lines) => lines.iter().try_for_each(|line| put(LINE_ALONE, *line, b""))?,
        }
        Ok(())
    }
}

/// An element of what was put under a key: its line, and its value if it has one.
fn numbered(element: esker::format::Result<&[u8]>) -> Result<(u64, Option<&[u8]>)> {
    let (tag, rest) = element?.split_first().ok_or_else(damaged)?;
    let (line, value) = rest.split_first_chunk::<LINE_LEN_BYTES>().ok_or_else(damaged)?;
    Ok((u64::from_be_bytes(*line), (*tag == WITH_VALUE).then_some(value)))
}

/// The value that was put, of a spooled one that [`Sorted::duplicates`] does not tell of.
///
/// # Errors
/// `Retry` if it is no such value.
pub(super) fn value_of(spooled: &[u8]) -> Result<&[u8]> {
    let (_, value) = numbered(elements(spooled).next().ok_or_else(damaged)?)?;
    value.ok_or_else(damaged)
}

fn damaged() -> Error {
    failed("a run of the temporary folder is damaged")
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

    /// One run of what is in `runs` of a lane, which are removed.
    fn merge(&mut self, lane: Lane, runs: Vec<RunRef>) -> Result<RunRef> {
        let mut file = self.create()?;
        let chain = block_on(ChainReader::open(&self.store, &runs))?;
        let mut list = Vec::new();
        chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
            list.clear();
            Under::of(lane, elements(entry.value).map(numbered))?.put(&mut list)?;
            file.add(entry.key, &list)
        })?;
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
                    // What was put twice may have no value any more.
                    assert!(
                        number == first || value_of(entry.value)? == &number.to_be_bytes()[6..]
                    );
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

    #[test]
    fn what_is_too_long_is_refused_at_its_own_line_and_what_is_not_goes_into_a_run() {
        let mut spool = Spool::within(1 << 30).unwrap();
        let lane = Lane::Keyed(0);
        let long = CompositeKey::new(1, KeyGroup(1), &[7; KEY_LEN_BYTES_MAX], b"", b"");
        let mut key_too_long = Vec::new();
        long.encode_into(&mut key_too_long);
        let error = spool.add(lane, 1, &key_too_long, b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("the limit is 1048576"), "{error}");
        let key = key(1);
        let longest = vec![0; ENTRY_LEN_BYTES_MAX - key.len() + 1];
        let error = spool.add(lane, 2, &key, &longest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        // Neither is there, and one that is a byte shorter fits with its line.
        spool.add(lane, 3, &key, &longest[1..]).unwrap();
        let sorted = spool.finish().unwrap();
        let raw_len_bytes = sorted.open(&[lane]).unwrap().1;
        assert_eq!(raw_len_bytes, (ENTRY_LEN_BYTES_MAX + 13) as u64);
    }

    #[test]
    fn what_is_said_again_takes_no_room() {
        let value = vec![7; 2000];
        for len_bytes_max in [1 << 20, 10_000] {
            let mut spool = Spool::within(len_bytes_max).unwrap();
            for line in 1..=400 {
                spool.add(Lane::Broadcast(0), line, &key(1), &value).unwrap();
                spool.add(Lane::Keyed(0), line + 1000, &key(2), &value).unwrap();
            }
            let sorted = spool.finish().unwrap();
            let (mut lens, mut twice) = (Vec::new(), Vec::new());
            for runs in sorted.lanes.values() {
                for run in runs.levels.iter().flatten() {
                    let chain = block_on(ChainReader::open(
                        &sorted.folder.store,
                        std::slice::from_ref(run),
                    ));
                    let each = &mut |entry: Entry<'_>| {
                        lens.push(entry.value.len());
                        Ok(())
                    };
                    chain.unwrap().merge(KeyGroupRange::ALL, None, each).unwrap();
                }
            }
            assert!(lens.iter().all(|len| *len <= value.len() + 11), "{lens:?}");
            let each = &mut |lane, _: &[u8], lines| {
                twice.push((lane, lines));
                Ok(())
            };
            sorted.duplicates(each).unwrap();
            assert_eq!(twice, [(Lane::Keyed(0), (1001..=1010).collect::<Vec<u64>>())]);
            let (chain, _) = sorted.open(&[Lane::Broadcast(0)]).unwrap();
            let each = &mut |entry: Entry<'_>| {
                assert!(value_of(entry.value)? == value);
                Ok(())
            };
            chain.merge(KeyGroupRange::ALL, None, each).unwrap();
        }
    }
}
