//! Runs the job in child processes, kills what is planned, and sees that it goes on.

use super::child::Child;
use super::event::{CheckpointRow, Event, Taken};
use super::fate::Command;
use super::guarantee::{Guarantee, Rows};
use super::job::{BackendName, Job};
use super::plan::{Kill, PARALLELISM, Victim};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How often an audience is asked at least.
const TICK: Duration = Duration::from_millis(50);
/// Longer than any owner that is none any more takes to find that out, on a busy machine too.
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// What is known of a kill once the job is back.
#[derive(Debug, Clone)]
pub(super) struct Killed {
    pub(super) victim: Victim,
    pub(super) row: u64,
    /// What was going on.
    pub(super) during: String,
    /// The checkpoint that the job resumed from; `None`: its state is empty.
    pub(super) resumed: Option<u64>,
    /// The row that the source went on from.
    pub(super) resumed_row: u64,
    /// The generation of the owner from then on.
    pub(super) generation: u64,
    /// Files that nothing needed, removed before it went on.
    pub(super) swept: u64,
    pub(super) parallelism: u32,
}

/// What all runs of the job together did.
#[derive(Default)]
pub(super) struct Story {
    pub(super) kills: Vec<Killed>,
    /// Generations of owners that were refused, and how.
    pub(super) fenced: Vec<(u64, String)>,
    pub(super) checkpoints: Vec<CheckpointRow>,
    pub(super) aborted: Vec<(u64, String)>,
    pub(super) rows: u64,
    /// What the source passed over that no state holds.
    pub(super) lost: Rows,
    /// Checkpoints that the job went on from, and what all hold that came again then.
    restored: BTreeSet<Taken>,
    early: BTreeMap<Taken, Rows>,
}

impl Story {
    fn note(&mut self, event: Event) {
        match event {
            Event::Complete(row) => self.checkpoints.push(row),
            Event::Written { checkpoint, early } => drop(self.early.insert(checkpoint, early)),
            Event::Aborted { checkpoint, why } => self.aborted.push((checkpoint, why)),
            Event::Lost(rows) => self.lost = rows,
            Event::Fenced { generation, why } => self.fenced.push((generation, why)),
            Event::Ended { row } => self.rows = row,
            // What it began with is in it once, however often it was restored.
            Event::Running { checkpoint: Some(checkpoint), .. } => {
                self.restored.insert(checkpoint);
            }
            Event::Running { checkpoint: None, .. } => self.restored.clear(),
            Event::Row { .. } | Event::Begun(_) | Event::Held { .. } => {}
        }
    }

    /// How many rows came again that a checkpoint held already which the job went on from.
    ///
    /// # Errors
    /// If that is not known of one.
    pub(super) fn again(&self) -> Result<Rows, String> {
        let mut again = Rows::default();
        for taken in &self.restored {
            let early = self.early.get(taken).ok_or_else(|| {
                format!("of checkpoint {} nobody said what it holds", taken.checkpoint)
            })?;
            again.add(*early);
        }
        Ok(again)
    }
}

/// Who watches.
pub(super) trait Audience {
    /// Something happened.
    fn heard(&mut self, event: &Event);

    /// Something was killed, the `number`th time; how the job goes on is not known yet.
    fn struck(&mut self, number: usize, killed: &Killed) {
        let _ = (number, killed);
    }

    /// The job is back after a kill.
    fn killed(&mut self, number: usize, killed: &Killed);

    /// An owner that was taken for dead was refused.
    fn fenced(&mut self, generation: u64, why: &str);

    /// Called often; `false` if the audience has seen enough.
    ///
    /// # Errors
    /// If nothing can be shown.
    fn goes_on(&mut self) -> Result<bool, String>;
}

/// How the job is run.
pub(super) struct Runs {
    pub(super) input: Option<PathBuf>,
    pub(super) dir: String,
    pub(super) savepoint: String,
    /// Rows per second.
    pub(super) rate: u64,
    pub(super) backend: BackendName,
    pub(super) guarantee: Guarantee,
    pub(super) local: PathBuf,
    pub(super) kills: Vec<Kill>,
}

/// The run of all processes, as far as it is.
struct Running<'a> {
    runs: &'a Runs,
    audience: &'a mut dyn Audience,
    story: Story,
    child: Child,
    /// One whose coordinator was taken for dead.
    old: Option<Child>,
    /// How many processes there were.
    processes: usize,
    /// What was killed, until the job is back.
    pending: Option<Killed>,
}

