//! What a snapshot holds, told by brute force, and what damage can have taken of it.

use esker::format::composite::CompositeKey;
use esker::format::manifest::Manifest;
use esker::format::part::{Part, RunRef};
use esker::format::run::{BlockCursor, Op, RunReader};
use esker::format::{Digest, KeyGroup, KeyGroupRange, RelativeName};
use esker::snapshot::{ChainReader, read_part};
use esker::{Store, block_on};
use std::collections::BTreeMap;

/// The files of a snapshot.
pub(super) type Files = BTreeMap<RelativeName, Vec<u8>>;

/// Where an entry is: the subtask, whether it is keyed, the composite key.
pub(super) type Place = (usize, bool, Vec<u8>);

/// What is live: values by place.
pub(super) type Truth = BTreeMap<Place, Vec<u8>>;

pub(super) struct Oracle {
    pub(super) manifest: Manifest,
    pub(super) truth: Truth,
    /// By place, which runs of the chain hold an entry of it, and which.
    entries: BTreeMap<Place, Vec<(usize, Op)>>,
    parts: Vec<(RelativeName, Part)>,
}

/// The run and, of it, the blocks that are damaged; none for the index.
struct Harmed<'a> {
    rank: usize,
    run: &'a RunRef,
    reader: Option<RunReader>,
    blocks: Vec<std::ops::Range<usize>>,
}

pub(super) fn truth_of(store: &Store, manifest: &Manifest) -> Truth {
    let mut truth = Truth::new();
    let operator = &manifest.operators[0];
    for (subtask, part) in operator.parts.iter().enumerate() {
        let part = block_on(read_part(store, part)).unwrap();
        let mut add = |runs: &[RunRef], range, keyed| {
            let chain = block_on(ChainReader::open(store, runs)).unwrap();
            let each = &mut |entry: esker::format::run::Entry<'_>| {
                truth.insert((subtask, keyed, entry.key.to_vec()), entry.value.to_vec());
                Ok(())
            };
            chain.merge(range, None, each).unwrap();
        };
        add(&part.runs, operator.range(subtask).unwrap(), true);
        add(part.operator_run.as_slice(), KeyGroupRange::ALL, false);
    }
    truth
}

/// Whether the run number `rank` counts for `group`.
fn counts(runs: &[RunRef], rank: usize, group: KeyGroup) -> bool {
    let is_base = |run: &RunRef| run.base.iter().any(|base| base.contains(group));
    runs[rank].range.contains(group) && !runs[rank + 1..].iter().any(is_base)
}

fn slice(bytes: &[u8], offset: u64, len_bytes: u64) -> &[u8] {
    let (start, len) = (offset as usize, len_bytes as usize);
    bytes.get(start..start + len).unwrap_or_default()
}

fn open(run: &RunRef, bytes: Option<&Vec<u8>>) -> Option<RunReader> {
    let index = slice(bytes?, run.index.offset, run.index.len_bytes);
    RunReader::open(run.index, index).ok()
}

/// The bytes before the user key.
fn prefix(key: &[u8]) -> &[u8] {
    let parts = CompositeKey::decode(key).unwrap();
    &key[..key.len() - parts.user_key.len()]
}

fn group(key: &[u8]) -> KeyGroup {
    CompositeKey::decode(key).unwrap().group
}

impl Oracle {
    pub(super) fn new(store: &Store, manifest: &Manifest, files: &Files) -> Self {
        let truth = truth_of(store, manifest);
        let (mut entries, mut parts) = (BTreeMap::<Place, Vec<(usize, Op)>>::new(), Vec::new());
        for (subtask, part_ref) in manifest.operators[0].parts.iter().enumerate() {
            let part = block_on(read_part(store, part_ref)).unwrap();
            for (keyed, runs) in [(true, &part.runs[..]), (false, part.operator_run.as_slice())] {
                for (rank, run) in runs.iter().enumerate() {
                    let bytes = &files[&run.file];
                    let reader = open(run, Some(bytes)).unwrap();
                    for (number, handle) in reader.index().blocks.iter().enumerate() {
                        let stored = slice(bytes, handle.offset, handle.len_bytes);
                        let mut cursor = BlockCursor::new(reader.block(number, stored).unwrap());
                        while cursor.advance().unwrap() {
                            let entry = cursor.entry();
                            if counts(runs, rank, group(entry.key)) {
                                let place = (subtask, keyed, entry.key.to_vec());
                                entries.entry(place).or_default().push((rank, entry.op));
                            }
                        }
                    }
                }
            }
            parts.push((part_ref.name().unwrap(), part));
        }
        Self { manifest: manifest.clone(), truth, entries, parts }
    }

