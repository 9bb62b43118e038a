//! The chain merger: the runs of a chain, read side by side, to one resolved entry per key.
//!
//! A k-way merge whose heap is left alone while one run leads, as the base does most of the time. A run is
//! opened once the merge comes to the first key that its index says it can hold.
//! Memory: the indexes, and one span of stored blocks and one block for each run that counts at one place.

use super::groups::Groups;
use super::passed::PassedOver;
use super::plan::counting;
use super::source::{SPAN_LEN_BYTES, Source, Span, place};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::composite::CompositeKey;
use esker_format::part::RunRef;
use esker_format::run::{BlockCursor, Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange};
use futures::StreamExt;
use futures::stream;
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

/// How many indexes are fetched at once.
pub(super) const OPEN_AT_ONCE: usize = 8;

/// Something of a snapshot that cannot be read: which file, and what of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damage {
    /// What is wrong, with the file as its path.
    pub error: Error,
    /// How many entries are lost with it, where that is known.
    pub entries: Option<u64>,
    /// What they can be entries of.
    pub lost: Vec<Lost>,
}

/// A state and key groups that damage can have taken entries of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The state's id; none where it can be any.
    pub state: Option<u32>,
    /// The key groups.
    pub range: KeyGroupRange,
}

/// The runs of a chain, open.
pub struct ChainReader {
    /// Oldest first.
    sources: Vec<Source>,
    /// Where removals have nothing older to remove, and are left out.
    complete: Groups,
    /// Where damage is collected, if it is to be passed over.
    damage: Option<Mutex<PassedOver>>,
    /// The states that are read where one calls for all; none for whatever there is.
    states: Option<BTreeSet<u32>>,
}

impl ChainReader {
    /// Opens `runs`, oldest first, as a whole chain: the merge gives what is live.
    ///
    /// # Errors
    /// The store's, and `Corrupt`, naming the file.
    pub async fn open(store: &Store, runs: &[RunRef]) -> Result<Self> {
        Self::open_with(store, counted(runs), KeyGroupRange::ALL.into(), None).await
    }

    /// As [`open`](Self::open), but runs and blocks that are damaged or missing are left out and
    /// reported by [`damage`](Self::damage), as [`Error::is_damage`] says. Failures of the store that may pass
    /// are still errors.
    ///
    /// # Errors
    /// The store's.
    pub async fn open_salvaging(store: &Store, runs: &[RunRef]) -> Result<Self> {
        let damage = Some(Mutex::default());
        Self::open_with(store, counted(runs), KeyGroupRange::ALL.into(), damage).await
    }

    /// Opens adjacent runs of a chain, with the key groups that each counts for; removals are kept
    /// outside `complete`.
    pub(super) async fn open_with(
        store: &Store,
        runs: Vec<(RunRef, Groups)>,
        complete: Groups,
        damage: Option<Mutex<PassedOver>>,
    ) -> Result<Self> {
        let counted = runs.into_iter().filter(|(_, counts)| !counts.is_empty());
        let opened = stream::iter(counted)
            .map(|(run, counts)| async move {
                let lost = vec![Lost { state: None, range: run.range }];
                (run.entries, lost, Source::open(store, &run, counts).await)
            })
            .buffered(OPEN_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut reader = Self { sources: Vec::new(), complete, damage, states: None };
        for (entries, lost, source) in opened {
            match source {
                Ok(source) => reader.sources.push(source),
                Err(error) => reader.pass_over(error, Some(entries), lost)?,
            }
        }
        Ok(reader)
    }

    /// A whole chain that is open already: its runs, oldest first.
    pub(super) fn of_sources(sources: impl IntoIterator<Item = Source>) -> Self {
        let counted = sources.into_iter().filter(|source| !source.counts().is_empty());
        let complete = KeyGroupRange::ALL.into();
        Self { sources: counted.collect(), complete, damage: None, states: None }
    }

    /// The same reader of these states alone: of others, one that was dropped say, no block is read
    /// that holds nothing else.
    #[must_use]
    pub fn of_states(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.states = Some(ids.into_iter().collect());
        self
    }

    fn wants(&self, id: u32, asked: Option<u32>) -> bool {
        asked.is_none_or(|asked| asked == id)
            && self.states.as_ref().is_none_or(|states| states.contains(&id))
    }

    /// What was passed over so far, by a reader that salvages.
    pub fn damage(&self) -> Vec<Damage> {
        let taken = self.damage.as_ref().and_then(|damage| damage.lock().ok());
        taken.map(|mut damage| std::mem::take(&mut *damage).into_all()).unwrap_or_default()
    }

    fn pass_over(&self, error: Error, entries: Option<u64>, lost: Vec<Lost>) -> Result<()> {
        let Some(damage) = self.damage.as_ref().filter(|_| error.is_damage()) else {
            return Err(error);
        };
        if let Ok(mut damage) = damage.lock() {
            damage.push(Damage { error, entries, lost });
        }
        Ok(())
    }

    /// Passes over a span that a device cannot give back: its blocks one by one, where it has several.
    fn pass_unread(&self, cursor: &mut RunCursor<'_>, span: Span, error: Error) -> Result<()> {
        let Some(damage) = &self.damage else { return Err(error) };
        if span.blocks.len() > 1 {
            for alone in cursor.source.spans_between(span.blocks, 0).into_iter().rev() {
                cursor.spans.push_front(alone);
            }
        } else if let Ok(mut damage) = damage.lock() {
            damage.push_unread(cursor.source, span, error);
        }
        Ok(())
    }

    /// The ids of states that the runs hold entries of, ascending.
    pub fn states(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.sources.iter().flat_map(Source::states).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Bytes of all runs that count somewhere, what of them does not count included.
    pub fn len_bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.run().len_bytes).sum()
    }

