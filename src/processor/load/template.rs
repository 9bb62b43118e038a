//! What lines are loaded into: operators, states and types, of a snapshot or of a schema file.

use super::bootstrap::Latest;

use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator, SnapshotKind};
use crate::format::part::{Part, PartState};
use crate::format::schema_file::{OperatorSchema, SchemaFile};
use crate::snapshot::OpenSnapshot;
use crate::state::state_infos;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// The operators of a savepoint to be written, and what else its manifest is to say.
#[derive(Debug)]
pub struct Template {
    /// Its operators' parts are those that `parts` has.
    manifest: Manifest,
    /// Of a snapshot, those of each operator that could be read.
    parts: Vec<Vec<Option<Part>>>,
    /// How many subtasks each operator has, where the manifest's parts do not tell.
    subtasks: Vec<u32>,
    is_snapshot: bool,
}

impl Template {
    /// What `snapshot` has; its job's name and checkpoint number too, and as many subtasks.
    ///
    /// # Errors
    /// `Corrupt` if a part of an operator with TTL cannot be read ([`OpenSnapshot::damage`]): when it was captured
    /// stands there alone.
    pub fn of_snapshot(snapshot: OpenSnapshot) -> Result<Self> {
        let OpenSnapshot { manifest, parts, .. } = snapshot;
        for (operator, parts) in manifest.operators.iter().zip(&parts) {
            let has_ttl = operator.states.iter().any(|state| state.ttl.is_some());
            if has_ttl && let Some(subtask) = parts.iter().position(Option::is_none) {
                let message = format!(
                    "operator={}: the part of subtask={subtask} cannot be read, and with it when it was captured",
                    operator.uid
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
        Ok(Self { manifest, parts, subtasks: Vec::new(), is_snapshot: true })
    }

    /// What a schema file has ([`SchemaFile::parse`], or a program's own
    /// [`ProgramSchema`](crate::state::ProgramSchema)), for checkpoint 1 of the job `job`, one subtask each: states get the ids that they get in a program
    /// that was never restored.
    pub fn of_schema(file: &SchemaFile, job: &str) -> Self {
        let operator = |operator: &OperatorSchema| Operator {
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
        Self::of_operators(manifest, Vec::new())
    }

    /// What `manifest` has, each operator with so many subtasks; one if that is not said.
    pub(crate) fn of_operators(manifest: Manifest, subtasks: Vec<u32>) -> Self {
        Self { manifest, parts: Vec::new(), subtasks, is_snapshot: false }
    }

    /// Operators, states and types, and what else the savepoint's manifest is to say; of a snapshot as it has it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How many subtasks each operator has: as many as in the snapshot, if `asked` says nothing else.
    pub(super) fn parallelism(&self, asked: Option<u32>) -> Vec<u32> {
        let operators = self.manifest.operators.iter().enumerate();
        let of = |(number, operator): (usize, &Operator)| {
            let subtasks = self.subtasks.get(number).copied();
            asked.or(subtasks).unwrap_or((operator.parts.len() as u32).max(1))
        };
        operators.map(of).collect()
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
