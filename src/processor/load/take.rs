//! Entries are made, kept and sorted, and what is wrong with them is noted.

use super::bootstrap::{Bootstrap, Made, State};
use super::line::{latest_ms, place_of, unknown};
use super::problem::At;
use super::sorted::SortedEntries;
use super::spool::Lane;
use super::{Problem, Read, Unit, WrongLine};
use crate::format::manifest::{StateInfo, StateKind};
use crate::format::{FormatError, Result as Encoding};
use crate::{Error, ErrorKind, Result};

/// After so many no more are looked for.
const PROBLEMS_MAX: usize = 10;

impl<'t> Bootstrap<'t> {
    /// All entries, sorted; or what is wrong with them, of which some may be of one key, or inputs that were not read to
    /// their end.
    ///
    /// # Errors
    /// Those of the temporary folder, also of calls before.
    pub fn finish(self) -> Result<SortedEntries<'t>> {
        let latest = self
            .states
            .iter()
            .filter_map(|state| Some(((state.operator, state.info.id), state.latest_ms?)));
        let mut done = SortedEntries {
            template: self.template,
            parallelism: self.parallelism,
            sorted: None,
            latest: latest.collect(),
            count: self.count,
            problems: self.problems,
        };
        if !done.problems.is_empty() {
            return Ok(done);
        }
        let sorted = self.spool.finish()?;
        let (units, operators) = (&self.units, &self.template.manifest().operators);
        let checked = sorted.duplicates(&mut |lane, key, places| {
            let (Lane::Keyed(at) | Lane::Broadcast(at) | Lane::Elements(at, _)) = lane;
            let operator = operators.get(at);
            let id = key.first_chunk().map(|id| u32::from_be_bytes(*id));
            let is = |state: &&StateInfo| Some(state.id) == id;
            let state = operator.and_then(|operator| operator.states.iter().find(is));
            let places: Vec<_> = places.into_iter().map(|at| At(at).place(units)).collect();
            let unit = places.first().map(|place| place.unit);
            let unit = unit.filter(|unit| places.iter().all(|place| place.unit == *unit));
            let message = format!(
                "{}/{}: these {} are of one key: leave all but one out",
                operator.map_or("", |operator| &operator.uid),
                state.map_or("", |state| &state.name),
                unit.unwrap_or(Unit::Entry).plural()
            );
            done.problems.push(Problem { places, column: None, message });
            match done.problems.len() {
                PROBLEMS_MAX => Err(Error::new(ErrorKind::Invalid, "so many are enough")),
                _ => Ok(()),
            }
        });
        match checked {
            Err(error) if done.problems.is_empty() => Err(error),
            _ => {
                done.sorted = Some(sorted);
                Ok(done)
            }
        }
    }

    /// Takes the next entry that was given by itself, as `encode` makes it.
    pub(super) fn add_with(
        &mut self,
        at: usize,
        encode: impl FnOnce(&State<'t>, &mut Made) -> Encoding<()>,
    ) -> Result<()> {
        self.entries += 1;
        let number = self.entries;
        let taken = match self.encode(at, encode) {
            Ok(lane) => self.keep(at, lane, (0, number)),
            Err(error) => Err(Error::from(error)),
        };
        taken.map_err(|error| match self.states.get(at) {
            Some(State { operator, info, .. }) if error.kind() != ErrorKind::Retry => {
                let operator = self.template.manifest().operators.get(*operator);
                let uid = operator.map_or("", |operator| &operator.uid);
                error.of(format_args!("entry {number}: {uid}/{}", info.name))
            }
            _ => error,
        })?;
        self.count += 1;
        Ok(())
    }

    /// Takes a line; false once there is so much wrong that it is of no use to go on.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(super) fn line(&mut self, place: (usize, u64), read: Read<'_>) -> Result<bool> {
        self.count += 1;
        let (text, line) = match read {
            Ok(read) => read,
            Err(WrongLine { at, message }) => return Ok(self.wrong(place, at, message)),
        };
        let named = |message: &str| format!("{}/{}: {message}", line.operator, line.state);
        let Some(at) = self.at(&line.operator, &line.state) else {
            let why = unknown(&self.template.manifest().operators, &line.operator);
            return Ok(self.wrong(place, None, named(&why)));
        };
        let encoded = self.encode(at, |state, Made { position, key, value, .. }| {
            state.reader.entry(&line, *position, key, value)
        });
        match encoded.map(|lane| self.keep(at, lane, place)) {
            Ok(Err(error)) if error.kind() == ErrorKind::Invalid => {
                Ok(self.wrong(place, None, named(&error.to_string())))
            }
            Ok(kept) => kept.map(|()| true),
            Err(error) => {
                let column = place_of(&error, text, &line);
                Ok(self.wrong(place, column, named(&error.message)))
            }
        }
    }

    /// Whether there is not so much wrong that it is of no use to go on.
    pub(super) fn goes_on(&self) -> bool {
        self.problems.len() < PROBLEMS_MAX
    }

    /// Notes what is wrong with a line; whether it is of use to go on.
    fn wrong(&mut self, (input, number): (usize, u64), at: Option<usize>, message: String) -> bool {
        let places = At::new(input, number).map(|at| at.place(&self.units));
        let column = at.map(|at| at as u64 + 1);
        // An input may call on though it was told not to.
        if self.goes_on() {
            self.problems.push(Problem { places: places.into_iter().collect(), column, message });
        }
        self.goes_on()
    }

    /// Notes that an input ended before its end: what there is of it would pass for all.
    pub(super) fn unread(&mut self, input: usize, error: &Error) {
        let message = format!("input {input} was not read to its end: {error}");
        if self.goes_on() {
            self.problems.push(Problem { places: Vec::new(), column: None, message });
        }
    }

    /// Makes an entry of a state.
    fn encode(
        &mut self,
        at: usize,
        encode: impl FnOnce(&State<'t>, &mut Made) -> Encoding<()>,
    ) -> Encoding<Lane> {
        let no_state = || FormatError::invalid("entry", "of no state");
        let state = self.states.get(at).ok_or_else(no_state)?;
        let operator = state.operator;
        let subtasks = u64::from(self.parallelism.get(operator).copied().unwrap_or(1).max(1));
        self.made.key.clear();
        self.made.value.clear();
        // As a restore deals them out: each subtask the next one.
        self.made.position = state.elements / subtasks;
        encode(state, &mut self.made)?;
        Ok(match state.info.kind {
            StateKind::OperatorBroadcast => Lane::Broadcast(operator),
            StateKind::OperatorList | StateKind::OperatorUnion => {
                Lane::Elements(operator, (state.elements % subtasks) as u32)
            }
            _ => Lane::Keyed(operator),
        })
    }

    /// Keeps the entry that was made. What is wrong with one line is told, and nothing kept any more.
    fn keep(&mut self, at: usize, lane: Lane, (input, number): (usize, u64)) -> Result<()> {
        if !self.problems.is_empty() {
            return Ok(());
        }
        let too_many =
            || Error::new(ErrorKind::Invalid, "more inputs or entries than are numbered");
        let At(number) = At::new(input, number).ok_or_else(too_many)?;
        self.spool.add(lane, number, &self.made.key, &self.made.value)?;
        if let Some(state) = self.states.get_mut(at) {
            state.elements += u64::from(matches!(lane, Lane::Elements(..)));
            if state.info.ttl.is_some() {
                let latest_ms = latest_ms(state.info.kind, &self.made.value);
                state.latest_ms = state.latest_ms.max(latest_ms);
            }
        }
        Ok(())
    }
}
