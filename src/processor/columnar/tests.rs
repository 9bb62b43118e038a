use super::footer::metadata;
use super::pages::{PageFile, Pages};
use super::read::Bad;
use super::*;
use crate::format::canonical::Line;
use crate::processor::load::{Read, WrongLine};
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::reader::ChunkReader;
use std::fs::File;
use std::io::{Seek, Write};

/// Rows of a few row groups: text, gaps, and a column of each type.
fn written() -> Vec<u8> {
    let shapes = [
        Shape::Json,
        Shape::Int { bits: 64, signed: false },
        Shape::Bool,
        Shape::F64,
        Shape::Int { bits: 32, signed: true },
    ];
    let mut bytes = Vec::new();
    let mut writer = Writer::within(4000, &mut bytes, &shapes).unwrap();
    for number in 0..200_u64 {
        let (key, namespace) = (format!("\"key {number}\""), (u64::MAX - number).to_string());
        let value = ["-0.0", "\"NaN\"", "0.1", "\"-Infinity\"", "null"][number as usize % 5];
        let line = Line {
            operator: "operator".into(),
            state: format!("state {}", number % 3).into(),
            kind: "value".into(),
            key: Some(&key),
            namespace: Some(&namespace),
            user_key: (number % 2 == 0).then_some("true"),
            value: Some(value),
            ttl: Some("-7"),
        };
        writer.write(&line).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Panics that are caught are not printed.
fn quiet() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !is_contained() {
                before(panic);
            }
        }));
    });
}

/// The rows of `bytes` as text.
fn rows(bytes: &[u8]) -> Result<Vec<String>, Bad> {
    quiet();
    let mut found = Vec::new();
    let each = &mut |number: u64, read: Read<'_>| {
        assert_eq!(number, found.len() as u64 + 1);
        found.push(match read {
            Ok((_, line)) => format!("{line:?}"),
            Err(WrongLine { message, .. }) => message,
        });
        // What was flipped may say that there are many.
        Ok::<_, Bad>(found.len() < 10_000)
    };
    Rows::opened(file(bytes))?.rows(each)?;
    Ok(found)
}

#[test]
fn rows_come_back_whatever_their_types_and_however_many_row_groups_there_are() {
    let bytes = written();
    assert_eq!(Rows::open(file(&bytes)).unwrap().count(), 200);
    let found = rows(&bytes).unwrap();
    assert_eq!(found.len(), 200);
    let expected = |namespace: u64, user_key: &str, value: &str| {
        format!(
            r#"namespace: Some("{namespace}"), user_key: Some("{user_key}"), value: Some({value:?}), ttl: Some("-7")"#
        )
    };
    for (number, user_key, value) in [
        (0, "true", "-0.0"),
        (1, "null", "\"NaN\""),
        (2, "true", "0.1"),
        (193, "null", "\"-Infinity\""),
        (199, "null", "null"),
    ] {
        let ends = expected(u64::MAX - number, user_key, value);
        let row = &found[number as usize];
        assert!(row.contains(&ends) && row.contains(&format!("key {number}\\\"")), "{row}");
    }
    // Several row groups, none of them large.
    let footer = metadata(&mut file(&bytes)).unwrap();
    assert!(footer.num_row_groups() > 3);
}

