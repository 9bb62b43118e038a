//! Golden savepoints through the tool: what is dumped is loaded to the same, in every format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;

use run::{esker, piped};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All golden savepoints, of every version.
fn savepoints() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/esker/golden");
    let versions = std::fs::read_dir(golden).unwrap().map(|version| version.unwrap().path());
    let folders = versions.filter_map(|version| std::fs::read_dir(version.join("savepoints")).ok());
    let found = folders.flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

#[test]
fn dump_and_load_are_the_identity_on_golden_savepoints() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let savepoints = savepoints();
    assert!(savepoints.len() >= 2);
    for golden in &savepoints {
        let (name, like) =
            (golden.file_name().unwrap().to_str().unwrap(), golden.to_str().unwrap());
        let (code, out, err) = esker(folder, &["verify", like]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let (code, expected, err) = esker(folder, &["dump", "--sorted", like]);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        // Beside it stand the lines; once, where every subtask has them.
        let said = std::fs::read_to_string(golden.with_extension("jsonl")).unwrap();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(lines(&said), lines(&expected), "{name}");
        assert!(said.lines().count() > 20, "{name}");
        let (code, schema, err) = esker(folder, &["schema", like]);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        std::fs::write(folder.join("schema.json"), schema).unwrap();
        let of_snapshot = ["--like", like];
        let of_file = ["--schema", "schema.json", "--parallelism", "2"];
        for (format, more) in [
            ("jsonl", &of_snapshot[..]),
            ("csv", &of_snapshot),
            ("parquet", &of_snapshot),
            ("jsonl", &of_file),
        ] {
            let (code, dumped, err) = piped(folder, &["dump", "--format", format, like], &[]);
            assert_eq!((code, err.as_str()), (0, ""), "{name} {format}");
            let target = format!("{name}-{format}{}", more[0]);
            let args = [&["load", "--format", format, &target], more].concat();
            let (code, _, err) = piped(folder, &args, &dumped);
            assert_eq!((code, err.as_str()), (0, ""), "{name} {format}");
            let (code, found, err) = esker(folder, &["dump", "--sorted", &target]);
            assert_eq!((code, err.as_str()), (0, ""), "{name} {format}");
            let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
            assert!(found == expected, "{name} {format}: {differs:?}");
            let (code, out, _) = esker(folder, &["diff", like, &target]);
            assert_eq!(code, 0, "{out}");
            let (code, out, _) = esker(folder, &["verify", &target]);
            assert_eq!(code, 0, "{out}");
        }
        // Of each state alone too, where columns have its types.
        let heads = expected.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (
                line["operator"].as_str().unwrap().to_owned(),
                line["state"].as_str().unwrap().to_owned(),
            )
        });
        for (operator, state) in heads.collect::<BTreeSet<_>>() {
            let of_state = ["--operator", &*operator, "--state", &*state];
            let args = [&["dump", "--format", "parquet", like][..], &of_state].concat();
            let (code, dumped, err) = piped(folder, &args, &[]);
            assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
            let target = format!("{name}-{operator}-{state}");
            let (code, _, err) = piped(folder, &["load", "--like", like, &target], &dumped);
            assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
            let (_, found, _) = esker(folder, &["dump", "--sorted", &target]);
            let head = format!(r#"{{"operator":"{operator}","state":"{state}","#);
            let of_state = expected.split_inclusive('\n').filter(|line| line.starts_with(&head));
            assert_eq!(found, of_state.collect::<String>(), "{args:?}");
        }
    }
}
