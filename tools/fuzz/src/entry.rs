//! Canonical lines of entries, and entries of canonical lines.
//!
//! An input is that of `value`, and before the value: a byte for the kind, one for what the state
//! has, and the length of the composite key that stands before the entry's value.

use crate::value::{input, split};
use esker_format::canonical::{Canonical, Expired, Line, LineReader};
use esker_format::composite::CompositeKey;
use esker_format::manifest::{StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo};
use esker_format::record::Extra;
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, Schema};

const KINDS: [StateKind; 10] = [
    StateKind::Value,
    StateKind::List,
    StateKind::Map,
    StateKind::Reducing,
    StateKind::Aggregating,
    StateKind::TimerEvent,
    StateKind::TimerProcessing,
    StateKind::OperatorList,
    StateKind::OperatorUnion,
    StateKind::OperatorBroadcast,
];
const TTL: u8 = 1;
const NAMESPACE: u8 = 2;
const USER_KEY: u8 = 4;
const SHOW_EXPIRED: u8 = 8;
const APPEND: u8 = 16;

pub(crate) fn canonical(bytes: &[u8]) {
    let Some((codec, schema, rest)) = split(bytes) else { return };
    let [kind, has, key_len, rest @ ..] = rest else { return };
    let Some((key, value)) = rest.split_at_checked(usize::from(*key_len)) else { return };
    let has = |flag| has & flag != 0;
    let info = TypeInfo { codec, schema };
    let ttl = Ttl { duration_ms: Some(60_000), update: TtlUpdate::Write };
    let state = StateInfo {
        id: 7,
        name: "a \"state\"".into(),
        kind: KINDS[usize::from(*kind) % KINDS.len()],
        namespace: has(NAMESPACE).then(|| info.clone()),
        user_key: has(USER_KEY).then(|| info.clone()),
        value: Some(info.clone()),
        ttl: has(TTL).then_some(ttl),
        extra: Extra::new(),
    };
    let mut canonical = Canonical::new("an\noperator", Some(&info), &state);
    let expired = if has(SHOW_EXPIRED) { Expired::Shown } else { Expired::Hidden };
    canonical.at(Some(120_000), expired);
    let op = if has(APPEND) { Op::Append } else { Op::Put };
    let mut out = "before".to_owned();
    match canonical.write(Entry { key, op, value }, &mut out) {
        Ok(true) => {
            let line = out.strip_prefix("before").unwrap();
            assert!(!line.contains('\n'));
            match serde_json::from_str::<serde_json::Value>(line) {
                Ok(json) => assert_eq!(json["state"], "a \"state\""),
                Err(error) => assert!(error.to_string().contains("recursion limit"), "{line}"),
            }
            // The way back, of states that there can be.
            let has_user_key = matches!(state.kind, StateKind::Map | StateKind::OperatorBroadcast);
            if state.user_key.is_some() != has_user_key {
                return;
            }
            let (parsed, reader) =
                (Line::parse(line).unwrap(), LineReader::new(Some(&info), &state));
            let (mut key, mut value, mut again) = (Vec::new(), Vec::new(), String::new());
            if reader.entry(&parsed, 0, &mut key, &mut value).is_ok() {
                let entry = Entry { key: &key, op: Op::Put, value: &value };
                assert_eq!(canonical.write(entry, &mut again), Ok(true));
                assert_eq!(again, line);
            }
        }
        Ok(false) | Err(_) => assert_eq!(out, "before", "no half line is left"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut key = Vec::new();
    let parts = [&b"k"[..], b"w", b"\x80\0\0\0\0\0\0\x09"];
    CompositeKey::new(7, KeyGroup(2), parts[0], parts[1], parts[2]).encode_into(&mut key);
    let schema = serde_json::to_string(&Schema::Bytes).unwrap();
    let entry = |kind: usize, has: u8, value: &[u8]| {
        let rest = [&[kind as u8, has, key.len() as u8], &key[..], value].concat();
        input(0, &schema, &rest)
    };
    let element = [&[10, 0x80, 0, 0, 0, 0, 1, 0xf0, 0][..], b"ab"].concat();
    let mut seeds: Vec<_> = (0..KINDS.len()).map(|kind| entry(kind, 6, b"\x02ab")).collect();
    seeds.push(entry(0, TTL | SHOW_EXPIRED, &element[1..]));
    seeds.push(entry(1, TTL | APPEND, &element));
    seeds
}
