//! Appends decisions to a log, one at a time, until a newer claim stops it for ever.

use super::reader::dense_end;
use super::{
    Action, Applied, Claim, Fact, LogError, LogState, Reader, References, Refusal, Sequence,
};
use crate::format::RelativeName;
use crate::format::record::{Decision, Extra, Hold, Nonce, Published, Record, Retire};
use std::collections::BTreeSet;

/// What is to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Intent {
    /// Own the job: the generation after the newest one.
    Claim,
    /// Publish a checkpoint whose manifest references `names`, all of them durable.
    Publish {
        /// The checkpoint.
        published: Published,
        /// Every file that its manifest references.
        names: BTreeSet<RelativeName>,
    },
    /// Retire checkpoints and condemn files.
    Retire {
        /// What is given up.
        retire: Retire,
        /// What the checkpoints that remain reference; each of them must be there.
        references: References,
    },
    /// Hold a checkpoint.
    Hold(Hold),
    /// End a hold.
    Release(Hold),
    /// Write a base, so that older records can be deleted once this is done.
    Base {
        /// Condemned names whose deletion is done and that no checkpoint in progress re-uses: the
        /// base forgets them.
        deleted: BTreeSet<RelativeName>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pending {
    intent: Intent,
    nonce: Nonce,
    /// What was last tried, and where.
    tried: Option<(Sequence, Record)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Fenced,
    Sync(Box<Reader>),
    /// Creating the record that was tried.
    Create,
    /// Reading where it was to be; `unknown` if it may be there.
    ReadBack {
        unknown: bool,
    },
    /// Listing after the append; every record from `first` on must be in the list.
    Confirm {
        first: Sequence,
    },
    /// Reading the records above.
    CatchUp {
        first: Sequence,
        highest: Sequence,
    },
}

/// A state machine that appends to a log; the module's header states the protocol.
///
/// [`Writer::claim`] or [`Writer::attach`] starts it. Answer each action through [`Writer::step`]
/// until it is `Done`, `Refused` or `Fenced`; then [`Writer::begin`] the next intent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Writer {
    state: LogState,
    claim: Option<Claim>,
    is_owner: bool,
    pending: Option<Pending>,
    phase: Phase,
}

impl Writer {
    /// A writer that is going to own the job, and its first action. `nonce` is drawn at random.
    pub fn claim(nonce: Nonce) -> (Self, Action) {
        Self::start(Some(Pending { intent: Intent::Claim, nonce, tried: None }))
    }

    /// A writer that adds holds, releases and retirements beside the present owner, and its first action.
    /// A publish that would name what it condemned meanwhile is refused, so that the owner need not be asked.
    pub fn attach() -> (Self, Action) {
        Self::start(None)
    }

    fn start(pending: Option<Pending>) -> (Self, Action) {
        let phase = Phase::Sync(Box::default());
        let (state, is_owner) = (LogState::default(), pending.is_some());
        (Self { state, claim: None, is_owner, pending, phase }, Action::List)
    }

    /// The log as far as it is known.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Starts on `intent`; `nonce` is drawn at random for it.
    ///
    /// # Errors
    /// `Unexpected` if the intent before it has not ended, a writer is to claim twice, or one that
    /// is attached is to do what only an owner does.
    pub fn begin(&mut self, intent: Intent, nonce: Nonce) -> Result<Action, LogError> {
        match self.phase {
            Phase::Fenced => Ok(Action::Fenced),
            Phase::Idle if self.may(&intent) => {
                self.pending = Some(Pending { intent, nonce, tried: None });
                self.attempt(false)
            }
            _ => Err(LogError::Unexpected("begin")),
        }
    }

    fn may(&self, intent: &Intent) -> bool {
        match intent {
            Intent::Claim => false,
            Intent::Hold(_) | Intent::Release(_) | Intent::Retire { .. } => self.claim.is_some(),
            _ => self.is_owner,
        }
    }

