//! `esker salvage`: of a damaged snapshot all that is sound, in a folder where it stands alone.

mod ends;
mod report;
mod sources;

use super::{Transfers, progress, write_json_line};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, open_store};
use esker::block_on;
use esker::processor::salvage;
use report::Report;
use sources::Sources;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write all that is sound of a damaged snapshot to a folder where it stands alone
///
/// DST becomes a savepoint of what is sound of the first SRC. What that lost is taken from the next SRC, an
/// older checkpoint say, and what that lost too from the one after it. All that counts is read and
/// verified. What was lost is named by operator, state, key groups and keys, and with whether it is
/// gone or older now; exit code 1 says that something was.
///
/// Lost is more than what a damaged block held: older blocks may hold other versions of its keys, and what was
/// deleted, so every key between its first and the next block's first is lost unless newer blocks tell of
/// it. With a run's index all goes that the run counts for, with a part all key groups of its subtask. What a
/// disk cannot give back (an input/output error, as of a sector that cannot be read) is lost as what is damaged
/// is, block by block.
/// Nothing stale is in DST, but for keys in the ranges named that were taken from an older SRC.
///
/// Without its _metadata nothing of a snapshot is known: where that of the first SRC is damaged, the next is
/// taken instead, wholly. The state of native checkpoints is a database, and is refused: `verify` says
/// whether its files are sound. Operators and states of older SRC are found by name, and asked if types are
/// the same; lists of operator state if there are as many subtasks.
///
/// With `--json` one object, which `--report` writes to a file; format/esker/SPEC.md describes it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker salvage /data/job/chk-7-2 saved
  esker salvage /data/job/chk-7-2 /data/job/chk-6-2 /backup/save saved
  esker salvage /data/job --older saved --report lost.json
  esker salvage --json job saved | jq '.lost[] | select(.older == null)'")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root, for its last completed
    /// checkpoint; a path or URL. The first is wanted, older ones follow
    #[arg(value_name = "SRC", required = true)]
    sources: Vec<String>,
    /// The result's folder: empty, not there yet, or with what is there of the same result; a path or URL
    #[arg(value_name = "DST", required = true)]
    target: String,
    /// Of a job's root, its older checkpoints too, newest first
    #[arg(long)]
    older: bool,
    #[command(flatten)]
    transfers: Transfers,
    /// Write what was lost to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let mut sources = Sources::find(&args.sources, args.older);
    let report = salvaged(args, &mut sources);
    let status = report.status();
    let mut outcome = status.outcome();
    if let Some(path) = &args.report {
        outcome = outcome.max(write_report(path, &report));
    }
    match args.json {
        true => write_json_line(out, &report)?,
        false => report.summary(out)?,
    }
    out.flush()?;
    report.lines().iter().for_each(|line| say(format_args!("{line}")));
    Ok(outcome)
}

/// What was done, or all that is wrong.
fn salvaged(args: &Args, sources: &mut Sources) -> Report {
    if let Some(harm) = sources.refused() {
        return Report::refused(sources, &args.target, harm);
    }
    let settings = args.transfers.settings();
    let target = match open_store(&args.target) {
        Ok(target) => target,
        Err(error) => return Report::refused(sources, &args.target, Harm::of(&error)),
    };
    let snapshots = sources.take();
    let first = snapshots.first();
    let operators = first.map(|first| first.manifest.operators.clone()).unwrap_or_default();
    let len_bytes: u64 = first.map_or(0, |first| first.files().values().sum());
    let bar = progress(2 * len_bytes, "bytes");
    let done = block_on(salvage(snapshots, &target, &settings, &|bytes| bar.inc(bytes)));
    bar.finish_and_clear();
    match done {
        Ok(done) => Report::of(sources, &args.target, &operators, &done),
        Err(error) => {
            let harm = match error.kind() {
                esker::ErrorKind::Unsupported => Harm::of(&error),
                _ => Harm::of_target(&error),
            };
            Report::refused(sources, &args.target, harm)
        }
    }
}

fn write_report(path: &Path, report: &Report) -> Outcome {
    let mut bytes = serde_json::to_vec(report).unwrap_or_default();
    bytes.push(b'\n');
    match fs::write(path, bytes) {
        Ok(()) => Outcome::Yes,
        Err(error) => {
            say(format_args!("{} {}: {error}", Status::Unreadable, path.display()));
            Outcome::NotTried
        }
    }
}
