//! `esker dump`: the canonical lines of a snapshot.

use super::{Slice, progress, say_harms, say_refused};
use crate::load::{COLUMNS, Format};
use crate::outcome::Outcome;
use crate::snapshot::{Filter, Harm, Pick, each_line};
use esker::processor::Sorter;
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{self, Write};

/// Write the state that a snapshot holds as lines of JSON or as CSV
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
  esker dump --format csv --key-group 0..1023 savepoint")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    pick: Pick,
    #[command(flatten)]
    slice: Slice,
    /// How to write it; CSV has keys and values as JSON, and null as nothing
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
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let filter = args.slice.filter(args.include_expired);
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
    out: &mut impl Write,
) -> io::Result<Result<Vec<Harm>, Error>> {
    let of_runs: u64 = snapshot.runs().iter().map(|run| run.entries).sum();
    let databases = snapshot.parts.iter().flatten().flatten().filter(|part| part.native.is_some());
    let of_databases: u64 =
        databases.flat_map(|part| &part.states).map(|state| state.entries).sum();
    let bar = progress(of_runs.saturating_add(of_databases), "entries");
    let mut writer = Lines::new(args.format, out)?;
    let mut sorter = args.sorted.then(Sorter::new);
    let mut failed = None;
    let mut each = |line: &str| {
        let written = match &mut sorter {
            Some(sorter) => sorter.add(line),
            None => writer.write(line.as_bytes()),
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
        sorter.finish(&mut |line| writer.write(line))?;
    }
    writer.finish()?;
    Ok(harms)
}

/// Writes canonical lines in a format.
enum Lines<'a, W: Write> {
    Jsonl(&'a mut W),
    Csv(Box<csv::Writer<&'a mut W>>),
}

/// A canonical line, as the cells of a row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    operator: String,
    state: String,
    kind: &'a str,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    user_key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
}

impl<'a, W: Write> Lines<'a, W> {
    fn new(format: Format, out: &'a mut W) -> io::Result<Self> {
        if format == Format::Jsonl {
            return Ok(Self::Jsonl(out));
        }
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS).map_err(of_csv)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Jsonl(out) => {
                out.write_all(line)?;
                out.write_all(b"\n")
            }
            Self::Csv(writer) => {
                let row: Row<'_> = serde_json::from_slice(line)?;
                let text = |value: Option<&'_ RawValue>| {
                    value.map(RawValue::get).unwrap_or_default().to_owned()
                };
                let cells = [row.key, row.namespace, row.user_key, row.value, row.ttl].map(text);
                let head = [row.operator, row.state, row.kind.to_owned()];
                writer.write_record(head.into_iter().chain(cells)).map_err(of_csv)
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Csv(mut writer) => writer.flush(),
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
