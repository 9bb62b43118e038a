//! A subtask: a thread that makes calls on its state, and captures it when a checkpoint is asked for.

use super::checkpoints::{Captured, capture};
use super::draw::Draw;
use super::job::{Shared, entries_of, is_due, is_over};
use super::probe::Probe;
use super::settings::{Length, Settings};
use super::workload::Workload;
use esker::backend::Backend;
use esker::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How often one that has ended looks whether a checkpoint waits for it.
const TICK: Duration = Duration::from_millis(1);
/// Progress is shown after so many calls.
const SHOW_EVERY: u64 = 1 << 14;

/// What the main thread hears of a subtask.
pub(super) enum Told<W> {
    /// Its states are filled, with so many entries.
    Filled(u64),
    /// The subtask of this number has captured its state.
    Captured(usize, Box<Captured>),
    /// It has made its last call.
    Done(usize, Box<W>, Box<Probe>),
    Failed(Error),
}

pub(super) struct Subtask<W> {
    pub(super) number: usize,
    pub(super) workload: W,
    pub(super) draw: Draw,
    pub(super) probe: Probe,
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) told: Sender<Told<W>>,
}

impl<W> Subtask<W> {
    /// Fills the states, waits for the others, and makes calls until it is over.
    ///
    /// # Errors
    /// The backend's.
    pub(super) fn run<B: Backend>(mut self) -> Result<()>
    where
        W: Workload<B>,
    {
        self.workload.load(&mut self.draw, &mut self.probe)?;
        let _ = self.told.send(Told::Filled(entries_of(&mut self.workload)));
        self.shared.filled.wait();
        self.probe.begin(Instant::now());
        let (mut captured, mut shown) = (0, 0);
        loop {
            self.workload.step(&mut self.draw, &mut self.probe)?;
            if self.is_over() {
                break;
            }
            if self.number == 0 {
                self.ask();
                if self.probe.count() - shown >= SHOW_EVERY {
                    shown = self.probe.count();
                    self.show();
                }
            }
            self.answer(&mut captured)?;
        }
        self.probe.end();
        if self.number == 0 {
            self.shared.ended.store(true, Ordering::Release);
        }
        // Nothing is asked for after the first one has ended.
        while !self.shared.ended.load(Ordering::Acquire) {
            self.answer(&mut captured)?;
            std::thread::sleep(TICK);
        }
        self.answer(&mut captured)?;
        let Self { number, workload, probe, told, .. } = self;
        let _ = told.send(Told::Done(number, Box::new(workload), Box::new(probe)));
        Ok(())
    }

    /// Calls of all subtasks, as far as this one can tell.
    fn operations(&self) -> u64 {
        self.probe.count() * u64::from(self.settings.parallelism)
    }

    fn is_over(&self) -> bool {
        is_over(self.settings.length, self.operations(), self.probe.elapsed().as_secs_f64())
    }

    /// Asks for a checkpoint if one is due; one at a time.
    fn ask(&self) {
        let asked = self.shared.asked.load(Ordering::Relaxed);
        let seconds = self.probe.elapsed().as_secs_f64();
        let due = is_due(self.settings.checkpoint_every, asked, self.operations(), seconds);
        if due && !self.shared.checkpointing.swap(true, Ordering::Relaxed) {
            self.shared.asked.store(asked + 1, Ordering::Release);
        }
    }

    /// Captures the state if a checkpoint was asked for.
    fn answer<B: Backend>(&mut self, captured: &mut u64) -> Result<()>
    where
        W: Workload<B>,
    {
        let asked = self.shared.asked.load(Ordering::Acquire);
        if asked == *captured {
            return Ok(());
        }
        *captured = asked;
        let state = capture(self.workload.backend())?;
        let (began, ended) = state.times();
        self.probe.stood_still(began, ended);
        let _ = self.told.send(Told::Captured(self.number, Box::new(state)));
        Ok(())
    }

    fn show(&self) {
        self.shared.bar.set_position(match self.settings.length {
            Length::Operations(_) => self.operations(),
            Length::Seconds(_) => self.probe.elapsed().as_millis() as u64,
        });
    }
}
