//! Sources, a keyed exchange, and subtasks that keep what they saw: a small engine, one thread, any order.

use super::subtask::{Event, Subtask, Value};
use esker::backend::Backend;
use esker::backend::heap::HeapBackend;
use esker::engine::barrier::{Limits, Mode, in_flight_uid};
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::{
    Lineage, NewOperator, PartId, PartInput, SnapshotSettings, find_operator, write_manifest,
    write_part,
};
use esker::{Store, block_on};
use esker_conformance::store::new_store;
use esker_test_support::soak::{Random, hash};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const SOURCES: usize = 3;
/// Of each source.
pub(super) const RECORDS: u64 = 60;
const KEYS: u64 = 7;
const UID: &str = "seen";
/// How many checkpoints are under way at once.
const CONCURRENT_MAX: u64 = 3;

/// What the walks came by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) completed: u64,
    pub(super) replayed: u64,
    pub(super) twice: u64,
}

pub(super) struct Job {
    store: Store,
    settings: SnapshotSettings,
    mode: Mode,
    limits: Limits,
    random: Random,
    seed: u64,
    generation: u64,
    subtasks: Vec<Subtask>,
    /// The next record of each source, and the last barrier that it sent.
    sources: [(u64, u64); SOURCES],
    /// Where each source was at its barrier.
    positions: BTreeMap<u64, [u64; SOURCES]>,
    triggered: u64,
    last: Option<Manifest>,
    now: Duration,
    pub(super) seen: Seen,
}

impl Job {
    pub(super) fn new(mode: Mode, limits: Limits, seed: u64, parallelism: u32) -> Self {
        let mut job = Self {
            store: new_store(),
            settings: SnapshotSettings { threads: 1, ..SnapshotSettings::default() },
            mode,
            limits,
            random: Random::new(seed),
            seed,
            generation: 0,
            subtasks: Vec::new(),
            sources: [(0, 0); SOURCES],
            positions: BTreeMap::new(),
            triggered: 0,
            last: None,
            now: Duration::ZERO,
            seen: Seen::default(),
        };
        job.restart(parallelism);
        job
    }

    /// All that is not in the last checkpoint is lost; what it holds goes on in `parallelism` subtasks.
    pub(super) fn restart(&mut self, parallelism: u32) {
        self.generation += 1;
        let last = self.last.as_ref().map_or(0, |last| last.checkpoint);
        let positions = self.positions.get(&last).copied().unwrap_or_default();
        self.sources = positions.map(|position| (position, self.triggered));
        let open = |subtask| self.open(KeyGroupRange::of_subtask(subtask, parallelism).unwrap());
        let opened: Vec<_> = (0..parallelism).map(open).collect();
        self.seen.replayed += opened.iter().map(|(_, replayed)| replayed).sum::<u64>();
        self.subtasks = opened.into_iter().map(|(subtask, _)| subtask).collect();
    }

    /// A subtask as the last checkpoint has it, and how many records were in flight.
    fn open(&self, range: KeyGroupRange) -> (Subtask, u64) {
        let uids = [UID.to_owned(), in_flight_uid(UID, true)];
        let Some(last) = &self.last else {
            let [state, in_flight] = uids.map(|uid| HeapBackend::new(uid, range));
            return (Subtask::open(state, in_flight, self.mode, self.limits), 0);
        };
        let [state, in_flight] =
            uids.map(|uid| HeapBackend::restoring(find_operator(last, &uid).unwrap(), range));
        let mut subtask = Subtask::open(state, in_flight, self.mode, self.limits);
        for (at, lineage) in subtask.lineages.iter_mut().enumerate() {
            let backend = if at == 0 { &mut subtask.state } else { subtask.in_flight.backend() };
            let restored = block_on(backend.restore(&self.store, last, &self.settings)).unwrap();
            *lineage = Lineage::new(restored.chain);
        }
        let records = subtask.in_flight.replay().unwrap();
        let replayed = records.len() as u64;
        records.into_iter().for_each(|record| subtask.process(record));
        (subtask, replayed)
    }

