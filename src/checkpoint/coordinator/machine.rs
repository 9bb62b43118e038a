//! The coordinator as a state machine: facts in, actions out.

use super::{
    Cause, CheckpointStats, CoordinatorSettings, History, Kind, Outcome, Subtask, SubtaskStats,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// What the driver observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Time has passed: due at [`Coordinator::wake_at_ms`], and harmless at any other time.
    Tick,
    /// Someone asks for a snapshot; `request` is their name for it.
    Requested {
        /// What [`Action::Answer`] will call it.
        request: u64,
        /// What is asked for.
        kind: Kind,
    },
    /// A subtask's share is durable.
    Acknowledged {
        /// Of which checkpoint.
        checkpoint: u64,
        /// Whose.
        subtask: Subtask,
        /// Whether the subtask has read all its inputs, so that it may end once this is complete.
        is_last: bool,
        /// What it took.
        stats: SubtaskStats,
    },
    /// A subtask cannot take part.
    Declined {
        /// In which checkpoint.
        checkpoint: u64,
        /// Which one.
        subtask: Subtask,
        /// Why.
        why: String,
    },
    /// What [`Action::Publish`] asked for is durable, without doubt.
    Published {
        /// Which one.
        checkpoint: u64,
    },
    /// What [`Action::Publish`] asked for failed, and will never come to be.
    NotPublished {
        /// Which one.
        checkpoint: u64,
        /// Why.
        why: String,
    },
    /// The job begins anew, from the last complete checkpoint, with these subtasks. Whatever was to be
    /// published was settled before: what is still on its way could come to be complete, and the job
    /// would have begun from an older one.
    Restarted {
        /// All subtasks.
        subtasks: BTreeSet<Subtask>,
    },
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Barriers of `checkpoint` are to be sent from all sources, and these subtasks to acknowledge it.
    Trigger {
        /// Its number.
        checkpoint: u64,
        /// What it is.
        kind: Kind,
        /// Whose request it is, if it was asked for.
        request: Option<u64>,
        /// Whom it waits for: all but those that have ended.
        subtasks: BTreeSet<Subtask>,
    },
    /// All have acknowledged it: write its manifest, and the record that publishes it. One at a time.
    Publish {
        /// Which one.
        checkpoint: u64,
        /// What it is.
        kind: Kind,
    },
    /// Tell subtasks and listeners that it is complete.
    Completed {
        /// Which one.
        checkpoint: u64,
        /// What it is.
        kind: Kind,
        /// Subtasks that have ended with it: each may go once it has acknowledged, or declined, what it
        /// was told of before this. Later checkpoints name its part again.
        ended: BTreeSet<Subtask>,
    },
    /// Tell subtasks and listeners that it is given up; its files are swept.
    Aborted {
        /// Which one.
        checkpoint: u64,
        /// Why.
        cause: Cause,
    },
    /// A subtask's word came of one that was given up: its files are there now, and are swept.
    Sweep,
    /// The answer to a [request](Fact::Requested).
    Answer {
        /// Which one.
        request: u64,
        /// The number of the complete snapshot; of a newer one if that was there first.
        answer: Result<u64, Refusal>,
    },
    /// More checkpoints in a row failed than are tolerated: the job is to begin anew.
    Fail {
        /// Why the last of them did.
        cause: Cause,
    },
    /// The savepoint is complete after which the job stops.
    Stop {
        /// Its number.
        checkpoint: u64,
    },
    /// All subtasks have ended, and a complete checkpoint holds what they left.
    Finish,
}

/// Why there is no snapshot of those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was given up.
    Aborted(Cause),
    /// The job does not run any more, or not yet again.
    NotRunning,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted(cause) => cause.fmt(f),
            Self::NotRunning => f.write_str("the job does not run"),
        }
    }
}

/// One that is in flight.
#[derive(Debug, Clone)]
struct Pending {
    request: Option<u64>,
    waits_for: BTreeSet<Subtask>,
    /// Those for which it is the last.
    ended: BTreeSet<Subtask>,
    stats: CheckpointStats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// A savepoint is under way after which it stops.
    Stopping,
    /// It runs again by [`Fact::Restarted`], or never.
    Ended,
}

