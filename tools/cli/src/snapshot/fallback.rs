//! The newest checkpoint of a job that is sound, for who asked to go back where the last one is not.

use super::check::Checker;
use super::find::{Found, SnapshotAt, find, find_snapshot};
use super::harm::Harm;
use super::lines::part_harms;
use crate::outcome::say;
use esker::checkpoint::Fallback;
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind, block_on};

/// Which checkpoint of a job is meant.
#[derive(Default, clap::Args)]
pub(crate) struct Pick {
    /// Of a job, this checkpoint instead of the last one
    #[arg(long, value_name = "N")]
    checkpoint: Option<u64>,
    /// Of a job, the newest checkpoint that is sound: all of it is verified first, and what is passed
    /// over is named
    #[arg(long, conflicts_with = "checkpoint")]
    fallback: bool,
}

impl Pick {
    /// The snapshot that `argument` names.
    ///
    /// # Errors
    /// Those of [`find_snapshot`]; with `--fallback` `Invalid` if it names no job's root, and `Corrupt`
    /// if no checkpoint is sound.
    pub(crate) fn find(&self, argument: &str) -> Result<SnapshotAt, Error> {
        match self.fallback {
            true => find_sound(argument),
            false => find_snapshot(argument, self.checkpoint),
        }
    }

    /// The checkpoint that is asked for by number.
    pub(crate) fn checkpoint(&self) -> Option<u64> {
        self.checkpoint
    }

    /// The same, opened.
    ///
    /// # Errors
    /// As for [`find`](Self::find), and those of opening it.
    pub(crate) fn open(&self, argument: &str) -> Result<OpenSnapshot, Error> {
        self.find(argument)?.open()
    }

    /// The same, if each of its parts can be read.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and what is wrong with parts.
    pub(crate) fn whole(&self, argument: &str) -> Result<OpenSnapshot, Vec<Harm>> {
        let snapshot = self.open(argument).map_err(|error| vec![Harm::of(&error)])?;
        match snapshot.damage.is_empty() {
            true => Ok(snapshot),
            false => Err(part_harms(&snapshot)),
        }
    }
}

fn find_sound(argument: &str) -> Result<SnapshotAt, Error> {
    let invalid = |message: &str| Error::new(ErrorKind::Invalid, message).at_path(argument);
    let Found::Job(store, log) = find(argument)? else {
        return Err(invalid("--fallback goes back over the checkpoints of a job: name its root"));
    };
    let log = log?;
    let (mut fallback, mut checker) = (Fallback::new(&log), Checker::default());
    while let Some((checkpoint, _)) = block_on(fallback.next(&store))? {
        let at = SnapshotAt::retained(&store, &log);
        let of_it = log.retained().keys().position(|number| *number == checkpoint);
        let Some(at) = of_it.and_then(|number| at.into_iter().nth(number)) else { continue };
        let checked = checker.check(&at, &|_| ())?;
        match checked.harms.first() {
            Some(harm) => fallback.skip(checkpoint, harm.to_error())?,
            None => {
                for skipped in fallback.skipped() {
                    say(format_args!("skipped checkpoint {}: {}", skipped.checkpoint, skipped.why));
                }
                return Ok(at);
            }
        }
    }
    Err(invalid("the job has no checkpoint"))
}
