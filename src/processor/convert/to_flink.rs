//! A canonical savepoint of Flink's, made of a snapshot of esker's.

use super::origin::{OfOperator, OfSnapshot};
use super::types::{self, FlinkType};
use crate::flink::FlinkWritten;
use crate::flink::save::{KeyedEntry, NewOperator, Sort, Writer};
use crate::format::manifest::{Operator, StateInfo, StateKind};
use crate::format::part::{Part, RunRef};
use crate::format::{CodecId, KeyGroupRange, Value};
use crate::processor::copy::checked;
use crate::processor::rewrite::{Fields, Reader, Uses};
use crate::snapshot::{ChainReader, OpenSnapshot};
use crate::{Error, ErrorKind, Result, Store};
use esker_flink::canonical::{put_list_element, put_map_value};
use esker_flink::header::{KeyedHeader, OperatorHeader};
use esker_flink::key_group::{MAX_PARALLELISM_MAX, key_group};
use esker_flink::keys::{KeyFormat, KeyParts};
use esker_flink::metadata::{Operator as Metadata, StreamHandle};
use esker_flink::{OperatorId, Output, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The Flink that a savepoint is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkVersion {
    major: u32,
    /// The least that is meant.
    minor: u32,
}

impl FlinkVersion {
    /// Flink 1.20.
    pub const V1_20: Self = Self { major: 1, minor: 20 };
    /// Flink 2, any of it.
    pub const V2: Self = Self { major: 2, minor: 0 };
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FlinkVersion {
    type Err = Error;

    /// `1.14` to `1.20`, `2.0` and above, or `2.x`; what follows behind a further point counts for nothing.
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next().and_then(|major| major.parse().ok());
        let minor = match numbers.next() {
            Some("x") | None => Some(if major == Some(1) { 14 } else { 0 }),
            Some(minor) => minor.parse().ok(),
        };
        match (major, minor) {
            (Some(major @ 1), Some(minor @ 14..=20)) | (Some(major @ 2), Some(minor)) => {
                Ok(Self { major, minor })
            }
            _ => {
                let message = format!("{text:?} is no version of Flink from 1.14 to 2.x");
                Err(Error::new(ErrorKind::Invalid, message))
            }
        }
    }
}

/// How a snapshot of esker's is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToFlink {
    /// The Flink that restores it.
    pub version: FlinkVersion,
    /// How many key groups every operator has, 1 to 32,768: the maximum parallelism of the job that restores it.
    pub max_parallelism: u32,
    /// How many subtasks every operator is written by; as many as in the snapshot if not given, and no more than key groups.
    pub parallelism: Option<u32>,
}

