//! A savepoint of esker's, made of a snapshot of Flink's.

mod fit;
mod plan;
mod taker;

use crate::flink::FlinkSnapshot;
use crate::processor::WrittenSavepoint;
use crate::snapshot::SnapshotSettings;
use crate::{Error, ErrorKind, Result, Store};
use plan::{Pass, Plan};

/// How a snapshot of Flink's is converted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromFlink {
    /// The name of the job, which Flink's snapshots do not know.
    pub job: String,
    /// How many subtasks every operator has; as many as in the snapshot if not given.
    pub parallelism: Option<u32>,
    /// Whether states are left out whose values nobody can read without the job's classes. They are kept as bytes otherwise, and refused
    /// by name where not even these can be told apart.
    pub skip_opaque: bool,
}

/// A state that nobody can read without the job's classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueState {
    /// The operator, by its uid or id.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// The class that wrote it.
    pub class: String,
    /// Whether it was left out; it is kept as bytes otherwise.
    pub is_skipped: bool,
}

/// What [`from_flink`] did.
#[derive(Debug, Clone)]
pub struct FlinkConverted {
    /// The savepoint.
    pub written: WrittenSavepoint,
    /// The states that it cannot read.
    pub opaque: Vec<OpaqueState>,
}

/// Makes at the root of `target` a savepoint of esker's of a snapshot of Flink's, of any kind and backend: operators by uid, or by id where
/// nothing tells the uid; keys by esker's own key groups. Keys and namespaces are written by the codec `ordered` where it has their types,
/// all else by `bincode2`, by the types that [`schema_file`](FlinkSnapshot::schema_file) tells; where Java's null stands that such a type
/// has no place for, all parts of it become optional. How long entries with TTL live is not known, so that none
/// expires. Serializer snapshots, operator ids and the states of coordinators are kept beside, for [`to_flink`](super::to_flink()).
///
/// Everything is read once, or twice if there are such nulls, and sorted in files of about its size in the system's
/// temporary folder. Memory: as [`Bootstrap`](crate::processor::load::Bootstrap) and [`write_savepoint`](crate::processor::write_savepoint) say. `progress` is told of entries, when
/// they are read and when they are durable.
///
/// # Errors
/// `Incompatible`, naming operator and state, for keys whose type esker has no keys of, and for what cannot be read and is not skipped;
/// `Unsupported` for records in flight, of which a savepoint has none; `Corrupt` for damage; those of
/// [`write_savepoint`](crate::processor::write_savepoint).
#[tracing::instrument(skip_all, fields(snapshot = snapshot.path(), target = %target))]
pub async fn from_flink(
    snapshot: &FlinkSnapshot,
    options: &FromFlink,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkConverted> {
    settings.check()?;
    let mut plan = Plan::new(snapshot, options)?;
    loop {
        let template = plan.template()?;
        let nulls = match plan.sorted(&template, progress)? {
            Pass::Done(sorted) => {
                let written = sorted.write(target, settings, progress).await?;
                return Ok(FlinkConverted { written, opaque: plan.opaque });
            }
            Pass::Nulls(nulls) => nulls,
        };
        if nulls.is_subset(&plan.nulls) {
            let message = "null where no type has a place for it";
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        plan.nulls.extend(nulls);
    }
}
