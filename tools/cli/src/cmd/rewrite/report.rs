//! What a rewrite says of itself.

use crate::outcome::Status;
use crate::snapshot::{Harm, OperatorSizes, StateSizes};
use esker::format::manifest::{Manifest, Operator, StateInfo};
use esker::format::run::StateStats;
use esker::processor::{
    Count, EntryStep, FlinkStateLeft, OperatorPlan, Rehearsed, RewritePlan, Rewritten, StateLeft,
};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a str,
    pub(super) status: Status,
    pub(super) dry_run: bool,
    pub(super) steps: Vec<Step>,
    #[serde(flatten, serialize_with = "all_fields")]
    pub(super) done: Option<Done>,
    pub(super) damage: &'a [Harm],
}

/// One step, and how much it is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    step: &'static str,
    operator: String,
    state: Option<String>,
    to: Option<String>,
    /// Of a step among those of a state: what it says.
    what: Option<String>,
    /// None of what was not looked at: an operator of Flink's that goes.
    entries: Option<u64>,
    bytes: Option<u64>,
    /// Of the state, where its entries are looked at, once it is known.
    left: Option<u64>,
    left_bytes: Option<u64>,
    /// The states that it is about.
    #[serde(skip)]
    about: Vec<String>,
}

/// What there is now, or would be.
#[derive(Default, Serialize)]
pub(super) struct Done {
    job: Option<String>,
    checkpoint: Option<u64>,
    files: Option<Files>,
    linked: Option<Files>,
    written: Option<Files>,
    present: Option<Files>,
}

#[derive(Clone, Copy, Serialize)]
struct Files {
    files: u64,
    bytes: u64,
}

/// Nothing done has the same fields as something.
fn all_fields<S: serde::Serializer>(done: &Option<Done>, to: S) -> Result<S::Ok, S::Error> {
    done.as_ref().unwrap_or(&Done::default()).serialize(to)
}

impl From<Count> for Files {
    fn from(Count { files, len_bytes }: Count) -> Self {
        Self { files, bytes: len_bytes }
    }
}

impl From<Rewritten> for Done {
    fn from(Rewritten { manifest, linked, written, present, .. }: Rewritten) -> Self {
        let [linked, written, present] = [linked, written, present].map(Files::from);
        let all = [linked, written, present].into_iter();
        let files = all.clone().map(|some| some.files).sum();
        let bytes = all.map(|some| some.bytes).sum();
        Self {
            job: Some(manifest.job),
            checkpoint: Some(manifest.checkpoint),
            files: Some(Files { files, bytes }),
            linked: Some(linked),
            written: Some(written),
            present: Some(present),
        }
    }
}

impl From<Rehearsed> for Done {
    fn from(Rehearsed { manifest, files, .. }: Rehearsed) -> Self {
        Self {
            job: Some(manifest.job),
            checkpoint: Some(manifest.checkpoint),
            files: files.map(Files::from),
            ..Self::default()
        }
    }
}

impl Done {
    /// Of a savepoint of Flink's; what was written and what was there, if anything was to be.
    pub(super) fn of_flink(checkpoint: u64, done: Option<(Count, Count)>) -> Self {
        let checkpoint = Some(checkpoint);
        let Some((written, present)) = done else { return Self { checkpoint, ..Self::default() } };
        let mut all = written;
        (all.files, all.len_bytes) =
            (all.files + present.files, all.len_bytes.saturating_add(present.len_bytes));
        let [files, linked, written, present] =
            [all, Count::default(), written, present].map(|count| Some(Files::from(count)));
        Self { job: None, checkpoint, files, linked, written, present }
    }
}

