//! Verdicts, and that restores agree with them.

use super::*;
use crate::codec::{Bincode, CodecId, Migration, ValueCodec};
use crate::manifest::TtlUpdate;
use crate::schema::{Change, Fate};
use crate::{Schema, trace};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

fn state<T: Serialize + DeserializeOwned>(name: &str) -> StateSchema {
    StateSchema {
        name: name.into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(ValueCodec::<T>::info(&Bincode).unwrap()),
        ttl: None,
        reads: ValueCodec::<T>::reads(&Bincode).unwrap(),
    }
}

fn file(states: Vec<StateSchema>) -> SchemaFile {
    let key = Some(TypeInfo { codec: CodecId::ORDERED, schema: Schema::U64 });
    SchemaFile { operators: vec![OperatorSchema { uid: "op".into(), key, states }] }
}

/// What is said of values of `Old` for a program of `New`.
fn said<Old, New>() -> Vec<Change>
where
    Old: Serialize + DeserializeOwned,
    New: Serialize + DeserializeOwned,
{
    let stored = file(vec![StateSchema { reads: None, ..state::<Old>("s") }]);
    let program = file(vec![state::<New>("s")]);
    // As both come from their texts.
    let [stored, program] =
        [stored, program].map(|file| SchemaFile::parse(&file.to_text().unwrap()).unwrap());
    let mut verdicts = stored.restored_by(&program);
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0).changes
}

fn worst(changes: &[Change]) -> Fate {
    changes.iter().map(|change| change.fate).max().unwrap_or(Fate::Compatible)
}