    /// Calls `f` with the entries of the key groups in `range`, of `state` or of all, in run order,
    /// each key resolved over all runs: a put holds the elements appended behind it. Blocks the
    /// thread while it reads.
    ///
    /// # Errors
    /// The store's and those of `f`; `Corrupt` for damage, naming file, states and key groups.
    pub fn merge(
        &self,
        range: KeyGroupRange,
        state: Option<u32>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let spans =
            |source: &Source| source.spans(range, |id| self.wants(id, state), SPAN_LEN_BYTES);
        self.merge_spans(range, state, spans, f)
    }

    /// As [`merge`](Self::merge), of the entries whose composite keys begin with `prefix`: state, key
    /// group, key and namespace, as [`CompositeKey`] encodes them without a user key. Of a run whose
    /// filter denies them no block is read, of others those that can hold them.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge), and `Invalid` if `prefix` is no composite key.
    pub fn get(&self, prefix: &[u8], f: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        let invalid = || Error::new(ErrorKind::Invalid, "a prefix that is no composite key");
        CompositeKey::decode(prefix).map_err(|_| invalid())?;
        let (state, KeyGroup(group)) = place(prefix).ok_or_else(invalid)?;
        let range = KeyGroupRange::new(group, group)?;
        let spans = |source: &Source| {
            let denied = !source.counts().contains(KeyGroup(group))
                || source
                    .filter_now()
                    .is_ok_and(|filter| filter.is_some_and(|filter| !filter.may_contain(prefix)));
            if denied { Vec::new() } else { source.spans_of(prefix) }
        };
        self.merge_spans(range, Some(state), spans, &mut |entry| {
            if entry.key.starts_with(prefix) { f(entry) } else { Ok(()) }
        })
    }

    fn merge_spans(
        &self,
        range: KeyGroupRange,
        state: Option<u32>,
        spans: impl Fn(&Source) -> Vec<Span>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut merge = Merge::new(self, range, state, spans);
        while merge.step(f)? {}
        Ok(())
    }

    /// The entries of `state` as [`merge`](Self::merge) gives them, one after the other: for whoever reads
    /// several chains side by side. A chain opened as a whole one.
    pub(crate) fn cursor(&self, range: KeyGroupRange, state: u32) -> ChainCursor<'_> {
        let wants = |id| self.wants(id, Some(state));
        let spans = |source: &Source| source.spans(range, wants, SPAN_LEN_BYTES);
        let merge = Merge::new(self, range, Some(state), spans);
        ChainCursor { merge, key: Vec::new(), value: Vec::new() }
    }
}

