//! Snapshots of Apache Flink's, as the tool's arguments name them.

use crate::outcome::say;
use crate::snapshot::{Harm, LostState, find_flink};
use esker::Error;
use esker::flink::format::metadata::properties::SnapshotType;
use esker::flink::{FlinkDamage, FlinkFilter, FlinkOptions, FlinkSnapshot, FlinkStates};

/// What there is to say of a snapshot of Flink's that it does not say itself.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Options for snapshots of Flink's")]
pub(crate) struct FlinkArgs {
    /// A uid that operators may have: metadata of Flink 1.x knows hashes of uids alone; may be repeated
    #[arg(long = "uid", value_name = "UID")]
    uids: Vec<String>,
    /// Files whose paths begin with FROM are at TO now; may be repeated. A checkpoint that was moved as a whole is found
    /// without it
    #[arg(long = "map", value_name = "FROM=TO", value_parser = mapped)]
    maps: Vec<(String, String)>,
    /// The type of an operator's keys, where only a changelog is stored that does not tell it: long, string,
    /// tuple<string,long> and others; may be repeated
    #[arg(long = "key-type", value_name = "UID=TYPE", value_parser = mapped)]
    key_types: Vec<(String, String)>,
}

impl FlinkArgs {
    pub(crate) fn options(&self) -> FlinkOptions {
        let Self { uids, maps, key_types } = self.clone();
        FlinkOptions { uids, maps, key_types }
    }

    /// The snapshot of Flink's that `argument` names, of a job's folder its last checkpoint or `checkpoint`; none if it names
    /// none of Flink's.
    ///
    /// # Errors
    /// Those of opening it.
    pub(crate) fn open(
        &self,
        argument: &str,
        checkpoint: Option<u64>,
    ) -> Result<Option<FlinkSnapshot>, Error> {
        let Some(folder) = find_flink(argument, checkpoint)? else { return Ok(None) };
        let snapshot = FlinkSnapshot::open_at(&folder, &self.options())?;
        for uid in snapshot.unknown_uids() {
            say(format_args!("{argument}: no operator has the uid {uid}"));
        }
        Ok(Some(snapshot))
    }
}

/// Both sides of an argument's first `=`.
fn mapped(text: &str) -> Result<(String, String), String> {
    let both = text.split_once('=').filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let both = both.ok_or_else(|| format!("{text:?} is not of the form A=B"))?;
    Ok((both.0.to_owned(), both.1.to_owned()))
}

/// Stands for any state of an operator.
const ANY_STATE: &str = "*";

/// What is wrong, in the tool's words.
pub(crate) fn harm(damage: &FlinkDamage) -> Harm {
    let FlinkDamage { operator, subtask, state, key_groups, entries, error } = damage;
    let harm = Harm::of(error);
    let lost = key_groups.map(|(first, last)| LostState {
        operator: operator.clone(),
        state: state.clone().unwrap_or_else(|| ANY_STATE.to_owned()),
        key_group_first: first,
        key_group_last: last,
    });
    let message = match (lost.is_some(), subtask) {
        (true, _) => harm.message,
        (false, Some(subtask)) => {
            let state = state.as_ref().map(|state| format!("/{state}")).unwrap_or_default();
            format!("{operator}{state} subtask {subtask}: {}", harm.message)
        }
        (false, None) => format!("{operator}: {}", harm.message),
    };
    Harm { message, entries: *entries, lost: lost.into_iter().collect(), ..harm }
}

/// The same of several; what is wrong with every subtask alike is said once.
pub(crate) fn harms(damage: &[FlinkDamage]) -> Vec<Harm> {
    let mut harms: Vec<Harm> = Vec::new();
    for damage in damage {
        let harm = harm(damage);
        if !harms.contains(&harm) {
            harms.push(harm);
        }
    }
    harms
}

/// What kind of snapshot it is.
pub(crate) fn kind(snapshot: &FlinkSnapshot) -> &'static str {
    match snapshot.kind() {
        Some(SnapshotType::CanonicalSavepoint) => "flink-savepoint",
        Some(SnapshotType::NativeSavepoint) => "flink-native-savepoint",
        Some(SnapshotType::Checkpoint) => "flink-checkpoint",
        _ => "flink",
    }
}

/// Says which states hold what no serializer that is known can read.
pub(crate) fn say_opaque(snapshot: &FlinkSnapshot, states: &FlinkStates) {
    for (operator, states) in snapshot.operators().iter().zip(&states.operators) {
        for state in states {
            for class in state.opaque_classes() {
                let (label, name) = (&operator.label, &state.name);
                say(format_args!("opaque {label}/{name}: bytes, as only {class} reads them"));
            }
        }
    }
}

/// Which state of a Flink snapshot is looked at; `operator` by uid or id.
///
/// # Errors
/// `Invalid` if there is no such operator.
pub(crate) fn filter(
    snapshot: &FlinkSnapshot,
    operator: Option<&str>,
    state: Option<&str>,
    key_groups: Option<(u16, u16)>,
) -> Result<FlinkFilter, Error> {
    let operator = operator.map(|name| snapshot.operator(name)).transpose()?;
    let operator = operator.map(|operator| operator.label.clone());
    Ok(FlinkFilter { operator, state: state.map(str::to_owned), key_groups })
}
