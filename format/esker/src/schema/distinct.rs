//! What must not be in a set or map twice.

use super::def::Scope;
use super::text::{Read, Wrong};
use super::write::bincode;
use super::{Schema, Value};
use std::collections::HashSet;

/// The elements of a set or keys of a map so far, by their bytes: a typed value keeps one of those that
/// are equal, so that what another says would be lost without a word.
pub(super) struct Distinct {
    what: &'static str,
    known: HashSet<Vec<u8>>,
}

impl Distinct {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, known: HashSet::new() }
    }

    /// Takes the next one, whose text is at `at`.
    ///
    /// # Errors
    /// If it is there already.
    pub(super) fn add(
        &mut self,
        schema: &Schema,
        value: &Value,
        scope: &Scope<'_, '_>,
        depth: usize,
        at: usize,
    ) -> Read<()> {
        let mut bytes = Vec::new();
        bincode(schema, value, scope, depth, &mut bytes).map_err(|e| Wrong::new(at, e.message))?;
        match self.known.insert(bytes) {
            true => Ok(()),
            false => Err(Wrong::new(at, format!("the {} is there twice", self.what))),
        }
    }
}
