//! A savepoint of esker's, made of a snapshot of Flink's.

use super::nulls::{has_stray, nullable, wrapped};
use super::origin::{self, OfOperator, OfSnapshot};
use crate::flink::save::{Layout, infos, values};
use crate::flink::{FlinkEntry, FlinkOperator, FlinkSnapshot, FlinkState, FlinkValue};
use crate::format::canonical::DynamicEntry;
use crate::format::manifest::{Manifest, Operator, SnapshotKind, StateKind, TypeInfo};
use crate::format::schema_file::OperatorSchema;
use crate::format::{CodecId, Schema, Value};
use crate::processor::WrittenSavepoint;
use crate::processor::load::{Bootstrap, SortedEntries, Template};
use crate::snapshot::SnapshotSettings;
use crate::state::state_infos;
use crate::{Error, ErrorKind, Result, Store};
use esker_flink::Serializer;
use esker_flink::header::StateMeta;
use esker_flink::key_group::KeyGroupRange;
use esker_flink::metadata::StreamKind;
use std::collections::BTreeSet;

/// How a snapshot of Flink's is converted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromFlink {
    /// The name of the job, which Flink's snapshots do not know.
    pub job: String,
    /// How many subtasks every operator has; as many as in the snapshot if not given.
    pub parallelism: Option<u32>,
    /// Whether states are left out whose values nobody can read without the job's classes. They are kept as bytes otherwise, and refused
    /// by name where not even these can be told apart.
    pub skip_opaque: bool,
}

/// A state that nobody can read without the job's classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueState {
    /// The operator, by its uid or id.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// The class that wrote it.
    pub class: String,
    /// Whether it was left out; it is kept as bytes otherwise.
    pub is_skipped: bool,
}

/// What [`from_flink`] did.
#[derive(Debug, Clone)]
pub struct FlinkConverted {
    /// The savepoint.
    pub written: WrittenSavepoint,
    /// The states that it cannot read.
    pub opaque: Vec<OpaqueState>,
}

