//! The checkpoints that a job retains, and what each added to the one before.

use crate::snapshot::{Harm, SnapshotAt, part_harms};
use esker::checkpoint::read_log;
use esker::format::RelativeName;
use esker::format::manifest::SnapshotKind;
use esker::{Store, block_on};
use std::collections::BTreeSet;

/// One checkpoint.
pub(super) struct Row {
    pub(super) number: u64,
    /// How many entries are live; none where it cannot be opened.
    pub(super) entries: Option<u64>,
    /// Files that it reaches, and their bytes.
    pub(super) files: u64,
    pub(super) len_bytes: u64,
    /// Bytes of those that the one before reaches too.
    pub(super) kept_len_bytes: u64,
    pub(super) holds: Vec<String>,
}

/// A job's checkpoints.
#[derive(Default)]
pub(super) struct History {
    /// Oldest first.
    pub(super) checkpoints: Vec<Row>,
    /// What of it cannot be told.
    pub(super) harms: Vec<Harm>,
}

impl History {
    /// Of the job whose root `store` is; none of a savepoint, which stands alone.
    pub(super) fn of(store: &Store, kind: SnapshotKind) -> Self {
        let mut history = Self::default();
        if kind == SnapshotKind::Savepoint {
            return history;
        }
        let log = match block_on(read_log(store)) {
            Ok(log) => log,
            Err(error) => {
                history.harms.push(Harm::of(&error));
                return history;
            }
        };
        let mut before: BTreeSet<RelativeName> = BTreeSet::new();
        for (number, at) in log.retained().keys().zip(SnapshotAt::retained(store, &log)) {
            let holds = log.holds().get(number).into_iter().flatten().cloned().collect();
            let (entries, files, len_bytes, kept_len_bytes) = (None, 0, 0, 0);
            let mut row = Row { number: *number, entries, files, len_bytes, kept_len_bytes, holds };
            match at.open() {
                Ok(snapshot) => {
                    let files = snapshot.files();
                    row.files = files.len() as u64;
                    row.len_bytes = files.values().sum();
                    let kept = files.iter().filter(|(name, _)| before.contains(**name));
                    row.kept_len_bytes = kept.map(|(_, len_bytes)| len_bytes).sum();
                    let states = snapshot.parts.iter().flatten().flatten();
                    let states = states.flat_map(|part| &part.states);
                    let entries = states.map(|state| state.entries).sum();
                    // Of parts that cannot be read nobody knows.
                    row.entries = snapshot.damage.is_empty().then_some(entries);
                    history.harms.extend(part_harms(&snapshot));
                    before = files.into_keys().cloned().collect();
                }
                Err(error) => history.harms.push(Harm::of(&error)),
            }
            history.checkpoints.push(row);
        }
        history
    }
}
