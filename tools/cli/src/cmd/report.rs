//! `esker report`: a snapshot as one page.

mod figures;
mod history;
mod page;
mod treemap;

use super::{say_harms, say_refused};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Pick, part_harms, sizes};
use history::History;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Draw a snapshot as one page: where its bytes are, how they are spread, what its states are
///
/// The page shows sizes by operator and state as a treemap, skew over key groups, distributions of key and
/// value sizes, types, and the checkpoints that the job retains. It is one file, for any browser, without
/// scripts, and fetches nothing. Sizes are those that `du` tells, and no data is read; what is damaged is
/// named on the page, and exit code 1 says so.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker report /data/job --html job.html
  esker report savepoint --html savepoint.html && xdg-open savepoint.html")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    pick: Pick,
    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let opened = args.pick.find(&args.snapshot).and_then(|at| Ok((at.open()?, at)));
    let (snapshot, at) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    let (sizes, mut harms) = sizes(&snapshot);
    harms.extend(part_harms(&snapshot));
    let mut history = History::of(&at.store, snapshot.manifest.kind);
    // The snapshot's own stand in its history too.
    history.harms.retain(|harm| !harms.contains(harm));
    let page = page::page((&args.snapshot, &snapshot.manifest), &sizes, &history, &harms);
    if let Err(error) = fs::write(&args.html, page) {
        say(format_args!("{} {}: {error}", Status::Unreadable, args.html.display()));
        return Ok(Outcome::NotTried);
    }
    let states: usize = sizes.iter().map(|sizes| sizes.states.len()).sum();
    writeln!(
        out,
        "wrote {}: checkpoint {} of {}, {} operators, {states} states, {} checkpoints",
        args.html.display(),
        snapshot.manifest.checkpoint,
        snapshot.manifest.job,
        sizes.len(),
        history.checkpoints.len()
    )?;
    out.flush()?;
    harms.extend(history.harms);
    Ok(say_harms(&harms))
}
