//! `esker load`: canonical lines to a savepoint.

use super::copy::Files;
use super::{progress, write_json_line};
use crate::load::{Format, Origin, of_schema};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store, part_harms};
use clap::value_parser;
use esker::processor::load::{self, Bootstrap, ReadError, Template};
use esker::processor::{WrittenSavepoint, write_savepoint};
use esker::snapshot::SnapshotSettings;
use esker::{Error, ErrorKind, block_on};
use serde::Serialize;
use std::io::{self, Write};

/// Write a savepoint of the lines that dump writes, in any order
///
/// Operators, states, types, TTL and parallelism are those of the snapshot that `--like` names, its job's name
/// and checkpoint number too; of its entries none is taken. With `--schema` they are those of a file as `esker
/// schema` prints it: checkpoint 1, one subtask. DST becomes a savepoint, to be restored by any backend: so
/// `dump` of a snapshot, changed by any program, and `load` make a changed snapshot.
///
/// Lines are JSON, CSV or Parquet with the columns that `dump` writes. Those of Parquet may come in any order,
/// compressed by ZSTD, Snappy or not at all, as text (which is JSON), numbers or booleans; no digest guards
/// what is in them. Elements of operator state are dealt out to the subtasks one by one, in order of their
/// lines; broadcast state goes to every subtask, however often a line of it is there. The time of capture, by
/// which TTL is counted, is that of the snapshot: where a part of an operator with TTL cannot be read, nothing
/// is written; other parts that cannot be read are told. With `--schema` it is the latest time in the lines of
/// a state. What is sorted lies in a temporary folder (TMPDIR), with about the size of the savepoint, and so
/// does Parquet from a pipe; memory is bounded.
///
/// A line that does not fit is told with its number, the place in it, what was expected and what was found, ten
/// of them at most; so are lines of one key. Rows of Parquet are counted from 1 on. Nothing is written then
/// (exit code 1). A folder that holds another snapshot, or anything else, is refused; after an interruption the
/// same command writes what is missing.
///
/// With `--json` one object: `like` or `schema` (the other is null), `target`, `status` (`ok`, `refused`,
/// `damaged`, `absent`, `unreadable`), `problems` (`lines`, `column`, `message`) and `damage` as `verify` has
/// it, with status `ok` too where it is of parts of `--like` that were not needed. `job`, `checkpoint`,
/// `lines`, `entries`, `written` and `present`, the last two `{"files":…,"bytes":…}`, are null but where the
/// status is `ok`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker dump /data/job | jq -c 'select(.state != \"late\")' | esker load --like /data/job changed
  esker load --like old --parallelism 8 new lines.jsonl
  esker dump --format csv old > rows.csv && esker load --like old new rows.csv
  esker dump --format parquet old > old.parquet && esker load --like old new old.parquet
  esker schema old > schema.json && esker load --schema schema.json --job flights new lines.jsonl
  esker load --json --like old new < lines | jq '.problems[]'")]
pub(crate) struct Args {
    /// The snapshot that says what states there are: a folder, its _metadata, or a job's root; a path or URL
    #[arg(long, value_name = "SNAPSHOT", required_unless_present = "schema")]
    like: Option<String>,
    /// The schema file that says what states there are, as `esker schema` prints it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["like", "checkpoint", "fallback"])]
    schema: Option<String>,
    /// With --schema, the name of the job
    #[arg(long, value_name = "NAME", default_value = "loaded", conflicts_with = "like")]
    job: String,
    /// The savepoint's folder: empty, not there yet, or with what is there of the same savepoint; a path or URL
    #[arg(value_name = "DST")]
    target: String,
    /// The lines; - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
    #[command(flatten)]
    pick: Pick,
    /// How the lines are written; if not given, as the file's name ends (.csv, .parquet) or as they begin
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How many subtasks every operator has; as the snapshot if not given
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65536))]
    parallelism: Option<u32>,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    like: Option<&'a str>,
    schema: Option<&'a str>,
    target: &'a str,
    status: Status,
    job: Option<&'a str>,
    checkpoint: Option<u64>,
    lines: Option<u64>,
    entries: Option<u64>,
    written: Option<Files>,
    present: Option<Files>,
    problems: &'a [Problem],
    damage: &'a [Harm],
}

/// Something wrong with lines.
#[derive(Serialize)]
struct Problem {
    /// Their numbers; none if it is not of a line.
    lines: Vec<u64>,
    column: Option<u64>,
    message: String,
    /// All of it, for people.
    #[serde(skip)]
    text: String,
}

impl From<&load::Problem> for Problem {
    fn from(problem: &load::Problem) -> Self {
        let lines = problem.places.iter().map(|place| place.number).collect();
        let (column, message) = (problem.column, problem.message.clone());
        Self { lines, column, message, text: problem.to_string() }
    }
}

/// Why nothing was written.
enum Stop {
    Lines(Vec<Problem>),
    /// Of what was asked for by this name.
    Named(String, Harm),
    /// Parts of the snapshot that are needed cannot be read.
    Parts(Vec<Harm>),
}