/// Decides about a job's checkpoints. Every decision is a function of the facts so far, and the times of
/// these: there is no clock and no I/O in it. A step costs what is in flight.
///
/// ```
/// use esker::checkpoint::coordinator::*;
/// # use std::collections::BTreeSet;
/// let settings = CoordinatorSettings { interval_ms: 1000, ..Default::default() };
/// let subtask = Subtask { operator: 0, subtask: 0 };
/// let mut coordinator = Coordinator::new(settings, [subtask].into(), 7, 0);
/// assert_eq!(coordinator.wake_at_ms(), Some(1000));
/// let actions = coordinator.step(1000, Fact::Tick);
/// assert!(matches!(actions[..], [Action::Trigger { checkpoint: 8, .. }]));
/// let stats = SubtaskStats::default();
/// let fact = Fact::Acknowledged { checkpoint: 8, subtask, is_last: false, stats };
/// assert!(matches!(coordinator.step(1010, fact)[..], [Action::Publish { checkpoint: 8, .. }]));
/// let actions = coordinator.step(1020, Fact::Published { checkpoint: 8 });
/// assert!(matches!(actions[..], [Action::Completed { checkpoint: 8, .. }]));
/// ```
#[derive(Debug, Clone)]
pub struct Coordinator {
    settings: CoordinatorSettings,
    phase: Phase,
    running: BTreeSet<Subtask>,
    /// The last number that was given.
    last: u64,
    in_flight: BTreeMap<u64, Pending>,
    publishing: Option<u64>,
    requests: VecDeque<(u64, Kind)>,
    /// Since when the interval, and the pause, count.
    triggered_ms: u64,
    ended_ms: Option<u64>,
    /// How many failed in a row.
    failures: u32,
    history: History,
}

impl Coordinator {
    /// Of a job with these subtasks, whose checkpoints have numbers above `last`.
    pub fn new(
        settings: CoordinatorSettings,
        subtasks: BTreeSet<Subtask>,
        last: u64,
        now_ms: u64,
    ) -> Self {
        Self {
            history: History::new(settings.history_len),
            settings,
            phase: Phase::Running,
            running: subtasks,
            last,
            in_flight: BTreeMap::new(),
            publishing: None,
            requests: VecDeque::new(),
            triggered_ms: now_ms,
            ended_ms: None,
            failures: 0,
        }
    }

    /// Those that ended.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Those that are under way, by number.
    pub fn in_flight(&self) -> impl Iterator<Item = &CheckpointStats> {
        self.in_flight.values().map(|pending| &pending.stats)
    }

    /// The subtasks that have not ended.
    pub fn running(&self) -> &BTreeSet<Subtask> {
        &self.running
    }

    /// When [`Fact::Tick`] is due, if nothing else happens before: a checkpoint, or the end of its time.
    pub fn wake_at_ms(&self) -> Option<u64> {
        let timeouts = self.in_flight.iter().filter(|(at, _)| self.publishing != Some(**at));
        let timeouts = timeouts.map(|(_, pending)| self.timeout_ms(pending));
        let due = self.due_ms().filter(|_| self.may_trigger());
        timeouts.chain(due).min()
    }

