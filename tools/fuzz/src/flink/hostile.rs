//! What few bytes could make much of: counts of things that take no bytes, lists of the smallest things there are, compressed zeros,
//! and headers in which much could be tried.

use super::changelog::case as changes;
use super::keyed::{case as keyed_case, compressed};
use super::operator::case as operator_case;
use esker_flink::header::{KeyedHeader, KeyedStateType, OperatorHeader, StateMeta};
use esker_flink::text::write_utf;
use esker_flink::{Input, Output, Serializer};

/// A little less than a MiB.
const LEN_BYTES: usize = 1_000 << 10;
/// Where much could be tried: what that costs grows with the length, up to a bound, and a test has not all day.
const TRIED_LEN_BYTES: usize = 32 << 10;
/// Zeros that take less than a MiB compressed.
const ZEROS: usize = 20 << 20;

/// A class of Flink's and its version, which is all that it writes without parameters.
fn class(name: &str, version: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_utf(&format!("org.apache.flink.{name}"), &mut bytes).unwrap();
    bytes.put_i32(version);
    bytes
}

/// Of values that take no bytes.
fn nothing() -> Serializer {
    let bytes = class("NullValueSerializer$NullValueSerializerSnapshot", 3);
    Serializer::read(&mut Input::new("nothing", &bytes)).unwrap()
}

/// Lists of them: four bytes that can say anything.
fn nothings() -> Serializer {
    Serializer::list_of(&nothing()).unwrap()
}

fn opaque() -> Serializer {
    Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap()
}

/// `front`, and `each` up to a length, after how many there are.
fn filled(front: &[u8], each: &[u8]) -> Vec<u8> {
    let mut bytes = front.to_vec();
    let count = LEN_BYTES.saturating_sub(front.len()) / each.len();
    bytes.put_i32(count as i32);
    bytes.extend(each.repeat(count));
    bytes
}

/// The front of version 3 with one operator, up to the number of its subtasks.
fn one_operator() -> Vec<u8> {
    let mut bytes = vec![0x49, 0x60, 0x67, 0x2d, 0, 0, 0, 3];
    bytes.put_i64(1);
    bytes.put_i32(0);
    bytes.put_i32(1);
    bytes.extend(an_operator());
    bytes
}

/// An operator up to the number of its subtasks.
fn an_operator() -> Vec<u8> {
    let mut bytes = vec![7; 16];
    bytes.put_i32(1);
    bytes.put_i32(128);
    bytes.push(0);
    bytes
}

pub(crate) fn metadata() -> Vec<Vec<u8>> {
    let operators = one_operator()[..20].to_vec();
    let operator = [an_operator(), vec![0; 4]].concat();
    let subtasks = one_operator();
    // One subtask with operator state, one with keyed state, one with records in flight.
    let one = |rest: &[u8]| [&subtasks[..], &[0, 0, 0, 1, 0, 0, 0, 0], rest].concat();
    let operator_state = one(&[0, 0, 0, 1, 4]);
    let incremental =
        one(&[&[0; 8][..], &[5], &[0; 8], &[0, 0], &[0, 0, 0, 0, 0, 0, 0, 128], &[16]].concat());
    let changelog = one(&[&[0; 8][..], &[8], &[0, 0, 0, 0, 0, 0, 0, 128], &[0; 8]].concat());
    let in_flight = one(&[0; 10]);
    vec![
        filled(&operators, &operator),
        filled(&subtasks, &[0xff; 4]),
        filled(&subtasks, &[0; 22]),
        filled(&operator_state, &[0; 7]),
        filled(&incremental, &[0, 0, 1, 0, 0, 0, 0, 0, 0]),
        filled(&changelog, &[7, 0, 0, 0, 0, 0, 0, 0, 0, 16]),
        filled(&in_flight, &[&[0; 24][..], &[16]].concat()),
    ]
}

/// A header of one state with keys of `key`.
fn one_state(key: Serializer, namespace: Serializer, value: Serializer) -> Vec<u8> {
    let state = StateMeta::keyed("state", KeyedStateType::Value, namespace, value);
    written(key, vec![state])
}

fn written(key: Serializer, states: Vec<StateMeta>) -> Vec<u8> {
    let mut bytes = Vec::new();
    KeyedHeader::new(key, states).write(&mut bytes).unwrap();
    bytes
}

/// The same, of compressed state.
fn packed(mut header: Vec<u8>) -> Vec<u8> {
    header[4] = 1;
    header
}

