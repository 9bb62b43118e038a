//! The subtasks of the simulated job: sources, and counters with several inputs, each with a sink behind it.

use super::super::{Control, Order, Share, SubtaskCheckpoints};
use super::ledger::Connection;
use super::world::{Node, sleep, spawn, world};
use super::{Event, Feed, Item, Lists, Record, key};
use crate::Result;
use crate::backend::heap::HeapBackend;
use crate::backend::operator::{OperatorBackend, OperatorListState};
use crate::backend::{Backend, Handle};
use crate::engine::TwoPhaseCommit;
use crate::engine::barrier::{Action, Aligned, Aligner, InFlight};
use crate::format::{Key, KeyGroup, KeyGroupRange};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a sink asks its ledger before it leaves a commit to a later word.
const COMMITS_MAX: u32 = 3;

pub(super) struct Source {
    pub(super) node: Node,
    pub(super) checkpoints: SubtaskCheckpoints,
    pub(super) backend: HeapBackend,
    pub(super) operator: OperatorBackend,
    /// Of each partition, the number of its next record.
    pub(super) offsets: Handle<OperatorListState<Record>>,
    pub(super) inbox: UnboundedReceiver<Feed>,
    pub(super) counters: Vec<(KeyGroupRange, UnboundedSender<Event>)>,
    /// In each partition.
    pub(super) records: u64,
    pub(super) pause_us: u64,
}

impl Source {
    pub(super) async fn run(mut self) {
        let mut barrier_last = 0;
        loop {
            let is_last = self.offsets().iter().all(|(_, next)| *next >= self.records);
            let pause_us = world().draw(1..self.pause_us);
            let feed = match is_last {
                true => self.inbox.next().await,
                false => match select(self.inbox.next(), sleep(pause_us)).await {
                    Either::Left((feed, _)) => feed,
                    Either::Right(_) => {
                        self.emit();
                        continue;
                    }
                },
            };
            match feed {
                Some(Feed::Trigger(order))
                    if !order.subtasks.contains(&self.checkpoints.subtask()) =>
                {
                    // It has ended, and was not told.
                    return self.send(&Event::End);
                }
                Some(Feed::Trigger(order)) if order.checkpoint > barrier_last => {
                    barrier_last = order.checkpoint;
                    let (backend, operator) = (&mut self.backend, Some(&self.operator));
                    if let Ok(share) = self.checkpoints.capture(&order, backend, operator) {
                        write(self.node, vec![if is_last { share.last() } else { share }]);
                    }
                    if is_last {
                        self.send(&Event::Item(Item::Last));
                    }
                    self.send(&Event::Barrier(order));
                }
                Some(Feed::Completed(checkpoint, _, ended)) => {
                    self.checkpoints.completed(checkpoint);
                    if ended.contains(&self.checkpoints.subtask()) {
                        return self.send(&Event::End);
                    }
                }
                Some(Feed::Aborted(checkpoint)) => self.checkpoints.aborted(checkpoint),
                // A trigger that comes twice, or late.
                Some(_) => {}
                None => return,
            }
        }
    }

    fn offsets(&mut self) -> Vec<Record> {
        self.operator.state(self.offsets).unwrap().get().to_vec()
    }

    /// The next record of a partition.
    fn emit(&mut self) {
        let mut offsets = self.offsets();
        let behind: Vec<_> = offsets.iter_mut().filter(|(_, next)| *next < self.records).collect();
        let chosen = world().draw(0..behind.len() as u64) as usize;
        let offset = behind.into_iter().nth(chosen).unwrap();
        let record = *offset;
        offset.1 += 1;
        self.operator.state(self.offsets).unwrap().update(offsets);
        let group = key(record).with_encoded(KeyGroup::of);
        let owner = self.counters.iter().find(|(range, _)| range.contains(group)).unwrap();
        let _ = owner.1.unbounded_send(Event::Item(Item::Record(record)));
    }

    fn send(&self, event: &Event) {
        for (_, counter) in &self.counters {
            let _ = counter.unbounded_send(event.clone());
        }
    }
}

/// Writes shares beside the stream.
fn write(node: Node, shares: Vec<Share>) {
    for share in shares {
        spawn(node, async move {
            let _ = share.write().await;
        });
    }
}

/// A counter, the records that are in flight to it, and its sink: three operators in one task.
pub(super) struct Counter {
    pub(super) node: Node,
    pub(super) control: Control,
    /// Of the counter, of the records in flight, and of the sink.
    pub(super) checkpoints: [SubtaskCheckpoints; 3],
    pub(super) backend: HeapBackend,
    pub(super) lists: Lists,
    pub(super) in_flight: InFlight<HeapBackend, u64, Record>,
    pub(super) of_sink: (HeapBackend, OperatorBackend),
    pub(super) sink: TwoPhaseCommit<Connection>,
    pub(super) aligner: Aligner<Item>,
    pub(super) inbox: UnboundedReceiver<Feed>,
    pub(super) channels: usize,
    pub(super) progress: Progress,
}

#[derive(Default)]
pub(super) struct Progress {
    orders: BTreeMap<u64, Order>,
    captured: BTreeMap<u64, Vec<Share>>,
    /// Channels that said they have no more, and those that ended.
    last: BTreeSet<usize>,
    ended: usize,
    /// Orders that came from the coordinator itself, for when there is no channel any more.
    triggers: BTreeMap<u64, Order>,
    captured_last: u64,
}

impl Counter {
    pub(super) async fn run(mut self) {
        if let Err(error) = self.live().await {
            // Whatever goes wrong in a subtask is the end of its node.
            world().note("dies of", error);
            world().kill(self.node);
        }
    }

