//! A small job: value state in some subtasks, checkpoints that complete or do not, and a model.

use crate::backend::KeyedState;
use crate::backend::heap::ValueState;
use crate::snapshot::*;
use crate::{Result, Store, block_on};
use esker_format::manifest::{
    Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind, TypeInfo,
};
use esker_format::part::Part;
use esker_format::{Key, KeyGroup, KeyGroupRange, Ordered, ValueCodec};
use std::collections::BTreeMap;

pub(super) type State = ValueState<u64, (), u64>;
pub(super) type Model = BTreeMap<u64, u64>;

/// Keys are below this number.
pub(super) const KEYS: u64 = 3000;
pub(super) const UID: &str = "count-flights";

pub(super) fn info(id: u32) -> StateInfo {
    StateInfo {
        id,
        name: format!("state-{id}"),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(type_info()),
        ttl: None,
        extra: Default::default(),
    }
}

fn type_info() -> TypeInfo {
    ValueCodec::<u64>::info(&Ordered).unwrap()
}

/// Small pieces, so that small states are cut too.
pub(super) fn small() -> SnapshotSettings {
    SnapshotSettings { file_len_bytes: 4096, block_len_bytes: 512, ..SnapshotSettings::default() }
}

pub(super) struct Job {
    pub(super) store: Store,
    pub(super) states: Vec<State>,
    pub(super) lineages: Vec<Lineage>,
    pub(super) settings: SnapshotSettings,
    pub(super) model: Model,
    pub(super) checkpoint: u64,
    pub(super) written: Option<WrittenManifest>,
    pub(super) stats: Vec<WriteStats>,
}

pub(super) fn subtasks(parallelism: u32) -> Vec<State> {
    let range = |index| KeyGroupRange::of_subtask(index, parallelism).unwrap();
    (0..parallelism).map(|index| State::new(1, range(index), Ordered).unwrap()).collect()
}

/// A job with a chain of four checkpoints of two subtasks.
pub(super) fn job() -> Job {
    let mut job = Job::new(2, small());
    for round in 0..4 {
        (0..KEYS / 2).for_each(|i| job.set((round * 1501 + i) % KEYS, Some(round)));
        job.checkpoint(true);
    }
    job
}

