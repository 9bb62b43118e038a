//! What a lazily restored state has not brought yet: which key groups, and where their entries are.

mod ahead;
mod batch;
mod capture;
mod marks;

pub(super) use ahead::Ahead;
pub use batch::Batch;

use super::ttl::Clock;
use crate::backend::StateCapture;
use crate::snapshot::ColdChain;
use crate::{Error, ErrorKind, Result};
use capture::ColdCapture;
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use marks::Marks;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What of one state a lazy restore has left in the snapshot's files.
///
/// A key group of it is **cold** until all of its entries are in the state's own table. Nothing is looked up
/// there, and nothing written, before that: so no entry is missed, and none is to be remembered as removed.
pub struct Cold {
    chain: Arc<ColdChain>,
    id: u32,
    marks: Marks,
    /// How many of the entries that the snapshot counts are brought.
    brought: u64,
    /// What had expired when it was captured, of states with TTL.
    clock: Option<Clock>,
    /// Why it cannot go on.
    broken: Option<String>,
    counts: Counts,
}

/// How many entries key groups hold, of those that were counted: what is cold stays as it is, so that one reading
/// of it does for all captures.
type Counts = Arc<Mutex<BTreeMap<u16, u64>>>;

impl Cold {
    pub(crate) fn new(chain: Arc<ColdChain>, id: u32, range: KeyGroupRange) -> Self {
        let (marks, counts) = (Marks::all(range), Counts::default());
        Self { chain, id, marks, brought: 0, clock: None, broken: None, counts }
    }

    /// The same of a state whose entries expire; `clock` knows for how long they lived.
    pub(super) fn with_clock(self, clock: Clock) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.marks.left() == 0
    }

    /// How many key groups are left.
    pub fn groups(&self) -> u32 {
        self.marks.left()
    }

    /// About how many entries are left.
    pub(super) fn entries(&self) -> u64 {
        self.chain.entries(self.id).0.saturating_sub(self.brought)
    }

    pub(super) fn contains(&self, group: KeyGroup) -> bool {
        self.marks.contains(group)
    }

    /// No timer that is left is earlier, in milliseconds.
    pub(super) fn earliest_timer_ms(&self) -> i64 {
        self.chain.earliest_timer_ms(self.id)
    }

    /// The cold key groups from `group` on that are read in one, of about `entries` entries: they begin with
    /// the first that is cold and end before the first that is not.
    pub(super) fn next(&self, group: KeyGroup, entries: u64) -> Option<KeyGroupRange> {
        next(&self.chain, self.id, &self.marks, group, entries)
    }

    /// What is read where an entry of the cold key group `group` is asked for.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) fn around(&self, group: KeyGroup) -> Result<Batch> {
        self.check()?;
        let alone = KeyGroupRange::new(group.0, group.0)?;
        let range = self.next(group, self.chain.touched_entries()).unwrap_or(alone);
        match self.read(range) {
            // Nobody asked for the others.
            Err(error) if error.kind() == ErrorKind::Corrupt && range != alone => self.read(alone),
            read => read,
        }
    }

    /// The entries of the key groups in `range`, read and verified. Nothing is changed: what fails can be
    /// tried again.
    ///
    /// # Errors
    /// Those of the chain; why it is broken, if it is.
    pub(super) fn read(&self, range: KeyGroupRange) -> Result<Batch> {
        self.check()?;
        Batch::read(&self.chain, self.id, range)
    }

    /// That no key group was brought in part.
    ///
    /// # Errors
    /// `Poisoned`, with why, if one was.
    pub(super) fn check(&self) -> Result<()> {
        match &self.broken {
            Some(why) => Err(Error::new(ErrorKind::Poisoned, why.as_str())),
            None => Ok(()),
        }
    }

    /// Has `to` put what of `batch` is cold: whole key groups, until there are `entries_max` entries.
    /// Returns how many there were.
    ///
    /// # Errors
    /// `Corrupt` if an entry is none of the state, which is broken then: it holds some of a key group.
    pub(super) fn take(
        &mut self,
        batch: &mut Batch,
        entries_max: usize,
        to: &mut dyn FnMut(Step<'_>) -> Result<()>,
    ) -> Result<usize> {
        self.check()?;
        let mut put = 0;
        while put < entries_max
            && let Some(group) = batch.group()
        {
            let done = self.take_group(batch, group, to);
            put += done.inspect_err(|error| {
                let name = self.chain.name(self.id);
                self.broken = Some(format!("state={name} was restored in part: {error}"));
            })?;
        }
        Ok(put)
    }

    fn take_group(
        &mut self,
        batch: &mut Batch,
        group: KeyGroup,
        to: &mut dyn FnMut(Step<'_>) -> Result<()>,
    ) -> Result<usize> {
        if !self.marks.contains(group) {
            batch.leave(group);
            return Ok(0);
        }
        let mut put = 0;
        let time_ms = self.chain.time_ms(self.id, group);
        let expiry = self.clock.as_ref().map(|clock| (clock, time_ms.unwrap_or(i64::MIN)));
        let unexpired = Unexpired::new(expiry, self.chain.is_list(self.id));
        while let Some((entry, live)) = batch.next_of(group) {
            unexpired.of(entry, |entry| to(Step::Put(entry)))?;
            self.brought += live;
            put += 1;
        }
        if put > 0 {
            to(Step::Brought(group))?;
        }
        self.marks.take(group);
        batch.leave(group);
        Ok(put)
    }

    /// `hot`, a capture of what is there, with all that is left.
    pub(super) fn capture(&self, hot: Arc<dyn StateCapture>) -> Arc<dyn StateCapture> {
        Arc::new(ColdCapture::new(hot, self))
    }
}

/// The first of `cold` from `group` on, as many as hold about `entries` entries.
fn next(
    chain: &ColdChain,
    id: u32,
    cold: &Marks,
    group: KeyGroup,
    entries: u64,
) -> Option<KeyGroupRange> {
    let all = chain.entries(id).0.max(1);
    let groups = u64::from(cold.range().count()).saturating_mul(entries) / all;
    cold.next(group, u32::try_from(groups).unwrap_or(u32::MAX).max(1))
}

/// What becomes of a cold key group.
pub(super) enum Step<'a> {
    /// An entry of it is to be put.
    Put(Entry<'a>),
    /// All of its entries were put, of which there are some.
    Brought(KeyGroup),
}

/// Leaves out what had expired at some time.
struct Unexpired {
    clock: Option<Clock>,
    is_list: bool,
}

impl Unexpired {
    /// By the clock of a state with TTL, at a time in milliseconds.
    fn new(expiry: Option<(&Clock, i64)>, is_list: bool) -> Self {
        let clock = expiry.map(|(clock, time_ms)| {
            let mut clock = clock.clone();
            clock.captured_at(time_ms);
            clock
        });
        Self { clock, is_list }
    }

    /// Gives `f` what is left of a put, if something is.
    fn of(&self, entry: Entry<'_>, f: impl FnOnce(Entry<'_>) -> Result<()>) -> Result<()> {
        let Some(clock) = &self.clock else { return f(entry) };
        if !self.is_list {
            return match clock.restored(entry).op {
                Op::Put => f(entry),
                _ => Ok(()),
            };
        }
        match clock.restored_list(entry)? {
            Some(live) if live.is_empty() => Ok(()),
            Some(live) => f(Entry { value: &live, ..entry }),
            None => f(entry),
        }
    }
}