/// Makes at the root of `target` a canonical savepoint of Flink's of any snapshot of esker's that stands in runs. Flink finds the state of an
/// operator by the hash of its uid, and keys by their `hashCode()`.
///
/// What came from Flink ([`from_flink`](super::from_flink())) goes back with the serializers that wrote it, as long as its types are those that they
/// were; what nobody could read goes back as it was. Other types get serializers of Flink's own: integers the narrowest of Java's that holds
/// them, sequences and sets lists, tuples Flink's tuples, optional values nullable ones, structs a POJO of the class
/// that their name says; timers of a state `NAME` those of the service `NAME`. Entries that are expired are left out.
///
/// Entries are sorted in files of about their size in the system's temporary folder. Memory: about 64 MiB. `progress` is told of
/// entries, when they are read and when they are written.
///
/// # Errors
/// `Incompatible`, naming operator, state and path, for types that Flink has nothing for, codecs that are not esker's, and what another
/// major version of Flink's wrote and nobody else can read; `Invalid` for parallelisms that cannot be; `Unsupported` for a database;
/// `Corrupt` for damage; `Conflict` if something else is in `target`; the stores'. What was put until then is deleted, as far as it can be.
#[tracing::instrument(skip_all, fields(checkpoint = snapshot.manifest.checkpoint, target = %target))]
pub async fn to_flink(
    snapshot: OpenSnapshot,
    options: &ToFlink,
    target: &Store,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkWritten> {
    let snapshot = checked(snapshot, target)?;
    if !(1..=MAX_PARALLELISM_MAX).contains(&options.max_parallelism) {
        let message = format!(
            "max_parallelism={}: there are 1 to 32,768 key groups",
            options.max_parallelism
        );
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let origin = OfSnapshot::of(&snapshot.manifest.extra);
    let origin_major = origin.and_then(|of| match of.metadata_version {
        4 => Some(1),
        5.. => Some(2),
        // esker itself writes version 3.
        _ => None,
    });
    let mut converted = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let of = |error: Error| error.of(format_args!("operator={}", operator.uid));
        let new = Converted::new(operator, parts, options, origin_major).map_err(of)?;
        converted.push((new, parts));
    }
    let checkpoint = i64::try_from(snapshot.manifest.checkpoint).unwrap_or(i64::MAX);
    let mut writer = Writer::new(target, checkpoint, Vec::new()).await?;
    for (operator, parts) in &converted {
        if let Err(error) = operator.write(&mut writer, &snapshot.store, parts, progress).await {
            writer.take_back().await;
            return Err(error.of(format_args!("operator={}", operator.operator.uid)));
        }
    }
    writer.finish().await
}

/// An operator as Flink is to have it.
struct Converted<'m> {
    operator: &'m Operator,
    metadata: Metadata,
    key: Option<Serializer>,
    keyed: Option<KeyedHeader>,
    elements: Option<OperatorHeader>,
    /// By their ids: place in the header, and what they are.
    states: BTreeMap<u32, (u16, &'m StateInfo, FlinkType)>,
}

impl<'m> Converted<'m> {
    fn new(
        operator: &'m Operator,
        parts: &[Option<Part>],
        options: &ToFlink,
        origin_major: Option<u32>,
    ) -> Result<Self> {
        let of_database = parts.iter().flatten().find_map(|part| part.native.as_ref());
        if let Some(native) = of_database {
            let message = format!(
                "its state is a database of {}: restore it, and take a savepoint",
                native.engine
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let origin = OfOperator::of(&operator.extra);
        let key = types::key(operator, origin.as_ref().and_then(OfOperator::key))?;
        let mut states = BTreeMap::new();
        let (mut keyed, mut lists, mut broadcasts) = (Vec::new(), Vec::new(), Vec::new());
        // Lists come before broadcast states.
        let mut infos: Vec<&StateInfo> = operator.states.iter().collect();
        infos.sort_by_key(|info| info.kind == StateKind::OperatorBroadcast);
        for info in infos {
            let of = |error: Error| error.of(format_args!("state={}", info.name));
            check_codecs(operator, info).map_err(of)?;
            let state = types::state(info, key.as_ref()).map_err(of)?;
            check_major(&state, options.version.major, origin_major).map_err(of)?;
            let place = match info.kind {
                kind if kind.is_keyed() => push(&mut keyed, &state),
                StateKind::OperatorBroadcast => lists.len() + push(&mut broadcasts, &state),
                _ => push(&mut lists, &state),
            };
            let place = u16::try_from(place)
                .map_err(|_| of(Error::new(ErrorKind::Invalid, "more states than Flink counts")))?;
            states.insert(info.id, (place, info, state));
        }
        let keyed =
            key.clone().filter(|_| !keyed.is_empty()).map(|key| KeyedHeader::new(key, keyed));
        let has_elements = !lists.is_empty() || !broadcasts.is_empty();
        let is_compressible = options.version.major > 1 || options.version.minor >= 18;
        let elements =
            has_elements.then(|| OperatorHeader::new(is_compressible, lists, broadcasts));
        let metadata = metadata(operator, origin.as_ref(), options)?;
        Ok(Self { operator, metadata, key, keyed, elements, states })
    }

    async fn write(
        &self,
        writer: &mut Writer<'_>,
        store: &Store,
        parts: &[Option<Part>],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let mut sort = Sort::new()?;
        let mut dealt = Dealt::default();
        for (subtask, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let range = self.operator.range(subtask)?;
            if self.keyed.is_some() {
                let chain = self.chain(store, &part.runs).await?;
                self.keyed(&chain, range, part, progress, &mut sort)?;
            }
            if self.elements.is_some() {
                let chain = self.chain(store, part.operator_run.as_slice()).await?;
                self.elements(&chain, subtask, progress, (&mut sort, &mut dealt))?;
            }
        }
        let sorted = sort.finish()?;
        let new = NewOperator {
            operator: self.metadata.clone(),
            keyed: self.keyed.clone(),
            elements: self.elements.clone(),
            raw: Vec::new(),
            entries: &sorted,
        };
        writer.operator(new, progress).await
    }

    async fn chain(&self, store: &Store, runs: &[RunRef]) -> Result<ChainReader> {
        let ids = self.operator.states.iter().map(|info| info.id);
        Ok(ChainReader::open(store, runs).await?.of_states(ids))
    }

    /// Reads the entries of each state of a part.
    fn readers(&self, part: Option<&Part>) -> BTreeMap<u32, Reader> {
        let uses = Uses {
            key: true,
            namespace: true,
            user_key: true,
            value: true,
            ttl: true,
            as_written: true,
            ..Uses::default()
        };
        let time = |id: u32| {
            let state = part?.states.iter().find(|state| state.id == id)?;
            state.ttl_time_ms
        };
        let infos = self.operator.states.iter();
        let reader =
            |info: &StateInfo| Reader::new(self.operator.key.as_ref(), info, uses, time(info.id));
        infos.map(|info| (info.id, reader(info))).collect()
    }

    fn keyed(
        &self,
        chain: &ChainReader,
        range: KeyGroupRange,
        part: &Part,
        progress: &(dyn Fn(u64) + Sync),
        sort: &mut Sort,
    ) -> Result<()> {
        let readers = self.readers(Some(part));
        let (Some(header), Some(of_key)) = (&self.keyed, &self.key) else { return Ok(()) };
        let formats = header.states.iter().map(|state| KeyFormat::of(header, state));
        let formats = formats.collect::<std::result::Result<Vec<_>, _>>()?;
        let mut made = Made::default();
        chain.merge(range, None, &mut |entry| {
            progress(1);
            let id = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id)).unwrap_or_default();
            let (Some(reader), Some((place, info, state))) =
                (readers.get(&id), self.states.get(&id))
            else {
                return Ok(());
            };
            let named =
                |error: Error| error.of(format_args!("state={}{}", info.name, reader.place(entry)));
            let Some(format) = formats.get(usize::from(*place)) else { return Ok(()) };
            let mut fields = Fields::default();
            if !reader.read(entry, &mut fields).map_err(named)? {
                return Ok(());
            }
            let is_there = made.keyed(of_key, format, (info, state), &fields).map_err(named)?;
            if !is_there {
                return Ok(());
            }
            let key_group = key_group(made.hash, self.metadata.max_parallelism);
            let (key, value) = (&made.composite, &made.value);
            sort.keyed(KeyedEntry { key_group, state: *place, key, value }).map_err(named)
        })
    }

    fn elements(
        &self,
        chain: &ChainReader,
        subtask: usize,
        progress: &(dyn Fn(u64) + Sync),
        (sort, dealt): (&mut Sort, &mut Dealt),
    ) -> Result<()> {
        let readers = self.readers(None);
        let parallelism = self.metadata.parallelism;
        let is_dealt = parallelism as usize != self.operator.parts.len();
        let (mut user_key, mut value) = (Vec::new(), Vec::new());
        chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
            progress(1);
            let id = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id)).unwrap_or_default();
            let (Some(reader), Some((place, info, state))) =
                (readers.get(&id), self.states.get(&id))
            else {
                return Ok(());
            };
            let named =
                |error: Error| error.of(format_args!("state={}{}", info.name, reader.place(entry)));
            let mut fields = Fields::default();
            reader.read(entry, &mut fields).map_err(named)?;
            value.clear();
            put_value(state, fields.value.as_ref(), &mut value).map_err(named)?;
            if info.kind == StateKind::OperatorBroadcast {
                user_key.clear();
                put(state.user_key.as_ref(), fields.user_key.as_ref(), &mut user_key)
                    .map_err(named)?;
                // Every subtask has all of it.
                return if subtask == 0 {
                    sort.broadcast(*place, &user_key, &value)
                } else {
                    Ok(())
                };
            }
            let subtask = if is_dealt { dealt.next(*place, parallelism) } else { subtask as u32 };
            sort.element(subtask, *place, &value).map_err(named)
        })
    }
}

