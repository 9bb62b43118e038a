//! Reads a log as far as it goes, while others append to it and delete below its base.

use super::{Action, Fact, LogError, LogState, Sequence};
use crate::format::record::{Decision, Record};
use std::collections::BTreeMap;

/// How often a list may show records missing before that is taken for damage.
const ATTEMPT_COUNT_MAX: u32 = 100;

/// Brings a [`LogState`] up to date from nothing.
///
/// It lists, reads from the newest record down to a base or to the first, and lists again until
/// nothing is above what it read: whatever was deleted or replaced below a newer base while it read
/// would show there. Start with [`Reader::start`], answer every action through [`Reader::step`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    records: BTreeMap<Sequence, Record>,
    lowest_listed: Option<Sequence>,
    reading: Option<Sequence>,
    attempts: u32,
    state: LogState,
}

impl Reader {
    /// The first action.
    pub fn start(&mut self) -> Action {
        *self = Self::default();
        Action::List
    }

    /// What the log amounts to, once [`Action::Done`] was returned.
    pub fn into_state(self) -> LogState {
        self.state
    }

    /// The same, with the records that count; of a base, itself and those above it.
    pub fn into_records(self) -> (LogState, BTreeMap<Sequence, Record>) {
        (self.state, self.records)
    }

    /// The next action after `fact`; [`Action::Done`] once the state is up to date.
    ///
    /// # Errors
    /// `Record` or `Broken` if the log is damaged, `Missing` if records are missing from it.
    pub fn step(&mut self, fact: Fact) -> Result<Action, LogError> {
        match (self.reading, fact) {
            (None, Fact::Listed(listed)) => self.listed(listed),
            (Some(sequence), Fact::ReadOk(bytes)) => {
                let record = Record::decode(&bytes)
                    .map_err(|source| LogError::Record { sequence, source })?;
                self.records.insert(sequence, record);
                self.read_down(sequence)
            }
            (Some(_), Fact::NotFound) => self.list_again(),
            (None, _) => Err(LogError::Unexpected("list")),
            (Some(_), _) => Err(LogError::Unexpected("read")),
        }
    }

    fn list_again(&mut self) -> Result<Action, LogError> {
        self.attempts += 1;
        if self.attempts > ATTEMPT_COUNT_MAX {
            let lowest = self.records.keys().next().copied();
            return Err(LogError::Missing(lowest.unwrap_or(Sequence::FIRST)));
        }
        self.reading = None;
        self.records.clear();
        Ok(Action::List)
    }

    fn listed(&mut self, listed: Vec<Sequence>) -> Result<Action, LogError> {
        let Some((lowest, highest)) = dense_end(listed) else {
            // An empty log, unless records were there a moment ago.
            return if self.records.is_empty() { Ok(Action::Done) } else { self.list_again() };
        };
        self.lowest_listed = Some(lowest);
        match self.records.last_key_value() {
            Some((top, _)) if *top == highest => self.finish(),
            Some((top, _)) if *top > highest => self.list_again(),
            _ => self.read(highest),
        }
    }

    fn read(&mut self, sequence: Sequence) -> Result<Action, LogError> {
        self.reading = Some(sequence);
        Ok(Action::Read(sequence))
    }

    /// After `sequence` was read: the one below it, unless that is not needed.
    fn read_down(&mut self, mut sequence: Sequence) -> Result<Action, LogError> {
        loop {
            let is_base = self.records.get(&sequence).is_some_and(is_base);
            if is_base || sequence == Sequence::FIRST {
                self.records = self.records.split_off(&sequence);
                self.reading = None;
                return Ok(Action::List);
            }
            let below = Sequence(sequence.0 - 1);
            if !self.records.contains_key(&below) {
                return match self.lowest_listed {
                    Some(lowest) if lowest <= below => self.read(below),
                    _ => self.list_again(),
                };
            }
            sequence = below;
        }
    }

    fn finish(&mut self) -> Result<Action, LogError> {
        for (sequence, record) in &self.records {
            self.state.apply(*sequence, record)?;
        }
        Ok(Action::Done)
    }
}

fn is_base(record: &Record) -> bool {
    matches!(record.decision, Decision::Base(_))
}

/// The lowest and the highest number of the gapless sequence that a list ends with.
pub(super) fn dense_end(mut listed: Vec<Sequence>) -> Option<(Sequence, Sequence)> {
    listed.sort_unstable();
    let highest = *listed.last()?;
    let mut lowest = highest;
    for sequence in listed.iter().rev() {
        if *sequence < lowest {
            if sequence.next() != lowest {
                break;
            }
            lowest = *sequence;
        }
    }
    Some((lowest, highest))
}
