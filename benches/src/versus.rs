//! `versus`: the rows of the budget, esker and its peers in one process, round by round in turn.
//!
//! A file per group of rows; a group measures what `Report::wants`, and adds its rows.

use crate::report::Report;
use crate::{candidates, flink, heap, restore, rocksdb, snapshot, tool};
use clap::Parser;
use std::path::PathBuf;
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
    /// The folder of `flink.sh` and `bench/`: Flink's rows are asked of a real one.
    #[arg(long, value_name = "DIR")]
    flink_lab: Option<PathBuf>,
    /// Builds one table and prints the resident bytes per entry (started by heap.memory).
    #[arg(long, hide = true)]
    resident: Option<String>,
    /// Writes one snapshot and prints its peak of memory (started by snapshot.memory).
    #[arg(long, hide = true)]
    peak: Option<String>,
    /// Grows a state in RocksDB and prints its peak of memory (started by rocksdb.memory).
    #[arg(long, hide = true)]
    rocksdb_peak: Option<String>,
}

/// Measures one thing in a process of its own.
type Alone = fn(&str) -> Result<f64, String>;

/// What the command line asks for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let alone: [(Option<String>, Alone); 3] = [
        (arguments.resident, heap::memory::resident),
        (arguments.peak, snapshot::memory::peak),
        (arguments.rocksdb_peak, rocksdb::memory::peak),
    ];
    for (what, measure) in alone {
        let Some(what) = what else { continue };
        return match measure(&what) {
            Ok(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            Err(message) => failed(&message),
        };
    }
    let mut report = Report::new(arguments.only, arguments.quick, arguments.json);
    let groups = [heap::run, snapshot::run, restore::run, rocksdb::run, tool::run, candidates::run];
    let mut asked = groups.into_iter().try_for_each(|group| group(&mut report));
    if asked.is_ok() {
        asked = flink::run(&mut report, arguments.flink_lab.as_deref());
    }
    // What was measured before something failed is still worth a look.
    match (report.finish(), asked) {
        (true, Ok(())) => ExitCode::SUCCESS,
        (false, Ok(())) => failed("no row has such a name"),
        (_, Err(message)) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("versus: {message}");
    ExitCode::FAILURE
}
