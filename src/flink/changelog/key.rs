//! What writes the keys of an operator whose logs do not say so.

use super::{Definitions, each_change, refused};
use crate::flink::snapshot::{FlinkOperator, FlinkSnapshot};
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::changelog::KeySearch;
use esker_flink::metadata::{ChangelogHandle, KeyedHandle};
use std::sync::PoisonError;

impl FlinkSnapshot {
    /// What writes the keys of an operator with changelogs: what the user said, what a queue of timers in one of its logs
    /// says, or, of the common types, the only one that fits all changes and their key groups. Looked for once; all logs of
    /// the operator are read.
    ///
    /// # Errors
    /// `Incompatible`, with what to do, if nothing says it; `Invalid` for a type that there is not; as for reading a log.
    pub(in crate::flink) fn key_of_changelogs(
        &self,
        operator: &FlinkOperator,
    ) -> Result<Serializer> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known.get(&operator.number) {
            Some(found) => found.clone(),
            None => {
                let found = self.find_key(operator)?;
                known.insert(operator.number, found.clone());
                found
            }
        };
        found.ok_or_else(|| {
            let label = &operator.label;
            let message = format!(
                "nothing in the changelog says what the keys of {label} are: there is no queue of timers, nothing was \
                 materialized, and no common type alone fits; say it with --key-type {label}=TYPE, as in {label}=long \
                 (FlinkOptions::key_types)"
            );
            Error::new(ErrorKind::Incompatible, message).at_path(self.path())
        })
    }

    fn find_key(&self, operator: &FlinkOperator) -> Result<Option<Serializer>> {
        let names = [Some(operator.id.to_string()), operator.uid.clone()];
        let mut types = self.options.key_types.iter();
        if let Some((_, spec)) = types.find(|(name, _)| names.contains(&Some(name.clone()))) {
            let parsed = Serializer::parse_spec(spec);
            return Ok(Some(
                parsed.map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?,
            ));
        }
        let mut search = KeySearch::new([], operator.max_parallelism);
        for handle in self.changelogs(operator) {
            let mut definitions = Definitions::default();
            each_change(self, handle, &mut |change, path| {
                search.see(change);
                definitions.see(change).map_err(|error| refused(error, path))
            })?;
            if let Some(key) = definitions.changelog.key() {
                return Ok(Some(key.clone()));
            }
        }
        Ok(search.found())
    }

    fn changelogs(&self, operator: &FlinkOperator) -> impl Iterator<Item = &ChangelogHandle> {
        let stored = self.metadata().operators.get(operator.number);
        let subtasks = stored.into_iter().flat_map(|operator| &operator.subtasks);
        let states = subtasks.filter_map(|subtask| subtask.state.as_deref());
        states.filter_map(|state| match &state.keyed {
            Some(KeyedHandle::Changelog(handle)) => Some(handle),
            _ => None,
        })
    }
}
