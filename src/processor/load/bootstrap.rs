//! Entries in any order, from wherever they come: what they are added by.

use super::line::unknown;
use super::spool::Spool;
use super::typed::{Parts, check};
use super::{Input, OpenState, Problem, Template, TypedState, Unit};
use crate::format::canonical::{DynamicEntry, LineReader};
use crate::format::composite::CompositeKey;
use crate::format::manifest::{StateInfo, StateKind};
use crate::format::{KeyGroup, KeyGroupRange};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};

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
    pub(super) template: &'t Template,
    /// How many subtasks each operator has.
    pub(super) parallelism: Vec<u32>,
    pub(super) states: Vec<State<'t>>,
    /// By uid and name their places among `states`.
    pub(super) names: HashMap<&'t str, HashMap<&'t str, usize>>,
    /// What was read from, by what its lines are called. The first are entries.
    pub(super) units: Vec<Unit>,
    pub(super) entries: u64,
    pub(super) spool: Spool,
    pub(super) made: Made,
    pub(super) count: u64,
    pub(super) problems: Vec<Problem>,
}

pub(super) struct State<'t> {
    /// The position in the manifest.
    pub(super) operator: usize,
    pub(super) info: &'t StateInfo,
    pub(super) reader: LineReader<'t>,
    /// How many elements of it there were.
    pub(super) elements: u64,
    pub(super) latest_ms: Option<i64>,
}

/// The entry that was made last: its composite key and its value.
#[derive(Default)]
pub(super) struct Made {
    /// Of an element of operator state, its place in its subtask's list.
    pub(super) position: u64,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) parts: Parts,
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
        for (number, operator) in template.manifest().operators.iter().enumerate() {
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
            let message = unknown(&template.manifest().operators, uid);
            let message = format!("state={}: {message}", asked.name);
            return Err(of(Error::new(ErrorKind::Invalid, message)));
        };
        if let Some(State { operator, info, .. }) = self.states.get(at) {
            let operator = template.manifest().operators.get(*operator);
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
            let why = unknown(&self.template.manifest().operators, operator);
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
    /// Those of the input, and of the temporary folder. What was taken before stays, and cannot be taken back: so
    /// nothing can be written then, and who reads the input again begins anew.
    pub fn read(
        &mut self,
        input: impl Input,
        progress: &mut dyn FnMut(u64),
    ) -> std::result::Result<(), ReadError> {
        let of = self.units.len();
        self.units.push(input.unit());
        if !self.goes_on() {
            return Ok(());
        }
        let mut failed = None;
        let done = input.each(&mut |number, line| {
            progress(1);
            self.line((of, number), line).or_else(|error| {
                failed.get_or_insert(error);
                Ok(false)
            })
        });
        match failed {
            Some(error) => Err(ReadError::Folder(error)),
            None => done.map_err(|error| {
                self.unread(of, &error);
                ReadError::Input(error)
            }),
        }
    }

    pub(super) fn at(&self, uid: &str, state: &str) -> Option<usize> {
        self.names.get(uid)?.get(state).copied()
    }
}
