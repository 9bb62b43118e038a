//! `esker bench`: what each backend makes of a workload, for people who choose one.
//!
//! Each workload runs on each backend in a process of its own, one after the other, so that memory is
//! that of one run. A run fills the state, makes calls while checkpoints are written beside them, takes a
//! last checkpoint, and restores it.

mod backends;
mod checkpoints;
mod compare;
mod draw;
mod job;
mod machine;
mod parent;
mod probe;
mod report;
mod result;
mod settings;
mod subtask;
mod workload;

use crate::demo::BackendName;
use crate::outcome::{Outcome, say};
use result::{Report, VERSION};
use settings::{Distribution, Interval, Length, Settings, WorkloadName};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Measure what each backend makes of a workload, side by side
#[derive(clap::Args)]
#[command(
    long_about = "\
Fills states with entries, then makes calls on them, by default for ten seconds, while checkpoints \
are written beside them; takes a last checkpoint, and restores it. Each workload runs on each backend in a process of its own, \
one after the other.

Latencies are those of single calls, with no checkpoint under way (quiet) and from a capture until \
the checkpoint is complete. Reading the clock adds some tens of nanoseconds to each, which the \
output tells; nothing is subtracted. A call waits for no call before it, and while state is \
captured no call is made: that time is the checkpoint's `capture`. Operations per second count \
the time spent in calls and captures, not that of drawing keys. Files are read back from the \
system's cache if there is room: that is how fast a restore can be.

The workload `window` takes --entries as the number of keys, `nexmark` as the number of events \
that come before anything is measured, and draws keys and values by itself; neither takes \
--read-share.",
    after_help = "\
Examples:
  esker bench                                            values, on every backend of this build
  esker bench --backend heap,rocksdb --workload value,list,map,window,nexmark
  esker bench --entries 10m --value-size 500 --distribution zipf --memory 2G
  esker bench --read-share 0.9 --operations 1m --checkpoint-every 250k
  esker bench --json > before.json; …; esker bench --compare before.json --html after.html
  esker bench --from after.json --compare before.json    two earlier runs

Exit codes: 0 measured, 2 it could not be"
)]
pub(crate) struct Args {
    /// What holds the state [default: all backends of this build]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "BACKEND")]
    backend: Vec<BackendName>,
    /// What is asked of it
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "value",
        value_name = "WORKLOAD"
    )]
    workload: Vec<WorkloadName>,
    /// Values, list elements, map entries or keys: 200000, 200k, 3m
    #[arg(long, default_value = "1m", value_parser = settings::count)]
    entries: u64,
    /// Bytes of a key
    #[arg(long, default_value_t = 16, value_parser = key_size)]
    key_size: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 100, value_parser = value_size)]
    value_size: usize,
    /// Which keys are asked for
    #[arg(long, value_enum, default_value = "uniform")]
    distribution: Distribution,
    /// The part of operations that read
    #[arg(long, default_value = "0.5", value_parser = settings::share)]
    read_share: f64,
    /// From checkpoint to checkpoint: 2s, 500ms, a number of operations (100k), or never
    #[arg(long, default_value = "2s", value_parser = settings::interval, value_name = "INTERVAL")]
    checkpoint_every: Interval,
    /// How long to measure
    #[arg(long, default_value = "10", value_parser = settings::seconds, conflicts_with = "operations")]
    seconds: f64,
    /// How many operations to measure, in place of a time
    #[arg(long, value_parser = settings::count)]
    operations: Option<u64>,
    /// What keys, values and events are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Subtasks, each with a backend and a thread of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    parallelism: u32,
    /// RocksDB's budget of memory: 64M, 1G
    #[arg(long, default_value = "512M", value_parser = settings::bytes)]
    memory: u64,
    /// Where checkpoints go, and stay [default: a temporary folder]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where RocksDB keeps its databases meanwhile [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Write one JSON object with all figures
    #[arg(long)]
    json: bool,
    /// Write a page with plots, which needs no other file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show the differences from an earlier run, by what it wrote with --json
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Show an earlier run, by what it wrote with --json, and run nothing
    #[arg(long, value_name = "FILE.json", conflicts_with_all = MEASURED)]
    from: Option<PathBuf>,
    /// Be one run: its settings in JSON.
    #[arg(long, hide = true)]
    job: Option<String>,
}

/// What says how to measure.
const MEASURED: [&str; 15] = [
    "backend",
    "workload",
    "entries",
    "key_size",
    "value_size",
    "distribution",
    "read_share",
    "checkpoint_every",
    "seconds",
    "operations",
    "seed",
    "parallelism",
    "memory",
    "store",
    "local",
];

/// Keys and values are at most this long, in bytes.
const SIZE_MAX: usize = 1 << 20;

