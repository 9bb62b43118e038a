//! What is live in a part once its runs are merged, against what the part says: all entries are read.

use super::at_once::at_once;
use super::harm::{Harm, is_passing};
use esker::format::canonical::{Canonical, Expired};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Operator, StateInfo, StateKind};
use esker::format::part::{Part, PartState};
use esker::format::run::Entry;
use esker::format::{FormatError, FormatErrorKind, KeyGroupRange, list};
use esker::snapshot::{ChainReader, Lost};
use esker::{Error, ErrorKind, Store, block_on};
use std::collections::{BTreeMap, BTreeSet};

/// Entries are read in so many pieces of a part's key groups: as many as keep processors busy though keys
/// are not spread evenly, and few beside the blocks, which are unpacked twice where a piece ends.
const PIECES: u32 = 64;
/// Below so many entries, in one.
const PIECE_ENTRIES_MIN: u64 = 1 << 14;

/// Counts the entries of `part`, which has `name` and is of the key groups in `range`: what of it is wrong.
/// Memory: the chain's indexes, and for each processor a span and a block of each run that counts there.
///
/// # Errors
/// The store's that are no damage.
pub(super) fn count(
    store: &Store,
    operator: &Operator,
    (part, name): (&Part, &str),
    range: KeyGroupRange,
) -> Result<Vec<Harm>, Error> {
    let mut states: BTreeMap<u32, Found> = BTreeMap::new();
    let mut harms = Vec::new();
    let operator_run = part.operator_run.as_slice();
    for (runs, range) in [(&part.runs[..], range), (operator_run, KeyGroupRange::ALL)] {
        let chain = match block_on(ChainReader::open(store, runs)) {
            Err(error) if error.is_damage() => {
                harms.push(Harm::of(&error));
                continue;
            }
            opened => opened?.of_states(operator.states.iter().map(|info| info.id)),
        };
        let entries = runs.iter().map(|run| run.entries).sum();
        for piece in at_once(&pieces(range, entries)?, |range| of(operator, &chain, *range))? {
            for (id, found) in piece.states {
                states.entry(id).or_default().merge(found);
            }
            harms.extend(piece.harm);
        }
    }
    let mut wrong = |id: u32, message: String| {
        let error = Error::new(ErrorKind::Corrupt, message).at_path(name);
        let lost = Lost { state: Some(id), range };
        harms.push(Harm::of(&error).losing(operator, &[lost], |_| true));
    };
    for (id, found) in &states {
        if let Some((error, entries)) = &found.unread {
            let message = format!("{entries} entries do not read as the state's types: {error}");
            wrong(*id, message);
        }
    }
    let said: BTreeMap<u32, &PartState> =
        part.states.iter().map(|state| (state.id, state)).collect();
    let ids: BTreeSet<u32> = said.keys().chain(states.keys()).copied().collect();
    for id in ids {
        let info = operator.states.iter().find(|info| info.id == id);
        // Of a state with TTL, what is live depends on the time of the capture; of one in a
        // database, only that knows.
        let native = part.native.is_some();
        if info.is_none_or(|info| info.ttl.is_some() || native && info.kind.is_keyed()) {
            continue;
        }
        let (entries, earliest_ms) =
            states.get(&id).map_or((0, None), |found| (found.entries, found.earliest_ms));
        let (claimed, claimed_ms) =
            said.get(&id).map_or((0, None), |state| (state.entries, state.earliest_timer_ms));
        if entries != claimed {
            wrong(id, format!("entries={claimed}, its runs have {entries}"));
        } else if earliest_ms != claimed_ms {
            wrong(id, format!("earliest timer {claimed_ms:?} is {earliest_ms:?}"));
        }
    }
    Ok(harms)
}

/// What was found of a state.
#[derive(Default)]
struct Found {
    entries: u64,
    earliest_ms: Option<i64>,
    /// The first entry that does not read as the state's types, and how many there are: as a rule one
    /// is not alone.
    unread: Option<(FormatError, u64)>,
}

impl Found {
    fn merge(&mut self, other: Self) {
        self.entries += other.entries;
        self.earliest_ms = self.earliest_ms.into_iter().chain(other.earliest_ms).min();
        self.unread = match (self.unread.take(), other.unread) {
            (Some((error, entries)), Some((_, more))) => Some((error, entries + more)),
            (unread, more) => unread.or(more),
        };
    }
}

/// `range` in pieces that are worth a thread each, for so many entries.
fn pieces(range: KeyGroupRange, entries: u64) -> Result<Vec<KeyGroupRange>, Error> {
    let count = u64::from(PIECES.min(range.count())).min(entries / PIECE_ENTRIES_MIN).max(1) as u32;
    let at = |number: u32| u32::from(range.first()) + range.count() * number / count;
    let piece = |number| KeyGroupRange::new(at(number) as u16, (at(number + 1) - 1) as u16);
    Ok((0..count).map(piece).collect::<Result<_, _>>()?)
}

/// What was found in some key groups.
struct Piece {
    states: BTreeMap<u32, Found>,
    /// What of them is damaged, the first thing.
    harm: Option<Harm>,
}

/// What `chain` has in `range`.
fn of(operator: &Operator, chain: &ChainReader, range: KeyGroupRange) -> Result<Piece, Error> {
    let mut states: BTreeMap<u32, State<'_>> =
        operator.states.iter().map(|info| (info.id, State::new(operator, info))).collect();
    let mut harm = None;
    // All entries of a state follow each other.
    for (id, state) in &mut states {
        match chain.merge(range, Some(*id), &mut |entry| state.count(entry)) {
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => harm = harm.or_else(|| Some(Harm::of(&error))),
            Ok(()) => {}
        }
    }
    let states = states.into_iter().map(|(id, state)| (id, state.found)).collect();
    Ok(Piece { states, harm })
}

struct State<'a> {
    info: &'a StateInfo,
    canonical: Canonical<'a>,
    found: Found,
}

impl<'a> State<'a> {
    fn new(operator: &'a Operator, info: &'a StateInfo) -> Self {
        let mut canonical = Canonical::new(&operator.uid, operator.key.as_ref(), info);
        canonical.at(None, Expired::Shown);
        Self { info, canonical, found: Found::default() }
    }

    fn count(&mut self, entry: Entry<'_>) -> Result<(), Error> {
        self.found.entries += live(self.info, entry)?;
        match self.canonical.check(entry) {
            // A codec that is not esker's cannot be read here, and may be sound.
            Err(error) if error.kind == FormatErrorKind::Corrupt => {
                self.found.unread.get_or_insert((error, 0)).1 += 1;
            }
            _ => {}
        }
        if matches!(self.info.kind, StateKind::TimerEvent | StateKind::TimerProcessing) {
            let time_ms = time_ms(&CompositeKey::decode(entry.key)?.user_key);
            self.found.earliest_ms = self.found.earliest_ms.into_iter().chain(time_ms).min();
        }
        Ok(())
    }
}

/// How much an entry counts for: the elements of a list, else one.
fn live(info: &StateInfo, entry: Entry<'_>) -> Result<u64, Error> {
    if info.kind != StateKind::List {
        return Ok(1);
    }
    Ok(list::count(entry.value)?)
}

/// A timer's time in milliseconds, as its user key has it: ordered, with the sign bit flipped.
fn time_ms(user_key: &[u8]) -> Option<i64> {
    let time = u64::from_be_bytes(user_key.try_into().ok()?);
    Some((time ^ 1 << 63).cast_signed())
}
