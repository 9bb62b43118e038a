//! What the screen shows: built from what happens, and when; the clock is the caller's.

use crate::demo::event::{CheckpointRow, Event};
use crate::demo::parent::Killed;
use crate::demo::plan::Victim;
use crate::page::units::count;
use std::collections::VecDeque;
use std::time::Duration;

/// Over how long rows are counted for a rate.
const SLICE: Duration = Duration::from_millis(250);
/// More rates, checkpoints and lines than these fit on no screen.
const KEPT_MAX: usize = 500;

/// What a line of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Kill,
    Recovery,
    Fence,
    Failure,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// A run of the job as far as it is known.
pub(super) struct Model {
    pub(super) title: String,
    /// Rows of the file, and how many were read.
    pub(super) rows: u64,
    pub(super) row: u64,
    pub(super) kills: u32,
    pub(super) killed: usize,
    /// What was killed, until the job is back.
    pub(super) down: Option<Victim>,
    pub(super) generation: u64,
    pub(super) parallelism: u32,
    /// Of all states.
    pub(super) entries: u64,
    /// Checkpoints whose barriers are under way, or whose files, and since when.
    pub(super) open: Vec<(u64, Duration)>,
    /// Those that completed, the newest last, and how many there were.
    pub(super) completed: VecDeque<CheckpointRow>,
    pub(super) completed_count: usize,
    /// Rows per second of each slice of time, the newest last.
    pub(super) rates: VecDeque<u64>,
    /// The newest last.
    pub(super) log: VecDeque<Entry>,
    pub(super) now: Duration,
    /// Rows read since the slice began.
    slice_rows: u64,
    slice_began: Duration,
}

impl Model {
    pub(super) fn new(title: String, rows: u64, kills: u32) -> Self {
        Self {
            title,
            rows,
            row: 0,
            kills,
            killed: 0,
            down: None,
            generation: 0,
            parallelism: 0,
            entries: 0,
            open: Vec::new(),
            completed: VecDeque::new(),
            completed_count: 0,
            rates: VecDeque::new(),
            log: VecDeque::new(),
            now: Duration::ZERO,
            slice_rows: 0,
            slice_began: Duration::ZERO,
        }
    }

    pub(super) fn heard(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Running { generation, row, parallelism, .. } => {
                (self.generation, self.parallelism) = (*generation, *parallelism);
                // Rows that are read again are no throughput until then.
                self.row = *row;
                self.open.clear();
            }
            Event::Row { row, entries } => {
                self.slice_rows += row.saturating_sub(self.row);
                (self.row, self.entries) = (*row, *entries);
            }
            Event::Begun(checkpoint) => self.open.push((*checkpoint, now)),
            Event::Complete(row) => {
                self.open.retain(|(open, _)| *open != row.id);
                self.completed_count += 1;
                push(&mut self.completed, row.clone());
            }
            Event::Aborted { checkpoint, why } => {
                self.open.retain(|(open, _)| open != checkpoint);
                self.say(now, Tone::Failure, format!("checkpoint {checkpoint} given up: {why}"));
            }
            Event::Written { .. }
            | Event::Lost(_)
            | Event::Held { .. }
            | Event::Fenced { .. }
            | Event::Ended { .. } => {}
        }
    }

    /// Something was killed.
    pub(super) fn struck(&mut self, number: usize, killed: &Killed, now: Duration) {
        (self.killed, self.down) = (number, Some(killed.victim));
        let Killed { victim, row, during, .. } = killed;
        // Of a call its file is more than a line has room for.
        let during = during.split_once(": ").map_or(during.as_str(), |(call, _)| call);
        let text = format!("{victim} killed after row {}: {during}", count(*row));
        self.say(now, Tone::Kill, text);
    }

    /// The job is back.
    pub(super) fn back(&mut self, killed: &Killed, now: Duration) {
        self.down = None;
        let row = count(killed.resumed_row);
        let from = match killed.resumed {
            Some(checkpoint) => format!("back from checkpoint {checkpoint} at row {row}"),
            None if killed.resumed_row > 0 => format!("on at row {row}, without any state"),
            None => "from the start: no checkpoint was complete".to_owned(),
        };
        let text = format!("{from}, {} subtasks an operator", killed.parallelism);
        self.say(now, Tone::Recovery, text);
    }

    /// An owner that was taken for dead was refused.
    pub(super) fn fenced(&mut self, generation: u64, now: Duration) {
        self.say(now, Tone::Fence, format!("generation {generation} woke up and was fenced"));
    }

    /// Time goes on.
    pub(super) fn tick(&mut self, now: Duration) {
        self.now = now;
        let since = now.saturating_sub(self.slice_began);
        if since >= SLICE {
            let rate = (self.slice_rows as f64 / since.as_secs_f64()).round() as u64;
            push(&mut self.rates, rate);
            (self.slice_began, self.slice_rows) = (now, 0);
        }
    }

    fn say(&mut self, at: Duration, tone: Tone, text: String) {
        push(&mut self.log, Entry { at, tone, text });
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(new);
}
