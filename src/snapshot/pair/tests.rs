//! Two chains side by side against each of them alone.

use super::ahead::{Ahead, Unpackers};
use super::*;
use crate::snapshot::ChainReader;
use crate::snapshot::source::SPAN_LEN_BYTES;
use crate::store::fault::FaultStore;
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, IndexLocation, Op, RunOptions, RunWriter};
use esker_format::{KeyGroup, RelativeName};
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STATE: u32 = 3;
const KEYS: u16 = 40;

type Entries = BTreeMap<(Vec<u8>, Op), Vec<u8>>;
type Held = BTreeMap<Vec<u8>, Vec<u8>>;

/// A run: entries by key and user key; for which keys it counts, and for which it is a base.
#[derive(Debug, Clone)]
struct Made {
    entries: Vec<(u16, u8, Op, Vec<u8>)>,
    range: (u16, u16),
    base: Option<(u16, u16)>,
}

fn made() -> impl Strategy<Value = Made> {
    let op = prop_oneof![
        4 => Just(Op::Put),
        3 => Just(Op::Append),
        1 => Just(Op::Delete),
        1 => Just(Op::Clear),
    ];
    let value = proptest::collection::vec(0..3_u8, 0..30);
    let entry = (0..KEYS, 0..5_u8, op, value);
    let between = || (0..KEYS, 0..KEYS).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let range = prop_oneof![3 => Just((0, KEYS - 1)), 1 => between()];
    let entries = prop_oneof![
        1 => proptest::collection::vec(entry.clone(), 0..4),
        2 => proptest::collection::vec(entry, 0..150),
    ];
    let parts = (entries, range, proptest::option::weighted(0.3, between()));
    parts.prop_map(|(entries, range, base)| Made { entries, range, base })
}

fn group(key: u16) -> u16 {
    key * 1500
}

fn composite(state: u32, key: u16, user: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let user = [user];
    let user = if user == [0] { &[][..] } else { &user[..] };
    let name = key.to_be_bytes();
    CompositeKey::new(state, KeyGroup(group(key)), &name, b"n\0s", user).encode_into(&mut out);
    out
}

fn groups((first, last): (u16, u16)) -> KeyGroupRange {
    KeyGroupRange::new(group(first), group(last)).unwrap()
}

fn write(store: &Store, number: usize, made: &Made) -> RunRef {
    let mut entries = Entries::new();
    for (key, user, op, value) in &made.entries {
        let user = if *op == Op::Clear { 0 } else { *user };
        let key = composite(STATE, *key, user);
        let empty = matches!(op, Op::Delete | Op::Clear);
        let value = if empty { Vec::new() } else { value.clone() };
        if *op != Op::Clear {
            for other in [Op::Put, Op::Append, Op::Delete] {
                entries.remove(&(key.clone(), other));
            }
        }
        entries.insert((key, *op), value);
    }
    // Other states lie on both sides of it, and one without entries makes no run.
    for (state, key) in [(1, 7), (STATE + 1, 0), (STATE + 1, 30)] {
        entries.insert((composite(state, key, 0), Op::Put), vec![9; 20]);
    }
    let run = put(store, number, 90, &entries);
    let range = groups(made.range);
    let base = made.base.and_then(|base| groups(base).intersect(range)).into_iter().collect();
    RunRef { range, base, ..run }
}

/// A run of `entries` that counts everywhere.
fn put(store: &Store, number: usize, block_len_bytes: usize, entries: &Entries) -> RunRef {
    let mut writer = RunWriter::new(RunOptions { block_len_bytes, ..RunOptions::default() });
    for ((key, op), value) in entries {
        writer.add(Entry { key, op: *op, value }).unwrap();
    }
    let (bytes, summary) = writer.finish().unwrap();
    let file: RelativeName = format!("{number}.run").parse().unwrap();
    block_on(store.put(&file, bytes.into())).unwrap();
    RunRef {
        file,
        len_bytes: summary.len_bytes,
        digest: summary.digest,
        index: IndexLocation {
            offset: summary.index_offset,
            len_bytes: summary.index_len_bytes,
            digest: summary.index_digest,
        },
        range: KeyGroupRange::ALL,
        base: Vec::new(),
        entries: entries.len() as u64,
    }
}