impl Job {
    pub(super) fn new(parallelism: u32, settings: SnapshotSettings) -> Self {
        Self {
            store: Store::open("memory://").unwrap(),
            states: subtasks(parallelism),
            lineages: (0..parallelism).map(|_| Lineage::default()).collect(),
            settings,
            model: Model::new(),
            checkpoint: 0,
            written: None,
            stats: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, key: u64, value: Option<u64>) {
        let group = key.with_encoded(KeyGroup::of);
        let parallelism = self.states.len() as u32;
        let at = (0..parallelism)
            .position(|i| KeyGroupRange::of_subtask(i, parallelism).unwrap().contains(group));
        let state = &mut self.states[at.unwrap()];
        match value {
            Some(value) => {
                state.update(&key, &(), value).unwrap();
                self.model.insert(key, value);
            }
            None => {
                state.clear(&key, &()).unwrap();
                self.model.remove(&key);
            }
        }
    }

    /// Writes the part of every subtask.
    pub(super) fn write_parts(&mut self) -> Result<Vec<WrittenPart>> {
        self.checkpoint += 1;
        let parallelism = self.states.len() as u32;
        let mut written = Vec::new();
        for (subtask, state) in self.states.iter_mut().enumerate() {
            let capture = vec![state.capture_state()];
            let (captures, chain) =
                self.lineages[subtask].begin(self.checkpoint, capture, self.settings.pending_max);
            let id = PartId {
                kind: SnapshotKind::Checkpoint,
                checkpoint: self.checkpoint,
                generation: 1,
                operator: 0,
                subtask: subtask as u32,
            };
            let range = KeyGroupRange::of_subtask(subtask as u32, parallelism).unwrap();
            let input = PartInput { id, range, captures, operator: None, chain };
            written.push(block_on(write_part(&self.store, input, &self.settings))?);
        }
        Ok(written)
    }

    pub(super) fn checkpoint(&mut self, completes: bool) {
        let written = self.write_parts().unwrap();
        self.stats = written.iter().map(|part| part.stats).collect();
        if !completes {
            return;
        }
        let before = self.written.as_ref().map(|written| &written.manifest.operators[0].parts);
        let before: Vec<Option<PartRef>> = match before {
            Some(parts) => parts.iter().cloned().map(Some).collect(),
            None => vec![None; written.len()],
        };
        let parts = written.iter().map(|part| part.chain.part.clone()).zip(before).collect();
        let manifest = self.manifest(SnapshotKind::Checkpoint, parts);
        for (lineage, part) in self.lineages.iter_mut().zip(written) {
            lineage.completed(self.checkpoint, part.chain);
        }
        self.written = Some(manifest);
    }

    /// Writes a savepoint to the root of the store; the checkpoints' lineages know of it.
    pub(super) fn savepoint(&mut self) -> WrittenManifest {
        let parallelism = self.states.len() as u32;
        let mut parts = Vec::new();
        for (subtask, state) in self.states.iter_mut().enumerate() {
            let capture = vec![state.capture_state()];
            self.lineages[subtask].set_aside(self.checkpoint, capture.clone());
            let id = PartId {
                kind: SnapshotKind::Savepoint,
                checkpoint: self.checkpoint,
                generation: 1,
                operator: 0,
                subtask: subtask as u32,
            };
            let range = KeyGroupRange::of_subtask(subtask as u32, parallelism).unwrap();
            let (captures, chain) = (vec![capture], Chain::default());
            let input = PartInput { id, range, captures, operator: None, chain };
            let written = block_on(write_part(&self.store, input, &self.settings)).unwrap();
            parts.push((written.chain.part, None));
        }
        self.manifest(SnapshotKind::Savepoint, parts)
    }

    pub(super) fn manifest(
        &self,
        kind: SnapshotKind,
        parts: Vec<(Part, Option<PartRef>)>,
    ) -> WrittenManifest {
        let operator = Operator {
            uid: UID.into(),
            key: Some(type_info()),
            states: vec![info(1)],
            dropped: Vec::new(),
            parts: Vec::new(),
            extra: Default::default(),
        };
        let manifest = Manifest {
            job: "flights".into(),
            kind,
            checkpoint: self.checkpoint,
            generation: 1,
            operators: Vec::new(),
            extra: Default::default(),
        };
        let operators = vec![NewOperator { operator, parts }];
        block_on(write_manifest(&self.store, manifest, operators)).unwrap()
    }

    pub(super) fn read_manifest(&self) -> Result<Manifest> {
        let published = &self.written.as_ref().unwrap().published;
        let digest = Some(published.manifest_digest);
        block_on(read_manifest(&self.store, &published.manifest_path, digest))
    }

    /// The job as it is restored from the last complete checkpoint.
    pub(super) fn restored(&self, parallelism: u32) -> Result<Self> {
        let mut job = Self::new(parallelism, self.settings.clone());
        job.store = self.store.clone();
        job.checkpoint = self.checkpoint;
        let manifest = self.read_manifest()?;
        for index in 0..parallelism {
            let range = KeyGroupRange::of_subtask(index, parallelism).unwrap();
            let state = &mut job.states[index as usize];
            let mut targets = [Target { stored: info(1), state }];
            let restored = restore(&job.store, &manifest, UID, range, &mut targets, &job.settings);
            job.lineages[index as usize] = Lineage::new(block_on(restored)?.chain);
        }
        job.model = job.content();
        Ok(job)
    }

    pub(super) fn content(&self) -> Model {
        let mut content = Model::new();
        for state in &self.states {
            let before = content.len();
            for key in 0..KEYS {
                if let Some(value) = state.there(&key, &()) {
                    assert_eq!(content.insert(key, value), None, "two subtasks hold a key");
                }
            }
            assert_eq!(content.len() - before, state.len());
        }
        content
    }

    pub(super) fn depth(&self) -> usize {
        self.lineages.iter().map(|lineage| lineage.chain().depth()).max().unwrap()
    }
}
