//! `esker`: looks into and verifies the snapshots and files that esker writes.
//!
//! Standard output is data, standard error is talk. Exit codes: see [`outcome::Outcome`].
#![forbid(unsafe_code)]

mod bench;
mod browse;
mod cmd;
mod demo;
mod file;
mod flink;
mod load;
mod outcome;
mod page;
mod snapshot;

use clap::Parser;
use esker::store::{has_credentials, shown};
use outcome::Outcome;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

/// Look into and verify the snapshots and files that esker writes.
#[derive(Parser)]
#[command(name = "esker", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: cmd::Command,
}

const EXAMPLES: &str = "\
Examples:
  esker ls /data                    jobs, checkpoints and savepoints
  esker inspect /data/job           operators and states of the last checkpoint
  esker dump savepoint | jq .value  everything it holds, as lines of JSON
  esker get savepoint --operator delays --state late '\"UA\"'
  esker verify --json /data/job     one JSON object per snapshot or file
  esker copy /data/job /backup/job  its last checkpoint, where it stands alone
  esker diff before after           what two snapshots hold differently
  esker rewrite save new --rename-operator a=b
  esker load --like savepoint new < lines   a savepoint of lines as dump writes them
  esker browse savepoint            the same on a screen, to walk through
  esker bench                       what each backend makes of a workload

Exit codes:
  0  yes, or done
  1  the answer is no: different, damaged, newer than this esker, in the way, or not found
  2  could not be tried: no such file or folder, wrong arguments";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads any more is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // Commands name what they are about as it was given.
    if let Some(url) = std::env::args().find(|argument| has_credentials(argument)) {
        let url = shown(&url);
        outcome::say(format_args!(
            "{url}: a URL is no place for credentials: set them in the environment, AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY for one"
        ));
        return Outcome::NotTried.into();
    }
    // Not locked: the threads of the demo's job write lines of their own.
    let mut out = BufWriter::new(io::stdout());
    let done = cmd::run(cli.command, &mut out).and_then(|outcome| match out.flush() {
        // The answer is known, whoever reads no further.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(outcome),
    });
    match done {
        Ok(outcome) => outcome.into(),
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Outcome::Yes.into(),
        Err(error) => {
            outcome::say(format_args!("standard output: {error}"));
            Outcome::NotTried.into()
        }
    }
}
