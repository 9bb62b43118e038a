//! Barriers aligned, for engines that push records through subtasks with several inputs.
//!
//! A checkpoint of a whole job is consistent if all its subtasks agree on which records it holds the effects of.
//! Sources put a **barrier** with the checkpoint's number between two records, and every subtask hands it
//! on: what comes before it belongs into the checkpoint, what comes behind it does not. A subtask with one input
//! captures its state when the barrier comes. One with several gets the same barrier from each at
//! another time; what it does until the last one has come is decided here, by [`Aligner`]: a state machine
//! without I/O (but for records that it may [spill](Aligner::spilling)) and without a clock, to which an engine tells
//! what its channels bring, and which says what to process, when to capture, and what came of each checkpoint.
//!
//! | [`Mode`] | channels wait | captured at | a restart processes |
//! |---|---|---|---|
//! | `ExactlyOnce` | for the last barrier | the last barrier | what came behind the barriers |
//! | `ExactlyOnce` with a timeout | so long at most | the last barrier, or then | as below, if it came to that |
//! | `Unaligned` | never | the first barrier | what was [in flight](InFlight), then what came behind |
//! | `AtLeastOnce` | never | the last barrier | what came behind, some of it a second time |
//!
//! **Several checkpoints** can be under way. Where channels wait, a newer barrier on one that does waits too,
//! behind the records before it. Elsewhere checkpoints wait for their barriers side by side. A channel
//! that brings a newer barrier first will never bring the older one, somebody upstream has given that
//! checkpoint up: it is aborted here as well ([`AbortReason::Overtaken`]), and its barriers on other channels
//! are ignored, as are those of [cancelled](Aligner::cancel) checkpoints and those that come twice. A
//! checkpoint that an [announcement](Aligner::announce) begins makes older ones late that have not begun. A channel
//! that [ends](Aligner::end) counts as if it had brought every barrier.
//!
//! **What waits is bounded** ([`Limits`]): the engine is told to take no more from a channel, which is
//! what holds its sender back, or records go to a file up to another limit.
//!
//! **Records in flight** are those that an unaligned checkpoint found between its first barrier and its last. They
//! are state of the snapshot: [`InFlight`] keeps those of a keyed exchange by key, so that they are restored
//! where their keys are, at any parallelism; [`UnkeyedInFlight`] deals out the others.
//!
//! # An engine's loop
//!
//! A subtask counts what two channels bring. The second one is slower: its barrier comes late, and the
//! checkpoint does not wait for it.
//!
//! ```
//! use esker::backend::{Backend, heap::HeapBackend};
//! use esker::engine::barrier::{Action, Aligner, InFlight, Limits, Mode, in_flight_uid};
//! use esker::format::KeyGroupRange;
//! use esker::state::ValueDescriptor;
//! use std::time::Duration;
//!
//! enum Event {
//!     Record(&'static str),
//!     Barrier(u64),
//! }
//! use Event::*;
//!
//! let mut backend = HeapBackend::new("carriers", KeyGroupRange::ALL);
//! let flights = backend.open(ValueDescriptor::<String, u64>::new("flights"))?;
//! let in_flight = HeapBackend::new(in_flight_uid("carriers", true), KeyGroupRange::ALL);
//! let mut in_flight = InFlight::<_, String, ()>::new(in_flight)?;
//!
//! // What arrives, in this order: the channel, and what it brings.
//! let arrivals = [
//!     (0, Record("UA")), (0, Barrier(1)), (1, Record("AA")), (0, Record("UA")), (1, Barrier(1)), (1, Record("AA")),
//! ];
//! let mut aligner = Aligner::new(2, Mode::Unaligned, Limits::default())?;
//! let (mut captured, mut acknowledged) = (None, Vec::new());
//! for (ms, (channel, event)) in (0..).zip(arrivals) {
//!     match event {
//!         Record(carrier) => aligner.record(channel, carrier, carrier.len() as u64)?,
//!         Barrier(checkpoint) => aligner.barrier(channel, checkpoint, Duration::from_millis(ms))?,
//!     }
//!     while let Some(action) = aligner.next_action()? {
//!         match action {
//!             Action::Process { record, .. } => {
//!                 let count = backend.state(flights)?;
//!                 count.rmw(&record.to_owned(), &(), |n| *n = Some(n.unwrap_or(0) + 1))?;
//!             }
//!             // And the barrier goes on to whoever is downstream.
//!             Action::Capture { .. } => captured = Some(backend.capture()?),
//!             Action::Aligned(aligned) => {
//!                 let records = aligned.in_flight.iter().map(|(_, record)| (record.to_string(), ()));
//!                 let records = in_flight.capture(records)?;
//!                 // Written as the parts of two operators, then acknowledged.
//!                 acknowledged.push((aligned.checkpoint, captured.take(), records));
//!             }
//!             Action::Aborted { .. } => captured = None,
//!             Action::Stop { .. } | Action::Resume { .. } | Action::Ended { .. } => {}
//!         }
//!     }
//! }
//! // One flight was counted before the first barrier came, and one was in flight.
//! let (checkpoint, state, records) = &acknowledged[0];
//! let state = state.as_ref().map(|captures| captures[0].entries());
//! assert_eq!((*checkpoint, state, records[0].entries()), (1, Some(1), 1));
//! assert_eq!(backend.state(flights)?.get(&"AA".into(), &())?, Some(2));
//! # Ok::<(), esker::Error>(())
//! ```
//!
//! A capture that is dropped without being written holds changes that no later one has: a
//! [`Lineage`](crate::snapshot::Lineage) is to be told, by `set_aside`. After a restore what
//! [`InFlight::replay`] gives is processed before anything else. Watermarks and other events that
//! must not pass records are records for an aligner: those that are not to be kept are left out of
//! what is in flight.
//!
//! # Where this comes from
//!
//! That a consistent picture of a distributed system needs no pause, but markers sent through its channels and
//! the messages that were between them, is Chandy and Lamport's (1985). That a dataflow needs no messages in its
//! picture if inputs wait for each other is how Flink came to take snapshots (Carbone et al., "Lightweight
//! asynchronous snapshots for distributed dataflows", 2015); that under back pressure it is better to go back to
//! keeping them, and to wait for a while first, is what its unaligned checkpoints are (FLIP-76). Here
//! messages belong to keys and not to channels, so that nothing about channels is restored.

mod action;
mod aligner;
mod in_flight;
mod pending;
mod queue;
mod spill;

pub use action::{AbortReason, Action, Aligned, AlignmentStats, Limits, Mode};
pub use aligner::Aligner;
pub use in_flight::{InFlight, UnkeyedInFlight, in_flight_uid};

#[cfg(test)]
mod tests;
