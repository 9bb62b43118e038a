//! `esker dump`: the canonical lines of a snapshot.

mod flink;

use super::{Slice, progress, say_harms, say_refused};
use crate::flink::FlinkArgs;
use crate::load::Format;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Filter, Harm, Pick, each_line};
use esker::format::canonical::Line;
use esker::processor::Sorter;
use esker::processor::columnar::{Shapes, Writer, shapes};
use esker::processor::load::COLUMNS;
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind};
use std::io::{self, IsTerminal, Write};

/// Write the state that a snapshot holds as lines of JSON, as CSV or as Parquet
///
/// One line per value, list, map entry, timer and element of operator state, in snapshot order. What
/// is damaged is named, the rest is written all the same, and the exit code is 1; where a newer file
/// is damaged, older ones may say what they said before it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker dump /data/job | jq -c 'select(.key == \"UA\")'    its last completed checkpoint
  esker dump /data/job --checkpoint 7 --operator delays --state late
  esker dump /data/job --fallback                          the newest checkpoint that is sound
  esker dump --sorted before > a; esker dump --sorted after > b; diff a b
  esker dump --format csv --key-group 0..1023 savepoint
  esker dump --format parquet savepoint > all.parquet
  duckdb -c \"select operator, state, count(*) from 'all.parquet' group by all\"")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    pick: Pick,
    #[command(flatten)]
    slice: Slice,
    /// How to write it; CSV and Parquet have keys and values as JSON, and null as nothing; Parquet has numbers and
    /// booleans as what they are where all states have the same
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Write one JSON object per line, as is done in any case
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write also what was expired when the snapshot was taken
    #[arg(long)]
    include_expired: bool,
    /// Sort the lines by their bytes, as LC_ALL=C sort does: equal snapshots give equal output
    #[arg(long)]
    sorted: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> io::Result<Outcome> {
    let filter = args.slice.filter(args.include_expired);
    if args.format == Format::Parquet && io::stdout().is_terminal() {
        say(format_args!("Parquet is no text for a terminal: send it to a file, > all.parquet"));
        return Ok(Outcome::NotTried);
    }
    match args.flink.open(&args.snapshot, args.pick.checkpoint()) {
        Ok(None) => {}
        Ok(Some(snapshot)) => return flink::run(args, &snapshot, out),
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    }
    let snapshot = match args.pick.open(&args.snapshot) {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    if let Err(error) = filter.check(&snapshot) {
        return Ok(say_refused(&args.snapshot, &error));
    }
    let harms = match write_all(&snapshot, &filter, args, out)? {
        Ok(harms) => harms,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    out.flush()?;
    Ok(say_harms(&harms))
}

/// The outer error is one of writing, the inner one of the snapshot.
fn write_all(
    snapshot: &OpenSnapshot,
    filter: &Filter,
    args: &Args,
    out: &mut (impl Write + Send),
) -> io::Result<Result<Vec<Harm>, Error>> {
    let of_runs: u64 = snapshot.runs().iter().map(|run| run.entries).sum();
    let databases = snapshot.parts.iter().flatten().flatten().filter(|part| part.native.is_some());
    let of_databases: u64 =
        databases.flat_map(|part| &part.states).map(|state| state.entries).sum();
    let bar = progress(of_runs.saturating_add(of_databases), "entries");
    let shapes = shapes(filter.states_of(snapshot));
    let mut writer = Lines::new(args.format, &shapes, out)?;
    let mut sorter = args.sorted.then(Sorter::new);
    let mut failed = None;
    let mut each = |line: &str| {
        let written = match &mut sorter {
            Some(sorter) => sorter.add(line),
            None => writer.write(line),
        };
        written.map_err(|error| {
            failed = Some(error);
            Error::new(ErrorKind::Retry, "output ended")
        })
    };
    let harms = each_line(snapshot, filter, &mut |entries| bar.inc(entries), &mut each);
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(sorter) = sorter.filter(|_| harms.is_ok()) {
        sorter.finish(&mut |line| {
            writer.write(std::str::from_utf8(line).map_err(io::Error::other)?)
        })?;
    }
    writer.finish()?;
    Ok(harms)
}

/// Writes canonical lines in a format.
enum Lines<'a, W: Write + Send> {
    Jsonl(&'a mut W),
    Csv(Box<csv::Writer<&'a mut W>>),
    Parquet(Box<Writer<&'a mut W>>),
}

impl<'a, W: Write + Send> Lines<'a, W> {
    /// Columns of Parquet are of `shapes`.
    fn new(format: Format, shapes: &Shapes, out: &'a mut W) -> io::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS).map_err(of_csv)?;
                Self::Csv(Box::new(writer))
            }
            Format::Parquet => Self::Parquet(Box::new(Writer::new(out, shapes)?)),
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let parsed = || Line::parse(text).map_err(io::Error::other);
        match self {
            Self::Jsonl(out) => {
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")
            }
            Self::Csv(writer) => {
                let line = parsed()?;
                let json = [line.key, line.namespace, line.user_key, line.value, line.ttl];
                let json = json.map(|json| json.filter(|json| *json != "null").unwrap_or_default());
                let head = [&*line.operator, &*line.state, &*line.kind];
                writer.write_record(head.into_iter().chain(json)).map_err(of_csv)
            }
            Self::Parquet(writer) => writer.write(&parsed()?),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Csv(mut writer) => writer.flush(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}

/// The error below one of CSV: that a reader went away must be seen as that.
fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
