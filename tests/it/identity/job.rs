//! A job of one operator that holds every kind of state, and is captured, written and restored.

use crate::backends::{LazyHeap, Tested};
use esker::backend::operator::{BroadcastState, OperatorBackend, OperatorListState};
use esker::backend::{Backend, BackendFactory, Handle};
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::{
    Chain, Lineage, NewOperator, PartId, PartInput, SnapshotSettings, WriteStats, find_operator,
    read_manifest, read_operator_state, write_manifest, write_part,
};
use esker::state::{BroadcastDescriptor, OperatorListDescriptor};
use esker::{Result, Store, block_on};
use esker_conformance::every::{self, Call, Kinds, Model, UID};
use esker_conformance::lines;
use esker_conformance::store::new_store;
use proptest::prelude::*;

/// As the suite's; 30 to 32 are operator state, 33 and 34 as there.
pub(crate) fn call() -> impl Strategy<Value = Call> {
    every::call(35)
}

struct Subtask<B: Backend> {
    range: KeyGroupRange,
    backend: B,
    plain: Kinds<B, ()>,
    spaced: Kinds<B, i16>,
    operator: OperatorBackend,
    offsets: Handle<OperatorListState<u32>>,
    partitions: Handle<OperatorListState<u32>>,
    rules: Handle<BroadcastState<String, u32>>,
    lineage: Lineage,
}

impl<B: Backend> Subtask<B> {
    fn open(mut backend: B, mut operator: OperatorBackend) -> Result<Self> {
        Ok(Self {
            range: backend.range(),
            plain: Kinds::open(&mut backend)?,
            spaced: Kinds::open(&mut backend)?,
            offsets: operator.open(OperatorListDescriptor::split("offsets"))?,
            partitions: operator.open(OperatorListDescriptor::union("partitions"))?,
            rules: operator.open(BroadcastDescriptor::new("rules"))?,
            backend,
            operator,
            lineage: Lineage::default(),
        })
    }
}

pub(crate) struct Job<F: BackendFactory> {
    /// Lives as long as its backends, whose folder it may own.
    _factory: F,
    pub(crate) store: Store,
    subtasks: Vec<Subtask<F::Backend>>,
    pub(crate) model: Model,
    settings: SnapshotSettings,
    checkpoint: u64,
    last: Option<Manifest>,
    /// Of the last checkpoint's parts.
    pub(crate) stats: Vec<WriteStats>,
}

impl Job<LazyHeap> {
    /// Brings about `entries` entries of every subtask.
    pub(crate) fn bring(&mut self, entries: usize) {
        for subtask in &mut self.subtasks {
            subtask.backend.hydrate_waiting(entries).unwrap();
        }
    }
}

impl<F: Tested> Job<F> {
    pub(crate) fn new(parallelism: u32, settings: SnapshotSettings) -> Self {
        let range = |index| KeyGroupRange::of_subtask(index, parallelism).unwrap();
        let factory = F::new();
        let open = |index| {
            let backend = factory.make(UID, range(index), None).unwrap();
            Subtask::open(backend, OperatorBackend::new(UID)).unwrap()
        };
        Self {
            store: new_store(),
            subtasks: (0..parallelism).map(open).collect(),
            _factory: factory,
            model: Model::default(),
            settings,
            checkpoint: 0,
            last: None,
            stats: Vec::new(),
        }
    }

    /// The manifest of the last checkpoint that completed.
    pub(crate) fn last(&self) -> &Manifest {
        self.last.as_ref().unwrap()
    }

    pub(crate) fn call(&mut self, call: Call) {
        let model = &mut self.model;
        let group = call.key.with_encoded(KeyGroup::of);
        let owner = group.subtask(self.subtasks.len() as u32) as usize;
        let subtask = &mut self.subtasks[owner];
        match call.what {
            30 => {
                let offsets = subtask.operator.state(subtask.offsets).unwrap();
                offsets.add(call.amount);
                model.offsets.push(call.amount);
            }
            31 => {
                subtask.operator.state(subtask.partitions).unwrap().add(call.amount);
                model.partitions.insert(call.amount);
            }
            32 => {
                let (key, value) = (format!("rule {}", call.user_key), call.amount);
                for subtask in &mut self.subtasks {
                    subtask.operator.state(subtask.rules).unwrap().put(key.clone(), value);
                }
                model.rules.insert(key, value);
            }
            33 => {
                model.later(i64::from(call.user_key % 20));
                for subtask in &mut self.subtasks {
                    subtask.backend.set_time_ms(model.now_ms);
                }
            }
            _ if call.spaced => subtask.spaced.call(&mut subtask.backend, model, call),
            _ => subtask.plain.call(&mut subtask.backend, model, call),
        }
    }

