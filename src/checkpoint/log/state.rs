//! What the records of a log amount to, applied in order.

use super::{LogError, Sequence};
use crate::format::RelativeName;
use crate::format::record::{Base, Decision, Extra, Hold, Nonce, Published, Record, Retire};
use std::collections::{BTreeMap, BTreeSet};

/// The names that each checkpoint's manifest references, its own name aside.
pub type References = BTreeMap<u64, BTreeSet<RelativeName>>;

/// Who owns the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The generation; each claim starts a higher one.
    pub generation: u64,
    /// The nonce of the claim's record.
    pub nonce: Nonce,
}

/// What a record did to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It took effect.
    Effective,
    /// It was written by a generation that no longer owns the job: every reader ignores it.
    Stale,
}

/// Why the state does not allow a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A checkpoint's number must be above every number published before.
    #[error("checkpoint={checkpoint} is not above the last published, checkpoint={last}")]
    NotAbove {
        /// The number that was to be published.
        checkpoint: u64,
        /// The highest number published so far.
        last: u64,
    },
    /// A condemned name is never referenced again (I6).
    #[error("the file is condemned: name={0}")]
    Condemned(RelativeName),
    /// A name that a remaining checkpoint references is never condemned (I6).
    #[error("the file is referenced by checkpoint={checkpoint}: name={name}")]
    Referenced {
        /// A checkpoint that remains.
        checkpoint: u64,
        /// The name that was to be condemned.
        name: RelativeName,
    },
    /// What a remaining checkpoint references was not given, so nothing can be condemned.
    #[error("the references of checkpoint={0} are not known")]
    ReferencesUnknown(u64),
    /// A held checkpoint is not retired.
    #[error("checkpoint={0} is held")]
    Held(u64),
    /// The last restorable checkpoint is never retired.
    #[error("checkpoint={0} is the last restorable one")]
    LastRestorable(u64),
    /// The checkpoint is not retained.
    #[error("checkpoint={0} is not retained")]
    NotRetained(u64),
}

/// Everything that counts of a log up to some record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogState {
    next: Sequence,
    base: Option<Sequence>,
    claim: Option<Claim>,
    checkpoint_last: u64,
    retained: BTreeMap<u64, Published>,
    holds: BTreeMap<u64, BTreeSet<String>>,
    condemned: BTreeSet<RelativeName>,
    extra: Extra,
}

impl Default for LogState {
    fn default() -> Self {
        Self {
            next: Sequence::FIRST,
            base: None,
            claim: None,
            checkpoint_last: 0,
            retained: BTreeMap::new(),
            holds: BTreeMap::new(),
            condemned: BTreeSet::new(),
            extra: Extra::new(),
        }
    }
}

impl LogState {
    /// The position at which the next record belongs.
    pub fn next(&self) -> Sequence {
        self.next
    }

    /// The newest base; the records below it can be deleted.
    pub fn base_sequence(&self) -> Option<Sequence> {
        self.base
    }

    /// The first record that still counts.
    pub fn first(&self) -> Sequence {
        self.base.unwrap_or(Sequence::FIRST)
    }

    /// Who owns the job, if anyone ever claimed it.
    pub fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// The generation that owns the job, 0 before the first claim.
    pub fn generation(&self) -> u64 {
        self.claim.map_or(0, |claim| claim.generation)
    }

    /// The highest checkpoint number ever published, or 0.
    pub fn checkpoint_last(&self) -> u64 {
        self.checkpoint_last
    }

    /// The retained checkpoints by number; a held one is always among them.
    pub fn retained(&self) -> &BTreeMap<u64, Published> {
        &self.retained
    }

    /// The names of the holds of each held checkpoint.
    pub fn holds(&self) -> &BTreeMap<u64, BTreeSet<String>> {
        &self.holds
    }

    /// The condemned names that are not known to be deleted.
    pub fn condemned(&self) -> &BTreeSet<RelativeName> {
        &self.condemned
    }

    /// All that still counts, as a base record holds it.
    ///
    /// `deleted` are condemned names whose deletion is done, which the base leaves out: they stay
    /// unused because a file is re-used only where a retained manifest names it.
    pub fn to_base(&self, deleted: &BTreeSet<RelativeName>) -> Option<Base> {
        let claim = self.claim?;
        Some(Base {
            claim_generation: claim.generation,
            claim_nonce: claim.nonce,
            checkpoint_last: self.checkpoint_last,
            checkpoints: self.retained.values().cloned().collect(),
            holds: self.holds.clone(),
            condemned: self.condemned.difference(deleted).cloned().collect(),
            extra: self.extra.clone(),
        })
    }

