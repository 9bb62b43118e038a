//! A snapshot dealt out to several, each a savepoint of its own.

use super::changes::changes;
use super::check::check_state;
#[cfg(feature = "expressions")]
use super::expression::Expression;
use super::fields::{Fields, Uses};
#[cfg(not(feature = "expressions"))]
use super::no_expression::Expression;
use super::steps::{KEY_GROUP, STATE};
use super::{RewritePlan, Rewritten, changed, from_toml, invalid};
use crate::format::Value;
use crate::format::manifest::{Manifest, Operator, StateInfo};
use crate::processor::Transport;
use crate::processor::copy::whole;
use crate::snapshot::{OpenSnapshot, SnapshotSettings, find_operator};
use crate::{Error, Result, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which target gets what of a snapshot: `serde` data, targets by their names.
///
/// ```
/// # use esker::processor::SplitPlan;
/// let plan = SplitPlan::from_toml(
///     r#"
///     by = "keyGroup < 32768 ? 'low' : 'high'"
///
///     [operator.airports]
///     to = "low"
///
///     [operator.delays]
///     by = "key.startsWith('U') ? 'high' : 'low'"
///     state.late = "low"
///     "#,
/// )?;
/// assert_eq!(plan.operator["airports"].to.as_deref(), Some("low"));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitPlan {
    /// The name of the target that gets an entry of keyed state, of all operators of which nothing else is said:
    /// an expression with the names of a [filter](RewritePlan::filter), `state`, the name of the state, and
    /// `keyGroup`, a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Operators by their uid.
    pub operator: BTreeMap<String, OperatorSplit>,
}

/// Which target gets what of an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorSplit {
    /// The target that gets all of it; nothing else may be said then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// In the place of [`by`](SplitPlan#structfield.by) of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The targets of states that go to one, by their names.
    pub state: BTreeMap<String, String>,
}

impl SplitPlan {
    /// The plan that a TOML document has.
    ///
    /// # Errors
    /// `Invalid`, with the place in the document.
    pub fn from_toml(text: &str) -> Result<Self> {
        from_toml("plan", text)
    }

    /// That every state of `manifest` has a target among `targets`, every target a state, and that expressions can be
    /// compiled.
    ///
    /// # Errors
    /// `Invalid`, naming operator and state: what the snapshot does not have, what nothing is said of, an operator
    /// that goes to one target and of which more is said; a name that no target has; a target that gets nothing; an
    /// expression that cannot be compiled. `Unsupported` for expressions without the feature `expressions`.
    pub fn check(&self, manifest: &Manifest, targets: &[&str]) -> Result<()> {
        let known = |name: &str| match targets.contains(&name) {
            true => Ok(()),
            false => invalid(format!("there is no target {name:?}; there are {targets:?}")),
        };
        for (uid, plan) in &self.operator {
            let of = |error: Error| error.of(format_args!("operator={uid}"));
            let operator = find_operator(manifest, uid)?;
            if plan.to.is_some() && (plan.by.is_some() || !plan.state.is_empty()) {
                return invalid("all of it goes to one target, and more is said of it").map_err(of);
            }
            plan.to
                .iter()
                .chain(plan.state.values())
                .try_for_each(|name| known(name))
                .map_err(of)?;
            for name in plan.state.keys() {
                check_state(operator, name).map_err(of)?;
            }
        }
        for operator in &manifest.operators {
            let unsaid = |info: &&StateInfo| {
                self.to(operator, info).is_none() && self.by(operator).is_none()
            };
            if let Some(info) = operator.states.iter().find(unsaid) {
                let message = format!(
                    "operator={} state={}: nothing says where it goes: name a target for it, or give by",
                    operator.uid, info.name
                );
                return invalid(message);
            }
        }
        for target in targets {
            let gets = |operator: &Operator| {
                let gets = |info| self.to(operator, info).is_none_or(|to| to == *target);
                operator.states.iter().any(gets)
            };
            if !manifest.operators.iter().any(gets) {
                return invalid(format!("the target {target:?} gets nothing"));
            }
        }
        self.shares(manifest, targets, "").map(|_compiled| ())
    }

    /// The target that gets all of a state.
    fn to(&self, operator: &Operator, info: &StateInfo) -> Option<&str> {
        let plan = self.operator.get(&operator.uid)?;
        plan.to.as_deref().or_else(|| plan.state.get(&info.name).map(String::as_str))
    }

    /// What decides about entries of an operator.
    fn by(&self, operator: &Operator) -> Option<&str> {
        let plan = self.operator.get(&operator.uid);
        plan.and_then(|plan| plan.by.as_deref()).or(self.by.as_deref())
    }

    /// What is left for `target` once all goes that another one gets as a whole.
    fn rest(&self, manifest: &Manifest, target: &str) -> RewritePlan {
        let mut rest = RewritePlan::default();
        for operator in &manifest.operators {
            let goes = |info: &&StateInfo| self.to(operator, info).is_some_and(|to| to != target);
            let gone: Vec<_> = operator.states.iter().filter(goes).collect();
            // One that has no states stays everywhere.
            if !gone.is_empty() && gone.len() == operator.states.len() {
                rest.operator(&operator.uid).drop = true;
                continue;
            }
            for info in gone {
                rest.state(&operator.uid, &info.name).drop = true;
            }
        }
        rest
    }

