//! Lines to entries: whose they are, what is wrong with them, and where they are sorted.

use super::input::Read1;
use super::spool::{Lane, Sorted, Spool};
use esker::format::FormatError;
use esker::format::canonical::{Line, LineReader};
use esker::format::manifest::{Operator, StateInfo, StateKind};
use esker::{Error, ErrorKind, Result};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// After so many no more are looked for.
const PROBLEMS_MAX: usize = 10;

/// Something wrong with lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Their numbers, from 1 on; of many lines of one key the first ten; none if it is not of a line.
    pub(crate) lines: Vec<u64>,
    /// Where in the line, in bytes, from 1 on.
    pub(crate) column: Option<u64>,
    pub(crate) message: String,
    /// What a line is called.
    #[serde(skip)]
    pub(crate) unit: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            write!(f, "{} {line}", if number == 0 { self.unit } else { " and" })?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        let colon = if self.lines.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.message)
    }
}

/// When entries of states with TTL were last updated, the latest of them; by the operator's position in the
/// manifest and the state's id.
pub(crate) type Latest = BTreeMap<(usize, u32), i64>;

/// Takes lines of the states of some operators.
pub(crate) struct Loader<'a> {
    operators: &'a [Operator],
    /// How many subtasks each has.
    parallelism: &'a [u32],
    /// By uid and name of the state.
    states: HashMap<&'a str, HashMap<&'a str, Place<'a>>>,
    /// What a line is called.
    unit: &'static str,
    spool: Spool,
    key: Vec<u8>,
    value: Vec<u8>,
    pub(crate) lines: u64,
    pub(crate) problems: Vec<Problem>,
}

struct Place<'a> {
    operator: usize,
    reader: LineReader<'a>,
    kind: StateKind,
    /// How many elements of it there were.
    elements: u64,
    id: u32,
    latest_ms: Option<i64>,
}

impl<'a> Loader<'a> {
    /// A loader of lines, which are called `unit`.
    ///
    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub(crate) fn new(
        operators: &'a [Operator],
        parallelism: &'a [u32],
        unit: &'static str,
    ) -> Result<Self> {
        let mut states: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (number, operator) in operators.iter().enumerate() {
            let of_operator = states.entry(&*operator.uid).or_default();
            for state in &operator.states {
                let reader = LineReader::new(operator.key.as_ref(), state);
                let place = Place {
                    operator: number,
                    reader,
                    kind: state.kind,
                    elements: 0,
                    id: state.id,
                    latest_ms: None,
                };
                of_operator.insert(&*state.name, place);
            }
        }
        let (key, value, problems) = (Vec::new(), Vec::new(), Vec::new());
        let spool = Spool::new()?;
        Ok(Self { operators, parallelism, states, unit, spool, key, value, lines: 0, problems })
    }

