//! Serializers of Flink's for states of esker's.

use super::nulls::nullable;
use super::origin;
use crate::flink::header;
use crate::flink::save::infos;
use crate::format::Schema;
use crate::format::manifest::{Operator, StateInfo, StateKind, TypeInfo};
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::header::{KeyedStateType, Role, StateMeta};

/// What the states of timers are called; a service's name follows.
const EVENT_TIMERS: &str = "_timer_state/event_";
const PROCESSING_TIMERS: &str = "_timer_state/processing_";

/// A state as Flink has it.
pub(super) struct FlinkType {
    pub(super) meta: StateMeta,
    /// What writes namespaces; none of operator state.
    pub(super) namespace: Option<Serializer>,
    /// What writes user keys.
    pub(super) user_key: Option<Serializer>,
    /// What writes values, elements and the values of maps, behind the time where there is TTL; none of timers.
    pub(super) value: Option<Serializer>,
    /// Whether nobody but a program of Flink's can read what it writes.
    pub(super) is_opaque: bool,
}

/// What writes the keys of `operator`; as it was if they came from Flink.
///
/// # Errors
/// `Incompatible`, with the path, for what Flink has no type for.
pub(super) fn key(operator: &Operator, known: Option<Serializer>) -> Result<Option<Serializer>> {
    let Some(key) = &operator.key else { return Ok(None) };
    let known = known.filter(|known| is_of(&infos::key(known), key));
    known.map_or_else(|| made("key", &key.schema), Ok).map(Some)
}

/// The state `info` of an operator whose keys `key` writes; as it was if it came from Flink.
///
/// # Errors
/// As for [`key`].
pub(super) fn state(info: &StateInfo, key: Option<&Serializer>) -> Result<FlinkType> {
    if let Some(known) = origin::state(&info.extra).and_then(|meta| known(meta, info, key)) {
        return Ok(known);
    }
    let of = |what: &str, of: Option<&TypeInfo>| of.map(|of| made(what, &of.schema)).transpose();
    let (user_key, namespace) =
        (of("userKey", info.user_key.as_ref())?, of("namespace", info.namespace.as_ref())?);
    let value = match (&info.value, info.kind) {
        // Whether a value of a map is null, the map says.
        (Some(of), StateKind::Map) => Some(made("value", present(&of.schema))?),
        (of, _) => of.as_ref().map(|of| made("value", &of.schema)).transpose()?,
    };
    let namespace = namespace.unwrap_or_else(Serializer::void_namespace);
    let meta = new_meta(info, key, &namespace, (user_key.as_ref(), value.as_ref()))?;
    let namespace = info.kind.is_keyed().then_some(namespace);
    Ok(FlinkType { meta, namespace, user_key, value, is_opaque: false })
}

fn made(what: &str, schema: &Schema) -> Result<Serializer> {
    Serializer::of_schema(schema).map_err(|error| Error::from(error).of(what))
}

fn present(schema: &Schema) -> &Schema {
    match schema {
        Schema::Option(inner) => inner,
        schema => schema,
    }
}

/// Whether what Flink has as `known` became `found`.
fn is_of(known: &TypeInfo, found: &TypeInfo) -> bool {
    known.schema == found.schema || nullable(&known.schema) == found.schema
}

