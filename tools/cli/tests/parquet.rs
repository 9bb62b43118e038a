//! Parquet as its users meet it: what `esker dump` writes others read, and what others write is loaded or
//! refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use run::{esker, piped};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use world::*;

/// A column of somebody's file, as its schema declares it, and its cells.
enum Cells<'a> {
    Text(&'a str, Vec<Option<&'a [u8]>>),
    Int(&'a str, Vec<Option<i64>>),
    /// So many nulls.
    Null(&'a str, usize),
}

fn text<'a>(declared: &'a str, cells: &[&'a str]) -> Cells<'a> {
    let cells = cells.iter().map(|cell| (*cell != "-").then_some(cell.as_bytes()));
    Cells::Text(declared, cells.collect())
}

fn put(file: &Path, properties: WriterProperties, columns: &[Cells<'_>]) {
    let declared = columns.iter().map(|column| match column {
        Cells::Text(declared, _) | Cells::Int(declared, _) | Cells::Null(declared, _) => {
            format!("optional {declared};")
        }
    });
    let schema = format!("message rows {{ {} }}", declared.collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = std::fs::File::create(file).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in columns {
        let mut next = group.next_column().unwrap().unwrap();
        match column {
            Cells::Text(_, cells) => {
                let levels: Vec<i16> = cells.iter().map(|c| i16::from(c.is_some())).collect();
                let values: Vec<ByteArray> = cells.iter().flatten().map(|c| (*c).into()).collect();
                next.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            }
            Cells::Int(_, cells) => {
                let levels: Vec<i16> = cells.iter().map(|c| i16::from(c.is_some())).collect();
                let values: Vec<i64> = cells.iter().flatten().copied().collect();
                next.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
            }
            Cells::Null(_, rows) => {
                next.typed::<Int32Type>().write_batch(&[], Some(&vec![0; *rows]), None).unwrap();
            }
        }
        next.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn snappy() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::SNAPPY).build()
}

/// Columns of rows of `delays/count`, keys and values as given.
fn counts<'a>(keys: &[&'a str], values: &[&'a str]) -> Vec<Cells<'a>> {
    let all = |text: &'a str| vec![text; keys.len()];
    vec![
        text("binary value (STRING)", values),
        text("binary key (STRING)", keys),
        text("binary kind (STRING)", &all("value")),
        text("binary operator (STRING)", &all("delays")),
        text("binary state (STRING)", &all("count")),
    ]
}

fn dumped(folder: &Path, args: &[&str]) -> Vec<u8> {
    let args = [&["dump", "--format", "parquet"], args].concat();
    let (code, out, err) = piped(folder, &args, &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

/// Physical and logical type of each column, and the rows as text.
fn read(bytes: Vec<u8>) -> (Vec<String>, Vec<String>) {
    let reader = SerializedFileReader::new(parquet_bytes(bytes)).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let types = schema.columns().iter().map(|column| {
        let logical = column.logical_type_ref().map(|logical| format!(" {logical:?}"));
        format!("{} {}{}", column.name(), column.physical_type(), logical.unwrap_or_default())
    });
    let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string());
    (types.collect(), rows.collect())
}

fn parquet_bytes(bytes: Vec<u8>) -> bytes::Bytes {
    bytes.into()
}

#[test]
fn columns_are_what_all_states_have_and_else_json() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let (types, rows) = read(dumped(folder, &["save"]));
    let json = ["key", "namespace", "userKey", "value", "ttl"];
    let mut expected: Vec<String> = ["operator", "state", "kind"]
        .iter()
        .map(|name| format!("{name} BYTE_ARRAY String"))
        .collect();
    expected.extend(json.iter().map(|name| format!("{name} BYTE_ARRAY Json")));
    assert_eq!(types, expected);
    let (_, lines, _) = esker(folder, &["dump", "save"]);
    assert_eq!(rows.len(), lines.lines().count());

    // Of one state, its numbers are numbers; of another they do not count.
    let (types, rows) = read(dumped(folder, &["--state", "count", "save"]));
    let value = "value INT64 Integer(IntType { bit_width: 64, is_signed: false })";
    assert_eq!(types[6], value);
    let cells = r#"{operator: "delays", state: "count", kind: "value", key: ""carrier-7"", namespace: null, userKey: null, value: 7, ttl: null}"#;
    assert!(rows.iter().any(|row| row == cells), "{:?}", rows.first());
    let (types, _) = read(dumped(folder, &["--state", "total", "save"]));
    assert_eq!(types[4], "namespace INT32 Integer(IntType { bit_width: 32, is_signed: false })");
    let (types, _) = read(dumped(folder, &["--operator", AIRPORTS, "save"]));
    assert_eq!(types[3], "key INT32 Integer(IntType { bit_width: 32, is_signed: false })");
    assert_eq!(types[6], "value BYTE_ARRAY Json");

    // The same bytes each time; and sorted, the rows of the sorted lines.
    assert!(dumped(folder, &["save"]) == dumped(folder, &["save"]));
    let (_, rows) = read(dumped(folder, &["--sorted", "--state", "total", "save"]));
    let (_, lines, _) = esker(folder, &["dump", "--sorted", "--state", "total", "save"]);
    let keys = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!("key: \"{}\", ", line["key"])
    });
    assert!(rows.iter().zip(keys).all(|(row, key)| row.contains(&key)), "{:?}", rows.first());
}

#[test]
fn a_pipe_will_do_and_the_format_is_seen() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let (_, expected, _) = esker(folder, &["dump", "--sorted", "save"]);
    let bytes = dumped(folder, &["save"]);
    std::fs::write(folder.join("save.parquet"), &bytes).unwrap();
    std::fs::write(folder.join("save.data"), &bytes).unwrap();
    for (target, more) in [
        ("a", &["save.parquet"][..]),
        ("b", &["save.data"]),
        ("c", &["save.data", "--format", "parquet"]),
        ("d", &[]),
        ("e", &["-", "--format", "parquet"]),
        ("f", &["/dev/stdin"]),
    ] {
        let args = [&["load", "--like", "save", target], more].concat();
        let (code, out, err) = piped(folder, &args, &bytes);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        let count = format!(" has it: {} lines, ", expected.lines().count());
        assert!(String::from_utf8(out).unwrap().contains(&count), "{args:?}");
        assert!(esker(folder, &["dump", "--sorted", target]).1 == expected, "{args:?}");
    }
    // No rows are a file too.
    let (code, _, err) = piped(folder, &["load", "--like", "save", "none"], b"");
    assert_eq!((code, err.as_str()), (0, ""));
    let nothing = dumped(folder, &["none"]);
    let (code, out, err) = piped(folder, &["load", "--like", "save", "again"], &nothing);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(String::from_utf8(out).unwrap().contains(" has it: 0 lines, "));
    // CSV and JSON are seen too.
    for (target, format) in [("g", "csv"), ("h", "jsonl")] {
        let (_, lines, _) = esker(folder, &["dump", "--format", format, "save"]);
        let (code, _, err) = piped(folder, &["load", "--like", "save", target], lines.as_bytes());
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(esker(folder, &["dump", "--sorted", target]).1 == expected);
    }
}

#[test]
fn files_of_other_programs_are_read_by_the_names_of_their_columns() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let file = folder.join("rows.parquet");
    // In another order, without what is null, as text that says nothing of JSON, and as numbers.
    for (number, properties) in [
        snappy(),
        WriterProperties::builder().set_dictionary_enabled(false).build(),
        WriterProperties::builder()
            .set_data_page_row_count_limit(1)
            .set_write_batch_size(1)
            .build(),
    ]
    .into_iter()
    .enumerate()
    {
        let keys = ["\"a\"", "\"b\"", "\"c\""];
        let mut columns = counts(&keys, &["1", "2", "18446744073709551615"]);
        if number > 0 {
            let kind = if number == 1 { "int64 value" } else { "int64 value (INTEGER(64,false))" };
            let last = if number == 1 { 7 } else { -1 };
            columns[0] = Cells::Int(kind, vec![Some(1), Some(2), Some(last)]);
        }
        put(&file, properties, &columns);
        columns.push(Cells::Null("int32 namespace (UNKNOWN)", keys.len()));
        let target = format!("new-{number}");
        let (code, _, err) = esker(folder, &["load", "--like", "save", &target, "rows.parquet"]);
        assert_eq!((code, err.as_str()), (0, ""));
        let (_, lines, _) = esker(folder, &["dump", "--sorted", &target]);
        let last = if number == 1 { 7 } else { u64::MAX };
        let expected = [("a", 1), ("b", 2), ("c", last)].map(|(key, value)| {
            let head = r#"{"operator":"delays","state":"count","kind":"value""#;
            format!("{head},\"key\":\"{key}\",\"namespace\":null,\"value\":{value}}}\n")
        });
        assert_eq!(lines, expected.concat());
    }
}

