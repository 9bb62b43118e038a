//! Canonical lines to entries: the way back, by what a manifest says of the state.

use super::TIME_LEN_BYTES;
use crate::composite::end_part;
use crate::manifest::{StateInfo, StateKind, TypeInfo};
use crate::schema::Value;
use crate::{FormatError, Key, KeyGroup, Result, Schema, encode_value, list};
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

const WHAT: &str = "line";

/// Makes entries of the lines of one state.
#[derive(Debug, Clone, Copy)]
pub struct LineReader<'a> {
    key: Option<&'a TypeInfo>,
    state: &'a StateInfo,
}

impl<'a> LineReader<'a> {
    /// A reader of lines of `state`, of an operator whose keys are of the type `key`.
    pub fn new(key: Option<&'a TypeInfo>, state: &'a StateInfo) -> Self {
        Self { key, state }
    }

    /// Appends the composite key of the line's entry to `key` and its value to `value`: what a put of
    /// it holds. `position` is that of an element in its subtask's list; others do not need it.
    ///
    /// # Errors
    /// `Invalid` if the line's kind or types are not the state's, naming the member, the path in it, what
    /// was expected and what was found; its offset is that in the member's JSON. `Incompatible` if a codec
    /// is not one of esker's.
    pub fn entry(
        &self,
        line: &Line<'_>,
        position: u64,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        let kind = self.state.kind;
        if line.kind != kind.name() {
            return Err(invalid(format!("kind: expected {kind}, found {}", line.kind)));
        }
        let mut encoded = Vec::new();
        match kind {
            StateKind::OperatorList | StateKind::OperatorUnion => {
                absent("key", line.key)?;
                encoded.extend_from_slice(&position.to_be_bytes());
            }
            StateKind::OperatorBroadcast => {
                absent("key", line.key)?;
                self.member("userKey", line.user_key, &self.state.user_key, &mut encoded)?;
            }
            _ => {
                let info = self.key.ok_or_else(|| invalid("the operator has no key type"))?;
                member("key", line.key, info, &mut encoded)?;
            }
        }
        let group = if kind.is_keyed() { KeyGroup::of(&encoded) } else { KeyGroup(0) };
        key.extend_from_slice(&self.state.id.to_be_bytes());
        key.extend_from_slice(&group.0.to_be_bytes());
        let part = |key: &mut Vec<u8>, encoded: &[u8]| {
            let from = key.len();
            key.extend_from_slice(encoded);
            end_part(key, from);
        };
        part(key, &encoded);
        encoded.clear();
        self.member("namespace", line.namespace, &self.state.namespace, &mut encoded)?;
        part(key, &encoded);
        match kind {
            StateKind::TimerEvent | StateKind::TimerProcessing => {
                absent("userKey", line.user_key)?;
                absent("ttl", line.ttl)?;
                time("value", line.value)?.encode_into(key);
                return Ok(());
            }
            StateKind::OperatorBroadcast => {}
            _ => self.member("userKey", line.user_key, &self.state.user_key, key)?,
        }
        let info = self.state.value.as_ref();
        let info = info.ok_or_else(|| invalid("the state has no value type"))?;
        match kind {
            StateKind::List => self.list(line, info, value),
            _ => {
                match self.state.ttl {
                    Some(_) => time("ttl", line.ttl)?.encode_into(value),
                    None => absent("ttl", line.ttl)?,
                }
                member("value", line.value, info, value)
            }
        }
    }

    /// A member that is there if the state has a type for it.
    fn member(
        &self,
        name: &str,
        json: Option<&str>,
        info: &Option<TypeInfo>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match info {
            Some(info) => member(name, json, info, out),
            None => absent(name, json),
        }
    }

    fn list(&self, line: &Line<'_>, info: &TypeInfo, out: &mut Vec<u8>) -> Result<()> {
        let elements = Schema::Seq(Box::new(info.schema.clone()));
        let Value::Seq(elements) = parsed("value", line.value, &elements)? else { return Ok(()) };
        if elements.is_empty() {
            return Err(invalid("value: a list without elements is no entry: leave the line out"));
        }
        let times = match self.state.ttl {
            None => {
                absent("ttl", line.ttl)?;
                Vec::new()
            }
            Some(_) => {
                let times = Schema::Seq(Box::new(Schema::I64));
                let Value::Seq(times) = parsed("ttl", line.ttl, &times)? else { return Ok(()) };
                if times.len() != elements.len() {
                    let (times, elements) = (times.len(), elements.len());
                    let message = format!(
                        "ttl: expected a time for each of {elements} elements, found {times}"
                    );
                    return Err(invalid(message));
                }
                times
            }
        };
        let mut times = times.iter();
        for element in &elements {
            list::put_element(out, |out| {
                if let Some(time) = times.next() {
                    out.extend(encode_value(&crate::CodecId::ORDERED, &Schema::I64, time)?);
                }
                out.extend(encode_value(&info.codec, &info.schema, element)?);
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, message)
}

/// Refuses a member that the state has no place for.
fn absent(name: &str, json: Option<&str>) -> Result<()> {
    match json {
        None | Some("null") => Ok(()),
        Some(_) => Err(invalid(format!("{name}: the state has none: leave it out"))),
    }
}

fn parsed(name: &str, json: Option<&str>, schema: &Schema) -> Result<Value> {
    let json = json.ok_or_else(|| invalid(format!("{name}: is missing")))?;
    Value::parse_json(schema, json).map_err(|error| FormatError {
        what: WHAT,
        message: match error.message.starts_with(['.', '[', ':']) {
            true => format!("{name}{}", error.message),
            false => format!("{name}: {}", error.message),
        },
        ..error
    })
}

fn member(name: &str, json: Option<&str>, info: &TypeInfo, out: &mut Vec<u8>) -> Result<()> {
    let value = parsed(name, json, &info.schema)?;
    out.extend(encode_value(&info.codec, &info.schema, &value)?);
    Ok(())
}

fn time(name: &str, json: Option<&str>) -> Result<i64> {
    let Value::Signed(time) = parsed(name, json, &Schema::I64)? else {
        return Err(invalid(format!("{name}: no time")));
    };
    i64::try_from(time).map_err(|_| invalid(format!("{name}: a time takes {TIME_LEN_BYTES} bytes")))
}