fn key_size(text: &str) -> Result<usize, String> {
    let range = draw::KEY_SIZE_MIN..=SIZE_MAX;
    let size = text.parse().ok().filter(|size| range.contains(size));
    size.ok_or_else(|| format!("{} to {SIZE_MAX} bytes", draw::KEY_SIZE_MIN))
}

fn value_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size));
    size.ok_or_else(|| format!("1 to {SIZE_MAX} bytes"))
}

/// Runs it, or shows what an earlier run measured.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let (report, old) = match bench(args, out) {
        Ok(Some(reports)) => reports,
        Ok(None) => return Ok(Outcome::Yes),
        Err(message) => {
            say(format_args!("bench: {message}"));
            return Ok(Outcome::NotTried);
        }
    };
    match args.json {
        true => crate::cmd::write_json_line(out, &report)?,
        false => report::text(out, &report)?,
    }
    if let Some(old) = &old {
        // With --json standard output holds one object, and the differences are talk.
        match args.json {
            true => compare::text(&mut io::stderr(), old, &report)?,
            false => compare::text(out, old, &report)?,
        }
    }
    if let Some(file) = &args.html
        && let Err(error) = fs::write(file, report::html(&report, old.as_ref()))
    {
        say(format_args!("bench: {}: {error}", file.display()));
        return Ok(Outcome::NotTried);
    }
    Ok(Outcome::Yes)
}

/// What is to be shown, and what it is to be compared with; nothing if this process was one run.
fn bench(args: &Args, out: &mut impl Write) -> Result<Option<(Report, Option<Report>)>, String> {
    if let Some(job) = &args.job {
        let job: job::Job = serde_json::from_str(job).map_err(|error| error.to_string())?;
        let run = job::run(&job).map_err(|error| error.to_string())?;
        crate::cmd::write_json_line(out, &run).map_err(|error| error.to_string())?;
        return Ok(None);
    }
    // Before anything is run: the file may be wrong.
    let old = args.compare.as_deref().map(read).transpose()?;
    let report = match &args.from {
        Some(file) => read(file)?,
        None => measure(args)?,
    };
    Ok(Some((report, old)))
}

fn measure(args: &Args) -> Result<Report, String> {
    let backends = backends(args).map_err(|error| error.to_string())?;
    let settings = Settings {
        entries: args.entries,
        key_size: args.key_size,
        value_size: args.value_size,
        distribution: args.distribution,
        read_share: args.read_share,
        checkpoint_every: args.checkpoint_every,
        length: args.operations.map_or(Length::Seconds(args.seconds), Length::Operations),
        seed: args.seed,
        parallelism: args.parallelism,
        memory: args.memory,
    };
    let machine = machine::machine();
    if !machine.optimized {
        say(format_args!("bench: built without --release: the figures mean nothing"));
    }
    let runs = parent::Runs {
        store: args.store.clone(),
        local: args.local.clone(),
        settings: &settings,
        talk: !args.json,
    };
    let mut done = Vec::new();
    for workload in unique(&args.workload) {
        for backend in &backends {
            done.push(runs.run(workload, *backend)?);
        }
    }
    let esker = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Report { version: VERSION, esker, machine, settings, runs: done })
}

/// The backends that are asked for, each once.
fn backends(args: &Args) -> esker::Result<Vec<BackendName>> {
    if args.backend.is_empty() {
        let rocksdb = cfg!(feature = "rocksdb").then_some(BackendName::Rocksdb);
        return Ok([BackendName::Heap].into_iter().chain(rocksdb).collect());
    }
    #[cfg(not(feature = "rocksdb"))]
    if args.backend.contains(&BackendName::Rocksdb) {
        return Err(crate::demo::no_rocksdb());
    }
    Ok(unique(&args.backend))
}

fn unique<T: Copy + PartialEq>(given: &[T]) -> Vec<T> {
    let mut unique = Vec::new();
    for one in given {
        if !unique.contains(one) {
            unique.push(*one);
        }
    }
    unique
}

/// What an earlier run wrote with `--json`.
fn read(file: &Path) -> Result<Report, String> {
    let at_file = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| at_file(&error))?;
    let version = serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|error| at_file(&error))?
        .get("version")
        .and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        let version = version.map_or("none".to_owned(), |version| version.to_string());
        let message = format!("version {version} of the figures, where this esker reads {VERSION}");
        return Err(at_file(&message));
    }
    serde_json::from_str(&text).map_err(|error| at_file(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small ones.
    pub(super) fn settings() -> Settings {
        Settings {
            entries: 300,
            key_size: 12,
            value_size: 20,
            distribution: Distribution::Uniform,
            read_share: 0.5,
            checkpoint_every: Interval::Operations(500),
            length: Length::Operations(2_000),
            seed: 1,
            parallelism: 1,
            memory: 16 << 20,
        }
    }
}
