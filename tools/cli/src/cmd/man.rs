//! `esker man`: manual pages of the tool and of each command.

use crate::outcome::{Outcome, say};
use clap::CommandFactory;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write manual pages
///
/// With a folder, a page for the tool and one for each command go into it, as esker.1, esker-dump.1
/// and so on; without one, the tool's own page goes to standard output.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker man | man -l -
  esker man ~/.local/share/man/man1; man esker-dump")]
pub(crate) struct Args {
    /// A folder, which is made if it is not there; pages of the same names are replaced
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Some(dir) = &args.dir else {
        clap_mangen::Man::new(crate::Cli::command()).render(out)?;
        return Ok(Outcome::Yes);
    };
    match written(dir) {
        Ok(()) => Ok(Outcome::Yes),
        Err(error) => {
            say(format_args!("unreadable {}: manual pages: {error}", dir.display()));
            Ok(Outcome::NotTried)
        }
    }
}

fn written(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(crate::Cli::command(), dir)
}
