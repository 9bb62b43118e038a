#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]
use super::*;
use crate::Output;
use crate::header::{KeyedStateType, Role, StateMeta};
use crate::metadata::KeyedHandle;
use crate::testing::{Golden, goldens};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What is there after some changes: of a map every user key, of timers every one of them, else one piece.
type Replayed = BTreeMap<String, BTreeMap<(Vec<u8>, Vec<u8>), BTreeSet<Vec<u8>>>>;

fn user_keys(meta: &StateMeta, bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let (key, value) = meta.needed(Role::Value).unwrap().entry().unwrap();
    let mut input = Input::new("map", bytes);
    let mut keys = BTreeSet::new();
    for _ in 0..input.i32().unwrap() {
        let start = input.position();
        key.skip(&mut input).unwrap();
        keys.insert(input.since(start).to_vec());
        if !input.bool().unwrap() {
            value.skip(&mut input).unwrap();
        }
    }
    input.end().unwrap();
    keys
}

fn replay(log: &Changelog, change: Change<'_>, replayed: &mut Replayed) {
    let meta = &log.states()[&change.state].meta;
    let map = meta.keyed_type() == Some(KeyedStateType::Map);
    let state = replayed.entry(meta.name.clone()).or_default();
    let address = (change.key.to_vec(), change.namespace.to_vec());
    let one = || BTreeSet::from([Vec::new()]);
    match change.operation {
        Operation::Define(_) => {}
        Operation::Clear => drop(state.remove(&address)),
        Operation::Set(value) | Operation::Add(value) if map => {
            state.entry(address).or_default().extend(user_keys(meta, value));
        }
        Operation::Set(value) => {
            assert!(!value.is_empty());
            state.insert(address, one());
        }
        Operation::Add(_) | Operation::AddElement(_) => drop(state.insert(address, one())),
        Operation::MergeNamespaces { .. } => panic!("no golden merges namespaces"),
        Operation::PutEntry { user_key, .. } => {
            state.entry(address).or_default().insert(user_key.to_vec());
        }
        Operation::RemoveEntry(user_key) => {
            state.entry(address).or_default().remove(user_key);
        }
        Operation::AddTimers(timers) => {
            state.entry(address).or_default().extend(timers.into_iter().map(<[u8]>::to_vec));
        }
        Operation::RemoveTimer(timer) => {
            state.entry(address).or_default().remove(timer);
        }
    }
}

