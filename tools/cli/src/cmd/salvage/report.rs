//! What was salvaged and what was lost, as one JSON object (format/esker/SPEC.md, "Report of a salvage"), or
//! as lines.

use super::ends::End;
use super::sources::{Named, Sources};
use crate::cmd::copy::Files;
use crate::outcome::Status;
use crate::snapshot::Harm;
use esker::format::manifest::Operator;
use esker::processor::{LostRange, Salvaged, StateSalvaged};
use serde::Serialize;
use std::io::{self, Write};

/// The object that `--json` and `--report` write.
#[derive(Serialize)]
pub(super) struct Report {
    sources: Vec<Source>,
    target: String,
    status: Status,
    job: Option<String>,
    checkpoint: Option<u64>,
    entries: Option<u64>,
    written: Option<Files>,
    present: Option<Files>,
    damage: Vec<Damage>,
    lost: Vec<Lost>,
    states: Vec<State>,
    #[serde(rename = "notAsked")]
    not_asked: Vec<NotAsked>,
}

#[derive(Serialize)]
struct Source {
    name: String,
    status: Status,
    message: Option<String>,
    job: Option<String>,
    checkpoint: Option<u64>,
}

#[derive(Serialize)]
struct Damage {
    source: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
struct What {
    file: Option<String>,
    status: Status,
    message: String,
    entries: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lost {
    source: String,
    /// The number of the damage.
    damage: usize,
    operator: String,
    state: String,
    kind: &'static str,
    subtask: Option<u32>,
    key_group_first: u16,
    key_group_last: u16,
    from: Option<End>,
    to: Option<End>,
    older: Option<String>,
}

#[derive(Serialize)]
struct State {
    operator: String,
    state: String,
    kind: &'static str,
    before: Option<u64>,
    entries: u64,
    taken: Vec<Taken>,
    withheld: u64,
}

#[derive(Serialize)]
struct Taken {
    source: String,
    keys: u64,
}

#[derive(Serialize)]
struct NotAsked {
    source: String,
    operator: String,
    state: String,
    message: String,
}

impl Report {
    /// Where nothing was written.
    pub(super) fn refused(sources: &Sources, target: &str, harm: Harm) -> Self {
        let Harm { file, status, message, entries, .. } = harm;
        // What a source is refused for stands with it.
        let is_of_source = |named: &Named| {
            named.harm.as_ref().is_some_and(|of| of.message == message && of.file == file)
        };
        let damage = match sources.named.iter().any(is_of_source) {
            true => Vec::new(),
            false => {
                let source = sources.name(0).to_owned();
                vec![Damage { source, what: What { file, status, message, entries } }]
            }
        };
        Self {
            sources: sources.named.iter().map(Source::of).collect(),
            target: target.to_owned(),
            status,
            job: None,
            checkpoint: None,
            entries: None,
            written: None,
            present: None,
            damage,
            lost: Vec::new(),
            states: Vec::new(),
            not_asked: Vec::new(),
        }
    }

