//! `esker verify`: whether files are, to the last bit, what esker wrote.

use super::write_json_line;
use crate::file;
use crate::outcome::{Outcome, Problem, Status, say};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Check every digest, key and count of files
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker verify shared/*.run
  esker verify --json claim.log | jq .status")]
pub(crate) struct Args {
    /// Runs and sealed files, in any mixture
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write one JSON object per file
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: Option<&'static str>,
    error: Option<&'a Problem>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let mut worst = Outcome::Yes;
    for path in &args.files {
        let name = path.to_string_lossy();
        let (kind, problem) = match file::open(path) {
            Ok(content) => (Some(content.kind()), None),
            Err(problem) => (None, Some(problem)),
        };
        let status = problem.as_ref().map_or(Status::Ok, |problem| problem.status);
        worst = worst.max(status.outcome());
        if args.json {
            let report = Report { file: &name, status, kind, error: problem.as_ref() };
            write_json_line(out, &report)?;
        }
        match &problem {
            Some(problem) if status == Status::Unreadable => {
                say(format_args!("{status} {name}: {problem}"))
            }
            _ if args.json => {}
            Some(problem) => writeln!(out, "{status} {name}: {problem}")?,
            None => writeln!(out, "{status} {name} {}", kind.unwrap_or_default())?,
        }
    }
    Ok(worst)
}
