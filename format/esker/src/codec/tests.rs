//! Every codec: there and back, order, pinned bytes, and bytes that are none.

use super::*;
use crate::{FormatErrorKind, Value, bincode_key, decode_value, encode_value};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

fn bytes_of<K: Key>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode_into(&mut out);
    key.with_encoded(|bytes| assert_eq!(bytes, out));
    out
}

/// Round trips, order, and the same bytes through `Value`.
fn check<K: OrderedKey + Ord + Debug>(a: &K, b: &K) {
    let (x, y) = (bytes_of(a), bytes_of(b));
    assert_eq!(K::decode(&x).unwrap(), *a);
    assert_eq!(a.cmp(b), x.cmp(&y), "{a:?} {b:?}");
    let pair = bytes_of(&(a.clone(), 7_u8));
    assert_eq!(<(K, u8)>::decode(&pair).unwrap(), (a.clone(), 7));
    assert_eq!((a, 1).cmp(&(b, 0)), bytes_of(&(a.clone(), 1)).cmp(&bytes_of(&(b.clone(), 0))));
    let value = decode_value(&K::codec(), &K::schema(), &x).unwrap();
    assert_eq!(encode_value(&K::codec(), &K::schema(), &value).unwrap(), x);
}

proptest! {
    #[test]
    fn ordered_keys(
        a in any::<(u8, i16, u32, i64, u128, i128, bool, char)>(),
        b in any::<(u8, i16, u32, i64, u128, i128, bool, char)>(),
    ) {
        check(&a.0, &b.0);
        check(&a.1, &b.1);
        check(&a.2, &b.2);
        check(&a.3, &b.3);
        check(&a.4, &b.4);
        check(&a.5, &b.5);
        check(&a.6, &b.6);
        check(&a.7, &b.7);
        check(&(a.1, a.6, a.7, a.3), &(b.1, b.6, b.7, b.3));
    }

    #[test]
    fn ordered_runs(
        a in prop::collection::vec((".{0,3}", prop::collection::vec(0_u8..3, 0..4)), 2),
    ) {
        let (a, b) = (&a[0], &a[1]);
        check(&a.0, &b.0);
        check(&a.1, &b.1);
        check(a, b);
        check(&(a.1.clone(), a.1.clone()), &(b.1.clone(), b.1.clone()));
        check(&((a.1.clone(), ()), a.0.clone(), a.1.clone()),
              &((b.1.clone(), ()), b.0.clone(), b.1.clone()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = <(Vec<u8>, String, i32, char)>::decode(&bytes);
        let _ = Bincode::read::<Deep>(&bytes);
        let schema = ValueCodec::<Deep>::schema(&Bincode).unwrap();
        let typed = Bincode::read::<Deep>(&bytes);
        let value = decode_value(&CodecId::BINCODE2, &schema, &bytes);
        prop_assert_eq!(typed.is_ok(), value.is_ok());
        let _ = decode_value(&CodecId::ORDERED, &<(Vec<u8>, String)>::schema(), &bytes);
    }

    #[test]
    fn bincode_reads_what_bincode_writes(
        a in any::<(u8, i8, u16, i32, u64, i128, f64, char)>(),
        b in any::<(Option<String>, Vec<i16>, BTreeMap<u32, bool>, u128)>(),
    ) {
        let mut out = Vec::new();
        Bincode.encode(&(a, b.clone()), &mut out).unwrap();
        let (c, d): (typeof_a::A, typeof_a::B) = Bincode.decode(&out).unwrap();
        prop_assert_eq!((a, b), (c, d));
        let config = ::bincode::config::standard();
        let (theirs, _): ((typeof_a::A, typeof_a::B), usize) =
            ::bincode::serde::decode_from_slice(&out, config).unwrap();
        prop_assert_eq!(theirs, (c, Bincode::read::<(typeof_a::A, typeof_a::B)>(&out).unwrap().1));
        out.push(0);
        prop_assert!(Bincode::read::<(typeof_a::A, typeof_a::B)>(&out).is_err());
    }
}

mod typeof_a {
    use std::collections::BTreeMap;
    pub(super) type A = (u8, i8, u16, i32, u64, i128, f64, char);
    pub(super) type B = (Option<String>, Vec<i16>, BTreeMap<u32, bool>, u128);
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Deep {
    End,
    Next(Box<Deep>),
    Text(String, Vec<Deep>),
}

#[test]
fn ordered_bytes_are_pinned() {
    assert_eq!(bytes_of(&0x0102_u16), [1, 2]);
    assert_eq!(bytes_of(&-1_i32), [0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(bytes_of(&1_i8), [0x81]);
    assert_eq!(bytes_of(&'A'), [0, 0, 0, 0x41]);
    assert_eq!(bytes_of(&"a\0".to_string()), *b"a\0");
    assert_eq!(bytes_of(&("a\0".to_string(), true)), *b"a\0\xff\0\0\x01");
    assert_eq!(bytes_of(&(1_u8, vec![0_u8, 9])), [1, 0, 9]);
    assert_eq!(bytes_of(&()), [0_u8; 0]);
}

#[test]
fn bincode_bytes_are_pinned() {
    let mut out = Vec::new();
    let value = (250_u32, 251_u32, -1_i64, "é", Some(true), [1_u8, 2].as_slice(), 'é', 1.0_f32);
    Bincode::write(&value, &mut out).unwrap();
    let pinned = b"\xfa\xfb\xfb\0\x01\x02\xc3\xa9\x01\x01\x02\x01\x02\xc3\xa9\0\0\x80\x3f";
    assert_eq!(out, pinned);
}

#[test]
fn hostile_lengths_and_depths_are_errors() {
    let huge = [&[253][..], &(1_u64 << 60).to_le_bytes()].concat();
    assert!(Bincode::read::<String>(&huge).is_err());
    assert!(Bincode::read::<Vec<u64>>(&huge).is_err());
    assert!(Bincode::read::<Vec<()>>(&huge).is_err());
    for schema in [Schema::String, Schema::Bytes, Schema::Seq(Box::new(Schema::Unit))] {
        assert!(decode_value(&CodecId::BINCODE2, &schema, &huge).is_err());
    }
    assert!(Bincode::read::<Deep>(&[1; 100_000]).is_err());
    let schema = ValueCodec::<Deep>::schema(&Bincode).unwrap();
    assert!(decode_value(&CodecId::BINCODE2, &schema, &[1; 100_000]).is_err());
    // 251 introduces two bytes, which one byte would have held.
    assert!(Bincode::read::<u32>(&[251, 5, 0]).is_err());
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Account {
    country: String,
    number: u64,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tagged {
    tags: Vec<HashSet<u8>>,
}

impl std::hash::Hash for Tagged {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

bincode_key!(Account, Tagged);

#[test]
fn serde_types_are_keys_unless_their_bytes_vary() {
    Account::check().unwrap();
    let key = Account { country: "NZ".into(), number: 7 };
    assert_eq!(bytes_of(&key), *b"\x02NZ\x07");
    assert_eq!(Account::decode(&bytes_of(&key)).unwrap(), key);
    assert!(Account::decode(b"\x02NZ\x07\x00").is_err());
    let e = Tagged::check().unwrap_err();
    assert_eq!(e.kind, FormatErrorKind::Incompatible);
    assert!(e.message.contains("Tagged.tags[] is a set"), "{e}");
    assert_eq!(Value::Unit.to_json(), "null");
}