/// The changes of a handle, in order.
fn each_change(golden: &Golden, handle: &KeyedHandle, visit: &mut dyn FnMut(&LoggedChange<'_>)) {
    let KeyedHandle::Changelog(handle) = handle else { return };
    // Who reads it needs what was materialized: `esker::flink` does.
    if !handle.materialized.is_empty() {
        return;
    }
    for changes in &handle.changes {
        let KeyedHandle::ChangelogFiles(changes) = changes else { panic!("{changes:?}") };
        for file in &changes.files {
            let stream = golden.stream(&file.stream);
            let data = open(&stream).unwrap();
            let input = Input::new("test", &data[file.offset as usize..]).based_at(file.offset);
            LoggedChanges::new(input).unwrap().for_each(|change| visit(&change.unwrap()));
        }
    }
}

/// Replayed in order, the changes of every golden log leave as much as is expected.
#[test]
fn goldens_are_replayed() {
    let (mut checked, mut said) = (0, 0);
    for golden in goldens() {
        let mut replayed = Replayed::new();
        for (max_parallelism, handle) in golden.keyed() {
            let (mut first, mut search) =
                (Changelog::new(None), KeySearch::new([], max_parallelism));
            each_change(&golden, handle, &mut |change| {
                search.see(change);
                if change.key_group.is_none() {
                    first.read(change).unwrap();
                }
            });
            let found = search.found();
            // What timers say, the search finds too.
            if let Some(key) = first.key() {
                assert_eq!(found.as_ref(), Some(key), "{}", golden.name);
                said += 1;
            }
            let mut log = Changelog::new(found);
            each_change(&golden, handle, &mut |logged| {
                let change = log.read(logged).unwrap();
                if logged.key_group.is_some() {
                    change.check(&log.states()[&change.state]).unwrap();
                }
                replay(&log, change, &mut replayed);
            });
        }
        if replayed.is_empty() {
            continue;
        }
        checked += 1;
        for (state, count) in golden.expected(true) {
            let found: usize = replayed[&state].values().map(BTreeSet::len).sum();
            assert_eq!(found, count, "{}: {state}", golden.name);
        }
    }
    assert_eq!((checked, said), (15, 30));
}

/// A log of one state without a namespace to speak of, and its changes.
fn log_of_keys(keys: &[Vec<u8>], by: &Serializer) -> Vec<u8> {
    let meta = StateMeta::keyed(
        "state",
        KeyedStateType::Value,
        Serializer::void_namespace(),
        Serializer::string(),
    );
    let mut out = Vec::new();
    out.put_i32(keys.len() as i32 + 1);
    for (group, change) in
        std::iter::once((METADATA, definition(0, &meta, 0))).chain(keys.iter().map(|key| {
            let hash = by.hash_bytes(&mut Input::new("key", key)).unwrap();
            let change = [&[1, 0, 0], &key[..], &[0], &text("value")].concat();
            (crate::key_group::key_group(hash, 128).into(), change)
        }))
    {
        out.put_i32(1);
        out.put_i32(group);
        out.put_i32(change.len() as i32);
        out.extend(change);
    }
    out
}

#[test]
fn keys_are_found_by_their_key_groups() {
    let found = |bytes: &[u8]| {
        let mut search = KeySearch::new([], 128);
        for change in LoggedChanges::new(Input::new("test", bytes)).unwrap() {
            search.see(&change.unwrap());
        }
        search.found()
    };
    let type_of = |name: &str| Serializer::parse_spec(name).unwrap();
    let longs: Vec<_> = (1..20_i64).map(|key| (key * 1_000_003).to_be_bytes().to_vec()).collect();
    assert_eq!(found(&log_of_keys(&longs, &Serializer::long())), Some(Serializer::long()));
    let ints: Vec<_> = (1..20_i32).map(|key| (-key).to_be_bytes().to_vec()).collect();
    assert_eq!(found(&log_of_keys(&ints, &type_of("int"))), Some(type_of("int")));
    let texts: Vec<_> = (1..20).map(|key| text(&format!("key {key}"))).collect();
    assert_eq!(found(&log_of_keys(&texts, &Serializer::string())), Some(Serializer::string()));
    // These could be longs too.
    let doubles: Vec<_> = (1..20).map(|key| f64::from(key).to_be_bytes().to_vec()).collect();
    assert_eq!(found(&log_of_keys(&doubles, &type_of("double"))), None);
    // A log without keys says nothing of them, and one of which no type is right neither.
    assert_eq!(found(&log_of_keys(&[], &Serializer::long())), None);
    let pairs: Vec<_> = (1..20_u8).map(|key| [text("a"), vec![key; 8]].concat()).collect();
    let pair = type_of("tuple<string,long>");
    let bytes = log_of_keys(&pairs, &pair);
    assert_eq!(found(&bytes), None);
    let mut search = KeySearch::new([pair.clone()], 128);
    LoggedChanges::new(Input::new("test", &bytes))
        .unwrap()
        .for_each(|change| search.see(&change.unwrap()));
    assert_eq!(search.found(), Some(pair));
}

fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::text::write_string(Some(text), &mut out).unwrap();
    out
}

fn definition(state: u8, meta: &StateMeta, kind: u8) -> Vec<u8> {
    let mut out = vec![8, 0, 0, 0, 7];
    meta.write(&mut out).unwrap();
    if kind == 0 {
        out.extend([0, 0]);
    }
    out.extend([0, state, kind]);
    out
}

