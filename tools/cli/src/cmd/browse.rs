//! `esker browse`: a snapshot on a screen.

use super::{say_harms, say_refused};
use crate::browse::show;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Pick, part_harms, sizes};
use std::io::{self, IsTerminal};

/// Walk through a snapshot on a screen
///
/// From its operators to their states, from a state to its entries, and from an entry to all of its
/// value. Entries are read as they come into view, a screenful or two at a time. Nothing is changed.
/// Keys: arrows or h j k l to move, Enter to open, Esc to go back, / to go to a key, q to leave.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker browse /data/job                  its last completed checkpoint
  esker browse /data/job --checkpoint 7
  esker browse savepoint")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    pick: Pick,
    /// Show also what was expired when the snapshot was taken
    #[arg(long)]
    include_expired: bool,
}

pub(crate) fn run(args: &Args) -> io::Result<Outcome> {
    let snapshot = match args.pick.open(&args.snapshot) {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        say(format_args!(
            "browse needs a terminal; inspect, dump and get write to pipes and files"
        ));
        return Ok(Outcome::NotTried);
    }
    let (sizes, mut harms) = sizes(&snapshot);
    harms.extend(part_harms(&snapshot));
    harms.extend(show(&args.snapshot, &snapshot, sizes, args.include_expired)?);
    Ok(say_harms(&harms))
}
