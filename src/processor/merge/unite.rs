//! Whether snapshots go together, and what operators and states they have together: a pure function of their
//! manifests.

use crate::{Error, ErrorKind, Result};
use esker_format::manifest::{Manifest, Operator, StateInfo};
use std::collections::BTreeMap;

/// An operator of the result.
pub(super) struct United {
    /// It has no parts.
    pub(super) operator: Operator,
    pub(super) parallelism: u32,
    /// Whose it is, in order of the snapshots.
    pub(super) inputs: Vec<Input>,
}

/// An operator of a snapshot.
pub(super) struct Input {
    /// The number of the snapshot, and that of the operator in it.
    pub(super) at: (usize, usize),
    /// The ids of its states, by those of the result.
    pub(super) ids: BTreeMap<u32, u32>,
}

/// The operators that `manifests` have together.
///
/// # Errors
/// `Incompatible`, naming operator and state, for two that do not go together.
pub(super) fn unite(manifests: &[&Manifest]) -> Result<Vec<United>> {
    let mut all: Vec<United> = Vec::new();
    for (number, manifest) in manifests.iter().enumerate() {
        for (at, operator) in manifest.operators.iter().enumerate() {
            let of = |error: Error| error.of(format_args!("operator={}", operator.uid));
            let known = all.iter().position(|united| united.operator.uid == operator.uid);
            let united = match known.and_then(|known| all.get_mut(known)) {
                Some(united) => united,
                None => {
                    all.push(United::new(operator));
                    let Some(united) = all.last_mut() else { continue };
                    united
                }
            };
            united.add((number, at), operator).map_err(of)?;
        }
    }
    for united in &mut all {
        united.operator.states.sort_unstable_by_key(|info| info.id);
    }
    Ok(all)
}

impl United {
    /// One of the name and parallelism of `operator`, that has no states yet.
    fn new(operator: &Operator) -> Self {
        let parallelism = (operator.parts.len() as u32).max(1);
        let (states, dropped, parts) = (Vec::new(), Vec::new(), Vec::new());
        let (uid, extra) = (operator.uid.clone(), operator.extra.clone());
        let operator = Operator { uid, key: None, states, dropped, parts, extra };
        Self { operator, parallelism, inputs: Vec::new() }
    }

    fn add(&mut self, at: (usize, usize), operator: &Operator) -> Result<()> {
        // Who had it first is whose types count; snapshots are numbered from 1 on.
        let number = at.0 + 1;
        match (&self.operator.key, &operator.key) {
            (Some(a), Some(b)) if a != b => {
                let message = format!(
                    "keys are {} by codec={} in snapshot {number}, and {} by codec={} in one before",
                    b.schema, b.codec, a.schema, a.codec
                );
                return incompatible(message);
            }
            (None, Some(key)) => self.operator.key = Some(key.clone()),
            _ => {}
        }
        let mut ids = BTreeMap::new();
        for info in &operator.states {
            let known = self.operator.states.iter().find(|known| known.name == info.name);
            if let Some(what) = known.and_then(|known| difference(known, info)) {
                let message =
                    format!("state={}: {what} in snapshot {number} than in one before", info.name);
                return incompatible(message);
            }
            let id = match known {
                Some(known) => known.id,
                None => self.add_state(info)?,
            };
            ids.insert(id, info.id);
        }
        self.inputs.push(Input { at, ids });
        Ok(())
    }

    /// The id of a state that is new: its own if that is free.
    fn add_state(&mut self, info: &StateInfo) -> Result<u32> {
        let taken = || self.operator.states.iter().map(|known| known.id);
        let id = match taken().any(|id| id == info.id) {
            false => Some(info.id),
            true => taken().max().unwrap_or_default().checked_add(1),
        };
        let Some(id) = id else { return incompatible("there are no ids of states left".into()) };
        self.operator.states.push(StateInfo { id, ..info.clone() });
        Ok(id)
    }
}

/// What two states of one name do not have in common, in words.
fn difference(a: &StateInfo, b: &StateInfo) -> Option<&'static str> {
    match () {
        () if a.kind != b.kind => Some("it is of another kind"),
        () if a.namespace != b.namespace => Some("namespaces have another type"),
        () if a.user_key != b.user_key => Some("its user keys have another type"),
        () if a.value != b.value => Some("its values have another type"),
        () if a.ttl != b.ttl => Some("it has another TTL"),
        () => None,
    }
}

fn incompatible<T>(message: String) -> Result<T> {
    let message = format!("{message}: rewrite one of them first");
    Err(Error::new(ErrorKind::Incompatible, message))
}
