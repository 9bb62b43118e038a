//! Random interleavings of facts: whatever comes in whichever order, what the coordinator promises holds.
//! `ESKER_SOAK` says how many of a million are walked through.

use super::*;
use esker_test_support::soak::{self, Random};
use std::collections::{BTreeMap, BTreeSet};

/// Facts of one walk.
const STEPS: u64 = 40;

/// What was seen of one checkpoint.
#[derive(Debug)]
struct Seen {
    kind: Kind,
    request: bool,
    triggered_ms: u64,
    waits_for: BTreeSet<Subtask>,
    last: BTreeSet<Subtask>,
}

/// Checks every action against what was seen before it.
#[derive(Debug)]
struct Checker {
    settings: CoordinatorSettings,
    now_ms: u64,
    running: BTreeSet<Subtask>,
    in_flight: BTreeMap<u64, Seen>,
    publishing: Option<u64>,
    given_up: Vec<u64>,
    completed: Vec<u64>,
    last: u64,
    last_checkpoint: u64,
    /// When the last one was triggered, and when the last one ended.
    triggered_ms: u64,
    ended_ms: Option<u64>,
    failures: u32,
    /// Those that wait to be triggered.
    asked: BTreeMap<u64, Kind>,
    /// Those that ended and were not answered yet.
    due_answers: u64,
    ends: bool,
    stops: bool,
}

/// How often each thing happened, so that a walk through nothing proves nothing.
type Counts = BTreeMap<&'static str, u64>;

impl Checker {
    fn action(&mut self, action: &Action, counts: &mut Counts) {
        match action {
            Action::Trigger { checkpoint, kind, request, subtasks } => {
                assert!(!self.ends && !self.stops);
                assert!(*checkpoint > self.last, "numbers ascend");
                assert_eq!(subtasks, &self.running);
                assert!(!subtasks.is_empty());
                assert!((self.in_flight.len() as u32) < self.settings.concurrent_max);
                match request {
                    Some(request) => assert_eq!(self.asked.remove(request), Some(*kind)),
                    None => {
                        assert_eq!(*kind, Kind::Checkpoint);
                        assert!(self.settings.interval_ms > 0);
                        assert!(self.now_ms >= self.triggered_ms + self.settings.interval_ms);
                        let pause = self.settings.min_pause_ms;
                        assert!(self.ended_ms.is_none_or(|ended| self.now_ms >= ended + pause));
                    }
                }
                if matches!(kind, Kind::Stop { .. }) {
                    assert!(self.in_flight.is_empty(), "nothing comes after what stops");
                    self.stops = true;
                }
                if *kind == Kind::Checkpoint {
                    self.triggered_ms = self.now_ms;
                }
                self.last = *checkpoint;
                let seen = Seen {
                    kind: *kind,
                    request: request.is_some(),
                    triggered_ms: self.now_ms,
                    waits_for: subtasks.clone(),
                    last: BTreeSet::new(),
                };
                self.in_flight.insert(*checkpoint, seen);
                *counts.entry("triggered").or_default() += 1;
            }
            Action::Publish { checkpoint, kind } => {
                assert_eq!(self.publishing.replace(*checkpoint), None, "one at a time");
                let seen = &self.in_flight[checkpoint];
                assert_eq!(seen.kind, *kind);
                assert!(seen.waits_for.is_empty(), "all have acknowledged it");
                assert!(kind.is_savepoint() || *checkpoint > self.last_checkpoint);
            }
            Action::Completed { checkpoint, kind, ended } => {
                // The driver's word came before.
                assert_eq!(self.completed.last(), Some(checkpoint));
                let seen = self.in_flight.remove(checkpoint).unwrap();
                assert_eq!(seen.kind, *kind);
                assert_eq!(ended, &seen.last);
                self.due_answers += u64::from(seen.request);
                if !kind.is_savepoint() {
                    assert!(
                        self.in_flight
                            .iter()
                            .all(|(at, of)| of.kind.is_savepoint() || at > checkpoint)
                    );
                    self.running.retain(|subtask| !ended.contains(subtask));
                    (self.failures, self.last_checkpoint) = (0, *checkpoint);
                }
                self.ended_ms = Some(self.now_ms);
                *counts.entry("completed").or_default() += 1;
            }
            Action::Aborted { checkpoint, cause } => {
                assert_ne!(self.publishing, Some(*checkpoint));
                let seen = self.in_flight.remove(checkpoint).expect("it was in flight, and once");
                match cause {
                    Cause::Timeout => {
                        assert!(self.now_ms >= seen.triggered_ms + self.settings.timeout_ms);
                        *counts.entry("timeout").or_default() += 1;
                    }
                    Cause::Subsumed { by } => {
                        assert!(by > checkpoint && self.completed.last() == Some(by));
                        *counts.entry("subsumed").or_default() += 1;
                    }
                    _ => {}
                }
                if cause.is_failure() && !seen.kind.is_savepoint() {
                    self.failures += 1;
                }
                if matches!(seen.kind, Kind::Stop { .. }) {
                    self.stops = false;
                }
                self.due_answers += u64::from(seen.request);
                self.given_up.push(*checkpoint);
                self.ended_ms = Some(self.now_ms);
                *counts.entry("aborted").or_default() += 1;
            }
            Action::Sweep => {
                *counts.entry("late").or_default() += 1;
            }
            Action::Answer { request, answer } => {
                match answer {
                    Ok(checkpoint) => {
                        assert_eq!(self.completed.last(), Some(checkpoint));
                        self.due_answers -= 1;
                    }
                    Err(Refusal::Aborted(_)) => self.due_answers -= 1,
                    Err(Refusal::NotRunning) => assert!(self.asked.remove(request).is_some()),
                }
                *counts.entry("answered").or_default() += 1;
            }
            Action::Fail { cause } => {
                assert!(cause.is_failure());
                assert!(self.failures > self.settings.tolerated_failures && !self.ends);
                self.ends = true;
                *counts.entry("failed").or_default() += 1;
            }
            Action::Stop { checkpoint } => {
                assert_eq!(self.completed.last(), Some(checkpoint));
                self.ends = true;
                *counts.entry("stopped").or_default() += 1;
            }
            Action::Finish => {
                assert!(self.running.is_empty() && !self.ends);
                self.ends = true;
                *counts.entry("finished").or_default() += 1;
            }
        }
    }
}

