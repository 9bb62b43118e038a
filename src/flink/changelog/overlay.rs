//! The changes of some key groups, replayed: what lies over what was materialized.

use super::{Log, refused};
use crate::Error;
use crate::flink::entry::FlinkValue;
use crate::flink::header::keyed;
use crate::flink::state::FlinkState;
use crate::flink::walk::each_of_map;
use crate::format::manifest::StateKind;
use esker_flink::changelog::{Change, Changelog, Definition, LoggedChange, Operation};
use esker_flink::header::{Role, StateMeta};
use esker_flink::{FormatError, FormatErrorKind, Input, Serializer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What a log makes of some key groups.
pub(in crate::flink) struct Overlay<'a> {
    /// The states that the log defines.
    pub(in crate::flink) states: Vec<OverlaidState<'a>>,
    /// Why nothing is known, with a change of no state that is known.
    pub(in crate::flink) broken: Option<Error>,
}

/// What a log makes of a state.
pub(in crate::flink) struct OverlaidState<'a> {
    pub(in crate::flink) state: FlinkState,
    meta: StateMeta,
    /// By key group, key and namespace.
    pub(in crate::flink) held: BTreeMap<Place<'a>, Held<'a>>,
    /// By key group and time, key and namespace as they are stored: whether they are there.
    pub(in crate::flink) timers: BTreeMap<(u16, &'a [u8]), bool>,
    /// Why none of it is known, with a change that cannot be read.
    pub(in crate::flink) broken: Option<Error>,
}

/// Key group, key and namespace.
type Place<'a> = (u16, &'a [u8], &'a [u8]);

/// A value of a map: none where it was removed.
type MapValue<'a> = Option<FlinkValue<'a>>;

/// What is under a key and namespace.
pub(in crate::flink) enum Held<'a> {
    /// A value, or none; what was there before does not count.
    One(Option<&'a [u8]>),
    /// Elements, how many and their bytes, behind those that were there before or instead of them.
    List {
        over: bool,
        elements: Vec<(usize, &'a [u8])>,
        /// Whether they have been put behind those that were there before.
        taken: Cell<bool>,
    },
    /// Entries by user key, beside those that were there before or instead of them.
    Map { over: bool, entries: BTreeMap<&'a [u8], MapValue<'a>> },
    /// Nothing that can be known.
    Unknown(Error),
}

impl Held<'_> {
    fn no_elements(over: bool) -> Self {
        Self::List { over, elements: Vec::new(), taken: Cell::new(false) }
    }
}

impl<'a> Overlay<'a> {
    /// Replays the changes of `groups` in `piece`, which `Pieces::load` gave; `has_base` is whether
    /// something was materialized below.
    ///
    /// # Errors
    /// `Corrupt` if the piece is none.
    pub(in crate::flink) fn replay(
        log: &'a Log,
        (piece, groups): (&'a [u8], &Range<u16>),
        operator: &str,
        has_base: bool,
    ) -> std::result::Result<Self, FormatError> {
        let mut replay = Replay {
            operator,
            key: Arc::new(log.key.clone()),
            changelog: Changelog::new(Some(log.key.clone())),
            numbers: BTreeMap::new(),
            overlay: Self { states: Vec::new(), broken: None },
            has_base,
        };
        log.pieces.waiting(piece, &mut |waiting| {
            if waiting.change.key_group.is_none_or(|group| groups.contains(&group)) {
                replay.change(&waiting.change, waiting.path);
            }
        })?;
        Ok(replay.overlay)
    }
}

struct Replay<'a, 'o> {
    operator: &'o str,
    key: Arc<Serializer>,
    changelog: Changelog,
    /// By its id in the log, the place of a state.
    numbers: BTreeMap<u16, usize>,
    overlay: Overlay<'a>,
    has_base: bool,
}

impl<'a> Replay<'a, '_> {
    fn change(&mut self, logged: &LoggedChange<'a>, path: &str) {
        let at = logged.bytes.offset();
        let change = match self.changelog.read(logged) {
            Ok(change) => change,
            Err(error) => return self.unreadable(logged, refused(error, path)),
        };
        if let Operation::Define(definition) = &change.operation {
            if let Err(error) = self.define(change.state, definition) {
                self.unreadable(logged, refused(error.at(at), path));
            }
            return;
        }
        let state = self.numbers.get(&change.state).and_then(|n| self.overlay.states.get_mut(*n));
        let (Some(state), Some(group)) = (state, logged.key_group) else { return };
        let definition = self.changelog.states().get(&change.state);
        let checked = definition.map_or(Ok(()), |definition| change.check(definition));
        let place = (group, change.key, change.namespace);
        let is_timer = state.state.is_timer();
        let done = checked.and_then(|()| match is_timer {
            true => state.timer(group, change),
            false => state.apply(group, change, self.has_base),
        });
        if let Err(error) = done {
            let error = refused(error.at(at), path);
            match is_timer {
                true => state.break_by(error),
                false => drop(state.held.insert(place, Held::Unknown(error))),
            }
        }
    }

