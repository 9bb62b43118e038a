//! Through a changelog: what was materialized, and what its log makes of it.

use super::{Unit, Walk, is_passing};
use crate::flink::changelog::{Held, Log, OverlaidState, Overlay};
use crate::flink::damage::FlinkDamage;
use crate::flink::entry::{Element, FlinkValue, Of, Raw, Visitor};
use crate::flink::part::{Opened, Part, ends};
use crate::flink::state::FlinkState;
use crate::{Error, Result};
use esker_flink::{FormatError, FormatErrorKind, Input, Serializer};

/// Timestamps are stored so that the order of bytes is that of time.
const SIGN: i64 = i64::MIN;

impl Walk<'_> {
    /// The log of the unit's key groups is in memory; what was materialized streams by.
    pub(super) fn changelog(
        &mut self,
        part: &Part<'_>,
        (bases, log): (&[Opened<'_>], &Log),
        unit: &Unit,
    ) -> Result<()> {
        let groups = &unit.groups;
        let piece = log.pieces.load(groups)?;
        let label = &part.operator.label;
        let overlay = Overlay::replay(log, (&piece, groups), label, !bases.is_empty());
        let overlay = match overlay {
            Ok(overlay) => overlay,
            Err(error) => {
                let error = Error::from(error).at_path(part.snapshot.path());
                self.harm(part, None, ends(groups.clone()), error);
                return Ok(());
            }
        };
        if let Some(error) = overlay.broken {
            self.harm(part, None, ends(groups.clone()), error);
            return Ok(());
        }
        let mut over = Over { overlay, visitor: &mut *self.visitor, unknown: Vec::new() };
        for base in bases {
            over.compare(base);
            Walk { filter: self.filter, visitor: &mut over, harm: &mut *self.harm }
                .opened(part, base, unit)?;
        }
        let Over { overlay, mut unknown, .. } = over;
        for state in overlay.states {
            if self.filter.wants_state(&state.state) {
                self.rest(part, state, unit, &mut unknown)?;
            }
        }
        for Unknown { state, key_groups, entries, error } in unknown {
            (self.harm)(FlinkDamage {
                operator: label.clone(),
                subtask: Some(part.subtask),
                state: Some(state),
                key_groups: Some(key_groups),
                entries: Some(entries),
                error: placed(part, error),
            });
        }
        Ok(())
    }

    /// What the log alone has.
    fn rest(
        &mut self,
        part: &Part<'_>,
        state: OverlaidState<'_>,
        unit: &Unit,
        unknown: &mut Vec<Unknown>,
    ) -> Result<()> {
        let OverlaidState { state, held, timers, broken, .. } = state;
        if let Some(error) = broken {
            if is_passing(&error) {
                return Err(error);
            }
            self.harm(part, Some(state.name), ends(unit.groups.clone()), placed(part, error));
            return Ok(());
        }
        for ((group, key, namespace), held) in held {
            let mut visit = |user_key, value| {
                let raw = Raw::Parts { key, namespace, user_key, value };
                self.visitor.entry(Of { state: &state, format: None }, group, raw, 0)
            };
            match held {
                Held::One(value) => {
                    value.map_or(Ok(()), |value| visit(None, FlinkValue::One(value)))?;
                }
                Held::List { taken, .. } if taken.get() => {}
                Held::List { elements, .. } => {
                    let bytes = joined(&elements);
                    let count = count(&elements);
                    match state.opaque_value() {
                        _ if count == 0 => {}
                        None => visit(None, FlinkValue::Counted(count, &bytes))?,
                        Some(_) => visit(None, FlinkValue::Whole(&whole(count, &bytes)))?,
                    }
                }
                Held::Map { entries, .. } => {
                    for (user_key, value) in entries {
                        value.map_or(Ok(()), |value| visit(Some(user_key), value))?;
                    }
                }
                Held::Unknown(error) => add(unknown, &state, group, error),
            }
        }
        for ((group, timer), _) in timers.into_iter().filter(|(_, is_there)| *is_there) {
            let (time, key, namespace) = match timer_parts(&state, timer) {
                Ok(parts) => parts,
                Err(error) => {
                    add(unknown, &state, group, error.into());
                    continue;
                }
            };
            let value = FlinkValue::Timer(time);
            let raw = Raw::Parts { key, namespace, user_key: None, value };
            self.visitor.entry(Of { state: &state, format: None }, group, raw, 0)?;
        }
        Ok(())
    }
}

/// `error` with the snapshot's path, unless it names a file.
fn placed(part: &Part<'_>, error: Error) -> Error {
    match error.path() {
        Some(_) => error,
        None => error.at_path(part.snapshot.path()),
    }
}

/// Time, key and namespace of a timer as it is stored.
fn timer_parts<'a>(
    state: &FlinkState,
    bytes: &'a [u8],
) -> std::result::Result<(i64, &'a [u8], &'a [u8]), FormatError> {
    let mut input = Input::new("timer", bytes);
    let time = input.i64()? ^ SIGN;
    let mut part = |serializer: Option<&Serializer>| {
        let start = input.position();
        serializer.map_or(Ok(()), |serializer| serializer.skip(&mut input))?;
        Ok(input.since(start))
    };
    Ok((time, part(state.key.as_deref())?, part(state.namespace.as_deref())?))
}

