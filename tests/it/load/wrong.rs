//! What does not fit is told: which line or entry of which input it is, where in it, and what was expected.

use super::{golden, lines, said};
use esker::format::Value;
use esker::format::canonical::DynamicEntry;
use esker::format::schema_file::SchemaFile;
use esker::processor::load::{Bootstrap, Csv, Input, Jsonl, Place, Read, Template, Unit};
use esker::{Error, ErrorKind, Result, block_on};
use esker_conformance::store::new_store;
use std::io;

const SCHEMA: &str = r#"{"esker-schema": 1, "operators": [{"uid": "carriers", "key": {"codec": "ordered", "schema": "string"}, "states": [
    {"name": "flights", "kind": "value", "value": {"codec": "bincode2", "schema": "u64"}},
    {"name": "late", "kind": "list", "value": {"codec": "bincode2", "schema": "u64"}},
    {"name": "rules", "kind": "operator-broadcast", "userKey": {"codec": "ordered", "schema": "u8"},
        "value": {"codec": "bincode2", "schema": "u64"}}
]}]}"#;

const HEAD: &str = "operator,state,kind,key,namespace,userKey,value,ttl\n";

fn template() -> Template {
    Template::of_schema(&SchemaFile::parse(SCHEMA).unwrap(), "delays")
}

fn flights(key: &str, value: &str) -> String {
    format!(
        "{{\"operator\":\"carriers\",\"state\":\"flights\",\"kind\":\"value\",\"key\":\"{key}\",\"namespace\":null,\
         \"value\":{value}}}\n"
    )
}

fn row(key: &str, value: &str) -> String {
    format!("carriers,flights,value,\"\"\"{key}\"\"\",,,{value},\n")
}

/// All that is wrong, and that nothing can be written then.
fn told(bootstrap: Bootstrap<'_>) -> Vec<String> {
    let sorted = bootstrap.finish().unwrap();
    let told: Vec<String> = sorted.problems().iter().map(ToString::to_string).collect();
    assert!(!told.is_empty());
    let target = new_store();
    let error = block_on(sorted.write(&target, &super::settings(), &|_| {})).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, told.join("; ")));
    assert!(block_on(target.list(None)).unwrap().is_empty());
    told
}

#[test]
fn lines_and_rows_that_do_not_fit_are_told_by_input_number_and_column() {
    let template = template();
    let mut into = Bootstrap::new(&template, Some(2)).unwrap();
    let text = flights("AA", "7") + "\n" + &flights("UA", "-5") + "{\n" + &flights("AA", "7");
    let mut read = 0;
    into.read(Jsonl::new(text.as_bytes()), &mut |lines| read += lines).unwrap();
    assert_eq!(read, 4, "a blank line is none");
    let rows = HEAD.to_owned()
        + &row("B6", "x")
        + "carriers,flights\n"
        + &row("C7", "1").replace("flights", "fights");
    into.read(Csv::new(rows.as_bytes()), &mut |_| {}).unwrap();
    // Once something is wrong, what is sound is looked at and not kept.
    into.read(Jsonl::new(flights("DL", "1").as_bytes()), &mut |_| {}).unwrap();
    let expected = [
        "line 3, column 93: carriers/flights: value: expected u64, 0 to 18446744073709551615, found -5",
        "line 4, column 1: JSON: EOF while parsing an object",
        "line 2 of input 2: carriers/flights: value: expected u64, 0 to 18446744073709551615, found x",
        "line 3 of input 2: 2 cells, not 8",
        "line 4 of input 2: carriers/fights: the operator has no such state; it has [\"late\", \"flights\", \"rules\"]",
    ];
    assert_eq!(told(into), expected);

    let head = |rows: &str| {
        let mut into = Bootstrap::new(&template, None).unwrap();
        into.read(Csv::new(rows.as_bytes()), &mut |_| {}).unwrap();
        told(into)
    };
    let names = HEAD.trim_end();
    assert_eq!(head("a,b\n"), [format!("line 1: the first row names the columns: {names}")]);

    // Ten of many, and no more is read.
    let mut into = Bootstrap::new(&template, None).unwrap();
    let text = flights("AA", "-7").repeat(1000);
    let mut read = 0;
    into.read(Jsonl::new(text.as_bytes()), &mut |lines| read += lines).unwrap();
    into.read(Jsonl::new(text.as_bytes()), &mut |lines| read += lines).unwrap();
    assert_eq!((read, told(into).len()), (10, 10));
    let mut into = Bootstrap::new(&template, None).unwrap();
    let rows = [HEAD.as_bytes(), &b"carriers,\xff\n".repeat(1000)].concat();
    let mut read = 0;
    into.read(Csv::new(&*rows), &mut |rows| read += rows).unwrap();
    let of_text = told(into);
    assert_eq!((read, of_text.len()), (10, 10));
    assert_eq!(of_text[9], "line 11: no text in UTF-8");
    // An input of a program's own may call on.
    let mut into = Bootstrap::new(&template, None).unwrap();
    into.read(Own(1000), &mut |_| {}).unwrap_err();
    assert_eq!(told(into).len(), 10);
}

