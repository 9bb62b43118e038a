//! Which runs count for which key groups, on two sides: pure functions of the runs.

use crate::snapshot::plan::counting;
use esker_format::KeyGroupRange;
use esker_format::part::RunRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Runs are open together while their stored indexes take this much, or there is but one piece.
const INDEX_LEN_BYTES: u64 = 16 << 20;

/// Key groups for which the same runs count, on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: KeyGroupRange,
    /// The runs that count, by their numbers among the distinct ones, oldest first.
    pub(super) runs: [Vec<usize>; 2],
    /// The places, in both lists, of runs that both hold; ascending in both.
    pub(super) shared: Vec<[usize; 2]>,
}

impl Piece {
    /// Whether both sides hold the same there, if the state means the same in both.
    pub(super) fn is_same(&self) -> bool {
        self.runs.iter().all(|runs| runs.len() == self.shared.len())
    }
}

/// A run, and the side that it is read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distinct<'a> {
    pub(super) side: usize,
    pub(super) run: &'a RunRef,
}

/// What counts on two sides.
#[derive(Debug, Default)]
pub(super) struct Pieces<'a> {
    /// Every run, once, be it on both sides.
    pub(super) runs: Vec<Distinct<'a>>,
    /// Ascending.
    pub(super) pieces: Vec<Piece>,
}

impl<'a> Pieces<'a> {
    /// The pieces of `range`, with those where no run counts if the `whole` of it is asked for. Two runs
    /// are the same if their digests and those of their indexes are, and each is that side's first such
    /// run, or its second: increments that say the same have the same bytes, and each of them counts.
    pub(super) fn of(sides: [&'a [RunRef]; 2], range: KeyGroupRange, whole: bool) -> Self {
        let (mut distinct, mut known) = (Vec::new(), HashMap::new());
        let mut numbers: [Vec<usize>; 2] = Default::default();
        // Where runs begin to count, and where they end to.
        let mut changes: BTreeMap<u32, Vec<(usize, usize, bool)>> = BTreeMap::new();
        for (side, runs) in sides.into_iter().enumerate() {
            let mut alike: HashMap<_, usize> = HashMap::new();
            for (age, (run, counts)) in runs.iter().zip(counting(runs)).enumerate() {
                let digests = (run.digest, run.index.digest);
                let nth = alike.entry(digests).and_modify(|nth| *nth += 1).or_default();
                let number = *known.entry((digests, *nth)).or_insert_with(|| {
                    distinct.push(Distinct { side, run });
                    distinct.len() - 1
                });
                numbers[side].push(number);
                for counted in counts.within(range).ranges() {
                    let (first, end) = (u32::from(counted.first()), u32::from(counted.last()) + 1);
                    changes.entry(first).or_default().push((side, age, true));
                    changes.entry(end).or_default().push((side, age, false));
                }
            }
        }
        if whole {
            changes.entry(range.first().into()).or_default();
            changes.entry(u32::from(range.last()) + 1).or_default();
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let mut counts: [BTreeSet<usize>; 2] = Default::default();
        let mut changes = changes.into_iter().peekable();
        while let Some((first, changed)) = changes.next() {
            for (side, age, begins) in changed {
                let counts = &mut counts[side];
                if begins {
                    counts.insert(age)
                } else {
                    counts.remove(&age)
                };
            }
            let Some((end, _)) = changes.peek() else { break };
            if !whole && counts.iter().all(BTreeSet::is_empty) {
                continue;
            }
            let of = |side: usize| counts[side].iter().map(|age| numbers[side][*age]).collect();
            let runs: [Vec<usize>; 2] = [of(0), of(1)];
            // Both ends are key groups: the first is below the end, which is 65,536 at most.
            let range = crate::snapshot::groups::span(first as u16, (end - 1) as u16);
            let shared = shared(&runs);
            pieces.push(Piece { range, runs, shared });
        }
        Self { runs: distinct, pieces }
    }

    /// The pieces cut where too many runs would be open at once.
    pub(super) fn segments(&self) -> Vec<std::ops::Range<usize>> {
        let mut segments: Vec<std::ops::Range<usize>> = Vec::new();
        let (mut open, mut len_bytes) = (BTreeSet::new(), 0_u64);
        for (at, piece) in self.pieces.iter().enumerate() {
            let fresh = |open: &BTreeSet<usize>| {
                let named = piece.runs.iter().flatten().filter(|number| !open.contains(number));
                named.copied().collect::<BTreeSet<usize>>()
            };
            let sum = |numbers: &BTreeSet<usize>| -> u64 {
                let indexes = numbers.iter().filter_map(|number| self.runs.get(*number));
                indexes.map(|distinct| distinct.run.index.len_bytes).sum()
            };
            let mut new = fresh(&open);
            let fits = len_bytes.saturating_add(sum(&new)) <= INDEX_LEN_BYTES;
            match segments.last_mut().filter(|_| fits) {
                Some(segment) => segment.end = at + 1,
                None => {
                    (open, len_bytes) = (BTreeSet::new(), 0);
                    new = fresh(&open);
                    segments.push(at..at + 1);
                }
            }
            len_bytes = len_bytes.saturating_add(sum(&new));
            open.append(&mut new);
        }
        segments
    }
}

/// The runs of both lists that can be paired without crossing, as places in both. The first that fits
/// is taken: lists of one job never cross.
fn shared([a, b]: &[Vec<usize>; 2]) -> Vec<[usize; 2]> {
    let (mut pairs, mut from) = (Vec::new(), 0);
    for (at, run) in a.iter().enumerate() {
        let found = b.iter().skip(from).position(|other| other == run);
        if let Some(found) = found.map(|found| found + from) {
            pairs.push([at, found]);
            from = found + 1;
        }
    }
    pairs
}