/// A timer as it is stored.
fn timer_bytes(time: i64, key: &[u8], namespace: &[u8]) -> Vec<u8> {
    [&(time ^ SIGN).to_be_bytes()[..], key, namespace].concat()
}

fn count(elements: &[(usize, &[u8])]) -> usize {
    elements.iter().fold(0_usize, |sum, (count, _)| sum.saturating_add(*count))
}

fn joined(elements: &[(usize, &[u8])]) -> Vec<u8> {
    elements.iter().flat_map(|(_, bytes)| *bytes).copied().collect()
}

/// A list in one value, as its serializer writes it.
fn whole(count: usize, elements: &[u8]) -> Vec<u8> {
    [&(count as u32).to_be_bytes()[..], elements].concat()
}

/// Entries of a state that cannot be known, and why the first of them.
struct Unknown {
    state: String,
    key_groups: (u16, u16),
    entries: u64,
    error: Error,
}

fn add(unknown: &mut Vec<Unknown>, state: &FlinkState, group: u16, error: Error) {
    match unknown.iter_mut().find(|known| known.state == state.name) {
        Some(known) => {
            let (first, last) = known.key_groups;
            known.key_groups = (first.min(group), last.max(group));
            known.entries += 1;
        }
        None => {
            let (state, key_groups) = (state.name.clone(), (group, group));
            unknown.push(Unknown { state, key_groups, entries: 1, error });
        }
    }
}

/// Takes what was materialized, and hands on what the log left of it.
struct Over<'a, 'v> {
    overlay: Overlay<'a>,
    visitor: &'v mut dyn Visitor,
    unknown: Vec<Unknown>,
}

impl Over<'_, '_> {
    /// That what was materialized of each state is written as the log writes it.
    fn compare(&mut self, base: &Opened<'_>) {
        let Some(states) = base.keyed_states() else { return };
        for state in &mut self.overlay.states {
            let metas = &mut states.header.states.iter();
            let meta = metas.find(|meta| meta.name == state.state.name);
            if meta.is_some_and(|meta| !state.is_alike(meta)) {
                let message = format!(
                    "state {:?} is of another type in the log than what was materialized",
                    state.state.name
                );
                let error =
                    FormatError::new(FormatErrorKind::UnsupportedVersion, "changelog", message);
                state.break_by(error.into());
            }
        }
    }
}