#[test]
fn entries_of_one_key_are_told_wherever_they_come_from() {
    let template = template();
    let of = |key: &str, value: u128| DynamicEntry {
        operator: "carriers".to_owned(),
        state: "flights".to_owned(),
        key: Some(Value::String(key.to_owned())),
        value: Some(Value::Unsigned(value)),
        ..DynamicEntry::default()
    };
    let mut into = Bootstrap::new(&template, None).unwrap();
    into.add(&of("AA", 1)).unwrap();
    into.add(&of("UA", 1)).unwrap();
    into.add(&of("UA", 2)).unwrap();
    let text = flights("B6", "1") + &flights("AA", "1") + &flights("AA", "1") + &flights("B6", "9");
    into.read(Jsonl::new(text.as_bytes()), &mut |_| {}).unwrap();
    into.read(Jsonl::new(flights("AA", "3").as_bytes()), &mut |_| {}).unwrap();
    // Of broadcast state the same may be said again.
    let rule = |value: u128| DynamicEntry {
        state: "rules".to_owned(),
        user_key: Some(Value::Unsigned(7)),
        key: None,
        ..of("", value)
    };
    into.add(&rule(1)).unwrap();
    into.add(&rule(1)).unwrap();
    let sorted = into.finish().unwrap();
    let mut told: Vec<String> = sorted.problems().iter().map(ToString::to_string).collect();
    told.sort_unstable();
    let tail = "are of one key: leave all but one out";
    let expected = [
        format!(
            "entry 1 and line 2 and 3 and line 1 of input 2: carriers/flights: these entries {tail}"
        ),
        format!("entry 2 and 3: carriers/flights: these entries {tail}"),
        format!("line 1 and 4: carriers/flights: these lines {tail}"),
    ];
    assert_eq!(told, expected);
    let problem = sorted.problems().iter().find(|problem| problem.places.len() == 4).unwrap();
    let last = Place { input: 2, unit: Unit::Line, number: 1 };
    assert_eq!((problem.places[3], problem.column), (last, None));
}

#[test]
fn entries_of_other_types_are_refused_at_once_and_others_taken() {
    let template = template();
    let mut into = Bootstrap::new(&template, Some(3)).unwrap();
    let good = DynamicEntry {
        operator: "carriers".to_owned(),
        state: "late".to_owned(),
        key: Some(Value::String("UA".to_owned())),
        value: Some(Value::Seq(vec![Value::Unsigned(7)])),
        ..DynamicEntry::default()
    };
    let mut number = 0;
    for (entry, expected) in [
        (DynamicEntry { key: None, ..good.clone() }, "key: is missing"),
        (
            DynamicEntry { key: Some(Value::Unsigned(7)), ..good.clone() },
            "key: value=Unsigned(7) is not of",
        ),
        (
            DynamicEntry { namespace: Some(Value::Bool(true)), ..good.clone() },
            "namespace: the state has none",
        ),
        (
            DynamicEntry { value: Some(Value::Unsigned(7)), ..good.clone() },
            "value: expected a sequence",
        ),
        (
            DynamicEntry { value: Some(Value::Seq(Vec::new())), ..good.clone() },
            "value: a list without elements",
        ),
        (
            DynamicEntry { value: Some(Value::Seq(vec![Value::Signed(1)])), ..good.clone() },
            "value: value=Signed(1) is not of schema=U64",
        ),
        (DynamicEntry { ttl: Some(Value::Signed(1)), ..good.clone() }, "ttl: the state has none"),
        (DynamicEntry { state: "x".to_owned(), ..good.clone() }, "the operator has no such state"),
    ] {
        number += 1;
        let error = into.add(&entry).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let start = format!("entry {number}: carriers/{}: ", entry.state);
        let text = error.to_string();
        assert!(text.starts_with(&start) && text.contains(expected), "{text}");
    }
    into.add(&good).unwrap();
    let sorted = into.finish().unwrap();
    let line = r#"{"operator":"carriers","state":"late","kind":"list","key":"UA","namespace":null,"value":[7]}"#;
    assert_eq!((sorted.count(), said(&sorted, 3)), (1, vec![line.to_owned()]));
}

/// Bytes that do not come, after some that do.
struct Failing<'a>(&'a [u8]);

impl io::Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the cable is out")),
            read => Ok(read),
        }
    }
}

/// An input of a program's own.
struct Own(u64);

impl Input for Own {
    fn unit(&self) -> Unit {
        Unit::Row
    }

