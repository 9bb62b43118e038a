//! `esker copy`: a snapshot to a folder where it stands alone.

mod flink;

use super::{Transfers, progress, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store};
use esker::block_on;
use esker::processor::{Copied, Count, copy};
use serde::Serialize;
use std::io::{self, Write};

/// Copy a snapshot with all files that it names, so that it stands alone
///
/// DST becomes a savepoint: complete, with names below its own folder, to be moved, dumped, verified
/// and restored from wherever it is, the source there or gone. A chain of incremental checkpoints is
/// copied as the chain it is; a native checkpoint of RocksDB as the files of its database, which RocksDB alone
/// restores.
///
/// Only what is missing is copied: a file of the same digest in its name and of the same length is
/// there. Each is verified by length and digest before it gets its name in DST, and the manifest
/// comes last; after an interruption the same command does what is left. A folder that holds another
/// snapshot, or anything else, is refused, as is the folder of SRC itself (exit code 1).
///
/// Of a snapshot of Flink's all files that its `_metadata` names are copied to lie beside the copy's own, which names them by
/// relative paths: a retained checkpoint whose files are spread over `shared` and `chk-…` becomes one folder that Flink
/// restores from wherever it is. Pieces of merged files become files. What is there by name and length is not copied again.
///
/// With `--json` one object: `source`, `target`, `status` (`ok`, `damaged`, `refused`, `absent`,
/// `unreadable`), and `damage` as `verify` has it. `job`, `checkpoint`, `copied` and `present`, each
/// `{"files":…,"bytes":…}` with manifest and parts, are null but where the status is `ok`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker copy /data/job /backup/job-today         its last completed checkpoint
  esker copy /data/job /backup/seven --checkpoint 7
  esker copy /flink/checkpoints/JOB/chk-7 s3://backup/seven
  esker copy /data/job/chk-7-2 seven && esker verify seven
  esker copy --json savepoint /mnt/savepoint | jq .copied.bytes")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SRC")]
    source: String,
    /// The copy's folder: empty, not there yet, or with what is there of the same copy; a path or URL
    #[arg(value_name = "DST")]
    target: String,
    #[command(flatten)]
    pick: Pick,
    #[command(flatten)]
    transfers: Transfers,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    source: &'a str,
    target: &'a str,
    status: Status,
    job: Option<&'a str>,
    checkpoint: Option<u64>,
    copied: Option<Files>,
    present: Option<Files>,
    damage: &'a [Harm],
}

/// Some files, as reports have them.
#[derive(Serialize)]
pub(super) struct Files {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl From<Count> for Files {
    fn from(Count { files, len_bytes }: Count) -> Self {
        Self { files, bytes: len_bytes }
    }
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { source, target, .. } = args;
    match args.flink.open(source, args.pick.checkpoint()) {
        Ok(None) => {}
        Ok(Some(snapshot)) => return flink::run(args, &snapshot, out),
        Err(error) => return flink::refused(args, &error, out),
    }
    match copied(args) {
        Ok(Copied { manifest, copied, present }) if args.json => {
            let report = Report {
                source,
                target,
                status: Status::Ok,
                job: Some(&manifest.job),
                checkpoint: Some(manifest.checkpoint),
                copied: Some(copied.into()),
                present: Some(present.into()),
                damage: &[],
            };
            write_json_line(out, &report)?;
            Ok(Outcome::Yes)
        }
        Ok(Copied { manifest, copied, present }) => {
            let count = |Count { files, len_bytes }| format!("{files} files, {len_bytes} bytes");
            let (copied, present) = (count(copied), count(present));
            writeln!(
                out,
                "ok {target}: checkpoint {} of {source}: copied {copied}; there already {present}",
                manifest.checkpoint
            )?;
            Ok(Outcome::Yes)
        }
        Err(harms) => {
            let status = Harm::worst(&harms).unwrap_or(Status::Damaged);
            if args.json {
                let (job, checkpoint, copied, present) = (None, None, None, None);
                let damage = &harms;
                let report =
                    Report { source, target, status, job, checkpoint, copied, present, damage };
                write_json_line(out, &report)?;
                out.flush()?;
            }
            harms.iter().for_each(|harm| say(format_args!("{}", harm.within(source))));
            Ok(status.outcome())
        }
    }
}

/// What was copied, or all that is wrong.
fn copied(args: &Args) -> Result<Copied, Vec<Harm>> {
    let snapshot = args.pick.whole(&args.source)?;
    let settings = args.transfers.settings();
    let target = open_store(&args.target).map_err(|error| vec![Harm::of(&error)])?;
    let bar = progress(snapshot.files().values().sum(), "bytes");
    let done = block_on(copy(snapshot, &target, &settings, &|bytes| bar.inc(bytes)));
    bar.finish_and_clear();
    done.map_err(|error| vec![Harm::of_target(&error)])
}
