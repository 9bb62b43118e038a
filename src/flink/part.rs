//! What a handle of a subtask's state stands for, opened when somebody first reads from it.

use super::changelog::{Log, check_base};
use super::damage::FlinkDamage;
use super::header::{KeyedStates, OperatorStates};
use super::rocksdb::Database;
use super::snapshot::{FlinkOperator, FlinkSnapshot};
use super::state::FlinkState;
use super::stream::FlinkStream;
use super::walk::{is_passing, timer_states};
use crate::{Error, ErrorKind, Result};
use esker_flink::metadata::{
    ChangelogHandle, IncrementalHandle, KeyGroupsFormat, KeyGroupsHandle, KeyedHandle,
    OperatorHandle, SubtaskState,
};
use esker_flink::snappy::IDENTIFIER;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A handle of a subtask's state.
pub(super) struct Part<'s> {
    pub(super) snapshot: &'s FlinkSnapshot,
    pub(super) operator: &'s FlinkOperator,
    pub(super) subtask: u32,
    pub(super) handle: Handle<'s>,
    /// Broadcast states that are read from another subtask, which holds the same.
    pub(super) left_out: BTreeSet<&'s str>,
    opened: Mutex<Option<Arc<Opened<'s>>>>,
    /// How many of those who read from it are still to come: then it is closed.
    left: AtomicUsize,
}

/// The handles that state lies behind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handle<'s> {
    Keyed(&'s KeyedHandle),
    /// Timers that an operator wrote beside its keyed state.
    RawKeyed(&'s KeyGroupsHandle, Option<&'s KeyedHandle>),
    Operator(&'s OperatorHandle),
}

impl<'s> Handle<'s> {
    /// The handles of a subtask, in the order of the output.
    pub(super) fn of(state: &'s SubtaskState) -> impl Iterator<Item = Self> {
        let keyed = state.keyed.as_ref();
        let raw = state.keyed_raw.as_ref().and_then(|handle| match handle {
            KeyedHandle::KeyGroups(handle) => Some(Self::RawKeyed(handle, keyed)),
            _ => None,
        });
        let operator = state.operator.as_ref().filter(|handle| !handle.is_empty());
        [keyed.map(Self::Keyed), raw, operator.map(Self::Operator)].into_iter().flatten()
    }
}

/// What is behind a handle.
pub(super) enum Opened<'s> {
    Canonical(Keyed<'s>),
    Heap(Keyed<'s>),
    Database {
        database: Database,
        states: KeyedStates,
    },
    /// What was materialized, and the log over it.
    Changelog {
        bases: Vec<Opened<'s>>,
        log: Log,
    },
    RawTimers {
        handle: &'s KeyGroupsHandle,
        stream: FlinkStream,
        /// The states of timers that keyed state has too: in full checkpoints of RocksDB by Flink 1.15.
        copies: BTreeSet<String>,
    },
    Operator {
        handle: &'s OperatorHandle,
        stream: FlinkStream,
        states: OperatorStates,
    },
}

impl Opened<'_> {
    fn stream(&self) -> Option<&FlinkStream> {
        match self {
            Self::Canonical(keyed) | Self::Heap(keyed) => Some(&keyed.stream),
            Self::RawTimers { stream, .. } | Self::Operator { stream, .. } => Some(stream),
            Self::Database { .. } | Self::Changelog { .. } => None,
        }
    }

    /// The states of keyed state.
    pub(super) fn keyed_states(&self) -> Option<&KeyedStates> {
        match self {
            Self::Canonical(keyed) | Self::Heap(keyed) => Some(&keyed.states),
            Self::Database { states, .. } => Some(states),
            Self::Changelog { log, .. } => Some(&log.states),
            Self::RawTimers { .. } | Self::Operator { .. } => None,
        }
    }
}

/// A stream with an offset for each key group.
pub(super) struct Keyed<'s> {
    pub(super) handle: &'s KeyGroupsHandle,
    pub(super) stream: FlinkStream,
    pub(super) states: KeyedStates,
}

impl Keyed<'_> {
    /// The key groups among `groups` that have data, and where it lies, in the order of the stream: up to the next one, or
    /// the end.
    pub(super) fn groups(&self, groups: Range<u16>) -> Vec<(u16, Range<u64>)> {
        in_order(self.handle.present(), &self.stream, groups)
    }
}

/// The same of raw keyed state, which has no header in front: key groups without data have negative offsets.
pub(super) fn raw_groups(
    handle: &KeyGroupsHandle,
    stream: &FlinkStream,
    groups: Range<u16>,
) -> Vec<(u16, Range<u64>)> {
    let all = handle.range.key_groups().zip(&handle.offsets);
    let present = all.filter_map(|(group, offset)| Some((group, u64::try_from(*offset).ok()?)));
    in_order(present, stream, groups)
}

