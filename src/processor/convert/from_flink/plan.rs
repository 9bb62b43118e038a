//! What becomes of each operator and state.

use super::fit::{check_keepable, no_key};
use super::taker::{Place, Role, Taker};
use super::{FromFlink, OpaqueState};
use crate::flink::save::{Layout, infos, values};
use crate::flink::{FlinkOperator, FlinkSnapshot, FlinkState};
use crate::format::CodecId;
use crate::format::canonical::DynamicEntry;
use crate::format::manifest::{Manifest, Operator, SnapshotKind, StateKind, TypeInfo};
use crate::format::schema_file::{OperatorSchema, StateSchema};
use crate::processor::convert::nulls::nullable;
use crate::processor::convert::origin::{self, OfOperator, OfSnapshot};
use crate::processor::load::{Bootstrap, SortedEntries, Template};
use crate::state::state_infos;
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::header::StateMeta;
use esker_flink::key_group::KeyGroupRange;
use esker_flink::metadata::StreamKind;
use std::collections::BTreeSet;

/// What comes of reading all entries.
pub(super) enum Pass<'t> {
    Done(SortedEntries<'t>),
    /// There are nulls at these places, besides those that were known.
    Nulls(BTreeSet<Place>),
}

pub(super) struct Plan<'s> {
    snapshot: &'s FlinkSnapshot,
    options: &'s FromFlink,
    operators: Vec<(&'s FlinkOperator, Layout)>,
    pub(super) opaque: Vec<OpaqueState>,
    pub(super) nulls: BTreeSet<Place>,
}

impl<'s> Plan<'s> {
    pub(super) fn new(snapshot: &'s FlinkSnapshot, options: &'s FromFlink) -> Result<Self> {
        let mut operators = Vec::new();
        let mut opaque = Vec::new();
        for operator in snapshot.operators() {
            let of = |error: Error| error.of(format_args!("operator={}", operator.label));
            let layout = snapshot.layout(operator).map_err(of)?;
            snapshot.check_in_flight(operator).map_err(of)?;
            let lost = layout.keyed.as_ref().and_then(|header| header.lost.as_ref());
            let lost = lost.or(layout.elements.as_ref().and_then(|header| header.lost.as_ref()));
            if let Some(lost) = lost {
                let first = lost.first.as_deref().unwrap_or("a state");
                let message =
                    format!("{first} and what follows it cannot be read: {}", lost.reason);
                return Err(of(Error::new(ErrorKind::Unsupported, message)));
            }
            for state in &layout.states {
                let Some(class) = state.opaque_classes().first().map(|class| (*class).to_owned())
                else {
                    continue;
                };
                if !options.skip_opaque {
                    check_keepable(state)
                        .map_err(|error| of(error.of(format_args!("state={}", state.name))))?;
                }
                let (operator, state) = (operator.label.clone(), state.name.clone());
                let is_skipped = options.skip_opaque;
                opaque.push(OpaqueState { operator, state, class, is_skipped });
            }
            operators.push((operator, layout));
        }
        operators.sort_by(|(a, _), (b, _)| a.label.cmp(&b.label));
        Ok(Self { snapshot, options, operators, opaque, nulls: BTreeSet::new() })
    }

    fn is_skipped(&self, state: &FlinkState) -> bool {
        self.options.skip_opaque && !state.opaque_classes().is_empty()
    }

    /// The savepoint's operators and states, without entries.
    pub(super) fn template(&self) -> Result<Template> {
        let (mut operators, mut subtasks) = (Vec::new(), Vec::new());
        for (number, (operator, layout)) in self.operators.iter().enumerate() {
            let of = |error: Error| error.of(format_args!("operator={}", operator.label));
            let Some(converted) = self.operator(number, operator, layout).map_err(of)? else {
                continue;
            };
            operators.push(converted);
            subtasks.push(self.options.parallelism.unwrap_or(operator.parallelism.max(1)));
        }
        let metadata = self.snapshot.metadata();
        let mut manifest = Manifest {
            job: self.options.job.clone(),
            kind: SnapshotKind::Savepoint,
            checkpoint: metadata.checkpoint_id.unsigned_abs(),
            generation: 1,
            operators,
            extra: Default::default(),
        };
        OfSnapshot { metadata_version: metadata.version }.put(&mut manifest.extra)?;
        Ok(Template::of_operators(manifest, subtasks))
    }

