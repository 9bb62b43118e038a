//! Records of a job's log: every decision, in order (SPEC.md, "Log records").
//!
//! A record is a sealed file of the kind `log`. The types here are what the program works with;
//! `v1` holds the frozen shape of the bytes. Fields that this version does not know are kept.

mod v1;

use crate::digest::from_hex;
use crate::{Digest, FormatError, RelativeName, Result, frame};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The newest version of log records that this library reads, and the one that it writes.
pub const RECORD_VERSION: u32 = 1;
const KIND: &str = "log";

/// Fields of the same version that this program does not know, kept as they are.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// Tells one record from every other; drawn at random by whoever writes it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(pub u128);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

impl TryFrom<String> for Nonce {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self> {
        let bytes = from_hex(&text).ok_or_else(|| {
            FormatError::corrupt("nonce", "a nonce is 32 lower-case hexadecimal digits")
        })?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.to_string()
    }
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The generation of the writer; each claim starts a higher one.
    pub generation: u64,
    /// What tells this record from every other.
    pub nonce: Nonce,
    /// What was decided.
    pub decision: Decision,
    /// Unknown fields.
    pub extra: Extra,
}

/// What a record decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The record's generation owns the job from here on.
    Claim(Extra),
    /// A checkpoint is complete.
    Publish(Published),
    /// Checkpoints are given up, and files are condemned to deletion.
    Retire(Retire),
    /// A checkpoint is not to be retired while it is held.
    Hold(Hold),
    /// A hold ends.
    Release(Hold),
    /// All that still counts, so that older records can go.
    Base(Base),
}

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Published {
    /// Its number: above that of every checkpoint published before.
    pub checkpoint: u64,
    /// Its manifest, below the job's root.
    pub manifest_path: RelativeName,
    /// The digest of the manifest's bytes.
    pub manifest_digest: Digest,
    /// Unknown fields.
    pub extra: Extra,
}

/// Checkpoints given up, and the files that nothing needs any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Retire {
    /// The checkpoints that are no longer retained.
    pub checkpoints: BTreeSet<u64>,
    /// Names below the job's root that may be deleted and are never referenced again.
    pub condemned: BTreeSet<RelativeName>,
    /// Unknown fields.
    pub extra: Extra,
}

/// A named hold on a checkpoint, begun or ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The checkpoint held.
    pub checkpoint: u64,
    /// Who holds it, or why; one name can hold many checkpoints.
    pub name: String,
    /// Unknown fields.
    pub extra: Extra,
}

/// All that still counts of the records before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Base {
    /// The generation of the newest claim.
    pub claim_generation: u64,
    /// The nonce of the newest claim.
    pub claim_nonce: Nonce,
    /// The highest number ever published, or 0; it may be retired since.
    pub checkpoint_last: u64,
    /// The retained checkpoints, in ascending order.
    pub checkpoints: Vec<Published>,
    /// The names of the holds of each held checkpoint.
    pub holds: BTreeMap<u64, BTreeSet<String>>,
    /// Condemned names whose deletion is not known to be done.
    pub condemned: BTreeSet<RelativeName>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Record {
    /// The bytes of the record's file.
    ///
    /// # Errors
    /// `Invalid` if it cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(&v1::Record::from(self.clone()));
        let json = json.map_err(|error| FormatError::invalid("log record", error.to_string()))?;
        Ok(frame::seal(KIND, RECORD_VERSION, &json))
    }

    /// The record of a file's bytes.
    ///
    /// # Errors
    /// Those of [`frame::open`], and `Corrupt` if the JSON is not a log record.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (_version_1, json) = frame::open(KIND, RECORD_VERSION, bytes)?;
        let record: v1::Record = serde_json::from_slice(json)
            .map_err(|error| FormatError::corrupt("log record", error.to_string()))?;
        Ok(record.into())
    }
}

#[cfg(test)]
mod tests;