    /// The files of the last snapshot of a job.
    pub(super) fn names(&self) -> Vec<RelativeName> {
        let parts = self.parts.iter().flat_map(|(name, part)| {
            part.files().map(|found| found.file.clone()).chain([name.clone()])
        });
        let names: std::collections::BTreeSet<_> = parts.collect();
        names.into_iter().collect()
    }

    /// The places whose value is known for certain, whatever was in what is damaged in `files`.
    pub(super) fn certain(&self, files: &Files) -> Vec<&Place> {
        let mut certain = Vec::new();
        for (subtask, (name, part)) in self.parts.iter().enumerate() {
            let digest = self.manifest.operators[0].parts[subtask].digest;
            if files.get(name).is_none_or(|bytes| Digest::of(bytes) != digest) {
                continue;
            }
            for (keyed, runs) in [(true, &part.runs[..]), (false, part.operator_run.as_slice())] {
                let harmed = harmed(runs, files);
                let here = self.truth.keys().filter(|place| (place.0, place.1) == (subtask, keyed));
                certain.extend(here.filter(|place| self.is_certain(place, runs, &harmed)));
            }
        }
        certain
    }

    fn is_certain(&self, place: &Place, runs: &[RunRef], harmed: &[Harmed<'_>]) -> bool {
        let (subtask, keyed, key) = place;
        let decides = |place: &Place, ops: &[Op]| {
            let entries = self.entries.get(place).into_iter().flatten();
            entries.filter(|(_, op)| ops.contains(op)).map(|(rank, _)| *rank).max()
        };
        let cleared = (*subtask, *keyed, prefix(key).to_vec());
        let decided = decides(place, &[Op::Put, Op::Delete]).max(decides(&cleared, &[Op::Clear]));
        !harmed.iter().any(|harm| {
            decided.is_none_or(|decided| harm.rank >= decided)
                && counts(runs, harm.rank, group(key))
                && harm.covers(key)
        })
    }
}

fn harmed<'a>(runs: &'a [RunRef], files: &Files) -> Vec<Harmed<'a>> {
    let mut all = Vec::new();
    for (rank, run) in runs.iter().enumerate() {
        let bytes = files.get(&run.file);
        let reader = open(run, bytes);
        let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
        for (number, handle) in
            reader.iter().flat_map(|reader| reader.index().blocks.iter().enumerate())
        {
            let stored = slice(bytes.unwrap(), handle.offset, handle.len_bytes);
            if Digest::of(stored) == handle.digest {
                continue;
            }
            match blocks.last_mut() {
                Some(last) if last.end == number => last.end += 1,
                _ => blocks.push(number..number + 1),
            }
        }
        if reader.is_none() || !blocks.is_empty() {
            all.push(Harmed { rank, run, reader, blocks });
        }
    }
    all
}

impl Harmed<'_> {
    /// Whether an entry of `key` can have been in it, or a clear that is of it.
    fn covers(&self, key: &[u8]) -> bool {
        let Some(reader) = &self.reader else { return self.run.range.contains(group(key)) };
        let blocks = &reader.index().blocks;
        self.blocks.iter().any(|lost| {
            let first = &blocks[lost.start].first_key;
            let is_before = blocks.get(lost.end).is_none_or(|next| {
                key <= next.first_key.as_slice() || key.starts_with(prefix(&next.first_key))
            });
            first.as_slice() <= key && is_before
        })
    }
}
