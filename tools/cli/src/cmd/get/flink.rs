//! What a state of a snapshot of Flink's holds under one key.

use super::Args;
use crate::cmd::{say_harms, say_refused};
use crate::flink::harms;
use crate::outcome::{Outcome, say};
use esker::ErrorKind;
use esker::flink::{FlinkFound, FlinkQuery, FlinkSnapshot};
use std::io::{self, Write};

pub(super) fn run(
    args: &Args,
    snapshot: &FlinkSnapshot,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let Args { snapshot: name, key, operator, state, namespace, .. } = args;
    let found = snapshot.operator(operator).and_then(|operator| {
        let namespace = namespace.as_deref();
        snapshot.get(&FlinkQuery { operator, state, key, namespace })
    });
    let FlinkFound { lines, damage, .. } = match found {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            say(format_args!("{error}"));
            return Ok(Outcome::NotTried);
        }
        Err(error) => return Ok(say_refused(name, &error)),
    };
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    let outcome = say_harms(&harms(&damage));
    if lines.is_empty() && outcome == Outcome::Yes {
        say(format_args!("absent {name}: {operator}/{state} holds nothing under {key}"));
        return Ok(Outcome::No);
    }
    Ok(outcome)
}