fn in_order(
    present: impl Iterator<Item = (u16, u64)>,
    stream: &FlinkStream,
    groups: Range<u16>,
) -> Vec<(u16, Range<u64>)> {
    let mut all: Vec<_> = present.map(|(group, offset)| (offset, group)).collect();
    all.sort_unstable();
    let ends = all.iter().skip(1).map(|(offset, _)| *offset).chain([stream.len_bytes()]);
    let found = all.iter().zip(ends).map(|((offset, group), end)| (*group, *offset..end));
    found.filter(|(group, _)| groups.contains(group)).collect()
}

impl<'s> Part<'s> {
    pub(super) fn new(
        snapshot: &'s FlinkSnapshot,
        operator: &'s FlinkOperator,
        subtask: u32,
        handle: Handle<'s>,
    ) -> Self {
        let (opened, left) = (Mutex::default(), AtomicUsize::new(0));
        let left_out = BTreeSet::new();
        Self { snapshot, operator, subtask, handle, left_out, opened, left }
    }

    /// The file that its state lies in, where that is one and it is open.
    pub(super) fn path(&self) -> Option<String> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_deref().and_then(Opened::stream).map(|stream| stream.path().to_owned())
    }

    /// The damage of all of it, for what is wrong.
    pub(super) fn damage(&self, error: Error) -> FlinkDamage {
        let groups = match self.handle {
            Handle::Operator(_) => None,
            Handle::RawKeyed(handle, _) => Some(handle.range.key_groups()),
            Handle::Keyed(handle) => Some(handle.range().key_groups()),
        };
        FlinkDamage {
            operator: self.operator.label.clone(),
            subtask: Some(self.subtask),
            state: None,
            key_groups: groups.and_then(ends),
            entries: None,
            error,
        }
    }

    /// Says that somebody is going to read from it, who says [`done`](Self::done) at the end.
    pub(super) fn expect(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// What is behind the handle. Others who ask at once wait for the first of them.
    ///
    /// # Errors
    /// `Corrupt` and `Unsupported`, with file and offset; the store's.
    pub(super) fn open(&self) -> Result<Arc<Opened<'s>>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        let found = Arc::new(self.read()?);
        *opened = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Says that one who was expected has read all it wants.
    pub(super) fn done(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    fn read(&self) -> Result<Opened<'s>> {
        match self.handle {
            Handle::Keyed(handle) => self.read_keyed(handle),
            Handle::RawKeyed(handle, keyed) => {
                let stream = self.snapshot.stream(&handle.stream)?;
                let mut copies = BTreeSet::new();
                if let Some(KeyedHandle::KeyGroups(keyed)) = keyed {
                    match self.key_groups(keyed) {
                        Ok((_, KeyedStates { states, .. })) => {
                            let timers = states.into_iter().filter(FlinkState::is_timer);
                            copies.extend(timers.map(|state| state.name));
                        }
                        Err(error) if is_passing(&error) => return Err(error),
                        // Then these are the only ones.
                        Err(_) => {}
                    }
                }
                Ok(Opened::RawTimers { handle, stream, copies })
            }
            Handle::Operator(handle) => {
                let stream = self.snapshot.stream(&handle.stream)?;
                let len_bytes = handle.header_len(stream.len_bytes());
                let states = OperatorStates::read(&stream, len_bytes, &self.operator.label)?;
                Ok(Opened::Operator { handle, stream, states })
            }
        }
    }

    fn key_groups(&self, handle: &KeyGroupsHandle) -> Result<(FlinkStream, KeyedStates)> {
        let stream = self.snapshot.stream(&handle.stream)?;
        let len_bytes = handle.header_len(stream.len_bytes());
        let states = KeyedStates::read(&stream, len_bytes, &self.operator.label)?;
        Ok((stream, states))
    }

    fn read_keyed(&self, handle: &'s KeyedHandle) -> Result<Opened<'s>> {
        match handle {
            KeyedHandle::KeyGroups(handle) => {
                let (stream, states) = self.key_groups(handle)?;
                let is_canonical = match handle.format {
                    KeyGroupsFormat::Canonical => true,
                    // Flink 1.15 has full checkpoints of RocksDB, which are canonical, behind the heap's handles.
                    KeyGroupsFormat::Native { .. } | KeyGroupsFormat::Legacy => {
                        !is_of_heap(handle, &stream, states.header.state_count())?
                    }
                };
                let keyed = Keyed { handle, stream, states };
                Ok(if is_canonical { Opened::Canonical(keyed) } else { Opened::Heap(keyed) })
            }
            KeyedHandle::Incremental(handle) => {
                let states = self.database_states(handle)?;
                let files = handle.shared.iter().chain(&handle.private);
                let files =
                    files.map(|file| Ok((file.name.clone(), self.snapshot.stream(&file.stream)?)));
                let database = Database::open(&files.collect::<Result<Vec<_>>>()?)?;
                Ok(Opened::Database { database, states })
            }
            KeyedHandle::Changelog(handle) => {
                let bases = handle.materialized.iter().map(|base| {
                    check_base(base, self.snapshot.path())?;
                    self.read_keyed(base)
                });
                let bases = bases.collect::<Result<Vec<_>>>()?;
                let states: Vec<_> = bases.iter().filter_map(Opened::keyed_states).collect();
                let log = Log::read(self.snapshot, self.operator, handle, &states)?;
                Ok(Opened::Changelog { bases, log })
            }
            KeyedHandle::ChangelogBytes(_) | KeyedHandle::ChangelogFiles(_) => {
                let message = "changes of state outside of a changelog";
                Err(Error::new(ErrorKind::Corrupt, message).at_path(self.snapshot.path()))
            }
        }
    }

    fn database_states(&self, handle: &IncrementalHandle) -> Result<KeyedStates> {
        let meta = self.snapshot.stream(&handle.meta)?;
        KeyedStates::read(&meta, meta.len_bytes(), &self.operator.label)
    }

    /// The states of what was materialized, without its data, and of the log, which is read.
    fn changelog_states(&self, handle: &'s ChangelogHandle) -> Result<KeyedStates> {
        let bases = handle.materialized.iter().map(|base| {
            check_base(base, self.snapshot.path())?;
            match base {
                KeyedHandle::Incremental(base) => self.database_states(base),
                base => match self.read_keyed(base)? {
                    Opened::Canonical(keyed) | Opened::Heap(keyed) => Ok(keyed.states),
                    _ => Err(Error::new(ErrorKind::Corrupt, "no keyed state")),
                },
            }
        });
        let bases = bases.collect::<Result<Vec<_>>>()?;
        let bases: Vec<_> = bases.iter().collect();
        Ok(Log::read(self.snapshot, self.operator, handle, &bases)?.states)
    }

    /// The states alone: of a database no file is fetched.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn states(&self) -> Result<PartStates> {
        match self.handle {
            Handle::Keyed(KeyedHandle::Incremental(handle)) => {
                return self.database_states(handle).map(PartStates::Keyed);
            }
            Handle::Keyed(KeyedHandle::Changelog(handle)) => {
                return self.changelog_states(handle).map(PartStates::Keyed);
            }
            _ => {}
        }
        Ok(match &*self.open()? {
            Opened::Canonical(keyed) | Opened::Heap(keyed) => {
                PartStates::Keyed(keyed.states.clone())
            }
            Opened::Database { states, .. } | Opened::Changelog { log: Log { states, .. }, .. } => {
                PartStates::Keyed(states.clone())
            }
            Opened::RawTimers { handle, stream, copies } => {
                let mut states = timer_states(handle, stream, &self.operator.label)?;
                states.retain(|state| !copies.contains(&state.name));
                PartStates::Timers(states)
            }
            Opened::Operator { states, .. } => PartStates::Operator(states.clone()),
        })
    }
}

