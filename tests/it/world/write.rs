//! The owner of the job: begins checkpoints, writes, publishes and retires them.

use super::table::{Captured, Rows, Taken};
use super::{KEYED, SOURCE, settings};
use esker::backend::{Backend, EntrySink, NativeCapture};
use esker::checkpoint::{Job as Owner, Retention};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind};
use esker::format::run::{Entry, Op};
use esker::format::{KeyGroup, KeyGroupRange, Ordered, ValueCodec};
use esker::snapshot::{
    Chain, Lineage, NewOperator, OperatorCapture, PartId, PartInput, WrittenManifest, WrittenPart,
    write_manifest, write_native_part, write_part,
};
use esker::{Result, Store};
use futures::future::join_all;
use std::num::NonZeroU32;
use std::sync::Arc;

/// How many checkpoints are retained.
pub(crate) const RETAINED: u32 = 3;
const ROWS_ID: u32 = 1;

/// The number of rows, as the source's operator state.
struct RowCount(u64);

impl OperatorCapture for RowCount {
    fn states(&self) -> Vec<(u32, u64)> {
        vec![(ROWS_ID, 1)]
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        let (position, mut key, mut value) = (0_u64.to_be_bytes(), Vec::new(), Vec::new());
        CompositeKey::new(ROWS_ID, KeyGroup(0), &position, &[], &[]).encode_into(&mut key);
        Ordered.encode(&self.0, &mut value)?;
        sink.add(Entry { key: &key, op: Op::Put, value: &value })
    }
}

pub(crate) struct Writer {
    pub(crate) owner: Owner,
    store: Store,
    /// The operators, without parts; the source first.
    operators: Vec<Operator>,
    lineages: Vec<Vec<Lineage>>,
    /// The last checkpoint that completed, as far as its parts can be named again.
    kept: Option<Manifest>,
    begun: u64,
}

/// What a part is written from; its backend's database in place of captures, where there is one.
type Input = (PartInput, Option<Arc<dyn NativeCapture>>);

/// A checkpoint that was begun.
pub(crate) struct Open {
    pub(crate) checkpoint: u64,
    pub(crate) rows: u64,
    /// By operator, the source first, then subtask.
    inputs: Vec<Vec<Input>>,
}

/// A checkpoint whose files are written.
pub(crate) struct Written {
    chains: Vec<Vec<Chain>>,
    pub(crate) manifest: WrittenManifest,
}

impl Writer {
    /// The writer of a job that goes on from the checkpoint that `kept` is the manifest of.
    pub(crate) fn new(
        owner: Owner,
        rows: &Rows<impl Backend>,
        lineages: Vec<Vec<Lineage>>,
        kept: Option<Manifest>,
    ) -> Result<Self> {
        let count = StateInfo {
            id: ROWS_ID,
            name: SOURCE.into(),
            kind: StateKind::OperatorList,
            namespace: None,
            user_key: None,
            value: Some(ValueCodec::<u64>::info(&Ordered)?),
            ttl: None,
            extra: Default::default(),
        };
        let operator = |uid: &str, key, states| {
            let (dropped, parts, extra) = Default::default();
            Operator { uid: uid.into(), key, states, dropped, parts, extra }
        };
        let mut operators = vec![operator(SOURCE, None, vec![count])];
        for (uid, tables) in KEYED.into_iter().zip(&rows.tables) {
            let backend = &tables[0].backend;
            operators.push(operator(uid, backend.key().cloned(), backend.infos()));
        }
        let store = owner.store().clone();
        Ok(Self { owner, store, operators, lineages, kept, begun: 0 })
    }

