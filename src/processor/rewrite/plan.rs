//! What a rewrite is to do: `serde` data, by the names that the source has.

use super::{EntryStep, RekeyStep, from_toml};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to be done to a snapshot, operator by operator. All names are those of the source, so that
/// the order of steps does not matter, and two names can be swapped.
///
/// ```
/// # use esker::processor::RewritePlan;
/// let plan = RewritePlan::from_toml(
///     r#"
///     [operator.delays]
///     rename = "arrivals"
///     state.late.drop = true
///     state.count.rename = "flights"
///
///     [operator.airports]
///     drop = true
///     "#,
/// )?;
/// assert_eq!(plan.operator["delays"].rename.as_deref(), Some("arrivals"));
/// let error = RewritePlan::from_toml("[operator.delays]\nrenam = 'x'\n").unwrap_err();
/// assert!(error.to_string().contains("renam"));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewritePlan {
    /// Which entries of keyed state are kept, of all operators: an expression of
    /// [CEL](https://cel.dev) over `key`, `ns` (the namespace), `userKey`, `value` and `ttl`, as canonical
    /// lines have them; what an entry does not have is null. Operator state, which has no keys, is filtered
    /// only where its state is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The time, in milliseconds, that counts as now: steps can name it, and a state that gets a TTL needs
    /// it. Nobody looks at a clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_ms: Option<i64>,
    /// Of a snapshot of Flink's, how many key groups all operators have afterwards, 1 to 32,768: what Flink calls the maximum
    /// parallelism. Keys go to other key groups then, by Java's `hashCode()` of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// Of a snapshot of Flink's, how many subtasks all operators are written by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Operators by their uid; what is not named stays as it is.
    pub operator: BTreeMap<String, OperatorPlan>,
}

/// What is to be done to an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorPlan {
    /// Its new uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// Whether it goes with all of its state; nothing else may be asked for then.
    pub drop: bool,
    /// Which entries of its keyed state are kept, besides [`RewritePlan::filter`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Other keys for its keyed state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rekey: Option<RekeyStep>,
    /// Its states by name.
    pub state: BTreeMap<String, StatePlan>,
}

/// What is to be done to a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatePlan {
    /// Its new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// Whether it goes; nothing else may be asked for then.
    pub drop: bool,
    /// Which of its entries are kept, besides [`RewritePlan::filter`] and [`OperatorPlan::filter`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What is done to its entries, one after the other: to those that the filters keep, which see
    /// entries as the source has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<EntryStep>,
}

impl RewritePlan {
    /// The plan that a TOML document has.
    ///
    /// # Errors
    /// `Invalid`, with the place in the document.
    pub fn from_toml(text: &str) -> Result<Self> {
        from_toml("plan", text)
    }

    /// What is to be done to an operator, to add to it.
    pub fn operator(&mut self, uid: &str) -> &mut OperatorPlan {
        self.operator.entry(uid.to_owned()).or_default()
    }

    /// What is to be done to a state, to add to it.
    pub fn state(&mut self, uid: &str, name: &str) -> &mut StatePlan {
        self.operator(uid).state.entry(name.to_owned()).or_default()
    }
}

impl StatePlan {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl OperatorPlan {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        let has_none = self.rename.is_none() && !self.drop && self.filter.is_none();
        let has_none = has_none && self.rekey.is_none();
        has_none && self.state.values().all(StatePlan::is_empty)
    }
}