/// What Flink had, if it still fits the state.
fn known(meta: StateMeta, info: &StateInfo, key: Option<&Serializer>) -> Option<FlinkType> {
    let value = meta.serializer(Role::Value);
    let own_namespace = meta.serializer(Role::Namespace);
    let (mut user_key, mut namespace) = (None, own_namespace.cloned());
    let kind = header::kind(&meta).unwrap_or(info.kind);
    let mut value = value.cloned();
    match info.kind {
        StateKind::TimerEvent | StateKind::TimerProcessing => {
            let timer = value.take()?;
            let (of_key, of_namespace) = timer.timer()?;
            if Some(of_key) != key {
                return None;
            }
            namespace = Some(of_namespace.clone());
        }
        StateKind::List => value = Some(value?.element()?.clone()),
        StateKind::Map => {
            let own = meta.serializer(Role::UserKey);
            let of = value.as_ref()?.entry();
            (user_key, value) = match (own, of) {
                (Some(own), _) => (Some(own.clone()), value),
                (None, Some((of_key, of_value))) => (Some(of_key.clone()), Some(of_value.clone())),
                (None, None) => return None,
            };
        }
        StateKind::OperatorBroadcast => user_key = meta.serializer(Role::Key).cloned(),
        _ => {}
    }
    let inner = value.as_ref().and_then(Serializer::without_ttl).cloned();
    let has_ttl = inner.is_some();
    let value = inner.or(value);
    let fits = |known: Option<TypeInfo>, found: &Option<TypeInfo>| match (known, found) {
        (None, None) => true,
        (Some(known), Some(found)) => is_of(&known, found),
        _ => false,
    };
    let of_namespace = namespace.as_ref().filter(|of| !of.is_void_namespace());
    let is_same = kind == info.kind
        && has_ttl == info.ttl.is_some()
        && fits(of_namespace.map(infos::key), &info.namespace)
        && fits(user_key.as_ref().map(infos::key), &info.user_key)
        && fits(value.as_ref().map(infos::value), &info.value);
    let is_opaque = value.as_ref().is_some_and(|value| value.opaque().is_some());
    let meta = StateMeta { name: name(info), ..meta };
    is_same.then_some(FlinkType { meta, namespace, user_key, value, is_opaque })
}

/// The name that Flink finds the state by: timers have names of their own.
fn name(info: &StateInfo) -> String {
    let prefix = match info.kind {
        StateKind::TimerEvent => EVENT_TIMERS,
        StateKind::TimerProcessing => PROCESSING_TIMERS,
        _ => return info.name.clone(),
    };
    match info.name.starts_with(prefix) {
        true => info.name.clone(),
        false => format!("{prefix}{}", info.name),
    }
}

fn new_meta(
    info: &StateInfo,
    key: Option<&Serializer>,
    namespace: &Serializer,
    (user_key, value): (Option<&Serializer>, Option<&Serializer>),
) -> Result<StateMeta> {
    let lacking = |what: &str| {
        Error::new(ErrorKind::Corrupt, format!("a state of kind {} without {what}", info.kind))
    };
    let value = || value.ok_or_else(|| lacking("values"));
    let user_key = || user_key.ok_or_else(|| lacking("user keys"));
    let timed = |value: &Serializer| match info.ttl {
        Some(_) => value.with_ttl(),
        None => Ok(value.clone()),
    };
    let name = name(info);
    let keyed = |of, value| Ok(StateMeta::keyed(name.clone(), of, namespace.clone(), value));
    match info.kind {
        StateKind::Value => keyed(KeyedStateType::Value, timed(value()?)?),
        StateKind::Reducing => keyed(KeyedStateType::Reducing, timed(value()?)?),
        StateKind::Aggregating => keyed(KeyedStateType::Aggregating, timed(value()?)?),
        StateKind::List => keyed(KeyedStateType::List, Serializer::list_of(&timed(value()?)?)?),
        StateKind::Map => {
            let map = Serializer::map_of(user_key()?, &timed(value()?)?)?;
            keyed(KeyedStateType::Map, map)
        }
        StateKind::TimerEvent | StateKind::TimerProcessing => {
            let key = key.ok_or_else(|| lacking("keys"))?;
            Ok(StateMeta::timers(name, Serializer::timer_of(key, namespace)?))
        }
        StateKind::OperatorList => Ok(StateMeta::operator(name, false, value()?.clone())),
        StateKind::OperatorUnion => Ok(StateMeta::operator(name, true, value()?.clone())),
        StateKind::OperatorBroadcast => {
            Ok(StateMeta::broadcast(name, user_key()?.clone(), value()?.clone()))
        }
        kind => Err(Error::new(ErrorKind::Unsupported, format!("states of kind {kind}"))),
    }
}