    /// What follows from `fact`, observed at `now_ms`, which never goes back.
    pub fn step(&mut self, now_ms: u64, fact: Fact) -> Vec<Action> {
        let mut actions = Vec::new();
        match fact {
            Fact::Tick => {}
            Fact::Requested { request, kind }
                if self.phase == Phase::Running && !self.running.is_empty() =>
            {
                self.requests.push_back((request, kind));
            }
            Fact::Requested { request, .. } => {
                actions.push(Action::Answer { request, answer: Err(Refusal::NotRunning) });
            }
            Fact::Acknowledged { checkpoint, subtask, is_last, stats } => {
                self.acknowledged(now_ms, checkpoint, (subtask, is_last, stats), &mut actions);
            }
            Fact::Declined { checkpoint, subtask, why } => {
                let waits = |pending: &Pending| pending.waits_for.contains(&subtask);
                if self.in_flight.get(&checkpoint).is_some_and(waits) {
                    let cause = Cause::Declined { subtask, why };
                    self.abort(now_ms, checkpoint, cause, &mut actions);
                } else if !self.in_flight.contains_key(&checkpoint) {
                    actions.push(Action::Sweep);
                }
            }
            Fact::Published { checkpoint } => self.published(now_ms, checkpoint, &mut actions),
            Fact::NotPublished { checkpoint, why } => {
                if self.publishing == Some(checkpoint) {
                    self.publishing = None;
                    self.abort(now_ms, checkpoint, Cause::NotPublished { why }, &mut actions);
                }
            }
            Fact::Restarted { subtasks } => {
                self.abort_all(now_ms, &Cause::Restarted, &mut actions);
                // Of one that is being published: others have the names of those now.
                self.in_flight.values_mut().for_each(|pending| pending.ended.clear());
                (self.phase, self.running, self.failures) = (Phase::Running, subtasks, 0);
                self.triggered_ms = now_ms;
            }
        }
        self.advance(now_ms, &mut actions);
        actions
    }

    fn acknowledged(
        &mut self,
        now_ms: u64,
        checkpoint: u64,
        (subtask, is_last, stats): (Subtask, bool, SubtaskStats),
        actions: &mut Vec<Action>,
    ) {
        let Some(pending) = self.in_flight.get_mut(&checkpoint) else {
            // That one may be complete, and this said twice: a sweep does no harm then.
            actions.push(Action::Sweep);
            return;
        };
        if !pending.waits_for.remove(&subtask) {
            return;
        }
        pending.stats.subtasks.insert(subtask, (now_ms, stats));
        if is_last && !pending.stats.kind.is_savepoint() {
            pending.ended.insert(subtask);
        }
    }

    fn published(&mut self, now_ms: u64, checkpoint: u64, actions: &mut Vec<Action>) {
        if self.publishing != Some(checkpoint) {
            return;
        }
        self.publishing = None;
        let Some(pending) = self.in_flight.remove(&checkpoint) else { return };
        let Pending { request, ended, stats, .. } = pending;
        let kind = stats.kind;
        self.end(now_ms, stats, Outcome::Completed);
        if !kind.is_savepoint() {
            self.failures = 0;
            // A checkpoint's number is above those of all that were published.
            let is_older = |(at, pending): (&u64, &Pending)| {
                (*at < checkpoint && !pending.stats.kind.is_savepoint()).then_some(*at)
            };
            let older: Vec<u64> = self.in_flight.iter().filter_map(is_older).collect();
            for older in older {
                self.abort(now_ms, older, Cause::Subsumed { by: checkpoint }, actions);
            }
            self.running.retain(|subtask| !ended.contains(subtask));
        }
        actions.push(Action::Completed { checkpoint, kind, ended });
        actions.extend(request.map(|request| Action::Answer { request, answer: Ok(checkpoint) }));
        match kind {
            Kind::Stop { .. } => {
                self.abort_all(now_ms, &Cause::Ended, actions);
                self.close(actions);
                actions.push(Action::Stop { checkpoint });
            }
            _ if self.running.is_empty() && self.phase == Phase::Running => {
                self.abort_all(now_ms, &Cause::Ended, actions);
                self.close(actions);
                actions.push(Action::Finish);
            }
            _ => {}
        }
    }