/// A place among the resolved entries of a chain.
pub(crate) struct ChainCursor<'a> {
    merge: Merge<'a>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl ChainCursor<'_> {
    /// Goes to the next entry, or the first; false at the end. Blocks the thread while it reads.
    ///
    /// # Errors
    /// As for [`ChainReader::merge`].
    pub(crate) fn advance(&mut self) -> Result<bool> {
        let Self { merge, key, value } = self;
        let mut found = false;
        while !found {
            let goes_on = merge.step(&mut |entry| {
                key.clear();
                key.extend_from_slice(entry.key);
                value.clear();
                value.extend_from_slice(entry.value);
                found = true;
                Ok(())
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(found)
    }

    /// The composite key of its entry.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of its entry.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }
}

fn counted(runs: &[RunRef]) -> Vec<(RunRef, Groups)> {
    runs.iter().cloned().zip(counting(runs)).collect()
}

/// A place in one run.
struct RunCursor<'a> {
    source: &'a Source,
    range: KeyGroupRange,
    state: Option<u32>,
    spans: VecDeque<Span>,
    fetched: Option<(Span, Bytes)>,
    /// The block at hand, on an entry; none before the first.
    block: Option<BlockCursor>,
    /// No entry is below it.
    from: &'a [u8],
}

impl<'a> RunCursor<'a> {
    /// A cursor of which nothing was read yet; none if there is nothing to read.
    fn new(
        source: &'a Source,
        range: KeyGroupRange,
        state: Option<u32>,
        spans: Vec<Span>,
    ) -> Option<Self> {
        let from = source.first_key(spans.first()?)?;
        Some(Self { source, range, state, spans: spans.into(), fetched: None, block: None, from })
    }

    fn wants(&self, chain: &ChainReader, key: &[u8]) -> bool {
        place(key).is_some_and(|(state, group)| {
            self.range.contains(group)
                && chain.wants(state, self.state)
                && self.source.counts().contains(group)
        })
    }

    /// Goes to the next entry that counts; false at the end.
    fn advance(&mut self, chain: &ChainReader) -> Result<bool> {
        loop {
            let Some(block) = &mut self.block else {
                match self.next_block() {
                    Ok(true) => continue,
                    Ok(false) => return Ok(false),
                    // A sector that cannot be read takes the blocks that lie on it, and no others.
                    Err((error, span)) if error.is_unreadable() => {
                        chain.pass_unread(self, span, error)?;
                        continue;
                    }
                    Err((error, span)) => {
                        let (entries, lost) = self.source.loss(span.blocks);
                        chain.pass_over(error, Some(entries), lost)?;
                        continue;
                    }
                }
            };
            match block.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.block = None;
                    continue;
                }
                Err(error) => {
                    self.block = None;
                    let error = Error::from(error).at_path(self.source.run().file.as_str());
                    let number = self.fetched.as_ref().map_or(0, |(span, _)| span.blocks.start);
                    let (_, lost) = self.source.loss(number.saturating_sub(1)..number);
                    chain.pass_over(error, None, lost)?;
                    continue;
                }
            }
            if self.block.as_ref().is_some_and(|block| self.wants(chain, block.entry().key)) {
                return Ok(true);
            }
        }
    }

    /// Unpacks the next block; false if there is none. An error comes with the blocks that it takes.
    fn next_block(&mut self) -> std::result::Result<bool, (Error, Span)> {
        if self.fetched.is_none() {
            let Some(span) = self.spans.pop_front() else { return Ok(false) };
            match self.source.fetch_now(&span) {
                Ok(bytes) => self.fetched = Some((span, bytes)),
                Err(error) => return Err((error, span)),
            }
        }
        let Some((span, bytes)) = &mut self.fetched else { return Ok(false) };
        let Some(number) = span.blocks.next() else {
            self.fetched = None;
            return Ok(!self.spans.is_empty());
        };
        let block = self.source.block(number, span, bytes);
        let block = block.map_err(|error| {
            (error, Span { blocks: number..number + 1, bytes: span.bytes.clone() })
        })?;
        self.block = Some(BlockCursor::new(block));
        Ok(true)
    }

    /// Whether it stands on an entry.
    fn is_open(&self) -> bool {
        self.block.is_some()
    }

    /// The key of its entry, or what no entry is below.
    fn key(&self) -> &[u8] {
        self.block.as_ref().map_or(self.from, |block| block.entry().key)
    }

    /// Its entry, if it is open.
    fn entry(&self) -> Entry<'_> {
        const NONE: Entry<'static> = Entry { key: &[], op: Op::Delete, value: &[] };
        self.block.as_ref().map_or(NONE, BlockCursor::entry)
    }
}

/// What the entries of one key come to so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resolved {
    Nothing,
    Is(Op),
}

