//! What a plan does to entries, state by state, and the entries that are left.

#[cfg(feature = "expressions")]
use super::expression::Expression;
use super::fields::{Fields, Reader, Uses, time};
#[cfg(not(feature = "expressions"))]
use super::no_expression::Expression;
use super::rekey::Rekey;
use super::split::{Share, Shares};
use super::steps::{Steps, plain};
use super::{RewritePlan, StatePlan};
use crate::backend::EntrySink;
use crate::format::composite::CompositeKey;
use crate::format::manifest::{Manifest, Operator, StateInfo, StateKind, TypeInfo};
use crate::format::run::Entry;
use crate::format::{Key, KeyGroup, KeyGroupRange, Value, encode_value, list};
use crate::snapshot::{ChainReader, EntrySource};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is done to the entries of an operator.
#[derive(Clone, Default)]
pub(super) struct OperatorChanges {
    /// The states whose entries are looked at, by their ids.
    pub(super) states: BTreeMap<u32, Arc<StateChange>>,
    /// Other keys, for all states that have any: these are all among `states` then.
    pub(super) rekey: Option<Arc<Rekey>>,
    /// The type of keys in the source.
    key: Option<TypeInfo>,
}

/// What is done to the entries of a state.
pub(super) struct StateChange {
    /// Operator and state, by their names in the source.
    pub(super) operator: String,
    pub(super) state: String,
    /// The state as the source has it.
    info: StateInfo,
    filters: Vec<Expression>,
    /// Which of its entries are meant at all.
    share: Option<Arc<Share>>,
    steps: Steps,
    uses: Uses,
}

