//! `versus`: the rows of the budget, esker and its peers in one process, round by round in turn.
//!
//! A file per group of rows; a group measures what [`report::Report::wants`], and adds its rows.

mod candidates;
mod heap;
mod keys;
mod machine;
mod measure;
mod report;
mod restore;
mod snapshot;
mod undo;

use clap::Parser;
use report::Report;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "versus", about = "esker beside its peers, as ratios with target and verdict")]
struct Arguments {
    /// Only the rows named P or P.….
    #[arg(long, value_name = "P")]
    only: Vec<String>,
    /// Fewer rounds, never fewer entries.
    #[arg(long)]
    quick: bool,
    /// A JSON object per row.
    #[arg(long)]
    json: bool,
    /// Builds one table and prints the resident bytes per entry (started by heap.memory).
    #[arg(long, hide = true)]
    resident: Option<String>,
    /// Writes one snapshot and prints its peak of memory (started by snapshot.memory).
    #[arg(long, hide = true)]
    peak: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(what) = arguments.resident {
        return match heap::memory::resident(&what) {
            Ok(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            Err(message) => failed(&message),
        };
    }
    if let Some(what) = arguments.peak {
        return match snapshot::memory::peak(&what) {
            Ok(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            Err(message) => failed(&message),
        };
    }
    let mut report = Report::new(arguments.only, arguments.quick, arguments.json);
    for group in [heap::run, snapshot::run, restore::run, candidates::run] {
        if let Err(message) = group(&mut report) {
            return failed(&message);
        }
    }
    if report.finish() { ExitCode::SUCCESS } else { failed("no row has such a name") }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("versus: {message}");
    ExitCode::FAILURE
}
