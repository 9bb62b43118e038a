//! `esker get`: what a state holds under one key.

mod flink;

use super::say_refused;
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Entries, Pick};
use esker::format::canonical::{Canonical, Expired};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Operator, StateInfo, TypeInfo};
use esker::format::part::{Part, RunRef};
use esker::format::run::Entry;
use esker::format::{KeyGroup, KeyGroupRange, Value, encode_value};
use esker::snapshot::{find_operator, read_manifest, read_part};
use esker::{Error, ErrorKind, block_on};
use std::io::{self, Write};

/// Write what a state holds under one key, as lines of JSON
///
/// Only the runs of the key's group are opened, and of those only blocks that can hold the key are
/// read; of a native checkpoint, all files of the state in the part of the key's group are fetched,
/// as a file of RocksDB is read whole or not at all. Of a snapshot of Flink's the key group is read in which Flink's
/// own hash puts the key, or all of the state where a class of the job's decides the hash. The exit code is 1 if there is nothing under it, or something that it needs is damaged.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker get /data/job --operator delays --state late '\"UA\"'
  esker get savepoint --operator windows --state total 7 --namespace 1700000000
  esker get savepoint --operator routes --state count '[\"ATL\",\"JFK\"]' | jq .value")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// The key, in JSON as dumps have it
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    pick: Pick,
    /// The operator
    #[arg(long, value_name = "UID")]
    operator: String,
    /// The state
    #[arg(long, value_name = "NAME")]
    state: String,
    /// This namespace alone, in JSON
    #[arg(long, value_name = "JSON")]
    namespace: Option<String>,
    /// Write also what was expired when the snapshot was taken
    #[arg(long)]
    include_expired: bool,
    /// Write one JSON object per line, as is done in any case
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    match args.flink.open(&args.snapshot, args.pick.checkpoint()) {
        Ok(None) => {}
        Ok(Some(snapshot)) => return flink::run(args, &snapshot, out),
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    }
    let mut lines = Vec::new();
    match find(args, &mut lines) {
        Ok(()) => {}
        Err(Stop::Argument(message)) => {
            say(format_args!("{message}"));
            return Ok(Outcome::NotTried);
        }
        Err(Stop::Snapshot(error)) => return Ok(say_refused(&args.snapshot, &error)),
    }
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    if lines.is_empty() {
        let Args { snapshot, key, operator, state, .. } = args;
        say(format_args!("absent {snapshot}: {operator}/{state} holds nothing under {key}"));
        return Ok(Outcome::No);
    }
    Ok(Outcome::Yes)
}

enum Stop {
    /// An argument is wrong.
    Argument(String),
    Snapshot(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Snapshot(error.into())
    }
}

fn find(args: &Args, lines: &mut Vec<String>) -> Result<(), Stop> {
    let at = args.pick.find(&args.snapshot)?;
    let manifest = block_on(read_manifest(&at.store, &at.manifest, at.digest))?;
    let operator = find_operator(&manifest, &args.operator)?;
    let info = find_state(operator, &args.state)?;
    let Some(key_type) = operator.key.as_ref().filter(|_| info.kind.is_keyed()) else {
        let message = format!("{} is {}, which has no keys: dump it", info.name, info.kind);
        return Err(Stop::Argument(message));
    };
    let key = encoded("KEY", key_type, &args.key)?;
    let namespace = match (&info.namespace, &args.namespace) {
        (Some(namespace), Some(json)) => Some(encoded("--namespace", namespace, json)?),
        (Some(_), None) => None,
        (None, None) => Some(Vec::new()),
        (None, Some(_)) => {
            return Err(Stop::Argument(format!("{} has no namespaces", info.name)));
        }
    };

    let group = KeyGroup::of(&key);
    let mut part = None;
    for (subtask, name) in operator.parts.iter().enumerate() {
        if operator.range(subtask)?.contains(group) {
            part = Some((block_on(read_part(&at.store, name))?, operator.range(subtask)?));
        }
    }
    let Some(part) = part else { return Ok(()) };
    let (part, owned) = part;
    let mut found = Entries::open(&at.store, (&part, owned), &runs_of(&part, group), [info])?;
    let mut canonical = Canonical::new(&operator.uid, operator.key.as_ref(), info);
    let expired = if args.include_expired { Expired::Shown } else { Expired::Hidden };
    canonical.at(part.ttl_time_ms(info.id), expired);
    let mut each = |entry: Entry<'_>| {
        let mut line = String::new();
        if *CompositeKey::decode(entry.key)?.key == *key && canonical.write(entry, &mut line)? {
            lines.push(line);
        }
        Ok(())
    };
    match namespace {
        Some(namespace) => {
            let mut prefix = Vec::new();
            let composite = CompositeKey::new(info.id, group, &key, &namespace, b"");
            composite.encode_into(&mut prefix);
            found.get(&prefix, &mut each)?;
        }
        // The filter knows keys with their namespaces alone.
        None => found.merge(KeyGroupRange::new(group.0, group.0)?, Some(info.id), &mut each)?,
    }
    match found.damage().into_iter().next() {
        Some(damage) => Err(damage.error.into()),
        None => Ok(()),
    }
}

fn find_state<'a>(operator: &'a Operator, name: &str) -> Result<&'a StateInfo, Error> {
    operator.states.iter().find(|info| info.name == name).ok_or_else(|| {
        let known: Vec<_> = operator.states.iter().map(|info| &info.name).collect();
        let message = format!("{} has no state {name:?}; it has {known:?}", operator.uid);
        Error::new(ErrorKind::Invalid, message)
    })
}

/// The bytes of a key or namespace that an argument gives as JSON.
fn encoded(argument: &str, info: &TypeInfo, json: &str) -> Result<Vec<u8>, Stop> {
    let wrong = |why: String| Stop::Argument(format!("{argument} {json}: {why}"));
    let value = Value::parse_json(&info.schema, json)
        .map_err(|error| wrong(format!("{error}; text is written '\"…\"'")))?;
    Ok(encode_value(&info.codec, &info.schema, &value)?)
}

/// The runs of a part that count for a key group: from its newest base on.
fn runs_of(part: &Part, group: KeyGroup) -> Vec<RunRef> {
    let holds = |run: &&RunRef| run.range.contains(group);
    let mut runs: Vec<_> = part.runs.iter().filter(holds).cloned().collect();
    let is_base = |run: &RunRef| run.base.iter().any(|range| range.contains(group));
    let base = runs.iter().rposition(is_base).unwrap_or(0);
    runs.drain(..base);
    runs
}