    fn abort(&mut self, now_ms: u64, checkpoint: u64, cause: Cause, actions: &mut Vec<Action>) {
        // What is on its way to be published may come to be: that is not given up.
        if self.publishing == Some(checkpoint) {
            return;
        }
        let Some(pending) = self.in_flight.remove(&checkpoint) else { return };
        let kind = pending.stats.kind;
        self.end(now_ms, pending.stats, Outcome::Aborted(cause.clone()));
        actions.push(Action::Aborted { checkpoint, cause: cause.clone() });
        if let Some(request) = pending.request {
            // Who asked for one is as well served by a newer one.
            let answer = match &cause {
                Cause::Subsumed { by } => Ok(*by),
                cause => Err(Refusal::Aborted(cause.clone())),
            };
            actions.push(Action::Answer { request, answer });
        }
        if matches!(kind, Kind::Stop { .. }) && self.phase == Phase::Stopping {
            self.phase = Phase::Running;
        }
        if !cause.is_failure() || kind.is_savepoint() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > self.settings.tolerated_failures && self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.abort_all(now_ms, &Cause::Ended, actions);
            self.close(actions);
            actions.push(Action::Fail { cause });
        }
    }

    fn abort_all(&mut self, now_ms: u64, cause: &Cause, actions: &mut Vec<Action>) {
        let all: Vec<u64> = self.in_flight.keys().copied().collect();
        for checkpoint in all {
            self.abort(now_ms, checkpoint, cause.clone(), actions);
        }
    }

    /// Triggers nothing any more.
    fn close(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Ended;
        for (request, _) in self.requests.drain(..) {
            actions.push(Action::Answer { request, answer: Err(Refusal::NotRunning) });
        }
    }

    fn end(&mut self, now_ms: u64, stats: CheckpointStats, outcome: Outcome) {
        self.ended_ms = Some(now_ms);
        self.history.push(CheckpointStats { ended_ms: Some(now_ms), outcome, ..stats });
    }

    /// What is due: the end of what took too long, the next one to publish, the next ones to trigger.
    fn advance(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let is_late =
            |(at, pending): (&u64, &Pending)| (self.timeout_ms(pending) <= now_ms).then_some(*at);
        let late: Vec<u64> = self.in_flight.iter().filter_map(is_late).collect();
        for checkpoint in late {
            self.abort(now_ms, checkpoint, Cause::Timeout, actions);
        }
        if self.publishing.is_none() {
            let mut complete = self.in_flight.iter().filter(|(_, p)| p.waits_for.is_empty());
            if let Some((checkpoint, pending)) = complete.next() {
                let (checkpoint, kind) = (*checkpoint, pending.stats.kind);
                self.publishing = Some(checkpoint);
                actions.push(Action::Publish { checkpoint, kind });
            }
        }
        while self.may_trigger() {
            if let Some((request, kind)) = self.requests.pop_front() {
                self.trigger(now_ms, kind, Some(request), actions);
            } else if self.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                self.trigger(now_ms, Kind::Checkpoint, None, actions);
            } else {
                break;
            }
        }
    }

    fn trigger(
        &mut self,
        now_ms: u64,
        kind: Kind,
        request: Option<u64>,
        actions: &mut Vec<Action>,
    ) {
        self.last += 1;
        let (checkpoint, subtasks) = (self.last, self.running.clone());
        if matches!(kind, Kind::Stop { .. }) {
            self.phase = Phase::Stopping;
        }
        if kind == Kind::Checkpoint {
            self.triggered_ms = now_ms;
        }
        let stats = CheckpointStats::new(checkpoint, kind, request.is_some(), now_ms);
        let (waits_for, ended) = (subtasks.clone(), BTreeSet::new());
        self.in_flight.insert(checkpoint, Pending { request, waits_for, ended, stats });
        actions.push(Action::Trigger { checkpoint, kind, request, subtasks });
    }

    /// Whether another one may be under way now. What stops the job waits until it is alone: nothing is to
    /// come after it.
    fn may_trigger(&self) -> bool {
        let in_flight = self.in_flight.len();
        let max = usize::try_from(self.settings.concurrent_max).unwrap_or(usize::MAX);
        let is_stop = matches!(self.requests.front(), Some((_, Kind::Stop { .. })));
        let max = if is_stop { 1 } else { max };
        self.phase == Phase::Running && !self.running.is_empty() && in_flight < max
    }

    /// When the next periodic one is due.
    fn due_ms(&self) -> Option<u64> {
        if self.settings.interval_ms == 0 {
            return None;
        }
        let due_ms = self.triggered_ms.saturating_add(self.settings.interval_ms);
        let paused = self.ended_ms.map(|ended| ended.saturating_add(self.settings.min_pause_ms));
        Some(due_ms.max(paused.unwrap_or_default()))
    }

    fn timeout_ms(&self, pending: &Pending) -> u64 {
        pending.stats.triggered_ms.saturating_add(self.settings.timeout_ms)
    }
}