#[test]
fn rows_and_columns_that_do_not_fit_are_told_and_nothing_is_written() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let file = folder.join("rows.parquet");
    let good = || counts(&["\"a\"", "\"b\""], &["1", "2"]);
    let with = |at: usize, cells| {
        let mut columns = good();
        columns[at] = cells;
        columns
    };
    let and = |cells| {
        let mut columns = good();
        columns.push(cells);
        columns
    };
    let names = "operator, state, kind, key, namespace, userKey, value, ttl";
    let mut without = good();
    without.remove(2);
    let no_text = Cells::Text("binary key", vec![Some(b"\"a\""), Some(b"\"\xff\"")]);
    for (columns, reason) in [
        (without, format!("column kind is missing; they are {names}")),
        (
            and(text("binary count (STRING)", &["1", "2"])),
            format!("column count: there is no such column; they are {names}"),
        ),
        (
            with(3, Cells::Int("int64 operator", vec![Some(1), Some(2)])),
            "column operator: expected text, found INT64".to_owned(),
        ),
        (
            with(1, text("fixed_len_byte_array(1) key", &[])),
            "column key: expected JSON text, a number or a boolean, found FIXED_LEN_BYTE_ARRAY"
                .to_owned(),
        ),
        (
            and(Cells::Int("int64 ttl (TIMESTAMP(MILLIS,true))", vec![Some(1), Some(2)])),
            "column ttl: expected JSON text, a number or a boolean, found INT64 (Timestamp("
                .to_owned(),
        ),
        (and(text("binary key (STRING)", &["1", "2"])), "column key: it is there twice".to_owned()),
        (
            with(4, text("binary state (STRING)", &["count", "-"])),
            "row 2: state: expected text, found null".to_owned(),
        ),
        (
            with(1, text("binary key (STRING)", &["-", "\"b\""])),
            "row 1: delays/count: key: expected a string, found null".to_owned(),
        ),
        (
            with(1, text("binary key (STRING)", &["\"a\"", "b"])),
            "row 2: delays/count: key: expected a string, found b".to_owned(),
        ),
        (with(1, no_text), "row 2: key: no text in UTF-8".to_owned()),
        (
            with(0, Cells::Int("int64 value", vec![Some(1), Some(-1)])),
            "row 2: delays/count: value: expected u64, 0 to 18446744073709551615, found -1"
                .to_owned(),
        ),
        (
            with(1, text("binary key (STRING)", &["\"a\"", " \"a\""])),
            "row 1 and 2: delays/count: these rows are of one key: leave all but one out"
                .to_owned(),
        ),
    ] {
        if matches!(&columns[1], Cells::Text(declared, _) if declared.starts_with("fixed")) {
            // Written by hand: a column without rows.
            put_empty(&file, "optional fixed_len_byte_array(1) key;");
        } else {
            put(&file, snappy(), &columns);
        }
        let (code, out, err) = esker(folder, &["load", "--like", "save", "new", "rows.parquet"]);
        let start = format!("esker: refused rows.parquet: {reason}");
        assert!((code, out.as_str()) == (1, "") && err.starts_with(&start), "{reason}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(!folder.join("new").exists());
    }
    put_empty(
        &file,
        "optional group key (LIST) { repeated group list { optional int64 element; } }",
    );
    let (code, _, err) = esker(folder, &["load", "--like", "save", "new", "rows.parquet"]);
    let reason =
        "refused rows.parquet: column key.list.element: there is no such column; they are ";
    assert!(code == 1 && err.contains(reason), "{err}");
    // What only others read is refused, not damaged.
    let properties = WriterProperties::builder().set_dictionary_enabled(false);
    let properties = properties.set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY).build();
    put(&file, properties, &good());
    let (code, out, err) =
        esker(folder, &["load", "--json", "--like", "save", "new", "rows.parquet"]);
    let message = "column operator: it is encoded as DELTA_LENGTH_BYTE_ARRAY, which esker does not read: \
                   write it anew as PLAIN or with dictionaries";
    assert_eq!((code, err), (1, format!("esker: refused rows.parquet: {message}\n")));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["problems"], json!([{"lines": [], "column": null, "message": message}]));
    assert_eq!(report["status"], json!("refused"));
}