/// A log with a change of each kind, and what each of them is.
fn log() -> (Vec<u8>, Vec<(Option<u16>, Operation<'static>)>) {
    let (string, long) = (Serializer::string(), Serializer::long());
    let window = Serializer::time_window();
    let list = Serializer::list_of(&string).unwrap();
    let map = Serializer::map_of(&string, &long).unwrap();
    let list = StateMeta::keyed("list", KeyedStateType::List, window.clone(), list);
    let map = StateMeta::keyed("map", KeyedStateType::Map, window.clone(), map);
    let timers = StateMeta::timers("timers", Serializer::timer_of(&string, &window).unwrap());
    let scope = [text("key"), vec![1; 16]].concat();
    let timer: &[u8] = b"\x80\0\0\0\0\0\0\x07\x02k0123456701234567";
    let other: &[u8] = b"0123456701234567";
    let change = |code: u8, state: u8, rest: &[u8]| [&[code, 0, state], rest].concat();
    let scoped = |code, state, rest: &[u8]| change(code, state, &[&scope, rest].concat());
    let defined = [definition(0, &list, 0), definition(1, &map, 0), definition(2, &timers, 3)];
    let meant = [&list, &map, &timers].map(|meta| {
        let definition = Definition { meta: meta.clone(), ttl: false, default: None };
        (None, Operation::Define(Box::new(definition)))
    });
    let changes = [
        (scoped(0, 0, b""), Operation::Clear),
        (scoped(1, 0, b"\0\0\0\0"), Operation::Set(b"\0\0\0\0")),
        (scoped(2, 1, b"\0\0\0\0"), Operation::Set(b"\0\0\0\0")),
        (scoped(3, 0, b"\0\0\0\x01\x02a"), Operation::Add(b"\0\0\0\x01\x02a")),
        (
            scoped(4, 0, &[other, &[0, 0, 0, 2], other, other].concat()),
            Operation::MergeNamespaces { target: other, sources: vec![other, other] },
        ),
        (scoped(5, 0, b"\x02a"), Operation::AddElement(b"\x02a")),
        (
            scoped(5, 1, b"\x02u12345678"),
            Operation::PutEntry { user_key: b"\x02u", value: b"12345678" },
        ),
        (
            scoped(6, 1, b"\x02u12345678"),
            Operation::PutEntry { user_key: b"\x02u", value: b"12345678" },
        ),
        (scoped(7, 1, b"\x02u"), Operation::RemoveEntry(b"\x02u")),
        (
            change(5, 2, &[&[0, 0, 0, 2], timer, timer].concat()),
            Operation::AddTimers(vec![timer, timer]),
        ),
        (change(7, 2, timer), Operation::RemoveTimer(timer)),
    ];
    let mut out = Vec::new();
    out.put_i32(2);
    let (encoded, operations): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    for (group, changes) in [(METADATA, &defined[..]), (5, &encoded)] {
        out.put_i32(changes.len() as i32);
        out.put_i32(group);
        for change in changes {
            out.put_i32(change.len() as i32);
            out.extend(change);
        }
    }
    let operations = operations.into_iter().map(|operation| (Some(5), operation));
    (out, meant.into_iter().chain(operations).collect())
}

fn read(bytes: &[u8]) -> Result<Vec<(Option<u16>, Operation<'_>)>> {
    let mut log = Changelog::new(None);
    let changes = LoggedChanges::new(Input::new("test", bytes))?;
    changes
        .map(|change| {
            let change = change?;
            Ok((change.key_group, log.read(&change)?.operation))
        })
        .collect()
}

#[test]
fn every_operation_is_read() {
    let (bytes, meant) = log();
    assert_eq!(read(&bytes).unwrap(), meant);
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len}");
    }
    // What follows is no part of it.
    assert_eq!(read(&[&bytes[..], b"more"].concat()).unwrap().len(), meant.len());
}

#[test]
fn streams_are_opened() {
    assert_eq!(&*open(b"\0plain").unwrap(), b"plain");
    let mut packed = vec![1];
    snappy::compress(b"packed", &mut packed).unwrap();
    assert_eq!(&*open(&packed).unwrap(), b"packed");
    assert!(open(b"\x02").unwrap_err().message.contains("whether it is compressed"));
}

#[test]
fn what_was_not_said_is_asked_for() {
    let (bytes, _) = log();
    let changes: Vec<_> =
        LoggedChanges::new(Input::new("test", &bytes)).unwrap().map(Result::unwrap).collect();
    let mut log = Changelog::new(None);
    assert!(log.read(&changes[3]).unwrap_err().message.contains("was not defined"));
    log.read(&changes[0]).unwrap();
    let error = log.read(&changes[3]).unwrap_err();
    assert!(error.message.contains("give the key's type"), "{error}");
    let mut log = Changelog::new(Some(Serializer::string()));
    log.read(&changes[0]).unwrap();
    assert_eq!(log.read(&changes[3]).unwrap().operation, Operation::Clear);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, _) = log();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = read(&bytes);
        let _ = open(&bytes);
    }
}
