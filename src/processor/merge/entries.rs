//! The entries of several snapshots, side by side.

use super::Clash;
use super::origin::Origin;
use super::unite::{Input, United};
use crate::backend::EntrySink;
use crate::processor::rewrite::{expired_until_ms, place_of, time};
use crate::snapshot::salvage::prefix_len;
use crate::snapshot::{ChainCursor, ChainReader, EntrySource, OpenSnapshot, SubtaskSource};
use crate::{Error, ErrorKind, Result, block_on};
use esker_format::composite::CompositeKey;
use esker_format::list::{elements, put_encoded};
use esker_format::manifest::{Operator, StateInfo, StateKind};
use esker_format::part::{Part, RunRef};
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Length of the state's id, which every composite key begins with.
const ID_LEN_BYTES: usize = 4;

/// What the parts of the subtasks of `united` are made of.
///
/// # Errors
/// `Unsupported` for a database.
pub(super) fn sources(
    united: &United,
    snapshots: &[OpenSnapshot],
    clash: Clash,
) -> Result<Vec<SubtaskSource>> {
    let parts = |input: &Input| {
        let (snapshot, operator) = input.at;
        let of = snapshots.get(snapshot)?;
        Some((of, of.manifest.operators.get(operator)?, of.parts.get(operator)?))
    };
    let mut inputs = Vec::new();
    for (input, (snapshot, operator, parts)) in
        united.inputs.iter().filter_map(|input| Some((input, parts(input)?)))
    {
        let origin = Origin { snapshot: input.at.0, store: snapshot.store.clone() };
        let (mut keyed, mut unkeyed) = (Vec::new(), Vec::new());
        for (subtask, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            if let Some(native) = &part.native {
                let message = format!(
                    "its state is a database of {}, whose entries cannot be merged: restore it, and take a \
                     savepoint",
                    native.engine
                );
                return Err(origin.of(Error::new(ErrorKind::Unsupported, message)));
            }
            let range = operator.range(subtask)?;
            keyed.push(Chain::new(&origin, &part.runs, range, operator, part));
            let runs = part.operator_run.as_slice();
            unkeyed.push(Chain::new(&origin, runs, KeyGroupRange::ALL, operator, part));
        }
        inputs.push(Chains { ids: input.ids.clone(), keyed, unkeyed });
    }
    let merged = Arc::new(Merged { operator: united.operator.clone(), inputs, clash });
    let subtasks = (0..united.parallelism).map(|subtask| {
        let range = KeyGroupRange::of_subtask(subtask, united.parallelism)?;
        let parallelism = united.parallelism as usize;
        let keyed = Keyed { merged: Arc::clone(&merged), len_bytes: merged.len_bytes(range) };
        let merged = Arc::clone(&merged);
        Ok(SubtaskSource {
            ttl_times_ms: merged.ttl_times_ms(range),
            keyed: Some(Arc::new(keyed)),
            operator: Some(Arc::new(Unkeyed { merged, subtask: subtask as usize, parallelism })),
        })
    });
    subtasks.collect()
}

/// The runs of one part, opened by whoever comes first.
struct Chain {
    origin: Origin,
    runs: Vec<RunRef>,
    /// The key groups of the part.
    range: KeyGroupRange,
    /// When states with TTL were captured, by their ids.
    times_ms: BTreeMap<u32, i64>,
    opened: Mutex<Option<Arc<ChainReader>>>,
}

impl Chain {
    fn new(
        origin: &Origin,
        runs: &[RunRef],
        range: KeyGroupRange,
        operator: &Operator,
        part: &Part,
    ) -> Self {
        let is_timed = |id: u32| operator.states.iter().any(|s| s.id == id && s.ttl.is_some());
        let times = part.states.iter().filter(|state| is_timed(state.id));
        let times_ms = times.filter_map(|state| Some((state.id, state.ttl_time_ms?))).collect();
        let (origin, runs) = (origin.clone(), runs.to_vec());
        Self { origin, runs, range, times_ms, opened: Mutex::default() }
    }

    /// # Errors
    /// The store's, and `Corrupt`, naming the file.
    fn open(&self) -> Result<Arc<ChainReader>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chain) = &*opened {
            return Ok(Arc::clone(chain));
        }
        let chain = block_on(ChainReader::open(&self.origin.store, &self.runs));
        let chain = Arc::new(chain.map_err(|error| self.origin.of(error))?);
        Ok(Arc::clone(opened.insert(chain)))
    }
}

/// What one snapshot has of an operator.
struct Chains {
    /// The ids of its states, by those of the result.
    ids: BTreeMap<u32, u32>,
    /// By ascending key groups.
    keyed: Vec<Chain>,
    /// By subtask.
    unkeyed: Vec<Chain>,
}

/// An operator of several snapshots.
struct Merged {
    operator: Operator,
    inputs: Vec<Chains>,
    clash: Clash,
}