    /// The next action after `fact`.
    ///
    /// # Errors
    /// `Record` or `Broken` if the log is damaged, `Missing` if records are missing from it,
    /// `Unexpected` if the fact does not answer the action before.
    pub fn step(&mut self, fact: Fact) -> Result<Action, LogError> {
        match (&mut self.phase, fact) {
            (Phase::Sync(reader), fact) => match reader.step(fact)? {
                Action::Done => {
                    self.state = std::mem::take(&mut **reader).into_state();
                    self.attempt(true)
                }
                action => Ok(action),
            },
            (Phase::Create, Fact::Created) => self.appended(),
            (Phase::Create, Fact::AlreadyExists) => self.read_back(false),
            (Phase::Create, Fact::Unknown) => self.read_back(true),
            (Phase::ReadBack { .. }, Fact::ReadOk(bytes)) => {
                let sequence = self.state.next();
                let record = decode(sequence, &bytes)?;
                let tried = self.pending.as_ref().and_then(|pending| pending.tried.as_ref());
                if tried.is_some_and(|(_, own)| is_same(own, &record)) {
                    return self.appended();
                }
                match self.state.apply(sequence, &record) {
                    Ok(Applied::Effective) => self.attempt(false),
                    // Impossible on the true log: what is known came late, below a base.
                    _ => self.resync(),
                }
            }
            // It may still land: the same record is put again, so that either is the one.
            (Phase::ReadBack { unknown: true }, Fact::NotFound) => self.attempt(false),
            // Deleted since: a base is above it.
            (Phase::ReadBack { unknown: false }, Fact::NotFound) => self.resync(),
            (Phase::Confirm { first }, Fact::Listed(listed)) => {
                let first = *first;
                self.confirm(first, listed)
            }
            (Phase::CatchUp { first, highest }, Fact::ReadOk(bytes)) => {
                let (first, highest, sequence) = (*first, *highest, self.state.next());
                let record = decode(sequence, &bytes)?;
                // On the true log every record is effective: another one shows that the append
                // came late, below a base of the older owner.
                if self.state.apply(sequence, &record) != Ok(Applied::Effective) {
                    return self.resync();
                }
                // A publish that came before the newer claim counts, and its publisher is to know.
                if self.is_fenced() && !self.is_publishing() {
                    return self.end(Phase::Fenced, Action::Fenced);
                }
                let first = self.state.first().max(first);
                if sequence < highest {
                    self.phase = Phase::CatchUp { first, highest };
                    return Ok(Action::Read(self.state.next()));
                }
                self.phase = Phase::Confirm { first };
                Ok(Action::List)
            }
            (Phase::CatchUp { .. }, Fact::NotFound) => self.resync(),
            (Phase::Idle | Phase::Fenced, _) => Err(LogError::Unexpected("none")),
            (Phase::Create, _) => Err(LogError::Unexpected("create")),
            (Phase::Confirm { .. }, _) => Err(LogError::Unexpected("list")),
            (Phase::ReadBack { .. } | Phase::CatchUp { .. }, _) => {
                Err(LogError::Unexpected("read"))
            }
        }
    }

    /// Tries the pending intent on the state as it is known. What needs no append, or is refused,
    /// is so only if the state is `fresh`: otherwise the log is read first.
    fn attempt(&mut self, fresh: bool) -> Result<Action, LogError> {
        let Some(pending) = self.pending.take() else {
            self.claim = self.state.claim();
            return self.end(Phase::Idle, Action::Done);
        };
        let own = *self.claim.get_or_insert(Claim {
            generation: self.state.generation().saturating_add(1),
            nonce: pending.nonce,
        });
        if self.is_fenced() {
            return self.end(Phase::Fenced, Action::Fenced);
        }
        match pending.check(&self.state, own) {
            Ok(false) => {}
            _ if !fresh => {
                self.pending = Some(pending);
                return self.resync();
            }
            Ok(true) => return self.end(Phase::Idle, Action::Done),
            Err(refusal) => return self.end(Phase::Idle, Action::Refused(refusal)),
        }
        let sequence = self.state.next();
        let record = pending.record(&self.state, own)?;
        let bytes = record.encode().map_err(|source| LogError::Record { sequence, source })?;
        self.pending = Some(Pending { tried: Some((sequence, record)), ..pending });
        self.phase = Phase::Create;
        Ok(Action::Create(sequence, bytes))
    }

    fn end(&mut self, phase: Phase, action: Action) -> Result<Action, LogError> {
        self.phase = phase;
        self.pending = None;
        Ok(action)
    }

    /// Whether a newer claim than this writer's, or another of its generation, is known.
    fn is_fenced(&self) -> bool {
        match (self.claim, self.state.claim()) {
            (Some(own), Some(known)) => known.generation >= own.generation && known != own,
            _ => false,
        }
    }