    /// Takes a line; false once there is so much wrong that it is of no use to go on.
    ///
    /// # Errors
    /// Those of the temporary folder. What is wrong with the line stands in `problems`.
    pub(crate) fn line(&mut self, number: u64, read: Read1<'_>) -> Result<bool> {
        self.lines += 1;
        match read {
            Err((at, message)) => self.wrong(number, at, message),
            Ok((text, line)) => match self.entry(&line) {
                // What is wrong with one line is told, and nothing kept any more.
                Ok(lane) if self.problems.is_empty() => {
                    let added = self.spool.add(lane, number, &self.key, &self.value);
                    match added {
                        Err(error) if error.kind() == ErrorKind::Invalid => {
                            let message = format!("{}/{}: {error}", line.operator, line.state);
                            self.wrong(number, None, message);
                        }
                        added => added?,
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let at = place_of(&error, text, &line);
                    let message = format!("{}/{}: {}", line.operator, line.state, error.message);
                    self.wrong(number, at, message);
                }
            },
        }
        Ok(self.problems.len() < PROBLEMS_MAX)
    }

    fn wrong(&mut self, number: u64, at: Option<usize>, message: String) {
        let column = at.map(|at| at as u64 + 1);
        let unit = self.unit;
        self.problems.push(Problem { lines: vec![number], column, message, unit });
    }

    /// Makes the line's entry.
    fn entry(&mut self, line: &Line<'_>) -> std::result::Result<Lane, FormatError> {
        let of_operator = self.states.get_mut(&*line.operator);
        let Some(place) = of_operator.and_then(|states| states.get_mut(&*line.state)) else {
            return Err(FormatError::invalid("line", unknown(self.operators, line)));
        };
        self.key.clear();
        self.value.clear();
        let operator = place.operator;
        let subtasks = self.parallelism.get(operator).copied().unwrap_or(1).max(1);
        // As a restore deals them out: each subtask the next one.
        let (position, subtask) =
            (place.elements / u64::from(subtasks), (place.elements % u64::from(subtasks)) as u32);
        place.reader.entry(line, position, &mut self.key, &mut self.value)?;
        place.latest_ms = place.latest_ms.max(line.ttl.and_then(latest_of));
        Ok(match place.kind {
            StateKind::OperatorBroadcast => Lane::Broadcast(operator),
            StateKind::OperatorList | StateKind::OperatorUnion => {
                place.elements += 1;
                Lane::Elements(operator, subtask)
            }
            _ => Lane::Keyed(operator),
        })
    }

    /// When the lines of each state were last updated.
    pub(crate) fn latest(&self) -> Latest {
        let places = self.states.values().flat_map(HashMap::values);
        places.filter_map(|place| Some(((place.operator, place.id), place.latest_ms?))).collect()
    }

    /// All entries, sorted, unless lines said different things of one key: these are among `problems`.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(crate) fn finish(self) -> Result<(Sorted, Vec<Problem>)> {
        let sorted = self.spool.finish()?;
        let mut problems = Vec::new();
        let checked = sorted.duplicates(&mut |lane, key, lines| {
            let (Lane::Keyed(at) | Lane::Broadcast(at) | Lane::Elements(at, _)) = lane;
            let operator = self.operators.get(at);
            let id = key.first_chunk().map(|id| u32::from_be_bytes(*id));
            let is = |state: &&StateInfo| Some(state.id) == id;
            let state = operator.and_then(|operator| operator.states.iter().find(is));
            let message = format!(
                "{}/{}: these {}s are of one key: leave all but one out",
                operator.map_or("", |operator| &operator.uid),
                state.map_or("", |state| &state.name),
                self.unit
            );
            problems.push(Problem { lines, column: None, message, unit: self.unit });
            match problems.len() {
                PROBLEMS_MAX => Err(Error::new(ErrorKind::Invalid, "so many are enough")),
                _ => Ok(()),
            }
        });
        match checked {
            Err(error) if problems.is_empty() => Err(error),
            _ => Ok((sorted, problems)),
        }
    }
}

/// The latest time of a line's TTL: one, or an array of them.
fn latest_of(ttl: &str) -> Option<i64> {
    let times = ttl.trim_matches(|c: char| c == '[' || c == ']' || c.is_ascii_whitespace());
    times.split(',').filter_map(|time| time.trim().parse().ok()).max()
}

/// What to say of a line of no known state.
fn unknown(operators: &[Operator], line: &Line<'_>) -> String {
    match operators.iter().find(|operator| operator.uid == line.operator) {
        None => {
            let known: Vec<_> = operators.iter().map(|operator| &operator.uid).collect();
            format!("there is no such operator; they are {known:?}")
        }
        Some(operator) => {
            let known: Vec<_> = operator.states.iter().map(|state| &state.name).collect();
            format!("the operator has no such state; it has {known:?}")
        }
    }
}

/// Where in `text` the error is: that of a member knows its place in the member alone.
fn place_of(error: &FormatError, text: &str, line: &Line<'_>) -> Option<usize> {
    let name = error.message.split(['.', '[', ':']).next().unwrap_or_default();
    let json = match name {
        "key" => line.key,
        "namespace" => line.namespace,
        "userKey" => line.user_key,
        "value" => line.value,
        "ttl" => line.ttl,
        _ => None,
    }?;
    let from = (json.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let at = usize::try_from(error.offset.unwrap_or(0)).ok()?;
    (from <= text.len()).then_some(from + at)
}