    /// Lives until a few checkpoints are complete, or the records run out.
    pub(super) fn live(&mut self) {
        let until = self.seen.completed + self.random.draw(1..4);
        for _ in 0..self.random.draw(200..900) {
            self.step();
            if self.seen.completed >= until {
                break;
            }
        }
        // Some more, which will be lost.
        (0..self.random.draw(0..80)).for_each(|_| self.step());
    }

    fn step(&mut self) {
        let source = self.random.draw(0..SOURCES as u64) as usize;
        let at = self.random.draw(0..self.subtasks.len() as u64) as usize;
        match self.random.draw(0..100) {
            0..30 => self.send_record(source),
            30..36 => {
                let last = self.last.as_ref().map_or(0, |last| last.checkpoint);
                let done = last.max(self.sources.iter().map(|(_, sent)| *sent).min().unwrap_or(0));
                if self.triggered < done + CONCURRENT_MAX {
                    self.triggered += 1;
                }
            }
            36..46 => self.send_barrier(source),
            46..88 => self.deliver(at, source),
            88..94 => {
                let subtask = &mut self.subtasks[at];
                let barrier = |event: &Event| match event {
                    Event::Barrier(checkpoint) => Some(*checkpoint),
                    Event::Record(..) => None,
                };
                if let Some(checkpoint) = subtask.network[source].iter().find_map(barrier) {
                    subtask.aligner.announce(source, checkpoint, self.now).unwrap();
                    self.act(at);
                }
            }
            94..99 => {
                self.now += Duration::from_millis(self.random.draw(0..10));
                self.subtasks[at].aligner.tick(self.now);
                self.act(at);
            }
            _ => self.abort(self.triggered.max(1)),
        }
    }

    fn send_record(&mut self, source: usize) {
        let (number, _) = &mut self.sources[source];
        if *number < RECORDS {
            let value = (source as u64, *number);
            *number += 1;
            let key = hash(self.seed, value.0 * 1000 + value.1) % KEYS;
            let owner = key.with_encoded(KeyGroup::of).subtask(self.subtasks.len() as u32);
            self.subtasks[owner as usize].network[source].push_back(Event::Record(key, value));
        }
    }

    fn send_barrier(&mut self, source: usize) {
        let (number, sent) = &mut self.sources[source];
        if *sent < self.triggered {
            *sent += 1;
            self.positions.entry(*sent).or_default()[source] = *number;
            let barrier = Event::Barrier(*sent);
            self.subtasks.iter_mut().for_each(|of| of.network[source].push_back(barrier));
        }
    }

    fn deliver(&mut self, at: usize, source: usize) {
        let subtask = &mut self.subtasks[at];
        if subtask.stopped[source] {
            return;
        }
        match subtask.network[source].pop_front() {
            Some(Event::Record(key, value)) => {
                subtask.aligner.record(source, (key, value), 10).unwrap();
            }
            Some(Event::Barrier(checkpoint)) => {
                subtask.aligner.barrier(source, checkpoint, self.now).unwrap();
            }
            None => return,
        }
        self.act(at);
    }

    fn act(&mut self, at: usize) {
        let aborted = self.subtasks[at].act();
        aborted.into_iter().for_each(|checkpoint| self.abort(checkpoint));
        let newest = self.subtasks[at].aligned.keys().next_back().copied();
        if let Some(checkpoint) = newest
            && self.subtasks.iter().all(|subtask| subtask.aligned.contains_key(&checkpoint))
        {
            self.complete(checkpoint);
        }
    }

    /// What one subtask aborts comes to nothing in all.
    fn abort(&mut self, checkpoint: u64) {
        for subtask in &mut self.subtasks {
            subtask.aligner.cancel(checkpoint).unwrap();
            subtask.act();
        }
    }