impl Merged {
    /// The earliest time at which the key groups of `range` were captured, by states with TTL.
    fn ttl_times_ms(&self, range: KeyGroupRange) -> BTreeMap<u32, i64> {
        let mut times = BTreeMap::new();
        for input in &self.inputs {
            let within = |chain: &&Chain| chain.range.intersect(range).is_some();
            for chain in input.keyed.iter().filter(within) {
                for (id, own) in &input.ids {
                    let Some(time_ms) = chain.times_ms.get(own) else { continue };
                    let earliest = times.entry(*id).or_insert(*time_ms);
                    *earliest = (*time_ms).min(*earliest);
                }
            }
        }
        times
    }

    /// About how many stored bytes the keyed state of `range` has.
    fn len_bytes(&self, range: KeyGroupRange) -> u64 {
        let chains = self.inputs.iter().flat_map(|input| &input.keyed);
        let len_bytes = chains.filter_map(|chain| {
            let part = chain.range.intersect(range)?.count();
            let all: u64 = chain.runs.iter().map(|run| run.len_bytes).sum();
            let part = u128::from(all) * u128::from(part) / u128::from(chain.range.count());
            Some(part as u64)
        });
        len_bytes.sum()
    }

    /// Gives `sink` the entries of the state `info` that `streams` have, each stream's keys ascending.
    fn unite(
        &self,
        info: &StateInfo,
        mut streams: Vec<Stream<'_>>,
        sink: &mut dyn EntrySink,
    ) -> Result<()> {
        for stream in &mut streams {
            stream.advance()?;
        }
        let mut emit = Emit { id: info.id, key: Vec::new(), sink };
        loop {
            streams.retain(|stream| stream.is_open);
            let least = streams.iter().enumerate().min_by(|(_, a), (_, b)| a.key().cmp(b.key()));
            let Some((least, stream)) = least else { return Ok(()) };
            // All that stands under the key and namespace is of one snapshot.
            let prefix_len = || {
                let none = || Error::new(ErrorKind::Corrupt, "a key that is no composite key");
                let len = prefix_len(stream.whole_key()).ok_or_else(|| stream.origin.of(none()));
                Ok::<_, Error>(len? - ID_LEN_BYTES)
            };
            let prefix = match streams.len() {
                1 => stream.key(),
                _ => stream.key().get(..prefix_len()?).unwrap_or_default(),
            };
            let has = |stream: &&Stream<'_>| stream.key().starts_with(prefix);
            if streams.iter().filter(has).count() < 2 {
                let Some(stream) = streams.get_mut(least) else { return Ok(()) };
                emit.entry(stream)?;
                stream.advance()?;
                continue;
            }
            let clashing: Vec<&Stream<'_>> = streams.iter().filter(has).collect();
            let is_same = info.kind == StateKind::OperatorBroadcast
                && clashing.iter().all(|other| other.value() == stream.value());
            if self.clash == Clash::Refuse && !is_same {
                return Err(self.refused(info, &clashing));
            }
            let last = clashing.last().map(|stream| stream.origin.snapshot);
            let prefix = prefix.to_vec();
            for stream in &mut streams {
                let wins = Some(stream.origin.snapshot) == last;
                while stream.is_open && stream.key().starts_with(&prefix) {
                    if wins {
                        emit.entry(stream)?;
                    }
                    stream.advance()?;
                }
            }
        }
    }

    fn refused(&self, info: &StateInfo, clashing: &[&Stream<'_>]) -> Error {
        let numbers: Vec<String> =
            clashing.iter().map(|stream| (stream.origin.snapshot + 1).to_string()).collect();
        let first = clashing.first().map(|stream| stream.whole_key()).unwrap_or_default();
        // Of a map or timers all that stands there clashes.
        let first = first.get(..prefix_len(first).unwrap_or_default()).unwrap_or_default();
        let user_key = info.user_key.clone().filter(|_| !info.kind.is_keyed());
        let key = self.operator.key.as_ref();
        let message = format!(
            "state={}{}: snapshots {} have it: say that the later one wins, or filter it out of one",
            info.name,
            place_of(first, key, &StateInfo { user_key, ..info.clone() }),
            numbers.join(" and ")
        );
        Error::new(ErrorKind::Invalid, message)
    }
}

/// Puts entries under the id of the result.
struct Emit<'a> {
    id: u32,
    key: Vec<u8>,
    sink: &'a mut dyn EntrySink,
}

impl Emit<'_> {
    fn entry(&mut self, stream: &Stream<'_>) -> Result<()> {
        self.key.clear();
        self.key.extend_from_slice(&self.id.to_be_bytes());
        self.key.extend_from_slice(stream.key());
        self.sink.add(Entry { key: &self.key, op: Op::Put, value: stream.value() })
    }
}

/// The entries of one state in one snapshot, without what had expired.
struct Stream<'a> {
    origin: &'a Origin,
    info: &'a StateInfo,
    /// What is still to be read, with what had expired then, in reverse.
    next: Vec<(ChainCursor<'a>, Option<i64>)>,
    is_open: bool,
    /// A list without the elements that had expired.
    list: Option<Vec<u8>>,
}

