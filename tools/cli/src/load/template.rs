//! What lines are loaded into: operators, states and types, of a snapshot or of a schema file.

use super::lines::Latest;
use esker::format::FormatErrorKind;
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::format::part::{Part, PartState};
use esker::format::schema_file::{SCHEMA_FILE_LEN_BYTES_MAX, SchemaFile};
use esker::snapshot::OpenSnapshot;
use esker::state::state_infos;
use esker::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

/// The operators of a savepoint to be written.
pub(crate) struct Template {
    /// The parts of its operators count for nothing.
    pub(crate) manifest: Manifest,
    /// Of a snapshot, those of each operator that could be read.
    parts: Vec<Vec<Option<Part>>>,
    is_snapshot: bool,
}

impl Template {
    /// What `snapshot` has.
    pub(crate) fn of_snapshot(snapshot: OpenSnapshot) -> Self {
        let OpenSnapshot { manifest, parts, .. } = snapshot;
        Self { manifest, parts, is_snapshot: true }
    }

    /// What the schema file at `path` has, for checkpoint 1 of the job `job`: states get the ids that they get in
    /// a program that was never restored.
    ///
    /// # Errors
    /// `Retry` if there is no such file; `Unsupported` if it is no schema file, or a newer one.
    pub(crate) fn of_schema(path: &str, job: &str) -> Result<Self> {
        let unreadable = |error: std::io::Error| Error::new(ErrorKind::Retry, error.to_string());
        let refused = |message: String| Error::new(ErrorKind::Unsupported, message);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(SCHEMA_FILE_LEN_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            refused(format!("schema file: no text in UTF-8, from byte {at} on"))
        })?;
        let file = SchemaFile::parse(&text).map_err(|error| match error.kind {
            FormatErrorKind::UnsupportedVersion => refused(format!("{error}: use a newer esker")),
            _ => refused(error.to_string()),
        })?;
        let operator = |operator| Operator {
            states: state_infos(operator),
            uid: operator.uid.clone(),
            key: operator.key.clone(),
            dropped: Vec::new(),
            parts: Vec::new(),
            extra: Default::default(),
        };
        let manifest = Manifest {
            job: job.to_owned(),
            kind: SnapshotKind::Savepoint,
            checkpoint: 1,
            generation: 1,
            operators: file.operators.iter().map(operator).collect(),
            extra: Default::default(),
        };
        Ok(Self { manifest, parts: Vec::new(), is_snapshot: false })
    }

    /// How many subtasks each operator has: as many as in the snapshot, if `asked` says nothing else.
    pub(crate) fn parallelism(&self, asked: Option<u32>) -> Vec<u32> {
        let operators = self.manifest.operators.iter();
        operators.map(|o| asked.unwrap_or((o.parts.len() as u32).max(1))).collect()
    }

    /// When states with TTL of the operator `number` were captured: of a snapshot the earliest time of the parts
    /// whose key groups are in `range`, so that nothing expires that they show; of a schema file the latest of
    /// the times in the lines, as `latest` has them.
    ///
    /// # Errors
    /// None in practice: a snapshot's parts have ranges.
    pub(super) fn ttl_times_ms(
        &self,
        (number, operator): (usize, &Operator),
        range: KeyGroupRange,
        latest: &Latest,
    ) -> Result<BTreeMap<u32, i64>> {
        if !self.is_snapshot {
            let states = operator.states.iter().filter(|state| state.ttl.is_some());
            let time = |id: u32| latest.get(&(number, id)).copied().unwrap_or(0);
            return Ok(states.map(|state| (state.id, time(state.id))).collect());
        }
        let mut times: BTreeMap<u32, i64> = BTreeMap::new();
        for (subtask, part) in self.parts.get(number).into_iter().flatten().enumerate() {
            if operator.range(subtask)?.intersect(range).is_none() {
                continue;
            }
            let states = part.iter().flat_map(|part| &part.states);
            for (id, time_ms) in
                states.filter_map(|PartState { id, ttl_time_ms, .. }| Some((id, (*ttl_time_ms)?)))
            {
                times
                    .entry(*id)
                    .and_modify(|known| *known = time_ms.min(*known))
                    .or_insert(time_ms);
            }
        }
        Ok(times)
    }
}