    pub(crate) fn checkpoint(&mut self, completes: bool) {
        self.checkpoint += 1;
        let store = self.store.clone();
        let (manifest, chains) =
            block_on(self.write(&store, SnapshotKind::Checkpoint, completes)).unwrap();
        if completes {
            for (subtask, chain) in self.subtasks.iter_mut().zip(chains) {
                subtask.lineage.completed(self.checkpoint, chain);
            }
            self.last = manifest;
        }
    }

    /// The lines of a savepoint, which is in full.
    pub(crate) fn savepoint_lines(&mut self) -> Vec<String> {
        let store = new_store();
        let (manifest, _) = block_on(self.write(&store, SnapshotKind::Savepoint, true)).unwrap();
        lines::of(&store, &manifest.unwrap())
    }

    /// Writes a snapshot of everything; without `completes`, its parts alone.
    pub(crate) async fn write(
        &mut self,
        store: &Store,
        kind: SnapshotKind,
        completes: bool,
    ) -> Result<(Option<Manifest>, Vec<Chain>)> {
        let mut written = Vec::new();
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            let captures = subtask.backend.capture()?;
            let (captures, chain) = match kind {
                SnapshotKind::Checkpoint => {
                    subtask.lineage.begin(self.checkpoint, captures, self.settings.pending_max)
                }
                SnapshotKind::Savepoint => {
                    subtask.lineage.set_aside(self.checkpoint, captures.clone());
                    (vec![captures], Chain::default())
                }
            };
            let (checkpoint, generation) = (self.checkpoint, 1);
            let id = PartId { kind, checkpoint, generation, operator: 0, subtask: index as u32 };
            let operator = Some(subtask.operator.capture()?);
            let input = PartInput { id, range: subtask.range, captures, operator, chain };
            written.push(write_part(store, input, &self.settings).await?);
        }
        self.stats = written.iter().map(|part| part.stats).collect();
        let chains: Vec<_> = written.into_iter().map(|part| part.chain).collect();
        if !completes {
            return Ok((None, chains));
        }
        let first = &self.subtasks[0];
        let mut states = [first.backend.infos(), first.operator.infos()].concat();
        states.sort_unstable_by_key(|state| state.id);
        let (key, parts) = (first.backend.key().cloned(), Vec::new());
        let operator = Operator {
            uid: UID.into(),
            key,
            states,
            dropped: Vec::new(),
            parts,
            extra: Default::default(),
        };
        let parts = chains.iter().map(|chain| (chain.part.clone(), None)).collect();
        let manifest = Manifest {
            job: "identity".into(),
            kind,
            checkpoint: self.checkpoint,
            generation: 1,
            operators: Vec::new(),
            extra: Default::default(),
        };
        let operators = vec![NewOperator { operator, parts }];
        let written = write_manifest(store, manifest, operators).await?;
        let (path, digest) = (&written.published.manifest_path, written.published.manifest_digest);
        Ok((Some(read_manifest(store, path, Some(digest)).await?), chains))
    }

    /// The job as it is restored from its last checkpoint.
    pub(crate) fn restored(&self, parallelism: u32) -> Self {
        let restored = Self::restore(&self.store, self.last(), parallelism, &self.settings);
        let restored = block_on(restored).unwrap();
        Self { model: self.model.clone(), ..restored }
    }

    /// A job without a model, from a snapshot.
    pub(crate) async fn restore(
        store: &Store,
        manifest: &Manifest,
        parallelism: u32,
        settings: &SnapshotSettings,
    ) -> Result<Self> {
        let stored = find_operator(manifest, UID)?;
        let elements = read_operator_state(store, stored).await?;
        let (factory, mut subtasks) = (F::new(), Vec::new());
        for index in 0..parallelism {
            let range = KeyGroupRange::of_subtask(index, parallelism)?;
            let backend = factory.make(UID, range, Some(stored))?;
            let mut subtask = Subtask::open(backend, OperatorBackend::restoring(stored))?;
            let restored = subtask.backend.restore(store, manifest, settings).await?;
            subtask.operator.restore(&elements, index, parallelism)?;
            subtask.lineage = Lineage::new(restored.chain);
            subtasks.push(subtask);
        }
        Ok(Self {
            store: store.clone(),
            _factory: factory,
            subtasks,
            model: Model::default(),
            settings: settings.clone(),
            checkpoint: manifest.checkpoint,
            last: Some(manifest.clone()),
            stats: Vec::new(),
        })
    }
}
