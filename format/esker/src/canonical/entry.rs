//! Canonical lines to entries: the way back, by what a manifest says of the state.

use super::TIME_LEN_BYTES;
use super::parse::Line;
use crate::composite::end_part;
use crate::manifest::{StateInfo, StateKind, TypeInfo};
use crate::schema::Value;
use crate::{FormatError, FormatErrorKind, Key, KeyGroup, Result, Schema, encode_value, list};
use std::borrow::Cow;

pub(super) const WHAT: &str = "line";

/// What a canonical line says, its members as values of the state's types rather than as JSON: an entry for whoever
/// knows its types as schemas alone. A member that the state has no type for is none.
///
/// Values are those of the schema, as [`decode_value`](crate::decode_value) gives them: of the kind and width that it
/// says, sets and maps in order of their bytes. [`Value::fit`] makes such of looser ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamicEntry {
    /// The operator's uid.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// The key, of keyed state.
    pub key: Option<Value>,
    /// The namespace, of states that have one.
    pub namespace: Option<Value>,
    /// The user key, of maps and broadcast state.
    pub user_key: Option<Value>,
    /// The value; of a list the [`Seq`](Value::Seq) of its elements, of a timer its time in milliseconds
    /// ([`Signed`](Value::Signed)).
    pub value: Option<Value>,
    /// When it was last updated, of states with TTL: milliseconds ([`Signed`](Value::Signed)), of a list a
    /// [`Seq`](Value::Seq) with one for each element.
    pub ttl: Option<Value>,
}

/// A member of an entry.
#[derive(Debug, Clone, Copy)]
enum Given<'a> {
    Json(&'a str),
    Value(&'a Value),
}

/// The members of an entry.
#[derive(Debug, Clone, Copy)]
struct Members<'a> {
    key: Option<Given<'a>>,
    namespace: Option<Given<'a>>,
    user_key: Option<Given<'a>>,
    value: Option<Given<'a>>,
    ttl: Option<Given<'a>>,
}

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
    pub fn entry<'l>(
        &self,
        line: &Line<'l>,
        position: u64,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        let kind = self.state.kind;
        if line.kind != kind.name() {
            return Err(invalid(format!("kind: expected {kind}, found {}", line.kind)));
        }
        let given = |json: Option<&'l str>| json.map(Given::Json);
        let members = Members {
            key: given(line.key),
            namespace: given(line.namespace),
            user_key: given(line.user_key),
            value: given(line.value),
            ttl: given(line.ttl),
        };
        self.encode(&members, position, (key, value))
    }

    /// The same of an entry whose members are values.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry), without offsets.
    pub fn dynamic<'l>(
        &self,
        entry: &'l DynamicEntry,
        position: u64,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        let DynamicEntry { key: of_key, namespace, user_key, value: of_value, ttl, .. } = entry;
        let given = |value: &'l Option<Value>| value.as_ref().map(Given::Value);
        let members = Members {
            key: given(of_key),
            namespace: given(namespace),
            user_key: given(user_key),
            value: given(of_value),
            ttl: given(ttl),
        };
        self.encode(&members, position, (key, value))
    }

    fn encode(
        &self,
        line: &Members<'_>,
        position: u64,
        (key, value): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<()> {
        let kind = self.state.kind;
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
        given: Option<Given<'_>>,
        info: &Option<TypeInfo>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match info {
            Some(info) => member(name, given, info, out),
            None => absent(name, given),
        }
    }

    fn list(&self, line: &Members<'_>, info: &TypeInfo, out: &mut Vec<u8>) -> Result<()> {
        let elements = Schema::Seq(Box::new(info.schema.clone()));
        let of_list = parsed("value", line.value, &elements)?;
        let Value::Seq(elements) = &*of_list else {
            return Err(invalid("value: expected a sequence, found no sequence"));
        };
        if elements.is_empty() {
            return Err(invalid("value: a list without elements is no entry: leave the line out"));
        }
        let Some(_) = self.state.ttl else {
            absent("ttl", line.ttl)?;
            return elements.iter().try_for_each(|element| {
                list::put_element(out, |out| encoded("value", info, line.value, element, out))
            });
        };
        let times = Schema::Seq(Box::new(Schema::I64));
        let times = parsed("ttl", line.ttl, &times)?;
        let Value::Seq(times) = &*times else {
            return Err(invalid("ttl: expected a sequence, found no sequence"));
        };
        if times.len() != elements.len() {
            let (times, elements) = (times.len(), elements.len());
            let message =
                format!("ttl: expected a time for each of {elements} elements, found {times}");
            return Err(invalid(message));
        }
        elements.iter().zip(times).try_for_each(|(element, time)| {
            list::put_element(out, |out| {
                time_of("ttl", time)?.encode_into(out);
                encoded("value", info, line.value, element, out)
            })
        })
    }
}

fn invalid(message: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, message)
}

/// Refuses a member that the state has no place for.
fn absent(name: &str, given: Option<Given<'_>>) -> Result<()> {
    match given {
        None | Some(Given::Json("null") | Given::Value(Value::Unit)) => Ok(()),
        Some(_) => Err(invalid(format!("{name}: the state has none: leave it out"))),
    }
}

fn parsed<'a>(name: &str, given: Option<Given<'a>>, schema: &Schema) -> Result<Cow<'a, Value>> {
    let json = match given {
        None => return Err(invalid(format!("{name}: is missing"))),
        Some(Given::Value(value)) => return Ok(Cow::Borrowed(value)),
        Some(Given::Json(json)) => json,
    };
    Value::parse_json(schema, json).map(Cow::Owned).map_err(|error| FormatError {
        what: WHAT,
        message: match error.message.starts_with(['.', '[', ':']) {
            true => format!("{name}{}", error.message),
            false => format!("{name}: {}", error.message),
        },
        ..error
    })
}

fn member(name: &str, given: Option<Given<'_>>, info: &TypeInfo, out: &mut Vec<u8>) -> Result<()> {
    let value = parsed(name, given, &info.schema)?;
    encoded(name, info, given, &value, out)
}

/// Appends a value, which is a member or an element of it. One that was JSON is of its type.
fn encoded(
    name: &str,
    info: &TypeInfo,
    given: Option<Given<'_>>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let bytes = encode_value(&info.codec, &info.schema, value).map_err(|error| match given {
        Some(Given::Value(_)) if error.kind == FormatErrorKind::Invalid => {
            FormatError { what: WHAT, message: format!("{name}: {}", error.message), ..error }
        }
        _ => error,
    })?;
    out.extend(bytes);
    Ok(())
}

fn time(name: &str, given: Option<Given<'_>>) -> Result<i64> {
    time_of(name, &*parsed(name, given, &Schema::I64)?)
}

fn time_of(name: &str, value: &Value) -> Result<i64> {
    let Value::Signed(time) = value else {
        return Err(invalid(format!("{name}: expected milliseconds as a signed integer")));
    };
    i64::try_from(*time)
        .map_err(|_| invalid(format!("{name}: a time takes {TIME_LEN_BYTES} bytes")))
}