fn subtasks(count: u64) -> BTreeSet<Subtask> {
    (0..count as u32).map(|at| Subtask { operator: at % 2, subtask: at / 2 }).collect()
}

fn picked<T: Copy>(random: &Random, of: impl Iterator<Item = T>) -> Option<T> {
    let all: Vec<T> = of.collect();
    (!all.is_empty()).then(|| all[random.draw(0..all.len() as u64) as usize])
}

/// One fact that may be observed now.
fn fact(random: &Random, checker: &mut Checker, request: &mut u64) -> Fact {
    loop {
        match random.draw(0..20) {
            0..=9 => {
                let waiting = checker.in_flight.iter();
                let waiting =
                    waiting.flat_map(|(at, seen)| seen.waits_for.iter().map(|of| (*at, *of)));
                let Some((checkpoint, subtask)) = picked(random, waiting) else { continue };
                let seen = checker.in_flight.get_mut(&checkpoint).unwrap();
                seen.waits_for.remove(&subtask);
                let is_last = random.draw(0..12) == 0;
                if is_last && !seen.kind.is_savepoint() {
                    seen.last.insert(subtask);
                }
                let stats = SubtaskStats { entries: 1, ..SubtaskStats::default() };
                return Fact::Acknowledged { checkpoint, subtask, is_last, stats };
            }
            // Late, or twice: of one that has ended, or by one that it does not wait for.
            10 => {
                let checkpoint = random.draw(1..checker.last + 2);
                let subtask = Subtask { operator: random.draw(0..3) as u32, subtask: 0 };
                let waits = |seen: &Seen| seen.waits_for.contains(&subtask);
                if checker.in_flight.get(&checkpoint).is_some_and(waits) {
                    continue;
                }
                let stats = SubtaskStats::default();
                return Fact::Acknowledged { checkpoint, subtask, is_last: true, stats };
            }
            11 => {
                let waiting = checker.in_flight.iter();
                let waiting =
                    waiting.flat_map(|(at, seen)| seen.waits_for.iter().map(|of| (*at, *of)));
                let Some((checkpoint, subtask)) = picked(random, waiting) else { continue };
                return Fact::Declined { checkpoint, subtask, why: "no".to_owned() };
            }
            12..=15 => {
                let Some(checkpoint) = checker.publishing.take() else { continue };
                if random.draw(0..4) == 0 {
                    return Fact::NotPublished { checkpoint, why: "no".to_owned() };
                }
                checker.completed.push(checkpoint);
                return Fact::Published { checkpoint };
            }
            16 => {
                *request += 1;
                let kind = match random.draw(0..8) {
                    0..=3 => Kind::Checkpoint,
                    4..=6 => Kind::Savepoint,
                    _ => Kind::Stop { drain: random.draw(0..2) == 0 },
                };
                checker.asked.insert(*request, kind);
                return Fact::Requested { request: *request, kind };
            }
            17 if checker.ends || random.draw(0..8) == 0 => {
                let subtasks = subtasks(random.draw(1..5));
                checker.running.clone_from(&subtasks);
                // What is being published was acknowledged by subtasks that are gone.
                checker.in_flight.values_mut().for_each(|seen| seen.last.clear());
                (checker.ends, checker.stops, checker.failures) = (false, false, 0);
                checker.triggered_ms = checker.now_ms;
                return Fact::Restarted { subtasks };
            }
            17 => {}
            _ => return Fact::Tick,
        }
    }
}

