//! An entry as an expression sees it: dynamic values, as its canonical line has them.

use crate::format::composite::CompositeKey;
use crate::format::manifest::{StateInfo, StateKind, TypeInfo};
use crate::format::run::Entry;
use crate::format::{Value, decode_as_written, decode_value, list};
use crate::{Error, ErrorKind, Result};

/// Length of a time before a value with TTL, and of a timer's time, in bytes.
const TIME_LEN_BYTES: usize = 8;

/// Which fields are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::processor) struct Uses {
    pub(in crate::processor) key: bool,
    pub(in crate::processor) namespace: bool,
    pub(in crate::processor) user_key: bool,
    pub(in crate::processor) value: bool,
    pub(in crate::processor) ttl: bool,
    /// The time that counts as now.
    pub(in crate::processor) now: bool,
    /// What an expression of a step calls `it`.
    pub(in crate::processor) it: bool,
    /// Values are written again: what they hold keeps its order.
    pub(in crate::processor) as_written: bool,
    /// The name of the state.
    pub(in crate::processor) state: bool,
    pub(in crate::processor) key_group: bool,
}

impl Uses {
    pub(in crate::processor) fn and(self, other: Self) -> Self {
        Self {
            key: self.key || other.key,
            namespace: self.namespace || other.namespace,
            user_key: self.user_key || other.user_key,
            value: self.value || other.value,
            ttl: self.ttl || other.ttl,
            now: self.now || other.now,
            it: self.it || other.it,
            as_written: self.as_written || other.as_written,
            state: self.state || other.state,
            key_group: self.key_group || other.key_group,
        }
    }
}

/// The fields of an entry that are asked for; none for what it does not have.
#[derive(Debug, Default)]
pub(in crate::processor) struct Fields {
    pub(in crate::processor) key: Option<Value>,
    pub(in crate::processor) namespace: Option<Value>,
    pub(in crate::processor) user_key: Option<Value>,
    /// Of a list all elements that are live, of a timer its time in milliseconds.
    pub(in crate::processor) value: Option<Value>,
    /// The time of the last update in milliseconds; of a list one for each element.
    pub(in crate::processor) ttl: Option<Value>,
    /// The time that counts as now, in milliseconds, where one is given.
    pub(in crate::processor) now: Option<Value>,
    /// The name of the state in the source, where several have one expression.
    pub(in crate::processor) state: Option<Value>,
    /// The number of the key group, where it is asked for.
    pub(in crate::processor) key_group: Option<Value>,
    /// Whether value and time are those of a list's elements.
    pub(in crate::processor) is_list: bool,
    /// Whether the list has elements that are expired, besides these.
    pub(in crate::processor) has_expired: bool,
}

/// What was last updated then or before is expired at `time_ms`; none if nothing can be.
pub(in crate::processor) fn expired_until_ms(
    time_ms: Option<i64>,
    duration_ms: Option<u64>,
) -> Option<i64> {
    time_ms?.checked_sub(i64::try_from(duration_ms?).ok()?)
}

/// Reads the entries of one state.
pub(in crate::processor) struct Reader {
    key: Option<TypeInfo>,
    info: StateInfo,
    uses: Uses,
    /// As [`expired_until_ms`] has it.
    expired_until_ms: Option<i64>,
}

impl Reader {
    /// Of the state `info`, whose operator has keys of the type `key`, captured at `ttl_time_ms`.
    pub(in crate::processor) fn new(
        key: Option<&TypeInfo>,
        info: &StateInfo,
        uses: Uses,
        ttl_time_ms: Option<i64>,
    ) -> Self {
        let duration_ms = info.ttl.and_then(|ttl| ttl.duration_ms);
        let expired_until_ms = expired_until_ms(ttl_time_ms, duration_ms);
        Self { key: key.cloned(), info: info.clone(), uses, expired_until_ms }
    }

    /// Puts the fields of `entry`, a put, in the place of those of another one; `false` if it is expired.
    ///
    /// # Errors
    /// `Corrupt` if it is no entry of the state; `Incompatible` if a codec is not one of esker's.
    pub(in crate::processor) fn read(&self, entry: Entry<'_>, fields: &mut Fields) -> Result<bool> {
        let (uses, info) = (self.uses, &self.info);
        let parts = CompositeKey::decode(entry.key)?;
        let keyed = info.kind.is_keyed();
        *fields = Fields::default();
        if keyed && uses.key {
            fields.key = decoded(self.key.as_ref(), &parts.key)?;
        }
        if keyed && uses.namespace {
            fields.namespace = decoded(info.namespace.as_ref(), &parts.namespace)?;
        }
        if uses.user_key {
            let bytes = if keyed { &parts.user_key } else { &parts.key };
            fields.user_key = decoded(info.user_key.as_ref(), bytes)?;
        }
        match info.kind {
            StateKind::TimerEvent | StateKind::TimerProcessing => {
                let (time_ms, _) = time(&parts.user_key)?;
                fields.value = Some(Value::Signed(time_ms.into()));
            }
            StateKind::List => return self.list(entry.value, fields),
            _ => {
                let mut bytes = entry.value;
                if info.ttl.is_some() {
                    let (time_ms, rest) = time(bytes)?;
                    if !self.is_live(time_ms) {
                        return Ok(false);
                    }
                    bytes = rest;
                    fields.ttl = Some(Value::Signed(time_ms.into()));
                }
                if uses.value {
                    fields.value = self.value(bytes)?;
                }
            }
        }
        Ok(true)
    }

    /// Where `entry` stands, as text: its key, namespace and user key as JSON, as far as they can be read.
    pub(in crate::processor) fn place(&self, entry: Entry<'_>) -> String {
        place_of(entry.key, self.key.as_ref(), &self.info)
    }

