//! What writes the keys of a log that does not say so.
//!
//! Each change carries its key and, beside it, the key group that the key's hash led to. Of the types that programs use as keys, the
//! one that all changes are read by, to their last byte and into their key groups, is what wrote them, if there is one alone.

use super::{Changelog, LoggedChange};
use crate::key_group::key_group;
use crate::{Input, Result, Serializer, Value};

/// The types that are tried if nobody names others: those with a hash of their own, but for dates, whose hash and bytes are a long's.
const COMMON: [&str; 13] = [
    "string",
    "long",
    "int",
    "short",
    "byte",
    "char",
    "boolean",
    "double",
    "float",
    "bigint",
    "decimal",
    "localdate",
    "instant",
];

/// Tries types of keys on the changes of a log.
#[derive(Debug, Clone)]
pub struct KeySearch {
    /// The types that have read all changes so far.
    candidates: Vec<Serializer>,
    /// What the log has defined, which is the same for all of them.
    log: Changelog,
    max_parallelism: u32,
    changes: usize,
}

impl KeySearch {
    /// A search among the types of keys that are common, and `others`, of an operator with `max_parallelism`.
    pub fn new(others: impl IntoIterator<Item = Serializer>, max_parallelism: u32) -> Self {
        let mut candidates: Vec<Serializer> = Vec::new();
        let common = COMMON.iter().filter_map(|name| Serializer::parse_spec(name).ok());
        for key in common.chain(others) {
            if !candidates.contains(&key) {
                candidates.push(key);
            }
        }
        Self { candidates, log: Changelog::new(None), max_parallelism, changes: 0 }
    }

    /// Drops the candidates that cannot read this change; all changes of the log are to be shown, in order.
    pub fn see(&mut self, change: &LoggedChange<'_>) {
        let (log, max_parallelism) = (&mut self.log, self.max_parallelism);
        self.candidates.retain(|key| {
            log.key = Some(key.clone());
            fits(log, key, change, max_parallelism).unwrap_or(false)
        });
        self.changes += usize::from(change.key_group.is_some());
    }

    /// The only type that read all changes, if any of them had a key.
    pub fn found(self) -> Option<Serializer> {
        let changes = self.changes;
        let mut left = self.candidates.into_iter();
        match (left.next(), left.next()) {
            (Some(only), None) if changes > 0 => Some(only),
            _ => None,
        }
    }
}

fn fits(
    log: &mut Changelog,
    key: &Serializer,
    logged: &LoggedChange<'_>,
    max_parallelism: u32,
) -> Result<bool> {
    let change = log.read(logged)?;
    let Some(group) = logged.key_group else { return Ok(true) };
    if let Some(definition) = log.states.get(&change.state) {
        change.check(definition)?;
    }
    if change.key.is_empty() {
        return Ok(true);
    }
    let hash = key.hash_bytes(&mut Input::new("key", change.key))?;
    let number = key.decode(&mut Input::new("key", change.key))?;
    Ok(key_group(hash, max_parallelism) == group && is_likely(&number))
}

/// Integers and floats of the same bits have the same hash. Read as floats, integers that somebody counted or drew are outside of what
/// anyone measures.
fn is_likely(key: &Value) -> bool {
    let (size, least) = match key {
        Value::F64(number) => (number.abs(), 1e-100),
        Value::F32(number) => (f64::from(number.abs()), 1e-20),
        _ => return true,
    };
    size == 0.0 || (least..1.0 / least).contains(&size)
}
