//! Entries on their way: whose they are, what is wrong with them, and where they are sorted.

use super::line::{latest_ms, place_of, unknown};
use super::problem::At;
use super::sorted::SortedEntries;
use super::spool::{Lane, Spool};
use super::typed::{Parts, check};
use super::{Input, OpenState, Problem, Read, Template, TypedState, Unit, WrongLine};
use crate::format::canonical::{DynamicEntry, LineReader};
use crate::format::composite::CompositeKey;
use crate::format::manifest::{StateInfo, StateKind};
use crate::format::{FormatError, KeyGroup, KeyGroupRange, Result as Encoding};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};

/// After so many no more are looked for.
const PROBLEMS_MAX: usize = 10;

/// When entries of states with TTL were last updated, the latest of them; by the operator's position in the
/// manifest and the state's id.
pub(super) type Latest = BTreeMap<(usize, u32), i64>;

/// Takes entries of the states of a template, in any order.
///
/// Elements of operator state are dealt out to the subtasks one by one, in order of their arrival; broadcast state goes
/// to every subtask, and may be said again. Of anything else there is one entry of each key, namespace and user key; of
/// a list, all of its elements.
///
/// Memory: 48 MiB of entries; the rest lies in the system's temporary folder, with about the size of the savepoint.
pub struct Bootstrap<'t> {
    template: &'t Template,
    /// How many subtasks each operator has.
    parallelism: Vec<u32>,
    states: Vec<State<'t>>,
    /// By uid and name their places among `states`.
    names: HashMap<&'t str, HashMap<&'t str, usize>>,
    /// What was read from, by what its lines are called. The first are entries.
    units: Vec<Unit>,
    entries: u64,
    spool: Spool,
    made: Made,
    count: u64,
    problems: Vec<Problem>,
}

struct State<'t> {
    /// The position in the manifest.
    operator: usize,
    info: &'t StateInfo,
    reader: LineReader<'t>,
    /// How many elements of it there were.
    elements: u64,
    latest_ms: Option<i64>,
}

/// The entry that was made last: its composite key and its value.
#[derive(Default)]
struct Made {
    /// Of an element of operator state, its place in its subtask's list.
    position: u64,
    key: Vec<u8>,
    value: Vec<u8>,
    parts: Parts,
}

/// Why [`Bootstrap::read`] ended before the input's end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What [`Input::each`] failed with.
    #[error(transparent)]
    Input(Error),
    /// Entries cannot be sorted: the temporary folder fails.
    #[error(transparent)]
    Folder(Error),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Input(error) | ReadError::Folder(error) => error,
        }
    }
}

impl<'t> Bootstrap<'t> {
    /// One for operators of so many subtasks: as many as in the template if `parallelism` is none.
    ///
    /// # Errors
    /// `Retry` if there can be no temporary folder; `Invalid` if there can be no such parallelism.
    pub fn new(template: &'t Template, parallelism: Option<u32>) -> Result<Self> {
        if let Some(parallelism) = parallelism {
            KeyGroupRange::of_subtask(0, parallelism)?;
        }
        let parallelism = template.parallelism(parallelism);
        let mut states = Vec::new();
        let mut names: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (number, operator) in template.manifest.operators.iter().enumerate() {
            let of_operator = names.entry(&*operator.uid).or_default();
            for info in &operator.states {
                of_operator.insert(&*info.name, states.len());
                let reader = LineReader::new(operator.key.as_ref(), info);
                states.push(State { operator: number, info, reader, elements: 0, latest_ms: None });
            }
        }
        Ok(Self {
            template,
            parallelism,
            states,
            names,
            units: vec![Unit::Entry],
            entries: 0,
            spool: Spool::new()?,
            made: Made::default(),
            count: 0,
            problems: Vec::new(),
        })
    }