impl Stream<'_> {
    /// Goes to the next entry, if there is one.
    fn advance(&mut self) -> Result<()> {
        self.is_open = false;
        while let Some((cursor, expired_until_ms)) = self.next.last_mut() {
            if !cursor.advance().map_err(|error| self.origin.of(error))? {
                self.next.pop();
                continue;
            }
            self.list = None;
            let is_live = match expired_until_ms {
                None => true,
                Some(until_ms) if self.info.kind == StateKind::List => {
                    let list = live(cursor.value(), *until_ms);
                    let list = list.map_err(|error| self.origin.of(error))?;
                    let is_live = !list.is_empty() || cursor.value().is_empty();
                    self.list = Some(list);
                    is_live
                }
                Some(until_ms) => {
                    let time = time(cursor.value()).map_err(|error| self.origin.of(error));
                    time?.0 > *until_ms
                }
            };
            if is_live {
                self.is_open = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The composite key as the snapshot has it.
    fn whole_key(&self) -> &[u8] {
        self.next.last().map_or(&[], |(cursor, _)| cursor.key())
    }

    /// The composite key behind the state's id.
    fn key(&self) -> &[u8] {
        self.whole_key().get(ID_LEN_BYTES..).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        match &self.list {
            Some(list) => list,
            None => self.next.last().map_or(&[], |(cursor, _)| cursor.value()),
        }
    }
}

/// The elements that were last updated after `until_ms`, as a list.
fn live(list: &[u8], until_ms: i64) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(list.len());
    for element in elements(list) {
        let element = element?;
        if time(element)?.0 > until_ms {
            put_encoded(&mut kept, element);
        }
    }
    Ok(kept)
}

/// The keyed state of a subtask.
struct Keyed {
    merged: Arc<Merged>,
    len_bytes: u64,
}

impl EntrySource for Keyed {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let Merged { operator, inputs, .. } = &*self.merged;
        let mut opened = Vec::new();
        for input in inputs {
            let within = |chain: &'_ Chain| chain.range.intersect(range);
            let chains = input.keyed.iter().filter_map(|chain| Some((chain, within(chain)?)));
            let chains = chains.map(|(chain, range)| Ok((chain, range, chain.open()?)));
            opened.push((input, chains.collect::<Result<Vec<_>>>()?));
        }
        for info in operator.states.iter().filter(|info| info.kind.is_keyed()) {
            let duration_ms = info.ttl.and_then(|ttl| ttl.duration_ms);
            let streams = opened.iter().filter_map(|(input, chains)| {
                let own = *input.ids.get(&info.id)?;
                let (first, ..) = chains.first()?;
                let cursors = chains.iter().rev().map(|(chain, range, open)| {
                    let time_ms = chain.times_ms.get(&own).copied();
                    let until_ms = expired_until_ms(time_ms, duration_ms);
                    (open.cursor(*range, own), until_ms)
                });
                let next = cursors.collect();
                Some(Stream { origin: &first.origin, info, next, is_open: false, list: None })
            });
            self.merged.unite(info, streams.collect(), sink)?;
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

/// The operator state of a subtask.
struct Unkeyed {
    merged: Arc<Merged>,
    subtask: usize,
    parallelism: usize,
}

impl EntrySource for Unkeyed {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let Merged { operator, inputs, .. } = &*self.merged;
        for info in operator.states.iter().filter(|info| !info.kind.is_keyed()) {
            if info.kind == StateKind::OperatorBroadcast {
                self.broadcast(info, range, sink)?;
                continue;
            }
            // Its keys are positions, which have no gaps.
            let (mut position, mut key) = (0_u64, Vec::new());
            for input in inputs {
                let Some(own) = input.ids.get(&info.id) else { continue };
                let mine = input.unkeyed.iter().skip(self.subtask).step_by(self.parallelism);
                for chain in mine {
                    let open = chain.open()?;
                    let mut cursor = open.cursor(range, *own);
                    while cursor.advance().map_err(|error| chain.origin.of(error))? {
                        key.clear();
                        let at = position.to_be_bytes();
                        CompositeKey::new(info.id, KeyGroup(0), &at, &[], &[])
                            .encode_into(&mut key);
                        position += 1;
                        sink.add(Entry { key: &key, op: Op::Put, value: cursor.value() })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        let runs = self.merged.inputs.iter().flat_map(|input| &input.unkeyed);
        runs.flat_map(|chain| &chain.runs).map(|run| run.len_bytes).sum()
    }
}

impl Unkeyed {
    /// Every subtask has all of it.
    fn broadcast(
        &self,
        info: &StateInfo,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
    ) -> Result<()> {
        let mut opened = Vec::new();
        for input in &self.merged.inputs {
            let Some(own) = input.ids.get(&info.id) else { continue };
            let Some(chain) = input.unkeyed.get(self.subtask % input.unkeyed.len().max(1)) else {
                continue;
            };
            opened.push((&chain.origin, *own, chain.open()?));
        }
        let streams = opened.iter().map(|(origin, own, chain)| {
            let next = vec![(chain.cursor(range, *own), None)];
            Stream { origin, info, next, is_open: false, list: None }
        });
        self.merged.unite(info, streams.collect(), sink)
    }
}
