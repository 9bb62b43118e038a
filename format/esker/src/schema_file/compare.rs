//! What becomes of the states of a snapshot when a program restores them.

use super::{OperatorSchema, SchemaFile, StateSchema};
use crate::CodecId;
use crate::manifest::TypeInfo;
use crate::schema::{Change, Fate, compare, opaque_path};

/// What becomes of a state, or of an operator as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The operator's uid.
    pub operator: String,
    /// The state's name; `None` for what is the operator's: its keys.
    pub state: Option<String>,
    /// Where it stands.
    pub stands: Stands,
    /// What becomes of it: that of the worst change. A state of the snapshot that the program does not have is
    /// impossible to restore.
    pub fate: Fate,
    /// What differs; paths begin in the part that differs (`key`, `namespace`, `userKey`, `value`, `ttl`,
    /// `kind`).
    pub changes: Vec<Change>,
}

/// Where a state or operator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stands {
    /// In both.
    Both,
    /// In the snapshot alone.
    Snapshot,
    /// In the program alone: it begins empty.
    Program,
}

impl SchemaFile {
    /// What becomes of what this file, of a snapshot, has, when `program` restores it: one verdict for each
    /// state and for each operator whose keys differ, in order of uid and name.
    pub fn restored_by(&self, program: &Self) -> Vec<Verdict> {
        let mut uids: Vec<&str> =
            [self, program].iter().flat_map(|f| &f.operators).map(|o| &*o.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        let mut found = Vec::new();
        for uid in uids {
            operator(uid, self.operator(uid), program.operator(uid), &mut found);
        }
        found
    }
}

fn operator(
    uid: &str,
    old: Option<&OperatorSchema>,
    new: Option<&OperatorSchema>,
    found: &mut Vec<Verdict>,
) {
    let mut add = |state: Option<&str>, stands: Stands, changes: Vec<Change>| {
        let fate = changes.iter().map(|change| change.fate).max().unwrap_or(Fate::Compatible);
        let (operator, state) = (uid.to_owned(), state.map(str::to_owned));
        found.push(Verdict { operator, state, stands, fate, changes });
    };
    if let (
        Some(OperatorSchema { key: Some(old), .. }),
        Some(OperatorSchema { key: Some(new), .. }),
    ) = (old, new)
        && old != new
    {
        add(None, Stands::Both, vec![rekeyed("key", Some(old), Some(new))]);
    }
    let mut names: Vec<&str> =
        [old, new].iter().flatten().flat_map(|o| &o.states).map(|s| &*s.name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |operator: Option<&'_ OperatorSchema>| {
            operator.and_then(|operator| operator.state(name)).cloned()
        };
        match (of(old), of(new)) {
            (Some(old), Some(new)) => add(Some(name), Stands::Both, state(&old, &new)),
            (Some(_), None) => {
                let what = "the program does not have it, and restores nothing without it: open it, or \
                            drop it from the snapshot (esker rewrite)";
                add(Some(name), Stands::Snapshot, vec![change("state", Fate::Impossible, what)]);
            }
            _ => add(Some(name), Stands::Program, Vec::new()),
        }
    }
}

fn change(path: &str, fate: Fate, what: impl Into<String>) -> Change {
    Change { path: path.to_owned(), fate, what: what.into() }
}

fn rekeyed(path: &str, old: Option<&TypeInfo>, new: Option<&TypeInfo>) -> Change {
    let text = |info: Option<&TypeInfo>| info.map_or("none".into(), TypeInfo::to_string);
    let what = format!("{} becomes {}: keys are not migrated, but re-keyed", text(old), text(new));
    change(path, Fate::Impossible, what)
}

fn state(old: &StateSchema, new: &StateSchema) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.kind != new.kind {
        let what = format!("{} becomes {}", old.kind, new.kind);
        changes.push(change("kind", Fate::Impossible, what));
    }
    for (path, old, new) in
        [("namespace", &old.namespace, &new.namespace), ("userKey", &old.user_key, &new.user_key)]
    {
        if old != new {
            changes.push(rekeyed(path, old.as_ref(), new.as_ref()));
        }
    }
    match (old.ttl, new.ttl) {
        (Some(old), Some(new)) if old.duration_ms != new.duration_ms => {
            let ms = |ms: Option<u64>| ms.map_or("an unknown time".into(), |ms| format!("{ms} ms"));
            let what = format!(
                "entries live for {} instead of {}; what had expired stays away",
                ms(new.duration_ms),
                ms(old.duration_ms)
            );
            changes.push(change("ttl", Fate::Migratable, what));
        }
        (Some(old), Some(new)) if old.update != new.update => {
            changes.push(change("ttl", Fate::Compatible, "other calls renew the time"));
        }
        (Some(_), None) => {
            changes.push(change("ttl", Fate::Impossible, "entries with TTL become ones without"));
        }
        (None, Some(_)) => {
            changes.push(change(
                "ttl",
                Fate::Impossible,
                "entries without TTL become ones with it",
            ));
        }
        _ => {}
    }
    if let (Some(was), Some(is)) = (&old.value, &new.value)
        && was != is
    {
        value(was, is, new, &mut changes);
    }
    changes
}

fn value(was: &TypeInfo, is: &TypeInfo, new: &StateSchema, changes: &mut Vec<Change>) {
    let refuse =
        |why: &str| change("value", Fate::Impossible, format!("{was} becomes {is}: {why}"));
    if !is.codec.is_known() {
        let what = format!("{was} becomes {is}: unknown, the program's codec {} decides", is.codec);
        return changes.push(change("value", Fate::Unknown, what));
    }
    if !was.codec.is_known() {
        return changes.push(refuse("only the codec that wrote it reads it"));
    }
    if is.codec != CodecId::BINCODE2 {
        return changes.push(refuse("of esker's codecs none but bincode2 migrates"));
    }
    if let Some(path) = opaque_path(&was.schema) {
        let why = format!("only the program that wrote it knows the shape of {path}");
        return changes.push(refuse(&why));
    }
    if was.codec != is.codec {
        let what = format!("written by codec {} from now on, not by {}", is.codec, was.codec);
        changes.push(change("value", Fate::Migratable, what));
    }
    for Change { path, fate, what } in compare(&was.schema, &is.schema, new.reads.as_ref()) {
        let path = format!("value{}", if path == "." { "" } else { &path });
        changes.push(Change { path, fate, what });
    }
}
