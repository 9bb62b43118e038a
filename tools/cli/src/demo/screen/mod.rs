//! The job on a terminal's screen while it runs.

mod draw;
mod model;

use super::event::Event;
use super::parent::{Audience, Killed};
use super::report;
use crate::outcome::say;
use draw::draw;
use model::Model;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// From one picture to the next, at least.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Whether there is a terminal to draw on, and keys to read from it.
pub(super) fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !is_dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A screen, until it is dropped; the terminal is left as it was, and what there is to keep is said then.
pub(super) struct Live {
    terminal: DefaultTerminal,
    model: Model,
    started: Instant,
    drawn: Option<Instant>,
    kept: Vec<String>,
}

impl Live {
    /// # Errors
    /// The terminal's.
    pub(super) fn open(title: String, rows: u64, kills: u32) -> Result<Self, String> {
        let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
        let (model, started) = (Model::new(title, rows, kills), Instant::now());
        Ok(Self { terminal, model, started, drawn: None, kept: Vec::new() })
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn show(&mut self) -> io::Result<bool> {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY) {
            self.drawn = Some(Instant::now());
            self.model.tick(self.started.elapsed());
            let model = &self.model;
            self.terminal.draw(|frame| draw(frame, model))?;
        }
        while event::poll(Duration::ZERO)? {
            if let event::Event::Key(key) = event::read()?
                // Some terminals tell of keys that are let go too.
                && key.kind != KeyEventKind::Release
            {
                let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('q') => return Ok(false),
                    KeyCode::Char('c') if is_control => return Ok(false),
                    _ => {}
                }
            }
        }
        Ok(true)
    }
}

impl Audience for Live {
    fn heard(&mut self, event: &Event) {
        self.model.heard(event, self.now());
    }

    fn struck(&mut self, number: usize, killed: &Killed) {
        self.model.struck(number, killed, self.now());
    }

    fn killed(&mut self, number: usize, killed: &Killed) {
        self.model.back(killed, self.now());
        self.kept.push(report::kill(number, self.model.kills, killed));
    }

    fn fenced(&mut self, generation: u64, why: &str) {
        self.model.fenced(generation, self.now());
        self.kept.push(report::fenced(generation, why));
    }

    fn goes_on(&mut self) -> Result<bool, String> {
        self.show().map_err(|error| failed(&error))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        ratatui::restore();
        for line in &self.kept {
            say(format_args!("{line}"));
        }
    }
}

fn failed(error: &io::Error) -> String {
    format!("the terminal: {error}")
}
