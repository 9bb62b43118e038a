//! Which snapshots the state of a subtask is read from, and what each of them lost.

mod find;
mod told;

use super::report::{LostRange, SalvageDamage};
use crate::snapshot::salvage::{
    Interval, SoundEntries, StateCounts, StateLayer, StateLayers, Surveyed, Surveyor, Wanted,
    intersect, union,
};
use crate::snapshot::{EntrySource, OpenSnapshot, SnapshotSettings, SubtaskSource};
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::manifest::{Operator, StateInfo, StateKind};
use esker_format::part::{Part, PartState};
use find::Asked;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Which of an operator's states: keyed ones, or operator state, of the subtask of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Keyed,
    Of(usize),
}

/// A part: the numbers of its snapshot, operator and subtask.
type PartAt = (usize, usize, usize);

/// What was counted of the entries of one operator's subtask.
type Counted = (usize, Arc<Mutex<BTreeMap<u32, StateCounts>>>);

/// Some snapshots, the first of which is to be salvaged.
pub(super) struct Layers<'a> {
    snapshots: Vec<OpenSnapshot>,
    surveyor: Surveyor,
    progress: &'a (dyn Fn(u64) + Sync),
    damage: Vec<SalvageDamage>,
    lost: Vec<LostRange>,
    not_asked: BTreeSet<(usize, String, String, String)>,
    counted: Vec<Counted>,
}

/// The states of a subtask, as far as is known who tells of them.
struct Open {
    operator: usize,
    which: Which,
    owned: KeyGroupRange,
    states: Vec<StateInfo>,
    layers: BTreeMap<u32, Vec<StateLayer>>,
    /// What nobody told of so far, by the wanted state's id.
    keys: BTreeMap<u32, Vec<Interval>>,
    /// Where the last snapshot that was asked lost it: numbers of lost ranges.
    pending: BTreeMap<u32, Vec<usize>>,
}