    fn is_publishing(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| matches!(pending.intent, Intent::Publish { .. }))
    }

    fn resync(&mut self) -> Result<Action, LogError> {
        let mut reader = Box::<Reader>::default();
        let action = reader.start();
        self.phase = Phase::Sync(reader);
        Ok(action)
    }

    fn read_back(&mut self, unknown: bool) -> Result<Action, LogError> {
        self.phase = Phase::ReadBack { unknown };
        Ok(Action::Read(self.state.next()))
    }

    /// The record that was tried is there.
    fn appended(&mut self) -> Result<Action, LogError> {
        let tried = self.pending.as_ref().and_then(|pending| pending.tried.as_ref());
        let (sequence, record) = tried.ok_or(LogError::Unexpected("none"))?;
        let first = self.state.first();
        self.state.apply(*sequence, record)?;
        self.phase = Phase::Confirm { first };
        Ok(Action::List)
    }

    /// The list after an append. Where what came before the append is gone, a newer base exists
    /// and the append may have come too late to count.
    fn confirm(&mut self, first: Sequence, listed: Vec<Sequence>) -> Result<Action, LogError> {
        match dense_end(listed) {
            Some((lowest, highest)) if lowest <= first && highest.next() == self.state.next() => {
                self.confirmed()
            }
            Some((lowest, highest)) if lowest <= first && highest >= self.state.next() => {
                self.phase = Phase::CatchUp { first, highest };
                Ok(Action::Read(self.state.next()))
            }
            _ => self.resync(),
        }
    }

    /// Nothing is above what is known: done, unless a base from elsewhere may have left it out.
    fn confirmed(&mut self) -> Result<Action, LogError> {
        let tried = self.pending.as_ref().and_then(|pending| pending.tried.as_ref());
        match (self.state.base_sequence(), tried) {
            (Some(base), Some((sequence, _))) if base > *sequence => self.attempt(false),
            // Everything after this is the newer owner's.
            _ if self.is_fenced() => self.end(Phase::Fenced, Action::Done),
            _ => self.end(Phase::Idle, Action::Done),
        }
    }
}

impl Pending {
    /// Whether the state holds the intent already; an error if the state does not allow it.
    fn check(&self, state: &LogState, own: Claim) -> Result<bool, Refusal> {
        match &self.intent {
            Intent::Claim => Ok(state.claim() == Some(own)),
            Intent::Publish { published, names } => {
                if state.retained().get(&published.checkpoint) == Some(published) {
                    return Ok(true);
                }
                state.check_publish(published, names).map(|()| false)
            }
            Intent::Retire { retire, references } => {
                let is_gone = |checkpoint| !state.retained().contains_key(checkpoint);
                if (self.tried.is_some() || retire.checkpoints.is_empty())
                    && retire.checkpoints.iter().all(is_gone)
                    && retire.condemned.is_subset(state.condemned())
                {
                    return Ok(true);
                }
                state.check_retire(retire)?;
                state.check_references(retire, references).map(|()| false)
            }
            Intent::Hold(hold) if state.is_held(hold) => Ok(true),
            Intent::Hold(hold) => state.check_hold(hold).map(|()| false),
            Intent::Release(hold) => Ok(!state.is_held(hold)),
            Intent::Base { .. } => {
                let tried = self.tried.as_ref().map(|(sequence, _)| *sequence);
                Ok(tried.is_some_and(|tried| state.base_sequence() >= Some(tried)))
            }
        }
    }

    fn record(&self, state: &LogState, own: Claim) -> Result<Record, LogError> {
        let decision = match &self.intent {
            Intent::Claim => Decision::Claim(Extra::new()),
            Intent::Publish { published, .. } => Decision::Publish(published.clone()),
            Intent::Retire { retire, .. } => Decision::Retire(retire.clone()),
            Intent::Hold(hold) => Decision::Hold(hold.clone()),
            Intent::Release(hold) => Decision::Release(hold.clone()),
            Intent::Base { deleted } => Decision::Base(
                state.to_base(deleted).ok_or(LogError::Unexpected("base before a claim"))?,
            ),
        };
        let (generation, nonce) = (own.generation, self.nonce);
        Ok(Record { generation, nonce, decision, extra: Extra::new() })
    }
}

fn is_same(own: &Record, found: &Record) -> bool {
    own.generation == found.generation && own.nonce == found.nonce
}

fn decode(sequence: Sequence, bytes: &[u8]) -> Result<Record, LogError> {
    Record::decode(bytes).map_err(|source| LogError::Record { sequence, source })
}
