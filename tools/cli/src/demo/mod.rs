//! `esker demo`: a job on real input that is killed again and again, and loses nothing.

mod coordinator;
mod event;
mod flights;
mod job;
mod operators;
mod parent;
mod plan;
mod recount;
mod report;
mod source;
mod subtask;
mod timely;
mod watch;

use crate::outcome::{Outcome, say};
use esker::checkpoint::read_log;
use esker::{Store, block_on};
pub(crate) use job::BackendName;
#[cfg(not(feature = "rocksdb"))]
pub(crate) use job::no_rocksdb;
use parent::{Killed, Runs};
use recount::Recount;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

/// Run a job on real input, kill it again and again, and check that nothing was lost
#[derive(clap::Args)]
#[command(
    long_about = "\
Runs a stream job over all departures from New York's airports in 2013, in a process of its own, \
with a checkpoint every 200 ms. That process is killed (SIGKILL) at moments spread over the job, \
at least once each in an upload, a publish and a sweep if there are three kills or more, and \
started again from its last completed checkpoint, once at another parallelism. With --engine \
timely it runs on timely dataflow, in several processes on this machine: one of them is killed, \
the others see that and end, and all start again, one fewer and one more in turn. At the end the \
file is counted again without esker's state, and compared with a savepoint of the job.",
    after_help = "\
Examples:
  esker demo
  esker demo --kills 30 --seed 7
  esker demo --engine timely --processes 3 --workers 2
  esker demo --dir /tmp/demo && esker ls /tmp/demo/job

Exit codes: 0 all states agree, 1 they differ, 2 the job could not be run"
)]
pub(crate) struct Args {
    /// What runs the job
    #[arg(long, value_enum, default_value = "local")]
    engine: Engine,
    #[command(flatten)]
    timely: timely::Processes,
    /// What the moments of the kills are drawn from [default: by the clock, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How often the job is killed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    kills: u32,
    /// Rows per second [default: the job lasts some ten seconds]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Another file of the same columns, .csv or .csv.zst
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to keep the snapshots [default: a new folder, printed]
    #[arg(long, value_name = "URL")]
    dir: Option<String>,
    /// Where to write the savepoint [default: `savepoint` in that folder]
    #[arg(long, value_name = "URL")]
    savepoint: Option<String>,
    /// What holds the job's keyed state
    #[arg(long, value_enum, default_value = "heap")]
    backend: BackendName,
    /// Write one JSON object with the outcome
    #[arg(long)]
    json: bool,
    /// Be the job: its settings in JSON.
    #[arg(long, hide = true, conflicts_with_all = ["seed", "kills", "rate", "input", "dir"])]
    job: Option<String>,
}

/// What runs a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// One process: threads, and channels between them
    Local,
    /// Timely dataflow: many workers, in many processes
    Timely,
}

/// The default rate makes a job last so long without kills.
const JOB_SECONDS: u64 = 10;

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    if let Some(job) = &args.job {
        return Ok(match job::run(job) {
            Ok(()) => Outcome::Yes,
            Err(error) => {
                say(format_args!("the job failed: {error}"));
                Outcome::No
            }
        });
    }
    if let Some(process) = &args.timely.process {
        return Ok(match timely::process(process) {
            Ok(()) => Outcome::Yes,
            Err(error) => {
                say(format_args!("the process failed: {error}"));
                Outcome::No
            }
        });
    }
    let demo = match args.engine {
        Engine::Local => demo,
        Engine::Timely => timely::demo,
    };
    match demo(args, out) {
        Ok(outcome) => outcome,
        Err(message) => {
            say(format_args!("demo: {message}"));
            Ok(Outcome::NotTried)
        }
    }
}

fn demo(args: &Args, out: &mut impl Write) -> Result<io::Result<Outcome>, String> {
    #[cfg(not(feature = "rocksdb"))]
    if args.backend == BackendName::Rocksdb {
        return Err(no_rocksdb().to_string());
    }
    // Before anything is started: a bad row is to be named here, and the rows must be known.
    let Recount { rows, lines: expected } = recount::recount(args.input.as_deref())?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => new_folder()?,
    };
    let savepoint = args.savepoint.clone().unwrap_or_else(|| below(&dir, "savepoint"));
    let job = below(&dir, "job");
    check_new(&job)?;
    let talk = !args.json;
    if talk {
        say(format_args!("seed {seed}, {rows} rows, {} kills, snapshots in {dir}", args.kills));
    }
    let local = tempfile::Builder::new().prefix("esker-demo-local-").tempdir();
    let local = local.map_err(|error| format!("no new folder for local state: {error}"))?;
    let bar = report::bar(rows, talk);
    let runs = Runs {
        input: args.input.clone(),
        dir: job.clone(),
        savepoint: savepoint.clone(),
        rate: args.rate.unwrap_or((rows / JOB_SECONDS).max(1)),
        backend: args.backend,
        local: local.path().to_owned(),
        kills: plan::plan(seed, args.kills, rows),
        on_row: &|row| bar.set_position(row),
        on_kill: &|number, killed: &Killed| {
            if talk {
                bar.suspend(|| report::kill(number, args.kills, killed));
            }
        },
    };
    let story = runs.run();
    bar.finish_and_clear();
    let story = story.map_err(|message| format!("{message} (seed {seed}, snapshots in {dir})"))?;
    let found =
        crate::snapshot::lines(&savepoint).map_err(|error| format!("the savepoint: {error}"))?;
    let difference = first_difference(&expected, &found);
    let agree = difference.is_none();
    let shown = if args.json {
        report::json(out, seed, &job, &savepoint, &story, difference.as_deref())
    } else {
        report::text(out, &job, &savepoint, &story, found.len(), difference.as_deref())
    };
    Ok(shown.map(|()| if agree { Outcome::Yes } else { Outcome::No }))
}

/// Refuses a folder that holds a job: its rows would count twice.
fn check_new(job: &str) -> Result<(), String> {
    let log = Store::open(job).and_then(|store| block_on(read_log(&store)));
    match log {
        Ok(log) if log.claim().is_none() => Ok(()),
        Ok(_) => Err(format!("there is a job in {job} already: choose another --dir")),
        Err(error) => Err(error.to_string()),
    }
}

/// The first line, in byte order, that only one side has.
fn first_difference(expected: &BTreeSet<String>, found: &[String]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let twice = found.iter().find(|line| !seen.insert(line.as_str()));
    if let Some(line) = twice {
        return Some(format!("twice in the savepoint: {line}"));
    }
    let missing = expected.iter().find(|line| !seen.contains(line.as_str()));
    let extra = seen.iter().find(|line| !expected.contains(**line));
    match (missing, extra) {
        (None, None) => None,
        (Some(missing), None) => Some(format!("not in the savepoint: {missing}")),
        (None, Some(extra)) => Some(format!("only in the savepoint: {extra}")),
        (Some(missing), Some(extra)) => {
            Some(format!("not in the savepoint: {missing}\nonly in the savepoint: {extra}"))
        }
    }
}

fn new_folder() -> Result<String, String> {
    let folder = tempfile::Builder::new().prefix("esker-demo-").tempdir();
    let folder = folder.map_err(|error| format!("no new folder for the snapshots: {error}"))?;
    Ok(folder.keep().to_string_lossy().into_owned())
}

fn below(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}
