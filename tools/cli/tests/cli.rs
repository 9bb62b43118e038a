//! The tool as its users meet it: the built binary, on golden files and on bad ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error of `esker`, run among the golden files.
fn esker(args: &[&str]) -> (i32, String, String) {
    let output = command(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn command(args: &[&str]) -> Command {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/esker/golden");
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    command.args(args).current_dir(golden);
    command
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn inspect_shows_a_run() {
    let (code, out, err) = esker(&["inspect", "v1/sample.run"]);
    let expected = "\
file     v1/sample.run
kind     run
version  1
bytes    1348
digest   blake3:c3136e212bfed7ddc04ed0eb7d439b5f65c04ce9c6a0f7d53bd63d294cb8bb1e
blocks   4
entries  44
| state | entries | live | key bytes | value bytes |  key groups |
|-------|---------|------|-----------|-------------|-------------|
|     1 |      40 |   40 |       481 |         310 |  3598-59528 |
|     2 |       3 |    1 |        74 |           2 | 23964-30337 |
|     7 |       1 |    1 |        19 |          10 | 48106-48106 |
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn inspect_shows_a_sealed_file() {
    let (code, out, err) = esker(&["inspect", "v1/claim.log"]);
    let expected = r#"file     v1/claim.log
kind     log
version  1
bytes    170
digest   ok blake3:c68d3a0856b081552799c1800d484516cf968963c22bc487c72bfbdd49d630d6
{
  "decision": {
    "claim": {}
  },
  "generation": 3,
  "nonce": "0123456789abcdef0123456789abcdef"
}
"#;
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn inspect_as_json_has_one_shape() {
    let files = ["v1/sample.run", "v1/claim.log", "bad/flipped.run", "missing"];
    let (code, out, err) = esker(&[&["inspect", "--json"], &files[..]].concat());
    assert_eq!(code, 2);
    assert!(err.starts_with("esker: unreadable missing: file: "), "{err}");
    let reports = json_lines(&out);
    assert_eq!(reports.len(), files.len());
    for (report, file) in reports.iter().zip(files) {
        let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["error", "file", "kind", "run", "sealed", "status"], "{file}");
        assert_eq!(report["file"], file);
    }
    let statuses: Vec<_> = reports.iter().map(|report| &report["status"]).collect();
    assert_eq!(statuses, ["ok", "ok", "damaged", "unreadable"]);
    let state = json!({
        "state": 2, "entries": 3, "live": 1, "keyBytes": 74, "valueBytes": 2,
        "keyGroupFirst": 23964, "keyGroupLast": 30337,
    });
    assert_eq!(reports[0]["run"]["states"][1], state);
    assert_eq!(reports[1]["sealed"]["digestOk"], true);
    assert_eq!(reports[1]["sealed"]["json"]["generation"], 3);
    assert_eq!(reports[2]["error"]["what"], "run block");
    assert_eq!(reports[2]["error"]["offset"], 16);
}

#[test]
fn inspect_of_a_bad_file_says_so_on_standard_error() {
    let (code, out, err) = esker(&["inspect", "bad/newer.run"]);
    let expected = "esker: refused bad/newer.run: run header: version 2, \
                    this esker reads up to 1: use a newer one\n";
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", expected));
}

#[test]
fn verify_passes_golden_files() {
    let files = ["v1/sample.run", "v1/claim.log", "v1/sample.part", "v1/_metadata"];
    let (code, out, err) = esker(&[&["verify"], &files[..]].concat());
    let expected = "ok v1/sample.run run\nok v1/claim.log log\nok v1/sample.part part\n\
                    ok v1/_metadata metadata\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn verify_refuses_every_bad_file() {
    let cases = [
        ("bad/flipped.run", "damaged", "run block: digest differs; "),
        ("bad/cut.run", "damaged", "run footer: not the end of a run: cut off"),
        ("bad/newer.run", "refused", "run header: version 2, this esker reads up to 1"),
        ("bad/not-a-run.run", "damaged", "file: not a file of esker at byte 0"),
        ("bad/flipped-filter.run", "damaged", "run filter: digest differs"),
        ("bad/denying-filter.run", "damaged", "run block: the filter denies an entry"),
        ("bad/flipped.part", "damaged", "part: the digest differs"),
        ("bad/newer.part", "refused", "part: version=2 is newer than the newest known=1"),
        ("bad/leaves-its-root.part", "damaged", "name: a segment that is `.` or `..`"),
        ("bad/bases-touch.part", "damaged", "part: bases overlap, touch, or leave"),
        (
            "bad/leaves-its-database.part",
            "damaged",
            "part: no name of a file in a database: local=",
        ),
        ("bad/flipped.metadata", "damaged", "metadata: the digest differs"),
        ("bad/newer.metadata", "refused", "metadata: version=2 is newer than the newest known=1"),
        ("bad/leaves-its-root.metadata", "damaged", "name: an empty segment"),
        ("bad/no-user-key.metadata", "damaged", "manifest: kind=map needs a user key type"),
        ("bad/flipped.log", "damaged", "log: the digest differs"),
        ("bad/wrong-digest.log", "damaged", "log: the digest differs"),
        ("bad/cut.log", "damaged", "log: bytes="),
        ("bad/newer.log", "refused", "log: version=2 is newer than the newest known=1"),
        ("bad/another-kind.log", "refused", "sealed file: this esker knows no such kind"),
        ("bad/not-a-record.log", "damaged", "log record: "),
    ];
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/esker/golden/bad");
    assert_eq!(std::fs::read_dir(golden).unwrap().count(), cases.len(), "a case for each file");
    for (file, status, reason) in cases {
        let (code, out, err) = esker(&["verify", file]);
        assert_eq!((code, err.as_str()), (1, ""), "{file}");
        assert!(out.starts_with(&format!("{status} {file}: {reason}")), "{out}");

        let (code, out, err) = esker(&["verify", "--json", file]);
        assert_eq!((code, err.as_str()), (1, ""), "{file}");
        let report = &json_lines(&out)[0];
        assert_eq!((&report["file"], &report["status"]), (&json!(file), &json!(status)));
        let what = reason.split(':').next().unwrap();
        assert_eq!(report["error"]["what"], what, "{file}");
    }
}

#[test]
fn verify_goes_on_behind_a_file_that_is_not_there() {
    let (code, out, err) = esker(&["verify", "missing", "bad/cut.run", "v1/claim.log"]);
    assert_eq!(code, 2);
    assert!(err.starts_with("esker: unreadable missing: file: "), "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("damaged bad/cut.run: "));
    assert_eq!(lines[1], "ok v1/claim.log log");
}

/// No address of a process is 0, and reading there is an error of the device.
#[cfg(target_os = "linux")]
#[test]
fn verify_counts_what_a_device_does_not_give_back_as_damage() {
    let (code, out, err) = esker(&["verify", "/proc/self/mem", "v1/claim.log"]);
    let said =
        "damaged /proc/self/mem: file: Input/output error (os error 5)\nok v1/claim.log log\n";
    assert_eq!((code, out.as_str(), err.as_str()), (1, said, ""));
}

#[test]
fn dump_run_writes_every_entry() {
    let (code, out, err) = esker(&["dump-run", "v1/sample.run"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 44);
    let expected = [
        r#"{"state":2,"keyGroup":23964,"key":"776974682061200020696e206974","namespace":"","userKey":"","op":"clear","value":""}"#,
        r#"{"state":2,"keyGroup":23964,"key":"776974682061200020696e206974","namespace":"","userKey":"6669656c64","op":"put","value":"ff00"}"#,
        r#"{"state":2,"keyGroup":30337,"key":"6f74686572","namespace":"","userKey":"676f6e65","op":"delete","value":""}"#,
        r#"{"state":7,"keyGroup":48106,"key":"6b6579","namespace":"77696e646f77","userKey":"","op":"append","value":"616e20656c656d656e74"}"#,
    ];
    assert_eq!(lines[40..], expected);
}

#[test]
fn dump_run_of_other_files_fails() {
    for (file, code, reason) in [
        ("bad/flipped.run", 1, "esker: damaged bad/flipped.run: run block: digest differs"),
        ("v1/claim.log", 1, "esker: damaged v1/claim.log: run header: not a run"),
        ("missing", 2, "esker: unreadable missing: file: "),
    ] {
        let (found, out, err) = esker(&["dump-run", file]);
        assert_eq!((found, out.as_str()), (code, ""), "{file}");
        assert!(err.starts_with(reason), "{err}");
    }
}

#[test]
fn layout_shows_what_lies_where() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/esker/golden");
    for file in ["v1/sample.run", "v1/sample.part", "v1/_metadata", "v1/claim.log"] {
        let text = std::fs::read_to_string(golden.join(format!("{file}.txt"))).unwrap();
        assert_eq!(esker(&["layout", file]), (0, text, String::new()));
    }
    let (code, out, err) = esker(&["layout", "bad/flipped.run"]);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains("\nproblem at 16: block 0: its digest differs"), "{out}");
    assert!(out.contains("  footer\n"), "what is sound is shown: {out}");

    let (code, out, _) = esker(&["layout", "--json", "bad/cut.run"]);
    let layout = &json_lines(&out)[0];
    assert_eq!((code, &layout["kind"], &layout["lenBytes"]), (1, &json!("run"), &json!(1347)));
    let magic = json!({
        "offset": 0, "lenBytes": 8, "depth": 1, "name": "magic", "value": "8945534b0d0a1a0a"
    });
    assert_eq!(layout["fields"][1], magic);
    assert!(!layout["problems"].as_array().unwrap().is_empty());

    let (code, out, err) = esker(&["layout", "missing"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("esker: unreadable missing: file: "), "{err}");
}

#[test]
fn wrong_arguments_are_not_an_answer() {
    for args in [&[][..], &["frobnicate"], &["verify"], &["inspect", "--no-such"], &["dump-run"]] {
        let (code, out, err) = esker(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains("Usage: esker"), "{err}");
    }
}

#[test]
fn help_has_examples() {
    for args in [
        &["--help"][..],
        &["inspect", "--help"],
        &["verify", "-h"],
        &["dump-run", "-h"],
        &["layout", "-h"],
    ] {
        let (code, out, err) = esker(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(out.contains("Example"), "{out}");
    }
}

#[test]
fn completions_know_the_commands() {
    let (code, out, err) = esker(&["completions", "bash"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("dump-run") && out.contains("complete -F _esker"));
}

#[test]
fn manual_pages_are_of_every_command() {
    let (code, out, err) = esker(&["man"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(".TH esker 1") && out.contains("esker\\-dump(1)"), "{out}");
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let (code, out, err) = esker(&["man", dir.to_str().unwrap()]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let (_, help, _) = esker(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().map_while(|line| line.split_whitespace().next());
    let commands: Vec<_> = commands.filter(|name| *name != "help").collect();
    assert!(commands.contains(&"man") && commands.contains(&"dump-run"), "{commands:?}");
    for command in commands {
        let page = std::fs::read_to_string(dir.join(format!("esker-{command}.1"))).unwrap();
        assert!(page.contains(&format!(".TH esker-{command} 1")), "{page}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, out, err) = esker(&["man", file.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("manual pages") && err.contains("file"), "{err}");
}

#[test]
fn a_broken_pipe_is_silent() {
    let layout = ["layout", "v1/sample.run"];
    for args in [&["dump-run", "v1/sample.run"][..], &["completions", "bash"], &layout] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    }
}