/// The changes of all states that a plan, which fits `manifest`, asks for: by the operators' new uids. Of
/// operators with a share there is no more left than that.
///
/// # Errors
/// `Invalid` for what is no expression; `Unsupported` where the build has none.
pub(super) fn changes(
    plan: &RewritePlan,
    manifest: &Manifest,
    shares: &Shares,
) -> Result<BTreeMap<String, OperatorChanges>> {
    let mut changes = BTreeMap::new();
    for operator in &manifest.operators {
        let of_operator = plan.of(operator);
        if of_operator.drop {
            continue;
        }
        let of = |error: Error| plain(error).of(format_args!("operator={} rekey", operator.uid));
        let rekey = of_operator.rekey.as_ref();
        let rekey = rekey.map(|step| Rekey::new(step, operator, plan.now_ms)).transpose();
        let rekey = rekey.map_err(of)?.map(Arc::new);
        let mut found = OperatorChanges { rekey, key: operator.key.clone(), ..Default::default() };
        for info in &operator.states {
            let of_state = of_operator.state.get(&info.name);
            if of_state.is_some_and(|plan| plan.drop) {
                continue;
            }
            let rekey = found.rekey.as_deref();
            let of_all = (rekey, shares.of(operator, info));
            let change =
                StateChange::new(plan, operator, info, of_state, of_all).map_err(|error| {
                    error.of(format_args!("operator={} state={}", operator.uid, info.name))
                })?;
            if let Some(change) = change {
                found.states.insert(info.id, Arc::new(change));
            }
        }
        if !found.states.values().any(|change| change.info.kind.is_keyed()) {
            // No key is left, and no type of one.
            found.rekey = None;
        }
        if !found.states.is_empty() {
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
        (rekey, share): (Option<&Rekey>, Option<Arc<Share>>),
    ) -> Result<Option<Self>> {
        let rekey = rekey.filter(|_| info.kind.is_keyed());
        // What is asked for of all is asked for of those that have keys.
        let all = [&plan.filter, &plan.of(operator).filter];
        let all = all.into_iter().filter(|_| info.kind.is_keyed()).flatten();
        let texts = all.chain(of_state.and_then(|plan| plan.filter.as_ref()));
        let compiled = texts.map(|text| {
            let of = |error: Error| error.of(format_args!("filter={text:?}"));
            Expression::compile(text, &[]).map_err(of)
        });
        let filters = compiled.collect::<Result<Vec<_>>>()?;
        let steps = of_state.map_or(&[][..], |plan| &plan.steps);
        let steps = Steps::new(steps, info, plan.now_ms)?;
        if filters.is_empty() && steps.is_empty() && rekey.is_none() && share.is_none() {
            return Ok(None);
        }
        let uses = rekey.map_or(steps.uses, |rekey| steps.uses.and(rekey.uses()));
        let uses = share.as_ref().map_or(uses, |share| uses.and(share.uses()));
        let uses = filters.iter().fold(uses, |uses, filter| uses.and(filter.uses()));
        let (operator, state, info) = (operator.uid.clone(), info.name.clone(), info.clone());
        Ok(Some(Self { operator, state, info, filters, share, steps, uses }))
    }

    /// What filters and steps have to know of an entry.
    pub(super) fn uses(&self) -> Uses {
        self.uses
    }

    /// Whether steps make other entries of those that stay.
    pub(super) fn changes_entries(&self) -> bool {
        self.steps.changes_entries
    }

    /// Makes of the fields of an entry, captured at `time_ms`, what the steps make of it; `false` if it goes, by a filter or
    /// a step.
    ///
    /// # Errors
    /// `Invalid` for an expression that cannot be evaluated, or gives what does not fit.
    pub(super) fn keeps(&self, fields: &mut Fields, time_ms: Option<i64>) -> Result<bool> {
        fields.now = self.steps.now_ms.map(|now_ms| Value::Signed(now_ms.into()));
        for filter in &self.filters {
            if !filter.holds(fields)? {
                return Ok(false);
            }
        }
        Ok(self.steps.is_empty() || self.steps.apply(fields, time_ms)?)
    }

    /// The time of capture of the state in a part that says `known_ms`, if it has TTL afterwards.
    pub(super) fn ttl_time_ms(&self, known_ms: Option<i64>) -> Option<i64> {
        known_ms.or(self.steps.now_ms).filter(|_| self.steps.ttl.is_some())
    }
}

/// Puts the types and TTL that the states have afterwards into the manifest.
pub(super) fn retype(manifest: &mut Manifest, changes: &BTreeMap<String, OperatorChanges>) {
    for operator in &mut manifest.operators {
        let Some(changes) = changes.get(&operator.uid) else { continue };
        if let Some(rekey) = &changes.rekey {
            operator.key = Some(rekey.new.clone());
        }
        for info in &mut operator.states {
            let Some(change) = changes.states.get(&info.id) else { continue };
            info.value.clone_from(&change.steps.value);
            info.ttl = change.steps.ttl;
        }
    }
}

/// The entries that changes leave of a part: of its keyed state, or of its operator state.
pub(super) struct Changed {
    chain: ChainReader,
    states: BTreeMap<u32, Of>,
}

/// A state of one part.
pub(super) struct Of {
    change: Arc<StateChange>,
    reader: Reader,
    time_ms: Option<i64>,
    /// Whether its keys are positions, which have no gaps.
    is_list_of_operator: bool,
}

impl Changed {
    /// What `changes` leave of `chain`, which holds state of `operator`; `known_ms` is when
    /// states were captured, by their ids.
    pub(super) fn new(
        chain: ChainReader,
        operator: &Operator,
        changes: &OperatorChanges,
        known_ms: &BTreeMap<u32, i64>,
    ) -> Self {
        let chain = chain.of_states(operator.states.iter().map(|info| info.id));
        let of = |info: &StateInfo| {
            let change = Arc::clone(changes.states.get(&info.id)?);
            let time_ms = known_ms.get(&info.id).copied();
            let reader = Reader::new(changes.key.as_ref(), &change.info, change.uses, time_ms);
            let is_list_of_operator =
                matches!(info.kind, StateKind::OperatorList | StateKind::OperatorUnion);
            Some((info.id, Of { change, reader, time_ms, is_list_of_operator }))
        };
        let states = operator.states.iter().filter_map(of).collect();
        Self { chain, states }
    }
}

impl Of {
    /// Whether an entry stays; `fields` are its own then, after all steps.
    fn stays(&self, entry: Entry<'_>, fields: &mut Fields) -> Result<bool> {
        if !self.reader.read(entry, fields)? {
            return Ok(false);
        }
        let StateChange { uses, state, .. } = &*self.change;
        fields.state = uses.state.then(|| Value::String(state.clone()));
        if let Some(share) = &self.change.share {
            let group = CompositeKey::decode(entry.key)?.group;
            fields.key_group = uses.key_group.then(|| Value::Signed(group.0.into()));
            if !share.has(fields)? {
                return Ok(false);
            }
        }
        self.change.keeps(fields, self.time_ms)
    }

    /// Appends the value of what is left of `entry`, as it is stored.
    fn put_value(&self, entry: Entry<'_>, fields: &Fields, out: &mut Vec<u8>) -> Result<()> {
        let StateChange { info, steps, .. } = &*self.change;
        if !steps.changes_entries && fields.has_expired {
            return self.reader.put_live(entry.value, out);
        }
        let Some(TypeInfo { codec, schema }) = &steps.value else {
            out.extend_from_slice(entry.value);
            return Ok(());
        };
        if let (StateKind::List, Some(Value::Seq(values))) = (info.kind, &fields.value) {
            let times = match &fields.ttl {
                Some(Value::Seq(times)) => &times[..],
                _ => &[],
            };
            let mut element = Vec::new();
            for (number, value) in values.iter().enumerate() {
                element.clear();
                self.put_time(times.get(number), &mut element)?;
                element.extend_from_slice(&encode_value(codec, schema, value)?);
                list::put_encoded(out, &element);
            }
            return Ok(());
        }
        self.put_time(fields.ttl.as_ref(), out)?;
        match &fields.value {
            Some(value) if steps.changes_values => {
                out.extend_from_slice(&encode_value(codec, schema, value)?);
            }
            _ if info.ttl.is_some() => out.extend_from_slice(time(entry.value)?.1),
            _ => out.extend_from_slice(entry.value),
        }
        Ok(())
    }

    /// Appends the time of the last update, which stands before a value with TTL.
    fn put_time(&self, time: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
        if self.change.steps.ttl.is_none() {
            return Ok(());
        }
        let time_ms = match time {
            Some(Value::Signed(time_ms)) => i64::try_from(*time_ms).ok(),
            _ => None,
        };
        let none = || Error::new(ErrorKind::Invalid, "it has no time of its last update");
        time_ms.ok_or_else(none)?.encode_into(out);
        Ok(())
    }

    pub(super) fn named(&self, error: Error, entry: Entry<'_>) -> Error {
        let at = self.reader.place(entry);
        error.of(format_args!("state={}{at}", self.change.state))
    }
}

/// Told of an entry that is left, and of a state whose entries are looked at also of its fields.
pub(super) type Visit<'a> = dyn FnMut(Entry<'_>, Option<(&Of, &Fields)>) -> Result<()> + 'a;

