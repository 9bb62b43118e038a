//! What a snapshot refers to: files, who needs them, sizes, records in flight. From `_metadata` alone.

use super::snapshot::FlinkSnapshot;
use esker_flink::metadata::properties::{SnapshotType, snapshot_type};
use esker_flink::metadata::{
    ChannelHandle, KeyGroupsFormat, KeyedHandle, Site, Slot, StreamHandle, StreamKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// A file that `_metadata` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkReferenced {
    /// The path as it stands there: relative to the snapshot's folder, or absolute.
    pub path: String,
    /// What of it counts, in bytes: of merged files some pieces alone.
    pub len_bytes: u64,
    /// Who needs it.
    pub users: Vec<FlinkUser>,
}

/// Who needs a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlinkUser {
    /// The number of the operator.
    pub operator: usize,
    /// The subtask; none for the operator's coordinator.
    pub subtask: Option<u32>,
    /// What for.
    pub slot: Slot,
}

/// How many bytes of state an operator has, stored as they are; files that several subtasks share count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlinkSizes {
    /// Of keyed state, timers that lie beside among it.
    pub keyed: u64,
    /// Of operator state.
    pub operator: u64,
    /// Of its coordinator.
    pub coordinator: u64,
    /// Of records in flight.
    pub in_flight: u64,
}

/// Records in flight, which an unaligned checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkInFlight {
    /// The number of the operator.
    pub operator: usize,
    /// The subtask.
    pub subtask: u32,
    /// Whether they were on the way to it, or from it.
    pub is_input: bool,
    /// Gate and channel, or partition and subpartition.
    pub channel: (i32, i32),
    /// Their bytes as stored: four for the length of each of [`buffers`](Self::buffers) among them.
    pub len_bytes: u64,
    /// In how many buffers they are.
    pub buffers: u64,
}

/// What wrote the keyed state of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlinkBackend {
    /// Any, in the canonical form of savepoints.
    Canonical,
    /// The heap, in its own form; up to Flink 1.15 perhaps canonical.
    Heap,
    /// RocksDB, by its files.
    RocksDb,
    /// Either of both, and a log of changes.
    Changelog,
}

impl FlinkBackend {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Heap => "heap",
            Self::RocksDb => "rocksdb",
            Self::Changelog => "changelog",
        }
    }

    fn of(handle: &KeyedHandle) -> Self {
        match handle {
            KeyedHandle::KeyGroups(handle) if handle.format == KeyGroupsFormat::Canonical => {
                Self::Canonical
            }
            KeyedHandle::KeyGroups(_) => Self::Heap,
            KeyedHandle::Incremental(_) => Self::RocksDb,
            _ => Self::Changelog,
        }
    }
}

impl FlinkSnapshot {
    /// What kind of snapshot it is; none where `_metadata` does not say, as before version 4.
    pub fn kind(&self) -> Option<SnapshotType> {
        snapshot_type(&self.metadata().properties)
    }

    /// What wrote the keyed state of the operator `number`; none if it has none.
    pub fn backend(&self, number: usize) -> Option<FlinkBackend> {
        let operator = self.metadata().operators.get(number)?;
        let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_deref());
        states.filter_map(|state| state.keyed.as_ref()).map(FlinkBackend::of).next()
    }

    /// The files that `_metadata` names, by path.
    pub fn files(&self) -> Vec<FlinkReferenced> {
        let mut files: BTreeMap<String, (BTreeMap<u64, u64>, BTreeSet<FlinkUser>)> =
            BTreeMap::new();
        self.each_stream(&mut |site, handle| {
            let Some(path) = handle.path() else { return };
            let (pieces, users) = files.entry(path.to_owned()).or_default();
            pieces.insert(start_of(handle), handle.len_bytes().unwrap_or(0));
            let (operator, subtask, slot) = (site.operator, site.subtask, site.slot);
            users.insert(FlinkUser { operator, subtask, slot });
        });
        let file = |(path, (pieces, users)): (_, (BTreeMap<u64, u64>, BTreeSet<_>))| {
            let len_bytes = pieces.values().fold(0_u64, |sum, len| sum.saturating_add(*len));
            FlinkReferenced { path, len_bytes, users: users.into_iter().collect() }
        };
        files.into_iter().map(file).collect()
    }

    /// The sizes of each operator's state, by its number.
    pub fn sizes(&self) -> Vec<FlinkSizes> {
        let mut sizes = vec![FlinkSizes::default(); self.operators().len()];
        let mut known = BTreeSet::new();
        self.each_stream(&mut |site, handle| {
            let Some(sizes) = sizes.get_mut(site.operator) else { return };
            let piece =
                handle.path().map(|path| (path.to_owned(), start_of(handle), site.operator));
            if piece.is_some_and(|piece| !known.insert(piece)) {
                return;
            }
            let size = match site.slot {
                Slot::Coordinator => &mut sizes.coordinator,
                Slot::Operator | Slot::OperatorRaw => &mut sizes.operator,
                Slot::Input | Slot::Output => &mut sizes.in_flight,
                _ => &mut sizes.keyed,
            };
            *size = size.saturating_add(handle.len_bytes().unwrap_or(0));
        });
        for (operator, sizes) in self.metadata().operators.iter().zip(&mut sizes) {
            let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_deref());
            let logged = states.filter_map(|state| state.keyed.as_ref()).map(logged_len_bytes);
            sizes.keyed = logged.fold(sizes.keyed, u64::saturating_add);
        }
        sizes
    }

    /// Records that were in flight, by channel.
    pub fn in_flight(&self) -> Vec<FlinkInFlight> {
        let mut found = Vec::new();
        for (number, operator) in self.metadata().operators.iter().enumerate() {
            for subtask in &operator.subtasks {
                let Some(state) = subtask.state.as_deref() else { continue };
                let mut add = |handles: &[ChannelHandle], is_input| {
                    let channels = handles.iter().flat_map(|handle| &handle.channels);
                    found.extend(channels.map(|channel| FlinkInFlight {
                        operator: number,
                        subtask: subtask.index,
                        is_input,
                        channel: channel.channel,
                        len_bytes: u64::try_from(channel.state_bytes).unwrap_or(0),
                        buffers: channel.offsets.len() as u64,
                    }));
                };
                add(&state.inputs, true);
                add(&state.outputs, false);
            }
        }
        found
    }

    fn each_stream(&self, each: &mut dyn FnMut(Site<'_>, &StreamHandle)) {
        let visit = |site: Site<'_>, handle: &StreamHandle| {
            each(site, handle);
            Ok::<_, Infallible>(())
        };
        match self.metadata().visit_streams(visit) {
            Ok(()) => {}
        }
    }
}

/// Bytes of changes that stand in `_metadata` itself.
fn logged_len_bytes(handle: &KeyedHandle) -> u64 {
    let KeyedHandle::Changelog(handle) = handle else { return 0 };
    let changes = handle.changes.iter().filter_map(|changes| match changes {
        KeyedHandle::ChangelogBytes(changes) => Some(&changes.changes),
        _ => None,
    });
    changes.flatten().map(|change| change.bytes.len() as u64).sum()
}

fn start_of(handle: &StreamHandle) -> u64 {
    match &handle.kind {
        StreamKind::Segment(segment) => segment.start,
        _ => 0,
    }
}
