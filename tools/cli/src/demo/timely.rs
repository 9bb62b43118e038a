//! `esker demo --engine timely`: the same job on timely dataflow, in several processes of which one is killed, again
//! and again; all start again then, as many of them or more or fewer.

mod event;
mod job;
mod parent;
mod plan;

pub(super) use job::process;

use super::Prepared;
use super::guarantee::{Guarantee, first_difference};
use super::plan::Victim;
use crate::outcome::{Outcome, say};
use parent::{Killed, Runs, Story};
use serde_json::json;
use std::io::{self, Write};

/// What the engine timely is asked for.
#[derive(clap::Args)]
pub(super) struct Processes {
    /// With --engine timely: how many processes run the job
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    processes: u32,
    /// With --engine timely: how many workers each of them has
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Be one of these processes: its settings in JSON.
    #[arg(long = "timely-process", hide = true)]
    pub(super) process: Option<String>,
}

/// What it does not know.
const ONLY: &str = "--engine timely counts exactly once, and processes are what is killed: --mode and --kill \
                    are for --engine local";

/// Runs the job to its end, kills included, and compares what it left with a recount.
///
/// # Errors
/// If it cannot be run.
pub(super) fn demo(
    args: &super::Args,
    out: &mut impl Write,
) -> Result<io::Result<Outcome>, String> {
    if args.mode != Guarantee::ExactlyOnce || args.kill != [Victim::Process] {
        return Err(ONLY.to_owned());
    }
    let prepared = Prepared::of(args)?;
    let Prepared { recount, seed, dir, job, savepoint, rate, local } = &prepared;
    let (seed, rows) = (*seed, recount.rows);
    let Processes { processes, workers, .. } = args.timely;
    let (talk, kills) = (!args.json, args.kills);
    if talk {
        say(format_args!(
            "seed {seed}, {rows} rows, {processes} processes of {workers} workers, {kills} kills, \
             snapshots in {dir}"
        ));
    }
    let runs = Runs {
        input: args.input.clone(),
        dir: job.clone(),
        savepoint: savepoint.clone(),
        rate: *rate,
        backend: args.backend,
        local: local.path().to_owned(),
        workers,
        plan: plan::plan(seed, kills, rows, processes),
        on_kill: &|number, killed: &Killed| {
            if talk {
                say(format_args!("kill {number} of {kills}: {killed}"));
            }
        },
    };
    let story = runs.run().map_err(|message| prepared.failed(&message))?;
    let found = prepared.found()?;
    let difference = first_difference(&recount.lines, &found);
    let places = (job.as_str(), savepoint.as_str());
    let shown = match args.json {
        true => show_json(out, seed, places, &story, difference.as_deref()),
        false => show(out, places, &story, found.len(), difference.as_deref()),
    };
    Ok(shown.map(|()| if difference.is_none() { Outcome::Yes } else { Outcome::No }))
}

fn show(
    out: &mut impl Write,
    (job, savepoint): (&str, &str),
    story: &Story,
    lines: usize,
    difference: Option<&str>,
) -> io::Result<()> {
    for (checkpoint, why) in &story.aborted {
        writeln!(out, "checkpoint {checkpoint} was given up: {why}")?;
    }
    let (rows, kills, completed) = (story.rows, story.kills.len(), story.completed);
    writeln!(out, "{rows} rows, {kills} kills, {completed} checkpoints completed")?;
    writeln!(out, "job        {job}\nsavepoint  {savepoint}")?;
    match difference {
        None => writeln!(out, "all states agree with the recount: {lines} lines, exactly once"),
        Some(difference) => writeln!(out, "the states DIFFER from the recount:\n{difference}"),
    }
}

fn show_json(
    out: &mut impl Write,
    seed: u64,
    (job, savepoint): (&str, &str),
    story: &Story,
    difference: Option<&str>,
) -> io::Result<()> {
    let kills = story.kills.iter().map(|killed| {
        json!({
            "row": killed.row,
            "process": killed.process,
            "processes": killed.processes,
            "resumedFrom": killed.resumed.map(|(checkpoint, _)| checkpoint),
            "resumedAtRow": killed.resumed.map(|(_, row)| row),
            "resumedProcesses": killed.resumed_processes,
        })
    });
    let whole = json!({
        "seed": seed,
        "engine": "timely",
        "rows": story.rows,
        "job": job,
        "savepoint": savepoint,
        "kills": kills.collect::<Vec<_>>(),
        "checkpoints": story.completed,
        "agree": difference.is_none(),
        "difference": difference,
    });
    writeln!(out, "{whole}")
}
