//! Snapshots: from captures to durable files, and back.
//!
//! A checkpoint of a subtask adds a layer to its chain of runs: what changed, and a slice of the key
//! groups in full (`plan`). [`write_part`] writes it, [`write_manifest`] makes a snapshot of parts,
//! [`restore()`] reads it at any parallelism, and [`open_snapshot`] is for who looks at it.

mod assemble;
mod backend;
mod chain;
mod encode;
mod encoded;
mod groups;
mod lazy;
mod lineage;
mod manifest;
mod merge;
mod native;
pub(crate) mod pair;
mod passed;
mod plan;
mod pool;
mod present;
mod queue;
mod restore;
pub(crate) mod salvage;
mod settings;
mod source;
mod sourced;
mod sweep;
mod writer;

pub use crate::backend::operator::OperatorCapture;
#[cfg(feature = "rocksdb")]
pub(crate) use backend::migrates;
pub use backend::restore_states;
pub use chain::Chain;
pub(crate) use encoded::EncodedManifest;
pub use lazy::Needed;
pub(crate) use lazy::{ColdChain, restore_states_lazily};
pub use lineage::Lineage;
#[cfg(feature = "rocksdb")]
pub(crate) use manifest::read_parts;
pub(crate) use manifest::{FILE_LEN_BYTES_MAX, PARTS_AT_ONCE, create_once};
pub use manifest::{
    MANIFEST_NAME, ManifestReferences, NewOperator, OpenSnapshot, WrittenManifest, manifest_folder,
    open_snapshot, read_manifest, read_part, references, write_manifest,
};
pub(crate) use merge::ChainCursor;
pub use merge::{ChainReader, Damage, Lost};
#[cfg(feature = "rocksdb")]
pub(crate) use native::fetch_sound;
pub use native::{fetch_native, write_native_part};
pub use plan::Estimates;
pub use present::Count;
pub(crate) use present::{Present, in_target};
pub use restore::{OperatorElement, Restored, Target, find_operator, read_operator_state, restore};
pub use settings::{RestoreMode, SnapshotSettings};
pub(crate) use source::missing;
pub(crate) use sourced::write_sourced_part;
pub use sourced::{EntrySource, SubtaskSource};
pub use writer::{Captures, PartId, PartInput, WriteStats, WrittenPart, write_part};

#[cfg(test)]
mod tests;