fn held(store: &Store, runs: &[RunRef], range: KeyGroupRange, state: u32) -> Held {
    let chain = block_on(ChainReader::open(store, runs)).unwrap();
    let mut held = Held::new();
    let each = &mut |entry: Entry<'_>| {
        held.insert(entry.key[4..].to_vec(), entry.value.to_vec());
        Ok(())
    };
    chain.merge(range, Some(state), each).unwrap();
    held
}

impl Rows for ChainReader {
    fn merge(
        &self,
        range: KeyGroupRange,
        state: u32,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        ChainReader::merge(self, range, Some(state), f)
    }
}

/// The number of the pair, a key, and what both sides hold.
type Under = (usize, Vec<u8>, [Option<Vec<u8>>; 2]);

#[derive(Default)]
struct Collect {
    found: Vec<Under>,
    same: Vec<KeyGroupRange>,
}

impl PairSink for Collect {
    fn both(&mut self, number: usize, both: Both<'_>) -> Result<()> {
        let values = both.values.map(|value| value.map(<[u8]>::to_vec));
        self.found.push((number, both.key.to_vec(), values));
        Ok(())
    }

    fn same(&mut self, _: usize, range: KeyGroupRange) {
        self.same.push(range);
    }
}

/// What the reader must find of a pair: `sides` is what each holds.
fn check(sides: [&Held; 2], all: bool, found: &Collect) {
    let keys: BTreeSet<&Vec<u8>> = sides.iter().flat_map(|side| side.keys()).collect();
    let of = |key: &Vec<u8>| sides.map(|side| side.get(key).cloned());
    let mut last: Option<&Vec<u8>> = None;
    for (_, key, values) in &found.found {
        assert!(last.is_none_or(|last| last < key), "keys ascend");
        last = Some(key);
        assert_eq!(*values, of(key), "{key:?}");
    }
    let found_keys: BTreeSet<&Vec<u8>> = found.found.iter().map(|(_, key, _)| key).collect();
    for key in keys {
        let [a, b] = of(key);
        assert!(found_keys.contains(key) || (a == b && !all), "{key:?} is not found");
    }
}

fn merged(
    store: &Store,
    sides: [(&[RunRef], Option<&dyn Rows>); 2],
    range: KeyGroupRange,
    pair: Pair,
) -> Collect {
    let sides = sides.map(|(runs, rows)| SideEntries { store, runs, rows });
    let mut collect = Collect::default();
    let damage = PairReader::new(sides, range).merge(&[pair], &mut collect).unwrap();
    assert!(damage.iter().all(Vec::is_empty));
    collect
}