    /// Applies the record at `sequence`. A base can be applied to any state below it, any other
    /// record only where it is the next one. After an error the state is as it was before.
    ///
    /// # Errors
    /// `Broken` if the record cannot follow the ones before it.
    pub fn apply(&mut self, sequence: Sequence, record: &Record) -> Result<Applied, LogError> {
        let broken = |message: String| LogError::Broken { sequence, message };
        let is_base = matches!(record.decision, Decision::Base(_));
        if sequence < self.next || (sequence > self.next && !is_base) {
            return Err(broken(format!("expected sequence={}", self.next.0)));
        }
        if record.generation < self.generation() {
            self.next = sequence.next();
            return Ok(Applied::Stale);
        }
        let is_claim = matches!(record.decision, Decision::Claim(_));
        let skips = sequence > self.next;
        if !is_claim && !skips && record.generation != self.generation() {
            return Err(broken(format!("no claim of generation={}", record.generation)));
        }
        match &record.decision {
            Decision::Claim(_) => {
                if record.generation == self.generation() {
                    return Err(broken(format!("generation={} again", record.generation)));
                }
                self.claim = Some(Claim { generation: record.generation, nonce: record.nonce });
            }
            Decision::Publish(published) => {
                self.check_publish(published, &BTreeSet::new())
                    .map_err(|refusal| broken(refusal.to_string()))?;
                self.checkpoint_last = published.checkpoint;
                self.retained.insert(published.checkpoint, published.clone());
            }
            Decision::Retire(retire) => {
                self.check_retire(retire).map_err(|refusal| broken(refusal.to_string()))?;
                self.retained.retain(|checkpoint, _| !retire.checkpoints.contains(checkpoint));
                self.condemned.extend(retire.condemned.iter().cloned());
            }
            Decision::Hold(hold) => {
                self.check_hold(hold).map_err(|refusal| broken(refusal.to_string()))?;
                self.holds.entry(hold.checkpoint).or_default().insert(hold.name.clone());
            }
            Decision::Release(hold) => {
                if let Some(names) = self.holds.get_mut(&hold.checkpoint) {
                    names.remove(&hold.name);
                }
                self.holds.retain(|_, names| !names.is_empty());
            }
            Decision::Base(base) => *self = Self::of_base(base, sequence, record.generation)?,
        }
        self.next = sequence.next();
        Ok(Applied::Effective)
    }

    fn of_base(base: &Base, sequence: Sequence, generation: u64) -> Result<Self, LogError> {
        let broken = |message: &str| LogError::Broken { sequence, message: message.to_owned() };
        if base.claim_generation != generation {
            return Err(broken("a base of another generation"));
        }
        let retained: BTreeMap<u64, Published> =
            base.checkpoints.iter().map(|p| (p.checkpoint, p.clone())).collect();
        if retained.len() != base.checkpoints.len() {
            return Err(broken("a checkpoint stands in the base twice"));
        }
        if retained.last_key_value().is_some_and(|(last, _)| *last > base.checkpoint_last) {
            return Err(broken("a checkpoint above the last published"));
        }
        if base.holds.iter().any(|(held, names)| names.is_empty() || !retained.contains_key(held)) {
            return Err(broken("a hold of nothing"));
        }
        if retained.values().any(|published| base.condemned.contains(&published.manifest_path)) {
            return Err(broken("a retained manifest is condemned"));
        }
        Ok(Self {
            next: sequence.next(),
            base: Some(sequence),
            claim: Some(Claim { generation, nonce: base.claim_nonce }),
            checkpoint_last: base.checkpoint_last,
            retained,
            holds: base.holds.clone(),
            condemned: base.condemned.clone(),
            extra: base.extra.clone(),
        })
    }

    /// Whether a checkpoint that references `names` can be published.
    pub(super) fn check_publish(
        &self,
        published: &Published,
        names: &BTreeSet<RelativeName>,
    ) -> Result<(), Refusal> {
        let (checkpoint, last) = (published.checkpoint, self.checkpoint_last);
        if checkpoint <= last {
            return Err(Refusal::NotAbove { checkpoint, last });
        }
        let mut names = names.iter().chain([&published.manifest_path]);
        match names.find(|name| self.condemned.contains(*name)) {
            Some(name) => Err(Refusal::Condemned(name.clone())),
            None => Ok(()),
        }
    }

    /// Whether `retire` is allowed, as far as that can be told without the manifests.
    pub(super) fn check_retire(&self, retire: &Retire) -> Result<(), Refusal> {
        for checkpoint in &retire.checkpoints {
            if !self.retained.contains_key(checkpoint) {
                return Err(Refusal::NotRetained(*checkpoint));
            }
            if self.holds.contains_key(checkpoint) {
                return Err(Refusal::Held(*checkpoint));
            }
        }
        if let (Some((last, _)), true) = (
            self.retained.last_key_value(),
            self.retained.keys().all(|key| retire.checkpoints.contains(key)),
        ) {
            return Err(Refusal::LastRestorable(*last));
        }
        let kept = |published: &&Published| !retire.checkpoints.contains(&published.checkpoint);
        match self
            .retained
            .values()
            .find(|p| kept(p) && retire.condemned.contains(&p.manifest_path))
        {
            Some(published) => Err(Refusal::Referenced {
                checkpoint: published.checkpoint,
                name: published.manifest_path.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Whether nothing that a remaining checkpoint references is condemned.
    pub(super) fn check_references(
        &self,
        retire: &Retire,
        references: &References,
    ) -> Result<(), Refusal> {
        for checkpoint in self.retained.keys().filter(|key| !retire.checkpoints.contains(key)) {
            let names =
                references.get(checkpoint).ok_or(Refusal::ReferencesUnknown(*checkpoint))?;
            if let Some(name) = names.intersection(&retire.condemned).next() {
                return Err(Refusal::Referenced { checkpoint: *checkpoint, name: name.clone() });
            }
        }
        Ok(())
    }

    /// Whether `hold` can begin.
    pub(super) fn check_hold(&self, hold: &Hold) -> Result<(), Refusal> {
        match self.retained.contains_key(&hold.checkpoint) {
            true => Ok(()),
            false => Err(Refusal::NotRetained(hold.checkpoint)),
        }
    }

    /// Whether the hold stands already.
    pub(super) fn is_held(&self, hold: &Hold) -> bool {
        self.holds.get(&hold.checkpoint).is_some_and(|names| names.contains(&hold.name))
    }
}
