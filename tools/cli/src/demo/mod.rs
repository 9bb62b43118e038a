//! `esker demo`: a job on real input that is killed again and again, and what that costs by each guarantee.

mod child;
mod coordinator;
mod event;
mod fate;
mod flights;
mod guarantee;
mod inbox;
mod job;
mod lane;
mod operators;
mod parent;
mod plan;
mod position;
mod recount;
mod report;
mod screen;
mod source;
mod subtask;
mod threads;
mod timely;
mod watch;
mod writer;

use crate::outcome::{Outcome, say};
use esker::checkpoint::read_log;
use esker::{Store, block_on};
use guarantee::{Guarantee, Verdict};
pub(crate) use job::BackendName;
#[cfg(not(feature = "rocksdb"))]
pub(crate) use job::no_rocksdb;
use parent::Runs;
use plan::Victim;
use recount::Recount;
use report::{Plain, Promise};
use screen::Live;
use std::io::{self, Write};
use std::path::PathBuf;
use tempfile::TempDir;

/// Run a job on real input, kill it again and again, and count what was lost or came twice
#[derive(clap::Args)]
#[command(
    long_about = "\
Runs a stream job over all departures from New York's airports in 2013, in a process of its own, \
with a checkpoint every 200 ms. It is killed at moments spread over the job, at least once each in \
an upload, a publish and a sweep if there are three kills or more, and goes on from its last \
completed checkpoint, once at another parallelism. At the end the file is counted again without \
esker's state, and compared with a savepoint of the job: with --mode exactly-once all states must be \
the same; otherwise rows that came twice, or were lost, are counted key by key, and must be those that \
the kills account for. On a terminal the run is drawn as it goes: throughput, state, checkpoints, kills; \
q leaves. With --engine timely it runs on timely dataflow, in several processes on this machine: one of \
them is killed, the others see that and end, and all start again, one fewer and one more in turn.",
    after_help = "\
Examples:
  esker demo
  esker demo --kills 30 --seed 7
  esker demo --mode at-least-once          what aligned barriers are for
  esker demo --mode none                   what checkpoints are for
  esker demo --kill coordinator --kill worker
  esker demo --engine timely --processes 3 --workers 2
  esker demo --dir /tmp/demo && esker ls /tmp/demo/job

Exit codes: 0 the states are what the mode promises, 1 they are not, 2 the job could not be run"
)]
pub(crate) struct Args {
    /// What runs the job
    #[arg(long, value_enum, default_value = "local")]
    engine: Engine,
    /// What becomes of each row when something is killed
    #[arg(long, value_enum, default_value = "exactly-once")]
    mode: Guarantee,
    /// What is killed; said more than once, in turn
    #[arg(long, value_enum, default_value = "process", value_delimiter = ',')]
    kill: Vec<Victim>,
    /// How often something is killed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    kills: u32,
    #[command(flatten)]
    timely: timely::Processes,
    /// What the moments of the kills are drawn from [default: by the clock, and printed]
    #[arg(long)]
    seed: Option<u64>,
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
    /// Write lines on a terminal too, where a screen is drawn otherwise
    #[arg(long)]
    plain: bool,
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

/// What a run is given, whatever engine runs it.
struct Prepared {
    recount: Recount,
    seed: u64,
    /// Where all that it leaves is, and the two parts of that.
    dir: String,
    job: String,
    savepoint: String,
    /// Rows a second.
    rate: u64,
    /// Removed when the run is over.
    local: TempDir,
}

impl Prepared {
    /// Looks at all of `args` that can be wrong, before anything is started.
    fn of(args: &Args) -> Result<Self, String> {
        #[cfg(not(feature = "rocksdb"))]
        if args.backend == BackendName::Rocksdb {
            return Err(no_rocksdb().to_string());
        }
        // A bad row is to be named here, and the rows must be known.
        let recount = recount::recount(args.input.as_deref())?;
        let dir = args.dir.clone().map_or_else(new_folder, Ok)?;
        let job = below(&dir, "job");
        check_new(&job)?;
        let local = tempfile::Builder::new().prefix("esker-demo-local-").tempdir();
        Ok(Self {
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            savepoint: args.savepoint.clone().unwrap_or_else(|| below(&dir, "savepoint")),
            rate: args.rate.unwrap_or((recount.rows / JOB_SECONDS).max(1)),
            local: local.map_err(|error| format!("no new folder for local state: {error}"))?,
            recount,
            dir,
            job,
        })
    }

    /// How to run it again, after `message`.
    fn failed(&self, message: &str) -> String {
        format!("{message} (seed {}, snapshots in {})", self.seed, self.dir)
    }

    /// The lines of the savepoint that it left.
    fn found(&self) -> Result<Vec<String>, String> {
        crate::snapshot::lines(&self.savepoint).map_err(|error| format!("the savepoint: {error}"))
    }
}

fn demo(args: &Args, out: &mut impl Write) -> Result<io::Result<Outcome>, String> {
    let prepared = Prepared::of(args)?;
    let Prepared { recount, seed, dir, job, savepoint, rate, local } = &prepared;
    let (seed, rows, talk) = (*seed, recount.rows, !args.json);
    if talk {
        let (mode, kills) = (args.mode, args.kills);
        say(format_args!("seed {seed}, {rows} rows, {mode}, {kills} kills, snapshots in {dir}"));
    }
    let runs = Runs {
        input: args.input.clone(),
        dir: job.clone(),
        savepoint: savepoint.clone(),
        rate: *rate,
        backend: args.backend,
        guarantee: args.mode,
        local: local.path().to_owned(),
        kills: plan::plan(seed, args.kills, rows, &args.kill, args.mode),
    };
    let story = if talk && !args.plain && screen::is_there() {
        let title = format!("{}, seed {seed}", args.mode);
        runs.run(&mut Live::open(title, rows, args.kills)?)
    } else {
        runs.run(&mut Plain::new(rows, args.kills, talk))
    };
    let story = story.map_err(|message| prepared.failed(&message))?;
    let verdict = Verdict::of(recount, &prepared.found()?)?;
    let promise = Promise { guarantee: args.mode, again: story.again()?, lost: story.lost };
    let shown = if args.json {
        report::json(out, seed, job, savepoint, &story, &promise, &verdict)
    } else {
        report::text(out, job, savepoint, &story, &promise, &verdict)
    };
    Ok(shown.map(|()| if promise.is_kept(&verdict) { Outcome::Yes } else { Outcome::No }))
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

fn new_folder() -> Result<String, String> {
    let folder = tempfile::Builder::new().prefix("esker-demo-").tempdir();
    let folder = folder.map_err(|error| format!("no new folder for the snapshots: {error}"))?;
    Ok(folder.keep().to_string_lossy().into_owned())
}

fn below(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}