fn walk(seed: u64, counts: &mut Counts) {
    let random = Random::new(seed);
    let concurrent_max = random.draw(1..4) as u32;
    let settings = CoordinatorSettings {
        interval_ms: [0, 10, 25][random.draw(0..3) as usize],
        min_pause_ms: if concurrent_max == 1 { random.draw(0..15) } else { 0 },
        concurrent_max,
        timeout_ms: random.draw(20..80),
        tolerated_failures: random.draw(0..3) as u32,
        history_len: 5,
    };
    settings.check().unwrap();
    let (running, mut request) = (subtasks(random.draw(1..5)), 0);
    let last = random.draw(0..3);
    let mut coordinator = Coordinator::new(settings.clone(), running.clone(), last, 0);
    let mut checker = Checker {
        settings,
        now_ms: 0,
        running,
        in_flight: BTreeMap::new(),
        publishing: None,
        given_up: Vec::new(),
        completed: Vec::new(),
        last,
        last_checkpoint: last,
        triggered_ms: 0,
        ended_ms: None,
        failures: 0,
        asked: BTreeMap::new(),
        due_answers: 0,
        ends: false,
        stops: false,
    };
    for _ in 0..STEPS {
        // Time never passes what is due.
        let to_ms = checker.now_ms + random.draw(0..12);
        let wake_ms = coordinator.wake_at_ms().unwrap_or(u64::MAX);
        assert!(wake_ms > checker.now_ms, "what was due is done");
        checker.now_ms = to_ms.min(wake_ms);
        let fact = if checker.now_ms == wake_ms {
            Fact::Tick
        } else {
            fact(&random, &mut checker, &mut request)
        };
        let is_restart = matches!(fact, Fact::Restarted { .. });
        let actions = coordinator.step(checker.now_ms, fact);
        for action in &actions {
            checker.action(action, counts);
            if is_restart {
                checker.failures = 0;
            }
        }
        let in_flight: Vec<u64> = coordinator.in_flight().map(|stats| stats.checkpoint).collect();
        assert_eq!(in_flight, checker.in_flight.keys().copied().collect::<Vec<_>>());
        for (at, seen) in &checker.in_flight {
            let is_publishing = checker.publishing == Some(*at);
            assert!(
                is_publishing || checker.now_ms < seen.triggered_ms + checker.settings.timeout_ms
            );
            assert!(
                !seen.request || seen.kind != Kind::Checkpoint || *at > checker.last_checkpoint
            );
        }
        assert_eq!(checker.due_answers, 0, "what ended was answered");
        assert!(!checker.ends || checker.asked.is_empty(), "what will never be was answered");
        // What is complete waits for nothing but another that is being published.
        let mut done = checker.in_flight.values().filter(|seen| seen.waits_for.is_empty());
        assert!(checker.publishing.is_some() || done.next().is_none());
        assert_eq!(coordinator.running(), &checker.running);
    }
    let history = coordinator.history();
    assert_eq!(history.completed(), checker.completed.len() as u64);
    assert_eq!(history.aborted(), checker.given_up.len() as u64);
    assert!(history.ended().count() <= 5);
    *counts.entry("walks").or_default() += 1;
}