    /// What decides which entries of `manifest` are those of the target `mine`.
    fn shares(&self, manifest: &Manifest, targets: &[&str], mine: &str) -> Result<Shares> {
        let mut shares = Shares::default();
        for operator in &manifest.operators {
            let is_dealt = |info: &&StateInfo| self.to(operator, info).is_none();
            let keyed = operator.states.iter().filter(|info| info.kind.is_keyed());
            let states: Vec<u32> = keyed.filter(is_dealt).map(|info| info.id).collect();
            let Some(by) = self.by(operator).filter(|_| !states.is_empty()) else { continue };
            let of = |error: Error| error.of(format_args!("operator={} by={by:?}", operator.uid));
            let by = Expression::compile(by, &[STATE, KEY_GROUP]).map_err(of)?;
            let targets = targets.iter().map(|name| (*name).to_owned()).collect();
            let share = Arc::new(Share { by, mine: mine.to_owned(), targets });
            shares.0.insert(operator.uid.clone(), (states, share));
        }
        Ok(shares)
    }
}

/// Whose entries are dealt out: of operators by uid, states by id.
#[derive(Default)]
pub(super) struct Shares(BTreeMap<String, (Vec<u32>, Arc<Share>)>);

impl Shares {
    pub(super) fn of(&self, operator: &Operator, info: &StateInfo) -> Option<Arc<Share>> {
        let (states, share) = self.0.get(&operator.uid)?;
        states.contains(&info.id).then(|| Arc::clone(share))
    }
}

/// The entries of one target.
pub(super) struct Share {
    by: Expression,
    mine: String,
    targets: Vec<String>,
}

impl Share {
    pub(super) fn uses(&self) -> Uses {
        self.by.uses()
    }

    /// Whether an entry belongs to it.
    ///
    /// # Errors
    /// `Invalid` if it belongs to no target, or that cannot be told.
    pub(super) fn has(&self, fields: &Fields) -> Result<bool> {
        let of = |error: Error| Error::new(error.kind(), format!("by: {error}"));
        let name = self.by.each(fields, |evaluate| evaluate(&Value::Unit)).map_err(of)?;
        match &name {
            Value::String(name) if self.targets.contains(name) => Ok(*name == self.mine),
            other => {
                let message =
                    format!("by: it gives {}, and targets are {:?}", other.to_json(), self.targets);
                invalid(message)
            }
        }
    }
}

/// Deals `snapshot` out to `targets`: at the root of each there is a savepoint afterwards, of what `plan` gives to its
/// name. The source is not changed. Every entry of keyed state goes to exactly one of them, and so does a state or
/// operator of which the plan says so; other operator state goes to all, and its lists would be there as often if they
/// were [merged](super::super::merge()) again: give such a state a target. Operators, types, parallelism, times and
/// the checkpoint's number stay; who starts a job from each of them names it anew.
///
/// It is one [`rewrite()`](super::rewrite()) after the other, each with all that is said there of transport,
/// progress, memory, interruptions and files that are there already: an operator that is dealt out by an expression is
/// read once for each target that gets some of it, others are linked. So what fails has written the targets before.
///
/// ```
/// # use esker::processor::{SplitPlan, Transport, split};
/// # use esker::snapshot::{OpenSnapshot, SnapshotSettings};
/// # use esker::{Result, Store, block_on};
/// # fn example(snapshot: OpenSnapshot) -> Result<()> {
/// let mut plan = SplitPlan::default();
/// plan.by = Some("keyGroup < 32768 ? 'low' : 'high'".to_owned());
/// let targets = [("low", Store::open("/data/low")?), ("high", Store::open("/data/high")?)];
/// let settings = SnapshotSettings::default();
/// block_on(split(snapshot, &plan, &targets, Transport::Link, &settings, &|_| {}))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`SplitPlan::check`] and, naming the target, of [`rewrite()`](super::rewrite()); `Invalid` for two targets of
/// one name or place, and, naming operator, state and key, for an entry that the expression gives to none of them.
#[tracing::instrument(skip_all, fields(checkpoint = snapshot.manifest.checkpoint))]
pub async fn split(
    snapshot: OpenSnapshot,
    plan: &SplitPlan,
    targets: &[(&str, Store)],
    transport: Transport,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Rewritten>> {
    settings.check()?;
    let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    for (number, (name, store)) in targets.iter().enumerate() {
        let before = targets.iter().take(number);
        if before.clone().any(|(other, _)| other == name) {
            return invalid(format!("two targets are called {name:?}"));
        }
        if let Some((other, _)) = before.clone().find(|(_, other)| other.is_same(store)) {
            return invalid(format!("the targets {other:?} and {name:?} are one folder"));
        }
        if snapshot.store.is_same(store) {
            let message =
                format!("target={name}: the snapshot lies there: name another folder for it");
            return invalid(message);
        }
    }
    let whole = whole(snapshot)?;
    plan.check(&whole.manifest, &names)?;
    let mut made = Vec::new();
    for (name, target) in targets {
        let of = |error: Error| error.of(format_args!("target={name}"));
        let (store, damage) = (whole.store.clone(), Vec::new());
        let (manifest, parts) = (whole.manifest.clone(), whole.parts.clone());
        let snapshot = OpenSnapshot { store, manifest, parts, damage };
        let rest = plan.rest(&snapshot.manifest, name);
        let shares = plan.shares(&snapshot.manifest, &names, name).map_err(of)?;
        let all = changes(&rest, &snapshot.manifest, &shares).map_err(of)?;
        let one = changed(snapshot, &rest, &all, target, transport, settings, progress).await;
        made.push(one.map_err(of)?);
    }
    Ok(made)
}
