//! `esker hold` and `esker release`: checkpoints that are not retired until someone says so.

use super::{say_refused, write_json_line};
use crate::outcome::{Outcome, say};
use crate::snapshot::find_job;
use esker::checkpoint::Attached;
use esker::{Error, ErrorKind, Store, block_on};
use serde::Serialize;
use std::io::{self, Write};

/// How often it is tried anew because the job got another owner.
const ATTEMPT_COUNT_MAX: usize = 8;

/// Keep a checkpoint until its hold is released
///
/// A held checkpoint is not retired, neither by its job nor by `esker expire`. The hold is a record in the job's log, and is
/// put beside a live job as well. A checkpoint may have several holds, by name; the same hold again changes nothing.
///
/// With `--json` one object: `job`, `checkpoint`, `hold`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker hold /data/job 7 --name audit
  esker ls --json /data/job | jq 'select(.holds != [])'")]
pub(crate) struct Args {
    /// A job's root; a path or URL
    #[arg(value_name = "URL")]
    url: String,
    /// The checkpoint's number
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: u64,
    /// The hold's name
    #[arg(long, value_name = "NAME", default_value = "manual")]
    name: String,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// End a hold of a job, so that its checkpoint is retired as others are
///
/// Exit code 1 if there is no hold of that name. With `--json` an object for each checkpoint that had it: `job`,
/// `checkpoint`, `hold`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker release /data/job audit
  esker release /data/job audit --checkpoint 7")]
pub(crate) struct ReleaseArgs {
    /// A job's root; a path or URL
    #[arg(value_name = "URL")]
    url: String,
    /// The hold's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Of this checkpoint alone, where several have it
    #[arg(long, value_name = "N")]
    checkpoint: Option<u64>,
    /// Write one JSON object per checkpoint
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    job: &'a str,
    checkpoint: u64,
    hold: &'a str,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { url, checkpoint, name, json } = args;
    let done = find_job(url).and_then(|(store, _)| {
        beside(&store, |attached| {
            let retained = attached.state().retained();
            if !retained.contains_key(checkpoint) {
                let retained: Vec<_> = retained.keys().collect();
                let message = format!("the job retains {retained:?}, not checkpoint {checkpoint}");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            block_on(attached.hold(*checkpoint, name))
        })
    });
    if let Err(error) = done {
        return Ok(say_refused(url, &error));
    }
    match json {
        true => write_json_line(out, &Report { job: url, checkpoint: *checkpoint, hold: name })?,
        false => writeln!(out, "{url}: checkpoint {checkpoint} is held as {name}")?,
    }
    Ok(Outcome::Yes)
}

pub(crate) fn release(args: &ReleaseArgs, out: &mut impl Write) -> io::Result<Outcome> {
    let ReleaseArgs { url, name, json, .. } = args;
    let done = find_job(url).and_then(|(store, _)| {
        let mut released = Vec::new();
        beside(&store, |attached| {
            let holds = attached.state().holds().iter().filter(|(_, names)| names.contains(name));
            let held: Vec<_> = holds.map(|(checkpoint, _)| *checkpoint).collect();
            let is_meant =
                |number: &u64| args.checkpoint.is_none_or(|checkpoint| *number == checkpoint);
            for checkpoint in held.into_iter().filter(is_meant) {
                block_on(attached.release(checkpoint, name))?;
                released.push(checkpoint);
            }
            Ok(())
        })?;
        Ok(released)
    });
    let released = match done {
        Ok(released) => released,
        Err(error) => return Ok(say_refused(url, &error)),
    };
    for checkpoint in &released {
        match json {
            true => {
                write_json_line(out, &Report { job: url, checkpoint: *checkpoint, hold: name })?
            }
            false => writeln!(out, "{url}: checkpoint {checkpoint} is no longer held as {name}")?,
        }
    }
    out.flush()?;
    if released.is_empty() {
        say(format_args!("absent {url}: no such hold: {name}"));
        return Ok(Outcome::No);
    }
    Ok(Outcome::Yes)
}

/// What `act` does in the job's log beside its owner, anew if that changes meanwhile.
///
/// # Errors
/// Those of `act` and of reading the log; `Retry` if the job got one owner after the other.
pub(super) fn beside<T>(
    store: &Store,
    mut act: impl FnMut(&mut Attached) -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 0..ATTEMPT_COUNT_MAX {
        let mut attached = block_on(Attached::open(store.clone()))?;
        match act(&mut attached) {
            Err(error) if error.kind() == ErrorKind::Fenced => {}
            done => return done,
        }
    }
    let message = "the job got one owner after the other meanwhile: try again";
    Err(Error::new(ErrorKind::Retry, message).at_path(store.to_string()))
}
