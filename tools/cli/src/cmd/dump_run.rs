//! `esker dump-run`: every entry of a run, as a line of JSON.

use super::write_json_line;
use crate::file::{self, Line};
use crate::outcome::{Outcome, Problem, say};
use esker_format::FormatError;
use esker_format::run::RunReader;
use std::io::{self, Write};
use std::path::PathBuf;

/// Write every entry of a run as a line of JSON, bytes in hexadecimal
///
/// Of a damaged run, the entries before the damage are written, and the exit code is 1.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  esker dump-run 7-0.run | jq -c 'select(.state == 1)'")]
pub(crate) struct Args {
    /// A run
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let dumped = file::read(&args.file).and_then(|bytes| Ok(dump(&bytes, out)?));
    match dumped {
        Ok(written) => written.map(|()| Outcome::Yes),
        Err(problem) => {
            // What was found comes before what is wrong.
            out.flush()?;
            let Problem { status, .. } = problem;
            say(format_args!("{status} {}: {problem}", args.file.display()));
            Ok(status.outcome())
        }
    }
}

/// The outer error is the run's, the inner one that of writing.
fn dump(bytes: &[u8], out: &mut impl Write) -> Result<io::Result<()>, FormatError> {
    let reader = RunReader::open_file(bytes)?;
    let mut written = Ok(());
    file::for_each_block(&reader, bytes, |block| {
        if written.is_err() {
            return Ok(());
        }
        block.for_each(|entry| {
            let line = Line::of(entry)?;
            if written.is_ok() {
                written = write_json_line(out, &line);
            }
            Ok(())
        })
    })?;
    Ok(written)
}
