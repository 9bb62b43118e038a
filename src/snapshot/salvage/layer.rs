//! What one snapshot tells of the keys of one state, and which of them it lost.

use super::cursor::RunCursor;
use super::interval::{Interval, intersect, union};
use super::loss::{Level, Loss, LossCursor};
use super::survey::blocks_of;
use super::surveyed::SoundRun;
use crate::Result;
use crate::snapshot::source::{SPAN_LEN_BYTES, Source};
use esker_format::KeyGroupRange;
use esker_format::run::Op;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It has a value.
    Value,
    /// It has none.
    Nothing,
    /// What it has was lost, or may have been.
    Lost,
}

/// The runs of a chain side by side, of one state.
pub(super) struct LayerReader<'a> {
    /// Those of one chain oldest first.
    cursors: Vec<RunCursor>,
    losses: LossCursor<'a>,
    /// The key and namespace that were cleared last, and how new that is.
    cleared: Option<(Vec<u8>, Level)>,
    value: Vec<u8>,
    /// The keys that it lost, of those asked for.
    pub(super) lost: Vec<Interval>,
}

/// What is read of a state.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) range: KeyGroupRange,
    /// The state's id in this snapshot.
    pub(super) state: u32,
    /// The keys; none for all.
    pub(super) keys: Option<&'a [Interval]>,
}

impl<'a> LayerReader<'a> {
    /// Opens what is asked for: of keys that are not, it may tell anything. `runs` have each its open
    /// source, `losses` are those of all chains that the runs are of.
    ///
    /// # Errors
    /// The store's; `Corrupt` if something is no more what it was.
    pub(super) fn new(
        runs: impl Iterator<Item = (&'a SoundRun, &'a Source)>,
        losses: impl Iterator<Item = &'a Loss>,
        asked: Asked<'_>,
    ) -> Result<Self> {
        let Asked { range, state, keys } = asked;
        let mut cursors = Vec::new();
        for (sound, source) in runs {
            let groups = sound.counts.within(range);
            if groups.is_empty() {
                continue;
            }
            let mut numbers = blocks_of(source, range, (state, keys));
            numbers.retain(|number| !sound.lost.contains(number));
            let spans = source.spans_between(numbers, SPAN_LEN_BYTES);
            let cursor = RunCursor::new(source, (state, groups), sound.rank, spans)?;
            if cursor.key().is_some() {
                cursors.push(cursor);
            }
        }
        let here = [Interval {
            from: range.first().to_be_bytes().to_vec(),
            to: range.last().checked_add(1).map(|behind| behind.to_be_bytes().to_vec()),
        }];
        let within = keys.map_or_else(|| here.to_vec(), |keys| intersect(keys, &here));
        let is_here =
            |loss: &&Loss| !intersect(std::slice::from_ref(&loss.keys), &within).is_empty();
        let losses: Vec<&Loss> = losses.filter(is_here).collect();
        let lost = union(losses.iter().map(|loss| loss.keys.clone()));
        let lost = intersect(&lost, &within);
        let (losses, value) = (LossCursor::new(losses), Vec::new());
        Ok(Self { cursors, losses, cleared: None, value, lost })
    }

    /// The least key that it has an entry of.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.cursors.iter().filter_map(RunCursor::key).min()
    }

    /// What it tells of `key`, which is not above the least that it has an entry of, and whether there
    /// was any; goes on behind it.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn tell(&mut self, key: &[u8]) -> Result<(Told, bool)> {
        if self.cleared.as_ref().is_some_and(|(prefix, _)| !key.starts_with(prefix)) {
            self.cleared = None;
        }
        let mut decided = self.cleared.as_ref().map_or(0, |(_, level)| *level);
        let (mut told, mut had) = (Told::Nothing, false);
        self.value.clear();
        let mut ended = false;
        for cursor in &mut self.cursors {
            while cursor.key() == Some(key) {
                had = true;
                let (entry, level) = (cursor.entry(), cursor.level);
                let hidden = self.cleared.as_ref().is_some_and(|(_, cleared)| level < *cleared);
                match entry.op {
                    _ if hidden => {}
                    Op::Clear => {
                        self.cleared = Some((key.to_vec(), level));
                        self.value.clear();
                        (told, decided) = (Told::Nothing, level);
                    }
                    Op::Delete => {
                        self.value.clear();
                        (told, decided) = (Told::Nothing, level);
                    }
                    Op::Put => {
                        self.value.clear();
                        self.value.extend_from_slice(entry.value);
                        (told, decided) = (Told::Value, level);
                    }
                    Op::Append => {
                        self.value.extend_from_slice(entry.value);
                        told = Told::Value;
                    }
                }
                cursor.advance()?;
            }
            ended |= cursor.key().is_none();
        }
        if ended {
            self.cursors.retain(|cursor| cursor.key().is_some());
        }
        // An append adds to what older runs hold: it decides nothing.
        match self.losses.level_at(key) {
            Some(lost) if lost > decided => Ok((Told::Lost, had)),
            _ => Ok((told, had)),
        }
    }

    /// The value of the key that it told of last.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }
}
