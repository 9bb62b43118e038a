//! What a plan does to entries, state by state, and the entries that are left.

#[cfg(feature = "expressions")]
use super::expression::Expression;
use super::fields::{Reader, Uses};
#[cfg(not(feature = "expressions"))]
use super::no_expression::Expression;
use super::{RewritePlan, StatePlan};
use crate::backend::EntrySink;
use crate::format::composite::CompositeKey;
use crate::format::manifest::{Manifest, Operator, StateInfo, StateKind};
use crate::format::part::PartState;
use crate::format::run::Entry;
use crate::format::{KeyGroup, KeyGroupRange};
use crate::snapshot::{ChainReader, EntrySource};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The states of an operator whose entries are looked at, by their ids.
pub(super) type OperatorChanges = BTreeMap<u32, Arc<StateChange>>;

/// What is done to the entries of a state.
pub(super) struct StateChange {
    /// Operator and state, by their names in the source.
    pub(super) operator: String,
    pub(super) state: String,
    filters: Vec<Expression>,
    uses: Uses,
}

/// The changes of all states that a plan, which fits `manifest`, asks for: by the operators' new uids.
///
/// # Errors
/// `Invalid` for what is no expression; `Unsupported` where the build has none.
pub(super) fn changes(
    plan: &RewritePlan,
    manifest: &Manifest,
) -> Result<BTreeMap<String, OperatorChanges>> {
    let mut changes = BTreeMap::new();
    for operator in &manifest.operators {
        let of_operator = plan.of(operator);
        if of_operator.drop {
            continue;
        }
        let mut found = OperatorChanges::new();
        for info in &operator.states {
            let of_state = of_operator.state.get(&info.name);
            if of_state.is_some_and(|plan| plan.drop) {
                continue;
            }
            let change = StateChange::new(plan, operator, info, of_state).map_err(|error| {
                error.of(format_args!("operator={} state={}", operator.uid, info.name))
            })?;
            if let Some(change) = change {
                found.insert(info.id, Arc::new(change));
            }
        }
        if !found.is_empty() {
            let uid = of_operator.rename.as_ref().unwrap_or(&operator.uid);
            changes.insert(uid.clone(), found);
        }
    }
    Ok(changes)
}

impl StateChange {
    fn new(
        plan: &RewritePlan,
        operator: &Operator,
        info: &StateInfo,
        of_state: Option<&StatePlan>,
    ) -> Result<Option<Self>> {
        // What is asked for of all is asked for of those that have keys.
        let all = [&plan.filter, &plan.of(operator).filter];
        let all = all.into_iter().filter(|_| info.kind.is_keyed()).flatten();
        let texts = all.chain(of_state.and_then(|plan| plan.filter.as_ref()));
        let compiled = texts.map(|text| {
            Expression::compile(text).map_err(|error| error.of(format_args!("filter={text:?}")))
        });
        let filters = compiled.collect::<Result<Vec<_>>>()?;
        if filters.is_empty() {
            return Ok(None);
        }
        let uses = filters.iter().fold(Uses::default(), |uses, filter| uses.and(filter.uses()));
        let (operator, state) = (operator.uid.clone(), info.name.clone());
        Ok(Some(Self { operator, state, filters, uses }))
    }
}

/// The entries that changes leave of a part: of its keyed state, or of its operator state.
pub(super) struct Changed {
    chain: ChainReader,
    states: BTreeMap<u32, Of>,
}

/// A state of one part.
struct Of {
    change: Arc<StateChange>,
    reader: Reader,
    /// Whether its keys are positions, which have no gaps.
    is_list_of_operator: bool,
}

impl Changed {
    /// What `changes` leave of `chain`, which holds state of `operator`; `known` is what its part says.
    pub(super) fn new(
        chain: ChainReader,
        operator: &Operator,
        changes: &OperatorChanges,
        known: &[PartState],
    ) -> Self {
        let chain = chain.of_states(operator.states.iter().map(|info| info.id));
        let of = |info: &StateInfo| {
            let change = Arc::clone(changes.get(&info.id)?);
            let known = known.iter().find(|state| state.id == info.id);
            let time_ms = known.and_then(|state| state.ttl_time_ms);
            let reader = Reader::new(operator.key.as_ref(), info, change.uses, time_ms);
            let is_list_of_operator =
                matches!(info.kind, StateKind::OperatorList | StateKind::OperatorUnion);
            Some((info.id, Of { change, reader, is_list_of_operator }))
        };
        let states = operator.states.iter().filter_map(of).collect();
        Self { chain, states }
    }
}

impl Of {
    fn keeps(&self, entry: Entry<'_>) -> Result<bool> {
        let Some(fields) = self.reader.read(entry)? else { return Ok(false) };
        for filter in &self.change.filters {
            if !filter.holds(&fields)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn named(&self, error: Error, entry: Entry<'_>) -> Error {
        let at = self.reader.place(entry);
        error.of(format_args!("state={}{at}", self.change.state))
    }
}

impl EntrySource for Changed {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let (mut positions, mut key) = (BTreeMap::<u32, u64>::new(), Vec::new());
        self.chain.merge(range, None, &mut |entry| {
            let id = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id));
            let Some((id, of)) = id.and_then(|id| Some((id, self.states.get(&id)?))) else {
                return sink.add(entry);
            };
            if !of.keeps(entry).map_err(|error| of.named(error, entry))? {
                return Ok(());
            }
            if !of.is_list_of_operator {
                return sink.add(entry);
            }
            let position = positions.entry(id).or_default();
            key.clear();
            let at = position.to_be_bytes();
            CompositeKey::new(id, KeyGroup(0), &at, &[], &[]).encode_into(&mut key);
            *position += 1;
            sink.add(Entry { key: &key, ..entry })
        })
    }

    fn len_bytes(&self) -> u64 {
        self.chain.len_bytes()
    }
}
