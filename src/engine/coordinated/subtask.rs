//! A subtask's side of checkpoints: a capture where the barrier passes, files written beside the stream.

use super::{Control, Order};
use crate::backend::operator::OperatorBackend;
use crate::backend::{Backend, NativeCapture};
use crate::checkpoint::coordinator::{Kind, Subtask, SubtaskStats};
use crate::engine::described::Described;
use crate::environment::now;
use crate::format::KeyGroupRange;
use crate::format::manifest::SnapshotKind;
use crate::format::part::Part;
use crate::snapshot::{
    Chain, Lineage, PartId, PartInput, SnapshotSettings, WrittenPart, write_native_part, write_part,
};
use crate::{Result, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a subtask contributed to a snapshot.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Acknowledgement {
    pub(in crate::engine) subtask: Subtask,
    pub(in crate::engine) described: Described,
    pub(in crate::engine) part: Part,
    pub(in crate::engine) is_last: bool,
    pub(in crate::engine) stats: SubtaskStats,
}

/// The chains of checkpoints whose files are there, by number.
type Written = Arc<Mutex<BTreeMap<u64, Chain>>>;

/// A subtask's side of a job's checkpoints; it belongs beside the subtask's backend.
pub struct SubtaskCheckpoints {
    subtask: Subtask,
    range: KeyGroupRange,
    lineage: Lineage,
    captures_taken: u64,
    settings: SnapshotSettings,
    pub(super) control: Control,
    written: Written,
}

impl SubtaskCheckpoints {
    pub(in crate::engine) fn new(
        subtask: Subtask,
        range: KeyGroupRange,
        lineage: Lineage,
        captures_taken: u64,
        settings: &SnapshotSettings,
        control: Control,
    ) -> Self {
        let (settings, written) = (settings.clone(), Written::default());
        Self { subtask, range, lineage, captures_taken, settings, control, written }
    }

    /// Which subtask it is.
    pub fn subtask(&self) -> Subtask {
        self.subtask
    }

    /// Captures the state for `order`, where its barrier has passed all inputs. It is the synchronous part, and
    /// near-instant; [`Share::write`] does the rest on any thread.
    ///
    /// # Errors
    /// `Poisoned` if a backend is, and the backend's I/O; the checkpoint is declined then.
    pub fn capture<B: Backend>(
        &mut self,
        order: &Order,
        backend: &mut B,
        operator: Option<&OperatorBackend>,
    ) -> Result<Share> {
        let started = now();
        let (control, checkpoint) = (self.control.clone(), order.checkpoint);
        let answer = Answer { control, checkpoint, subtask: self.subtask, is_given: false };
        let (input, native) = match self.take(order, backend, operator) {
            Ok(taken) => taken,
            Err(error) => {
                answer.decline(error.to_string());
                return Err(error);
            }
        };
        Ok(Share {
            kind: order.kind,
            store: order.store.clone(),
            input,
            native,
            described: Described::of(backend, operator),
            is_last: false,
            stats: SubtaskStats {
                sync_ms: millis(now().duration_since(started)),
                ..SubtaskStats::default()
            },
            settings: self.settings.clone(),
            written: Arc::clone(&self.written),
            answer,
        })
    }

    fn take<B: Backend>(
        &mut self,
        order: &Order,
        backend: &mut B,
        operator: Option<&OperatorBackend>,
    ) -> Result<(PartInput, Option<Arc<dyn NativeCapture>>)> {
        let number = order.checkpoint;
        // A barrier that comes with the data may be here before the word that its basis is complete: what is
        // older than that is not retained.
        if let Some(basis) = order.basis {
            self.completed(basis);
        }
        // Someone else took a capture: what changed before it is known no more.
        if self.captures_taken != backend.captures_taken() {
            self.lineage.fall_back();
        }
        let of_operator = operator.map(OperatorBackend::capture).transpose()?;
        let native = match order.kind {
            Kind::Checkpoint => backend.capture_native()?,
            Kind::Savepoint | Kind::Stop { .. } => None,
        };
        let (kind, (captures, chain)) = match (order.kind, &native) {
            (Kind::Checkpoint, Some(_)) => {
                (SnapshotKind::Checkpoint, (Vec::new(), self.lineage.begin_native(number)))
            }
            (Kind::Checkpoint, None) => {
                let captures = backend.capture()?;
                let begun = self.lineage.begin(number, captures, self.settings.pending_max);
                (SnapshotKind::Checkpoint, begun)
            }
            _ => {
                let captures = backend.capture()?;
                self.lineage.set_aside(number, captures.clone());
                if self.lineage.pending() > self.settings.pending_max {
                    self.lineage.fall_back();
                }
                (SnapshotKind::Savepoint, (vec![captures], Chain::default()))
            }
        };
        self.captures_taken = backend.captures_taken();
        let (Subtask { operator, subtask }, generation) = (self.subtask, order.generation);
        let id = PartId { kind, checkpoint: number, generation, operator, subtask };
        let range = self.range;
        Ok((PartInput { id, range, captures, operator: of_operator, chain }, native))
    }

    /// The engine passes on that a snapshot is [complete](super::Listener::completed).
    pub fn completed(&mut self, checkpoint: u64) {
        let mut written = locked(&self.written);
        // Of a savepoint there is none, and older checkpoints may come to be complete after it.
        let Some(chain) = written.remove(&checkpoint) else { return };
        written.retain(|of, _| *of > checkpoint);
        drop(written);
        self.lineage.completed(checkpoint, chain);
    }

    /// The engine passes on that a snapshot was [given up](super::Listener::aborted).
    pub fn aborted(&mut self, checkpoint: u64) {
        locked(&self.written).remove(&checkpoint);
        self.lineage.aborted(checkpoint);
    }
}

/// A subtask's captured share of a snapshot. One that is dropped before it is written declines it.
#[must_use = "the checkpoint waits for it to be written"]
pub struct Share {
    kind: Kind,
    store: Store,
    input: PartInput,
    native: Option<Arc<dyn NativeCapture>>,
    described: Described,
    is_last: bool,
    stats: SubtaskStats,
    settings: SnapshotSettings,
    written: Written,
    answer: Answer,
}

impl Share {
    /// Says that the subtask has read all its inputs: it may end once the checkpoint is complete, and is to
    /// take part in all others until then.
    pub fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// Adds what the alignment of barriers took.
    pub fn with_alignment(
        self,
        time: Duration,
        buffered_len_bytes: u64,
        in_flight_len_bytes: u64,
    ) -> Self {
        let alignment_ms = millis(time);
        let stats =
            SubtaskStats { alignment_ms, buffered_len_bytes, in_flight_len_bytes, ..self.stats };
        Self { stats, ..self }
    }

    /// Writes the files, and acknowledges the checkpoint once they are durable, or declines it. Dropping the
    /// call declines it too.
    ///
    /// # Errors
    /// The store's, for who wants to know; the coordinator knows.
    pub async fn write(self) -> Result<()> {
        let Self {
            kind,
            store,
            input,
            native,
            described,
            is_last,
            stats,
            settings,
            written,
            answer,
        } = self;
        let started = now();
        let done = match native {
            Some(native) => write_native_part(&store, input, native, &settings).await,
            None => write_part(&store, input, &settings).await,
        };
        let WrittenPart { chain, stats: took, .. } = match done {
            Ok(done) => done,
            Err(error) => {
                answer.decline(error.to_string());
                return Err(error);
            }
        };
        let part = chain.part.clone();
        if kind == Kind::Checkpoint {
            locked(&written).insert(answer.checkpoint, chain);
        }
        let stats = SubtaskStats {
            async_ms: millis(now().duration_since(started)),
            written_len_bytes: took.written_len_bytes,
            referenced_len_bytes: took.referenced_len_bytes,
            entries: took.full_entries.saturating_add(took.changed_entries),
            ..stats
        };
        answer.acknowledge(described, part, is_last, stats);
        Ok(())
    }
}

/// What the coordinator is to hear, one way or the other.
struct Answer {
    control: Control,
    checkpoint: u64,
    subtask: Subtask,
    is_given: bool,
}

impl Answer {
    fn acknowledge(mut self, described: Described, part: Part, is_last: bool, stats: SubtaskStats) {
        self.is_given = true;
        let subtask = self.subtask;
        let acknowledgement = Acknowledgement { subtask, described, part, is_last, stats };
        self.control.acknowledge(self.checkpoint, acknowledgement);
    }

    fn decline(mut self, why: String) {
        self.is_given = true;
        self.control.decline(self.checkpoint, self.subtask, why);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.is_given {
            let why = "its share was dropped before it was written";
            self.control.decline(self.checkpoint, self.subtask, why);
        }
    }
}

fn locked(written: &Written) -> MutexGuard<'_, BTreeMap<u64, Chain>> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
