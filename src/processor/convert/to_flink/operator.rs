//! One operator of esker's as Flink is to have it.

use super::ToFlink;
use super::entry::{Made, put, put_value};
use super::fit::{check_codecs, check_major};
use crate::flink::save::{KeyedEntry, NewOperator, Sort, Writer};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Operator, StateInfo, StateKind};
use crate::format::part::{Part, RunRef};
use crate::format::run::Entry;
use crate::processor::convert::origin::OfOperator;
use crate::processor::convert::types::{self, FlinkType};
use crate::processor::rewrite::{Fields, Reader, Uses};
use crate::snapshot::ChainReader;
use crate::{Error, ErrorKind, Result, Store};
use esker_flink::header::{KeyedHeader, OperatorHeader, StateMeta};
use esker_flink::key_group::key_group;
use esker_flink::keys::KeyFormat;
use esker_flink::metadata::{Operator as Metadata, StreamHandle};
use esker_flink::{OperatorId, Serializer};
use std::collections::BTreeMap;

/// An operator as Flink is to have it.
pub(super) struct Converted<'m> {
    pub(super) operator: &'m Operator,
    metadata: Metadata,
    key: Option<Serializer>,
    keyed: Option<KeyedHeader>,
    elements: Option<OperatorHeader>,
    /// By their ids: place in the header, and what they are.
    states: BTreeMap<u32, (u16, &'m StateInfo, FlinkType)>,
}

impl<'m> Converted<'m> {
    pub(super) fn new(
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

    pub(super) async fn write(
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
            let Some((reader, (place, info, state))) = self.state_of(&readers, entry) else {
                return Ok(());
            };
            let named = |error| named(error, info, reader, entry);
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

    /// What reads an entry, and whose it is; none if its state is left out.
    fn state_of<'a>(
        &'a self,
        readers: &'a BTreeMap<u32, Reader>,
        entry: Entry<'_>,
    ) -> Option<(&'a Reader, &'a (u16, &'m StateInfo, FlinkType))> {
        let id = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id)).unwrap_or_default();
        readers.get(&id).zip(self.states.get(&id))
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
            let Some((reader, (place, info, state))) = self.state_of(&readers, entry) else {
                return Ok(());
            };
            let named = |error| named(error, info, reader, entry);
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

fn push(metas: &mut Vec<StateMeta>, state: &FlinkType) -> usize {
    metas.push(state.meta.clone());
    metas.len() - 1
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

fn named(error: Error, info: &StateInfo, reader: &Reader, entry: Entry<'_>) -> Error {
    error.of(format_args!("state={}{}", info.name, reader.place(entry)))
}
