//! What workers and the owner say to each other, as it stands in timely's streams.
//!
//! Parts and descriptions of states travel as they stand in a snapshot, so that there is one encoding of them.

use crate::checkpoint::coordinator::{Kind, Subtask, SubtaskStats};
use crate::engine::coordinated::{Acknowledgement, Message, OperatorPlan};
use crate::engine::described::Described;
use crate::format::manifest::{Manifest, PartRef, SnapshotKind};
use crate::format::part::Part;
use crate::format::{Digest, RelativeName};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// From a worker to the owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Up {
    /// The worker has restored its subtasks of these operators, and runs; so many of them are sources.
    Ready {
        operators: Vec<(String, u32)>,
        sources: u32,
    },
    /// A source subtask has read all that there is.
    Ended,
    Acknowledged {
        checkpoint: u64,
        acknowledgement: WireAcknowledgement,
    },
    Declined {
        checkpoint: u64,
        subtask: (u32, u32),
        why: String,
    },
    /// The worker cannot go on.
    Failed(WireError),
}

/// From the owner to all workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Down {
    /// The job is claimed.
    Begin(Begin),
    Triggered(WireOrder),
    Completed {
        checkpoint: u64,
    },
    Aborted {
        checkpoint: u64,
    },
    /// The job has ended: by a savepoint of this number, or because there is nothing more to read.
    Stop(std::result::Result<Option<u64>, WireError>),
}

/// What all begin from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Begin {
    pub(super) generation: u64,
    /// The last completed checkpoint: its number, its manifest's name and digest.
    pub(super) last: Option<(u64, String, [u8; 32])>,
}

/// An [`Order`](crate::engine::Order).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WireOrder {
    /// The epoch that it ends: that of the first order is 0.
    pub(super) epoch: u64,
    pub(super) checkpoint: u64,
    pub(super) kind: WireKind,
    pub(super) basis: Option<u64>,
    pub(super) generation: u64,
    /// Where a savepoint goes, as another process can open it.
    pub(super) target: Option<String>,
    pub(super) subtasks: Vec<(u32, u32)>,
}

/// A [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireKind {
    Checkpoint,
    Savepoint,
    Stop { drain: bool },
}

impl From<Kind> for WireKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Checkpoint => Self::Checkpoint,
            Kind::Savepoint => Self::Savepoint,
            Kind::Stop { drain } => Self::Stop { drain },
        }
    }
}

impl From<WireKind> for Kind {
    fn from(kind: WireKind) -> Self {
        match kind {
            WireKind::Checkpoint => Self::Checkpoint,
            WireKind::Savepoint => Self::Savepoint,
            WireKind::Stop { drain } => Self::Stop { drain },
        }
    }
}

/// An [`Error`], without its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireError {
    kind: ErrorKind,
    message: String,
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

impl From<WireError> for Error {
    fn from(WireError { kind, message }: WireError) -> Self {
        Self::new(kind, message)
    }
}

/// An [`Acknowledgement`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WireAcknowledgement {
    subtask: (u32, u32),
    /// A manifest of its operator alone, which names `part` by digest.
    manifest: Vec<u8>,
    part: Vec<u8>,
    is_last: bool,
    /// In the order of [`SubtaskStats`].
    stats: [u64; 8],
}

impl WireAcknowledgement {
    /// # Errors
    /// `Invalid` if part or states cannot be written as files have them.
    pub(super) fn of(acknowledgement: Acknowledgement) -> Result<Self> {
        let Acknowledgement { subtask, described, part, is_last, stats } = acknowledgement;
        let part = part.encode()?;
        let mut operator = described.into_operator();
        let named = PartRef { dir: RelativeName::new("part")?, digest: Digest::of(&part) };
        operator.parts.push(named);
        let manifest = Manifest {
            job: String::new(),
            kind: SnapshotKind::Checkpoint,
            checkpoint: 0,
            generation: 0,
            operators: vec![operator],
            extra: Default::default(),
        };
        let stats = [
            stats.sync_ms,
            stats.async_ms,
            stats.alignment_ms,
            stats.buffered_len_bytes,
            stats.in_flight_len_bytes,
            stats.written_len_bytes,
            stats.referenced_len_bytes,
            stats.entries,
        ];
        let subtask = wire_subtask(subtask);
        Ok(Self { subtask, manifest: manifest.encode()?, part, is_last, stats })
    }

