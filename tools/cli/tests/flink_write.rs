//! `esker convert` and `esker rewrite` on snapshots that real Flink wrote, as their users meet them: a transcript, what the
//! results hold, and what is refused.
//!
//! `ESKER_BLESS=1` writes the transcript anew. That a real Flink restores what is written, `cargo xtask flink` shows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests, helpers included")]

mod run;

use esker_test_support::flink::{expected, golden};
use run::esker;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const TRANSCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flink_write.txt");
/// The lines that the job had written which `golden/DEV` is a savepoint of.
const EXPECTED: &str = "DevSpec-60-p2m128-120.jsonl";

/// A folder in which `golden` leads to the golden snapshots.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(golden(), folder.path().join("golden")).unwrap();
    folder
}

/// The words of a command line; those with spaces stand between `'`.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect()
}

/// What each command says; of many lines how many there are.
fn transcript(folder: &Path, commands: &[&str]) -> String {
    let path = folder.to_str().unwrap();
    let mut said = String::new();
    for command in commands {
        let (code, out, err) = esker(folder, &words(command));
        let (out, err) = (out.replace(path, "FOLDER"), err.replace(path, "FOLDER"));
        writeln!(said, "$ esker {command}").unwrap();
        match out.lines().count() {
            0..40 => said.push_str(&out),
            lines => writeln!(said, "({lines} lines)").unwrap(),
        }
        err.lines().for_each(|line| writeln!(said, "! {line}").unwrap());
        writeln!(said, "exit {code}\n").unwrap();
    }
    said
}

#[test]
fn commands_say_what_they_wrote_and_what_they_refuse() {
    let folder = folder();
    fs::write(folder.path().join("occupied"), "").unwrap();
    fs::write(
        folder.path().join("plan.toml"),
        "max_parallelism = 512\nparallelism = 3\n[operator.users]\nrename = 'people'\n\
         state.generic.drop = true\nstate.long.filter = 'value > 60000000'\n",
    )
    .unwrap();
    let said = transcript(
        folder.path(),
        &[
            // There.
            "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot there --job shop",
            "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot there --job shop",
            "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot less --skip-opaque --json",
            "convert golden/1.20.5/hashmap-savepoint-canonical-sql/snapshot sql --parallelism 3",
            "inspect sql",
            "verify --deep there less sql",
            // Back, as it was or changed.
            "convert there back --flink-version 2.x --max-parallelism 128",
            "convert there back --flink-version 2.x --max-parallelism 128",
            "verify back",
            "convert there wide --flink-version 2.3 --max-parallelism 4096 --parallelism 5 --json",
            // Rewritten.
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot new --plan plan.toml --dry-run",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot new --plan plan.toml",
            "verify new",
            "rewrite golden/1.20.5/hashmap-savepoint-canonical/snapshot named --uid users \
             --rename-state users/long=total --drop-state users/generic --step 'users/long=set.to = \"1\"'",
            "rewrite golden/1.20.5/hashmap-savepoint-canonical/snapshot named --uid users \
             --rename-state users/long=total --drop-state users/generic --step 'users/long=set.to = \"1\"' --json",
            // What is wrong.
            "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot new",
            "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot x --flink-version 2.x --max-parallelism 128",
            "convert there x",
            "convert there x --flink-version 1.13 --max-parallelism 128",
            "convert there x --flink-version 1.20 --max-parallelism 128",
            "convert there x --flink-version 2.x --max-parallelism 32769",
            "convert there x --flink-version 2.x --max-parallelism 2 --parallelism 3",
            "convert there occupied/x --flink-version 2.x --max-parallelism 128",
            "convert nothing x",
            "convert golden/2.3.0/hashmap-checkpoint-unaligned/snapshot/6ba59dda89c7b17340ae523e1da36e7a x",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot x --rename-operator nobody=x",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot x --step 'users/long=remove_ttl = {}'",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot x --max-parallelism 1",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot x --filter-state 'users/generic=value == null'",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot x --step 'users/long=set.to = \"value / 0\"'",
            "rewrite golden/2.3.0/hashmap-savepoint-canonical/snapshot back --max-parallelism 512",
            "rewrite there x --max-parallelism 512",
        ],
    );
    if std::env::var_os("ESKER_BLESS").is_some() {
        fs::write(TRANSCRIPT, &said).unwrap();
    }
    let expected = fs::read_to_string(TRANSCRIPT).unwrap_or_default();
    assert_eq!(said, expected);
    let left = fs::read_dir(folder.path().join("x"));
    assert_eq!(left.map_or(0, |left| left.count()), 0, "what is refused leaves nothing");
}

