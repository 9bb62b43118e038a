//! A part of entries that no backend captured: what was read from other snapshots, or from text.

use super::SnapshotSettings;
use super::assemble::{Before, Roles};
use super::chain::Chain;
use super::encode::Content;
use super::merge::ChainReader;
use super::plan::{Estimates, Plan};
use super::present::Present;
use super::queue::Layer;
use super::source::place;
use super::writer::{Files, PartId, WrittenPart, write_layers};
use crate::backend::EntrySink;
use crate::{Error, ErrorKind, Result, Store};
use esker_format::list;
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::part::PartState;
use esker_format::run::{Entry, Op, StateStats};
use esker_format::{Key, KeyGroupRange};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Sorted entries, by key group range, from wherever they come.
pub trait EntrySource: Send + Sync {
    /// Gives `sink` all entries of the key groups in `range` in run order: by state id, key group, key,
    /// namespace, user key. It blocks its thread while it reads.
    ///
    /// Several threads ask at once, for ranges that do not overlap; one is asked for again, in
    /// part, where it was too long for a run. The same range gives the same entries each time. An error of
    /// `sink` ends it and is returned as it is.
    ///
    /// # Errors
    /// Its own, and those of `sink`.
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()>;

    /// About how many stored bytes all its entries take: by them the work is cut into runs. The same
    /// entries are cut alike if this is the same.
    fn len_bytes(&self) -> u64;
}

impl EntrySource for ChainReader {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.merge(range, None, &mut |entry| sink.add(entry))
    }

    fn len_bytes(&self) -> u64 {
        ChainReader::len_bytes(self)
    }
}

/// What the part of one subtask is made of. Every entry is a put.
#[derive(Default)]
pub struct SubtaskSource {
    /// Keyed state. It is asked for key groups that the subtask owns alone.
    pub keyed: Option<Arc<dyn EntrySource>>,
    /// Operator state: all entries have the key group 0, as SPEC.md says under "Part". It is asked
    /// for all key groups at once.
    pub operator: Option<Arc<dyn EntrySource>>,
    /// The time of capture, in milliseconds, of states with TTL, by their ids.
    pub ttl_times_ms: BTreeMap<u32, i64>,
}

/// Writes the part of a savepoint that `source` gives the entries of, which are those of `states`, for
/// the key groups of `range`. Files are put as `present` says; `written` is told of entries.
///
/// # Errors
/// As for [`write_part`](super::write_part), and those of the source; `Invalid` for an entry that is of
/// none of the states, outside the range, out of order or no put.
pub(crate) async fn write_sourced_part(
    (store, present): (&Store, &Present),
    (id, range): (PartId, KeyGroupRange),
    source: SubtaskSource,
    states: &[StateInfo],
    settings: &SnapshotSettings,
    written: &(dyn Fn(u64) + Sync),
) -> Result<WrittenPart> {
    let started = Instant::now();
    settings.check()?;
    let kinds = |keyed: bool| {
        let of_kind = states.iter().filter(move |state| state.kind.is_keyed() == keyed);
        Some(of_kind.map(|state| (state.id, state.kind)).collect::<BTreeMap<_, _>>())
    };
    let SubtaskSource { keyed, operator, ttl_times_ms } = source;
    let full_len_bytes = keyed.as_ref().map_or(0.0, |keyed| keyed.len_bytes() as f64);
    let per_group = full_len_bytes / f64::from(range.count());
    let mut layers = Vec::new();
    if let Some(source) = keyed {
        let content = Content::Source { source, kinds: kinds(true) };
        let group_len_bytes = (per_group, per_group);
        layers.push(Layer { content, range, group_len_bytes, whole: false });
    }
    let changes = layers.len();
    let of_operator = operator.map(|source| {
        let content = Content::Source { source, kinds: kinds(false) };
        let range = KeyGroupRange::ALL;
        layers.push(Layer { content, range, group_len_bytes: (0.0, 0.0), whole: true });
        changes
    });
    let plan = Plan { base: range.into(), fold: None };
    let before = Before {
        chain: Chain::default(),
        plan,
        estimates: Estimates { full_len_bytes, ..Estimates::default() },
        range,
        states: states.iter().map(|state| part_state(state, &ttl_times_ms)).collect(),
        merge_factor: settings.merge_factor,
    };
    let roles = Roles { changes, fold: None, operator: of_operator };
    let (store, empty_bases, present) = (store.clone(), Vec::new(), Some(present));
    let files = Files { store, id, empty_bases, present, written };
    let mut done = write_layers(files, layers, before, roles, settings).await?;
    done.stats.time = started.elapsed();
    Ok(done)
}

