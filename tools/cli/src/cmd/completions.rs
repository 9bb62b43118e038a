//! `esker completions`: a script that completes commands and options in a shell.

use crate::outcome::Outcome;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};

/// Write completions for a shell
#[derive(clap::Args)]
#[command(after_help = "Example:\n  source <(esker completions bash)")]
pub(crate) struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    // By way of a buffer, as the generator panics where writing fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "esker", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Yes)
}
