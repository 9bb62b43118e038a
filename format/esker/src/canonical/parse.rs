//! The members of a canonical line.

use super::entry::WHAT;
use crate::{FormatError, Result};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A canonical line: its head, and the JSON of its other members; none where one is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// The operator's uid.
    pub operator: Cow<'a, str>,
    /// The state's name.
    pub state: Cow<'a, str>,
    /// The name of the state's kind.
    pub kind: Cow<'a, str>,
    /// The key.
    pub key: Option<&'a str>,
    /// The namespace.
    pub namespace: Option<&'a str>,
    /// The user key.
    pub user_key: Option<&'a str>,
    /// The value.
    pub value: Option<&'a str>,
    /// The time of the last update, of a list those of its elements.
    pub ttl: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with operator, state, kind and what the kind has"
)]
struct Members<'a> {
    #[serde(borrow)]
    operator: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "given")]
    key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    namespace: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    user_key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    ttl: Option<&'a RawValue>,
}

/// A member that is there, be it null.
fn given<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl<'a> Line<'a> {
    /// The line of one JSON object; its members may come in any order.
    ///
    /// # Errors
    /// `Invalid`, with the byte, if it is no object of these members.
    pub fn parse(text: &'a str) -> Result<Self> {
        let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
            let (at, message) = (error.column().saturating_sub(1), error.to_string());
            // The place is said once, by the offset.
            let message = message.rsplit_once(" at line ").map_or(&*message, |(what, _)| what);
            FormatError::invalid(WHAT, message.to_owned()).at(at as u64)
        })?;
        let Members { operator, state, kind, .. } = members;
        let json = |member: Option<&'a RawValue>| member.map(RawValue::get);
        Ok(Self {
            operator,
            state,
            kind,
            key: json(members.key),
            namespace: json(members.namespace),
            user_key: json(members.user_key),
            value: json(members.value),
            ttl: json(members.ttl),
        })
    }
}
