//! The states that the header of a stream announces.

use super::state::FlinkState;
use super::stream::FlinkStream;
use crate::format::manifest::StateKind;
use crate::{Error, Result};
use esker_flink::header::{
    KeyedHeader, KeyedStateType, OperatorHeader, Role, StateKind as HeaderKind, StateMeta,
};
use esker_flink::{FormatError, Input, Serializer};
use std::sync::Arc;

/// How states of timers of processing time are called; a service's name follows.
const PROCESSING_TIMERS: &str = "_timer_state/processing_";
/// Headers above this size, in bytes, are refused: 256 MiB.
const HEADER_LEN_BYTES_MAX: u64 = 256 << 20;

/// The states of a stream of keyed state.
#[derive(Debug, Clone)]
pub(super) struct KeyedStates {
    /// By their ids.
    pub(super) states: Vec<FlinkState>,
    /// What the header says, as it was read.
    pub(super) header: KeyedHeader,
}

/// The states of a stream of operator state.
#[derive(Debug, Clone)]
pub(super) struct OperatorStates {
    /// Lists, then broadcast states.
    pub(super) states: Vec<FlinkState>,
    pub(super) header: OperatorHeader,
}

impl KeyedStates {
    /// Reads the header in the first `len_bytes` of `stream`.
    ///
    /// # Errors
    /// `Corrupt` and `Unsupported` with file and offset; the store's.
    pub(super) fn read(stream: &FlinkStream, len_bytes: u64, operator: &str) -> Result<Self> {
        let bytes = stream.read(0..len(stream, len_bytes)?)?;
        let mut input = Input::new("state header", &bytes).based_at(stream.offset_in_file(0));
        let header = KeyedHeader::read(&mut input);
        let states = header.and_then(|header| Self::of(header, operator));
        states.map_err(|error| stream.refused(error))
    }

    /// The states of a header.
    ///
    /// # Errors
    /// `Corrupt` if a state lacks a serializer.
    pub(super) fn of(
        header: KeyedHeader,
        operator: &str,
    ) -> std::result::Result<Self, FormatError> {
        let key = Arc::new(header.key.clone());
        let states = header.states.iter().map(|meta| keyed(meta, &key, operator));
        let states = states.collect::<std::result::Result<_, _>>()?;
        Ok(Self { states, header })
    }
}

impl OperatorStates {
    /// As [`KeyedStates::read`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn read(stream: &FlinkStream, len_bytes: u64, operator: &str) -> Result<Self> {
        let bytes = stream.read(0..len(stream, len_bytes)?)?;
        let mut input = Input::new("state header", &bytes).based_at(stream.offset_in_file(0));
        let states = OperatorHeader::read(&mut input).and_then(|header| {
            let metas = header.lists.iter().chain(&header.broadcasts);
            let states = metas.map(|meta| operator_state(meta, operator));
            Ok(Self { states: states.collect::<std::result::Result<_, _>>()?, header })
        });
        states.map_err(|error| stream.refused(error))
    }
}

fn len(stream: &FlinkStream, len_bytes: u64) -> Result<u64> {
    if len_bytes > HEADER_LEN_BYTES_MAX {
        let message =
            format!("a header of {len_bytes} bytes is none: states and their types stand there");
        let error = FormatError::corrupt("state header", message).at(stream.offset_in_file(0));
        return Err(Error::from(error).at_path(stream.path()));
    }
    Ok(len_bytes.min(stream.len_bytes()))
}

/// Keyed state whose keys `key` wrote.
///
/// # Errors
/// `Corrupt` if it lacks a serializer or a type.
pub(super) fn keyed(
    meta: &StateMeta,
    key: &Arc<Serializer>,
    operator: &str,
) -> std::result::Result<FlinkState, FormatError> {
    let value = meta.needed(Role::Value)?;
    if meta.kind == HeaderKind::PriorityQueue {
        return Ok(timers(&meta.name, value, key).of_operator(operator));
    }
    let namespace = meta.serializer(Role::Namespace).map(|namespace| Arc::new(namespace.clone()));
    let Some(kind) = kind(meta) else {
        let message = format!("state {:?} does not say of which type it is", meta.name);
        return Err(FormatError::corrupt("state header", message));
    };
    let user_key = meta.serializer(Role::UserKey);
    let key = Arc::clone(key);
    let values = (user_key, Some(value));
    Ok(FlinkState::keyed(meta.name.clone(), kind, key, namespace, values).of_operator(operator))
}

/// Of which kind keyed state is, if its header says.
pub(crate) fn kind(meta: &StateMeta) -> Option<StateKind> {
    Some(match meta.keyed_type()? {
        KeyedStateType::Value => StateKind::Value,
        KeyedStateType::List => StateKind::List,
        KeyedStateType::Map => StateKind::Map,
        KeyedStateType::Reducing => StateKind::Reducing,
        KeyedStateType::Aggregating | KeyedStateType::Folding => StateKind::Aggregating,
    })
}

/// Timers, whose serializer names those of key and namespace.
fn timers(name: &str, element: &Serializer, key: &Arc<Serializer>) -> FlinkState {
    let (key, namespace) = match element.timer() {
        Some((key, namespace)) => (Arc::new(key.clone()), Some(Arc::new(namespace.clone()))),
        None => (Arc::clone(key), None),
    };
    let kind = match name.starts_with(PROCESSING_TIMERS) {
        true => StateKind::TimerProcessing,
        false => StateKind::TimerEvent,
    };
    FlinkState::keyed(name.to_owned(), kind, key, namespace, (None, None))
}

/// The timers that an operator wrote itself.
pub(super) fn timers_of(
    name: String,
    kind: StateKind,
    (key, namespace): (&Serializer, &Serializer),
    operator: &str,
) -> FlinkState {
    let (key, namespace) = (Arc::new(key.clone()), Some(Arc::new(namespace.clone())));
    FlinkState::keyed(name, kind, key, namespace, (None, None)).of_operator(operator)
}

fn operator_state(
    meta: &StateMeta,
    operator: &str,
) -> std::result::Result<FlinkState, FormatError> {
    let value = Arc::new(meta.needed(Role::Value)?.clone());
    let user_key = meta.serializer(Role::Key).map(|key| Arc::new(key.clone()));
    let kind = match (meta.kind, meta.option("OPERATOR_STATE_DISTRIBUTION_MODE")) {
        (HeaderKind::Broadcast, _) => StateKind::OperatorBroadcast,
        (_, Some("UNION")) => StateKind::OperatorUnion,
        _ => StateKind::OperatorList,
    };
    Ok(FlinkState::operator(meta.name.clone(), kind, user_key, value).of_operator(operator))
}