    /// What was done; `operators` are those of the first snapshot that could be opened.
    pub(super) fn of(
        sources: &Sources,
        target: &str,
        operators: &[Operator],
        done: &Salvaged,
    ) -> Self {
        let passed_over = sources.named.first().is_some_and(|first| first.harm.is_some());
        let is_whole = done.is_whole() && !passed_over;
        let name = |source: usize| sources.name(source).to_owned();
        let damage = done.damage.iter().map(|damage| {
            let Harm { file, status, message, .. } = Harm::of(&damage.error);
            let what = What { file, status, message, entries: damage.entries };
            Damage { source: name(damage.source), what }
        });
        let not_asked = done.not_asked.iter().map(|not| NotAsked {
            source: name(not.source),
            operator: not.operator.clone(),
            state: not.state.clone(),
            message: not.why.clone(),
        });
        let manifest = &done.written.manifest;
        Self {
            sources: sources.named.iter().map(Source::of).collect(),
            target: target.to_owned(),
            status: if is_whole { Status::Ok } else { Status::Damaged },
            job: Some(manifest.job.clone()),
            checkpoint: Some(manifest.checkpoint),
            entries: Some(done.written.entries),
            written: Some(done.written.written.into()),
            present: Some(done.written.present.into()),
            damage: damage.collect(),
            lost: done.lost.iter().map(|lost| Lost::of(lost, operators, sources)).collect(),
            states: done.states.iter().map(|state| State::of(state, sources)).collect(),
            not_asked: not_asked.collect(),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    /// What was written, in a line; nothing where that is nothing.
    pub(super) fn summary(&self, out: &mut impl Write) -> io::Result<()> {
        let (Some(checkpoint), Some(entries)) = (self.checkpoint, self.entries) else {
            return Ok(());
        };
        let used = self.sources.iter().find(|source| source.status == Status::Ok);
        let source = used.map_or("", |source| &source.name);
        let files = |files: &Option<Files>| {
            files.as_ref().map_or_else(String::new, |files| {
                format!("{} files, {} bytes", files.files, files.bytes)
            })
        };
        let Self { status, target, written, present, .. } = self;
        let (written, present) = (files(written), files(present));
        writeln!(
            out,
            "{status} {target}: checkpoint {checkpoint} of {source}: {entries} entries; \
             written {written}; there already {present}"
        )?;
        for state in &self.states {
            let is_it = |lost: &Lost| lost.operator == state.operator && lost.state == state.state;
            if self.lost.iter().any(is_it) {
                writeln!(out, "{}", state.line())?;
            }
        }
        Ok(())
    }

    /// All that is wrong.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Source { name, status, message, .. } in &self.sources {
            let told = message.as_ref().map(|message| format!("{status} {name}: {message}"));
            lines.extend(told);
        }
        let is_done = self.checkpoint.is_some();
        if is_done
            && let Some(first) = self.sources.first().filter(|first| first.status != Status::Ok)
        {
            let name = &first.name;
            lines.push(format!("nothing of {name} is known without its _metadata: all is older"));
        }
        for (number, Damage { source, what }) in self.damage.iter().enumerate() {
            let What { file, status, message, entries } = what;
            let file = file.as_ref().map_or(String::new(), |file| format!("{file}: "));
            let entries = entries.map_or(String::new(), |entries| format!(" ({entries} entries)"));
            lines.push(format!("{status} {source}: {file}{message}{entries}"));
            let of_it = self.lost.iter().filter(|lost| lost.damage == number);
            lines.extend(of_it.map(Lost::line));
        }
        let not_asked = self.not_asked.iter().map(|not| {
            let NotAsked { source, operator, state, message } = not;
            format!("{source} was not asked for {operator}/{state}: {message}")
        });
        lines.extend(not_asked);
        lines
    }
}

impl Source {
    fn of(named: &Named) -> Self {
        let status = named.harm.as_ref().map_or(Status::Ok, |harm| harm.status);
        let message = named.harm.as_ref().map(|harm| match &harm.file {
            Some(file) if *file != named.name => format!("{file}: {}", harm.message),
            _ => harm.message.clone(),
        });
        let (name, job) = (named.name.clone(), named.job.clone());
        Self { name, status, message, job, checkpoint: named.checkpoint }
    }
}

impl Lost {
    fn of(lost: &LostRange, operators: &[Operator], sources: &Sources) -> Self {
        let operator = operators.iter().find(|operator| operator.uid == lost.operator);
        let info = operator.and_then(|operator| {
            Some((operator, operator.states.iter().find(|info| info.name == lost.state)?))
        });
        let end = |end: &Option<esker::processor::LostKey>| {
            let (operator, info) = info?;
            Some(End::of(end.as_ref()?, operator, info))
        };
        Self {
            source: sources.name(lost.source).to_owned(),
            damage: lost.damage,
            operator: lost.operator.clone(),
            state: lost.state.clone(),
            kind: lost.kind.name(),
            subtask: lost.subtask,
            key_group_first: lost.groups.first(),
            key_group_last: lost.groups.last(),
            from: end(&lost.from),
            to: end(&lost.to),
            older: lost.older.map(|older| sources.name(older).to_owned()),
        }
    }

    fn line(&self) -> String {
        let Self { operator, state, key_group_first: first, key_group_last: last, .. } = self;
        let mut line = match self.subtask {
            Some(subtask) => format!("lost {operator}/{state} of subtask {subtask}"),
            None => format!("lost {operator}/{state} key groups {first}-{last}"),
        };
        if let Some(from) = &self.from {
            line += &format!(" from {}", from.text());
        }
        if let Some(to) = &self.to {
            line += &format!(" to {}", to.text());
        }
        match &self.older {
            Some(older) if *older == self.source => line + ": another subtask holds the same",
            Some(older) => line + &format!(": older now, from {older}"),
            None => line + ": gone",
        }
    }
}

impl State {
    fn of(state: &StateSalvaged, sources: &Sources) -> Self {
        let taken = state.taken.iter();
        let taken =
            taken.map(|(source, keys)| Taken { source: sources.name(*source).into(), keys: *keys });
        Self {
            operator: state.operator.clone(),
            state: state.state.clone(),
            kind: state.kind.name(),
            before: state.before,
            entries: state.entries,
            taken: taken.collect(),
            withheld: state.withheld,
        }
    }

    fn line(&self) -> String {
        let Self { operator, state, before, entries, taken, withheld, .. } = self;
        let before = before.map_or("unknown".to_owned(), |before| before.to_string());
        let mut line = format!("{operator}/{state}: {entries} entries, {before} before");
        for Taken { source, keys } in taken {
            line += &format!("; {keys} keys from {source}");
        }
        if *withheld > 0 {
            line += &format!("; {withheld} keys left out that may be stale");
        }
        line
    }
}