/// What a restore makes of a value of `Old`.
fn restored<Old, New>(old: &Old) -> crate::Result<New>
where
    Old: Serialize + DeserializeOwned,
    New: Serialize + DeserializeOwned,
{
    let stored = TypeInfo { codec: CodecId::BINCODE2, schema: trace::<Old>()? };
    let mut bytes = Vec::new();
    Bincode.encode(old, &mut bytes)?;
    match ValueCodec::<New>::migration(&Bincode, &stored)? {
        Some(migrate) => migrate(&bytes),
        None => Bincode.decode(&bytes),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    name: String,
    gone: u8,
    lines: Vec<Line>,
    level: Level,
    next: Option<Box<Order>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    price: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Level {
    Low,
    High(u8),
}

mod new {
    use super::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        #[serde(alias = "name", alias = "label")]
        pub(super) title: String,
        pub(super) id: Option<u64>,
        pub(super) lines: Vec<Line>,
        pub(super) level: Level,
        #[serde(default)]
        pub(super) added: i32,
        pub(super) next: Option<Box<Order>>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Line {
        pub(super) price: f64,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) enum Level {
        Middle,
        #[serde(alias = "Low")]
        Lowest,
        High(u8),
    }
}

#[test]
fn each_change_is_told_by_path_and_what_a_restore_makes_of_it() {
    let found = state::<new::Order>("s").reads;
    let changes = said::<Order, new::Order>();
    let told: Vec<String> = changes
        .iter()
        .map(|Change { path, fate, what }| format!("{path}: {what} ({fate:?})"))
        .collect();
    assert_eq!(
        told,
        [
            "value.title: renamed: it was name (Migratable)",
            "value.id: becomes optional: what is there is some (Migratable)",
            r#"value.id: "u32" becomes "u64": wider (Migratable)"#,
            r#"value.lines[].price: "f32" becomes "f64": wider (Migratable)"#,
            "value.level::Lowest: renamed: it was Low (Migratable)",
            "value.level::Middle: variant added (Migratable)",
            "value.added: added, with its default (Migratable)",
            "value: fields are in another order (Migratable)",
            "value.gone: removed: what it holds is lost (Lossy)",
        ],
        "{found:?}"
    );
    let old = Order {
        id: 7,
        name: "n".into(),
        gone: 1,
        lines: vec![Line { price: 0.5 }],
        level: Level::High(3),
        next: None,
    };
    let deep = Order { level: Level::Low, next: Some(Box::new(old.clone())), ..old };
    let restored: new::Order = restored(&deep).unwrap();
    assert_eq!(restored.level, new::Level::Lowest);
    let inner = restored.next.unwrap();
    assert_eq!((&*inner.title, inner.id, inner.added), ("n", Some(7), 0));
    assert_eq!((inner.lines[0].price, inner.level), (0.5, new::Level::High(3)));

    // The file knows of the alias and the default, within the type itself too.
    let reads = state::<new::Order>("s").reads.unwrap();
    assert_eq!(reads.defaults, [".added", ".id", ".next"].map(String::from).into());
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<BTreeSet<_>>();
    let aliases: BTreeMap<String, BTreeSet<String>> =
        [(".title".into(), names(&["name", "label"])), (".level::Lowest".into(), names(&["Low"]))]
            .into();
    assert_eq!(reads.aliases, aliases);
    assert!(reads.strict.is_empty());

    // A file that does not know of them trusts options alone.
    let program = file(vec![StateSchema { reads: None, ..state::<new::Order>("s") }]);
    let verdict = file(vec![state::<Order>("s")]).restored_by(&program).remove(0);
    let of = |path: &str| {
        let change = verdict.changes.iter().find(|change| change.path == path);
        change.map(|change| (change.fate, &*change.what))
    };
    let unknown = "added, and nothing says that it has a default";
    assert_eq!(of("value.added"), Some((Fate::Impossible, unknown)));
    assert_eq!(of("value.name"), Some((Fate::Lossy, "removed: what it holds is lost")));
}

/// The verdict for two types, and what a restore makes of a value: no error where the verdict is at most
/// lossy, an error where it is impossible.
macro_rules! agree {
    ($($old:ty => $new:ty, $value:expr, $fate:ident;)*) => {$({
        let changes = said::<$old, $new>();
        assert_eq!(worst(&changes), Fate::$fate, "{} {changes:?}", stringify!($old => $new));
        let restored = restored::<$old, $new>(&$value);
        let is_refused = Fate::$fate == Fate::Impossible;
        assert_eq!(restored.is_err(), is_refused, "{} {restored:?}", stringify!($old => $new));
    })*};
}

#[test]
fn restores_agree_with_verdicts() {
    #[derive(Debug, Serialize, Deserialize)]
    struct One {
        a: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Two {
        a: u8,
        b: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct StrictOne {
        a: u8,
    }
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Defaulted {
        z: u64,
        b: u8,
        a: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Meters(u32);
    #[derive(Debug, Serialize, Deserialize)]
    struct Pair(u8, String);
    #[derive(Debug, Serialize, Deserialize)]
    struct Numbers(u8, u8);
    #[derive(Debug, Serialize, Deserialize)]
    enum Held {
        D(u8, u8),
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum HeldByName {
        D { a: u8, b: u8 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Nothing;
    #[derive(Debug, Serialize, Deserialize)]
    enum Kind {
        A,
        B(u8),
        C { x: u8 },
        D(u8, u8),
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum NewKind {
        A {
            #[serde(default)]
            x: u8,
        },
        D(u16, u16),
        C {
            x: Option<u8>,
        },
        B(i64),
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum LessKind {
        A,
        B(u8),
        C { x: u8 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Unit {
        A,
        B,
        C,
        D,
    }
    type Map<K, V> = BTreeMap<K, V>;
    agree! {
        u8 => u8, 7, Compatible;
        u8 => u16, 7, Migratable;
        u8 => u128, 7, Migratable;
        u32 => i64, 7, Migratable;
        u64 => i128, u64::MAX, Migratable;
        u32 => i32, u32::MAX, Impossible;
        i32 => u64, -1, Impossible;
        u64 => u32, u64::MAX, Impossible;
        i128 => i64, i128::MIN, Impossible;
        u128 => i128, u128::MAX, Impossible;
        f32 => f64, 0.1, Migratable;
        f64 => f32, 0.1, Impossible;
        u32 => f64, u32::MAX, Migratable;
        i16 => f32, i16::MIN, Migratable;
        u32 => f32, u32::MAX, Impossible;
        i64 => f64, i64::MAX - 1, Impossible;
        f64 => u64, 1.0, Impossible;
        bool => u8, true, Impossible;
        char => String, 'x', Migratable;
        String => char, "xy".into(), Impossible;
        String => Vec<u8>, "xy".into(), Impossible;
        u8 => Option<u8>, 7, Migratable;
        u8 => Option<u32>, 7, Migratable;
        Option<u8> => u8, None, Impossible;
        Option<u8> => Option<i16>, Some(1), Migratable;
        Option<u8> => Option<Option<u8>>, Some(1), Migratable;
        Vec<u8> => Vec<u64>, vec![1], Migratable;
        Vec<u8> => BTreeSet<u8>, vec![1, 1], Lossy;
        BTreeSet<u8> => Vec<u8>, [1].into(), Migratable;
        BTreeSet<u8> => BTreeSet<u16>, [1].into(), Migratable;
        Vec<u8> => Vec<String>, vec![1], Impossible;
        Map<u8, u8> => Map<u16, Option<u8>>, [(1, 1)].into(), Migratable;
        Map<String, u8> => One, [("a".into(), 1)].into(), Impossible;
        One => Map<String, u8>, One { a: 1 }, Impossible;
        (u8, String) => (u16, String), (1, "x".into()), Migratable;
        (u8, String) => Pair, (1, "x".into()), Migratable;
        (u8, u8, u8) => (u8, u8), (1, 1, 1), Impossible;
        [u8; 2] => [u8; 3], [1, 1], Impossible;
        [u8; 3] => [u8; 2], [1, 1, 1], Impossible;
        Meters => u64, Meters(1), Migratable;
        u8 => Meters, 1, Migratable;
        One => Two, One { a: 1 }, Impossible;
        One => Defaulted, One { a: 1 }, Migratable;
        Two => Defaulted, Two { a: 1, b: 1 }, Migratable;
        Two => One, Two { a: 1, b: 1 }, Lossy;
        Two => StrictOne, Two { a: 1, b: 1 }, Impossible;
        Two => Pair, Two { a: 1, b: 1 }, Impossible;
        (u8, u8) => Two, (1, 1), Impossible;
        [u8; 2] => Two, [1, 1], Impossible;
        Numbers => Two, Numbers(1, 1), Impossible;
        Two => Numbers, Two { a: 1, b: 1 }, Impossible;
        Held => HeldByName, Held::D(1, 1), Impossible;
        HeldByName => Held, HeldByName::D { a: 1, b: 1 }, Impossible;
        Nothing => Defaulted, Nothing, Migratable;
        Nothing => One, Nothing, Impossible;
        Kind => NewKind, Kind::A, Migratable;
        Kind => NewKind, Kind::D(1, 2), Migratable;
        Kind => NewKind, Kind::C { x: 1 }, Migratable;
        Kind => LessKind, Kind::D(1, 2), Impossible;
        Kind => Unit, Kind::B(1), Impossible;
        Unit => Kind, Unit::B, Impossible;
        uuid::Uuid => Option<uuid::Uuid>, uuid::Uuid::nil(), Migratable;
    }
}

#[test]
fn states_are_judged_as_a_whole() {
    let text = || Some(TypeInfo { codec: CodecId::ORDERED, schema: Schema::String });
    let ttl = |duration_ms, update| Some(Ttl { duration_ms, update });
    let base = || state::<u8>("s");
    let mine = || Some(TypeInfo { codec: CodecId::new("mine"), schema: Schema::U8 });
    let theirs = || Some(TypeInfo { codec: CodecId::new("theirs"), schema: Schema::U16 });
    let list = |kind| StateSchema { kind, ..base() };
    for (old, new, fate, expected) in [
        (base(), base(), Fate::Compatible, None),
        (base(), list(StateKind::List), Fate::Impossible, Some(("kind", "value becomes list"))),
        (
            base(),
            StateSchema { namespace: text(), ..base() },
            Fate::Impossible,
            Some(("namespace", r#"none becomes "string" by codec=ordered: keys are not migrated"#)),
        ),
        (
            StateSchema { ttl: ttl(Some(5), TtlUpdate::Write), ..base() },
            StateSchema { ttl: ttl(Some(9), TtlUpdate::Write), ..base() },
            Fate::Migratable,
            Some(("ttl", "entries live for 9 ms instead of 5 ms")),
        ),
        (
            StateSchema { ttl: ttl(Some(5), TtlUpdate::Write), ..base() },
            StateSchema { ttl: ttl(Some(5), TtlUpdate::ReadAndWrite), ..base() },
            Fate::Compatible,
            Some(("ttl", "other calls renew the time")),
        ),
        (
            StateSchema { ttl: ttl(Some(5), TtlUpdate::Write), ..base() },
            base(),
            Fate::Impossible,
            Some(("ttl", "entries with TTL become ones without")),
        ),
        (
            base(),
            StateSchema { ttl: ttl(Some(5), TtlUpdate::Write), ..base() },
            Fate::Impossible,
            Some(("ttl", "entries without TTL become ones with it")),
        ),
        (
            StateSchema { value: mine(), ..base() },
            base(),
            Fate::Impossible,
            Some(("value", "only the codec that wrote it reads it")),
        ),
        (
            base(),
            StateSchema { value: mine(), ..base() },
            Fate::Unknown,
            Some(("value", "unknown, the program's codec mine decides")),
        ),
        (
            // Values of another codec of somebody's own.
            StateSchema { value: theirs(), ..base() },
            StateSchema { value: mine(), ..base() },
            Fate::Unknown,
            Some(("value", "unknown, the program's codec mine decides")),
        ),
        (
            StateSchema { value: mine(), ..base() },
            StateSchema { value: mine(), ..base() },
            Fate::Compatible,
            None,
        ),
        (
            base(),
            StateSchema { value: text(), ..base() },
            Fate::Impossible,
            Some(("value", "of esker's codecs none but bincode2 migrates")),
        ),
        (
            StateSchema { value: text(), ..base() },
            state::<String>("s"),
            Fate::Migratable,
            Some(("value", "written by codec bincode2 from now on, not by ordered")),
        ),
    ] {
        let verdicts = file(vec![old]).restored_by(&file(vec![new]));
        assert_eq!((verdicts.len(), verdicts[0].fate), (1, fate), "{verdicts:?}");
        let told = verdicts[0].changes.first().map(|change| (&*change.path, &*change.what));
        match (told, expected) {
            (Some((path, what)), Some((at, why))) => {
                assert!(path == at && what.contains(why), "{path}: {what}");
            }
            (told, expected) => assert_eq!(told, expected),
        }
    }
    let verdicts = file(vec![state::<u8>("gone")]).restored_by(&file(vec![state::<u8>("new")]));
    let told: Vec<_> = verdicts.iter().map(|v| (v.state.as_deref(), v.stands, v.fate)).collect();
    assert_eq!(
        told,
        [
            (Some("gone"), Stands::Snapshot, Fate::Impossible),
            (Some("new"), Stands::Program, Fate::Compatible),
        ]
    );
    let mut other = file(vec![state::<u8>("s")]);
    other.operators[0].key = text();
    let verdicts = file(vec![state::<u8>("s")]).restored_by(&other);
    assert_eq!(
        (verdicts.len(), &verdicts[0].state, verdicts[0].fate),
        (2, &None, Fate::Impossible)
    );
    assert_eq!(verdicts[0].changes[0].path, "key");
}

/// A codec of a program's own for `u16`, two bytes each; one that takes what was a `u8`, if it is to.
struct Mine {
    migrates: bool,
}

impl ValueCodec<u16> for Mine {
    fn id(&self) -> CodecId {
        CodecId::new("mine")
    }

    fn schema(&self) -> crate::Result<Schema> {
        Ok(Schema::U16)
    }

    fn encode(&self, value: &u16, out: &mut Vec<u8>) -> crate::Result<()> {
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> crate::Result<u16> {
        Ok(u16::from_be_bytes(bytes.try_into().unwrap()))
    }

    fn migration(&self, stored: &TypeInfo) -> crate::Result<Option<Migration<u16>>> {
        match stored.schema {
            Schema::U8 if self.migrates => Ok(Some(Box::new(|bytes: &[u8]| Ok(bytes[0].into())))),
            _ => Err(crate::FormatError::invalid("codec mine", "it takes nothing else")),
        }
    }
}

#[test]
fn of_a_codec_of_the_programs_own_nobody_knows_what_it_takes() {
    let stored = state::<u8>("s");
    for migrates in [true, false] {
        let codec = Mine { migrates };
        let program =
            StateSchema { value: Some(codec.info().unwrap()), reads: None, ..stored.clone() };
        let verdicts = file(vec![stored.clone()]).restored_by(&file(vec![program]));
        assert_eq!(verdicts[0].fate, Fate::Unknown);
        // A restore asks the codec.
        let migration = codec.migration(stored.value.as_ref().unwrap());
        let taken = migration.ok().flatten().map(|migrate| migrate(&[7]).unwrap());
        assert_eq!(taken, migrates.then_some(7));
    }
    // It is worse than what is lost, and better than what is refused: either stands for the whole.
    assert!(Fate::Lossy < Fate::Unknown && Fate::Unknown < Fate::Impossible);
}

/// Positions are no names: of two fields of one type nobody could say which is which.
#[test]
fn a_tuple_struct_and_one_with_names_do_not_become_each_other_and_both_say_why() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Unnamed(u32, u32);
    #[derive(Debug, Serialize, Deserialize)]
    struct Named {
        width: u32,
        height: u32,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Around<T> {
        size: T,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Before {
        Size(u32, u32),
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum After {
        Size { width: u32, height: u32 },
    }
    let unnamed = r#"{"tuple_struct":{"name":"Unnamed","fields":["u32","u32"]}}"#;
    let named = r#"{"struct":{"name":"Named","fields":[{"name":"width","schema":"u32"},{"name":"height","schema":"u32"}]}}"#;
    let text = |changes: Vec<Change>| {
        let told: Vec<_> = changes.iter().map(|c| format!("{}: {}", c.path, c.what)).collect();
        told.join("; ")
    };
    let no_names = "the fields of a struct go by name, and there are no names";
    assert_eq!(
        text(said::<Around<Unnamed>, Around<Named>>()),
        format!("value.size: {unnamed} becomes {named}: {no_names}")
    );
    assert_eq!(
        text(said::<Named, Unnamed>()),
        format!("value: {named} becomes {unnamed}: fields go by name, and there are none any more")
    );
    let (unnamed, named) = (unnamed.replace("Unnamed", "Size"), named.replace("Named", "Size"));
    let kind = "what it holds is of another kind: nothing, one value, several by position, or fields by name";
    assert_eq!(
        text(said::<Before, After>()),
        format!("value::Size: {unnamed} becomes {named}: {kind}")
    );
    let refused = restored::<_, Around<Named>>(&Around { size: Unnamed(3, 4) }).unwrap_err();
    for part in [
        "path=.size: a tuple is no struct, whose fields go by name",
        r#"stored as {"tuple_struct":{"name":"Unnamed""#,
        r#"asked for as {"struct":{"name":"Named""#,
    ] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
}