impl<'a> Layers<'a> {
    /// # Errors
    /// `Retry` if a thread cannot be started.
    pub(super) fn new(
        snapshots: Vec<OpenSnapshot>,
        settings: &SnapshotSettings,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Self> {
        let surveyor = Surveyor::new(settings.threads)?;
        let (damage, lost, not_asked) = (Vec::new(), Vec::new(), BTreeSet::new());
        Ok(Self { snapshots, surveyor, progress, damage, lost, not_asked, counted: Vec::new() })
    }

    fn first(&self) -> Result<&OpenSnapshot> {
        self.snapshots.first().ok_or_else(|| Error::new(ErrorKind::Invalid, "there is no snapshot"))
    }

    fn operator(&self, (source, operator): (usize, usize)) -> Option<&Operator> {
        self.snapshots.get(source)?.manifest.operators.get(operator)
    }

    fn part(&self, (source, operator, subtask): PartAt) -> Option<&Part> {
        self.snapshots.get(source)?.parts.get(operator)?.get(subtask)?.as_ref()
    }

    /// What the part of a subtask of the first snapshot is to be made of; what is lost is taken note of.
    ///
    /// # Errors
    /// The stores' that are no damage.
    pub(super) async fn subtask(
        &mut self,
        operator: usize,
        subtask: usize,
    ) -> Result<SubtaskSource> {
        let keyed = self.entries((operator, subtask), Which::Keyed).await?;
        let of_subtask = self.entries((operator, subtask), Which::Of(subtask)).await?;
        let ttl_times_ms = self.ttl_times_ms(operator, subtask);
        Ok(SubtaskSource { keyed, operator: of_subtask, ttl_times_ms })
    }

    async fn entries(
        &mut self,
        (number, subtask): (usize, usize),
        which: Which,
    ) -> Result<Option<Arc<dyn EntrySource>>> {
        let Some(operator) = self.first()?.manifest.operators.get(number) else { return Ok(None) };
        let is_one = |info: &&StateInfo| info.kind.is_keyed() == (which == Which::Keyed);
        let states: Vec<StateInfo> = operator.states.iter().filter(is_one).cloned().collect();
        if states.is_empty() {
            return Ok(None);
        }
        let owned = match which {
            Which::Keyed => operator.range(subtask)?,
            Which::Of(_) => KeyGroupRange::new(0, 0)?,
        };
        let (layers, keys, pending) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut open = Open { operator: number, which, owned, states, layers, keys, pending };

        let wanted: Wanted = open.states.iter().map(|info| (info.id, None)).collect();
        let chain = self.survey((0, number, subtask), (which, owned), &wanted, true).await?;
        let chain = Arc::new(chain);
        for info in open.states.clone() {
            open.add(0, (info.id, info.id), vec![Arc::clone(&chain)]);
        }
        open.pending = self.tell(0, &open, &chain, Some);
        if let Which::Of(subtask) = which {
            self.ask_siblings(&mut open, subtask).await?;
        }
        for source in 1..self.snapshots.len() {
            if open.keys.is_empty() {
                break;
            }
            self.ask(&mut open, source).await?;
        }
        let layers = &mut open.layers;
        let states = open
            .states
            .iter()
            .filter_map(|info| Some(StateLayers { id: info.id, layers: layers.remove(&info.id)? }));
        let entries = SoundEntries::new(states.collect());
        self.counted.push((number, entries.counts()));
        Ok(Some(Arc::new(entries)))
    }

    /// Surveys a part; one that cannot be read has lost everything.
    async fn survey(
        &self,
        at: PartAt,
        (which, owned): (Which, KeyGroupRange),
        wanted: &Wanted,
        is_told: bool,
    ) -> Result<Surveyed> {
        let (source, operator, subtask) = at;
        let Some(part) = self.part(at) else {
            let error = self.part_error(at);
            return Ok(Surveyed::without_part(error, owned, wanted.keys().copied()));
        };
        let infos = self.operator((source, operator)).map(|operator| &operator.states);
        let is_of_subtasks = |state: &&PartState| {
            let info = infos.into_iter().flatten().find(|info| info.id == state.id);
            info.is_some_and(|info| !info.kind.is_keyed())
        };
        let (runs, states): (_, Vec<PartState>) = match which {
            Which::Keyed => {
                let states = part.states.iter().filter(|state| !is_of_subtasks(state));
                (part.runs.as_slice(), states.cloned().collect())
            }
            Which::Of(_) => {
                let states = part.states.iter().filter(is_of_subtasks);
                (part.operator_run.as_slice(), states.cloned().collect())
            }
        };
        let Some(snapshot) = self.snapshots.get(source) else { return Ok(Surveyed::default()) };
        let nothing: &(dyn Fn(u64) + Sync) = &|_| {};
        let progress = if is_told { self.progress } else { nothing };
        let surveyed =
            self.surveyor.survey(&snapshot.store, (runs, owned), &states, wanted, progress).await;
        surveyed.map_err(|error| error.of(format_args!("subtask={subtask}")))
    }

    /// Asks the other subtasks for what all of them hold alike.
    async fn ask_siblings(&mut self, open: &mut Open, own: usize) -> Result<()> {
        let operator = self.operator((0, open.operator));
        let parallelism = operator.map_or(0, |operator| operator.parts.len());
        for subtask in (0..parallelism).filter(|subtask| *subtask != own) {
            let alike = open.states.iter().filter(|info| info.kind == StateKind::OperatorBroadcast);
            let asked = alike.filter_map(|info| {
                let keys = open.keys.get(&info.id)?.clone();
                Some(Asked { state: info.id, of: info.id, keys })
            });
            let asked: Vec<Asked> = asked.collect();
            if asked.is_empty() {
                break;
            }
            let wanted = Asked::wanted(&asked);
            let at = (0, open.operator, subtask);
            let chain = self.survey(at, (open.which, open.owned), &wanted, false).await?;
            let chain = Arc::new(chain);
            for Asked { state, .. } in asked {
                open.add(0, (state, state), vec![Arc::clone(&chain)]);
                // Where that subtask lost some as well, nobody has been told of those.
                if open.keys.contains_key(&state) {
                    continue;
                }
                for number in open.pending.get(&state).into_iter().flatten() {
                    if let Some(range) = self.lost.get_mut(*number) {
                        range.older = Some(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks an older snapshot for what nobody told of so far.
    async fn ask(&mut self, open: &mut Open, source: usize) -> Result<()> {
        let found = self.find(open, source)?;
        let mut chains: BTreeMap<(u32, u32), Vec<Arc<Surveyed>>> = BTreeMap::new();
        let mut pending: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for ((operator, subtask), (owned, asked)) in found {
            let wanted = Asked::wanted(&asked);
            let at = (source, operator, subtask);
            let chain = Arc::new(self.survey(at, (open.which, owned), &wanted, false).await?);
            let of = |id: u32| asked.iter().find(|asked| asked.of == id).map(|asked| asked.state);
            for (state, ranges) in self.tell(source, open, &chain, of) {
                pending.entry(state).or_default().extend(ranges);
            }
            for Asked { state, of, .. } in &asked {
                chains.entry((*state, *of)).or_default().push(Arc::clone(&chain));
            }
        }
        for ((state, of), chains) in chains {
            let before = open.pending.insert(state, pending.remove(&state).unwrap_or_default());
            for number in before.into_iter().flatten() {
                if let Some(range) = self.lost.get_mut(number) {
                    range.older = Some(source);
                }
            }
            open.add(source, (state, of), chains);
        }
        Ok(())
    }
}

impl Open {
    /// Adds a layer for a state, whose id in that snapshot is `of`; what it lost stays open.
    fn add(&mut self, source: usize, (state, of): (u32, u32), chains: Vec<Arc<Surveyed>>) {
        let lost = union(chains.iter().flat_map(|chain| chain.lost_keys(of)));
        let left = match self.keys.get(&state) {
            Some(keys) => intersect(keys, &lost),
            None => lost,
        };
        match left.is_empty() {
            true => self.keys.remove(&state),
            false => self.keys.insert(state, left),
        };
        let layer = StateLayer { source, state: of, chains };
        self.layers.entry(state).or_default().push(layer);
    }
}
