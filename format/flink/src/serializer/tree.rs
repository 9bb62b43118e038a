//! Values as trees of esker's.

use super::kind::Constant;
use super::schema::optional;
use super::sink::{Group, Keys, Sink};
use super::walk::ROW_KINDS;
use crate::{Input, Result, Schema, Value};
use esker_format::schema::Name;
use esker_format::{CodecId, encode_value};
use std::sync::Arc;

/// How much memory a value may take, as it is counted here: so much always, and more for one of many bytes. A vector that grows, and
/// the entries of a map that are put in order, take more than twice that for a while: 64 MiB at most where this is what counts.
const MEMORY_BYTES_ALWAYS: usize = 26 << 20;
const MEMORY_BYTES_PER_BYTE: usize = 128;
/// What of the second is behind the first.
const MEMORY_BYTES_OFFSET: usize = 102 << 20;
/// What a value takes where it stands, with what a growing vector keeps in reserve, and a piece of memory of its own.
const VALUE_BYTES: usize = size_of::<Value>() + 16;
const PIECE_BYTES: usize = 16;

/// Builds one value from what it is given.
pub(crate) struct TreeSink {
    /// Finished values that still belong nowhere.
    values: Vec<Value>,
    spent_bytes: usize,
    memory_bytes_max: usize,
}

impl TreeSink {
    pub(crate) fn new(input: &Input<'_>) -> Self {
        let of_bytes = input.remaining().saturating_mul(MEMORY_BYTES_PER_BYTE);
        let memory_bytes_max =
            of_bytes.saturating_sub(MEMORY_BYTES_OFFSET).max(MEMORY_BYTES_ALWAYS);
        Self { values: Vec::new(), spent_bytes: 0, memory_bytes_max }
    }

    /// What was built.
    pub(crate) fn finish(mut self) -> Value {
        self.values.pop().unwrap_or(Value::Unit)
    }

    fn push(&mut self, value: Value) {
        self.spent_bytes += VALUE_BYTES;
        self.values.push(value);
    }

    fn push_string(&mut self, text: String) {
        self.spent_bytes += PIECE_BYTES + text.len();
        self.push(Value::String(text));
    }

    fn last(&mut self, count: usize) -> Vec<Value> {
        self.spent_bytes += PIECE_BYTES;
        match self.values.len().saturating_sub(count) {
            // Without a copy where they are all.
            0 => std::mem::take(&mut self.values),
            first => self.values.split_off(first),
        }
    }

    /// Puts keys in the order of their bytes in esker, where maps and sets have that one.
    fn sort<T>(&mut self, entries: &mut [T], keys: Keys<'_>, key: impl Fn(&T) -> &Value) {
        if entries.len() < 2 {
            return;
        }
        let schema = match keys {
            Keys::Of(of) => of.shared_schema(),
            Keys::Optional(of) => Arc::new(optional(of.schema())),
            Keys::Sql(of) => Arc::new(optional(of.schema())),
            Keys::Text => Arc::new(Schema::String),
        };
        entries.sort_by_cached_key(|entry| {
            // Null where the schema has none comes first.
            let bytes = encode_value(&CodecId::BINCODE2, &schema, key(entry)).unwrap_or_default();
            self.spent_bytes += size_of::<Vec<u8>>() + PIECE_BYTES + bytes.len();
            bytes
        });
    }

    /// Puts the last value into what `f` makes of it.
    fn wrap(&mut self, f: impl FnOnce(Box<Value>) -> Value) {
        if let Some(value) = self.values.pop() {
            self.spent_bytes += PIECE_BYTES;
            self.push(f(Box::new(value)));
        }
    }
}

impl Sink for TreeSink {
    fn fits(&self) -> bool {
        self.spent_bytes <= self.memory_bytes_max
    }

    fn null(&mut self) {
        self.push(Value::Option(None));
    }

    /// An option of an option that both can be missing for the same reason is one.
    fn some(&mut self) {
        if !matches!(self.values.last(), Some(Value::Option(_))) {
            self.wrap(|value| Value::Option(Some(value)));
        }
    }

    fn unit(&mut self) {
        self.push(Value::Unit);
    }

    fn empty(&mut self) {
        self.push(Value::Unit);
    }

    fn boolean(&mut self, value: bool) {
        self.push(Value::Bool(value));
    }

    fn integer(&mut self, value: i64) {
        self.push(Value::Signed(value.into()));
    }

    fn float(&mut self, value: f32) {
        self.push(Value::F32(value));
    }

    fn double(&mut self, value: f64) {
        self.push(Value::F64(value));
    }

    fn char(&mut self, unit: u16) {
        let c = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.push(Value::Char(c));
    }

    fn text(&mut self, input: &mut Input<'_>, len: usize) -> Result<()> {
        self.push_string(crate::text::read_units(input, len)?);
        Ok(())
    }

    fn utf8(&mut self, text: &str) {
        self.push_string(text.to_owned());
    }

    fn made(&mut self, push: impl FnOnce(&mut String)) {
        let mut text = String::new();
        push(&mut text);
        self.push_string(text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.spent_bytes += PIECE_BYTES + bytes.len();
        self.push(Value::Bytes(bytes.to_vec()));
    }

    fn constant(&mut self, constant: &Constant) {
        self.push(Value::Variant(constant.name.clone(), None));
    }

    fn row_kind(&mut self, kind: usize) {
        let name = ROW_KINDS.get(kind).copied().unwrap_or_default();
        self.push(Value::Variant(name.into(), None));
    }

    fn close(&mut self, group: Group, count: usize) {
        let values = self.last(count);
        self.push(match group {
            Group::Seq => Value::Seq(values),
            Group::Tuple => Value::Tuple(values),
        });
    }

    fn close_map(&mut self, count: usize, keys: Keys<'_>) {
        self.spent_bytes += PIECE_BYTES;
        let mut entries = Vec::with_capacity(count);
        let first = self.values.len().saturating_sub(2 * count);
        let mut values = self.values.drain(first..);
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            entries.push((key, value));
        }
        drop(values);
        self.sort(&mut entries, keys, |(key, _)| key);
        self.push(Value::Map(entries));
    }

    fn close_set(&mut self, count: usize, elements: Keys<'_>) {
        let mut values = self.last(count);
        self.sort(&mut values, elements, |value| value);
        self.push(Value::Seq(values));
    }

    fn close_struct<'n>(
        &mut self,
        names: impl ExactSizeIterator<Item = &'n Name>,
        by_name: Option<&[usize]>,
    ) {
        let values = self.last(names.len());
        self.spent_bytes += values.len() * size_of::<Name>();
        let fields = names.cloned().zip(values);
        self.push(Value::Struct(match by_name {
            None => fields.collect(),
            Some(order) => {
                let mut fields: Vec<Option<(Name, Value)>> = fields.map(Some).collect();
                order.iter().filter_map(|at| fields.get_mut(*at).and_then(Option::take)).collect()
            }
        }));
    }

    fn close_variant(&mut self, name: &str) {
        self.wrap(|value| Value::Variant(name.into(), Some(value)));
    }

    fn of_class(&mut self, name: &Name) {
        self.wrap(|value| Value::Variant(name.clone(), Some(value)));
    }
}
