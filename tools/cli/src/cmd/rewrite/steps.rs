//! The steps of a rewrite, as arguments and a file have them.

use esker::format::manifest::Manifest;
use esker::processor::{EntryStep, RewritePlan};
use esker::{Error, ErrorKind};
use std::path::PathBuf;

#[derive(clap::Args)]
#[group(id = "change", required = true, multiple = true)]
pub(super) struct Args {
    /// Give an operator another uid; may be repeated, as the other steps
    #[arg(long, value_name = "OLD=NEW")]
    rename_operator: Vec<String>,
    /// Give a state another name
    #[arg(long, value_name = "OPERATOR/OLD=NEW")]
    rename_state: Vec<String>,
    /// Leave out an operator with all of its state
    #[arg(long, value_name = "UID")]
    drop_operator: Vec<String>,
    /// Leave out a state
    #[arg(long, value_name = "OPERATOR/NAME")]
    drop_state: Vec<String>,
    /// Keep only those entries of keyed state for which this expression holds
    #[arg(long, value_name = "EXPR")]
    filter: Vec<String>,
    /// Keep only those entries of a state for which this expression holds
    #[arg(long, value_name = "OPERATOR/NAME=EXPR")]
    filter_state: Vec<String>,
    /// Do this to the entries of a state, in the order given: a step as a plan has it, in TOML
    #[arg(long, value_name = "OPERATOR/NAME=STEP")]
    step: Vec<String>,
    /// Of a snapshot of Flink's, give all operators so many key groups: the maximum parallelism, 1 to 32768
    #[arg(long, value_name = "N")]
    max_parallelism: Option<u32>,
    /// Of a snapshot of Flink's, write all operators by so many subtasks
    #[arg(long, value_name = "N")]
    parallelism: Option<u32>,
    /// The steps in this TOML file; others are added to it
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

impl Args {
    /// The plan for the snapshot of `manifest`, which tells names with `/` or `=` in them apart; it need
    /// not fit.
    ///
    /// # Errors
    /// `Retry` for arguments and files that are no plan.
    pub(super) fn plan(&self, manifest: &Manifest) -> Result<RewritePlan, Error> {
        let mut plan = self.plan.as_ref().map_or(Ok(RewritePlan::default()), read)?;
        for text in &self.rename_operator {
            let has = |uid: &str| has_operator(manifest, uid);
            let (uid, new) = split(text, '=', has).ok_or_else(|| wrong(text, "OLD=NEW"))?;
            set(&mut plan.operator(uid).rename, new)?;
        }
        for text in &self.rename_state {
            let (uid, name, new) =
                state_is(manifest, text).ok_or_else(|| wrong(text, "OPERATOR/OLD=NEW"))?;
            set(&mut plan.state(uid, name).rename, new)?;
        }
        for uid in &self.drop_operator {
            plan.operator(uid).drop = true;
        }
        for text in &self.drop_state {
            let (uid, name) =
                state_of(manifest, text).ok_or_else(|| wrong(text, "OPERATOR/NAME"))?;
            plan.state(uid, name).drop = true;
        }
        for text in &self.step {
            let (uid, name, step) =
                state_is(manifest, text).ok_or_else(|| wrong(text, "OPERATOR/NAME=STEP"))?;
            let step = EntryStep::from_toml(step).map_err(unusable)?;
            plan.state(uid, name).steps.push(step);
        }
        for text in &self.filter {
            and(&mut plan.filter, text);
        }
        for text in &self.filter_state {
            let (uid, name, expression) =
                state_is(manifest, text).ok_or_else(|| wrong(text, "OPERATOR/NAME=EXPR"))?;
            and(&mut plan.state(uid, name).filter, expression);
        }
        plan.max_parallelism = self.max_parallelism.or(plan.max_parallelism);
        plan.parallelism = self.parallelism.or(plan.parallelism);
        Ok(plan)
    }
}

/// Asks for `expression` besides what is asked for.
fn and(filter: &mut Option<String>, expression: &str) {
    *filter = Some(match filter.take() {
        Some(before) => format!("({before}) && ({expression})"),
        None => expression.to_owned(),
    });
}

fn read(path: &PathBuf) -> Result<RewritePlan, Error> {
    let failed = |why: String| Error::new(ErrorKind::Retry, why).at_path(path.to_string_lossy());
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    RewritePlan::from_toml(&text).map_err(|error| failed(error.to_string()))
}

fn unusable(error: Error) -> Error {
    Error::new(ErrorKind::Retry, error.to_string())
}

fn set(name: &mut Option<String>, new: &str) -> Result<(), Error> {
    match name.replace(new.to_owned()).filter(|before| before != new) {
        Some(before) => {
            let message = format!("renamed twice: to {before:?} and to {new:?}");
            Err(Error::new(ErrorKind::Retry, message))
        }
        None => Ok(()),
    }
}

fn wrong(text: &str, form: &str) -> Error {
    Error::new(ErrorKind::Retry, format!("{text:?} is not of the form {form}"))
}

fn has_operator(manifest: &Manifest, uid: &str) -> bool {
    manifest.operators.iter().any(|operator| operator.uid == uid)
}

/// Operator and state out of `OPERATOR/NAME`.
fn state_of<'a>(manifest: &Manifest, text: &'a str) -> Option<(&'a str, &'a str)> {
    split(text, '/', |uid| has_operator(manifest, uid))
}

/// Operator, state and what follows them out of `OPERATOR/NAME=…`.
fn state_is<'a>(manifest: &Manifest, text: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let has = |state: &str| {
        let of = |uid: &str, name: &str| {
            let mut operators = manifest.operators.iter().filter(|operator| operator.uid == uid);
            operators.any(|operator| operator.states.iter().any(|info| info.name == name))
        };
        state_of(manifest, state).is_some_and(|(uid, name)| of(uid, name))
    };
    let (state, rest) = split(text, '=', has)?;
    let (uid, name) = state_of(manifest, state)?;
    Some((uid, name, rest))
}

/// `text` around the first `at` before which something stands that is known; around the first one where
/// there is none.
fn split(text: &str, at: char, is_known: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let places = text.match_indices(at).map(|(place, _)| place);
    let known = places.clone().find(|place| is_known(text.get(..*place).unwrap_or_default()));
    let place = known.or_else(|| places.clone().next())?;
    Some((text.get(..place)?, text.get(place + at.len_utf8()..)?))
}