/// The sorted lines of a snapshot without those of the source, with broadcast state once, and without values that only Kryo
/// reads.
fn dumped(folder: &Path, snapshot: &str) -> Vec<String> {
    let (code, out, err) = esker(folder, &["dump", "--sorted", snapshot]);
    assert_eq!(code, 0, "{snapshot}: {err}");
    sorted(out.lines().filter(|line| !line.starts_with(r#"{"operator":"numbers","#)))
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let comparable = |line: &'a str| match line.split_once(r#","value":"#) {
        Some((head, _)) if line.contains(r#""state":"generic""#) => head.to_owned(),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = lines.map(comparable).collect();
    lines.sort_unstable();
    lines.dedup_by(|a, b| a == b && a.contains(r#""kind":"operator-broadcast""#));
    lines
}

/// That both are the same lines; tells the first that only one has.
#[track_caller]
fn assert_same(found: &[String], expected: &[String]) {
    let missing = expected.iter().find(|line| !found.contains(line));
    let extra = found.iter().find(|line| !expected.contains(line));
    assert!(found == expected, "missing {missing:?}, extra {extra:?}");
}

#[track_caller]
fn ok(folder: &Path, line: &str) {
    let (code, out, err) = esker(folder, &words(line));
    assert_eq!(code, 0, "{line}: {out}{err}");
}

#[test]
fn what_goes_there_comes_back_even_if_it_was_changed_on_the_way() {
    let folder = folder();
    let folder = folder.path();
    let expected = expected(EXPECTED);
    ok(folder, "convert golden/2.3.0/hashmap-savepoint-canonical/snapshot there");
    assert_same(&dumped(folder, "there"), &sorted(expected.lines()));
    // A savepoint of esker's as any: renamed, filtered and edited by what works on those.
    ok(
        folder,
        "rewrite there changed --rename-operator users=people --rename-state users/long=total \
         --filter-state 'users/int=value > 1700' --step 'users/string=set.to = \"value + value\"'",
    );
    ok(folder, "convert changed back --flink-version 2.x --max-parallelism 300");
    let changed = expected.lines().filter_map(|line| {
        let json: Value = serde_json::from_str(line).unwrap();
        if json["operator"] != "users" {
            return Some(line.to_owned());
        }
        let line = line.replacen(r#"{"operator":"users","#, r#"{"operator":"people","#, 1);
        match json["state"].as_str().unwrap() {
            "long" => Some(line.replacen(r#""state":"long""#, r#""state":"total""#, 1)),
            "int" => (json["value"].as_i64().unwrap() > 1700).then_some(line),
            "string" => {
                let value = json["value"].to_string();
                let twice =
                    format!("{}{}", value.trim_end_matches('"'), value.trim_start_matches('"'));
                Some(line.replace(&format!(r#""value":{value}"#), &format!(r#""value":{twice}"#)))
            }
            _ => Some(line),
        }
    });
    let changed: Vec<String> = changed.collect();
    assert!(changed.len() < expected.lines().count());
    let uids = ["people", "orders", "minutes", "buffer", "numbers"];
    let uids: Vec<String> = uids.iter().map(|uid| format!("--uid={uid}")).collect();
    let words: Vec<&str> =
        ["dump", "back"].into_iter().chain(uids.iter().map(|uid| &**uid)).collect();
    let (code, out, err) = esker(folder, &words);
    assert_eq!(code, 0, "{err}");
    let found = out.lines().filter(|line| !line.starts_with(r#"{"operator":"numbers","#));
    assert_same(&sorted(found), &sorted(changed.iter().map(String::as_str)));
}
