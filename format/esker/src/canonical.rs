//! Canonical lines: entries as the JSON that dumps hold (SPEC.md, "Canonical dump").
//!
//! `{"operator":…,"state":…,"kind":…,"key":…,"namespace":…,"userKey":…,"value":…,"ttl":…}`, one line
//! per value, list, map entry, timer and element of operator state. Two snapshots hold the same
//! state if and only if their sorted lines are the same. [`Canonical`] writes them, [`LineReader`] reads
//! them back, and entries of the same members that are values ([`DynamicEntry`]).

mod entry;
mod parse;

pub use entry::{DynamicEntry, LineReader};
pub use parse::Line;

use crate::composite::CompositeKey;
use crate::manifest::{StateInfo, StateKind, TypeInfo};
use crate::run::{Entry, Op};
use crate::{FormatError, Result, Value, decode_value, list};
use std::fmt::{self, Write};

/// Length of a time before a value with TTL, and of a timer's time, in bytes.
const TIME_LEN_BYTES: usize = 8;

/// What becomes of entries that are expired at the time of the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expired {
    /// They are left out.
    #[default]
    Hidden,
    /// They are written like others.
    Shown,
}

/// Writes the canonical lines of one state.
#[derive(Debug)]
pub struct Canonical<'a> {
    key: Option<&'a TypeInfo>,
    state: &'a StateInfo,
    /// `{"operator":…,"state":…,"kind":…`
    head: String,
    expired: Expired,
    /// Entries whose last update is at or before this are expired.
    expired_until_ms: Option<i64>,
}

impl<'a> Canonical<'a> {
    /// The lines of `state` of the operator `uid`, whose keys are of the type `key`.
    pub fn new(uid: &str, key: Option<&'a TypeInfo>, state: &'a StateInfo) -> Self {
        let text = |text: &str| Value::String(text.to_owned()).to_json();
        let head = format!(
            r#"{{"operator":{},"state":{},"kind":"{}""#,
            text(uid),
            text(&state.name),
            state.kind
        );
        Self { key, state, head, expired: Expired::Hidden, expired_until_ms: None }
    }

    /// Hides or shows what is expired at `ttl_time_ms`, the time of the part's capture.
    pub fn at(&mut self, ttl_time_ms: Option<i64>, expired: Expired) {
        self.expired = expired;
        self.expired_until_ms = ttl_time_ms.zip(self.state.ttl).and_then(|(time_ms, ttl)| {
            let duration_ms = i64::try_from(ttl.duration_ms?).ok()?;
            time_ms.checked_sub(duration_ms)
        });
    }

    /// Appends the line of `entry` to `out`, without a line end; `false` if it is expired. Of an
    /// entry that is expired or refused, nothing is appended.
    ///
    /// `entry` is a put with all that its key holds: what is left once runs are merged.
    ///
    /// # Errors
    /// `Corrupt` if it is no entry of this state; `Incompatible` if a codec is not one of esker's.
    pub fn write(&self, entry: Entry<'_>, out: &mut String) -> Result<bool> {
        let start = out.len();
        let shown = self.line(entry, &mut Out(Some(out)));
        if !matches!(shown, Ok(true)) {
            out.truncate(start);
        }
        shown
    }

