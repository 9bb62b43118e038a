//! `esker convert`: a snapshot of Flink's as a savepoint of esker's, and the other way round.

use super::copy::Files;
use super::{Transfers, counted, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store};
use clap::value_parser;
use esker::flink::FlinkSnapshot;
use esker::processor::{
    FlinkVersion, FromFlink, OpaqueState, ToFlink, WrittenSavepoint, from_flink, to_flink,
};
use esker::{Error, ErrorKind, block_on};
use serde::Serialize;
use std::io::{self, Write};

/// Make a savepoint of esker's of a snapshot of Flink's, or one of Flink's of any of esker's
///
/// If SRC is Flink's, a savepoint or checkpoint of any backend, DST becomes a savepoint of esker's: operators by uid (`--uid` names those of
/// metadata that knows hashes alone) or by id, keys in esker's own key groups, values by the types that `esker schema SRC` tells, which
/// any command works on and a program of esker's restores. What only the job's classes can read is kept as bytes and told,
/// or left out with `--skip-opaque`; states whose keys they wrote are refused by name without it. How long entries with TTL
/// live stands in no snapshot of Flink's, so that none expires. Records in flight would be lost: such a checkpoint is refused.
///
/// If SRC is esker's, DST becomes a canonical savepoint of Flink's, which it restores into any backend: give `--flink-version` and
/// `--max-parallelism`, which must be that of the job. What came from Flink goes back with the serializers that wrote it, as long as
/// its types did not change; other types get serializers of Flink's own, and what Flink has no type for is refused by
/// path (docs/flink.md has them). What is expired is left out. A native checkpoint of RocksDB is refused: take a savepoint.
///
/// Entries are sorted in files of about their size in a temporary folder (TMPDIR); memory is bounded. A folder that holds another snapshot, or
/// anything else, is refused (exit code 1); after an interruption the same command writes what is missing.
///
/// With `--json` one object: `source`, `target`, `status` (`ok`, `damaged`, `refused`, `absent`, `unreadable`), `opaque` (`operator`, `state`, `class`, `skipped`), and
/// `damage` as `verify` has it. `job`, `checkpoint`, `entries`, `written` and `present`, the last two `{"files":…,"bytes":…}`, are
/// null but where the status is `ok`; Flink's have no `job`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker convert /flink/savepoint-1a2b3c-4d5e6f flights --uid delays --uid airports --job flights
  esker convert /flink/checkpoints/JOB flights --skip-opaque      its last completed checkpoint
  esker convert flights /flink/back --flink-version 2.x --max-parallelism 128
  esker convert flights /flink/back --flink-version 1.20 --max-parallelism 512 --parallelism 8")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SRC")]
    source: String,
    /// The result's folder: empty, not there yet, or with what is there of the same result; a path or URL
    #[arg(value_name = "DST")]
    target: String,
    #[command(flatten)]
    pick: Pick,
    /// The Flink that restores DST: 1.14 to 1.20, 2.x
    #[arg(long, value_name = "VERSION", requires = "max_parallelism")]
    flink_version: Option<FlinkVersion>,
    /// How many key groups operators in DST have: the maximum parallelism of the job
    #[arg(long, value_name = "N", requires = "flink_version",
          value_parser = value_parser!(u32).range(1..=32768))]
    max_parallelism: Option<u32>,
    /// How many subtasks operators are written by; as in SRC if not given
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65536))]
    parallelism: Option<u32>,
    /// The name of the job, of a snapshot of Flink's, which knows none
    #[arg(long, value_name = "NAME", default_value = "flink")]
    job: String,
    /// Leave out states that only the job's classes can read
    #[arg(long)]
    skip_opaque: bool,
    #[command(flatten)]
    transfers: Transfers,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

#[derive(Default, Serialize)]
struct Done {
    job: Option<String>,
    checkpoint: Option<u64>,
    entries: Option<u64>,
    written: Option<Files>,
    present: Option<Files>,
}

#[derive(Serialize)]
struct Opaque<'a> {
    operator: &'a str,
    state: &'a str,
    class: &'a str,
    skipped: bool,
}

