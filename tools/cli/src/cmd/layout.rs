//! `esker layout`: every field of a file with its offset.

use super::write_json_line;
use crate::file;
use crate::outcome::{Outcome, say};
use esker_format::layout;
use std::io::{self, Write};
use std::path::PathBuf;

/// Show what lies where in a file, damaged or not
///
/// One line for each field: offset and length in bytes, its name, what it says. What is wrong comes
/// behind them, and the exit code is then 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker layout 7-0.run
  esker layout --json _metadata | jq -c '.fields[] | select(.name == \"parts\")'")]
pub(crate) struct Args {
    /// A run, part, manifest or log record
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let bytes = match file::read(&args.file) {
        Ok(bytes) => bytes,
        Err(problem) => {
            let status = problem.status;
            say(format_args!("{status} {}: {problem}", args.file.display()));
            return Ok(status.outcome());
        }
    };
    let layout = layout::describe(&bytes);
    if args.json {
        write_json_line(out, &layout)?;
    } else {
        write!(out, "{layout}")?;
    }
    Ok(if layout.problems.is_empty() { Outcome::Yes } else { Outcome::No })
}
