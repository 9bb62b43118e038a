//! A store, writers and readers as one value, and every move that can come next.
//!
//! Puts are paused and land late, their outcomes get lost, records below a base are deleted late and
//! in any order. `truth` is what no participant sees: the records in the order of the log.

use super::super::*;
use crate::format::record::{Decision, Extra, Hold, Nonce, Published, Record, Retire};
use crate::format::{Digest, RelativeName};
use std::collections::{BTreeMap, BTreeSet};

/// What a writer does one after another, after it has claimed or attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Claim,
    Attach,
    Publish,
    /// A publish that builds on the oldest retained checkpoint, as one that was long in flight does.
    PublishOld,
    Retire,
    Hold,
    Base,
}

/// How a writer breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    None,
    /// It takes a number that exists for taken, and does not read the record.
    SkipRead,
    /// It does not list after an append.
    SkipList,
}

/// Something that can happen next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    /// A writer does its action and learns the outcome, or begins its next step.
    Act(usize),
    /// A writer's put succeeds or not, and its outcome is lost.
    Lose(usize),
    /// A writer's put is paused, and its outcome is lost.
    Pause(usize),
    Land(usize),
    Delete(u64),
    Read(usize),
}

#[derive(Debug, Clone, Hash)]
struct Process {
    writer: Writer,
    action: Action,
    script: Vec<Step>,
    pauses: u32,
    fault: Fault,
    nonces: u128,
    /// How long the log was when the present step began.
    since: usize,
}

#[derive(Debug, Clone, Hash)]
struct Reading {
    reader: Reader,
    action: Action,
    since: usize,
}

/// Everything there is.
#[derive(Debug, Clone, Hash)]
pub(super) struct World {
    store: BTreeMap<u64, Vec<u8>>,
    paused: Vec<(u64, Vec<u8>)>,
    deletes: BTreeSet<u64>,
    processes: Vec<Process>,
    readers: Vec<Reading>,
    truth: Vec<Record>,
    states: Vec<LogState>,
    manifests: BTreeMap<RelativeName, BTreeSet<RelativeName>>,
    condemned: BTreeSet<RelativeName>,
    /// Names of fenced generations that no retained checkpoint reached at some time: anyone may have
    /// deleted them.
    orphans: BTreeSet<RelativeName>,
    /// Late records below a base, writers fenced, publishes done: that the model gets there.
    pub(super) seen: [u32; 3],
}

fn name(text: String) -> RelativeName {
    text.parse().unwrap()
}