impl Runs {
    /// Runs the job to its end.
    ///
    /// # Errors
    /// If it cannot be started, ends in another way than by a kill that was planned, or the audience has seen
    /// enough.
    pub(super) fn run(&self, audience: &mut dyn Audience) -> Result<Story, String> {
        let (story, child) = (Story::default(), self.start(0, 0)?);
        let (processes, old, pending) = (1, None, None);
        let mut running = Running { runs: self, audience, story, child, old, processes, pending };
        while !running.step()? {}
        running.child.end()?;
        running.hear_old(FENCED_WITHIN)?;
        let Running { story, .. } = running;
        match self.kills.len() - story.kills.len() {
            0 => Ok(story),
            left => Err(format!("the job ended before {left} of the kills were due")),
        }
    }

    /// Starts the process of that number, after so many kills.
    fn start(&self, process: usize, killed: usize) -> Result<Child, String> {
        let before = killed.checked_sub(1).and_then(|last| self.kills.get(last));
        Child::start(&Job {
            input: self.input.clone(),
            dir: self.dir.clone(),
            savepoint: self.savepoint.clone(),
            rate: self.rate,
            parallelism: before.map_or(PARALLELISM[0], |kill| kill.parallelism),
            hold: self.kills.get(killed).and_then(Kill::hold),
            backend: self.backend,
            guarantee: self.guarantee,
            local: self.local.clone(),
            process,
        })
    }
}

impl Running<'_> {
    /// Hears what happened, and kills what is due; `true` at the end.
    fn step(&mut self) -> Result<bool, String> {
        match self.child.events.recv_timeout(TICK) {
            Ok(event) => {
                self.child.note(&event);
                self.audience.heard(&event);
                let is_over = matches!(event, Event::Ended { .. });
                if let Event::Running { .. } = &event {
                    self.back(&event)?;
                }
                self.story.note(event);
                if is_over {
                    return Ok(true);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(self.child.died()),
        }
        if !self.audience.goes_on()? {
            return Err("stopped by its user".to_owned());
        }
        self.hear_old(Duration::ZERO)?;
        let number = self.story.kills.len();
        if self.pending.is_none()
            && let Some(kill) = self.runs.kills.get(number)
            && let Some(delay) = self.child.is_due(kill)
        {
            std::thread::sleep(delay);
            self.strike(kill, number + 1)?;
        }
        Ok(false)
    }

    /// The job runs, again if something was killed before.
    fn back(&mut self, event: &Event) -> Result<(), String> {
        let Event::Running { generation, checkpoint, row, swept, parallelism } = event else {
            return Ok(());
        };
        let Some(before) = self.pending.take() else { return Ok(()) };
        if let Some(old) = &mut self.old {
            old.command(&Command::GoOn)?;
        }
        let killed = Killed {
            resumed: checkpoint.map(|taken| taken.checkpoint),
            resumed_row: *row,
            generation: *generation,
            swept: *swept,
            parallelism: *parallelism,
            ..before
        };
        self.audience.killed(self.story.kills.len() + 1, &killed);
        self.story.kills.push(killed);
        Ok(())
    }

    /// Kills what is planned, the `number`th time.
    fn strike(&mut self, kill: &Kill, number: usize) -> Result<(), String> {
        match kill.victim {
            Victim::Worker => {
                let hold = self.runs.kills.get(number).and_then(Kill::hold);
                let (drawn, parallelism) = (kill.drawn, kill.parallelism);
                self.child.command(&Command::KillWorker { drawn, parallelism, hold })?;
                self.pending = Some(self.child.killed(kill));
                self.child.forget();
            }
            Victim::Process => {
                let story = &mut self.story;
                self.child.kill(|event| story.note(event))?;
                self.pending = Some(self.child.killed(kill));
                self.child = self.runs.start(self.processes, number)?;
                self.processes += 1;
            }
            Victim::Coordinator => {
                // Of those that are taken for dead one at a time is alive.
                self.hear_old(FENCED_WITHIN)?;
                self.child.command(&Command::StandStill)?;
                self.pending = Some(self.child.killed(kill));
                let new = self.runs.start(self.processes, number)?;
                self.old = Some(std::mem::replace(&mut self.child, new));
                self.processes += 1;
            }
        }
        if let Some(killed) = &self.pending {
            self.audience.struck(number, killed);
        }
        Ok(())
    }

    /// Hears what a process still does whose coordinator was taken for dead, until it is gone or so much
    /// time has passed.
    fn hear_old(&mut self, wait: Duration) -> Result<(), String> {
        let Some(old) = &mut self.old else { return Ok(()) };
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match old.events.recv_timeout(left) {
                Ok(event @ (Event::Complete(_) | Event::Written { .. })) => self.story.note(event),
                Ok(Event::Fenced { generation, why }) => {
                    self.audience.fenced(generation, &why);
                    self.story.note(Event::Fenced { generation, why });
                }
                Ok(Event::Ended { .. }) => {
                    return Err("an owner that another one had replaced was not refused".into());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if wait == Duration::ZERO => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err("an owner that another one had replaced goes on".into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = old.end();
                    self.old = None;
                    return ended;
                }
            }
        }
    }
}
