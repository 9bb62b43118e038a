//! What two manifests say differently of the same operators and states: a pure function of them.

use super::{DiffFilter, Side};
use esker_format::manifest::{Manifest, Operator, StateInfo, StateKind, Ttl, TypeInfo};
use std::collections::BTreeMap;

/// Something of an operator or state that is not as on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The operator's uid.
    pub operator: String,
    /// The state's name; none for what is the operator's.
    pub state: Option<String>,
    /// What it is.
    pub what: What,
}

/// What is not as on the other side; A's comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The operator or state stands in this snapshot alone.
    OnlyIn(Side),
    /// Its kind.
    Kind([StateKind; 2]),
    /// A type: codec or shape.
    Type(TypeRole, Box<[Option<TypeInfo>; 2]>),
    /// How long entries live, and what renews that.
    Ttl([Option<Ttl>; 2]),
}

/// What a type is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeRole {
    /// The operator's keys.
    Key,
    /// Namespaces.
    Namespace,
    /// Keys of maps and of broadcast state.
    UserKey,
    /// Values, list elements, accumulators.
    Value,
}

/// By name, what stands on each side.
pub(super) type Matched<'a, T> = BTreeMap<&'a str, [Option<&'a T>; 2]>;

/// Items of both sides by name.
fn matched<'a, T>(
    sides: [&'a [T]; 2],
    name: impl Fn(&'a T) -> &'a str,
    wanted: Option<&str>,
) -> Matched<'a, T> {
    let mut found = Matched::new();
    for (side, items) in sides.into_iter().enumerate() {
        for item in items.iter().filter(|item| wanted.is_none_or(|wanted| wanted == name(item))) {
            found.entry(name(item)).or_insert([None; 2])[side] = Some(item);
        }
    }
    found
}

/// The operators of both by uid.
pub(super) fn operators<'a>(
    manifests: [&'a Manifest; 2],
    filter: &DiffFilter,
) -> Matched<'a, Operator> {
    let operators = manifests.map(|manifest| &manifest.operators[..]);
    matched(operators, |operator| &operator.uid, filter.operator.as_deref())
}

/// The states of an operator on both sides, by name.
pub(super) fn states<'a>(
    operators: [Option<&'a Operator>; 2],
    filter: &DiffFilter,
) -> Matched<'a, StateInfo> {
    let states = operators.map(|operator| operator.map_or(&[][..], |found| &found.states));
    matched(states, |state| &state.name, filter.state.as_deref())
}

/// All differences of what `filter` asks for, in order of uid and name, the operator's own first.
pub(super) fn differences(manifests: [&Manifest; 2], filter: &DiffFilter) -> Vec<Difference> {
    let mut found = Vec::new();
    for (uid, both) in operators(manifests, filter) {
        let states = states(both, filter);
        // Of one state alone is asked, and the operator has none of that name.
        if filter.state.is_some() && states.is_empty() {
            continue;
        }
        let mut add = |state: Option<&str>, what| {
            let (operator, state) = (uid.to_owned(), state.map(str::to_owned));
            found.push(Difference { operator, state, what });
        };
        match both {
            [Some(a), Some(b)] => {
                let keys = [&a.key, &b.key];
                types(TypeRole::Key, keys).into_iter().for_each(|what| add(None, what));
            }
            [a, _] => {
                add(None, What::OnlyIn(if a.is_some() { Side::A } else { Side::B }));
                continue;
            }
        }
        for (name, both) in states {
            of_state(both).into_iter().for_each(|what| add(Some(name), what));
        }
    }
    found
}

fn of_state(both: [Option<&StateInfo>; 2]) -> Vec<What> {
    let [Some(a), Some(b)] = both else {
        return vec![What::OnlyIn(if both[0].is_some() { Side::A } else { Side::B })];
    };
    let kind = (a.kind != b.kind).then_some(What::Kind([a.kind, b.kind]));
    let namespaces = types(TypeRole::Namespace, [&a.namespace, &b.namespace]);
    let user_keys = types(TypeRole::UserKey, [&a.user_key, &b.user_key]);
    let values = types(TypeRole::Value, [&a.value, &b.value]);
    let ttl = (a.ttl != b.ttl).then_some(What::Ttl([a.ttl, b.ttl]));
    [kind, namespaces, user_keys, values, ttl].into_iter().flatten().collect()
}

fn types(role: TypeRole, [a, b]: [&Option<TypeInfo>; 2]) -> Option<What> {
    (a != b).then(|| What::Type(role, Box::new([a.clone(), b.clone()])))
}
