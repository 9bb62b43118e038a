//! The sound entries of a subtask, for who writes them: each key from the first snapshot that did not
//! lose it.

use super::interval::{Interval, intersect};
use super::layer::{Asked, LayerReader, Told};
use super::surveyed::Surveyed;
use crate::backend::EntrySink;
use crate::snapshot::merge::OPEN_AT_ONCE;
use crate::snapshot::source::Source;
use crate::snapshot::sourced::EntrySource;
use crate::{Result, block_on};
use esker_format::KeyGroupRange;
use esker_format::run::{Entry, Op};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A state that is to be written, and where it is read from.
pub(crate) struct StateLayers {
    /// Its id in what is written.
    pub(crate) id: u32,
    /// The one whose keys are wanted, then whoever is asked for those that it lost.
    pub(crate) layers: Vec<StateLayer>,
}

/// A state in one snapshot.
pub(crate) struct StateLayer {
    /// The number of the snapshot.
    pub(crate) source: usize,
    /// The state's id there.
    pub(crate) state: u32,
    /// The chains that hold it, each of other key groups.
    pub(crate) chains: Vec<Arc<Surveyed>>,
}

/// How many keys of a state were written, and where from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StateCounts {
    /// By number of snapshot, but for those that the one had of which they were wanted.
    pub(crate) taken: BTreeMap<usize, u64>,
    /// Keys of which something is there that may be older than what was lost, and which nobody else has.
    pub(crate) withheld: u64,
}

/// Keys by state.
type Counts = BTreeMap<u32, StateCounts>;

/// The states of a subtask.
pub(crate) struct SoundEntries {
    /// Ids ascending.
    states: Vec<StateLayers>,
    /// Of each run of each chain its source, once one was asked for.
    opened: Mutex<Option<Arc<Opened>>>,
    counts: Arc<Mutex<Counts>>,
    len_bytes: u64,
}

/// Sources by state, layer, chain and run.
type Opened = Vec<Vec<Vec<Arc<Vec<Source>>>>>;

impl SoundEntries {
    /// Memory: nothing until entries are asked for; then the indexes of the chains.
    pub(crate) fn new(states: Vec<StateLayers>) -> Self {
        let first = states.iter().filter_map(|state| state.layers.first());
        let mut chains: Vec<&Arc<Surveyed>> = first.flat_map(|layer| &layer.chains).collect();
        chains.sort_unstable_by_key(|chain| Arc::as_ptr(chain));
        chains.dedup_by_key(|chain| Arc::as_ptr(chain));
        let len_bytes = chains.into_iter().map(|chain| chain.len_bytes()).sum();
        Self { states, opened: Mutex::default(), counts: Arc::default(), len_bytes }
    }

    /// What was counted of the entries that were given.
    pub(crate) fn counts(&self) -> Arc<Mutex<BTreeMap<u32, StateCounts>>> {
        Arc::clone(&self.counts)
    }

    /// The sources of all runs, opened by whoever comes first.
    fn opened(&self) -> Result<Arc<Opened>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        let mut known: BTreeMap<*const Surveyed, Arc<Vec<Source>>> = BTreeMap::new();
        let mut all = Vec::new();
        for state in &self.states {
            let mut layers = Vec::new();
            for layer in &state.layers {
                let mut chains = Vec::new();
                for chain in &layer.chains {
                    let sources = match known.get(&Arc::as_ptr(chain)) {
                        Some(sources) => Arc::clone(sources),
                        None => Arc::new(block_on(open(chain))?),
                    };
                    known.insert(Arc::as_ptr(chain), Arc::clone(&sources));
                    chains.push(sources);
                }
                layers.push(chains);
            }
            all.push(layers);
        }
        let all = Arc::new(all);
        *opened = Some(Arc::clone(&all));
        Ok(all)
    }
}

async fn open(chain: &Surveyed) -> Result<Vec<Source>> {
    stream::iter(&chain.runs)
        .map(|sound| async move {
            Source::open(&sound.store, &sound.run, sound.counts.clone()).await
        })
        .buffered(OPEN_AT_ONCE)
        .try_collect()
        .await
}

impl EntrySource for SoundEntries {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let opened = self.opened()?;
        let mut counts = Counts::new();
        for (state, sources) in self.states.iter().zip(opened.iter()) {
            let mut readers: Vec<LayerReader<'_>> = Vec::new();
            // Older snapshots are asked for what all before them lost.
            let mut keys: Option<Vec<Interval>> = None;
            for (layer, chains) in state.layers.iter().zip(sources) {
                if keys.as_ref().is_some_and(Vec::is_empty) {
                    break;
                }
                let chains = layer.chains.iter().zip(chains);
                let runs =
                    chains.flat_map(|(chain, sources)| chain.runs.iter().zip(sources.iter()));
                let losses = layer.chains.iter().filter_map(|chain| chain.losses.get(&layer.state));
                let asked = Asked { range, state: layer.state, keys: keys.as_deref() };
                let reader = LayerReader::new(runs, losses.flatten(), asked)?;
                keys = Some(match &keys {
                    Some(keys) => intersect(keys, &reader.lost),
                    None => reader.lost.clone(),
                });
                readers.push(reader);
            }
            let counted = write_state(state, &mut readers, sink)?;
            counts.insert(state.id, counted);
        }
        // A range that does not fit ends with an error, and is asked for again.
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, counted) in counts {
            let of_state = all.entry(id).or_default();
            of_state.withheld += counted.withheld;
            for (source, keys) in counted.taken {
                *of_state.taken.entry(source).or_default() += keys;
            }
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

fn write_state(
    state: &StateLayers,
    readers: &mut [LayerReader<'_>],
    sink: &mut dyn EntrySink,
) -> Result<StateCounts> {
    let (mut counts, mut key, mut full) = (StateCounts::default(), Vec::new(), Vec::new());
    while let Some(least) = readers.iter().filter_map(LayerReader::key).min() {
        key.clear();
        key.extend_from_slice(least);
        // The first that did not lose it tells of it; all go on behind it.
        let (mut teller, mut was_there) = (None, false);
        for (number, reader) in readers.iter_mut().enumerate() {
            let (told, had) = reader.tell(&key)?;
            was_there |= number == 0 && had;
            if teller.is_none() && told != Told::Lost {
                teller = Some((number, told));
            }
        }
        let Some((number, told)) = teller else {
            counts.withheld += u64::from(was_there);
            continue;
        };
        if number > 0
            && told == Told::Value
            && let Some(layer) = state.layers.get(number)
        {
            *counts.taken.entry(layer.source).or_default() += 1;
        }
        if let Some(reader) = readers.get(number).filter(|_| told == Told::Value) {
            full.clear();
            full.extend_from_slice(&state.id.to_be_bytes());
            full.extend_from_slice(&key);
            sink.add(Entry { key: &full, op: Op::Put, value: reader.value() })?;
        }
    }
    Ok(counts)
}