    /// That [`write`](Self::write) would not refuse `entry`; no line is made.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn check(&self, entry: Entry<'_>) -> Result<()> {
        self.line(entry, &mut Out(None)).map(drop)
    }

    fn line(&self, entry: Entry<'_>, out: &mut Out<'_>) -> Result<bool> {
        let corrupt = |message: String| FormatError::corrupt("entry", message);
        let parts = CompositeKey::decode(entry.key)?;
        if parts.state != self.state.id {
            let (found, state) = (parts.state, self.state.id);
            return Err(corrupt(format!("it is of state {found}, not of state {state}")));
        }
        if !matches!(entry.op, Op::Put | Op::Append) {
            return Err(corrupt(format!("a {:?} stands for no value", entry.op)));
        }
        out.text(&self.head);
        let kind = self.state.kind;
        if kind.is_keyed() {
            let key = self.key.ok_or_else(|| corrupt("the operator has no key type".into()))?;
            member(out, "key", key, &parts.key)?;
            match &self.state.namespace {
                Some(namespace) => member(out, "namespace", namespace, &parts.namespace)?,
                None => out.text(r#","namespace":null"#),
            }
        }
        if let Some(user_key) = &self.state.user_key {
            let bytes = if kind.is_keyed() { &parts.user_key } else { &parts.key };
            member(out, "userKey", user_key, bytes)?;
        }
        let shown = match (kind, &self.state.value) {
            (StateKind::TimerEvent | StateKind::TimerProcessing, _) => {
                let time = time(&parts.user_key)?;
                out.shown(format_args!(r#","value":{}"#, time.0));
                true
            }
            (StateKind::List, Some(element)) => self.list(element, entry.value, out)?,
            (_, Some(value)) => self.value(value, entry.value, out)?,
            (_, None) => return Err(corrupt("the state has no value type".into())),
        };
        out.text("}");
        Ok(shown)
    }

    fn value(&self, value: &TypeInfo, bytes: &[u8], out: &mut Out<'_>) -> Result<bool> {
        if self.state.ttl.is_none() {
            member(out, "value", value, bytes)?;
            return Ok(true);
        }
        let (time_ms, bytes) = time(bytes)?;
        member(out, "value", value, bytes)?;
        out.shown(format_args!(r#","ttl":{time_ms}"#));
        Ok(self.is_live(time_ms))
    }

    fn list(&self, element: &TypeInfo, bytes: &[u8], out: &mut Out<'_>) -> Result<bool> {
        let mut times = String::new();
        out.text(r#","value":["#);
        let mut live = 0_usize;
        for bytes in list::elements(bytes) {
            let mut bytes = bytes?;
            if self.state.ttl.is_some() {
                let (time_ms, rest) = time(bytes)?;
                bytes = rest;
                if !self.is_live(time_ms) {
                    continue;
                }
                let comma = if live > 0 { "," } else { "" };
                times.push_str(&format!("{comma}{time_ms}"));
            }
            if live > 0 {
                out.text(",");
            }
            live += 1;
            out.value(&decode_value(&element.codec, &element.schema, bytes)?);
        }
        out.text("]");
        if self.state.ttl.is_some() {
            out.shown(format_args!(r#","ttl":[{times}]"#));
        }
        Ok(live > 0)
    }

    fn is_live(&self, time_ms: i64) -> bool {
        self.expired == Expired::Shown || self.expired_until_ms.is_none_or(|until| time_ms > until)
    }
}

/// Where a line goes, if it is wanted and not only looked at.
struct Out<'a>(Option<&'a mut String>);

impl Out<'_> {
    fn text(&mut self, text: &str) {
        if let Some(out) = &mut self.0 {
            out.push_str(text);
        }
    }

    fn shown(&mut self, arguments: fmt::Arguments<'_>) {
        if let Some(out) = &mut self.0 {
            // Writing to a String cannot fail.
            let _ = out.write_fmt(arguments);
        }
    }

    fn value(&mut self, value: &Value) {
        if let Some(out) = &mut self.0 {
            value.write_json(out);
        }
    }
}

fn member(out: &mut Out<'_>, name: &str, info: &TypeInfo, bytes: &[u8]) -> Result<()> {
    let value = decode_value(&info.codec, &info.schema, bytes)?;
    for text in [",\"", name, "\":"] {
        out.text(text);
    }
    out.value(&value);
    Ok(())
}

/// The time at the front of `bytes`, in milliseconds, and what follows it.
fn time(bytes: &[u8]) -> Result<(i64, &[u8])> {
    let Some((time, rest)) = bytes.split_first_chunk::<TIME_LEN_BYTES>() else {
        let message = format!("a time takes 8 bytes, not {}", bytes.len());
        return Err(FormatError::corrupt("entry", message));
    };
    // Ordered: the sign bit is flipped, so that bytes sort as times do.
    Ok(((u64::from_be_bytes(*time) ^ 1 << 63).cast_signed(), rest))
}

#[cfg(test)]
mod tests;