/// Makes at the root of `target` a savepoint of esker's of a snapshot of Flink's, of any kind and backend: operators by uid, or by id where
/// nothing tells the uid; keys by esker's own key groups. Keys and namespaces are written by the codec `ordered` where it has their types,
/// all else by `bincode2`, by the types that [`schema_file`](FlinkSnapshot::schema_file) tells; where Java's null stands that such a type
/// has no place for, all parts of it become optional. How long entries with TTL live is not known, so that none
/// expires. Serializer snapshots, operator ids and the states of coordinators are kept beside, for [`to_flink`](super::to_flink()).
///
/// Everything is read once, or twice if there are such nulls, and sorted in files of about its size in the system's
/// temporary folder. Memory: as [`Bootstrap`] and [`write_savepoint`](crate::processor::write_savepoint) say. `progress` is told of entries, when
/// they are read and when they are durable.
///
/// # Errors
/// `Incompatible`, naming operator and state, for keys whose type esker has no keys of, and for what cannot be read and is not skipped;
/// `Unsupported` for records in flight, of which a savepoint has none; `Corrupt` for damage; those of
/// [`write_savepoint`](crate::processor::write_savepoint).
#[tracing::instrument(skip_all, fields(snapshot = snapshot.path(), target = %target))]
pub async fn from_flink(
    snapshot: &FlinkSnapshot,
    options: &FromFlink,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkConverted> {
    settings.check()?;
    let mut plan = Plan::new(snapshot, options)?;
    loop {
        let template = plan.template()?;
        let nulls = match plan.sorted(&template, progress)? {
            Pass::Done(sorted) => {
                let written = sorted.write(target, settings, progress).await?;
                return Ok(FlinkConverted { written, opaque: plan.opaque });
            }
            Pass::Nulls(nulls) => nulls,
        };
        if nulls.is_subset(&plan.nulls) {
            let message = "null where no type has a place for it";
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        plan.nulls.extend(nulls);
    }
}

/// A place that holds nulls: operator, state, what of it.
type Place = (usize, String, Role);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Of all states of the operator alike.
    Key,
    Namespace,
    UserKey,
    Value,
}

/// What comes of reading all entries.
enum Pass<'t> {
    Done(SortedEntries<'t>),
    /// There are nulls at these places, besides those that were known.
    Nulls(BTreeSet<Place>),
}

struct Plan<'s> {
    snapshot: &'s FlinkSnapshot,
    options: &'s FromFlink,
    operators: Vec<(&'s FlinkOperator, Layout)>,
    opaque: Vec<OpaqueState>,
    nulls: BTreeSet<Place>,
}

impl<'s> Plan<'s> {
    fn new(snapshot: &'s FlinkSnapshot, options: &'s FromFlink) -> Result<Self> {
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
    fn template(&self) -> Result<Template> {
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
        if let Some(coordinator) = stored.and_then(|stored| stored.coordinator.as_ref()) {
            if let StreamKind::Bytes { bytes, .. } = &coordinator.leaf().kind {
                origin.set_coordinator(bytes);
            }
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

    fn state(
        &self,
        number: usize,
        state: &FlinkState,
    ) -> Result<crate::format::schema_file::StateSchema> {
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
    fn sorted<'t>(
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

/// Decodes entries, and keeps them until there is one that no type has a place for.
struct Taker<'t> {
    bootstrap: Bootstrap<'t>,
    nulls: BTreeSet<Place>,
    entry: DynamicEntry,
}

/// The operator's number, what it is converted to, and the state that an entry is of.
type Of<'a> = (usize, &'a Operator, &'a FlinkState);

impl Taker<'_> {
    fn entry(&mut self, of: Of<'_>, entry: &FlinkEntry<'_>) -> Result<()> {
        let (_, converted, state) = of;
        let info =
            converted.states.iter().find(|info| info.name == state.name && info.kind == state.kind);
        let Some(info) = info else { return Ok(()) };
        let key = values::decoded(state.key.as_deref(), entry.key)?;
        let key = self.fitted(of, Role::Key, converted.key.as_ref(), key);
        let namespace = match &info.namespace {
            Some(_) => values::decoded(state.namespace.as_deref(), entry.namespace)?,
            None => None,
        };
        let namespace = self.fitted(of, Role::Namespace, info.namespace.as_ref(), namespace);
        let user_key = match entry.user_key {
            Some(bytes) => values::decoded(state.user_key.as_deref(), bytes)?,
            None => None,
        };
        let user_key = self.fitted(of, Role::UserKey, info.user_key.as_ref(), user_key);
        let (value, ttl) = held(state, entry.value)?;
        let value = match value {
            Some(Value::Seq(elements)) if state.kind == StateKind::List => {
                let each = elements.into_iter().map(|element| {
                    let element = self.fitted(of, Role::Value, info.value.as_ref(), Some(element));
                    element.unwrap_or(Value::Unit)
                });
                Some(Value::Seq(each.collect()))
            }
            // Of a timer its time, which has no type of its own.
            value if info.value.is_none() => value,
            value => self.fitted(of, Role::Value, info.value.as_ref(), value),
        };
        self.entry.state.clone_from(&state.name);
        (self.entry.key, self.entry.namespace, self.entry.user_key) = (key, namespace, user_key);
        (self.entry.value, self.entry.ttl) = (value, ttl);
        self.keep()
    }

    fn element(&mut self, of: Of<'_>, user_key: Option<&[u8]>, value: &[u8]) -> Result<()> {
        let (_, converted, state) = of;
        let info =
            converted.states.iter().find(|info| info.name == state.name && info.kind == state.kind);
        let Some(info) = info else { return Ok(()) };
        let user_key = match user_key {
            Some(bytes) => values::decoded(state.user_key.as_deref(), bytes)?,
            None => None,
        };
        let (value, _) = held(state, FlinkValue::One(value))?;
        self.entry.state.clone_from(&state.name);
        (self.entry.key, self.entry.namespace, self.entry.ttl) = (None, None, None);
        self.entry.user_key = self.fitted(of, Role::UserKey, info.user_key.as_ref(), user_key);
        self.entry.value = self.fitted(of, Role::Value, info.value.as_ref(), value);
        self.keep()
    }

    fn keep(&mut self) -> Result<()> {
        match self.nulls.is_empty() {
            true => self.bootstrap.add(&self.entry),
            // All of it is read again.
            false => Ok(()),
        }
    }

    /// `value` as one of its type; a null that it has no place for is noted.
    fn fitted(
        &mut self,
        (number, _, state): Of<'_>,
        role: Role,
        info: Option<&TypeInfo>,
        value: Option<Value>,
    ) -> Option<Value> {
        let (Some(info), Some(value)) = (info, value) else { return None };
        let value = match has_parts(&info.schema) {
            true => wrapped(value, &info.schema),
            false => value,
        };
        if has_stray(&value, &info.schema) {
            let name = if role == Role::Key { String::new() } else { state.name.clone() };
            self.nulls.insert((number, name, role));
        }
        Some(value)
    }
}

/// What an entry holds, and its times; as bytes where it cannot be read.
fn held(state: &FlinkState, value: FlinkValue<'_>) -> Result<(Option<Value>, Option<Value>)> {
    let is_opaque = state.value.as_deref().is_some_and(|value| value.opaque().is_some());
    if let (true, FlinkValue::One(bytes)) = (is_opaque, value) {
        let (time, bytes) = values::split_time(state, bytes)?;
        let ttl = time.map(|time| Value::Signed(time.into()));
        return Ok((Some(Value::Bytes(bytes.to_vec())), ttl));
    }
    let held = values::value(state, value, true)?;
    Ok((held.value, held.ttl))
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

/// That the entries of a state with something opaque can be kept as bytes.
fn check_keepable(state: &FlinkState) -> Result<()> {
    let opaque = |serializer: &Option<std::sync::Arc<Serializer>>| {
        serializer.as_deref().and_then(Serializer::opaque).map(str::to_owned)
    };
    let unreadable = [
        ("its keys", opaque(&state.key)),
        ("its namespaces", opaque(&state.namespace)),
        ("its user keys", opaque(&state.user_key)),
        (
            "the elements of its lists",
            opaque(&state.value).filter(|_| state.kind == StateKind::List),
        ),
    ];
    match unreadable.into_iter().find_map(|(what, class)| Some((what, class?))) {
        None => Ok(()),
        Some((what, class)) => {
            let message = format!(
                "{what} cannot be told apart, as {class} wrote them: leave such states out (skip_opaque)"
            );
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// Whether values of `schema` have parts, or may be null.
fn has_parts(schema: &Schema) -> bool {
    !matches!(
        schema,
        Schema::Bool
            | Schema::I8
            | Schema::I16
            | Schema::I32
            | Schema::I64
            | Schema::F32
            | Schema::F64
            | Schema::String
            | Schema::Bytes
    )
}

/// What keys of `schema` hold that keys cannot.
fn no_key(schema: &Schema) -> Option<&'static str> {
    use crate::format::schema::Shape;
    match schema {
        Schema::F32 | Schema::F64 => Some("floating-point numbers"),
        Schema::Map(..) => Some("maps"),
        Schema::Set(_) => Some("sets"),
        Schema::Opaque { .. } => Some("what cannot be read"),
        Schema::Option(of) | Schema::Seq(of) | Schema::Newtype { inner: of, .. } => no_key(of),
        Schema::Tuple(of) | Schema::TupleStruct { fields: of, .. } => of.iter().find_map(no_key),
        Schema::Struct { fields, .. } => fields.iter().find_map(|field| no_key(&field.schema)),
        Schema::Enum { variants, .. } => variants.iter().find_map(|variant| match &variant.shape {
            Shape::Unit => None,
            Shape::Newtype(of) => no_key(of),
            Shape::Tuple(of) => of.iter().find_map(no_key),
            Shape::Struct(fields) => fields.iter().find_map(|field| no_key(&field.schema)),
        }),
        _ => None,
    }
}