    /// Whose it is.
    pub(super) fn subtask(&self) -> Subtask {
        subtask_of(self.subtask)
    }

    /// # Errors
    /// `Corrupt` if it is damaged.
    pub(super) fn into_acknowledgement(self) -> Result<Acknowledgement> {
        let Self { subtask, manifest, part, is_last, stats } = self;
        let Manifest { operators, .. } = Manifest::decode(&manifest)?;
        let corrupt = |why: &str| {
            Error::new(ErrorKind::Corrupt, format!("an acknowledgement of {subtask:?}: {why}"))
        };
        let Some(operator) = operators.into_iter().next() else {
            return Err(corrupt("it names no operator"));
        };
        if operator.parts.first().is_none_or(|named| named.digest != Digest::of(&part)) {
            return Err(corrupt("it names another part"));
        }
        let [sync_ms, async_ms, alignment_ms, buffered, in_flight, written, referenced, entries] =
            stats;
        let stats = SubtaskStats {
            sync_ms,
            async_ms,
            alignment_ms,
            buffered_len_bytes: buffered,
            in_flight_len_bytes: in_flight,
            written_len_bytes: written,
            referenced_len_bytes: referenced,
            entries,
        };
        let described = Described::from_operator(operator);
        let (subtask, part) = (subtask_of(subtask), Part::decode(&part)?);
        Ok(Acknowledgement { subtask, described, part, is_last, stats })
    }
}

impl Up {
    /// A subtask's word for the coordinator; none for what no subtask says. What cannot be said in files' terms
    /// is declined.
    pub(super) fn of(message: Message) -> Option<Self> {
        match message {
            Message::Acknowledged { checkpoint, acknowledgement } => {
                let subtask = acknowledgement.subtask;
                Some(match WireAcknowledgement::of(*acknowledgement) {
                    Ok(acknowledgement) => Self::Acknowledged { checkpoint, acknowledgement },
                    Err(error) => {
                        let (subtask, why) = (wire_subtask(subtask), error.to_string());
                        Self::Declined { checkpoint, subtask, why }
                    }
                })
            }
            Message::Declined { checkpoint, subtask, why } => {
                Some(Self::Declined { checkpoint, subtask: wire_subtask(subtask), why })
            }
            Message::Requested(_) => None,
        }
    }
}

pub(super) fn wire_subtask(Subtask { operator, subtask }: Subtask) -> (u32, u32) {
    (operator, subtask)
}

pub(super) fn subtask_of((operator, subtask): (u32, u32)) -> Subtask {
    Subtask { operator, subtask }
}

pub(super) fn plans(operators: Vec<(String, u32)>) -> Vec<OperatorPlan> {
    let plan = |(uid, parallelism)| OperatorPlan { uid, parallelism };
    operators.into_iter().map(plan).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::backend::heap::HeapBackend;
    use crate::format::KeyGroupRange;
    use crate::state::ValueDescriptor;

    #[test]
    fn an_acknowledgement_comes_back_as_it_was_and_damage_is_named() {
        let mut backend = HeapBackend::new("words", KeyGroupRange::ALL);
        let _ = backend.open(ValueDescriptor::<String, u64>::new("count")).unwrap();
        let (runs, states) = (Vec::new(), Vec::new());
        let part =
            Part { runs, operator_run: None, native: None, states, extra: Default::default() };
        let said = Acknowledgement {
            subtask: Subtask { operator: 3, subtask: 9 },
            described: Described::of(&backend, None),
            part,
            is_last: true,
            stats: SubtaskStats { sync_ms: 1, entries: 8, ..Default::default() },
        };
        let wire = WireAcknowledgement::of(said.clone()).unwrap();
        let found = wire.clone().into_acknowledgement().unwrap();
        assert_eq!((found.subtask, found.part), (said.subtask, said.part));
        assert_eq!((found.described, found.is_last), (said.described, true));
        assert_eq!(found.stats, said.stats);

        let other = WireAcknowledgement { part: b"other".to_vec(), ..wire.clone() };
        let error = other.into_acknowledgement().unwrap_err();
        assert!(error.to_string().contains("another part"), "{error}");
        let mut manifest = wire.manifest.clone();
        manifest[60] ^= 1;
        let flipped = WireAcknowledgement { manifest, ..wire };
        assert_eq!(flipped.into_acknowledgement().unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
