//! What states an operator has: the headers of all its subtasks as one.

use crate::flink::header::{KeyedStates, OperatorStates};
use crate::flink::part::{Handle, Part, PartStates};
use crate::flink::snapshot::{FlinkOperator, FlinkSnapshot};
use crate::flink::state::FlinkState;
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::header::{KeyedHeader, OperatorHeader, StateMeta};
use esker_flink::metadata::{KeyGroupsFormat, KeyedHandle, SubtaskState};

/// What states an operator has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// Of keyed state, timers that its subtasks keep beside it included.
    pub(crate) keyed: Option<KeyedHeader>,
    /// Of operator state.
    pub(crate) elements: Option<OperatorHeader>,
    /// The states: those of `keyed` in order, then those of `elements`.
    pub(crate) states: Vec<FlinkState>,
    /// Whether the entries of all subtasks lie in order of their key groups.
    pub(crate) is_in_order: bool,
}

impl FlinkSnapshot {
    /// What states `operator` has. Reads the headers of all its subtasks.
    ///
    /// # Errors
    /// `Incompatible` if subtasks have other serializers for one state; `Corrupt`, `Unsupported` and the stores'.
    pub(crate) fn layout(&self, operator: &FlinkOperator) -> Result<Layout> {
        let mut layout = Layout { is_in_order: true, ..Layout::default() };
        let Some(stored) = self.metadata().operators.get(operator.number) else {
            return Ok(layout);
        };
        let (mut keyed_states, mut element_states) = (Vec::new(), Vec::new());
        for subtask in &stored.subtasks {
            let Some(state) = subtask.state.as_deref() else { continue };
            let of = |error: Error| {
                error.of(format_args!("operator={} subtask={}", operator.label, subtask.index))
            };
            layout.is_in_order &= is_in_order(state);
            let part = |handle| Part::new(self, operator, subtask.index, handle);
            for handle in Handle::of(state) {
                match part(handle).states().map_err(of)? {
                    PartStates::Keyed(found) => {
                        add_keyed(&mut layout.keyed, found, &mut keyed_states).map_err(of)?;
                    }
                    PartStates::Timers(found) => {
                        add_timers(&mut layout.keyed, found, &mut keyed_states).map_err(of)?;
                    }
                    PartStates::Operator(found) => {
                        add_elements(&mut layout.elements, found, &mut element_states)
                            .map_err(of)?;
                    }
                }
            }
        }
        layout.states = keyed_states;
        layout.states.append(&mut element_states);
        Ok(layout)
    }
}

/// Whether the entries of a subtask's keyed state lie in one file, in order of their key groups.
fn is_in_order(state: &SubtaskState) -> bool {
    let ascends = match &state.keyed {
        None => true,
        Some(KeyedHandle::KeyGroups(handle)) => {
            let offsets: Vec<_> = handle.present().map(|(_, offset)| offset).collect();
            handle.format != KeyGroupsFormat::Legacy && offsets.is_sorted()
        }
        Some(_) => false,
    };
    ascends && state.keyed_raw.is_none()
}

/// Adds what another subtask has.
///
/// # Errors
/// `Incompatible` if it has a state that is there, and other serializers for it.
fn add_keyed(
    header: &mut Option<KeyedHeader>,
    found: KeyedStates,
    states: &mut Vec<FlinkState>,
) -> Result<()> {
    let KeyedStates { states: of, header: other } = found;
    let Some(header) = header else {
        *header = Some(KeyedHeader { compressed: false, ..other });
        *states = of;
        return Ok(());
    };
    if header.key != other.key {
        return Err(differs("keys"));
    }
    header.lost = header.lost.take().or(other.lost);
    for (meta, state) in other.states.into_iter().zip(of) {
        add(&mut header.states, meta, || states.push(state))?;
    }
    Ok(())
}

/// The same of timers that an operator keeps beside its keyed state: in a savepoint they are state as any.
fn add_timers(
    header: &mut Option<KeyedHeader>,
    found: Vec<FlinkState>,
    states: &mut Vec<FlinkState>,
) -> Result<()> {
    for state in found {
        let (Some(key), Some(namespace)) = (&state.key, &state.namespace) else { continue };
        let header = header.get_or_insert_with(|| KeyedHeader::new((**key).clone(), Vec::new()));
        let timer = Serializer::timer_of(key, namespace)?;
        let meta = StateMeta::timers(state.name.clone(), timer);
        add(&mut header.states, meta, || states.push(state))?;
    }
    Ok(())
}

/// The same of operator state.
fn add_elements(
    header: &mut Option<OperatorHeader>,
    found: OperatorStates,
    states: &mut Vec<FlinkState>,
) -> Result<()> {
    let OperatorStates { states: of, header: other } = found;
    let Some(header) = header else {
        *header = Some(OperatorHeader { compressed: false, ..other });
        *states = of;
        return Ok(());
    };
    header.lost = header.lost.take().or(other.lost);
    let lists = other.lists.len();
    for (number, (meta, state)) in
        other.lists.into_iter().chain(other.broadcasts).zip(of).enumerate()
    {
        // Lists come first, in the header and among the states.
        if number < lists {
            let at = header.lists.len();
            add(&mut header.lists, meta, || states.insert(at, state))?;
        } else {
            add(&mut header.broadcasts, meta, || states.push(state))?;
        }
    }
    Ok(())
}

fn add(metas: &mut Vec<StateMeta>, meta: StateMeta, added: impl FnOnce()) -> Result<()> {
    match metas.iter().find(|there| there.name == meta.name) {
        None => {
            added();
            metas.push(meta);
            Ok(())
        }
        // Options come in the order of a hash.
        Some(there)
            if there.kind == meta.kind
                && meta.options.iter().all(|option| there.options.contains(option))
                && meta.serializers.iter().all(|one| there.serializers.contains(one)) =>
        {
            Ok(())
        }
        Some(_) => Err(differs(&format!("state {:?}", meta.name))),
    }
}

fn differs(what: &str) -> Error {
    let message = format!(
        "{what}: other subtasks have other serializers for it, and a savepoint has one: take a savepoint with Flink"
    );
    Error::new(ErrorKind::Incompatible, message)
}
