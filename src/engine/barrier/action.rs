//! What an aligner is told to do, and what it tells its engine to do.

use std::time::Duration;

/// When a subtask captures its state, and what becomes of the records that come meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A channel that has brought its barrier waits for the others; the capture is taken when the last
    /// one has come. It holds what came before the barriers, and nothing else.
    ExactlyOnce {
        /// After so long the checkpoint goes on as an [unaligned](Mode::Unaligned) one: what slows the
        /// stream down does not slow its checkpoints down for longer than that. `None`: never.
        timeout: Option<Duration>,
    },
    /// No channel waits; the capture is taken when the last barrier has come. It holds what came before
    /// the barriers and some of what came behind them, which a restart processes again.
    AtLeastOnce,
    /// No channel waits; the capture is taken when the first barrier comes, or is
    /// [announced](super::Aligner::announce). Records that other channels bring before their barriers are
    /// in flight: they are handed over with [`Aligned`], belong into the snapshot, and are processed first
    /// of all when it is restored.
    Unaligned,
}

/// How much an aligner may hold, in all channels together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records that wait in memory. Once there are as many, channels that wait are
    /// [stopped](Action::Stop), or spilled if the aligner [can](super::Aligner::spilling). 0 stops a channel
    /// as soon as it waits.
    pub buffered_len_bytes_max: u64,
    /// Bytes of the file that records are spilled to; once it has as many, channels that wait are stopped.
    pub spilled_len_bytes_max: u64,
    /// Bytes of in-flight records of one checkpoint; with more it is aborted.
    pub in_flight_len_bytes_max: u64,
    /// How many checkpoints wait for barriers at once; at more the oldest is aborted.
    pub pending_max: usize,
}

impl Default for Limits {
    /// 64 MiB in memory, 4 GiB in a file, 256 MiB in flight, 16 checkpoints.
    fn default() -> Self {
        Self {
            buffered_len_bytes_max: 64 << 20,
            spilled_len_bytes_max: 4 << 30,
            in_flight_len_bytes_max: 256 << 20,
            pending_max: 16,
        }
    }
}

/// What the engine does next. Actions count in the order that they come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<R> {
    /// Process a record.
    Process {
        /// Where it came from.
        channel: usize,
        /// The record.
        record: R,
    },
    /// Capture the subtask's state as it is now, and send the barrier to whoever is downstream, in front of
    /// the next record.
    Capture {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// All barriers of a checkpoint have come: what its capture and these in-flight records hold is
    /// this subtask's part of it, to be written and acknowledged.
    Aligned(Aligned<R>),
    /// A checkpoint that was begun, or cancelled before that, comes to nothing: set its capture aside, if there
    /// is one, and send the cancellation downstream.
    Aborted {
        /// The checkpoint.
        checkpoint: u64,
        /// Why.
        reason: AbortReason,
        /// Whether its [`Action::Capture`] was given before.
        captured: bool,
    },
    /// Take no more from a channel. Records that are under way already may still be given.
    Stop {
        /// The channel.
        channel: usize,
    },
    /// Take from a channel again, which had been stopped.
    Resume {
        /// The channel.
        channel: usize,
    },
    /// A channel has ended, and all that it brought was handed out.
    Ended {
        /// The channel.
        channel: usize,
    },
}

/// A checkpoint whose barriers have all come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aligned<R> {
    /// The checkpoint.
    pub checkpoint: u64,
    /// Records that were processed after the capture and came before their channel's barrier, each with
    /// its channel, in the order in which they were processed; none where the checkpoint was not unaligned.
    pub in_flight: Vec<(usize, R)>,
    /// How it went.
    pub stats: AlignmentStats,
}

/// Why a checkpoint was aborted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbortReason {
    /// It was [cancelled](super::Aligner::cancel).
    Cancelled,
    /// A channel brought the barrier of this newer checkpoint and never that one's, which it will not bring.
    Overtaken(u64),
    /// More bytes of records were in flight than [`Limits::in_flight_len_bytes_max`].
    TooMuchInFlight,
    /// More checkpoints waited for barriers than [`Limits::pending_max`].
    TooManyPending,
}

/// How the alignment of a checkpoint went. Bytes are those that the engine said of each record; of one that
/// was spilled, as many as in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlignmentStats {
    /// From the first barrier, or its announcement, to the last one.
    pub time: Duration,
    /// From the first barrier to the capture.
    pub capture_delay: Duration,
    /// Whether the capture was taken before the last barrier came.
    pub is_unaligned: bool,
    /// Records that were held back in channels that waited.
    pub buffered_records: u64,
    /// Their bytes.
    pub buffered_len_bytes: u64,
    /// Records that were processed in between.
    pub processed_records: u64,
    /// Their bytes.
    pub processed_len_bytes: u64,
    /// Records that were in flight.
    pub in_flight_records: u64,
    /// Their bytes.
    pub in_flight_len_bytes: u64,
}