/// Whose turn it is to get an element of a list, by state.
#[derive(Default)]
struct Dealt(BTreeMap<u16, u32>);

impl Dealt {
    fn next(&mut self, state: u16, parallelism: u32) -> u32 {
        let next = self.0.entry(state).or_default();
        let subtask = *next;
        *next = (subtask + 1) % parallelism.max(1);
        subtask
    }
}

/// An entry in canonical form.
#[derive(Default)]
struct Made {
    hash: i32,
    composite: Vec<u8>,
    value: Vec<u8>,
    key: Vec<u8>,
    namespace: Vec<u8>,
    user_key: Vec<u8>,
}

impl Made {
    /// Makes the entry of `fields`; `false` if there is none, as of an empty list.
    fn keyed(
        &mut self,
        of_key: &Serializer,
        format: &KeyFormat<'_>,
        (info, state): (&StateInfo, &FlinkType),
        fields: &Fields,
    ) -> Result<bool> {
        let Self { hash, composite, value, key, namespace, user_key } = self;
        [&mut *composite, value, key, namespace, user_key].into_iter().for_each(Vec::clear);
        put(Some(of_key), fields.key.as_ref(), key)?;
        *hash = crate::flink::save::values::hash(of_key, key)?;
        let unit = Value::Unit;
        let of_namespace = fields.namespace.as_ref().unwrap_or(&unit);
        put(state.namespace.as_ref(), Some(of_namespace), namespace)?;
        if let Some(of) = &fields.user_key {
            put(state.user_key.as_ref(), Some(of), user_key)?;
        }
        let timestamp_ms = match (&fields.value, state.value.is_none()) {
            (Some(Value::Signed(time)), true) => i64::try_from(*time).ok(),
            _ => None,
        };
        if timestamp_ms.is_none() {
            put_held(info, state, fields, value)?;
            if info.kind == StateKind::List && value.is_empty() {
                return Ok(false);
            }
        }
        let is_map = info.kind == StateKind::Map;
        let user_key = is_map.then_some(&**user_key);
        format.put(&KeyParts { key, namespace, user_key, timestamp_ms }, composite);
        Ok(true)
    }
}