    /// What a change that cannot be read was of is not known; without its state, nothing is.
    fn unreadable(&mut self, logged: &LoggedChange<'_>, error: Error) {
        let mut input = logged.bytes.clone();
        let id = input.u8().and_then(|_| input.u16()).ok();
        let number = id.and_then(|id| self.numbers.get(&id)).filter(|_| logged.key_group.is_some());
        match number.and_then(|number| self.overlay.states.get_mut(*number)) {
            Some(state) => state.break_by(error),
            None => self.overlay.broken = self.overlay.broken.take().or(Some(error)),
        }
    }

    fn define(&mut self, id: u16, definition: &Definition) -> std::result::Result<(), FormatError> {
        let meta = &definition.meta;
        let states = &mut self.overlay.states;
        let number = match states.iter().position(|state| state.meta.name == meta.name) {
            Some(number) => number,
            None => {
                states.push(OverlaidState {
                    state: keyed(meta, &self.key, self.operator)?,
                    meta: meta.clone(),
                    held: BTreeMap::new(),
                    timers: BTreeMap::new(),
                    broken: None,
                });
                states.len() - 1
            }
        };
        self.numbers.insert(id, number);
        match states.get(number) {
            Some(state) if !is_alike(&state.meta, meta) => {
                let message = format!("state {:?} is of another type from here on", meta.name);
                Err(FormatError::new(FormatErrorKind::UnsupportedVersion, super::WHAT, message))
            }
            _ => Ok(()),
        }
    }
}

/// Whether both are written alike; maps of Java's decide the order of what they say.
pub(in crate::flink) fn is_alike(one: &StateMeta, other: &StateMeta) -> bool {
    let find = |name: &str| other.serializers.iter().find(|(role, _)| role == name);
    one.kind == other.kind
        && one.keyed_type() == other.keyed_type()
        && one
            .serializers
            .iter()
            .all(|(name, serializer)| find(name).is_none_or(|(_, other)| other == serializer))
}

type Done = std::result::Result<(), FormatError>;

impl<'a> OverlaidState<'a> {
    /// Whether what was materialized of it was written alike.
    pub(in crate::flink) fn is_alike(&self, meta: &StateMeta) -> bool {
        is_alike(&self.meta, meta)
    }

    /// Nothing of it is known; the first error is kept.
    pub(in crate::flink) fn break_by(&mut self, error: Error) {
        self.broken = self.broken.take().or(Some(error));
    }

    fn timer(&mut self, group: u16, change: Change<'a>) -> Done {
        match change.operation {
            Operation::AddTimers(timers) => {
                self.timers.extend(timers.into_iter().map(|timer| ((group, timer), true)));
            }
            Operation::RemoveTimer(timer) => drop(self.timers.insert((group, timer), false)),
            _ => {}
        }
        Ok(())
    }