impl<'a> Opaque<'a> {
    fn of(state: &'a OpaqueState) -> Self {
        let OpaqueState { operator, state, class, is_skipped } = state;
        Self { operator, state, class, skipped: *is_skipped }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    source: &'a str,
    target: &'a str,
    status: Status,
    #[serde(flatten)]
    done: &'a Done,
    opaque: Vec<Opaque<'a>>,
    damage: &'a [Harm],
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { source, target, .. } = args;
    let (done, opaque, harms) = match converted(args) {
        Ok((done, opaque)) => (done, opaque, Vec::new()),
        Err(harms) => (Done::default(), Vec::new(), harms),
    };
    let status = Harm::worst(&harms).unwrap_or(Status::Ok);
    if args.json {
        let opaque = opaque.iter().map(Opaque::of).collect();
        let report = Report { source, target, status, done: &done, opaque, damage: &harms };
        write_json_line(out, &report)?;
    } else if let (Some(written), Some(present)) = (&done.written, &done.present) {
        writeln!(
            out,
            "ok {target}: checkpoint {} of {source}: {} entries: written {} files, {} bytes; there already {} files, {} bytes",
            done.checkpoint.unwrap_or_default(),
            done.entries.unwrap_or_default(),
            written.files,
            written.bytes,
            present.files,
            present.bytes
        )?;
    }
    out.flush()?;
    for OpaqueState { operator, state, class, is_skipped } in &opaque {
        let what = if *is_skipped { "left out" } else { "kept as bytes" };
        say(format_args!("opaque {operator}/{state}: {what}, as only {class} reads it"));
    }
    harms.iter().for_each(|harm| say(format_args!("{}", harm.within(source))));
    Ok(status.outcome())
}

/// What was done, and the states that cannot be read; or all that is wrong.
fn converted(args: &Args) -> Result<(Done, Vec<OpaqueState>), Vec<Harm>> {
    let failed = |error: Error| vec![Harm::of(&error)];
    let wrong = |message: &str| Err(failed(Error::new(ErrorKind::Retry, message)));
    let snapshot = args.flink.open(&args.source, args.pick.checkpoint()).map_err(failed)?;
    let version = args.flink_version.zip(args.max_parallelism);
    match (snapshot, version) {
        (Some(_), Some(_)) => wrong(
            "it is Flink's, and becomes one of esker's: --flink-version and --max-parallelism are for the way back \
             (esker rewrite changes Flink's own)",
        ),
        (Some(snapshot), None) => to_esker(args, &snapshot),
        (None, Some((version, max_parallelism))) => {
            let options = ToFlink { version, max_parallelism, parallelism: args.parallelism };
            Ok((from_esker(args, &options)?, Vec::new()))
        }
        (None, None) => {
            // What is no snapshot at all is told first.
            args.pick.whole(&args.source)?;
            wrong("it is esker's: --flink-version and --max-parallelism say what it is to become")
        }
    }
}

fn to_esker(args: &Args, snapshot: &FlinkSnapshot) -> Result<(Done, Vec<OpaqueState>), Vec<Harm>> {
    let Args { job, parallelism, skip_opaque, .. } = args;
    let options =
        FromFlink { job: job.clone(), parallelism: *parallelism, skip_opaque: *skip_opaque };
    let target = open_store(&args.target).map_err(|error| vec![Harm::of(&error)])?;
    let settings = args.transfers.settings();
    let bar = counted("entries");
    let tell = |entries| bar.inc(entries);
    let done = block_on(from_flink(snapshot, &options, &target, &settings, &tell));
    bar.finish_and_clear();
    let done = done.map_err(|error| vec![Harm::of_target(&error)])?;
    let WrittenSavepoint { manifest, entries, written, present } = done.written;
    let converted = Done {
        job: Some(manifest.job),
        checkpoint: Some(manifest.checkpoint),
        entries: Some(entries),
        written: Some(written.into()),
        present: Some(present.into()),
    };
    Ok((converted, done.opaque))
}

fn from_esker(args: &Args, options: &ToFlink) -> Result<Done, Vec<Harm>> {
    let snapshot = args.pick.whole(&args.source)?;
    let target = open_store(&args.target).map_err(|error| vec![Harm::of(&error)])?;
    let bar = counted("entries");
    let done = block_on(to_flink(snapshot, options, &target, &|entries| bar.inc(entries)));
    bar.finish_and_clear();
    let done = done.map_err(|error| vec![Harm::of_target(&error)])?;
    Ok(Done {
        job: None,
        checkpoint: Some(done.checkpoint.unsigned_abs()),
        entries: Some(done.entries),
        written: Some(done.written.into()),
        present: Some(done.present.into()),
    })
}