    /// Both captures of all subtasks go into one checkpoint.
    fn complete(&mut self, checkpoint: u64) {
        let uids = [UID.to_owned(), in_flight_uid(UID, true)];
        let mut operators = uids.map(|uid| (uid, Vec::new(), Vec::new(), None));
        let mut chains = Vec::new();
        for (index, subtask) in (0..).zip(&mut self.subtasks) {
            let range = subtask.state.range();
            let mut of_subtask = Vec::new();
            for (at, (captures, chain)) in (0..).zip(subtask.begin(checkpoint)) {
                let (kind, generation) = (SnapshotKind::Checkpoint, self.generation);
                let id = PartId { kind, checkpoint, generation, operator: at, subtask: index };
                let input = PartInput { id, range, captures, operator: None, chain };
                let part = block_on(write_part(&self.store, input, &self.settings)).unwrap();
                let (_, parts, states, key) = &mut operators[at as usize];
                parts.push((part.chain.part.clone(), None));
                let backend =
                    if at == 0 { &mut subtask.state } else { subtask.in_flight.backend() };
                (*states, *key) = (backend.infos(), backend.key().cloned());
                of_subtask.push(part.chain);
            }
            chains.push(of_subtask);
        }
        let operators = operators.map(|(uid, parts, states, key)| {
            let (dropped, extra) = (Vec::new(), Default::default());
            let operator = Operator { uid, key, states, dropped, parts: Vec::new(), extra };
            NewOperator { operator, parts }
        });
        let manifest = Manifest {
            job: "barriers".into(),
            kind: SnapshotKind::Checkpoint,
            checkpoint,
            generation: self.generation,
            operators: Vec::new(),
            extra: Default::default(),
        };
        let written = write_manifest(&self.store, manifest, operators.into());
        self.last = Some(block_on(written).unwrap().manifest);
        self.seen.completed += 1;
        for (subtask, chains) in self.subtasks.iter_mut().zip(chains) {
            for (lineage, chain) in subtask.lineages.iter_mut().zip(chains) {
                lineage.completed(checkpoint, chain);
            }
        }
    }

    /// All records are sent and processed.
    pub(super) fn finish(&mut self) {
        for source in 0..SOURCES {
            (0..RECORDS).for_each(|_| self.send_record(source));
        }
        loop {
            for at in 0..self.subtasks.len() {
                (0..SOURCES).for_each(|source| self.deliver(at, source));
            }
            let pairs = self.subtasks.iter().flat_map(|of| of.network.iter().zip(of.stopped));
            if pairs.into_iter().all(|(events, stopped)| events.is_empty() || stopped) {
                break;
            }
        }
        // No barrier follows.
        for checkpoint in 1..=self.triggered {
            self.abort(checkpoint);
        }
        for at in 0..self.subtasks.len() {
            for source in 0..SOURCES {
                while !self.subtasks[at].network[source].is_empty() {
                    assert!(!self.subtasks[at].stopped[source], "nothing is awaited any more");
                    self.deliver(at, source);
                }
                self.subtasks[at].aligner.end(source, self.now).unwrap();
                self.act(at);
            }
        }
        self.seen.twice = (0..SOURCES)
            .flat_map(|source| (0..RECORDS).map(move |number| (source, number)))
            .filter(|(source, number)| self.times(*source, *number) > 1)
            .count() as u64;
    }

    /// Everything that was seen of a key, in order.
    fn list(&mut self, key: u64) -> Vec<Value> {
        let owner = key.with_encoded(KeyGroup::of).subtask(self.subtasks.len() as u32) as usize;
        let Subtask { state, lists, .. } = &mut self.subtasks[owner];
        state.state(*lists).unwrap().get(&key, &()).unwrap()
    }

    /// How often a record was seen.
    pub(super) fn times(&mut self, source: usize, number: u64) -> usize {
        let value = (source as u64, number);
        let list = self.list(hash(self.seed, value.0 * 1000 + value.1) % KEYS);
        list.into_iter().filter(|seen| *seen == value).count()
    }

    /// That records of a key and a source were seen in order.
    pub(super) fn check_order(&mut self) {
        for key in 0..KEYS {
            let list = self.list(key);
            for source in 0..SOURCES as u64 {
                let of_source = list.iter().filter(|(of, _)| *of == source);
                assert!(of_source.clone().is_sorted(), "key {key}, source {source}");
            }
        }
    }
}
