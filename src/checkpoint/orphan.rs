//! Which files of a job nothing needs, judged without I/O by whoever does not own it.
//!
//! Why what is judged to go may go at any later time, whoever owns the job by then (I6). Let the log have
//! been read up to some record, with generation `g` as its owner:
//!
//! - A *condemned* name is never referenced again, by the protocol: a publish that names one is refused for
//!   as long as records tell that it is condemned, and a base forgets it only after its owner deleted it,
//!   when no retained checkpoint reaches it.
//! - An *orphan* is a file of a generation below `g` that no retained checkpoint reaches. A checkpoint names
//!   only files that were written for it, under the generation of the owner that publishes it, and files that
//!   a retained checkpoint reaches at that time. Owners below `g` are fenced: their publish records that
//!   come after `g`'s claim do not count, and those that came before it have been read. So every publish to come
//!   is by `g` or above: what it names of lower generations is reached by one that is retained already.
//!   Hence the set of such files that retained checkpoints reach never grows, and who reads the log late,
//!   deletes late, or deletes while a new owner claims the job, deletes what was not in that set. This needs
//!   that nobody but an owner gives up a checkpoint whose files are not all condemned with it:
//!   [`Attached::retire`](super::Attached::retire) refuses to. A new owner's claim between only makes `g`
//!   lower than it could be: less is judged to go.
//! - A file of generation `g` that nobody names may be in flight, and only its owner knows. One of a higher
//!   generation is newer than the log as it was read. Both stay.
//! - A record below the newest *base* is ignored by every reader, so that it may go late and in any order. What a
//!   base leaves out of older records is what was retired, and is still unnamed by the argument above:
//!   a condemned name that it forgets has become an orphan, or is gone.
//!
//! While a retained checkpoint cannot be read, it may reach any file: only what is condemned goes.

use super::log::{LogState, References, Refusal, Sequence};
use super::place::Place;
use crate::format::RelativeName;
use crate::format::record::{Decision, Record};
use std::collections::BTreeMap;

/// What is to be thought of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// A record of the log that counts, or may come to.
    Record,
    /// Retained checkpoints reach it: so many.
    Reached(usize),
    /// A file that nobody names, of the generation that owns the job, or of one that has claimed it since the
    /// log was read: its owner knows whether it is in flight.
    Owners {
        /// The generation.
        generation: u64,
    },
    /// A file of an older generation that no checkpoint reaches which can be read, but there is one that
    /// cannot be.
    Undecided {
        /// The generation.
        generation: u64,
    },
    /// None of esker's.
    Foreign,
    /// A record below the newest base, or one that was half-written and whose number is taken.
    Superseded,
    /// A record condemned it; of names that a base took over, the base.
    Condemned {
        /// The record.
        by: Sequence,
    },
    /// No retained checkpoint reaches it, and none ever will: its generation is fenced.
    Orphan {
        /// The generation.
        generation: u64,
    },
}

impl Verdict {
    /// Whether anyone may delete it, at any time.
    pub fn may_go(self) -> bool {
        matches!(self, Self::Superseded | Self::Condemned { .. } | Self::Orphan { .. })
    }
}

/// Judges the files of a job by its log and by what its retained checkpoints reach.
#[derive(Debug, Clone)]
pub struct Judge {
    state: LogState,
    references: References,
    /// How many retained checkpoints reach a name.
    reached: BTreeMap<RelativeName, usize>,
    condemned: BTreeMap<RelativeName, Sequence>,
    all_known: bool,
}

impl Judge {
    /// A judge by `state` and the `records` that it was made of; `references` lacks those checkpoints that cannot
    /// be read.
    ///
    /// # Errors
    /// `Referenced` if a retained checkpoint reaches what is condemned: the log, or a manifest, is not what a
    /// sound owner writes, and nothing is to be deleted.
    pub fn new(
        state: LogState,
        records: &BTreeMap<Sequence, Record>,
        references: References,
    ) -> Result<Self, Refusal> {
        let (mut reached, mut all_known) = (BTreeMap::new(), true);
        for (checkpoint, published) in state.retained() {
            let names = references.get(checkpoint);
            all_known &= names.is_some();
            let names =
                names.into_iter().flatten().filter(|name| **name != published.manifest_path);
            for name in names.chain([&published.manifest_path]) {
                if state.condemned().contains(name) {
                    let (checkpoint, name) = (*checkpoint, name.clone());
                    return Err(Refusal::Referenced { checkpoint, name });
                }
                *reached.entry(name.clone()).or_default() += 1;
            }
        }
        let mut condemned = BTreeMap::new();
        for (sequence, record) in records {
            match &record.decision {
                Decision::Base(base) => {
                    condemned =
                        base.condemned.iter().map(|name| (name.clone(), *sequence)).collect();
                }
                Decision::Retire(retire) => {
                    condemned.extend(retire.condemned.iter().map(|name| (name.clone(), *sequence)));
                }
                _ => {}
            }
        }
        condemned.retain(|name, _| state.condemned().contains(name));
        Ok(Self { state, references, reached, condemned, all_known })
    }

    /// The log as it was read.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// What each retained checkpoint reaches, but for those that cannot be read.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// What is to be thought of the file `name`.
    pub fn file(&self, name: &RelativeName) -> Verdict {
        if let Some(count) = self.reached.get(name) {
            return Verdict::Reached(*count);
        }
        match Place::of(name) {
            Some(Place::Log(sequence)) if sequence < self.state.first() => Verdict::Superseded,
            Some(Place::Log(_)) => Verdict::Record,
            // A name in a folder of esker's that esker does not give.
            Some(Place::Data { checkpoint: None, .. }) | None => Verdict::Foreign,
            Some(Place::Data { generation, .. }) => match self.condemned.get(name) {
                Some(by) => Verdict::Condemned { by: *by },
                None => self.unnamed(generation),
            },
        }
    }

    /// What is to be thought of what was half-written for the file `name`, which may be there too.
    pub fn half_written(&self, name: &RelativeName) -> Verdict {
        match Place::of(name) {
            // Above, another's could come to stand at the same place and be linked.
            Some(Place::Log(sequence)) if sequence < self.state.next() => Verdict::Superseded,
            Some(Place::Log(_)) => Verdict::Owners { generation: self.state.generation() },
            Some(Place::Data { checkpoint: None, .. }) | None => Verdict::Foreign,
            // Its own name is never that of a file which counts, whatever checkpoints reach.
            Some(Place::Data { generation, .. }) if self.is_fenced(generation) => {
                Verdict::Orphan { generation }
            }
            Some(Place::Data { generation, .. }) => Verdict::Owners { generation },
        }
    }

    /// Whether nobody writes to `folder` any more, which is one of the job's.
    pub(super) fn is_left(&self, folder: &str) -> bool {
        // A file in it would tell whose it is.
        let place =
            RelativeName::new(format!("{folder}/0-")).ok().and_then(|name| Place::of(&name));
        matches!(place, Some(Place::Data { generation, .. }) if self.is_fenced(generation))
    }

    fn unnamed(&self, generation: u64) -> Verdict {
        match (self.is_fenced(generation), self.all_known) {
            (false, _) => Verdict::Owners { generation },
            (true, true) => Verdict::Orphan { generation },
            (true, false) => Verdict::Undecided { generation },
        }
    }

    fn is_fenced(&self, generation: u64) -> bool {
        generation < self.state.generation()
    }
}

#[cfg(test)]
mod tests;
