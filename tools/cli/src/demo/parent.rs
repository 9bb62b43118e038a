//! Runs the job in a child process, kills it as planned, and starts it again.

use super::event::{CheckpointRow, Event};
use super::job::{BackendName, Job};
use super::plan::{Kill, Moment, PARALLELISM};
use super::watch::Hold;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// What is known of a kill once the job is back.
pub(super) struct Killed {
    pub(super) row: u64,
    /// What was going on.
    pub(super) during: String,
    /// The checkpoint that the job resumed from, and the row; `None`: it began anew.
    pub(super) resumed: Option<(u64, u64)>,
    /// Files that nothing needed, removed before it went on.
    pub(super) swept: u64,
    pub(super) parallelism: u32,
}

/// What all runs of the job together did.
#[derive(Default)]
pub(super) struct Story {
    pub(super) kills: Vec<Killed>,
    pub(super) checkpoints: Vec<CheckpointRow>,
    pub(super) aborted: Vec<(u64, String)>,
    pub(super) rows: u64,
}

/// How the job is run.
pub(super) struct Runs<'a> {
    pub(super) input: Option<PathBuf>,
    pub(super) dir: String,
    pub(super) savepoint: String,
    /// Rows per second.
    pub(super) rate: u64,
    pub(super) backend: BackendName,
    pub(super) local: PathBuf,
    pub(super) kills: Vec<Kill>,
    /// Told of each row reached and each kill.
    pub(super) on_row: &'a dyn Fn(u64),
    pub(super) on_kill: &'a dyn Fn(usize, &Killed),
}

/// A run of the job, and what it tells.
struct Run {
    child: Child,
    events: Receiver<Event>,
    row: u64,
    /// A checkpoint that began and has not ended.
    open: Option<u64>,
    held: Option<String>,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Runs<'_> {
    /// Runs the job to its end.
    ///
    /// # Errors
    /// If it cannot be started, or ends in another way than by a kill that was planned.
    pub(super) fn run(&self) -> Result<Story, String> {
        let mut story = Story::default();
        let mut pending: Option<Killed> = None;
        for number in 0..=self.kills.len() {
            let mut run = self.start(number)?;
            let killed = loop {
                let event = run.events.recv().map_err(|_| run.died())?;
                run.note(&event);
                match event {
                    Event::Running { checkpoint, row, swept, .. } => {
                        if let Some(mut killed) = pending.take() {
                            killed.resumed = checkpoint.map(|checkpoint| (checkpoint, row));
                            killed.swept = swept;
                            (self.on_kill)(number, &killed);
                            story.kills.push(killed);
                        }
                    }
                    Event::Row(row) => (self.on_row)(row),
                    Event::Complete(row) => story.checkpoints.push(row),
                    Event::Aborted { checkpoint, why } => story.aborted.push((checkpoint, why)),
                    Event::Ended { row } => {
                        story.rows = row;
                        break None;
                    }
                    Event::Begun(_) | Event::Held { .. } => {}
                }
                if let Some(delay) = self.kills.get(number).and_then(|kill| run.is_due(kill)) {
                    std::thread::sleep(delay);
                    break Some(run.kill(&mut story)?);
                }
            };
            match (killed, self.kills.get(number)) {
                (Some(killed), Some(kill)) => {
                    pending = Some(Killed { parallelism: kill.parallelism, ..killed });
                }
                (None, Some(_)) => {
                    let left = self.kills.len() - number;
                    return Err(format!("the job ended before {left} of the kills were due"));
                }
                (_, None) => run.end()?,
            }
        }
        Ok(story)
    }

    fn start(&self, number: usize) -> Result<Run, String> {
        let before = number.checked_sub(1).and_then(|number| self.kills.get(number));
        let hold = self.kills.get(number).and_then(|kill| match kill.moment {
            Moment::During { activity, done } => Some(Hold { row: kill.row, activity, done }),
            Moment::After { .. } => None,
        });
        let job = Job {
            input: self.input.clone(),
            dir: self.dir.clone(),
            savepoint: self.savepoint.clone(),
            rate: self.rate,
            parallelism: before.map_or(PARALLELISM[0], |kill| kill.parallelism),
            hold,
            backend: self.backend,
            local: self.local.clone(),
        };
        let failed = |error: io::Error| format!("the job cannot be started: {error}");
        let job = serde_json::to_string(&job).map_err(|error| failed(error.into()))?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .args(["demo", "--job", &job])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (sender, events) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                // A line cut off by a kill is no event.
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let Ok(event) = serde_json::from_str(&line) else { break };
                    if sender.send(event).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Run { child, events, row: 0, open: None, held: None })
    }
}

impl Run {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Running { row, .. } | Event::Row(row) => self.row = *row,
            Event::Begun(checkpoint) => self.open = Some(*checkpoint),
            Event::Complete(_) | Event::Aborted { .. } => self.open = None,
            Event::Held { activity, path, done } => {
                let how = if *done { "done, not yet answered" } else { "not yet done" };
                self.held = Some(format!("{activity} ({how}): {path}"));
            }
            Event::Ended { .. } => {}
        }
    }

    /// How long to wait before the kill, if its moment has come.
    fn is_due(&self, kill: &Kill) -> Option<Duration> {
        match kill.moment {
            Moment::After { delay_ms } if self.row >= kill.row => {
                Some(Duration::from_millis(delay_ms))
            }
            Moment::During { .. } if self.held.is_some() => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Kills the job (SIGKILL), and hears what it still told.
    fn kill(&mut self, story: &mut Story) -> Result<Killed, String> {
        self.child.kill().map_err(|error| format!("the job cannot be killed: {error}"))?;
        let _ = self.child.wait();
        while let Ok(event) = self.events.recv() {
            self.note(&event);
            match event {
                Event::Complete(row) => story.checkpoints.push(row),
                Event::Ended { .. } => return Err("the job ended before it was killed".into()),
                _ => {}
            }
        }
        let during = match (&self.held, self.open) {
            (Some(held), _) => held.clone(),
            (None, Some(checkpoint)) => format!("checkpoint {checkpoint} being written"),
            (None, None) => "rows only, between checkpoints".into(),
        };
        Ok(Killed { row: self.row, during, resumed: None, swept: 0, parallelism: 0 })
    }

    fn died(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("the job ended by itself: {status}"),
            Err(error) => format!("the job ended by itself: {error}"),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.died()),
        }
    }
}
