//! The tool on buckets of S3, as its users meet it: a transcript, and what goes wrong.
//!
//! `ESKER_BLESS=1` writes the transcript anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::Store;
use esker::format::RelativeName;
use esker_test_support::server::{self, Bucket};
use run::esker_with;
use std::fmt::Write;
use std::path::Path;
use world::*;

const TRANSCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/remote.txt");

/// A job of two checkpoints in a bucket, and a savepoint of it beside it.
fn made_in(bucket: &Bucket) {
    let store = Store::open_with(&bucket.url, &bucket.options()).unwrap();
    let mut world = World::in_store(store.below(&RelativeName::new("job").unwrap()));
    for round in 0..2 {
        world.change(round);
        world.checkpoint();
    }
    world.savepoint_in(&store.below(&RelativeName::new("save").unwrap()));
}

/// What each command says, the bucket being called `BUCKET`; of many lines how many there are.
fn transcript(bucket: &Bucket, folder: &Path, commands: &[&str]) -> String {
    let name = bucket.url.strip_prefix("s3://").unwrap();
    let mut said = String::new();
    for command in commands {
        let arguments = command.replace("BUCKET", name);
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (code, out, err) = esker_with(folder, &arguments, &bucket.settings);
        let (out, err) = (out.replace(name, "BUCKET"), err.replace(name, "BUCKET"));
        writeln!(said, "$ esker {command}").unwrap();
        match out.lines().count() {
            0..30 => said.push_str(&out),
            lines => writeln!(said, "({lines} lines)").unwrap(),
        }
        err.lines().for_each(|line| writeln!(said, "! {}", without_digest(line)).unwrap());
        writeln!(said, "exit {code}\n").unwrap();
    }
    said
}

/// `line` with the name of a part, which is the digest of what one run made, as `DIGEST`.
fn without_digest(line: &str) -> String {
    let part = line.split_once(".part").and_then(|(before, _)| before.rsplit_once('/'));
    part.map_or_else(|| line.to_owned(), |(_, digest)| line.replace(digest, "DIGEST"))
}

#[test]
fn commands_take_urls_of_buckets() {
    let Some(bucket) = server::s3("the tool on S3") else { return };
    made_in(&bucket);
    let folder = tempfile::tempdir().unwrap();
    let said = transcript(
        &bucket,
        folder.path(),
        &[
            "ls s3://BUCKET",
            "ls s3://BUCKET/job",
            "inspect s3://BUCKET/job",
            "verify s3://BUCKET/job s3://BUCKET/save",
            "verify --deep s3://BUCKET/job/chk-1-1",
            "dump --sorted s3://BUCKET/job",
            "get s3://BUCKET/job --operator airports --state names 7",
            "copy s3://BUCKET/job s3://BUCKET/copy",
            "copy s3://BUCKET/job s3://BUCKET/copy",
            "copy s3://BUCKET/job here",
            "diff s3://BUCKET/copy here",
            "diff s3://BUCKET/job s3://BUCKET/job/chk-1-1",
            "copy here s3://BUCKET/again/and/again",
            "verify --deep s3://BUCKET/again/and/again",
            // What is wrong.
            "copy s3://BUCKET/save s3://BUCKET/save",
            "copy s3://BUCKET/save s3://BUCKET/job",
            "inspect s3://BUCKET/nothing",
            "ls s3://BUCKET-none",
            "ls s3://",
            "copy s3://BUCKET/save s3://",
            "ls s3://BUCKET/job?version=1",
        ],
    );
    // The first name in order, which is that of the part if its digest begins with a digit.
    let said = said.replace("chk-1-1/DIGEST.part for one", "chk-1-1/_metadata for one");
    if std::env::var_os("ESKER_BLESS").is_some() {
        std::fs::write(TRANSCRIPT, &said).unwrap();
    }
    let expected = std::fs::read_to_string(TRANSCRIPT).unwrap_or_default();
    assert_eq!(said, expected);
}

#[test]
fn no_command_shows_credentials() {
    let Some(bucket) = server::s3("credentials of the tool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (key, secret) = ("AKIATHATNOBODYISTOLD", "Secret/That+NobodyIsTold");
    let denied = esker_test_support::http::serve(move |_| {
        let body =
            format!("<Error><Code>AccessDenied</Code><Message>{key} {secret}</Message></Error>");
        esker_test_support::http::Reply::Answer(403, body)
    });
    let settings = |endpoint: String| {
        vec![
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
            ("RUST_LOG", "trace".to_owned()),
        ]
    };
    let with_key = format!("s3://{key}:{secret}@b/x");
    let cases = [
        (settings(format!("http://{denied}")), "s3://b/x", "s3://b denies access (403"),
        (settings("http://127.0.0.1:9".to_owned()), "s3://b/x", "does not answer"),
        (bucket.settings.clone(), "s3://no-such-bucket/x", "create it"),
        (bucket.settings.clone(), &with_key, "a URL is no place for credentials"),
    ];
    for (settings, url, part) in &cases {
        for command in ["ls", "inspect", "verify", "dump"] {
            for args in [vec![command, url], vec![command, "--json", url]] {
                // Lines of `dump` are JSON in any case.
                if args == ["dump", "--json", url] {
                    continue;
                }
                let (code, out, err) = esker_with(folder.path(), &args, settings);
                let said = format!("{out}{err}");
                assert_eq!(code, 2, "{args:?}: {said}");
                assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
                assert!(!said.contains(secret) && !said.contains(key), "{args:?}: {said}");
            }
        }
    }
}