#[test]
fn whatever_the_bytes_there_is_an_answer_and_no_panic() {
    let bytes = written();
    let mut random = fastrand::Rng::with_seed(esker_test_support::soak::seed());
    let (mut damaged, mut other) = (0, 0);
    for _ in 0..esker_test_support::soak::count(20_000) {
        let mut bad = bytes.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bad.len());
            match random.u8(..4) {
                0 => bad[at] ^= 1 << random.u8(..8),
                1 => bad[at] = random.u8(..),
                2 => drop(bad.splice(
                    at..(at + random.usize(..9)).min(bytes.len()).max(at).min(bad.len()),
                    [],
                )),
                _ => bad.insert(at, random.u8(..)),
            }
        }
        match rows(&bad) {
            Err(Bad::Io(error)) => panic!("{error}"),
            Err(Bad::Damaged(_)) => damaged += 1,
            _ => other += 1,
        }
    }
    assert!(damaged > 0 && other > 0, "{damaged} {other}");
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 127 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of a struct, 32 bits; the number of the one before is `step` less.
fn field(step: u8, value: i64, out: &mut Vec<u8>) {
    out.push(step << 4 | thrift::I32);
    varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

#[test]
fn no_page_gets_more_memory_than_its_bytes_justify() {
    for (len_bytes, held_len_bytes, is_read) in [
        (1 << 20, 10, true),
        (128 << 20, 10, true),
        ((128 << 20) + 1, 10, false),
        (i64::from(i32::MAX), 1 << 20, false),
        (1 << 30, 1 << 26, true),
        (-1, 10, false),
    ] {
        let mut header = Vec::new();
        for value in [0, len_bytes, held_len_bytes] {
            field(1, value, &mut header);
        }
        let read = PageFile(file(&header)).get_read(0);
        assert_eq!(read.is_ok(), is_read, "{len_bytes} in {held_len_bytes}");
        // What others may read is not damaged.
        let is_refused = matches!(read.err(), Some(ParquetError::NYI(_)));
        assert_eq!(is_refused, !is_read && len_bytes > 0);
    }
    assert!(PageFile(file(b"\x15")).get_read(0).is_err());
    assert!(PageFile(file(b"")).get_read(7).is_err());
}

/// A dictionary of so many values in so many bytes.
struct Dictionary(u32, usize);

impl Iterator for Dictionary {
    type Item = Parquet<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Dictionary {
    fn get_next_page(&mut self) -> Parquet<Option<Page>> {
        let (buf, encoding) = (vec![0; self.1].into(), Encoding::PLAIN);
        Ok(Some(Page::DictionaryPage { buf, num_values: self.0, encoding, is_sorted: false }))
    }

    fn peek_next_page(&mut self) -> Parquet<Option<PageMetadata>> {
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Parquet<()> {
        Ok(())
    }
}

#[test]
fn no_dictionary_has_more_values_than_bytes() {
    for (values, len_bytes, is_read) in [(3, 12, true), (3, 3, true), (1 << 31, 1000, false)] {
        let mut pages = Pages { pages: Dictionary(values, len_bytes), left: Default::default() };
        assert_eq!(pages.get_next_page().is_ok(), is_read, "{values} in {len_bytes}");
    }
}

#[test]
fn no_footer_gets_more_memory_or_stack_than_its_bytes_justify() {
    let with = |elements: u64, children: i64| {
        let mut footer = Vec::new();
        field(1, 1, &mut footer);
        footer.push(1 << 4 | thrift::LIST);
        footer.push(0xf0 | thrift::STRUCT);
        varint(elements, &mut footer);
        for _ in 0..elements {
            footer.extend(b"\x48\x01m");
            field(1, children, &mut footer);
            footer.push(0);
        }
        footer.push(0);
        let len_bytes = (footer.len() as u32).to_le_bytes();
        metadata(&mut file(&[b"PAR1", &*footer, &len_bytes, b"PAR1"].concat()))
    };
    // One within the other, as deep as there are; more children than there are elements.
    for (elements, children, reason) in [
        (100_000, 1, "it has more than 256 columns"),
        (1, i64::from(i32::MAX), "it has more than 256 columns"),
        (1, -1, "it has more than 256 columns"),
    ] {
        let Err(Bad::Columns(found)) = with(elements, children) else { panic!("{elements}") };
        assert_eq!(found, reason);
    }
    assert!(matches!(with(256, 1), Err(Bad::Damaged(_))));
}

#[test]
fn rows_that_are_missing_or_too_many_are_told() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &[Shape::Json; 5]).unwrap();
    for number in 0..57 {
        let key = number.to_string();
        writer.write(&Line { key: Some(&key), ..Line::default() }).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(rows(&bytes).unwrap().len(), 57);
    // The last 57 of 64 bits is the number of the row group's rows.
    let at = bytes.windows(2).rposition(|found| found == [0x16, 57 * 2]).unwrap() + 1;
    for (rows_said, reason) in [
        (56, "row group 0, after row 56: column operator: more values than there are rows"),
        (58, "row group 0, after row 57: column operator: less values than there are rows"),
    ] {
        bytes[at] = rows_said * 2;
        let Err(Bad::Damaged(found)) = rows(&bytes) else { panic!("{rows_said}") };
        assert_eq!(found, reason);
    }
}