    pub(crate) fn begin(&mut self, captured: Captured) -> Result<Open> {
        let checkpoint = self.owner.state().checkpoint_last().max(self.begun) + 1;
        self.begun = checkpoint;
        self.owner.begin(checkpoint, self.kept.as_ref().map(|kept| kept.checkpoint))?;
        let generation = self.owner.generation();
        let id = |operator, subtask| PartId {
            kind: SnapshotKind::Checkpoint,
            checkpoint,
            generation,
            operator,
            subtask,
        };
        let source = PartInput {
            id: id(0, 0),
            range: KeyGroupRange::ALL,
            captures: vec![Vec::new()],
            operator: Some(Arc::new(RowCount(captured.rows))),
            chain: Chain::default(),
        };
        let mut inputs = vec![vec![(source, None)]];
        for (number, keyed) in captured.keyed.into_iter().enumerate() {
            let (mut operator, parallelism) = (Vec::new(), keyed.len() as u32);
            for (subtask, taken) in keyed.into_iter().enumerate() {
                let lineage = &mut self.lineages[number][subtask];
                let ((captures, chain), native) = match taken {
                    Taken::Entries(captures) => {
                        (lineage.begin(checkpoint, captures, settings().pending_max), None)
                    }
                    Taken::Native(native) => {
                        ((Vec::new(), lineage.begin_native(checkpoint)), Some(native))
                    }
                };
                let range = KeyGroupRange::of_subtask(subtask as u32, parallelism)?;
                let id = id(number as u32 + 1, subtask as u32);
                let input = PartInput { id, range, captures, operator: None, chain };
                operator.push((input, native));
            }
            inputs.push(operator);
        }
        Ok(Open { checkpoint, rows: captured.rows, inputs })
    }

    /// Writes all parts, and the manifest.
    pub(crate) async fn write(&self, open: Open) -> Result<Written> {
        let settings = settings();
        let mut operators = Vec::new();
        for inputs in open.inputs {
            let parts = inputs.into_iter().map(|(input, native)| async {
                match native {
                    Some(native) => write_native_part(&self.store, input, native, &settings).await,
                    None => write_part(&self.store, input, &settings).await,
                }
            });
            // All of them end, so that nothing is still under way when one has failed.
            operators.push(join_all(parts).await.into_iter().collect::<Result<Vec<_>>>()?);
        }
        let manifest = Manifest {
            job: "crash".into(),
            kind: SnapshotKind::Checkpoint,
            checkpoint: open.checkpoint,
            generation: self.owner.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        };
        let pairs = self.operators.iter().zip(&operators);
        let new = pairs.map(|(operator, parts)| {
            let part = |(subtask, part): (usize, &WrittenPart)| {
                (part.chain.part.clone(), self.kept_part(&operator.uid, subtask, parts.len()))
            };
            let parts = parts.iter().enumerate().map(part).collect();
            NewOperator { operator: operator.clone(), parts }
        });
        let manifest = write_manifest(&self.store, manifest, new.collect()).await?;
        let chains = operators.into_iter().skip(1);
        let chains = chains.map(|parts| parts.into_iter().map(|part| part.chain).collect());
        Ok(Written { chains: chains.collect(), manifest })
    }

    fn kept_part(&self, uid: &str, subtask: usize, parallelism: usize) -> Option<PartRef> {
        let kept = self.kept.as_ref()?.operators.iter().find(|operator| operator.uid == uid)?;
        kept.part_of(subtask, parallelism).cloned()
    }

    /// Publishes; may be called again after `Retry`.
    pub(crate) async fn publish(&mut self, written: &Written) -> Result<()> {
        let WrittenManifest { published, references, manifest, .. } = &written.manifest;
        self.owner.publish(published.clone(), references.clone()).await?;
        for (lineages, chains) in self.lineages.iter_mut().zip(&written.chains) {
            for (lineage, chain) in lineages.iter_mut().zip(chains) {
                lineage.completed(manifest.checkpoint, chain.clone());
            }
        }
        self.kept = Some(manifest.clone());
        Ok(())
    }

    pub(crate) async fn retain(&mut self) -> Result<()> {
        let last_count = NonZeroU32::new(RETAINED).unwrap();
        self.owner.retain(&Retention::last(last_count)).await
    }
}
