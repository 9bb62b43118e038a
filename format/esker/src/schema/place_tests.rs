//! Places in values, and fields taken out and put in.

use super::*;
use crate::codec::{Bincode, CodecId, ValueCodec};
use crate::{FormatError, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    #[serde(rename = "a.b")]
    dotted: Option<Money>,
    lines: Vec<(u8, Money)>,
    by: BTreeMap<u8, Wrap>,
    kind: Kind,
    below: Vec<Order>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Money {
    cents: i64,
    note: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrap(Option<Money>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    One(Money),
    Pair(u8, Money),
    Late { minutes: u16, why: Option<Box<Order>> },
}

fn money(cents: i64) -> Money {
    Money { cents, note: format!("note {cents}") }
}

fn order(id: u32, kind: Kind, below: Vec<Order>) -> Order {
    let by = BTreeMap::from([(1, Wrap(Some(money(10)))), (2, Wrap(None))]);
    let lines = vec![(1, money(20)), (2, money(30))];
    Order { id, dotted: Some(money(40)), lines, by, kind, below }
}

/// One of every shape, in itself.
fn whole() -> Order {
    let late = Kind::Late { minutes: 5, why: Some(Box::new(order(3, Kind::Plain, vec![]))) };
    order(
        1,
        late,
        vec![order(2, Kind::Pair(1, money(50)), vec![]), order(4, Kind::One(money(60)), vec![])],
    )
}

fn dynamic<T: Serialize + DeserializeOwned>(value: &T) -> (Schema, Value) {
    let (schema, mut bytes) = (trace::<T>().unwrap(), Vec::new());
    Bincode.encode(value, &mut bytes).unwrap();
    let value = decode_value(&CodecId::BINCODE2, &schema, &bytes).unwrap();
    (schema, value)
}

fn typed<T: Serialize + DeserializeOwned>(schema: &Schema, value: &Value) -> T {
    let bytes = encode_value(&CodecId::BINCODE2, schema, value).unwrap();
    Bincode.decode(&bytes).unwrap()
}

/// The order once there is one more at each place of `path`.
fn more(path: &str) -> Order {
    let (schema, mut value) = dynamic(&whole());
    let place = Place::find(&schema, path).unwrap();
    let one_more = &mut |found: &Value| -> Result<Value> {
        Ok(match found {
            Value::Unsigned(v) => Value::Unsigned(v + 1),
            Value::Signed(v) => Value::Signed(v + 1),
            Value::Option(_) => Value::Unit,
            other => panic!("{other:?}"),
        })
    };
    place.set(&mut value, one_more).unwrap();
    typed(&schema, &value)
}

#[test]
fn a_path_leads_to_each_place_and_nowhere_else() {
    type Change = fn(&mut Order);
    let changes: [(&str, Change); 13] = [
        ("id", |order| order.id += 1),
        (".id", |order| order.id += 1),
        ("a.b.cents", |order| order.dotted.as_mut().unwrap().cents += 1),
        ("a.b", |order| order.dotted = None),
        ("lines[].1.cents", |order| order.lines.iter_mut().for_each(|line| line.1.cents += 1)),
        ("by{value}.cents", |order| order.by.get_mut(&1).unwrap().0.as_mut().unwrap().cents += 1),
        ("by{value}", |order| order.by.values_mut().for_each(|held| held.0 = None)),
        ("kind::Late.minutes", |order| {
            order.kind = match order.kind.clone() {
                Kind::Late { minutes, why } => Kind::Late { minutes: minutes + 1, why },
                other => other,
            }
        }),
        ("kind::Late.why.id", |order| match &mut order.kind {
            Kind::Late { why, .. } => why.as_mut().unwrap().id += 1,
            _ => panic!(),
        }),
        ("kind::One.cents", |_| {}),
        ("below[].id", |order| order.below.iter_mut().for_each(|order| order.id += 1)),
        ("below[].kind::Pair.0", |order| order.below[0].kind = Kind::Pair(2, money(50))),
        ("below[].kind::One.cents", |order| match &mut order.below[1].kind {
            Kind::One(money) => money.cents += 1,
            _ => panic!(),
        }),
    ];
    for (path, change) in changes {
        let mut expected = whole();
        change(&mut expected);
        assert_eq!(more(path), expected, "{path}");
    }
}

#[test]
fn what_a_place_gets_must_fit_its_type() {
    let (schema, mut value) = dynamic(&whole());
    let mut set = |path: &str, to: Value| -> Result<()> {
        let place = Place::find(&schema, path).unwrap();
        place.set(&mut value, &mut |_| Ok(to.clone()))
    };
    let said = set("kind::Late.minutes", Value::Signed(70_000)).unwrap_err().message;
    assert_eq!(said, "expected u16, 0 to 65535, found int 70000");
    // A type that contains itself is known by its name alone.
    let said = set("below", Value::Seq(vec![Value::Unit])).unwrap_err().message;
    assert!(said.starts_with("[0]: expected a map with the fields of Order: id, "), "{said}");
    // No order below is late.
    set("below[].kind::Late.minutes", Value::Signed(70_000)).unwrap();
}

#[test]
fn a_path_that_leads_nowhere_is_refused_with_what_there_is() {
    let schema = trace::<Order>().unwrap();
    let set = Schema::Seq(Box::new(trace::<BTreeSet<u8>>().unwrap()));
    for (path, said) in [
        ("ID", r#"there is no field "ID", but ["id", "a.b", "lines", "by", "kind", "below"]"#),
        ("id.x", r#""id.x" leads nowhere: nothing is in what stands before ".x""#),
        ("idx", r#"there is no field "idx", but ["id", "a.b", "lines", "by", "kind", "below"]"#),
        ("lines.0", r#""lines.0" leads nowhere: [] could stand where ".0" does"#),
        ("lines[].2", r#""lines[].2" leads nowhere: 0 to 1 could stand where ".2" does"#),
        ("by[]", r#""by[]" leads nowhere: {value} could stand where "[]" does"#),
        (
            "kind.x",
            r#""kind.x" leads nowhere: ::Plain, ::One, ::Pair, ::Late could stand where ".x" does"#,
        ),
        ("kind::Plain", r#""kind::Plain" leads nowhere: the variant holds nothing"#),
        ("kind::Late", r#"no field is named, of ["minutes", "why"]"#),
    ] {
        assert_eq!(Place::find(&schema, path).unwrap_err().message, said);
    }
    let said = Place::find(&set, "[][]").unwrap_err().message;
    assert_eq!(said, r#""[][]" leads nowhere: elements of a set are set with the whole set"#);
}

/// What is left of an order without some of its fields.
mod without {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        #[serde(rename = "a.b")]
        pub(super) dotted: Option<Money>,
        pub(super) lines: Vec<(u8, super::Money)>,
        pub(super) by: BTreeMap<u8, super::Wrap>,
        pub(super) kind: Kind,
        pub(super) below: Vec<Order>,
        pub(super) size: u8,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Money {
        pub(super) note: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Kind {
        Plain,
        One(super::Money),
        Pair(u8, super::Money),
        Late { why: Option<Box<Order>>, after: String },
    }

    pub(super) fn of(order: super::Order) -> Order {
        let size = order.below.len() as u8;
        let kind = match order.kind {
            super::Kind::Plain => Kind::Plain,
            super::Kind::One(money) => Kind::One(money),
            super::Kind::Pair(a, b) => Kind::Pair(a, b),
            super::Kind::Late { minutes, why } => {
                let why = why.map(|order| Box::new(of(*order)));
                Kind::Late { why, after: format!("{minutes}") }
            }
        };
        let dotted = order.dotted.map(|money| Money { note: money.note });
        let below = order.below.into_iter().map(of).collect();
        Order { dotted, lines: order.lines, by: order.by, kind, below, size }
    }
}

#[test]
fn fields_go_and_come_wherever_their_type_contains_itself() {
    let (schema, mut value) = dynamic(&whole());
    let size = |order: &Value| -> Result<Value> {
        let Value::Struct(fields) = order else { panic!("{order:?}") };
        let below = fields.iter().find(|(name, _)| &**name == "below").unwrap();
        let Value::Seq(below) = &below.1 else { panic!() };
        Ok(Value::Unsigned(below.len() as u128))
    };
    let after = |late: &Value| -> Result<Value> {
        let Value::Struct(fields) = late else { panic!("{late:?}") };
        Ok(Value::String(fields[0].1.to_json()))
    };
    type With<'a> = &'a mut dyn FnMut(&Value) -> Result<Value>;
    let edits: [(&str, Option<Schema>, With<'_>); 5] = [
        ("id", None, &mut |_| unreachable!()),
        ("a.b.cents", None, &mut |_| unreachable!()),
        ("below[].size", Some(Schema::U8), &mut |order| size(order)),
        ("kind::Late.after", Some(Schema::String), &mut |late| after(late)),
        ("below[].kind::Late.minutes", None, &mut |_| unreachable!()),
    ];
    let mut now = schema;
    for (path, added, with) in edits {
        let edit = match added {
            Some(of) => FieldEdit::add(&now, path, of).unwrap(),
            None => FieldEdit::delete(&now, path).unwrap(),
        };
        edit.apply(&mut value, with).unwrap();
        now = edit.schema().clone();
    }
    assert_eq!(now, trace::<without::Order>().unwrap());
    assert_eq!(typed::<without::Order>(&now, &value), without::of(whole()));
}

#[test]
fn what_is_no_edit_of_a_field_is_refused() {
    let (schema, mut value) = dynamic(&whole());
    let lone = Schema::Struct {
        name: "Lone".into(),
        fields: vec![Field { name: "a".into(), schema: Schema::Set(Box::new(schema.clone())) }],
    };
    let opaque = Schema::Opaque { name: "Blob".into() };
    let said = |edit: Result<FieldEdit>| edit.unwrap_err().message;
    for (found, expected) in [
        (said(FieldEdit::delete(&schema, "lines[].0")), r#""lines[].0" is no field of a struct"#),
        (said(FieldEdit::delete(&schema, "")), r#""" is no field of a struct"#),
        (said(FieldEdit::delete(&lone, "a")), "it is the only field of its struct"),
        (
            said(FieldEdit::delete(&schema, "lines[].1.euros")),
            r#"there is no field "euros", but ["cents", "note"]"#,
        ),
        (
            said(FieldEdit::add(&schema, "id", Schema::U8)),
            r#""id" is there already, or in no struct"#,
        ),
        (
            said(FieldEdit::add(&schema, "x.y", Schema::U8)),
            r#""x.y": "x.y" is no name of a new field"#,
        ),
        (said(FieldEdit::add(&schema, "x", opaque)), "Blob is of no known shape"),
        (
            said(FieldEdit::add(&schema, "x", Schema::Ref("Order".into()))),
            "no type around it is called name=Order",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let add = FieldEdit::add(&schema, "x", Schema::U8).unwrap();
    let wide: Result<()> = add.apply(&mut value, &mut |_| Ok(Value::Signed(300)));
    assert_eq!(wide.unwrap_err().message, ".x: expected u8, 0 to 255, found int 300");

    // A set of structs, in a struct that is in it.
    let node = Schema::Struct {
        name: "Node".into(),
        fields: vec![
            Field { name: "id".into(), schema: Schema::U8 },
            Field {
                name: "near".into(),
                schema: Schema::Set(Box::new(Schema::Ref("Node".into()))),
            },
        ],
    };
    let leaf = |id: u128, near: Vec<Value>| {
        Value::Struct(vec![("id".into(), Value::Unsigned(id)), ("near".into(), Value::Seq(near))])
    };
    let edit = FieldEdit::delete(&node, "id").unwrap();
    let never = &mut |_: &Value| -> Result<Value> { unreachable!() };
    edit.apply(&mut leaf(1, Vec::new()), never).unwrap();
    let refused: Result<()> = edit.apply(&mut leaf(1, vec![leaf(2, Vec::new())]), never);
    let said = "the struct is in an element of a set or a key of a map";
    assert_eq!(refused, Err(FormatError::invalid("path", said)));
}
