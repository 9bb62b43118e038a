//! One subtask of a job: a state, its store, and the chain of its checkpoints.

use crate::heap::{State, filled, state};
use esker::backend::KeyedState;
use esker::snapshot::{
    Lineage, NewOperator, PartId, PartInput, SnapshotSettings, Target, WriteStats, WrittenManifest,
    restore, write_manifest, write_part,
};
use esker::{Store, block_on};
use esker_format::manifest::{Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind};
use esker_format::part::Part;
use esker_format::{KeyGroupRange, Ordered, ValueCodec};

/// The operator's uid.
pub(crate) const UID: &str = "op";

/// A state and its checkpoints.
pub struct Subtask {
    /// Where its files are.
    pub store: Store,
    /// What is captured.
    pub state: State,
    pub(crate) lineage: Lineage,
    pub(crate) settings: SnapshotSettings,
    pub(crate) checkpoint: u64,
    /// The key groups that it owns.
    pub range: KeyGroupRange,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Subtask {
    /// A subtask of `range` that holds `keys`, with a store in memory.
    pub fn new(range: KeyGroupRange, keys: &[u64]) -> Result<Self, String> {
        Ok(Self {
            store: Store::open("memory://").map_err(text)?,
            state: filled(range, keys)?,
            lineage: Lineage::default(),
            settings: SnapshotSettings::default(),
            checkpoint: 0,
            range,
        })
    }

    /// Takes a checkpoint, which completes.
    pub fn checkpoint(&mut self) -> Result<WriteStats, String> {
        self.checkpoint += 1;
        let capture = vec![self.state.capture_state()];
        let (captures, chain) =
            self.lineage.begin(self.checkpoint, capture, self.settings.pending_max);
        let id = PartId {
            kind: SnapshotKind::Checkpoint,
            checkpoint: self.checkpoint,
            generation: 1,
            operator: 0,
            subtask: 0,
        };
        let input = PartInput { id, range: self.range, captures, operator: None, chain };
        let written = block_on(write_part(&self.store, input, &self.settings)).map_err(text)?;
        self.lineage.completed(self.checkpoint, written.chain);
        Ok(written.stats)
    }

    /// Takes a full checkpoint in memory, whatever there was before, and forgets the files of that.
    pub fn full(&mut self) -> Result<WriteStats, String> {
        self.full_at("memory://")
    }

    /// The same, in a store of that URL.
    pub(crate) fn full_at(&mut self, url: &str) -> Result<WriteStats, String> {
        self.store = Store::open(url).map_err(text)?;
        self.lineage = Lineage::default();
        self.checkpoint()
    }

    /// The manifest of the last checkpoint.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let parts = vec![(self.lineage.chain().part.clone(), None)];
        manifest(&self.store, self.checkpoint, parts)
    }

    /// Bytes of keys and values that the runs of the chain hold, before any packing.
    pub(crate) fn encoded_len_bytes(&self) -> u64 {
        let states = &self.lineage.chain().part.states;
        states.iter().map(|state| state.stats.key_bytes + state.stats.value_bytes).sum()
    }
}

/// The state, as manifests have it.
pub(crate) fn stored() -> Result<StateInfo, String> {
    Ok(StateInfo {
        id: 1,
        name: "counts".into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(ValueCodec::<u64>::info(&Ordered).map_err(text)?),
        ttl: None,
        extra: Default::default(),
    })
}

/// An operator with keys as that state's, and these parts.
pub(crate) fn operator(
    uid: &str,
    states: Vec<StateInfo>,
    parts: Vec<(Part, Option<PartRef>)>,
) -> Result<NewOperator, String> {
    let (key, uid) = (stored()?.value, uid.into());
    let extra = Default::default();
    let operator = Operator { uid, key, states, dropped: vec![], parts: vec![], extra };
    Ok(NewOperator { operator, parts })
}

/// Writes the manifest of a checkpoint with these operators.
pub(crate) fn written_with(
    store: &Store,
    checkpoint: u64,
    operators: Vec<NewOperator>,
) -> Result<WrittenManifest, String> {
    let manifest = Manifest {
        job: "bench".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint,
        generation: 1,
        operators: vec![],
        extra: Default::default(),
    };
    block_on(write_manifest(store, manifest, operators)).map_err(text)
}

/// Writes the manifest of a checkpoint with one operator of these parts.
pub(crate) fn written(
    store: &Store,
    checkpoint: u64,
    parts: Vec<(Part, Option<PartRef>)>,
) -> Result<WrittenManifest, String> {
    written_with(store, checkpoint, vec![operator(UID, vec![stored()?], parts)?])
}

/// As [`written`]; the manifest alone.
pub(crate) fn manifest(
    store: &Store,
    checkpoint: u64,
    parts: Vec<(Part, Option<PartRef>)>,
) -> Result<Manifest, String> {
    Ok(written(store, checkpoint, parts)?.manifest)
}

/// Seconds to restore `range`, and what was restored.
pub fn restored(
    store: &Store,
    manifest: &Manifest,
    range: KeyGroupRange,
) -> Result<(f64, State), String> {
    let mut state = state(range)?;
    let settings = SnapshotSettings::default();
    let mut targets = [Target { stored: stored()?, state: &mut state }];
    let restored = block_on(restore(store, manifest, UID, range, &mut targets, &settings));
    let restored = restored.map_err(text)?;
    Ok((restored.time.as_secs_f64(), state))
}