/// The states behind a handle.
pub(super) enum PartStates {
    Keyed(KeyedStates),
    Timers(Vec<FlinkState>),
    Operator(OperatorStates),
}

/// The first and the last of `groups`.
pub(super) fn ends(groups: Range<u16>) -> Option<(u16, u16)> {
    groups.end.checked_sub(1).filter(|last| *last >= groups.start).map(|last| (groups.start, last))
}

/// Whether a stream that may hold either is of the heap's own format, and not canonical.
fn is_of_heap(handle: &KeyGroupsHandle, stream: &FlinkStream, state_count: usize) -> Result<bool> {
    // The heap writes every key group, those without entries too.
    if handle.present().count() < handle.range.key_groups().len() {
        return Ok(false);
    }
    // There a key group begins with its number; in canonical state with a state's id of two bytes and a key's length of four. One key
    // group may be damaged, or have a key of so many bytes.
    let (mut looked_at, mut alike) = (0, 0);
    for (group, offset) in handle.present().take(4) {
        let end = offset.saturating_add(6).min(stream.len_bytes());
        let found = stream.read(offset.min(end)..end)?;
        let (number, behind) = found.split_at(found.len().min(4));
        // Of key group 0 what follows tells: a state's id or a compressed stream, not the rest of a length.
        let fits = match *behind {
            [high, low] if group == 0 => {
                let id = usize::from(u16::from_be_bytes([high, low]));
                id < state_count || behind == &IDENTIFIER[..2]
            }
            _ => true,
        };
        looked_at += 1;
        alike += usize::from(fits && number == u32::from(group).to_be_bytes());
    }
    Ok(alike * 2 >= looked_at)
}
