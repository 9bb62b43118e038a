//! Whether a plan fits a snapshot.

use super::{OperatorPlan, RewritePlan, StatePlan, invalid};
use crate::snapshot::find_operator;
use crate::{Error, Result};
use esker_format::manifest::{Manifest, Operator};
use std::collections::BTreeMap;

impl RewritePlan {
    /// That the plan can be carried out on the snapshot of `manifest`. No data is read.
    ///
    /// # Errors
    /// `Invalid`, naming it: an operator or state that the snapshot does not have, with those that it
    /// has; two of one name afterwards; a name of no characters; what is dropped and also changed; a
    /// plan that does nothing, or leaves nothing.
    pub fn check(&self, manifest: &Manifest) -> Result<()> {
        if self.max_parallelism.or(self.parallelism).is_some() {
            let message = "max_parallelism and parallelism are for snapshots of Flink's: state of esker's is restored at any";
            return invalid(message);
        }
        self.check_steps(manifest)
    }

    /// The same of a snapshot of Flink's, as the operators and states of `manifest` describe it.
    pub(super) fn check_steps(&self, manifest: &Manifest) -> Result<()> {
        let of_all = self.filter.is_some() || self.max_parallelism.or(self.parallelism).is_some();
        if !of_all && self.operator.values().all(OperatorPlan::is_empty) {
            return invalid("the plan does nothing");
        }
        for (uid, plan) in &self.operator {
            let operator = find_operator(manifest, uid)?;
            check_operator(operator, plan).map_err(|error| error.of(format!("operator={uid}")))?;
        }
        let kept = |operator: &&Operator| !self.of(operator).drop;
        let kept: Vec<&Operator> = manifest.operators.iter().filter(kept).collect();
        let names = kept.iter().map(|operator| {
            let new = self.of(operator).rename.as_ref().unwrap_or(&operator.uid);
            (new.as_str(), operator.uid.as_str())
        });
        no_clash("operators", names)?;
        let has_state = |operator: &&Operator| {
            let plan = self.of(operator);
            operator.states.iter().any(|state| !plan.state.get(&state.name).is_some_and(|s| s.drop))
        };
        if !kept.iter().any(has_state) {
            return invalid("the plan drops every state that the snapshot holds");
        }
        Ok(())
    }

    /// What is to be done to `operator` of the source.
    pub(super) fn of(&self, operator: &Operator) -> &OperatorPlan {
        const NOTHING: &OperatorPlan = &OperatorPlan {
            rename: None,
            drop: false,
            filter: None,
            rekey: None,
            state: BTreeMap::new(),
        };
        self.operator.get(&operator.uid).unwrap_or(NOTHING)
    }
}

fn check_operator(operator: &Operator, plan: &OperatorPlan) -> Result<()> {
    check_new(plan.rename.as_deref())?;
    let changes_states = plan.state.values().any(|state| !state.is_empty());
    let is_changed = plan.rename.is_some() || plan.filter.is_some() || plan.rekey.is_some();
    if plan.drop && (is_changed || changes_states) {
        return invalid("it is to be dropped, and something else is to be done to it");
    }
    for (name, plan) in &plan.state {
        check_state(operator, name)?;
        let of_state = |error: Error| error.of(format!("state={name}"));
        check_new(plan.rename.as_deref()).map_err(of_state)?;
        if plan.drop && *plan != (StatePlan { drop: true, ..StatePlan::default() }) {
            let error = invalid("it is to be dropped, and something else is to be done to it");
            return error.map_err(of_state);
        }
    }
    let names = operator.states.iter().filter_map(|state| {
        let new = match plan.state.get(&state.name) {
            Some(plan) if plan.drop => return None,
            Some(plan) => plan.rename.as_ref().unwrap_or(&state.name),
            None => &state.name,
        };
        Some((new.as_str(), state.name.as_str()))
    });
    no_clash("states", names)
}

fn check_new(name: Option<&str>) -> Result<()> {
    if name == Some("") { invalid("a new name has no characters") } else { Ok(()) }
}

/// That no two of `names`, each with the old one, are the same.
fn no_clash<'a>(what: &str, names: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (new, old) in names {
        if let Some(other) = taken.insert(new, old) {
            return invalid(format!("two {what} would be {new:?}: {other:?} and {old:?}"));
        }
    }
    Ok(())
}

/// That `operator` has a state of this name.
pub(super) fn check_state(operator: &Operator, name: &str) -> Result<()> {
    if operator.states.iter().any(|state| state.name == name) {
        return Ok(());
    }
    let known: Vec<_> = operator.states.iter().map(|state| &state.name).collect();
    invalid(format!("it has no state {name:?}; it has {known:?}"))
}