fn put_empty(file: &Path, declared: &str) {
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {declared} }}")).unwrap());
    let file = std::fs::File::create(file).unwrap();
    SerializedFileWriter::new(file, schema, Arc::new(snappy())).unwrap().close().unwrap();
}

#[test]
fn what_is_damaged_is_told_whatever_the_bytes_and_in_bounded_memory() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let good = dumped(folder, &["--operator", DELAYS, "save"]);
    let half = &good[..good.len() / 2];
    let cut = "it does not end as a Parquet file does: is it cut off?";
    for (bytes, reason) in [
        (&b""[..], "0 bytes are no Parquet file"),
        (b"{\"operator\":\"delays\"}\n", "it is no Parquet file"),
        (half, cut),
        (&good[..good.len() - 1], cut),
        (&[half, b"\xff\xff\xff\x7fPAR1"].concat(), cut),
        (&[half, b"\0\0\0\0PAR1"].concat(), "its footer is damaged"),
    ] {
        std::fs::write(folder.join("bad.parquet"), bytes).unwrap();
        let args = ["load", "--like", "save", "new", "--format", "parquet"];
        let (code, _, err) = esker(folder, &[&args[..], &["bad.parquet"]].concat());
        assert_eq!((code, err), (1, format!("esker: damaged bad.parquet: {reason}\n")));
        let (code, _, err) = piped(folder, &args, bytes);
        assert_eq!((code, err), (1, format!("esker: damaged standard input: {reason}\n")));
        assert!(!folder.join("new").exists());
    }

    // Bytes that say anything: with as little memory as a job in a container has, none ends the tool.
    let mut random = fastrand::Rng::with_seed(esker_test_support::soak::seed());
    let mut refused = 0;
    let rounds = esker_test_support::soak::count(800);
    for round in 0..rounds {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            // The footer says most; half of the time it is hit.
            let from = if random.bool() { bytes.len() - 1200 } else { 0 };
            let at = random.usize(from..bytes.len());
            bytes[at] = random.u8(..);
        }
        std::fs::write(folder.join("bad.parquet"), &bytes).unwrap();
        let limited = format!(
            "ulimit -v 1500000; exec {} load --like save new-{round} bad.parquet",
            env!("CARGO_BIN_EXE_esker")
        );
        let output =
            Command::new("sh").args(["-c", &limited]).current_dir(folder).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{round}: {:?}: {err}", output.status);
        assert!(!err.contains("panicked"), "{round}: {err}");
        refused += u32::from(output.status.code() == Some(1));
    }
    assert!(refused * 4 > rounds, "{refused} of {rounds}");
}