/// Headers in which an unknown class could end in many places.
fn headers() -> Vec<Vec<u8>> {
    let unknown = |fill: &[u8]| {
        let mut bytes = vec![0, 0, 0, 6, 0, 0, 0, 0, 2];
        write_utf("com.example.Secret", &mut bytes).unwrap();
        bytes.put_i32(1);
        bytes.extend(fill.repeat(TRIED_LEN_BYTES / fill.len()));
        bytes
    };
    let mut snapshot = Vec::new();
    write_utf("a.b", &mut snapshot).unwrap();
    snapshot.put_i32(1);
    let state = StateMeta::keyed("s", KeyedStateType::Value, Serializer::long(), opaque());
    let mut states = Vec::new();
    state.write(&mut states).unwrap();
    vec![
        unknown(b"bb.bbbbbbbbbbbbb"),
        unknown(&snapshot),
        unknown(&states),
        written(opaque(), vec![state; 250]),
    ]
}

/// An enum with as many constants as fit, a POJO of a field with a long name in lists.
fn constants() -> Serializer {
    let names: Vec<String> = (0..150_000).map(|number| format!("{number:x}")).collect();
    Serializer::enum_of("E", &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn canonical() -> Vec<Vec<u8>> {
    let string = Serializer::string();
    let list = Serializer::list_of(&nothings()).unwrap();
    let state = StateMeta::keyed("state", KeyedStateType::List, Serializer::void_namespace(), list);
    // A list of lists of nothing, as many as each can say.
    let (mut elements, each) = (Vec::new(), [&800_000_i32.to_be_bytes()[..], b","].concat());
    elements.extend(each.repeat(LEN_BYTES / each.len()));
    let nulls = entry(b"\0\x02k\0", &elements);
    // Keys that cannot be read, in namespaces of nothing.
    let key = [&[0][..], &4_000_i32.to_be_bytes(), &[0, 0, 0x0f]].concat().repeat(500);
    let key = &key[..4_000];
    let mut hidden = Vec::new();
    for _ in 0..TRIED_LEN_BYTES / 4_020 {
        hidden.extend(&entry(key, &[])[if hidden.is_empty() { 0 } else { 2 }..]);
    }
    let mut bomb = entry(&vec![0; ZEROS], &[]);
    bomb.truncate(ZEROS);
    let mut cases: Vec<_> = headers().iter().map(|header| keyed_case(0, header, &[])).collect();
    cases.extend([
        keyed_case(0, &written(string.clone(), vec![state]), &nulls),
        keyed_case(0, &one_state(opaque(), nothings(), Serializer::long()), &hidden),
        keyed_case(0, &packed(one_state(string.clone(), nothing(), nothing())), &compressed(&bomb)),
        keyed_case(0, &one_state(string, nothing(), constants()), b""),
    ]);
    cases
}

/// A key group of canonical state up to its first entry.
fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.put_i32(key.len() as i32);
    bytes.extend(key);
    bytes.put_i32(value.len() as i32);
    bytes.extend(value);
    bytes
}

pub(crate) fn heap() -> Vec<Vec<u8>> {
    let string = Serializer::string();
    let group = |front: &[u8], fill: &[u8]| {
        let count = TRIED_LEN_BYTES / fill.len();
        [&[0; 4][..], front, &fill.repeat(count)].concat()
    };
    // Entries of nothing, of lists of nothing, and opaque ones between such.
    let front = |count: i32| [&[0, 0][..], &count.to_be_bytes()].concat();
    let many = 20_000_i32.to_be_bytes();
    let two = vec![
        StateMeta::keyed("first", KeyedStateType::Value, nothing(), opaque()),
        StateMeta::keyed("second", KeyedStateType::Value, nothing(), nothing()),
    ];
    let of_many = (0..30_000).map(|_| StateMeta {
        name: String::new(),
        kind: esker_flink::header::StateKind::KeyValue,
        options: vec![],
        serializers: vec![],
    });
    let mut broken = compressed(&vec![0; 4 << 20]);
    broken.extend([0, 1, 1, 1, 1]);
    vec![
        keyed_case(0, &one_state(nothing(), nothing(), nothing()), &group(&front(20_000), &[0])),
        keyed_case(0, &one_state(nothing(), nothing(), nothings()), &group(&front(6_000), &many)),
        keyed_case(0, &written(nothing(), two), &group(&front(9), &[&[0, 1][..], &many].concat())),
        keyed_case(0, &one_state(string.clone(), nothings(), opaque()), &group(&front(9), &many)),
        keyed_case(0, &one_state(nothing(), nothing(), opaque()), &group(&front(30), &[7])),
        keyed_case(
            0,
            &packed(one_state(string.clone(), nothing(), opaque())),
            &compressed(&vec![0; ZEROS]),
        ),
        keyed_case(0, &packed(written(string, of_many.collect())), &broken),
    ]
}

pub(crate) fn operator() -> Vec<Vec<u8>> {
    let header = |compressed: bool, state: StateMeta, broadcast: StateMeta| {
        let mut bytes = Vec::new();
        let header = OperatorHeader::new(true, vec![state], vec![broadcast]);
        OperatorHeader { compressed, ..header }.write(&mut bytes).unwrap();
        bytes
    };
    let list = |element| StateMeta::operator("list", false, element);
    let map = || StateMeta::broadcast("map", nothing(), nothings());
    let zeros = compressed(&vec![0; ZEROS]);
    let plain = header(false, list(nothings()), map());
    let of_plain = plain.len();
    let counts = 900_000_i32.to_be_bytes().repeat(LEN_BYTES / 4);
    let squeezed = header(true, list(nothings()), map());
    let of_squeezed = squeezed.len();
    let everywhere: Vec<_> = (0..250).map(|number| (number % 2, of_plain + number / 9)).collect();
    vec![
        operator_case(&[(0, of_plain)], &[&plain[..], &counts].concat()),
        operator_case(&[(1, of_plain)], &[&plain[..], &counts].concat()),
        operator_case(&everywhere, &[&plain[..], &counts].concat()),
        operator_case(&[(0, of_squeezed + 10)], &[squeezed, zeros].concat()),
    ]
}

pub(crate) fn raw_timers() -> Vec<Vec<u8>> {
    let mut front = vec![0xf1, 0xcd, 0x85, 0x9f, 0, 0, 0, 2];
    let mut service = vec![0, 0];
    nothing().write(&mut service);
    nothing().write(&mut service);
    service.extend([0; 8]);
    let services = filled(&front, &service);
    front.extend([0, 0, 0, 1, 0, 0]);
    nothings().write(&mut front);
    nothings().write(&mut front);
    let timer = [&800_000_i32.to_be_bytes()[..], &800_000_i32.to_be_bytes(), &[0; 8]].concat();
    vec![services, filled(&front, &timer)]
}

pub(crate) fn changelog() -> Vec<Vec<u8>> {
    let definition = |state: u16, meta: &StateMeta, java: &[u8]| {
        let mut bytes = vec![8, 0, 0, 0, 7];
        meta.write(&mut bytes).unwrap();
        if java.is_empty() {
            bytes.push(0);
        } else {
            bytes.push(1);
            bytes.extend(java);
        }
        bytes.push(0);
        bytes.put_u16(state);
        bytes.push(0);
        bytes
    };
    let mut meta = StateMeta::keyed("", KeyedStateType::List, nothing(), nothings());
    let list = definition(0, &meta, &[]);
    let key = [0; 8];
    let add = [&[3, 0, 0][..], &key, &800_000_i32.to_be_bytes()].concat();
    let merge = [&[4, 0, 0][..], &key, &900_000_i32.to_be_bytes(), &[0; LEN_BYTES]].concat();
    let adds = (0..LEN_BYTES / 40).map(|_| (Some(9), &add[..]));
    let lists: Vec<_> = [(None, &list[..])].into_iter().chain(adds).collect();
    (meta.options, meta.serializers) = (vec![], vec![]);
    let small: Vec<_> = (0..LEN_BYTES / 40).map(|id| definition(id as u16, &meta, &[])).collect();
    let objects =
        [java_array(b"L", &[0x74, 0, 0]), java_array(b"L", &[0x77, 0]), java_array(b"L", &[0x70])];
    let mut cases = vec![
        changes(lists.into_iter()),
        changes([(None, &list[..]), (Some(9), &merge)].into_iter()),
        changes(small.iter().map(|bytes| (None, &bytes[..]))),
        [vec![1], compressed(&vec![0; ZEROS])].concat(),
        [vec![1], compressed(&vec![0; ZEROS / 2]), compressed(&vec![0; ZEROS / 2])].concat(),
    ];
    for object in objects {
        let bytes = definition(0, &meta, &object);
        cases.push(changes([(None, &bytes[..])].into_iter()));
    }
    cases
}

/// An array of objects that are all the same, as Java serializes it.
fn java_array(of: &[u8], each: &[u8]) -> Vec<u8> {
    let mut front = vec![0xac, 0xed, 0, 5, 0x75, 0x72, 0, 1 + of.len() as u8, b'['];
    front.extend(of);
    front.extend([0; 8]);
    front.extend([2, 0, 0, 0x78, 0x70]);
    filled(&front, each)
}

pub(crate) fn serializers() -> Vec<Vec<u8>> {
    let mut of_constants = Vec::new();
    constants().write(&mut of_constants);
    let sorted = class("SortedMapSerializerSnapshot", 3);
    let object = |each: &[u8]| [&sorted[..], &java_array(b"L", each)].concat();
    vec![of_constants, object(&[0x74, 0, 0]), object(&[0x77, 0]), object(&[0x70])]
}