/// Appends what an entry holds in canonical form.
fn put_held(info: &StateInfo, state: &FlinkType, fields: &Fields, out: &mut Vec<u8>) -> Result<()> {
    let has_ttl = info.ttl.is_some();
    match (&fields.value, info.kind) {
        (Some(Value::Seq(elements)), StateKind::List) => {
            let times = match &fields.ttl {
                Some(Value::Seq(times)) => &times[..],
                _ => &[],
            };
            let mut element = Vec::new();
            for (number, value) in elements.iter().enumerate() {
                element.clear();
                put_time(has_ttl, times.get(number), &mut element)?;
                put_value(state, Some(value), &mut element)?;
                put_list_element(&element, out);
            }
            Ok(())
        }
        (Some(Value::Option(None)), StateKind::Map) if !has_ttl => {
            put_map_value(None, out);
            Ok(())
        }
        (value, kind) => {
            if kind == StateKind::Map {
                put_map_value(Some(&[]), out);
            }
            put_time(has_ttl, fields.ttl.as_ref(), out)?;
            put_value(state, value.as_ref(), out)
        }
    }
}

fn put_time(has_ttl: bool, time: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    if !has_ttl {
        return Ok(());
    }
    let time = match time {
        Some(Value::Signed(time)) => i64::try_from(*time).ok(),
        _ => None,
    };
    let none = || Error::new(ErrorKind::Corrupt, "it has no time of its last update");
    out.put_i64(time.ok_or_else(none)?);
    Ok(())
}

