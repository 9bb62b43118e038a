//! All entries of an operator, one after the other: what cannot be read ends it, as nobody writes a part of a state for all of it.

use crate::flink::damage::FlinkDamage;
use crate::flink::entry::{Element, FlinkEntry, Of, Raw, Visitor};
use crate::flink::filter::FlinkFilter;
use crate::flink::part::Handle;
use crate::flink::snapshot::{FlinkOperator, FlinkSnapshot};
use crate::flink::state::FlinkState;
use crate::flink::walk::{Plan, Walk};
use crate::{Error, ErrorKind, Result};
use esker_flink::key_group::KeyGroupRange;

/// Takes an entry of keyed state.
pub(crate) type EachEntry<'a> = dyn FnMut(&FlinkState, FlinkEntry<'_>) -> Result<()> + 'a;
/// Takes an element of operator state, with the subtask that wrote it and, of broadcast state, its key.
pub(crate) type EachElement<'a> =
    dyn FnMut(u32, &FlinkState, Option<&[u8]>, &[u8]) -> Result<()> + 'a;

impl FlinkSnapshot {
    /// That no records of `operator` were in flight: a savepoint has none, so that they would be lost.
    ///
    /// # Errors
    /// `Unsupported` if there were.
    pub(crate) fn check_in_flight(&self, operator: &FlinkOperator) -> Result<()> {
        let stored = self.metadata().operators.get(operator.number);
        let states = stored.iter().flat_map(|stored| &stored.subtasks);
        let mut states = states.filter_map(|subtask| subtask.state.as_deref());
        match states.any(|state| !state.inputs.is_empty() || !state.outputs.is_empty()) {
            false => Ok(()),
            true => {
                let message = "records were in flight, of which a savepoint has none, and they would be lost: let Flink \
                               restore the checkpoint and take a savepoint";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    /// Calls `each` with the entries of keyed state of `operator` in `range`: subtask by subtask, those of one in the order of its
    /// file, in a database state by state.
    ///
    /// # Errors
    /// Those of `each`; for what is damaged or cannot be read, naming operator, subtask and state; the stores'.
    pub(crate) fn each_entry(
        &self,
        operator: &FlinkOperator,
        range: KeyGroupRange,
        each: &mut EachEntry<'_>,
    ) -> Result<()> {
        let groups = range.key_groups();
        let Some(last) = groups.end.checked_sub(1).filter(|last| *last >= groups.start) else {
            return Ok(());
        };
        let key_groups = Some((groups.start, last));
        let mut visitor = Each { operator, subtask: 0, keyed: Some(each), elements: None };
        self.walk(operator, key_groups, &mut visitor)
    }

    /// Calls `each` with the elements of operator state of `operator`, in their order; with broadcast state once.
    ///
    /// # Errors
    /// As for [`each_entry`](Self::each_entry).
    pub(crate) fn each_element(
        &self,
        operator: &FlinkOperator,
        each: &mut EachElement<'_>,
    ) -> Result<()> {
        self.walk(
            operator,
            None,
            &mut Each { operator, subtask: 0, keyed: None, elements: Some(each) },
        )
    }

    fn walk(
        &self,
        operator: &FlinkOperator,
        key_groups: Option<(u16, u16)>,
        visitor: &mut Each<'_, '_>,
    ) -> Result<()> {
        let wants_keyed = visitor.keyed.is_some();
        let filter =
            FlinkFilter { operator: Some(operator.label.clone()), state: None, key_groups };
        let plan = Plan::new(self, &filter);
        for unit in &plan.units {
            let Some(part) = plan.parts.get(unit.part) else { continue };
            let is_keyed = !matches!(part.handle, Handle::Operator(_));
            // Two operators cannot have one label but by hostile metadata.
            if is_keyed != wants_keyed || part.operator.number != operator.number {
                continue;
            }
            visitor.subtask = part.subtask;
            let mut found: Option<FlinkDamage> = None;
            let mut harm = |damage| {
                found.get_or_insert(damage);
            };
            Walk { filter: &filter, visitor, harm: &mut harm }.unit(&plan, unit)?;
            if let Some(FlinkDamage { operator, subtask, state, error, .. }) = found {
                let subtask = subtask.map(|subtask| format!(" subtask={subtask}"));
                let state = state.map(|state| format!(" state={state}"));
                let (subtask, state) = (subtask.unwrap_or_default(), state.unwrap_or_default());
                return Err(error.of(format_args!("operator={operator}{subtask}{state}")));
            }
        }
        Ok(())
    }
}

struct Each<'a, 'e> {
    operator: &'a FlinkOperator,
    subtask: u32,
    keyed: Option<&'e mut EachEntry<'e>>,
    elements: Option<&'e mut EachElement<'e>>,
}

impl Each<'_, '_> {
    fn of(&self, state: &FlinkState, error: impl Into<Error>) -> Error {
        let (operator, subtask) = (&self.operator.label, self.subtask);
        error.into().of(format_args!("operator={operator} subtask={subtask} state={}", state.name))
    }
}

impl Visitor for Each<'_, '_> {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, _offset: u64) -> Result<()> {
        let entry = raw.parts(of, key_group).map_err(|error| self.of(of.state, error))?;
        match &mut self.keyed {
            Some(each) => each(of.state, entry),
            None => Ok(()),
        }
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, _offset: u64) -> Result<()> {
        let Element { user_key, value } = element;
        match &mut self.elements {
            Some(each) => each(self.subtask, state, user_key, value),
            None => Ok(()),
        }
    }
}