#[test]
fn whatever_comes_in_whichever_order_the_promises_hold() {
    let mut counts = Counts::new();
    let seed = soak::seed();
    for number in 0..u64::from(soak::count(1_000_000)) {
        let of_walk = soak::hash(seed, number);
        let walked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| walk(of_walk, &mut counts)));
        assert!(walked.is_ok(), "walk {number} of ESKER_SEED={seed}");
    }
    let all = ["triggered", "completed", "aborted", "timeout", "subsumed", "late", "answered"];
    for what in all.into_iter().chain(["failed", "stopped", "finished"]) {
        assert!(counts[what] > counts["walks"] / 1000, "{counts:?}");
    }
}

fn one() -> (Coordinator, Subtask) {
    let subtask = Subtask { operator: 0, subtask: 0 };
    let settings = CoordinatorSettings { interval_ms: 100, timeout_ms: 50, ..Default::default() };
    (Coordinator::new(settings, [subtask].into(), 0, 0), subtask)
}

fn acknowledged(checkpoint: u64, subtask: Subtask) -> Fact {
    Fact::Acknowledged { checkpoint, subtask, is_last: false, stats: SubtaskStats::default() }
}

#[test]
fn what_is_on_its_way_to_be_published_is_not_given_up() {
    let (mut coordinator, subtask) = one();
    coordinator.step(100, Fact::Tick);
    coordinator.step(110, acknowledged(1, subtask));
    // Its time is over, and the job begins anew: it may be complete all the same.
    assert_eq!(coordinator.step(500, Fact::Tick), []);
    assert_eq!(coordinator.step(501, Fact::Restarted { subtasks: [subtask].into() }), []);
    let actions = coordinator.step(502, Fact::Published { checkpoint: 1 });
    let (kind, ended) = (Kind::Checkpoint, BTreeSet::new());
    assert_eq!(actions, [Action::Completed { checkpoint: 1, kind, ended }]);
}

#[test]
fn what_stops_the_job_waits_until_it_is_alone_and_keeps_others_out() {
    let (mut coordinator, subtask) = one();
    coordinator.step(100, Fact::Tick);
    let stop = Kind::Stop { drain: true };
    assert_eq!(coordinator.step(105, Fact::Requested { request: 7, kind: stop }), []);
    coordinator.step(110, acknowledged(1, subtask));
    let actions = coordinator.step(120, Fact::Published { checkpoint: 1 });
    assert!(
        matches!(actions[..], [_, Action::Trigger { checkpoint: 2, kind, .. }] if kind == stop)
    );
    let late = coordinator.step(130, Fact::Requested { request: 8, kind: Kind::Checkpoint });
    assert_eq!(late, [Action::Answer { request: 8, answer: Err(Refusal::NotRunning) }]);
    // It fails: the job goes on.
    let why = "disk full".to_owned();
    let actions = coordinator.step(140, Fact::Declined { checkpoint: 2, subtask, why });
    assert!(matches!(actions[..], [Action::Aborted { .. }, Action::Answer { request: 7, .. }]));
    assert_eq!(coordinator.wake_at_ms(), Some(200));
}

#[test]
fn settings_name_the_field_that_is_wrong() {
    let of = |settings: CoordinatorSettings| settings.check().map_err(|error| error.to_string());
    assert_eq!(of(CoordinatorSettings::default()), Ok(()));
    let wrong = [
        (CoordinatorSettings { concurrent_max: 0, ..Default::default() }, "concurrent_max"),
        (
            CoordinatorSettings { concurrent_max: 2, min_pause_ms: 1, ..Default::default() },
            "concurrent_max",
        ),
        (CoordinatorSettings { timeout_ms: 0, ..Default::default() }, "timeout_ms"),
    ];
    for (settings, field) in wrong {
        let message = of(settings).unwrap_err();
        assert!(message.contains(&format!("checkpoints.{field}: ")), "{message}");
    }
}
