//! `esker schema`: what a snapshot says of operators and states, as a file to keep.

use super::say_refused;
use crate::flink::{FlinkArgs, say_opaque};
use crate::outcome::Outcome;
use crate::snapshot::Pick;
use esker::flink::FlinkFilter;
use esker::format::schema_file::SchemaFile;
use esker::snapshot::read_manifest;
use esker::{Error, ErrorKind, block_on};
use std::io::{self, Write};

/// Print the operators and states of a snapshot as a schema file
///
/// The file holds operators by uid and states by name, with kinds, TTL and the types of keys, namespaces
/// and values, in one layout: kept beside the source of a program, a change of it is a change of lines. Of
/// the snapshot its manifest alone is read. `esker check` compares such a file with a snapshot. A program
/// writes its own by `esker::state::ProgramSchema`, before there is a snapshot; that file says too what serde
/// forgives (`reads`), which no snapshot knows.
///
/// Of a snapshot of Flink's it is what its states become when it is converted: keys by esker's codec `ordered`, values by
/// `bincode2`; what only Java can read is bytes. Headers are read, no entries.
///
/// The output is JSON in any case; with `--json` it is one line.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker schema /data/job > esker-schema.json    of the last completed checkpoint
  esker schema savepoint | diff esker-schema.json -
  esker schema savepoint | jq -r '.operators[] | .uid as $uid | .states[] | \"\\($uid)/\\(.name)\"'")]
pub(crate) struct Args {
    /// The snapshot: a folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    pick: Pick,
    /// Write the file as one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    match text(args) {
        Ok(text) => {
            write!(out, "{text}")?;
            Ok(Outcome::Yes)
        }
        Err(error) => Ok(say_refused(&args.snapshot, &error)),
    }
}

fn text(args: &Args) -> Result<String, Error> {
    let file = of_snapshot(&args.pick, &args.flink, &args.snapshot)?;
    let text = if args.json { file.to_json().map(|json| json + "\n") } else { file.to_text() };
    // The snapshot's manifest is no argument of ours: what is wrong with it is damage.
    text.map_err(|error| Error::new(ErrorKind::Corrupt, error.to_string()))
}

/// What the snapshot that `argument` names says of its states.
///
/// # Errors
/// Those of [`Pick::find`] and of its manifest.
pub(super) fn of_snapshot(
    pick: &Pick,
    flink: &FlinkArgs,
    argument: &str,
) -> Result<SchemaFile, Error> {
    if let Some(snapshot) = flink.open(argument, pick.checkpoint())? {
        let states = snapshot.states(&FlinkFilter::default())?;
        say_opaque(&snapshot, &states);
        let schema = snapshot.schema_of(&states);
        // What a program needs may be behind what cannot be read.
        return states.damage.into_iter().next().map_or(Ok(schema), |damage| Err(damage.error));
    }
    let at = pick.find(argument)?;
    let manifest = block_on(read_manifest(&at.store, &at.manifest, at.digest))?;
    Ok(SchemaFile::of(&manifest))
}
