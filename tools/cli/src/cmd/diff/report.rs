//! How a difference is told: as tables, or as one JSON object.

use super::Harms;
use crate::cmd::table;
use crate::outcome::Status;
use crate::snapshot::{Harm, Type};
use esker::format::manifest::{Ttl, TtlUpdate, TypeInfo};
use esker::processor::{Diff, Difference, Side, StateDiff, TypeRole, What};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::io::{self, Write};

/// The object that `--json` writes.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    a: &'a str,
    b: &'a str,
    status: Json,
    metadata: Option<Vec<Metadata<'a>>>,
    states: Option<Vec<State<'a>>>,
    damage: Vec<Damage<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    operator: &'a str,
    state: Option<&'a str>,
    what: &'static str,
    a: Json,
    b: Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    operator: &'a str,
    state: &'a str,
    kind: &'static str,
    in_a: bool,
    in_b: bool,
    only_in_a: u64,
    only_in_b: u64,
    changed: u64,
    equal: u64,
    shared_key_groups: u32,
}

#[derive(Serialize)]
struct Damage<'a> {
    snapshot: &'static str,
    #[serde(flatten)]
    harm: &'a Harm,
}

impl<'a> Report<'a> {
    pub(super) fn of([a, b]: [&'a str; 2], found: &'a Diff, harms: &'a Harms) -> Self {
        let status = match found.is_same() {
            _ if !harms.is_empty() => status_of(harms),
            true => "same".into(),
            false => "different".into(),
        };
        let metadata = Some(found.metadata.iter().map(Metadata::of).collect());
        let states = Some(found.states.iter().map(State::of).collect());
        Self { a, b, status, metadata, states, damage: damage(harms) }
    }

    /// Where nothing could be compared.
    pub(super) fn refused([a, b]: [&'a str; 2], harms: &'a Harms) -> Self {
        let (metadata, states) = (None, None);
        Self { a, b, status: status_of(harms), metadata, states, damage: damage(harms) }
    }
}

fn status_of(harms: &Harms) -> Json {
    json!(Harm::worst(harms.iter().map(|(_, harm)| harm)).unwrap_or(Status::Damaged))
}

fn damage(harms: &Harms) -> Vec<Damage<'_>> {
    let name = |side: &Side| if *side == Side::A { "a" } else { "b" };
    harms.iter().map(|(side, harm)| Damage { snapshot: name(side), harm }).collect()
}

impl<'a> Metadata<'a> {
    fn of(difference: &'a Difference) -> Self {
        let Difference { operator, state, what } = difference;
        let state = state.as_deref();
        let (what, [a, b]) = match what {
            What::OnlyIn(side) => {
                let what = if state.is_some() { "state" } else { "operator" };
                let name = json!(state.unwrap_or(operator));
                (what, on(*side, name))
            }
            What::Kind(kinds) => ("kind", kinds.map(|kind| json!(kind.name()))),
            What::Type(role, types) => (role_name(*role), [type_of(&types[0]), type_of(&types[1])]),
            What::Ttl(ttls) => ("ttl", ttls.map(|ttl| ttl.map_or(Json::Null, ttl_of))),
            _ => ("other", [Json::Null, Json::Null]),
        };
        Self { operator, state, what, a, b }
    }

    /// As a person reads it.
    fn line(&self, [name_a, name_b]: [&str; 2]) -> String {
        let Self { operator, state, what, a, b } = self;
        let of = state.map_or(operator.to_string(), |state| format!("{operator}/{state}"));
        match (*what, a, b) {
            ("operator" | "state", Json::Null, _) => format!("{what} {of}: in {name_b} alone"),
            ("operator" | "state", ..) => format!("{what} {of}: in {name_a} alone"),
            _ => format!("{what} of {of}: {} in {name_a}, {} in {name_b}", text(a), text(b)),
        }
    }
}

/// JSON, but for a plain word.
fn text(value: &Json) -> String {
    match value {
        Json::Null => "none".to_owned(),
        Json::String(word) => word.clone(),
        other => other.to_string(),
    }
}

fn on(side: Side, name: Json) -> [Json; 2] {
    match side {
        Side::A => [name, Json::Null],
        Side::B => [Json::Null, name],
    }
}

fn role_name(role: TypeRole) -> &'static str {
    match role {
        TypeRole::Key => "key",
        TypeRole::Namespace => "namespace",
        TypeRole::UserKey => "userKey",
        TypeRole::Value => "value",
    }
}

fn type_of(info: &Option<TypeInfo>) -> Json {
    info.as_ref().map_or(Json::Null, |info| json!(Type::of(info)))
}

fn ttl_of(ttl: Ttl) -> Json {
    let update = match ttl.update {
        TtlUpdate::Write => "write",
        TtlUpdate::ReadAndWrite => "readAndWrite",
    };
    json!({"durationMs": ttl.duration_ms, "update": update})
}

impl<'a> State<'a> {
    fn of(found: &'a StateDiff) -> Self {
        Self {
            operator: &found.operator,
            state: &found.state,
            kind: found.kind.name(),
            in_a: found.stands_in[0],
            in_b: found.stands_in[1],
            only_in_a: found.only_in_a,
            only_in_b: found.only_in_b,
            changed: found.changed,
            equal: found.equal,
            shared_key_groups: found.shared_key_groups,
        }
    }
}

/// What manifests say differently, a line each.
pub(super) fn metadata(found: &Diff, names: [&str; 2]) -> Vec<String> {
    found.metadata.iter().map(|difference| Metadata::of(difference).line(names)).collect()
}

/// What differs: metadata, and the states of which entries do.
pub(super) fn summary(found: &Diff, names: [&str; 2], out: &mut impl Write) -> io::Result<()> {
    for line in metadata(found, names) {
        writeln!(out, "{line}")?;
    }
    let differ: Vec<&StateDiff> = found.states.iter().filter(|state| !state.is_same()).collect();
    if !differ.is_empty() {
        let head = ["operator", "state", "kind", "only in A", "only in B", "changed", "equal"];
        let mut table = table(&head, 3);
        for state in &differ {
            let StateDiff { operator, state: name, kind, .. } = state;
            let counts = [state.only_in_a, state.only_in_b, state.changed, state.equal];
            let names = [operator.clone(), name.clone(), kind.to_string()];
            table.add_row(names.into_iter().chain(counts.map(|count| count.to_string())));
        }
        writeln!(out, "{table}")?;
    }
    let (all, same) = (found.states.len(), found.states.len() - differ.len());
    match found.is_same() {
        true => writeln!(out, "same: {all} states"),
        false => writeln!(out, "different: {} of {all} states, {same} hold the same", differ.len()),
    }
}