    /// The state of the operator `uid` that `descriptor` describes, to [`put`](Self::put) entries into.
    ///
    /// # Errors
    /// `Invalid` if the template has no such state; `Incompatible` if its kind or types are others: a savepoint holds
    /// what its schema says, nothing is migrated on the way into it.
    pub fn open<'d, D: TypedState>(
        &self,
        uid: &str,
        descriptor: &'d D,
    ) -> Result<OpenState<'t, 'd, D>> {
        let of = |error: Error| error.of(format_args!("operator={uid}"));
        let (key, asked) = descriptor.types().map_err(of)?;
        let template = self.template;
        let Some(at) = self.at(uid, &asked.name) else {
            let message = unknown(&template.manifest.operators, uid);
            let message = format!("state={}: {message}", asked.name);
            return Err(of(Error::new(ErrorKind::Invalid, message)));
        };
        if let Some(State { operator, info, .. }) = self.states.get(at) {
            let operator = template.manifest.operators.get(*operator);
            let there_key = operator.and_then(|operator| operator.key.as_ref());
            check((key.as_ref(), &asked), (there_key, info)).map_err(of)?;
        }
        Ok(OpenState { template, descriptor, at })
    }

    /// Takes an entry of a program's own types.
    ///
    /// # Errors
    /// `Invalid` if it cannot be encoded or is too long, and then it is not taken, or if `state` was opened for another
    /// template; those of the temporary folder.
    pub fn put<D: TypedState>(
        &mut self,
        state: &OpenState<'t, '_, D>,
        entry: &D::Entry,
    ) -> Result<()> {
        if !std::ptr::eq(state.template, self.template) {
            return Err(Error::new(ErrorKind::Invalid, "the state is of another template"));
        }
        self.add_with(state.at, |State { info, .. }, Made { position, key, value, parts }| {
            parts.clear();
            state.descriptor.encode(entry, None, parts)?;
            if matches!(info.kind, StateKind::OperatorList | StateKind::OperatorUnion) {
                parts.key.extend_from_slice(&position.to_be_bytes());
            }
            let group = if info.kind.is_keyed() { KeyGroup::of(&parts.key) } else { KeyGroup(0) };
            let Parts { key: of_key, namespace, user_key, value: of_value } = parts;
            CompositeKey::new(info.id, group, of_key, namespace, user_key).encode_into(key);
            value.append(of_value);
            Ok(())
        })
    }

    /// Takes an entry whose types are known as schemas alone: those of the template's state.
    ///
    /// # Errors
    /// `Invalid` if the template has no such state, a member is none of its type or it is too long, and then it is not
    /// taken; `Incompatible` if a codec is not one of esker's; those of the temporary folder.
    pub fn add(&mut self, entry: &DynamicEntry) -> Result<()> {
        let DynamicEntry { operator, state, .. } = entry;
        let Some(at) = self.at(operator, state) else {
            self.entries += 1;
            let why = unknown(&self.template.manifest.operators, operator);
            let message = format!("entry {}: {operator}/{state}: {why}", self.entries);
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        self.add_with(at, |state, Made { position, key, value, .. }| {
            state.reader.dynamic(entry, *position, key, value)
        })
    }

    /// Takes all lines of an input. What is wrong with some is no error of this call, but it ends once there is so much
    /// that it is of no use to go on: [`finish`](Self::finish) tells it. `progress` is told how many lines were taken
    /// since the last time.
    ///
    /// # Errors
    /// Those of the input, and of the temporary folder.
    pub fn read(
        &mut self,
        input: impl Input,
        progress: &mut dyn FnMut(u64),
    ) -> std::result::Result<(), ReadError> {
        let of = self.units.len();
        self.units.push(input.unit());
        let mut failed = None;
        let done = input.each(&mut |number, line| {
            progress(1);
            self.line((of, number), line).or_else(|error| {
                failed = Some(error);
                Ok(false)
            })
        });
        match failed {
            Some(error) => Err(ReadError::Folder(error)),
            None => done.map_err(ReadError::Input),
        }
    }

    /// All entries, sorted; or what is wrong with them, of which some may be of one key.
    ///
    /// # Errors
    /// Those of the temporary folder.
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
        let (units, operators) = (&self.units, &self.template.manifest.operators);
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

    fn at(&self, uid: &str, state: &str) -> Option<usize> {
        self.names.get(uid)?.get(state).copied()
    }

    /// Takes the next entry that was given by itself, as `encode` makes it.
    fn add_with(
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
                let operator = self.template.manifest.operators.get(*operator);
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
    fn line(&mut self, place: (usize, u64), read: Read<'_>) -> Result<bool> {
        self.count += 1;
        let (text, line) = match read {
            Ok(read) => read,
            Err(WrongLine { at, message }) => return Ok(self.wrong(place, at, message)),
        };
        let named = |message: &str| format!("{}/{}: {message}", line.operator, line.state);
        let Some(at) = self.at(&line.operator, &line.state) else {
            let why = unknown(&self.template.manifest.operators, &line.operator);
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

    /// Notes what is wrong with a line; whether it is of use to go on.
    fn wrong(&mut self, (input, number): (usize, u64), at: Option<usize>, message: String) -> bool {
        let places = At::new(input, number).map(|at| at.place(&self.units));
        let column = at.map(|at| at as u64 + 1);
        self.problems.push(Problem { places: places.into_iter().collect(), column, message });
        self.problems.len() < PROBLEMS_MAX
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
