//! The entries of one state, a page at a time, forwards and back; only the page at hand is in memory.

use crate::snapshot::{Entries, Harm};
use esker::format::canonical::{Canonical, Expired};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Operator, StateInfo};
use esker::format::part::Part;
use esker::format::run::Entry;
use esker::format::{KeyGroup, KeyGroupRange};
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind};
use std::collections::BTreeMap;

/// A page ends after so many entries, or so much text.
const ENTRIES_MAX: usize = 256;
const TEXT_LEN_BYTES_MAX: usize = 4 << 20;

/// Before an entry: in the part of this subtask, in this key group, behind so many entries of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    subtask: usize,
    group: u16,
    skipped: u64,
}

const FIRST: Place = Place { subtask: 0, group: 0, skipped: 0 };

/// What is read: a state, all of it or what it holds under one key.
#[derive(Clone)]
pub(super) struct Source<'a> {
    pub(super) snapshot: &'a OpenSnapshot,
    pub(super) operator: &'a Operator,
    pub(super) parts: &'a [Option<Part>],
    pub(super) info: &'a StateInfo,
    pub(super) expired: Expired,
    /// The key's own bytes.
    pub(super) key: Option<Vec<u8>>,
}

/// The page at hand, and where those before it and the one behind it begin.
pub(super) struct Pages<'a> {
    pub(super) source: Source<'a>,
    opened: BTreeMap<usize, Entries>,
    /// Where each page up to the one at hand begins.
    starts: Vec<Place>,
    next: Option<Place>,
    /// The canonical lines of the page at hand.
    pub(super) lines: Vec<String>,
}

impl<'a> Pages<'a> {
    /// Reads the first page; what is damaged goes to `harms`, as with all that follow.
    pub(super) fn open(source: Source<'a>, harms: &mut Vec<Harm>) -> Self {
        let (opened, starts, lines) = (BTreeMap::new(), vec![FIRST], Vec::new());
        let mut pages = Self { source, opened, starts, next: None, lines };
        pages.read(harms);
        pages
    }

    /// The number of the page at hand, from 1 on.
    pub(super) fn number(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Goes to the page behind the one at hand, if there is one.
    pub(super) fn forward(&mut self, harms: &mut Vec<Harm>) -> bool {
        let Some(next) = self.next else { return false };
        self.starts.push(next);
        self.read(harms);
        true
    }

    /// Goes to the page before the one at hand, if there is one.
    pub(super) fn back(&mut self, harms: &mut Vec<Harm>) -> bool {
        if self.starts.len() < 2 {
            return false;
        }
        self.starts.pop();
        self.read(harms);
        true
    }

    fn read(&mut self, harms: &mut Vec<Harm>) {
        let from = self.starts.last().copied().unwrap_or(FIRST);
        self.lines.clear();
        self.next = None;
        let mut page = Page { len_bytes: 0, lines: &mut self.lines, next: &mut self.next };
        let subtasks = from.subtask..self.source.parts.len();
        for subtask in subtasks {
            let from = if subtask == from.subtask { from } else { Place { subtask, ..FIRST } };
            let read = self.source.read(from, &mut self.opened, &mut page);
            let mut told = |harm: Harm| {
                if !harms.contains(&harm) {
                    harms.push(harm);
                }
            };
            if let Some(entries) = self.opened.get_mut(&subtask) {
                let operator = self.source.operator;
                let holds = |info: &StateInfo| info.id == self.source.info.id;
                let found = entries.damage();
                found.iter().for_each(|damage| told(Harm::of_damage(damage, operator, holds)));
            }
            if let Err(error) = read {
                told(Harm::of(&error));
            }
            if page.next.is_some() {
                return;
            }
        }
    }
}

/// The page that is being read.
struct Page<'p> {
    len_bytes: usize,
    lines: &'p mut Vec<String>,
    next: &'p mut Option<Place>,
}

impl Source<'_> {
    /// Reads on from `from` to the end of its part, or of the page.
    fn read(
        &self,
        from: Place,
        opened: &mut BTreeMap<usize, Entries>,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let Some(part) = self.parts.get(from.subtask).and_then(Option::as_ref) else {
            return Ok(());
        };
        let owned = self.operator.range(from.subtask)?;
        let wanted = match &self.key {
            Some(key) => KeyGroupRange::new(KeyGroup::of(key).0, KeyGroup::of(key).0)?,
            None => KeyGroupRange::new(from.group, u16::MAX)?,
        };
        let range = if self.info.kind.is_keyed() { owned.intersect(wanted) } else { Some(wanted) };
        let Some(range) = range else { return Ok(()) };
        let entries = match opened.entry(from.subtask) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let Some(entries) = self.entries(part, owned)? else { return Ok(()) };
                place.insert(entries)
            }
        };
        let mut canonical =
            Canonical::new(&self.operator.uid, self.operator.key.as_ref(), self.info);
        canonical.at(part.ttl_time_ms(self.info.id), self.expired);
        let mut at = Place { skipped: 0, ..from };
        let mut refused = None;
        let merged = entries.merge(range, Some(self.info.id), &mut |entry: Entry<'_>| {
            let group = self.group(entry.key);
            if group != at.group {
                at = Place { group, skipped: 0, ..at };
            }
            if let Some(key) = &self.key
                && *CompositeKey::decode(entry.key)?.key != **key
            {
                return Ok(());
            }
            let mut line = String::new();
            match canonical.write(entry, &mut line) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    refused.get_or_insert(error);
                    return Ok(());
                }
            }
            if group != from.group || at.skipped >= from.skipped {
                if page.lines.len() >= ENTRIES_MAX || page.len_bytes >= TEXT_LEN_BYTES_MAX {
                    *page.next = Some(at);
                    return Err(Error::new(ErrorKind::Retry, "the page is full"));
                }
                page.len_bytes += line.len();
                page.lines.push(line);
            }
            at.skipped += 1;
            Ok(())
        });
        match (merged, refused) {
            (Err(error), _) if page.next.is_none() => Err(error),
            (_, Some(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn entries(&self, part: &Part, owned: KeyGroupRange) -> Result<Option<Entries>, Error> {
        let store = &self.snapshot.store;
        if self.info.kind.is_keyed() {
            return Entries::open(store, (part, owned), &part.runs, [self.info]).map(Some);
        }
        let Some(run) = &part.operator_run else { return Ok(None) };
        Entries::of_run(store, run, [self.info]).map(Some)
    }

    /// The key group of an entry; of operator state, which has none, 0.
    fn group(&self, key: &[u8]) -> u16 {
        let group = key.get(4..).and_then(|rest| rest.first_chunk());
        match group {
            Some(group) if self.info.kind.is_keyed() => u16::from_be_bytes(*group),
            _ => 0,
        }
    }
}