#[test]
fn options_of_options_come_back() {
    use esker::backend::Backend;
    use esker::engine::LocalJob;
    use esker::format::KeyGroupRange;
    use esker::state::ValueDescriptor;
    use esker::{Store, block_on};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = Store::open(folder.join("job").to_str().unwrap()).unwrap();
    let mut job = block_on(LocalJob::open(store, "options")).unwrap();
    let mut backend = job.backend("op", KeyGroupRange::ALL);
    let descriptor = ValueDescriptor::<u64, Option<Option<u64>>>::new("nested");
    let nested = backend.open(descriptor).unwrap();
    block_on(job.restore(&mut backend)).unwrap();
    for (key, value) in [(1, None), (2, Some(None)), (3, Some(Some(5)))] {
        backend.state(nested).unwrap().update(&key, &(), value).unwrap();
    }
    block_on(job.checkpoint(&mut [backend])).unwrap();
    let (code, lines, err) = esker(folder, &["dump", "--sorted", "job"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let dumped = command.args(["dump", "--format", "parquet", "job"]).current_dir(folder).output();
    let dumped = dumped.unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    std::fs::write(folder.join("lines.parquet"), dumped.stdout).unwrap();
    let (code, _, err) = esker(folder, &["load", "--like", "job", "new", "lines.parquet"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, again, _) = esker(folder, &["dump", "--sorted", "new"]);
    assert_eq!(again, lines);
}
