//! Manifests: what a snapshot is made of (SPEC.md, "Manifest").
//!
//! `_metadata` is a sealed file of the kind `metadata`. It names the operators, their states with
//! codecs and schemas, and the parts, each by digest; sizes and runs stand in the parts. The types
//! here are what the program works with; `v1` holds the frozen shape of the bytes.

mod check;
mod parts;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod v1;

pub(crate) use check::check_state;
pub use state::{StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo};

use crate::record::Extra;
use crate::{Digest, FormatError, FormatErrorKind, KeyGroupRange, RelativeName, Result, frame};

/// The newest version of manifests that this library reads, and the one that it writes.
pub const MANIFEST_VERSION: u32 = 1;
/// The kind of sealed file that a manifest is.
pub const MANIFEST_KIND: &str = "metadata";

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// Owned by the engine, incremental; names are below the job's root.
    Checkpoint,
    /// Owned by the user, self-contained; names are below the manifest's own folder.
    Savepoint,
}

/// A snapshot of a whole job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// What the snapshot is for.
    pub kind: SnapshotKind,
    /// Its number within the job.
    pub checkpoint: u64,
    /// The generation of the writer.
    pub generation: u64,
    /// The operators, in order of their uid.
    pub operators: Vec<Operator>,
    /// Unknown fields.
    pub extra: Extra,
}

/// An operator: its states, and one part per subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The stable name by which its state is found.
    pub uid: String,
    /// The type of its keys; `None` for an operator without keyed state.
    pub key: Option<TypeInfo>,
    /// Its states, ids ascending; no two share an id or a name.
    pub states: Vec<StateInfo>,
    /// The ids of states that were dropped, ascending: runs and databases may hold entries of them,
    /// which do not count. No other state is given one of them.
    pub dropped: Vec<u32>,
    /// The part of each subtask, in order: as many as the parallelism. Part *i* of *p* holds the
    /// key groups of [`KeyGroupRange::of_subtask`] (I5).
    pub parts: Vec<PartRef>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Manifest {
    /// The bytes of `_metadata`.
    ///
    /// # Errors
    /// `Invalid` if it is no manifest that [`decode`](Self::decode) would take.
    pub fn encode(&self) -> Result<Vec<u8>> {
        check::check(self, FormatErrorKind::Invalid)?;
        let json = serde_json::to_vec(&v1::Manifest::of(self)?)
            .map_err(|error| FormatError::invalid(check::WHAT, error.to_string()))?;
        Ok(frame::seal(MANIFEST_KIND, MANIFEST_VERSION, &json))
    }

    /// The manifest of a file's bytes.
    ///
    /// # Errors
    /// Those of [`frame::open`], and `Corrupt` if the JSON is no manifest: operators or states out
    /// of order, a state whose types do not fit its kind, an operator without parts, a name that
    /// leaves its root.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (_version_1, json) = frame::open(MANIFEST_KIND, MANIFEST_VERSION, bytes)?;
        let wire: v1::Manifest = serde_json::from_slice(json)
            .map_err(|error| FormatError::corrupt(check::WHAT, error.to_string()))?;
        let manifest = wire.into_manifest()?;
        check::check(&manifest, FormatErrorKind::Corrupt)?;
        Ok(manifest)
    }
}

impl Operator {
    /// The part of `subtask`, if there were `parallelism` subtasks: only then can a next checkpoint
    /// name it again.
    pub fn part_of(&self, subtask: usize, parallelism: usize) -> Option<&PartRef> {
        self.parts.get(subtask).filter(|_| self.parts.len() == parallelism)
    }

    /// The key groups of part `subtask`.
    ///
    /// # Errors
    /// `Invalid` if there is no such part.
    pub fn range(&self, subtask: usize) -> Result<KeyGroupRange> {
        KeyGroupRange::of_subtask(subtask as u32, self.parts.len() as u32)
    }
}

/// A part, by name and digest. Its name is `<dir>/<digest in hex>.part`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartRef {
    /// The folder that it lies in, below the root of names.
    pub dir: RelativeName,
    /// The digest of the whole file.
    pub digest: Digest,
}

impl PartRef {
    /// The name of the file.
    ///
    /// # Errors
    /// `Corrupt` if it is too long.
    pub fn name(&self) -> Result<RelativeName> {
        RelativeName::new(format!("{}/{}.part", self.dir, self.digest))
    }
}
