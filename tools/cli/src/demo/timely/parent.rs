//! Starts the processes of the job, kills one as planned, waits until the others have ended, and starts all again.

use super::event::Event;
use super::job::Process;
use super::plan::{Kill, Life};
use crate::demo::job::BackendName;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How long the others have to see that one is gone.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// How long those that are still starting are left alone: they wait for the dead one longer than the demo does.
const STARTING: Duration = Duration::from_secs(1);
/// How long processes have to start, on a machine that has other things to do.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What is known of a kill once the job is back.
#[derive(Debug, Clone, Default)]
pub(super) struct Killed {
    pub(super) row: u64,
    pub(super) process: u32,
    pub(super) processes: u32,
    /// The checkpoint that the job resumed from, and the row; `None`: it began anew.
    pub(super) resumed: Option<(u64, u64)>,
    pub(super) resumed_processes: u32,
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, process, processes, resumed, resumed_processes } = self;
        write!(f, "process {process} of {processes} after row {row}; ")?;
        match resumed {
            Some((checkpoint, row)) => {
                write!(f, "resumed from checkpoint {checkpoint} at row {row}")?
            }
            None => f.write_str("began anew, as no checkpoint was complete,")?,
        }
        write!(f, " with {resumed_processes} processes")
    }
}

/// What all lives of the job together did.
#[derive(Default)]
pub(super) struct Story {
    pub(super) kills: Vec<Killed>,
    /// How many checkpoints are complete.
    pub(super) completed: u64,
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
    /// Of each process.
    pub(super) workers: u32,
    pub(super) plan: Vec<Life>,
    /// Told of each kill.
    pub(super) on_kill: &'a dyn Fn(usize, &Killed),
}

/// The processes of one life.
struct Cluster {
    children: Vec<Child>,
    /// They end when these are closed.
    stdins: Vec<ChildStdin>,
    events: Receiver<(usize, Event)>,
    /// What each wrote to its standard error.
    logs: Vec<PathBuf>,
    row: u64,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Runs<'_> {
    /// Runs the job to its end.
    ///
    /// # Errors
    /// If it cannot be started, or ends in another way than by a kill that was planned.
    pub(super) fn run(&self) -> Result<Story, String> {
        let mut story = Story::default();
        // Kills that the job has not come back from.
        let mut pending: Vec<Killed> = Vec::new();
        for (number, life) in self.plan.iter().enumerate() {
            let mut cluster = self.start(number, life.processes)?;
            let due = Due::of(life.kill.as_ref());
            let has_ended = self.live(&mut cluster, due, &mut pending, &mut story)?;
            match &life.kill {
                None if has_ended => cluster.end()?,
                None => return Err("the job stands still".to_owned()),
                Some(_) if has_ended => {
                    let left = self.plan.len() - 1 - number;
                    return Err(format!("the job ended before {left} of the kills were due"));
                }
                Some(Kill { process, row, .. }) => {
                    cluster.kill(*process, row.is_some(), &mut story)?;
                    let (process, processes) = (*process, life.processes);
                    pending.push(Killed {
                        row: cluster.row,
                        process,
                        processes,
                        ..Killed::default()
                    });
                }
            }
        }
        Ok(story)
    }

    /// Listens until the kill is due, or the job has ended.
    fn live(
        &self,
        cluster: &mut Cluster,
        mut due: Due,
        pending: &mut Vec<Killed>,
        story: &mut Story,
    ) -> Result<bool, String> {
        let processes = cluster.children.len() as u32;
        loop {
            let wait = match due.wait() {
                Some(Duration::ZERO) => return Ok(false),
                Some(wait) => wait,
                None => STARTS_WITHIN,
            };
            match cluster.events.recv_timeout(wait) {
                Ok((_, event)) => {
                    if let Event::Running { checkpoint, row } = &event {
                        for mut killed in pending.drain(..) {
                            killed.resumed = checkpoint.map(|checkpoint| (checkpoint, *row));
                            killed.resumed_processes = processes;
                            story.kills.push(killed);
                            if let Some(killed) = story.kills.last() {
                                (self.on_kill)(story.kills.len(), killed);
                            }
                        }
                    }
                    if let Some(row) = cluster.note(event, story) {
                        story.rows = row;
                        return Ok(true);
                    }
                    due.reach(cluster.row);
                }
                Err(RecvTimeoutError::Timeout) if due.wait().is_some() => {}
                Err(_) => return Err(cluster.failed()),
            }
        }
    }