fn part_state(state: &StateInfo, ttl_times_ms: &BTreeMap<u32, i64>) -> PartState {
    PartState {
        id: state.id,
        entries: 0,
        earliest_timer_ms: None,
        ttl_time_ms: ttl_times_ms.get(&state.id).copied().filter(|_| state.ttl.is_some()),
        stats: StateStats::default(),
        extra: Default::default(),
    }
}

/// What was counted of one state while its entries were written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    pub(super) state: u32,
    pub(super) entries: u64,
    pub(super) earliest_timer_ms: Option<i64>,
}

/// Checks entries and counts them on their way.
pub(super) struct Counted<'a> {
    sink: &'a mut dyn EntrySink,
    kinds: &'a BTreeMap<u32, StateKind>,
    range: KeyGroupRange,
    done: Vec<Live>,
    /// The state of the last entry, as entries come by state.
    now: Option<(Live, StateKind)>,
}

impl<'a> Counted<'a> {
    pub(super) fn new(
        sink: &'a mut dyn EntrySink,
        kinds: &'a BTreeMap<u32, StateKind>,
        range: KeyGroupRange,
    ) -> Self {
        Self { sink, kinds, range, done: Vec::new(), now: None }
    }

    /// The counts of all states that had entries.
    pub(super) fn live(self) -> impl Iterator<Item = Live> {
        self.done.into_iter().chain(self.now.map(|(live, _)| live))
    }

    fn enter(&mut self, state: u32) -> Result<(&mut Live, StateKind)> {
        if self.now.is_none_or(|(live, _)| live.state != state) {
            let unknown = || invalid(format!("an entry of state {state}, which there is none of"));
            let kind = *self.kinds.get(&state).ok_or_else(unknown)?;
            let live = Live { state, entries: 0, earliest_timer_ms: None };
            self.done.extend(self.now.replace((live, kind)).map(|(before, _)| before));
        }
        let (live, kind) = self.now.as_mut().ok_or_else(|| invalid("no state".to_owned()))?;
        Ok((live, *kind))
    }
}

impl EntrySink for Counted<'_> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let (state, group) =
            place(entry.key).ok_or_else(|| invalid("a key that is no composite key".to_owned()))?;
        if !self.range.contains(group) {
            let (first, last) = (self.range.first(), self.range.last());
            let message = format!("an entry of key group {} among {first}-{last}", group.0);
            return Err(invalid(message));
        }
        if entry.op != Op::Put {
            return Err(invalid(format!("a {:?} among entries that are complete", entry.op)));
        }
        let (live, kind) = self.enter(state)?;
        match kind {
            StateKind::List => live.entries += list::count(entry.value)?,
            StateKind::TimerEvent | StateKind::TimerProcessing => {
                live.entries += 1;
                // The time stands at the end, eight bytes in order.
                let time = entry.key.last_chunk::<8>().map(|time| i64::decode(time));
                let time_ms = time.transpose()?;
                live.earliest_timer_ms = live.earliest_timer_ms.into_iter().chain(time_ms).min();
            }
            _ => live.entries += 1,
        }
        self.sink.add(entry)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
