//! What a snapshot of Flink's is made of, as tables.

use super::{Operator, Snapshot, Type};
use crate::cmd::table;
use std::io::{self, Write};

/// How many users of a file are named.
const USERS_MAX: usize = 4;

pub(super) fn show(
    name: &str,
    kind: &str,
    snapshot: &Snapshot<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Snapshot { checkpoint, metadata_version, metadata_bytes, files, .. } = snapshot;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    writeln!(out, "snapshot        {name}\nkind            {kind}\ncheckpoint      {checkpoint}")?;
    writeln!(out, "metadata        version {metadata_version}, {metadata_bytes} bytes")?;
    writeln!(out, "files           {}, {bytes} bytes", files.len())?;
    snapshot.operators.iter().try_for_each(|operator| show_operator(operator, out))?;
    if !files.is_empty() {
        let mut table = table(&["file", "bytes", "needed by"], 1);
        for file in files {
            let named = file.users.iter().take(USERS_MAX).map(|user| {
                let subtask = user.subtask.map(|subtask| format!("/{subtask}")).unwrap_or_default();
                format!("{}{subtask} {}", user.operator, user.slot)
            });
            let mut users = named.collect::<Vec<_>>().join(", ");
            if file.users.len() > USERS_MAX {
                users.push_str(&format!(", {} more", file.users.len() - USERS_MAX));
            }
            table.add_row([file.path.to_owned(), file.bytes.to_string(), users]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        writeln!(out, "\n{table}")?;
    }
    if !snapshot.in_flight.is_empty() {
        let head = ["in flight", "direction", "channel", "subtask", "bytes", "buffers"];
        let mut table = table(&head, 3);
        for channel in &snapshot.in_flight {
            let (first, second) = channel.channel;
            table.add_row([
                channel.operator.to_owned(),
                channel.direction.to_owned(),
                format!("{first}/{second}"),
                channel.subtask.to_string(),
                channel.bytes.to_string(),
                channel.buffers.to_string(),
            ]);
        }
        writeln!(out, "\n{table}")?;
    }
    Ok(())
}

fn show_operator(operator: &Operator<'_>, out: &mut impl Write) -> io::Result<()> {
    let Operator { id, parallelism, max_parallelism, states, .. } = operator;
    writeln!(out, "\noperator        {}\nid              {id}", operator.uid.unwrap_or(id))?;
    if let Some(name) = operator.name {
        writeln!(out, "name            {name}")?;
    }
    writeln!(out, "parallelism     {parallelism} of at most {max_parallelism}")?;
    if operator.finished {
        writeln!(out, "finished        all of it")?;
    }
    let keyed = [("keyed", operator.keyed_bytes), ("operator", operator.operator_bytes)];
    let others =
        [("coordinator", operator.coordinator_bytes), ("in flight", operator.in_flight_bytes)];
    let sizes = keyed.into_iter().chain(others).filter(|(_, bytes)| *bytes > 0);
    let sizes = sizes.map(|(what, bytes)| match (what, operator.backend) {
        ("keyed", Some(backend)) => format!("{what} {bytes} ({backend})"),
        _ => format!("{what} {bytes}"),
    });
    let sizes = sizes.collect::<Vec<_>>().join(", ");
    writeln!(out, "bytes           {}", if sizes.is_empty() { "0" } else { &sizes })?;
    if let Some(key) = &operator.key {
        writeln!(out, "key             {}", Type::text(Some(key), &[]))?;
    }
    if states.is_empty() {
        return Ok(());
    }
    let head = ["state", "kind", "namespace", "user key", "value", "ttl", "serializer"];
    let mut table = table(&head, head.len());
    for state in states {
        let serializer = state.value.as_ref().map_or("-", |value| super::short(value.serializer));
        table.add_row([
            state.name.to_owned(),
            state.kind.to_owned(),
            Type::text(state.namespace.as_ref(), &[]),
            Type::text(state.user_key.as_ref(), &[]),
            Type::text(state.value.as_ref(), &state.opaque),
            if state.ttl { "yes" } else { "-" }.to_owned(),
            serializer.to_owned(),
        ]);
    }
    writeln!(out, "{table}")
}