impl Changed {
    /// Calls `each` with the entries that are left of the key groups in `range`, in order; and, of a state
    /// whose entries are looked at, with its fields. An error of `each` ends it and is returned as it is.
    pub(super) fn visit(&self, range: KeyGroupRange, each: &mut Visit<'_>) -> Result<()> {
        let (mut positions, mut key) = (BTreeMap::<u32, u64>::new(), Vec::new());
        let (mut value, mut fields) = (Vec::new(), Fields::default());
        self.chain.merge(range, None, &mut |entry| {
            let id = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id));
            let Some((id, of)) = id.and_then(|id| Some((id, self.states.get(&id)?))) else {
                return each(entry, None);
            };
            let named = |error| of.named(error, entry);
            if !of.stays(entry, &mut fields).map_err(named)? {
                return Ok(());
            }
            let mut entry = entry;
            if of.change.steps.changes_entries || fields.has_expired {
                value.clear();
                of.put_value(entry, &fields, &mut value).map_err(named)?;
                entry.value = &value;
            }
            if !of.is_list_of_operator {
                return each(entry, Some((of, &fields)));
            }
            let position = positions.entry(id).or_default();
            key.clear();
            let at = position.to_be_bytes();
            CompositeKey::new(id, KeyGroup(0), &at, &[], &[]).encode_into(&mut key);
            *position += 1;
            each(Entry { key: &key, ..entry }, Some((of, &fields)))
        })
    }
}

impl EntrySource for Changed {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.visit(range, &mut |entry, _| sink.add(entry))
    }

    fn len_bytes(&self) -> u64 {
        self.chain.len_bytes()
    }
}
