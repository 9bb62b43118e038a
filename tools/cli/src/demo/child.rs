//! A process of the job, seen by the one that started it.

use super::event::Event;
use super::fate::Command;
use super::job::Job;
use super::parent::Killed;
use super::plan::{Kill, Moment};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// A process of the job, and what it tells.
pub(super) struct Child {
    process: process::Child,
    commands: Option<ChildStdin>,
    pub(super) events: Receiver<Event>,
    row: u64,
    generation: u64,
    /// A checkpoint that began and has not ended.
    open: Option<u64>,
    held: Option<String>,
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Child {
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(job: &Job) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the job cannot be started: {error}");
        let job = serde_json::to_string(job).map_err(|error| failed(error.into()))?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = process::Command::new(program)
            .args(["demo", "--job", &job])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (sender, events) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
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
        let commands = process.stdin.take();
        Ok(Self { process, commands, events, row: 0, generation: 0, open: None, held: None })
    }

    /// # Errors
    /// If it does not listen.
    pub(super) fn command(&mut self, command: &Command) -> Result<(), String> {
        let failed = |error: io::Error| format!("the job does not listen: {error}");
        let mut line = serde_json::to_vec(command).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let Some(commands) = &mut self.commands else { return Ok(()) };
        commands.write_all(&line).and_then(|()| commands.flush()).map_err(failed)
    }

    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Running { row, generation, .. } => {
                (self.row, self.generation) = (*row, *generation);
            }
            Event::Row { row, .. } => self.row = *row,
            Event::Begun(checkpoint) => self.open = Some(*checkpoint),
            Event::Complete(_) | Event::Aborted { .. } => self.open = None,
            Event::Held { activity, path, done } => {
                let how = if *done { "done, not yet answered" } else { "not yet done" };
                self.held = Some(format!("{activity} ({how}): {path}"));
            }
            Event::Written { .. } | Event::Lost(_) | Event::Fenced { .. } | Event::Ended { .. } => {
            }
        }
    }

    /// What was going on is over.
    pub(super) fn forget(&mut self) {
        (self.open, self.held) = (None, None);
    }

    /// How long to wait before the kill, if its moment has come.
    pub(super) fn is_due(&self, kill: &Kill) -> Option<Duration> {
        match kill.moment {
            Moment::After { delay_ms } if self.row >= kill.row => {
                Some(Duration::from_millis(delay_ms))
            }
            Moment::During { .. } if self.held.is_some() => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// What is killed now, and while what goes on.
    pub(super) fn killed(&self, kill: &Kill) -> Killed {
        let during = match (&self.held, self.open) {
            (Some(held), _) => held.clone(),
            (None, Some(checkpoint)) => format!("checkpoint {checkpoint} being written"),
            (None, None) => "rows only, between checkpoints".into(),
        };
        Killed {
            victim: kill.victim,
            row: self.row,
            during,
            resumed: None,
            resumed_row: 0,
            generation: self.generation,
            swept: 0,
            parallelism: kill.parallelism,
        }
    }

    /// Kills it (SIGKILL), and hears what it still told.
    ///
    /// # Errors
    /// If it cannot be killed, or had ended.
    pub(super) fn kill(&mut self, mut heard: impl FnMut(Event)) -> Result<(), String> {
        self.process.kill().map_err(|error| format!("the job cannot be killed: {error}"))?;
        let _ = self.process.wait();
        while let Ok(event) = self.events.recv() {
            self.note(&event);
            if let Event::Ended { .. } = event {
                return Err("the job ended before it was killed".into());
            }
            heard(event);
        }
        Ok(())
    }

    /// Why there will be no more events.
    pub(super) fn died(&mut self) -> String {
        match self.process.wait() {
            Ok(status) => format!("the job ended by itself: {status}"),
            Err(error) => format!("the job ended by itself: {error}"),
        }
    }

    /// # Errors
    /// If it ended in another way than it was to.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.died()),
        }
    }
}