    /// An operator; none if it has nothing that is worth a savepoint.
    fn operator(
        &self,
        number: usize,
        operator: &FlinkOperator,
        layout: &Layout,
    ) -> Result<Option<Operator>> {
        let kept = |state: &&FlinkState| !self.is_skipped(state);
        let stored = self.snapshot.metadata().operators.get(operator.number);
        let mut origin = OfOperator::new(operator);
        if let Some(coordinator) = stored.and_then(|stored| stored.coordinator.as_ref())
            && let StreamKind::Bytes { bytes, .. } = &coordinator.leaf().kind
        {
            origin.set_coordinator(bytes);
        }
        origin.finished = stored.is_some_and(|stored| stored.finished);
        let has_keys = layout.states.iter().filter(kept).any(|state| state.kind.is_keyed());
        let key = layout.keyed.as_ref().filter(|_| has_keys).map(|header| &header.key);
        if let Some(key) = key {
            origin.set_key(key);
        }
        let of_schema = OperatorSchema {
            uid: operator.label.clone(),
            key: key.map(|key| self.key_type((number, "", Role::Key), key)).transpose()?,
            states: layout
                .states
                .iter()
                .filter(kept)
                .map(|state| self.state(number, state))
                .collect::<Result<_>>()?,
        };
        let mut converted = Operator {
            states: state_infos(&of_schema),
            uid: of_schema.uid,
            key: of_schema.key,
            dropped: Vec::new(),
            parts: Vec::new(),
            extra: Default::default(),
        };
        if converted.states.is_empty() && origin.coordinator.is_none() && !origin.finished {
            return Ok(None);
        }
        origin.put(&mut converted.extra)?;
        for info in &mut converted.states {
            if let Some(meta) = meta(layout, &info.name, info.kind) {
                origin::put_state(meta, &mut info.extra)?;
            }
        }
        Ok(Some(converted))
    }

    fn state(&self, number: usize, state: &FlinkState) -> Result<StateSchema> {
        let of = |error: Error| error.of(format_args!("state={}", state.name));
        let mut schema = infos::state_schema(state);
        let place = |role| (number, &*state.name, role);
        if let (Some(serializer), Some(info)) = (&state.namespace, &mut schema.namespace) {
            *info = self.key_type(place(Role::Namespace), serializer).map_err(of)?;
        }
        if let (Some(serializer), Some(info)) = (&state.user_key, &mut schema.user_key) {
            *info = self.key_type(place(Role::UserKey), serializer).map_err(of)?;
        }
        if let Some(info) = &mut schema.value
            && self.has_nulls(place(Role::Value))
        {
            info.schema = nullable(&info.schema);
        }
        Ok(schema)
    }

    fn has_nulls(&self, (operator, state, role): (usize, &str, Role)) -> bool {
        self.nulls.contains(&(operator, state.to_owned(), role))
    }

    /// The type of keys, namespaces or user keys.
    fn key_type(&self, place: (usize, &str, Role), serializer: &Serializer) -> Result<TypeInfo> {
        let mut info = infos::key(serializer);
        if self.has_nulls(place) {
            info = TypeInfo { codec: CodecId::BINCODE2, schema: nullable(&info.schema) };
        }
        match no_key(&info.schema) {
            None => Ok(info),
            Some(what) => {
                let message = format!(
                    "keys of {} hold {what}, whose bytes do not tell which are equal: esker has no such keys",
                    serializer.class()
                );
                Err(Error::new(ErrorKind::Incompatible, message))
            }
        }
    }

    /// All entries, sorted; or where nulls are that there is no place for.
    pub(super) fn sorted<'t>(
        &self,
        template: &'t Template,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Pass<'t>> {
        let mut taker = Taker {
            bootstrap: Bootstrap::new(template, None)?,
            nulls: BTreeSet::new(),
            entry: DynamicEntry::default(),
        };
        for (number, (operator, layout)) in self.operators.iter().enumerate() {
            let uid = &operator.label;
            let converted = template.manifest().operators.iter().find(|of| of.uid == *uid);
            let Some(converted) = converted else { continue };
            taker.entry.operator.clone_from(uid);
            if layout.keyed.is_some() {
                let range = KeyGroupRange::of_subtask(0, 1, operator.max_parallelism)?;
                self.snapshot.each_entry(operator, range, &mut |state, entry| {
                    progress(1);
                    if self.is_skipped(state) {
                        return Ok(());
                    }
                    let of = (number, converted, state);
                    taker.entry(of, &entry).map_err(|error| {
                        let place = values::place(state, &entry);
                        error.of(format_args!("operator={uid} state={}{place}", state.name))
                    })
                })?;
            }
            if layout.elements.is_some() {
                self.snapshot.each_element(operator, &mut |_, state, user_key, value| {
                    progress(1);
                    if self.is_skipped(state) {
                        return Ok(());
                    }
                    let taken = taker.element((number, converted, state), user_key, value);
                    taken.map_err(|error| {
                        error.of(format_args!("operator={uid} state={}", state.name))
                    })
                })?;
            }
        }
        match taker.nulls.is_empty() {
            true => Ok(Pass::Done(taker.bootstrap.finish()?)),
            false => Ok(Pass::Nulls(taker.nulls)),
        }
    }
}

/// What the header says of a state.
fn meta<'l>(layout: &'l Layout, name: &str, kind: StateKind) -> Option<&'l StateMeta> {
    let keyed = layout.keyed.iter().flat_map(|header| &header.states);
    let elements = layout.elements.iter();
    let elements = elements.flat_map(|header| header.lists.iter().chain(&header.broadcasts));
    let mut metas: Box<dyn Iterator<Item = &StateMeta>> = match kind.is_keyed() {
        true => Box::new(keyed),
        false => Box::new(elements),
    };
    metas.find(|meta| meta.name == name)
}
