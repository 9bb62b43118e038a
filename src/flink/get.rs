//! What a state holds under one key.

use super::damage::FlinkDamage;
use super::entry::{Element, Of, Raw, Visitor};
use super::filter::FlinkFilter;
use super::lines;
use super::refusal::Refusals;
use super::snapshot::{FlinkOperator, FlinkSnapshot};
use super::state::FlinkState;
use super::walk::{Plan, Walk};
use crate::format::schema::Shape;
use crate::format::{Schema, Value};
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::key_group::key_group;

/// What [`FlinkSnapshot::get`] looks for.
#[derive(Debug, Clone, Copy)]
pub struct FlinkQuery<'a> {
    /// The operator.
    pub operator: &'a FlinkOperator,
    /// The name of the state.
    pub state: &'a str,
    /// The key, in JSON as lines have it.
    pub key: &'a str,
    /// This namespace alone, in JSON.
    pub namespace: Option<&'a str>,
}

/// What [`FlinkSnapshot::get`] found.
#[derive(Debug, Default)]
pub struct FlinkFound {
    /// Canonical lines.
    pub lines: Vec<String>,
    /// The key group that was read; none if all were, as Java's hash of the key is its class's own.
    pub key_group: Option<u16>,
    /// What could not be read.
    pub damage: Vec<FlinkDamage>,
}

impl FlinkSnapshot {
    /// What a state holds under one key. Of keyed state the key group alone is read in which Flink's hash puts the key; of a
    /// database, the files of the part that has it are fetched.
    ///
    /// # Errors
    /// `Invalid` if the operator has no such state; `Incompatible` if that has no keys, or the JSON is none of its types; the
    /// stores'.
    pub fn get(&self, query: &FlinkQuery<'_>) -> Result<FlinkFound> {
        let operator = query.operator;
        let mut filter = FlinkFilter {
            operator: Some(operator.label.clone()),
            state: Some(query.state.to_owned()),
            key_groups: None,
        };
        self.check_filter(&filter)?;
        let states = self.states(&filter)?;
        let mut found = FlinkFound { damage: states.damage, ..FlinkFound::default() };
        let of_operator = states.operators.into_iter().nth(operator.number).unwrap_or_default();
        let Some(state) = of_operator.into_iter().find(|state| state.name == query.state) else {
            return Ok(found);
        };
        let Some(serializer) = state.key.as_deref() else {
            let message = format!("{} is {}, which has no keys: dump it", state.name, state.kind);
            return Err(Error::new(ErrorKind::Incompatible, message));
        };
        let (value, key) = encoded("the key", serializer, query.key)?;
        let namespace = match (query.namespace, state.namespace.as_deref()) {
            (Some(json), Some(serializer)) => Some(encoded("the namespace", serializer, json)?.1),
            (Some(_), None) => {
                let message = format!("{} has no namespaces", state.name);
                return Err(Error::new(ErrorKind::Incompatible, message));
            }
            (None, _) => None,
        };
        found.key_group =
            serializer.hash(&value).ok().map(|hash| key_group(hash, operator.max_parallelism));
        filter.key_groups = found.key_group.map(|group| (group, group));
        self.collect(&filter, &key, namespace.as_deref(), &mut found)?;
        Ok(found)
    }

    fn collect(
        &self,
        filter: &FlinkFilter,
        key: &[u8],
        namespace: Option<&[u8]>,
        found: &mut FlinkFound,
    ) -> Result<()> {
        let plan = Plan::new(self, filter);
        for unit in &plan.units {
            let mut wanted =
                Wanted { key, namespace, lines: &mut found.lines, refused: Refusals::default() };
            let damage = &mut found.damage;
            let mut harm = |one| damage.push(one);
            Walk { filter, visitor: &mut wanted, harm: &mut harm }.unit(&plan, unit)?;
            let refused = wanted.refused;
            found.damage.extend(refused.into_damage(&plan, unit));
        }
        Ok(())
    }
}

/// The value that an argument gives as JSON, and its bytes.
fn encoded(what: &str, serializer: &Serializer, json: &str) -> Result<(Value, Vec<u8>)> {
    let wrong = |why: String| Error::new(ErrorKind::Incompatible, format!("{what} {json}: {why}"));
    if let Some(class) = serializer.opaque() {
        return Err(wrong(format!("only {class} reads and writes those")));
    }
    let value = parsed(&serializer.schema(), json)
        .map_err(|error| wrong(format!("{error}; text is written '\"…\"'")))?;
    let mut bytes = Vec::new();
    serializer.encode(&value, &mut bytes).map_err(|error| wrong(error.to_string()))?;
    Ok((value, bytes))
}

/// The value of JSON as lines have it: of rows they leave out the kind of change, which no key has but the first.
fn parsed(schema: &Schema, json: &str) -> std::result::Result<Value, esker_flink::FormatError> {
    if let Schema::TupleStruct { name, fields } = schema
        && let Some((Schema::Enum { name: kind, variants }, columns)) = fields.split_last()
        && kind.ends_with("RowKind")
        && variants.iter().all(|variant| variant.shape == Shape::Unit)
    {
        let columns = Schema::TupleStruct { name: name.clone(), fields: columns.to_vec() };
        let value = Value::parse_json(&columns, json)?;
        return Ok(with_kind(value));
    }
    Value::parse_json(schema, json)
}

fn with_kind(row: Value) -> Value {
    let kind = Value::Variant("INSERT".into(), None);
    match row {
        Value::Tuple(mut fields) => {
            fields.push(kind);
            Value::Tuple(fields)
        }
        // A tuple struct of one is its field.
        one => Value::Tuple(vec![one, kind]),
    }
}

/// Takes entries of one key as lines.
struct Wanted<'a> {
    key: &'a [u8],
    namespace: Option<&'a [u8]>,
    lines: &'a mut Vec<String>,
    refused: Refusals,
}

impl Visitor for Wanted<'_> {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()> {
        let written = raw.parts(of, key_group).and_then(|entry| {
            let is_wanted = entry.key == self.key
                && self.namespace.is_none_or(|namespace| entry.namespace == namespace);
            if is_wanted {
                let mut line = String::new();
                lines::write_entry(of, raw, offset, &mut line)?;
                line.pop();
                self.lines.push(line);
            }
            Ok(())
        });
        if let Err(error) = written {
            self.refused.add(of.state, key_group, error);
        }
        Ok(())
    }

    fn element(&mut self, _state: &FlinkState, _element: Element<'_>, _offset: u64) -> Result<()> {
        Ok(())
    }
}
