//! The commands, one file each.

mod completions;
mod dump_run;
mod inspect;
mod layout;
mod verify;

use crate::demo;
use crate::outcome::Outcome;
use clap::Subcommand;
use std::io::{self, Write};

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    DumpRun(dump_run::Args),
    Layout(layout::Args),
    Completions(completions::Args),
}

/// Runs `command`; an error is one of writing to `out`.
pub(crate) fn run(command: Command, out: &mut impl Write) -> io::Result<Outcome> {
    match command {
        Command::Demo(args) => demo::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::DumpRun(args) => dump_run::run(&args, out),
        Command::Layout(args) => layout::run(&args, out),
        Command::Completions(args) => completions::run(&args, out),
    }
}

/// Writes `value` as one line of JSON.
fn write_json_line(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