    fn start(&self, life: usize, processes: u32) -> Result<Cluster, String> {
        let failed = |error: io::Error| format!("the job cannot be started: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let (sender, events) = mpsc::channel();
        let (children, stdins, logs) = (Vec::new(), Vec::new(), Vec::new());
        let mut cluster = Cluster { children, stdins, events, logs, row: 0 };
        for process in 0..processes {
            let log = self.local.join(format!("{life}-{process}.log"));
            let said = Process {
                process,
                workers: self.workers,
                run: life as u64,
                input: self.input.clone(),
                dir: self.dir.clone(),
                savepoint: self.savepoint.clone(),
                rate: self.rate,
                backend: self.backend,
                local: self.local.clone(),
            };
            let said = serde_json::to_string(&said).map_err(|error| failed(error.into()))?;
            let mut child = Command::new(&program)
                .args(["demo", "--timely-process", &said])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(File::create(&log).map_err(failed)?)
                .spawn()
                .map_err(failed)?;
            cluster.logs.push(log);
            cluster.stdins.extend(child.stdin.take());
            if let Some(stdout) = child.stdout.take() {
                let sender = sender.clone();
                std::thread::spawn(move || pass_on(process as usize, stdout, &sender));
            }
            cluster.children.push(child);
        }
        drop(sender);
        cluster.introduce()?;
        Ok(cluster)
    }
}

/// Passes on what a process tells, until it ends.
fn pass_on(process: usize, stdout: impl io::Read, to: &Sender<(usize, Event)>) {
    // A line cut off by a kill is no event.
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str(&line) else { break };
        if to.send((process, event)).is_err() {
            break;
        }
    }
}

impl Cluster {
    /// Tells all processes where all listen.
    fn introduce(&mut self) -> Result<(), String> {
        let mut addresses = vec![None; self.children.len()];
        while addresses.iter().any(Option::is_none) {
            match self.events.recv_timeout(STARTS_WITHIN) {
                Ok((process, Event::Listens(address))) => {
                    if let Some(slot) = addresses.get_mut(process) {
                        *slot = Some(address);
                    }
                }
                _ => return Err(self.failed()),
            }
        }
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        let line = serde_json::to_string(&addresses).map_err(|error| error.to_string())?;
        for stdin in &mut self.stdins {
            let told = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
            told.map_err(|error| format!("a process ended at once: {error}"))?;
        }
        Ok(())
    }

    /// Takes in an event; the row, if the job has ended there.
    fn note(&mut self, event: Event, story: &mut Story) -> Option<u64> {
        match event {
            Event::Running { row, .. } | Event::Row(row) => self.row = row,
            Event::Complete(_) => story.completed += 1,
            Event::Aborted { checkpoint, why } => story.aborted.push((checkpoint, why)),
            Event::Ended { row } => return Some(row),
            Event::Listens(_) => {}
        }
        None
    }

    /// Kills one process (SIGKILL), and sees to it that all others end: by themselves, where they `run`.
    fn kill(&mut self, process: u32, run: bool, story: &mut Story) -> Result<(), String> {
        let victim = self.children.get_mut(process as usize);
        let killed = victim.map_or(Ok(()), Child::kill);
        killed.map_err(|error| format!("process {process} cannot be killed: {error}"))?;
        let until = Instant::now() + if run { ENDS_WITHIN } else { STARTING };
        while !self.have_ended()? {
            if Instant::now() >= until && !run {
                for child in &mut self.children {
                    child.kill().map_err(|error| error.to_string())?;
                }
            } else if Instant::now() >= until {
                return Err(format!(
                    "process {process} was killed, and another one still runs: {}",
                    self.failed()
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // What they still told.
        while let Ok((_, event)) = self.events.recv() {
            if self.note(event, story).is_some() {
                return Err("the job ended before it was killed".to_owned());
            }
        }
        Ok(())
    }

    fn have_ended(&mut self) -> Result<bool, String> {
        for child in &mut self.children {
            if child.try_wait().map_err(|error| error.to_string())?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the end of a job that has told of it.
    fn end(mut self) -> Result<(), String> {
        for child in &mut self.children {
            let status = child.wait().map_err(|error| error.to_string())?;
            if !status.success() {
                return Err(self.failed());
            }
        }
        Ok(())
    }

    /// What processes wrote before they failed.
    fn failed(&mut self) -> String {
        let status = |child: &mut Child| match child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "it runs".to_owned(),
        };
        let mut message = "a process of the job failed or stands still".to_owned();
        for (process, (child, log)) in self.children.iter_mut().zip(&self.logs).enumerate() {
            let (status, last) = (status(child), last_line(log));
            message.push_str(&format!("\nprocess {process}: {status}: {last}"));
        }
        message
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().next_back().unwrap_or("it said nothing").to_owned()
}

/// When a kill is due.
struct Due {
    row: Option<u64>,
    delay: Duration,
    at: Option<Instant>,
}

impl Due {
    fn of(kill: Option<&Kill>) -> Self {
        match kill {
            Some(Kill { row: None, delay, .. }) => {
                Self { row: None, delay: *delay, at: Some(Instant::now() + *delay) }
            }
            Some(Kill { row, delay, .. }) => Self { row: *row, delay: *delay, at: None },
            None => Self { row: None, delay: Duration::ZERO, at: None },
        }
    }

    /// The job has come to `row`.
    fn reach(&mut self, row: u64) {
        if self.row.is_some_and(|due| row >= due) && self.at.is_none() {
            self.at = Some(Instant::now() + self.delay);
        }
    }

    /// How long until then, if its moment has come.
    fn wait(&self) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