fn put_value(state: &FlinkType, value: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    match value {
        // What nobody could read is there as it was.
        Some(Value::Bytes(bytes)) if state.is_opaque => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        value => put(state.value.as_ref(), value, out),
    }
}

fn put(serializer: Option<&Serializer>, value: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    match (serializer, value) {
        (Some(serializer), Some(value)) => Ok(serializer.encode(value, out)?),
        (None, _) => Ok(()),
        (Some(_), None) => Err(Error::new(ErrorKind::Corrupt, "the entry lacks a part")),
    }
}

fn push(metas: &mut Vec<esker_flink::header::StateMeta>, state: &FlinkType) -> usize {
    metas.push(state.meta.clone());
    metas.len() - 1
}

/// That the state's types are by codecs of esker's.
fn check_codecs(operator: &Operator, info: &StateInfo) -> Result<()> {
    let key = operator.key.as_ref().filter(|_| info.kind.is_keyed());
    let infos = [key, info.namespace.as_ref(), info.user_key.as_ref(), info.value.as_ref()];
    let is_own = |codec: &CodecId| [CodecId::ORDERED, CodecId::BINCODE2].contains(codec);
    match infos.into_iter().flatten().find(|of| !is_own(&of.codec)) {
        None => Ok(()),
        Some(of) => {
            let message =
                format!("codec={} is not one of esker's: only its program reads it", of.codec);
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// Classes that Flink 1 has not.
const OF_FLINK_2: [&[u8]; 3] =
    [b"base.SetSerializerSnapshot", b"base.VariantSerializer", b"base.BitmapSerializer"];

/// That Flink of this major version reads the state.
fn check_major(state: &FlinkType, major: u32, origin_major: Option<u32>) -> Result<()> {
    if state.is_opaque && origin_major.is_some_and(|origin| origin != major) {
        let class =
            state.value.as_ref().and_then(Serializer::opaque).unwrap_or_default().to_owned();
        let message = format!(
            "{class} of Flink {} wrote it, and that of Flink {major} reads other bytes: drop the state first (esker rewrite)",
            origin_major.unwrap_or_default()
        );
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    let mut bytes = Vec::new();
    state.meta.write(&mut bytes)?;
    let has = |name: &&&[u8]| bytes.windows(name.len()).any(|window| window == **name);
    match OF_FLINK_2.iter().find(has).filter(|_| major == 1) {
        None => Ok(()),
        Some(name) => {
            let message = format!("{} is of Flink 2", String::from_utf8_lossy(name));
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// What the operator is to be, without subtasks.
fn metadata(
    operator: &Operator,
    origin: Option<&OfOperator>,
    options: &ToFlink,
) -> Result<Metadata> {
    let max_parallelism = options.max_parallelism;
    let parallelism =
        options.parallelism.unwrap_or((operator.parts.len() as u32).clamp(1, max_parallelism));
    if parallelism == 0 || parallelism > max_parallelism {
        let message = format!(
            "parallelism={parallelism} and max_parallelism={max_parallelism}: each subtask has a key group at least"
        );
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    // What was never called by a uid is still found by its id.
    let id = origin.filter(|origin| origin.is_called(&operator.uid));
    let id = id.and_then(|origin| origin.id.parse().ok());
    let id = id.unwrap_or_else(|| OperatorId::of_uid(&operator.uid));
    let mut metadata = Metadata::new(id, parallelism, max_parallelism);
    if let Some(origin) = origin {
        let coordinator = origin.coordinator();
        metadata.coordinator = coordinator.map(|bytes| StreamHandle::inline("coordinator", bytes));
        metadata.finished = origin.finished;
    }
    Ok(metadata)
}