impl Step {
    /// The same of a snapshot of Flink's, as `manifest` describes it; `left` is what there was and is of states.
    pub(super) fn of_flink(
        plan: &RewritePlan,
        manifest: &Manifest,
        left: &[FlinkStateLeft],
    ) -> Vec<Self> {
        let of = |operator: &Operator, info: &StateInfo| {
            let is =
                |left: &&FlinkStateLeft| left.operator == operator.uid && left.state == info.name;
            left.iter().find(is).map(|left| left.before)
        };
        let sizes: Vec<OperatorSizes<'_>> = manifest
            .operators
            .iter()
            .map(|operator| {
                let states = operator.states.iter().map(|info| {
                    let (entries, key_bytes) = of(operator, info).unwrap_or_default();
                    let stats = StateStats { key_bytes, ..StateStats::default() };
                    StateSizes { info, entries, earliest_timer_ms: None, stats, file_len_bytes: 0 }
                });
                OperatorSizes { operator, runs: 0, run_len_bytes: 0, states: states.collect() }
            })
            .collect();
        let mut steps = Self::all(plan, &sizes);
        for step in steps.iter_mut().filter(|step| step.step == "drop-operator") {
            (step.entries, step.bytes) = (None, None);
        }
        let more = [("max-parallelism", plan.max_parallelism), ("parallelism", plan.parallelism)];
        for (name, to) in more.into_iter().filter_map(|(name, to)| Some((name, to?))) {
            for sizes in &sizes {
                let operator = &sizes.operator.uid;
                let is_dropped = plan.operator.get(operator).is_some_and(|plan| plan.drop);
                // Of what has no state there is nothing to tell.
                if is_dropped || sizes.states.is_empty() {
                    continue;
                }
                steps.push(Self {
                    step: name,
                    operator: operator.clone(),
                    state: None,
                    to: Some(to.to_string()),
                    what: None,
                    entries: Some(sizes.states.iter().map(|state| state.entries).sum()),
                    bytes: Some(sizes.states.iter().map(|state| state.stats.key_bytes).sum()),
                    left: None,
                    left_bytes: None,
                    about: Vec::new(),
                });
            }
        }
        let left = left.iter().map(|left| StateLeft {
            operator: left.operator.clone(),
            state: left.state.clone(),
            entries: left.left.0,
            len_bytes: left.left.1,
        });
        Self::tell_left(&mut steps, &left.collect::<Vec<_>>());
        steps
    }

    /// The steps of `plan` in the order of the snapshot.
    pub(super) fn all(plan: &RewritePlan, sizes: &[OperatorSizes<'_>]) -> Vec<Self> {
        let mut steps = Vec::new();
        for sizes in sizes {
            let uid = &sizes.operator.uid;
            let nothing = OperatorPlan::default();
            let of_all = plan.filter.as_ref();
            let plan = plan.operator.get(uid).unwrap_or(&nothing);
            let all: Vec<&StateSizes<'_>> = sizes.states.iter().collect();
            let mut add =
                |step, to: Option<&String>, state: Option<&str>, of: &[&StateSizes<'_>]| {
                    let (step, what) = step;
                    let bytes = |of: &&StateSizes<'_>| {
                        of.stats.key_bytes + of.stats.value_bytes + of.file_len_bytes
                    };
                    steps.push(Self {
                        step,
                        operator: uid.clone(),
                        state: state.map(str::to_owned),
                        to: to.cloned(),
                        what,
                        entries: Some(of.iter().map(|state| state.entries).sum()),
                        bytes: Some(of.iter().map(bytes).sum()),
                        left: None,
                        left_bytes: None,
                        about: of.iter().map(|state| state.info.name.clone()).collect(),
                    });
                };
            if plan.drop {
                add(("drop-operator", None), None, None, &all);
            } else if plan.rename.is_some() {
                add(("rename-operator", None), plan.rename.as_ref(), None, &all);
            }
            if let Some(rekey) = &plan.rekey {
                let stays = |state: &&StateSizes<'_>| {
                    let of_state = plan.state.get(&state.info.name);
                    state.info.kind.is_keyed() && !of_state.is_some_and(|plan| plan.drop)
                };
                let keyed: Vec<_> = sizes.states.iter().filter(stays).collect();
                add(("rekey", Some(rekey.to.clone())), None, None, &keyed);
            }
            for state in &sizes.states {
                let name = &state.info.name;
                let of = &[state][..];
                let of_state = plan.state.get(name);
                let is_dropped = plan.drop || of_state.is_some_and(|plan| plan.drop);
                if of_state.is_some_and(|plan| plan.drop) {
                    add(("drop-state", None), None, Some(name), of);
                } else if let Some(new) = of_state.and_then(|plan| plan.rename.as_ref()) {
                    add(("rename-state", None), Some(new), Some(name), of);
                }
                let all = of_all.is_some() || plan.filter.is_some();
                let is_filtered = all && state.info.kind.is_keyed()
                    || of_state.is_some_and(|plan| plan.filter.is_some());
                if is_filtered && !is_dropped {
                    add(("filter", None), None, Some(name), of);
                }
                for step in of_state.iter().flat_map(|plan| &plan.steps) {
                    add(said(step), None, Some(name), of);
                }
            }
        }
        steps
    }
}