#[test]
fn what_two_chains_hold_is_found_where_it_differs() {
    let config =
        Config { cases: soak::count(2000), failure_persistence: None, ..Config::default() };
    let runs = proptest::collection::vec((made(), 0..3_u8), 1..9);
    let range = prop_oneof![Just((0, KEYS - 1)), Just((7, 30))];
    // The same bytes once more, as increments have that say the same.
    let again = proptest::collection::vec((any::<proptest::sample::Index>(), 0..3_u8), 0..4);
    let tested = TestRunner::new(config).run(&(runs, again, range), |(runs, again, range)| {
        let store = Store::open("memory://").unwrap();
        let refs: Vec<_> = runs.iter().enumerate().map(|(n, (m, _))| write(&store, n, m)).collect();
        // Most are on both sides.
        let side = |not: u8| -> Vec<RunRef> {
            let on = refs.iter().zip(&runs).filter(|(_, (_, side))| *side != not);
            let again = again.iter().filter(|(_, side)| *side != not);
            let again = again.map(|(at, _)| at.get(&refs).clone());
            on.map(|(run, _)| run.clone()).chain(again).collect()
        };
        let (a, b, range) = (side(1), side(2), groups(range));
        let of = |runs: &[RunRef], state| held(&store, runs, range, state);
        let (held_a, held_b, none) = (of(&a, STATE), of(&b, STATE), Held::new());
        let chains: [(&[RunRef], Option<&dyn Rows>); 2] = [(&a, None), (&b, None)];
        let (is, other) = (Some(STATE), Some(STATE + 1));
        for (states, all, sides) in [
            ([is, is], false, [&held_a, &held_b]),
            ([is, is], true, [&held_a, &held_b]),
            ([other, is], false, [&of(&a, STATE + 1), &held_b]),
            ([is, None], false, [&held_a, &none]),
            ([None, is], false, [&none, &held_b]),
        ] {
            let found = merged(&store, chains, range, Pair { states, all });
            check(sides, all, &found);
        }
        let rows = block_on(ChainReader::open(&store, &a)).unwrap();
        let twins = Pair { states: [is, is], all: false };
        let found = merged(&store, [(&[], Some(&rows)), (&b, None)], range, twins);
        check([&held_a, &held_b], true, &found);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

/// What is found of two chains, and how many bytes are read.
fn counted(store: &Store, runs: [&[RunRef]; 2]) -> (Collect, u64) {
    let read = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&read);
    let counting = store.clone().map_object_store(|objects| {
        let faults = FaultStore::new(objects);
        faults.on_done(move |call| {
            sum.fetch_add(call.len_bytes, Ordering::Relaxed);
        });
        Arc::new(faults)
    });
    let twins = Pair { states: [Some(STATE); 2], all: false };
    let found = merged(&counting, runs.map(|runs| (runs, None)), KeyGroupRange::ALL, twins);
    (found, read.load(Ordering::Relaxed))
}

fn puts(keys: impl IntoIterator<Item = u16>, value: &[u8]) -> Made {
    let entries = keys.into_iter().flat_map(|key| {
        (0..200).map(move |user| (key, user, Op::Put, [value, &[user, key as u8]].concat()))
    });
    Made { entries: entries.collect(), range: (0, KEYS - 1), base: None }
}

#[test]
fn of_what_both_have_only_the_blocks_are_read_that_a_change_can_lie_in() {
    let store = Store::open("memory://").unwrap();
    let base = Made { base: Some((0, KEYS - 1)), ..puts(0..KEYS, b"incompressible? no") };
    let older = puts([3, 9], b"older");
    let change = Made { entries: vec![(9, 77, Op::Put, b"new".to_vec())], ..puts([], b"") };
    let in_full = Made { base: Some((20, 21)), range: (20, 21), ..puts([20, 21], b"x") };
    let runs: Vec<_> = [base, older, change, in_full]
        .iter()
        .enumerate()
        .map(|(number, made)| write(&store, number, made))
        .collect();
    let [base, older, change, in_full] = &runs[..] else { panic!() };
    let len = |run: &RunRef| run.len_bytes;
    let index = |run: &RunRef| run.index.len_bytes;

    // The same runs: nothing is read.
    let both = [base.clone(), older.clone()];
    let (found, read) = counted(&store, [&both, &both]);
    assert_eq!((found.found.len(), found.same, read), (0, vec![groups((0, KEYS - 1))], 0));

    // One key changed: the run that says so, and of the others the index and a block or two.
    let newer = [base.clone(), older.clone(), change.clone()];
    let (found, read) = counted(&store, [&both, &newer]);
    // The first is where a clear would stand.
    let [(_, _, [zero, same]), (_, _, [a, b])] = &found.found[..] else {
        panic!("{:?}", found.found)
    };
    assert_eq!(zero, same);
    assert_eq!((a.as_deref(), b.as_deref()), (Some(&b"older\x4d\x09"[..]), Some(&b"new"[..])));
    let indexes = index(base) + index(older);
    assert!(read <= len(change) + indexes + 4 * 150, "{read} bytes, of indexes {indexes}");
    assert!(len(base) + len(older) > 10 * (read - indexes));

    // Key groups in full on one side are read on both, nothing else is.
    let newer = [base.clone(), older.clone(), in_full.clone()];
    let (found, read) = counted(&store, [&both, &newer]);
    assert_eq!(found.found.len(), 400);
    assert_eq!(found.same.len(), 2);
    let part = (len(base) - index(base)) * 2 / u64::from(KEYS);
    let most = len(in_full) + indexes + part * 3 / 2 + 600;
    assert!(read <= most, "{read} bytes, {most} at most");
}

#[test]
fn damage_is_passed_over_and_belongs_to_the_side_that_it_was_read_from() {
    let store = Store::open("memory://").unwrap();
    let (a, b) = (puts(0..KEYS, b"a"), puts(0..KEYS, b"b"));
    let runs = [write(&store, 0, &a), write(&store, 1, &b)];
    let good = block_on(store.get(&runs[1].file)).unwrap().unwrap();
    for (at, lost) in [(good.len() / 3, 1..100), (runs[1].index.offset as usize + 9, 8000..9000)] {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        block_on(store.put(&runs[1].file, bad.into())).unwrap();
        let sides = [0, 1].map(|side| SideEntries {
            store: &store,
            runs: std::slice::from_ref(&runs[side]),
            rows: None,
        });
        let mut found = Collect::default();
        let twins = Pair { states: [Some(STATE); 2], all: false };
        let reader = PairReader::new(sides, KeyGroupRange::ALL);
        let [of_a, of_b] = reader.merge(&[twins], &mut found).unwrap();
        assert_eq!((of_a.len(), of_b.len()), (0, 1));
        assert_eq!(of_b[0].error.path(), Some(runs[1].file.as_str()));
        assert!(lost.contains(&of_b[0].entries.unwrap()), "{:?}", of_b[0]);
        let alone = found.found.iter().filter(|(_, _, [_, b])| b.is_none()).count() as u64;
        assert!(alone >= 1 && alone <= of_b[0].entries.unwrap());
        assert_eq!(found.found.len(), usize::from(KEYS) * 200);
    }
}

/// Entries of `count` keys, each with `len_bytes` of what `byte` says of its place.
fn large(count: u8, len_bytes: u64, byte: impl Fn(u64) -> u8) -> Entries {
    let value = |user: u8| (0..len_bytes).map(|at| byte(at | u64::from(user) << 32)).collect();
    (0..count).map(|user| ((composite(STATE, 1, user), Op::Put), value(user))).collect()
}

#[test]
fn blocks_that_unpack_to_much_are_not_held_ahead_however_short_they_are_stored() {
    let store = Store::open("memory://").unwrap();
    let run = put(&store, 0, 90, &large(6, 1 << 20, |_| 7));
    assert!(run.len_bytes < 10_000);
    let all = KeyGroupRange::ALL;
    let source = block_on(Source::open(&store, &run, all.into())).unwrap();
    let span = source.spans(all, |_| true, SPAN_LEN_BYTES).pop().unwrap();
    assert_eq!(span.blocks, 0..6);
    let bytes = block_on(source.fetch(&span)).unwrap();

    let unpackers = Unpackers::within(5 << 19);
    let (mut ahead, mut other) = (Ahead::new(&unpackers), Ahead::new(&unpackers));
    assert!(ahead.begin(&source, 0, &span, &bytes));
    assert!(other.begin(&source, 3, &span, &bytes));
    assert!(!ahead.begin(&source, 1, &span, &bytes), "the budget is one for all");
    assert!(ahead.take(1).is_none(), "what is passed over is given back");
    drop(other);
    // A thread that has begun one gives back what nobody takes when it is done.
    while !ahead.begin(&source, 2, &span, &bytes) {
        std::thread::yield_now();
    }
    assert_eq!(ahead.take(2).unwrap().unwrap().entries(), 1);

    // One is always unpacked.
    let mut ahead = Ahead::new(&Unpackers::within(1));
    assert!(ahead.begin(&source, 0, &span, &bytes));
    assert!(!ahead.begin(&source, 1, &span, &bytes));
    assert_eq!(ahead.take(0).unwrap().unwrap().entries(), 1);
    assert!(ahead.begin(&source, 1, &span, &bytes));
}

#[test]
fn what_cannot_be_fetched_ahead_is_told_in_its_turn_and_not_tried_again() {
    let store = Store::open("memory://").unwrap();
    // That does not compress.
    let scrambled = |at: u64| {
        let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u8
    };
    let run = put(&store, 0, 200_000, &large(200, 30_000, scrambled));
    let all = KeyGroupRange::ALL;
    let source = block_on(Source::open(&store, &run, all.into())).unwrap();
    let spans = source.spans(all, |_| true, SPAN_LEN_BYTES);
    assert!(spans.len() >= 4 && spans.iter().all(|span| span.blocks.len() <= 6), "{spans:?}");
    // The first block of a span; the last of one and the first of the next.
    let (one, next) = (&spans[1], &spans[2]);
    let first = one.blocks.start..one.blocks.start + 1;
    let both = one.blocks.end - 1..next.blocks.start + 1;
    let bytes_of = |blocks: &Range<usize>| {
        let of = &source.reader().index().blocks;
        let last = &of[blocks.end - 1];
        of[blocks.start].offset..last.offset + last.len_bytes
    };
    for (lost, failing) in [(first, &spans[1..2]), (both, &spans[1..3])] {
        let faults = Arc::new(std::sync::OnceLock::new());
        let made = Arc::clone(&faults);
        let store = store.clone().map_object_store(move |objects| {
            let faults = FaultStore::new(objects);
            let _ = made.set(faults.clone());
            Arc::new(faults)
        });
        let faults: &FaultStore = faults.get().unwrap();
        let bytes = bytes_of(&lost);
        faults.lose(run.file.as_str(), bytes.start..bytes.start + 1);
        faults.lose(run.file.as_str(), bytes.end - 1..bytes.end);
        let (entries, _) = source.loss(lost.clone());
        let told = |damage: &[Damage]| {
            let [damage] = damage else { panic!("{damage:?}") };
            assert_eq!(damage.entries, Some(entries), "{damage:?}");
            assert_eq!((damage.lost.len(), damage.lost[0].state), (1, Some(STATE)));
            let said = format!("bytes {} up to {}: cannot read the file: ", bytes.start, bytes.end);
            assert!(damage.error.to_string().starts_with(&said), "{}", damage.error);
            assert!(damage.error.is_damage() && damage.error.path() == Some(run.file.as_str()));
        };
        let before = faults.call_count();
        let runs = std::slice::from_ref(&run);
        let sides = [runs, &[]].map(|runs| SideEntries { store: &store, runs, rows: None });
        let twins = Pair { states: [Some(STATE); 2], all: false };
        let mut found = Collect::default();
        let [damage, _] = PairReader::new(sides, all).merge(&[twins], &mut found).unwrap();
        told(&damage);
        assert_eq!(found.found.len() as u64, 200 - entries);
        // The index, each span once, and the blocks of those that fail; after what fails the file is looked up.
        let alone: usize = failing.iter().map(|span| span.blocks.len()).sum();
        let expected = 1 + spans.len() + failing.len() + alone + lost.len();
        assert_eq!((faults.call_count() - before) as usize, expected);

        // So does a chain that is read alone, as by a dump.
        let chain = block_on(ChainReader::open_salvaging(&store, runs)).unwrap();
        let mut read = 0;
        let count = &mut |_: Entry<'_>| {
            read += 1;
            Ok(())
        };
        chain.merge(all, Some(STATE), count).unwrap();
        told(&chain.damage());
        assert_eq!(read, 200 - entries);
        let strict = block_on(ChainReader::open(&store, runs)).unwrap();
        let before = faults.call_count();
        assert!(strict.merge(all, None, &mut |_| Ok(())).unwrap_err().is_damage());
        assert_eq!(faults.call_count() - before, 3, "what ends it is not looked at further");
    }
}