    fn each(self, each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool>) -> Result<()> {
        let line = esker::format::canonical::Line {
            operator: "carriers".into(),
            state: "flights".into(),
            kind: "value".into(),
            key: Some("\"AA\""),
            value: Some("-1"),
            ..Default::default()
        };
        for number in 1..=self.0 {
            each(number, Ok(("", line.clone())))?;
        }
        Err(Error::new(ErrorKind::Corrupt, "no more"))
    }
}

#[test]
fn an_input_that_fails_ends_the_reading_and_says_so() {
    let template = template();
    let mut into = Bootstrap::new(&template, None).unwrap();
    let (text, rows) = (flights("AA", "7"), HEAD.to_owned() + &row("B6", "7"));
    let failing = io::BufReader::new(Failing(text.as_bytes()));
    let error: Error = into.read(Jsonl::new(failing), &mut |_| {}).unwrap_err().into();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Retry, "the cable is out"));
    let error: Error =
        into.read(Csv::new(Failing(rows.as_bytes())), &mut |_| {}).unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::Retry);
    let error: Error = into.read(Own(1), &mut |_| {}).unwrap_err().into();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Corrupt, "no more"));
    let told = told(into);
    assert_eq!(
        [&told[0], &told[1], &told[3]],
        [
            "input 1 was not read to its end: the cable is out",
            "input 2 was not read to its end: the cable is out",
            "input 3 was not read to its end: no more"
        ]
    );
    assert!(
        told.contains(
            &"row 1 of input 3: carriers/flights: value: expected u64, 0 to 18446744073709551615, found -1".to_owned()
        ),
        "{told:?}"
    );
}

#[test]
fn a_template_knows_when_its_states_were_captured_or_is_none() {
    assert_eq!(Bootstrap::new(&template(), Some(0)).err().unwrap().kind(), ErrorKind::Invalid);
    let (mut snapshot, expected) = golden("every-kind");
    snapshot.parts[0][1] = None;
    let error = Template::of_snapshot(snapshot).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().starts_with("operator=kinds: the part of subtask=1 cannot be"),
        "{error}"
    );

    // Without TTL there is nothing to know.
    let (mut snapshot, _) = golden("every-kind");
    for operator in &mut snapshot.manifest.operators {
        operator.states.retain(|info| info.ttl.is_none());
    }
    snapshot.parts[0][1] = None;
    let template = Template::of_snapshot(snapshot).unwrap();
    let all: Vec<_> = expected.into_iter().filter(|line| !line.contains("\"ttl\":")).collect();
    let all: Vec<_> = all.into_iter().filter(|line| !line.contains("-ttl")).collect();
    let sorted = super::loaded(&template, super::From::Jsonl, None, &all);
    assert!(lines::difference(&said(&sorted, 2), &all).is_empty());
}

#[cfg(feature = "parquet")]
#[test]
fn rows_of_parquet_that_do_not_fit_are_told_by_number_and_files_by_what_they_are() {
    use esker::processor::columnar::Rows;
    use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use parquet::schema::parser::parse_message_type;
    use std::io::Write;
    use std::sync::Arc;
    let template = template();
    let all =
        [flights("AA", "7"), flights("UA", "5"), flights("B6", "9").replace("flights", "fights")];
    let all = all.map(|line| line.trim_end().to_owned());
    let mut into = Bootstrap::new(&template, None).unwrap();
    let rows = Rows::open(super::parquet_of(template.manifest(), &all)).unwrap();
    assert_eq!(rows.count(), 3);
    into.read(rows, &mut |_| {}).unwrap();
    let mut other = template.manifest().clone();
    other.operators[0].states.retain(|info| info.name == "flights");
    other.operators[0].states[0].value.as_mut().unwrap().schema = esker::format::Schema::I64;
    let negative = [flights("DL", "-5").trim_end().to_owned()];
    into.read(Rows::open(super::parquet_of(&other, &negative)).unwrap(), &mut |_| {}).unwrap();
    let expected = [
        "row 3: carriers/fights: the operator has no such state; it has [\"late\", \"flights\", \"rules\"]",
        "row 1 of input 2: carriers/flights: value: expected u64, 0 to 18446744073709551615, found -5",
    ];
    assert_eq!(told(into), expected);

    let mut damaged = tempfile::tempfile().unwrap();
    damaged.write_all(b"PAR1 and no more").unwrap();
    assert_eq!(Rows::open(damaged).err().unwrap().kind(), ErrorKind::Corrupt);
    let mut file = tempfile::tempfile().unwrap();
    let schema =
        Arc::new(parse_message_type("message x { required binary operator (STRING); }").unwrap());
    let writer =
        SerializedFileWriter::new(&mut file, schema, Arc::new(WriterProperties::default()));
    writer.unwrap().finish().unwrap();
    let error = Rows::open(file).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().starts_with("column state is missing; they are operator, state,"),
        "{error}"
    );
}
