//! Where an older snapshot holds what another one lost.

use super::{Layers, Open, Which};
use crate::Result;
use crate::snapshot::salvage::{Interval, Wanted};
use esker_format::KeyGroupRange;
use esker_format::manifest::{Operator, StateInfo, StateKind};
use std::collections::BTreeMap;

/// Keys of a state that a chain is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The wanted state's id.
    pub(super) state: u32,
    /// Its id in the chain.
    pub(super) of: u32,
    pub(super) keys: Vec<Interval>,
}

impl Asked {
    pub(super) fn wanted(asked: &[Self]) -> Wanted {
        asked.iter().map(|asked| (asked.of, Some(asked.keys.clone()))).collect()
    }
}

/// By number of operator and subtask: the key groups, and what it is asked for.
type Places = BTreeMap<(usize, usize), (KeyGroupRange, Vec<Asked>)>;

impl Layers<'_> {
    /// The parts of snapshot `source` that can hold what is open; of states that cannot be asked, note is
    /// taken.
    ///
    /// # Errors
    /// None in practice: parts have key groups.
    pub(super) fn find(&mut self, open: &Open, source: usize) -> Result<Places> {
        let (mut places, mut refused) = (Places::new(), Vec::new());
        let Some(first) = self.operator((0, open.operator)) else { return Ok(places) };
        for (id, keys) in &open.keys {
            let Some(info) = open.states.iter().find(|info| info.id == *id) else { continue };
            let mut add = |(number, subtask), owned, of| {
                let asked = Asked { state: *id, of, keys: keys.clone() };
                places.entry((number, subtask)).or_insert((owned, Vec::new())).1.push(asked);
            };
            match self.find_state((first, info), open, source) {
                Ok((number, older, of)) => match (open.which, info.kind) {
                    (Which::Keyed, _) => {
                        for subtask in 0..older.parts.len() {
                            if let Some(owned) = older.range(subtask)?.intersect(open.owned) {
                                add((number, subtask), owned, of);
                            }
                        }
                    }
                    (Which::Of(subtask), StateKind::OperatorBroadcast) => {
                        add((number, subtask % older.parts.len().max(1)), open.owned, of);
                    }
                    (Which::Of(subtask), _) => add((number, subtask), open.owned, of),
                },
                Err(why) => refused.push((source, first.uid.clone(), info.name.clone(), why)),
            }
        }
        self.not_asked.extend(refused);
        Ok(places)
    }

    /// The number of the operator in `source`, the operator, and the id of the state.
    ///
    /// # Errors
    /// Why it cannot be asked, in words.
    fn find_state(
        &self,
        (wanted, info): (&Operator, &StateInfo),
        open: &Open,
        source: usize,
    ) -> std::result::Result<(usize, &Operator, u32), String> {
        let snapshot = self.snapshots.get(source).ok_or("there is no such snapshot")?;
        let mut operators = snapshot.manifest.operators.iter().enumerate();
        let found = operators.find(|(_, operator)| operator.uid == wanted.uid);
        let (number, operator) = found.ok_or("it has no such operator")?;
        let state = operator.states.iter().find(|state| state.name == info.name);
        let state = state.ok_or("it has no such state")?;
        let types = |state: &StateInfo| {
            let is_timed = state.ttl.is_some();
            let (namespace, user_key) = (state.namespace.clone(), state.user_key.clone());
            (state.kind, namespace, user_key, state.value.clone(), is_timed)
        };
        let is_keyed = open.which == Which::Keyed;
        if types(state) != types(info) || is_keyed && operator.key != wanted.key {
            return Err("its kind or types are others".to_owned());
        }
        let is_list = matches!(info.kind, StateKind::OperatorList | StateKind::OperatorUnion);
        if is_list && operator.parts.len() != wanted.parts.len() {
            return Err(
                "it has another number of subtasks, so that positions say nothing".to_owned()
            );
        }
        let mut parts = snapshot.parts.get(number).into_iter().flatten().flatten();
        if is_keyed && let Some(native) = parts.find_map(|part| part.native.as_ref()) {
            return Err(format!("it is a database of {}", native.engine));
        }
        Ok((number, operator, state.id))
    }
}