/// What was done.
struct Loaded {
    lines: u64,
    written: WrittenSavepoint,
    /// Parts of the snapshot that cannot be read, of which nothing was needed.
    harms: Vec<Harm>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { like, schema, target, .. } = args;
    let none = Report {
        like: like.as_deref(),
        schema: schema.as_deref(),
        target,
        status: Status::Ok,
        job: None,
        checkpoint: None,
        lines: None,
        entries: None,
        written: None,
        present: None,
        problems: &[],
        damage: &[],
    };
    let (status, problems, name, damage) = match loaded(args) {
        Ok(Loaded { lines, written, harms }) => {
            let WrittenSavepoint { manifest, entries, written, present } = written;
            if args.json {
                let report = Report {
                    job: Some(&manifest.job),
                    checkpoint: Some(manifest.checkpoint),
                    lines: Some(lines),
                    entries: Some(entries),
                    written: Some(written.into()),
                    present: Some(present.into()),
                    damage: &harms,
                    ..none
                };
                write_json_line(out, &report)?;
            } else {
                let as_what = match (like, schema) {
                    (Some(like), _) => format!("as {like} has it"),
                    (None, schema) => {
                        format!(
                            "of {}, states as in {}",
                            manifest.job,
                            schema.as_deref().unwrap_or("-")
                        )
                    }
                };
                writeln!(
                    out,
                    "ok {target}: checkpoint {} {as_what}: {lines} lines, {entries} entries: \
                     written {} files, {} bytes; there already {} files, {} bytes",
                    manifest.checkpoint,
                    written.files,
                    written.len_bytes,
                    present.files,
                    present.len_bytes
                )?;
            }
            out.flush()?;
            let like = like.as_deref().unwrap_or_default();
            harms.iter().for_each(|harm| say(format_args!("{}", harm.within(like))));
            return Ok(Outcome::Yes);
        }
        Err(Stop::Lines(problems)) => (Status::Refused, problems, String::new(), Vec::new()),
        Err(Stop::Named(name, harm)) => (harm.status, Vec::new(), name, vec![harm]),
        Err(Stop::Parts(harms)) => {
            let status = Harm::worst(&harms).unwrap_or(Status::Damaged);
            (status, Vec::new(), like.clone().unwrap_or_default(), harms)
        }
    };
    if args.json {
        write_json_line(out, &Report { status, problems: &problems, damage: &damage, ..none })?;
        out.flush()?;
    }
    let file = name_of(args);
    problems.iter().for_each(|problem| say(format_args!("{status} {file}: {}", problem.text)));
    damage.iter().for_each(|harm| say(format_args!("{}", harm.within(&name))));
    Ok(status.outcome())
}

fn loaded(args: &Args) -> Result<Loaded, Stop> {
    let of_temp =
        |error: Error| Stop::Named(std::env::temp_dir().display().to_string(), Harm::of(&error));
    let of_target = |error: Error| Stop::Named(args.target.clone(), Harm::of_target(&error));
    let (template, harms) = template(args)?;
    let ended = |ended| stop(args, ended);
    let origin = Origin::open(&args.file, args.format).map_err(ended)?;
    let mut bootstrap = Bootstrap::new(&template, args.parallelism).map_err(of_temp)?;
    origin.read(&mut bootstrap).map_err(ended)?;
    let sorted = bootstrap.finish().map_err(of_temp)?;
    if !sorted.problems().is_empty() {
        return Err(Stop::Lines(sorted.problems().iter().map(Problem::from).collect()));
    }
    let (lines, sources) = (sorted.count(), sorted.sources().map_err(of_temp)?);
    let target = open_store(&args.target).map_err(of_target)?;
    let (manifest, settings) = (template.manifest().clone(), SnapshotSettings::default());
    let bar = progress(lines, "entries");
    let tell = |entries| bar.inc(entries);
    let written = block_on(write_savepoint(&target, manifest, sources, &settings, &tell));
    bar.finish_and_clear();
    Ok(Loaded { lines, written: written.map_err(of_target)?, harms })
}

/// What to load into, and the parts of the snapshot that cannot be read.
fn template(args: &Args) -> Result<(Template, Vec<Harm>), Stop> {
    let named = |name: &str, error: Error| Stop::Named(name.to_owned(), Harm::of(&error));
    if let Some(schema) = &args.schema {
        let template = of_schema(schema, &args.job);
        return Ok((template.map_err(|error| named(schema, error))?, Vec::new()));
    }
    let like = args.like.as_deref().unwrap_or_default();
    let snapshot = args.pick.open(like).map_err(|error| named(like, error))?;
    let harms = part_harms(&snapshot);
    // When states with TTL were captured stands in the parts, and nowhere else.
    let mut of_parts = snapshot.manifest.operators.iter().zip(&snapshot.parts);
    if of_parts.any(|(operator, parts)| {
        parts.iter().any(Option::is_none) && operator.states.iter().any(|s| s.ttl.is_some())
    }) {
        return Err(Stop::Parts(harms));
    }
    let template = Template::of_snapshot(snapshot).map_err(|error| named(like, error))?;
    Ok((template, harms))
}

/// Why nothing was written, of why reading ended.
fn stop(args: &Args, ended: ReadError) -> Stop {
    match ended {
        // Columns that are not those of lines are a problem as lines are that do not fit.
        ReadError::Input(error) if error.kind() == ErrorKind::Unsupported => {
            let (message, text) = (error.to_string(), error.to_string());
            Stop::Lines(vec![Problem { lines: Vec::new(), column: None, message, text }])
        }
        ReadError::Input(error) => Stop::Named(name_of(args), Harm::of(&error)),
        ReadError::Folder(error) => {
            Stop::Named(std::env::temp_dir().display().to_string(), Harm::of(&error))
        }
    }
}

/// What the lines' file is called.
fn name_of(args: &Args) -> String {
    if args.file == "-" { "standard input".to_owned() } else { args.file.clone() }
}