    fn apply(&mut self, group: u16, change: Change<'a>, over: bool) -> Done {
        let place = (group, change.key, change.namespace);
        match (self.state.kind, change.operation) {
            (kind, Operation::MergeNamespaces { target, sources }) => {
                self.merge(kind, (group, change.key, target), &sources, over)
            }
            (StateKind::List, operation) => {
                list(self.held.entry(place).or_insert_with(|| Held::no_elements(over)), operation)
            }
            (StateKind::Map, operation) => {
                let fresh = Held::Map { over, entries: BTreeMap::new() };
                let value = self.meta.needed(Role::Value)?;
                map(self.held.entry(place).or_insert(fresh), operation, value)
            }
            (_, Operation::Set(value)) => {
                self.held.insert(place, Held::One(Some(value)));
                Ok(())
            }
            (_, Operation::Clear) => {
                self.held.insert(place, Held::One(None));
                Ok(())
            }
            _ => Err(no_such(&self.meta)),
        }
    }

    /// The elements of `sources` go behind those of the target. Of accumulators only the program knows how they merge; it
    /// logs what comes of it as a rule.
    fn merge(
        &mut self,
        kind: StateKind,
        target: Place<'a>,
        sources: &[&'a [u8]],
        over: bool,
    ) -> Done {
        let (group, key, _) = target;
        let mut merged = Vec::new();
        let mut known = kind == StateKind::List;
        for namespace in sources {
            let cleared = match kind {
                StateKind::List => Held::no_elements(false),
                _ => Held::One(None),
            };
            match self.held.insert((group, key, namespace), cleared) {
                Some(Held::List { over: false, elements, .. }) => merged.extend(elements),
                None if !over => {}
                _ => known = false,
            }
        }
        if !known {
            let message = format!(
                "state {:?}: namespaces were merged, which only the program does alike; take a savepoint of it",
                self.meta.name
            );
            let error = FormatError::new(FormatErrorKind::UnsupportedVersion, super::WHAT, message);
            self.held.insert(target, Held::Unknown(error.into()));
            return Ok(());
        }
        let held = self.held.entry(target).or_insert_with(|| Held::no_elements(over));
        if let Held::List { elements, .. } = held {
            elements.extend(merged);
        }
        Ok(())
    }
}

fn no_such(meta: &StateMeta) -> FormatError {
    let message = format!("state {:?} has no such operation", meta.name);
    FormatError::corrupt(super::WHAT, message)
}

fn list<'a>(held: &mut Held<'a>, operation: Operation<'a>) -> Done {
    let counted = |bytes: &'a [u8]| {
        let mut input = Input::new("list", bytes);
        input.count(0).map(|count| (count, input.rest()))
    };
    let (replaces, added) = match operation {
        Operation::Clear => (true, None),
        Operation::Set(bytes) => (true, Some(counted(bytes)?)),
        Operation::Add(bytes) => (false, Some(counted(bytes)?)),
        Operation::AddElement(bytes) => (false, Some((1, bytes))),
        _ => return Err(FormatError::corrupt(super::WHAT, "a list has no such operation")),
    };
    if replaces {
        *held = Held::no_elements(false);
    }
    if let Held::List { elements, .. } = held {
        elements.extend(added.filter(|(count, _)| *count > 0));
    }
    Ok(())
}

fn map<'a>(held: &mut Held<'a>, operation: Operation<'a>, value: &Serializer) -> Done {
    if matches!(operation, Operation::Clear | Operation::Set(_)) {
        *held = Held::Map { over: false, entries: BTreeMap::new() };
    }
    let Held::Map { entries, .. } = held else { return Ok(()) };
    match operation {
        Operation::Clear => {}
        Operation::Set(bytes) | Operation::Add(bytes) => {
            each_of_map(value.entry(), false, bytes, &mut |user_key, value| {
                entries.insert(user_key, Some(value));
                true
            })?;
        }
        Operation::PutEntry { user_key, value } => {
            entries.insert(user_key, Some(FlinkValue::One(value)));
        }
        Operation::RemoveEntry(user_key) => drop(entries.insert(user_key, None)),
        _ => return Err(FormatError::corrupt(super::WHAT, "a map has no such operation")),
    }
    Ok(())
}
