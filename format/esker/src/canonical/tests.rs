use super::*;
use crate::manifest::{Ttl, TtlUpdate};
use crate::record::Extra;
use crate::{CodecId, Key, KeyGroup, Schema};

fn ordered(schema: Schema) -> TypeInfo {
    TypeInfo { codec: CodecId::ORDERED, schema }
}

fn state(kind: StateKind) -> StateInfo {
    StateInfo {
        id: 7,
        name: "s\"".into(),
        kind,
        namespace: None,
        user_key: None,
        value: Some(ordered(Schema::U64)),
        ttl: None,
        extra: Extra::new(),
    }
}

fn encoded(value: impl Key) -> Vec<u8> {
    value.with_encoded(<[u8]>::to_vec)
}

fn line(state: &StateInfo, user_key: &[u8], value: &[u8], time_ms: Option<i64>) -> String {
    let mut key = Vec::new();
    CompositeKey::new(7, KeyGroup(0), b"k", b"", user_key).encode_into(&mut key);
    let text = ordered(Schema::String);
    let mut canonical = Canonical::new("op", Some(&text), state);
    canonical.at(time_ms, Expired::Hidden);
    let mut out = "before".to_owned();
    let shown = canonical.write(Entry { key: &key, op: Op::Put, value }, &mut out).unwrap();
    assert_eq!(shown, out != "before");
    out.split_off("before".len())
}

#[test]
fn each_kind_has_its_line() {
    let head = r#"{"operator":"op","state":"s\"","kind":"#;
    let value = encoded(5_u64);
    assert_eq!(
        line(&state(StateKind::Value), b"", &value, None),
        format!(r#"{head}"value","key":"k","namespace":null,"value":5}}"#)
    );
    let map = StateInfo { user_key: Some(ordered(Schema::Bool)), ..state(StateKind::Map) };
    assert_eq!(
        line(&map, &[1], &value, None),
        format!(r#"{head}"map","key":"k","namespace":null,"userKey":true,"value":5}}"#)
    );
    let timers = StateInfo { value: None, ..state(StateKind::TimerEvent) };
    assert_eq!(
        line(&timers, &encoded(-2_i64), b"", None),
        format!(r#"{head}"timer-event","key":"k","namespace":null,"value":-2}}"#)
    );
    let list = [&[8][..], &value, &[8], &encoded(6_u64)].concat();
    assert_eq!(
        line(&state(StateKind::List), b"", &list, None),
        format!(r#"{head}"list","key":"k","namespace":null,"value":[5,6]}}"#)
    );
    assert_eq!(
        line(&state(StateKind::OperatorUnion), b"", &value, None),
        format!(r#"{head}"operator-union","value":5}}"#)
    );
    let broadcast = StateInfo {
        user_key: Some(ordered(Schema::String)),
        ..state(StateKind::OperatorBroadcast)
    };
    assert_eq!(
        line(&broadcast, b"", &value, None),
        format!(r#"{head}"operator-broadcast","userKey":"k","value":5}}"#)
    );
}

#[test]
fn what_is_expired_is_left_out() {
    let ttl = Some(Ttl { duration_ms: Some(10), update: TtlUpdate::Write });
    let value = [encoded(100_i64), encoded(5_u64)].concat();
    let with_ttl = StateInfo { ttl, ..state(StateKind::Value) };
    assert!(line(&with_ttl, b"", &value, Some(109)).ends_with(r#""value":5,"ttl":100}"#));
    assert_eq!(line(&with_ttl, b"", &value, Some(110)), "");
    assert!(line(&with_ttl, b"", &value, None).ends_with(r#""value":5,"ttl":100}"#));

    let later = [encoded(105_i64), encoded(6_u64)].concat();
    let list = [&[16][..], &value, &[16], &later].concat();
    let lists = StateInfo { ttl, ..state(StateKind::List) };
    assert!(line(&lists, b"", &list, Some(109)).ends_with(r#""value":[5,6],"ttl":[100,105]}"#));
    assert!(line(&lists, b"", &list, Some(110)).ends_with(r#""value":[6],"ttl":[105]}"#));
    assert_eq!(line(&lists, b"", &list, Some(115)), "");
}

#[test]
fn bytes_that_are_no_entry_of_the_state_are_refused() {
    let value = state(StateKind::Value);
    let text = ordered(Schema::String);
    let canonical = Canonical::new("op", Some(&text), &value);
    let mut key = Vec::new();
    CompositeKey::new(7, KeyGroup(0), b"k", b"", b"").encode_into(&mut key);
    let mut out = "before".to_owned();
    for (key, op, value) in [
        (&key[..], Op::Put, &[0; 7][..]),
        (&key, Op::Delete, b""),
        (&[0; 10], Op::Put, &[0; 8]),
        (b"", Op::Put, b""),
    ] {
        assert!(canonical.write(Entry { key, op, value }, &mut out).is_err());
        assert_eq!(out, "before");
    }
    let keyless = Canonical::new("op", None, &value);
    assert!(keyless.write(Entry { key: &key, op: Op::Put, value: &[0; 8] }, &mut out).is_err());
}