struct Merge<'a> {
    chain: &'a ChainReader,
    /// Oldest first.
    cursors: Vec<RunCursor<'a>>,
    /// Numbers of cursors that are not at their end; the least key on top, of one key those that are not
    /// open, then the oldest.
    heap: Vec<usize>,
    /// The key and namespace that were last cleared, and by which run: it hides all older ones.
    cleared: Option<(Vec<u8>, usize)>,
    /// What the entries of one key come to.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Merge<'a> {
    /// What there is of `state`, or of all, in the key groups of `range`, in the blocks that `spans` says.
    fn new(
        chain: &'a ChainReader,
        range: KeyGroupRange,
        state: Option<u32>,
        spans: impl Fn(&Source) -> Vec<Span>,
    ) -> Self {
        let sources = chain.sources.iter();
        let cursors = sources.filter_map(|s| RunCursor::new(s, range, state, spans(s)));
        let cursors: Vec<_> = cursors.collect();
        let heap = (0..cursors.len()).collect();
        let (key, value) = (Vec::new(), Vec::new());
        let mut merge = Self { chain, cursors, heap, cleared: None, key, value };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at);
        }
        merge
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (of_a, of_b) = (&self.cursors[a], &self.cursors[b]);
        match of_a.key().cmp(of_b.key()) {
            Ordering::Less => true,
            Ordering::Equal => (of_a.is_open(), a) < (of_b.is_open(), b),
            Ordering::Greater => false,
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.before(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// Moves the cursor on top to its next entry, or its first.
    fn advance_top(&mut self) -> Result<()> {
        let Some(top) = self.heap.first().copied() else { return Ok(()) };
        if !self.cursors[top].advance(self.chain)? {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }

    /// Whether no other run has the key of the one on top, nor that run another entry of it.
    fn top_is_alone(&self, top: usize) -> bool {
        let entry = self.cursors[top].entry();
        let others = self.heap.iter().skip(1).take(2);
        entry.op != Op::Clear
            && others.into_iter().all(|other| self.cursors[*other].key() != entry.key)
    }

    /// Gives `f` what the entries of the next key come to, if they come to something; false at the end.
    #[inline]
    fn step(&mut self, f: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<bool> {
        let Some(top) = self.heap.first().copied() else { return Ok(false) };
        if !self.cursors[top].is_open() {
            self.advance_top()?;
            return Ok(true);
        }
        let entry = self.cursors[top].entry();
        if self.cleared.as_ref().is_some_and(|(prefix, _)| !entry.key.starts_with(prefix)) {
            self.cleared = None;
        }
        let complete = place(entry.key)
            .is_none_or(|(_, KeyGroup(group))| self.chain.complete.contains(KeyGroup(group)));
        if self.cleared.is_none() && self.top_is_alone(top) {
            match entry.op {
                Op::Append if complete => f(Entry { op: Op::Put, ..entry })?,
                Op::Delete if complete => {}
                _ => f(entry)?,
            }
            self.advance_top()?;
            return Ok(true);
        }
        let (mut key, mut value) = (std::mem::take(&mut self.key), std::mem::take(&mut self.value));
        key.clear();
        key.extend_from_slice(entry.key);
        value.clear();
        let mut resolved = Resolved::Nothing;
        let mut clears = false;
        while let Some(top) = self.heap.first().copied() {
            // One that is not open would have come before those that are.
            if self.cursors[top].key() != key.as_slice() {
                break;
            }
            let entry = self.cursors[top].entry();
            let hidden = self.cleared.as_ref().is_some_and(|(_, by)| top < *by);
            match (entry.op, resolved) {
                _ if hidden => {}
                (Op::Clear, _) => {
                    self.cleared = Some((cleared_prefix(&key)?, top));
                    (clears, resolved) = (true, Resolved::Nothing);
                    value.clear();
                }
                (Op::Append, Resolved::Is(before)) => {
                    value.extend_from_slice(entry.value);
                    let op = if before == Op::Append { Op::Append } else { Op::Put };
                    resolved = Resolved::Is(op);
                }
                (op, _) => {
                    value.clear();
                    value.extend_from_slice(entry.value);
                    resolved = Resolved::Is(op);
                }
            }
            self.advance_top()?;
        }
        if clears && !complete {
            f(Entry { key: &key, op: Op::Clear, value: &[] })?;
        }
        match resolved {
            Resolved::Is(Op::Append) if complete => {
                f(Entry { key: &key, op: Op::Put, value: &value })?;
            }
            Resolved::Is(Op::Delete) if complete => {}
            Resolved::Is(op) => f(Entry { key: &key, op, value: &value })?,
            Resolved::Nothing => {}
        }
        (self.key, self.value) = (key, value);
        Ok(true)
    }
}

/// The bytes that all keys begin with which a clear of `key` drops. A clear has no user key, so they
/// are the whole of it.
fn cleared_prefix(key: &[u8]) -> Result<Vec<u8>> {
    if CompositeKey::decode(key)?.user_key.is_empty() {
        return Ok(key.to_vec());
    }
    Err(Error::new(ErrorKind::Corrupt, "a clear has a user key"))
}
