//! What a snapshot of Flink's is made of.

mod text;

use crate::cmd::{say_harms, write_json_line};
use crate::flink::{harms, kind, say_opaque};
use crate::outcome::{Outcome, Status};
use crate::snapshot::Harm;
use esker::Error;
use esker::flink::format::Serializer;
use esker::flink::format::metadata::Slot;
use esker::flink::{
    FlinkFilter, FlinkInFlight, FlinkOperator, FlinkReferenced, FlinkSizes, FlinkSnapshot,
    FlinkState, FlinkStates,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::io::{self, Write};

/// As of a snapshot of esker's, but for what `snapshot` holds.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: &'static str,
    snapshot: Snapshot<'a>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    checkpoint: i64,
    metadata_version: u32,
    metadata_bytes: u64,
    operators: Vec<Operator<'a>>,
    files: Vec<File<'a>>,
    in_flight: Vec<Channel<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operator<'a> {
    uid: Option<&'a str>,
    id: String,
    name: Option<&'a str>,
    parallelism: u32,
    max_parallelism: u32,
    finished: bool,
    /// What wrote its keyed state.
    backend: Option<&'static str>,
    keyed_bytes: u64,
    operator_bytes: u64,
    coordinator_bytes: u64,
    in_flight_bytes: u64,
    key: Option<Type<'a>>,
    states: Vec<State<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    name: &'a str,
    kind: &'static str,
    namespace: Option<Type<'a>>,
    user_key: Option<Type<'a>>,
    value: Option<Type<'a>>,
    ttl: bool,
    /// Classes of which values are shown as bytes.
    opaque: Vec<&'a str>,
}

#[derive(Serialize)]
struct Type<'a> {
    serializer: &'a str,
    schema: Json,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    bytes: u64,
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    operator: &'a str,
    subtask: Option<u32>,
    slot: &'static str,
}

#[derive(Serialize)]
struct Channel<'a> {
    operator: &'a str,
    subtask: u32,
    direction: &'static str,
    channel: (i32, i32),
    bytes: u64,
    buffers: u64,
}

/// The outer error is one of writing, the inner one of the store.
pub(super) fn run(
    name: &str,
    snapshot: &FlinkSnapshot,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Result<Outcome, Error>> {
    let states = match snapshot.states(&FlinkFilter::default()) {
        Ok(states) => states,
        Err(error) => return Ok(Err(error)),
    };
    let harms = harms(&states.damage);
    let (files, channels) = (snapshot.files(), snapshot.in_flight());
    let content = content(snapshot, &states, &files, &channels);
    if json {
        let status = Harm::worst(&harms).unwrap_or(Status::Ok);
        let (kind, damage) = (kind(snapshot), &harms[..]);
        write_json_line(out, &Report { file: name, status, kind, snapshot: content, damage })?;
    } else {
        text::show(name, kind(snapshot), &content, out)?;
    }
    out.flush()?;
    say_opaque(snapshot, &states);
    Ok(Ok(say_harms(&harms)))
}

fn content<'a>(
    snapshot: &'a FlinkSnapshot,
    states: &'a FlinkStates,
    files: &'a [FlinkReferenced],
    channels: &[FlinkInFlight],
) -> Snapshot<'a> {
    let operators = snapshot.operators().iter().zip(&states.operators).zip(snapshot.sizes());
    let operators = operators.map(|((one, states), sizes)| operator(snapshot, one, states, sizes));
    Snapshot {
        checkpoint: snapshot.metadata().checkpoint_id,
        metadata_version: snapshot.metadata().version,
        metadata_bytes: snapshot.len_bytes(),
        operators: operators.collect(),
        files: files.iter().map(|one| file(snapshot, one)).collect(),
        in_flight: channels.iter().map(|channel| in_flight(snapshot, channel)).collect(),
    }
}

fn operator<'a>(
    snapshot: &'a FlinkSnapshot,
    operator: &'a FlinkOperator,
    states: &'a [FlinkState],
    sizes: FlinkSizes,
) -> Operator<'a> {
    let stored = snapshot.metadata().operators.get(operator.number);
    Operator {
        uid: operator.uid.as_deref(),
        id: operator.id.to_string(),
        name: stored.and_then(|stored| stored.name.as_deref()),
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        finished: stored.is_some_and(|stored| stored.finished),
        backend: snapshot.backend(operator.number).map(|backend| backend.name()),
        keyed_bytes: sizes.keyed,
        operator_bytes: sizes.operator,
        coordinator_bytes: sizes.coordinator,
        in_flight_bytes: sizes.in_flight,
        key: states.iter().find_map(|state| state.key.as_deref()).map(Type::of),
        states: states.iter().map(State::of).collect(),
    }
}

impl<'a> State<'a> {
    fn of(state: &'a FlinkState) -> Self {
        let namespace =
            state.namespace.as_deref().filter(|namespace| !namespace.is_void_namespace());
        Self {
            name: &state.name,
            kind: state.kind.name(),
            namespace: namespace.map(Type::of),
            user_key: state.user_key.as_deref().map(Type::of),
            value: state.value.as_deref().map(Type::of),
            ttl: state.has_ttl,
            opaque: state.opaque_classes(),
        }
    }
}

impl<'a> Type<'a> {
    fn of(serializer: &'a Serializer) -> Self {
        let schema = serde_json::to_value(serializer.schema()).unwrap_or_default();
        Self { serializer: serializer.class(), schema }
    }

    /// The schema as text: the name of a plain type, JSON of others; of what cannot be read the class.
    fn text(of: Option<&Self>, opaque: &[&str]) -> String {
        match of {
            None => "-".to_owned(),
            Some(Self { serializer, .. }) if !opaque.is_empty() => short(serializer).to_owned(),
            Some(Self { schema: Json::String(name), .. }) => name.clone(),
            Some(Self { schema, .. }) => schema.to_string(),
        }
    }
}

/// A serializer's class without its package and without what says that it is a snapshot of one.
fn short(class: &str) -> &str {
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    name.strip_suffix("Snapshot").filter(|name| !name.is_empty()).unwrap_or(name)
}

fn file<'a>(snapshot: &'a FlinkSnapshot, file: &'a FlinkReferenced) -> File<'a> {
    let users = file.users.iter().map(|user| User {
        operator: label(snapshot, user.operator),
        subtask: user.subtask,
        slot: slot(user.slot),
    });
    File { path: &file.path, bytes: file.len_bytes, users: users.collect() }
}

fn in_flight<'a>(snapshot: &'a FlinkSnapshot, found: &FlinkInFlight) -> Channel<'a> {
    Channel {
        operator: label(snapshot, found.operator),
        subtask: found.subtask,
        direction: if found.is_input { "input" } else { "output" },
        channel: found.channel,
        bytes: found.len_bytes,
        buffers: found.buffers,
    }
}

fn label(snapshot: &FlinkSnapshot, number: usize) -> &str {
    snapshot.operators().get(number).map_or("?", |operator| &operator.label)
}

fn slot(slot: Slot) -> &'static str {
    match slot {
        Slot::Coordinator => "coordinator",
        Slot::Operator => "operator",
        Slot::OperatorRaw => "operatorRaw",
        Slot::Keyed => "keyed",
        Slot::KeyedMeta => "keyedHeader",
        Slot::KeyedShared => "keyedShared",
        Slot::KeyedPrivate => "keyedPrivate",
        Slot::KeyedChanges => "keyedChanges",
        Slot::KeyedRaw => "keyedRaw",
        Slot::Input => "input",
        Slot::Output => "output",
    }
}