/// The name of a step, and what it says.
fn said(step: &EntryStep) -> (&'static str, Option<String>) {
    match step {
        EntryStep::Filter(text) => ("filter", Some(text.clone())),
        EntryStep::Set(set) if set.field.is_empty() => ("set", Some(set.to.clone())),
        EntryStep::Set(set) => ("set", Some(format!("{} = {}", set.field, set.to))),
        EntryStep::DeleteField(field) => ("delete-field", Some(field.clone())),
        EntryStep::AddField(add) => ("add-field", Some(format!("{} = {}", add.field, add.to))),
        EntryStep::Ttl(ttl) => ("ttl", Some(format!("{} ms", ttl.duration_ms))),
        EntryStep::RemoveTtl {} => ("remove-ttl", None),
        EntryStep::Codec(codec) => ("codec", Some(codec.to_string())),
        other => (other.name(), None),
    }
}

impl Step {
    /// Says what is left of states whose entries are looked at.
    pub(super) fn tell_left(steps: &mut [Self], left: &[StateLeft]) {
        let looks = |step: &&mut Self| step.to.is_none() && !step.step.starts_with("drop-");
        for step in steps.iter_mut().filter(looks) {
            let of = |left: &&StateLeft| {
                left.operator == step.operator && step.about.contains(&left.state)
            };
            for left in left.iter().filter(of) {
                *step.left.get_or_insert(0) += left.entries;
                *step.left_bytes.get_or_insert(0) += left.len_bytes;
            }
        }
    }
}

impl Report<'_> {
    /// As lines: the steps, and what came of them.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { source, target, dry_run, steps, .. } = self;
        let Some(done) = &self.done else { return Ok(()) };
        for Step { step, operator, state, to, what, entries, bytes, left, left_bytes, .. } in steps
        {
            let count = |count: &Option<u64>| count.map_or("?".to_owned(), |n| n.to_string());
            let (entries, bytes) = (count(entries), count(bytes));
            let state = state.as_ref().map_or(String::new(), |state| format!("/{state}"));
            let to = to.as_ref().map_or(String::new(), |to| format!(" to {to}"));
            let what =
                what.as_ref().map_or(String::new(), |what| format!(" {}", what.replace('\n', " ")));
            let left = left.zip(*left_bytes).map_or(String::new(), |(left, bytes)| {
                format!("; left {left} entries, {bytes} bytes")
            });
            writeln!(
                out,
                "{step} {operator}{state}{to}{what}: {entries} entries, {bytes} bytes{left}"
            )?;
        }
        let count = |count: Option<Files>| {
            let Files { files, bytes } = count.unwrap_or(Files { files: 0, bytes: 0 });
            format!("{files} files, {bytes} bytes")
        };
        let checkpoint = done.checkpoint.unwrap_or_default();
        if *dry_run {
            let files = match done.files {
                Some(_) => count(done.files),
                None => "files that are written anew".to_owned(),
            };
            return writeln!(
                out,
                "would be {target}: checkpoint {checkpoint} of {source}: {files}"
            );
        }
        let (linked, written, present) =
            (count(done.linked), count(done.written), count(done.present));
        writeln!(
            out,
            "ok {target}: checkpoint {checkpoint} of {source}: linked {linked}; written {written}; \
             there already {present}"
        )
    }
}