    async fn live(&mut self) -> Result<()> {
        self.sink.recover(&mut self.of_sink.1).await?;
        for (_, record) in self.in_flight.replay()? {
            self.process(record)?;
        }
        loop {
            let feed = match self.aligner.deadline() {
                None => self.inbox.next().await,
                Some(at) => {
                    let us = (at.as_micros() as u64).saturating_sub(world().now_us());
                    match select(self.inbox.next(), sleep(us)).await {
                        Either::Left((feed, _)) => feed,
                        Either::Right(_) => {
                            self.aligner.tick(now());
                            self.act().await?;
                            continue;
                        }
                    }
                }
            };
            match feed {
                Some(Feed::Stream(channel, event)) => match event {
                    Event::Item(item) => self.aligner.record(channel, item, 8)?,
                    Event::Barrier(order) => {
                        let checkpoint = order.checkpoint;
                        self.progress.orders.insert(checkpoint, order);
                        self.aligner.barrier(channel, checkpoint, now())?;
                    }
                    Event::End => self.aligner.end(channel, now())?,
                },
                Some(Feed::Trigger(order)) => {
                    self.progress.triggers.insert(order.checkpoint, order);
                }
                Some(Feed::Completed(checkpoint, kind, ended)) => {
                    self.checkpoints.iter_mut().for_each(|of| of.completed(checkpoint));
                    for _ in 0..COMMITS_MAX {
                        if self.sink.completed(checkpoint, kind).await.is_ok() {
                            break;
                        }
                    }
                    if self.checkpoints.iter().all(|of| ended.contains(&of.subtask())) {
                        return self.sink.close().await;
                    }
                }
                Some(Feed::Aborted(checkpoint)) => {
                    self.aligner.cancel(checkpoint)?;
                    self.checkpoints.iter_mut().for_each(|of| of.aborted(checkpoint));
                }
                None => return Ok(()),
            }
            self.act().await?;
        }
    }

    async fn act(&mut self) -> Result<()> {
        while let Some(action) = self.aligner.next_action()? {
            match action {
                Action::Process { record: Item::Record(record), .. } => self.process(record)?,
                Action::Process { channel, record: Item::Last } => {
                    self.progress.last.insert(channel);
                }
                Action::Capture { checkpoint } => {
                    let order = self.progress.orders.get(&checkpoint).unwrap().clone();
                    let is_last = self.progress.last.len() == self.channels;
                    let shares = self.capture(&order, is_last).await;
                    self.progress.captured.insert(checkpoint, shares);
                }
                Action::Aligned(Aligned { checkpoint, in_flight, .. }) => {
                    let order = self.progress.orders.remove(&checkpoint).unwrap();
                    let shares = self.progress.captured.remove(&checkpoint).unwrap();
                    let is_last = self.progress.last.len() == self.channels && in_flight.is_empty();
                    let records = in_flight.into_iter().filter_map(|(_, item)| match item {
                        Item::Record(record) => Some(record),
                        Item::Last => None,
                    });
                    self.finish(&order, shares, records.collect(), is_last)?;
                }
                Action::Aborted { checkpoint, captured, reason } => {
                    self.progress.captured.remove(&checkpoint);
                    self.progress.orders.remove(&checkpoint);
                    if !captured {
                        self.decline(checkpoint, format!("{reason:?}"));
                    }
                }
                Action::Ended { .. } => self.progress.ended += 1,
                Action::Stop { .. } | Action::Resume { .. } => {}
            }
        }
        // Nothing flows to it any more: the coordinator's word is the barrier.
        while self.progress.ended == self.channels
            && let Some((checkpoint, order)) = self.progress.triggers.pop_first()
        {
            if checkpoint > self.progress.captured_last {
                let shares = self.capture(&order, true).await;
                self.finish(&order, shares, Vec::new(), true)?;
            }
        }
        Ok(())
    }

    fn process(&mut self, record: Record) -> Result<()> {
        self.backend.state(self.lists)?.append(&key(record), &(), record)?;
        let (connection, id) = self.sink.current()?;
        connection.written.entry(*id).or_default().push(record);
        Ok(())
    }

    /// What the counter and the sink have; nothing where that is declined.
    async fn capture(&mut self, order: &Order, is_last: bool) -> Vec<Share> {
        let number = order.checkpoint;
        self.progress.captured_last = number;
        if let Err(error) = self.sink.pre_commit(number, &mut self.of_sink.1).await {
            self.decline(number, error.to_string());
            return Vec::new();
        }
        let [counter, _, sink] = &mut self.checkpoints;
        let (backend, operator) = &mut self.of_sink;
        let shares = [
            counter.capture(order, &mut self.backend, None),
            sink.capture(order, backend, Some(operator)),
        ];
        let shares: Result<Vec<_>> = shares.into_iter().collect();
        let shares = shares.unwrap_or_default().into_iter();
        shares.map(|share| if is_last { share.last() } else { share }).collect()
    }

    fn finish(
        &mut self,
        order: &Order,
        mut shares: Vec<Share>,
        in_flight: Vec<Record>,
        is_last: bool,
    ) -> Result<()> {
        if shares.is_empty() {
            return Ok(());
        }
        self.in_flight.hold(in_flight.into_iter().map(|record| (key(record), record)))?;
        let share = self.checkpoints[1].capture(order, self.in_flight.backend(), None)?;
        self.in_flight.clear()?;
        shares.push(if is_last { share.last() } else { share });
        write(self.node, shares);
        Ok(())
    }

    fn decline(&self, checkpoint: u64, why: String) {
        self.control.decline(checkpoint, self.checkpoints[0].subtask(), why);
    }
}

fn now() -> Duration {
    Duration::from_micros(world().now_us())
}
