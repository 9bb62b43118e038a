//! Schema files, and what becomes of the states of one when the program of another restores them.
//!
//! An input is two files with a zero byte between them.

use esker_format::schema::Fate;
use esker_format::schema_file::SchemaFile;

pub(crate) fn schema_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (first, second) = text.split_once('\0').unwrap_or((text, ""));
    let Ok(file) = SchemaFile::parse(first) else { return };
    let text = file.to_text().unwrap();
    assert_eq!(SchemaFile::parse(&text).unwrap().to_text().unwrap(), text);
    assert!(file.restored_by(&file).iter().all(|verdict| verdict.fate == Fate::Compatible));
    if let Ok(program) = SchemaFile::parse(second) {
        let _ = file.restored_by(&program);
    }
}

const OLD: &str = r#"{"esker-schema":1,"operators":[{"uid":"a","key":{"codec":"ordered","schema":"u64"},"states":[
{"name":"s","kind":"map","ttl":{"durationMs":5,"update":"write"},"userKey":{"codec":"ordered","schema":"i8"},"value":
{"codec":"bincode2","schema":{"struct":{"name":"S","fields":[{"name":"x","schema":"u8"},{"name":"y","schema":
{"option":{"ref":"S"}}},{"name":"z","schema":{"enum":{"name":"E","variants":[{"name":"A","shape":"unit"},
{"name":"B","shape":{"newtype":{"seq":"f32"}}}]}}}]}}}},{"name":"t","kind":"timer-event"}]}]}"#;
const NEW: &str = r#"{"esker-schema":1,"operators":[{"uid":"a","key":{"codec":"ordered","schema":"u64"},"states":[
{"name":"s","kind":"map","ttl":{"update":"write"},"userKey":{"codec":"ordered","schema":"i8"},"value":
{"codec":"bincode2","schema":{"struct":{"name":"N","fields":[{"name":"w","schema":"i32"},{"name":"y","schema":
{"option":{"newtype":{"name":"M","inner":{"ref":"N"}}}}},{"name":"z","schema":{"enum":{"name":"E","variants":
[{"name":"B","shape":{"newtype":{"set":"f64"}}},{"name":"C","shape":{"struct":[]}}]}}}]}}},"reads":{"defaults":[".y"],
"aliases":{".w":["x"],".z::C":["A"]},"strict":["."]}}]}]}"#;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [[OLD, NEW], [NEW, OLD], [OLD, ""]].map(|files| files.join("\0").into_bytes()).to_vec()
}
