//! What goes from node to node. Between subtasks: in order, after some time. From and to the coordinator: late, in any order,
//! twice, or never.

use super::super::control::Message;
use super::super::{Control, Listener, Order};
use super::world::{HEAVEN, Node, sleep, spawn, world};
use super::{Event, Feed};
use crate::checkpoint::coordinator::{Cause, Kind, Subtask};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use std::collections::BTreeSet;

/// How bad the network of a seed is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// One of so many words of the coordinator's and to it is lost; 0: none.
    pub(super) loses_one_in: u64,
    /// One of so many comes twice; 0: none.
    pub(super) doubles_one_in: u64,
    /// It takes up to so long.
    pub(super) takes_us: u64,
}

impl Weather {
    /// Calls `deliver` at some time, or some times.
    fn carry(self, deliver: impl Fn() + Clone + 'static) {
        let world = world();
        if !world.is_calm.get() && world.one_in(self.loses_one_in) {
            return;
        }
        let times = if world.one_in(self.doubles_one_in) { 2 } else { 1 };
        for _ in 0..times {
            let takes_us = world.draw(1..self.takes_us);
            // Where every checkpoint fails, no job goes on: there must be an end of that.
            let takes_us = if world.is_calm.get() { takes_us.min(50) } else { takes_us };
            let deliver = deliver.clone();
            spawn(HEAVEN, async move {
                sleep(takes_us).await;
                deliver();
            });
        }
    }
}

/// A way from a subtask on `node` to the coordinator behind `to`.
pub(super) fn control(node: Node, to: Control, weather: Weather) -> Control {
    let (near, mut said) = Control::new();
    spawn(node, async move {
        while let Some(message) = said.next().await {
            let to = to.clone();
            match message {
                Message::Acknowledged { checkpoint, acknowledgement } => weather.carry(move || {
                    world().note("acknowledged", checkpoint);
                    to.acknowledge(checkpoint, (*acknowledgement).clone());
                }),
                Message::Declined { checkpoint, subtask, why } => weather.carry(move || {
                    world().note("declined", checkpoint);
                    to.decline(checkpoint, subtask, why.clone());
                }),
                Message::Requested(_) => unreachable!("subtasks ask for nothing"),
            }
        }
    });
    near
}

/// A channel of the stream to `to`, which calls it `channel`.
pub(super) fn link(
    channel: usize,
    to: UnboundedSender<Feed>,
    takes_us: u64,
) -> UnboundedSender<Event> {
    let (from, mut sent) = unbounded();
    spawn(HEAVEN, async move {
        while let Some(event) = sent.next().await {
            let takes_us = world().draw(0..takes_us);
            sleep(takes_us).await;
            if to.unbounded_send(Feed::Stream(channel, event)).is_err() {
                return;
            }
        }
    });
    from
}

/// The coordinator's words to the sources, and to all.
pub(super) struct Wires {
    pub(super) sources: Vec<UnboundedSender<Feed>>,
    pub(super) counters: Vec<UnboundedSender<Feed>>,
    pub(super) all: Vec<UnboundedSender<Feed>>,
    pub(super) weather: Weather,
}

impl Wires {
    fn tell(&self, to: &[UnboundedSender<Feed>], feed: &Feed) {
        for to in to {
            let (to, feed) = (to.clone(), feed.clone());
            self.weather.carry(move || drop(to.unbounded_send(feed.clone())));
        }
    }
}

impl Listener for Wires {
    fn triggered(&mut self, order: &Order) {
        world().note("triggered", order.checkpoint);
        let feed = Feed::Trigger(order.clone());
        self.tell(&self.sources, &feed);
        // Once all sources have ended, who is behind them is where barriers begin.
        if !order.subtasks.iter().any(|subtask| subtask.operator == 0) {
            self.tell(&self.counters, &feed);
        }
    }

    fn completed(&mut self, checkpoint: u64, kind: Kind, ended: &BTreeSet<Subtask>) {
        world().note("completed", checkpoint);
        self.tell(&self.all, &Feed::Completed(checkpoint, kind, ended.clone()));
    }

    fn aborted(&mut self, checkpoint: u64, cause: &Cause) {
        // No subtask builds on what the owner may have given up by then.
        assert!(!cause.to_string().contains("nor reached by a retained one"), "{cause}");
        world().note("aborted", format_args!("{checkpoint} {cause}"));
        self.tell(&self.all, &Feed::Aborted(checkpoint));
    }
}
