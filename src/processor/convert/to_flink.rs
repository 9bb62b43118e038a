//! A canonical savepoint of Flink's, made of a snapshot of esker's.

mod entry;
mod fit;
mod operator;
mod version;

pub use version::FlinkVersion;

use super::origin::OfSnapshot;
use crate::flink::FlinkWritten;
use crate::flink::save::Writer;
use crate::processor::copy::checked;
use crate::snapshot::OpenSnapshot;
use crate::{Error, ErrorKind, Result, Store};
use esker_flink::key_group::MAX_PARALLELISM_MAX;
use operator::Converted;

/// How a snapshot of esker's is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToFlink {
    /// The Flink that restores it.
    pub version: FlinkVersion,
    /// How many key groups every operator has, 1 to 32,768: the maximum parallelism of the job that restores it.
    pub max_parallelism: u32,
    /// How many subtasks every operator is written by; as many as in the snapshot if not given, and no more than key groups.
    pub parallelism: Option<u32>,
}

/// Makes at the root of `target` a canonical savepoint of Flink's of any snapshot of esker's that stands in runs. Flink finds the state of an
/// operator by the hash of its uid, and keys by their `hashCode()`.
///
/// What came from Flink ([`from_flink`](super::from_flink())) goes back with the serializers that wrote it, as long as its types are those that they
/// were; what nobody could read goes back as it was. Other types get serializers of Flink's own: integers the narrowest of Java's that holds
/// them, sequences and sets lists, tuples Flink's tuples, optional values nullable ones, structs a POJO of the class
/// that their name says; timers of a state `NAME` those of the service `NAME`. Entries that are expired are left out.
///
/// Entries are sorted in files of about their size in the system's temporary folder. Memory: about 64 MiB. `progress` is told of
/// entries, when they are read and when they are written.
///
/// # Errors
/// `Incompatible`, naming operator, state and path, for types that Flink has nothing for, codecs that are not esker's, and what another
/// major version of Flink's wrote and nobody else can read; `Invalid` for parallelisms that cannot be; `Unsupported` for a database;
/// `Corrupt` for damage; `Conflict` if something else is in `target`; the stores'. What was put until then is deleted, as far as it can be.
#[tracing::instrument(skip_all, fields(checkpoint = snapshot.manifest.checkpoint, target = %target))]
pub async fn to_flink(
    snapshot: OpenSnapshot,
    options: &ToFlink,
    target: &Store,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkWritten> {
    let snapshot = checked(snapshot, target)?;
    if !(1..=MAX_PARALLELISM_MAX).contains(&options.max_parallelism) {
        let message = format!(
            "max_parallelism={}: there are 1 to 32,768 key groups",
            options.max_parallelism
        );
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let origin = OfSnapshot::of(&snapshot.manifest.extra);
    let origin_major = origin.and_then(|of| match of.metadata_version {
        4 => Some(1),
        5.. => Some(2),
        // esker itself writes version 3.
        _ => None,
    });
    let mut converted = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let of = |error: Error| error.of(format_args!("operator={}", operator.uid));
        let new = Converted::new(operator, parts, options, origin_major).map_err(of)?;
        converted.push((new, parts));
    }
    let checkpoint = i64::try_from(snapshot.manifest.checkpoint).unwrap_or(i64::MAX);
    let mut writer = Writer::new(target, checkpoint, Vec::new()).await?;
    for (operator, parts) in &converted {
        if let Err(error) = operator.write(&mut writer, &snapshot.store, parts, progress).await {
            writer.take_back().await;
            return Err(error.of(format_args!("operator={}", operator.operator.uid)));
        }
    }
    writer.finish().await
}