impl World {
    pub(super) fn new(scripts: &[(&[Step], Fault)], pauses: u32, readers: usize) -> Self {
        let process = |(index, (script, fault)): (usize, &(&[Step], Fault))| {
            let nonces = (index as u128 + 1) << 32;
            let (writer, action) = match script[0] {
                Step::Attach => Writer::attach(),
                _ => Writer::claim(Nonce(nonces)),
            };
            let (script, fault) = (script.iter().rev().copied().collect(), *fault);
            Process { writer, action, script, pauses, fault, nonces, since: 0 }
        };
        let reading = Reading { reader: Reader::default(), action: Action::List, since: 0 };
        Self {
            store: BTreeMap::new(),
            paused: Vec::new(),
            deletes: BTreeSet::new(),
            processes: scripts.iter().enumerate().map(process).collect(),
            readers: vec![reading; readers],
            truth: Vec::new(),
            states: vec![LogState::default()],
            manifests: BTreeMap::new(),
            condemned: BTreeSet::new(),
            orphans: BTreeSet::new(),
            seen: [0; 3],
        }
    }

    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            if !process.script.is_empty() {
                moves.push(Move::Act(index));
                if matches!(process.action, Action::Create(..)) && process.pauses > 0 {
                    moves.extend([Move::Lose(index), Move::Pause(index)]);
                }
            }
        }
        moves.extend((0..self.paused.len()).map(Move::Land));
        moves.extend(self.deletes.iter().copied().map(Move::Delete));
        let reading = |index: &usize| self.readers[*index].action != Action::Done;
        moves.extend((0..self.readers.len()).filter(reading).map(Move::Read));
        moves
    }

    pub(super) fn make(&mut self, next: Move) -> Result<(), String> {
        match next {
            Move::Act(index) => {
                let fact = match self.processes[index].action.clone() {
                    Action::Create(sequence, bytes) => match self.put(sequence.0, bytes)? {
                        true => Fact::Created,
                        false => Fact::AlreadyExists,
                    },
                    Action::Done | Action::Refused(_) | Action::Fenced => return self.begin(index),
                    action => self.observe(index, action),
                };
                self.tell(index, fact)
            }
            Move::Lose(index) | Move::Pause(index) => {
                let process = &mut self.processes[index];
                process.pauses -= 1;
                let Action::Create(sequence, bytes) = process.action.clone() else { return Ok(()) };
                match next {
                    Move::Lose(_) => drop(self.put(sequence.0, bytes)?),
                    _ => self.paused.push((sequence.0, bytes)),
                }
                self.tell(index, Fact::Unknown)
            }
            Move::Land(index) => {
                let (sequence, bytes) = self.paused.swap_remove(index);
                self.put(sequence, bytes).map(drop)
            }
            Move::Delete(sequence) => {
                self.deletes.remove(&sequence);
                self.store.remove(&sequence);
                match self.now().base_sequence() {
                    Some(base) if sequence < base.0 => Ok(()),
                    _ => Err(format!("deleted {sequence}, which still counts")),
                }
            }
            Move::Read(index) => {
                let Reading { mut reader, action, mut since } = self.readers[index].clone();
                if reader == Reader::default() {
                    since = self.truth.len();
                }
                let fact = self.fact(&action);
                let action = reader.step(fact).map_err(|error| error.to_string())?;
                if action == Action::Done {
                    self.agrees(&reader.clone().into_state(), since)?;
                }
                self.readers[index] = Reading { reader, action, since };
                Ok(())
            }
        }
    }

    fn now(&self) -> &LogState {
        self.states.last().unwrap()
    }

    /// What a reader makes of the log must have been true at some time since it began.
    fn agrees(&self, state: &LogState, since: usize) -> Result<(), String> {
        let len = state.next().0 as usize - 1;
        match self.states.get(len) {
            Some(truth) if truth == state && len >= since => Ok(()),
            truth => Err(format!("read {state:?} since {since}, but the log was {truth:?}")),
        }
    }

    fn fact(&self, action: &Action) -> Fact {
        match action {
            Action::List => Fact::Listed(self.store.keys().copied().map(Sequence).collect()),
            Action::Read(sequence) => match self.store.get(&sequence.0) {
                Some(bytes) => Fact::ReadOk(bytes.clone()),
                None => Fact::NotFound,
            },
            action => panic!("{action:?}"),
        }
    }

    /// What a writer sees, unless its fault makes it see something else.
    fn observe(&self, index: usize, action: Action) -> Fact {
        let Process { writer, fault, .. } = &self.processes[index];
        let known = writer.state().next().0;
        match (fault, &action) {
            (Fault::SkipRead, Action::Read(sequence)) if sequence.0 == known && known > 1 => {
                let hold = Hold { checkpoint: 0, name: String::new(), extra: Extra::new() };
                let record = Record {
                    generation: writer.state().generation(),
                    nonce: Nonce(0),
                    decision: Decision::Release(hold),
                    extra: Extra::new(),
                };
                Fact::ReadOk(record.encode().unwrap())
            }
            (Fault::SkipList, Action::List) if known > 1 => {
                Fact::Listed((1..known).map(Sequence).collect())
            }
            _ => self.fact(&action),
        }
    }

    fn tell(&mut self, index: usize, fact: Fact) -> Result<(), String> {
        let process = &mut self.processes[index];
        process.action = process.writer.step(fact).map_err(|error| error.to_string())?;
        self.ended(index)
    }

    fn begin(&mut self, index: usize) -> Result<(), String> {
        let process = &mut self.processes[index];
        process.script.pop();
        let Some(step) = process.script.last() else { return Ok(()) };
        process.nonces += 1;
        process.since = self.truth.len();
        let state = process.writer.state();
        let generation = state.generation();
        let checkpoint = state.checkpoint_last() + 1;
        let names_of = |published: &Published| self.manifests[&published.manifest_path].clone();
        let newest = state.retained().last_key_value();
        let intent = match step {
            Step::Publish | Step::PublishOld => {
                let basis = match step {
                    Step::Publish => newest,
                    _ => state.retained().first_key_value(),
                };
                let path = name(format!("chk-{checkpoint}-{generation}"));
                let mut names: BTreeSet<_> = basis.map(|(_, p)| names_of(p)).unwrap_or_default();
                // One file of the checkpoint before is re-used, the others are not.
                names = names.into_iter().next_back().into_iter().collect();
                names.insert(name(format!("f-{checkpoint}-{generation}")));
                self.manifests.insert(path.clone(), names.clone());
                let manifest_digest = Digest::of(path.as_str().as_bytes());
                let (manifest_path, extra) = (path, Extra::new());
                let published = Published { checkpoint, manifest_path, manifest_digest, extra };
                Intent::Publish { published, names }
            }
            Step::Retire => {
                let is_kept = |n: u64| newest.is_some_and(|(last, _)| *last == n);
                let (kept, gone): (Vec<_>, Vec<_>) = state.retained().values().partition(|p| {
                    is_kept(p.checkpoint) || state.holds().contains_key(&p.checkpoint)
                });
                let references: References =
                    kept.iter().map(|p| (p.checkpoint, names_of(p))).collect();
                let mut condemned: BTreeSet<_> = gone.iter().flat_map(|p| names_of(p)).collect();
                condemned.extend(gone.iter().map(|p| p.manifest_path.clone()));
                condemned.retain(|name| !references.values().any(|names| names.contains(name)));
                let checkpoints = gone.iter().map(|p| p.checkpoint).collect();
                let retire = Retire { checkpoints, condemned, extra: Extra::new() };
                Intent::Retire { retire, references }
            }
            Step::Hold => {
                let checkpoint = state.retained().keys().next().copied().unwrap_or_default();
                Intent::Hold(Hold { checkpoint, name: "held".into(), extra: Extra::new() })
            }
            _ => Intent::Base { deleted: state.condemned().clone() },
        };
        let nonce = Nonce(process.nonces);
        match process.writer.begin(intent, nonce) {
            Ok(action) => process.action = action,
            // Attached before the first claim.
            Err(_) if process.writer.state().claim().is_none() => {
                process.script.clear();
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        }
        self.ended(index)
    }

    /// Checks what a writer says it has reached.
    fn ended(&mut self, index: usize) -> Result<(), String> {
        let process = &self.processes[index];
        let state = process.writer.state();
        match (&process.action, process.script.last()) {
            (Action::Done, step) => {
                self.agrees(state, process.since)?;
                if matches!(step, Some(Step::Publish | Step::PublishOld)) {
                    let is_own = |r: &&Record| r.nonce == Nonce(process.nonces);
                    if self.truth.iter().filter(is_own).count() != 1 {
                        return Err("a publish is said to be done and is not".into());
                    }
                    self.seen[2] += 1;
                }
                if step == Some(&Step::Base) {
                    self.deletes.extend(1..state.first().0);
                }
            }
            (Action::Fenced, _) => {
                self.processes[index].script.clear();
                self.seen[1] += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// A create-only put; whether it created the record.
    fn put(&mut self, sequence: u64, bytes: Vec<u8>) -> Result<bool, String> {
        if self.store.contains_key(&sequence) {
            return Ok(false);
        }
        let record = Record::decode(&bytes).map_err(|error| error.to_string())?;
        self.store.insert(sequence, bytes);
        let mut state = self.now().clone();
        if sequence < state.next().0 {
            self.seen[0] += 1;
            return match state.base_sequence() {
                Some(base) if sequence < base.0 => Ok(true),
                _ => Err(format!("a second record of sequence={sequence}")),
            };
        }
        match state.apply(Sequence(sequence), &record) {
            Ok(Applied::Effective) if sequence == self.truth.len() as u64 + 1 => {}
            other => return Err(format!("{record:?} follows {:?}: {other:?}", self.now())),
        }
        if let Decision::Retire(retire) = &record.decision {
            self.condemned.extend(retire.condemned.iter().cloned());
        }
        for published in state.retained().values() {
            let names = &self.manifests[&published.manifest_path];
            if let Some(name) = names.intersection(&self.condemned).next() {
                return Err(format!("{published:?} references the condemned {name}"));
            }
        }
        let reached = || {
            let manifests = state.retained().values().map(|published| &published.manifest_path);
            manifests.clone().chain(manifests.flat_map(|path| &self.manifests[path]))
        };
        if let Some(name) = reached().find(|name| self.orphans.contains(*name)) {
            return Err(format!("{record:?} reaches {name}, which nothing reached before"));
        }
        let generation =
            |name: &RelativeName| name.as_str().rsplit('-').next().unwrap().parse::<u64>();
        let reached: BTreeSet<_> = reached().collect();
        let named = self.manifests.iter().flat_map(|(path, names)| names.iter().chain([path]));
        let fenced = named.filter(|name| generation(name).unwrap() < state.generation());
        let orphans: Vec<_> = fenced.filter(|name| !reached.contains(name)).cloned().collect();
        self.orphans.extend(orphans);
        self.truth.push(record);
        self.states.push(state);
        Ok(true)
    }
}