    fn list(&self, bytes: &[u8], fields: &mut Fields) -> Result<bool> {
        let (mut values, mut times) = (Vec::new(), Vec::new());
        let (mut live, mut has_expired) = (0_usize, false);
        for element in list::elements(bytes) {
            let mut element = element?;
            if self.info.ttl.is_some() {
                let (time_ms, rest) = time(element)?;
                if !self.is_live(time_ms) {
                    has_expired = true;
                    continue;
                }
                element = rest;
                times.push(Value::Signed(time_ms.into()));
            }
            live += 1;
            if self.uses.value {
                values.extend(self.value(element)?);
            }
        }
        if has_expired && live == 0 {
            return Ok(false);
        }
        (fields.is_list, fields.has_expired) = (true, has_expired);
        fields.value = Some(Value::Seq(values));
        fields.ttl = self.info.ttl.map(|_| Value::Seq(times));
        Ok(true)
    }

    /// Appends the elements of a list with TTL that are live to `out`.
    pub(in crate::processor) fn put_live(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        for element in list::elements(bytes) {
            let element = element?;
            if self.is_live(time(element)?.0) {
                list::put_encoded(out, element);
            }
        }
        Ok(())
    }

    fn value(&self, bytes: &[u8]) -> Result<Option<Value>> {
        match &self.info.value {
            Some(info) if self.uses.as_written => {
                Ok(Some(decode_as_written(&info.codec, &info.schema, bytes)?))
            }
            info => decoded(info.as_ref(), bytes),
        }
    }

    fn is_live(&self, time_ms: i64) -> bool {
        self.expired_until_ms.is_none_or(|until| time_ms > until)
    }
}

fn decoded(info: Option<&TypeInfo>, bytes: &[u8]) -> Result<Option<Value>> {
    Ok(info.map(|info| decode_value(&info.codec, &info.schema, bytes)).transpose()?)
}

/// A composite key of the state `info`, whose operator has keys of the type `key`, as text: key, namespace and user
/// key as JSON, as far as they can be read.
pub(in crate::processor) fn place_of(
    composite: &[u8],
    key: Option<&TypeInfo>,
    info: &StateInfo,
) -> String {
    let Ok(parts) = CompositeKey::decode(composite) else { return String::new() };
    let keyed = info.kind.is_keyed();
    let user_key = if keyed { &parts.user_key } else { &parts.key };
    let fields: [(_, Option<&TypeInfo>, &[u8]); 3] = [
        ("key", key.filter(|_| keyed), &parts.key),
        ("namespace", info.namespace.as_ref().filter(|_| keyed), &parts.namespace),
        ("userKey", info.user_key.as_ref(), user_key),
    ];
    let text = |(name, info, bytes): (&str, Option<&TypeInfo>, &[u8])| {
        let value = decode_value(&info?.codec, &info?.schema, bytes).ok()?;
        Some(format!(" {name}={}", value.to_json()))
    };
    fields.into_iter().filter_map(text).collect()
}

/// The time at the front of `bytes`, in milliseconds, and what follows it.
pub(in crate::processor) fn time(bytes: &[u8]) -> Result<(i64, &[u8])> {
    let Some((time, rest)) = bytes.split_first_chunk::<TIME_LEN_BYTES>() else {
        let message = format!("a time takes 8 bytes, not {}", bytes.len());
        return Err(Error::new(ErrorKind::Corrupt, message));
    };
    // Ordered: the sign bit is flipped, so that bytes sort as times do.
    Ok(((u64::from_be_bytes(*time) ^ 1 << 63).cast_signed(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::manifest::{Ttl, TtlUpdate};
    use crate::format::{CodecId, Key, KeyGroup, Schema};

    fn list_of(updates: &[(i64, u8)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (time_ms, value) in updates {
            let mut element = Vec::new();
            time_ms.encode_into(&mut element);
            element.push(*value);
            list::put_encoded(&mut out, &element);
        }
        out
    }

    #[test]
    fn elements_that_are_expired_are_left_out_of_a_list() {
        let u8s = TypeInfo { codec: CodecId::ORDERED, schema: Schema::U8 };
        let info = StateInfo {
            id: 1,
            name: "seen".into(),
            kind: StateKind::List,
            namespace: None,
            user_key: None,
            value: Some(u8s),
            ttl: Some(Ttl { duration_ms: Some(100), update: TtlUpdate::Write }),
            extra: Default::default(),
        };
        let uses = Uses { value: true, ..Uses::default() };
        let reader = Reader::new(None, &info, uses, Some(1000));
        let mut key = Vec::new();
        CompositeKey::new(1, KeyGroup(0), b"k", b"", b"").encode_into(&mut key);
        let read = |updates: &[(i64, u8)]| {
            let value = list_of(updates);
            let (mut fields, mut put) = (Fields::default(), Vec::new());
            let entry = Entry { key: &key, op: crate::format::run::Op::Put, value: &value };
            let stays = reader.read(entry, &mut fields).unwrap();
            reader.put_live(&value, &mut put).unwrap();
            (stays, fields.has_expired, put)
        };
        assert_eq!(read(&[(901, 1)]), (true, false, list_of(&[(901, 1)])));
        let live = list_of(&[(950, 2), (1001, 4)]);
        assert_eq!(read(&[(900, 1), (950, 2), (0, 3), (1001, 4)]), (true, true, live));
        assert!(!read(&[(900, 1), (0, 3)]).0);
        assert_eq!(read(&[]), (true, false, Vec::new()));
    }
}