impl Visitor for Over<'_, '_> {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()> {
        let states = &self.overlay.states;
        let Some(state) = states.iter().find(|state| state.state.name == of.state.name) else {
            return self.visitor.entry(of, key_group, raw, offset);
        };
        if state.broken.is_some() {
            return Ok(());
        }
        // One that is refused is told of by who takes it.
        let Ok(entry) = raw.parts(of, key_group) else {
            return self.visitor.entry(of, key_group, raw, offset);
        };
        let (key, namespace) = (entry.key, entry.namespace);
        if let FlinkValue::Timer(time) = entry.value {
            return match state
                .timers
                .contains_key(&(key_group, &*timer_bytes(time, key, namespace)))
            {
                true => Ok(()),
                false => self.visitor.entry(of, key_group, raw, offset),
            };
        }
        let (user_key, value) = (entry.user_key, entry.value);
        match state.held.get(&(key_group, key, namespace)) {
            None => self.visitor.entry(of, key_group, raw, offset),
            Some(Held::Map { over: true, entries }) => match (user_key, value) {
                (Some(user_key), value) if !matches!(value, FlinkValue::Whole(_)) => {
                    match entries.contains_key(user_key) {
                        true => Ok(()),
                        false => self.visitor.entry(of, key_group, raw, offset),
                    }
                }
                _ => {
                    let error = merged_opaque(of.state);
                    add(&mut self.unknown, of.state, key_group, error.into());
                    Ok(())
                }
            },
            Some(Held::List { over: true, elements, taken }) => {
                taken.set(true);
                let list = match below(of.state, value, elements) {
                    Ok(list) => list,
                    Err(error) => {
                        add(&mut self.unknown, of.state, key_group, error.into());
                        return Ok(());
                    }
                };
                let value = match &list {
                    Below::Counted(count, bytes) => FlinkValue::Counted(*count, bytes),
                    Below::Joined(bytes) => FlinkValue::Joined(bytes),
                    Below::Whole(bytes) => FlinkValue::Whole(bytes),
                };
                let raw = Raw::Parts { key, namespace, user_key, value };
                self.visitor.entry(of, key_group, raw, offset)
            }
            // What the log has instead comes later.
            Some(_) => Ok(()),
        }
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, offset: u64) -> Result<()> {
        self.visitor.element(state, element, offset)
    }
}

/// A list with what was appended to it.
enum Below {
    Counted(usize, Vec<u8>),
    Joined(Vec<u8>),
    Whole(Vec<u8>),
}

fn below(
    state: &FlinkState,
    list: FlinkValue<'_>,
    appended: &[(usize, &[u8])],
) -> std::result::Result<Below, FormatError> {
    let more = joined(appended);
    match list {
        FlinkValue::Counted(known, bytes) => {
            Ok(Below::Counted(known.saturating_add(count(appended)), [bytes, &more].concat()))
        }
        FlinkValue::Whole(bytes) => {
            let mut input = Input::new("list", bytes);
            let known = input.count(0)?;
            let elements = [input.rest(), &more].concat();
            Ok(Below::Whole(whole(known.saturating_add(count(appended)), &elements)))
        }
        FlinkValue::Joined(bytes) if appended.iter().all(|(count, _)| *count == 1) => {
            let mut all = bytes.to_vec();
            for (_, element) in appended {
                all.push(b',');
                all.extend_from_slice(element);
            }
            Ok(Below::Joined(all))
        }
        FlinkValue::Joined(bytes) => {
            let (mut known, mut all) = (0, Vec::new());
            let mut input = Input::new("list", bytes);
            while !input.is_empty() {
                if known > 0 {
                    crate::flink::lines::take_delimiter(&mut input)?;
                }
                let start = input.position();
                if state.has_ttl {
                    input.i64()?;
                }
                match (state.opaque_value(), state.value.as_deref()) {
                    (None, Some(element)) => element.skip(&mut input)?,
                    _ => return Err(merged_opaque(state)),
                }
                all.extend_from_slice(input.since(start));
                known += 1;
            }
            all.extend(more);
            Ok(Below::Counted(known + count(appended), all))
        }
        _ => Err(FormatError::corrupt("list", format!("{} is none", state.name))),
    }
}

fn merged_opaque(state: &FlinkState) -> FormatError {
    let class = state.opaque_value().or(state.opaque_user_key()).unwrap_or("an unknown class");
    let message = format!(
        "{}: the log changes a part of what {class} wrote, which cannot be read",
        state.name
    );
    FormatError::new(FormatErrorKind::Incompatible, "changelog", message)
}
