//! Buckets of real servers, and servers that do what they are told.

use super::super::tests::{exercise, name};
use super::super::{Created, call};
use crate::{Error, ErrorKind, Store, block_on};
use bytes::Bytes;
use esker_test_support::http::{Reply, Request, serve};
use esker_test_support::server::{self, Bucket};
use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

fn open(bucket: &Bucket, below: &str) -> Store {
    Store::open_with(&format!("{}{below}", bucket.url), &bucket.options()).unwrap()
}

/// A store in a bucket of a server at `address`, which may be anything.
fn at(address: &str) -> Store {
    Store::open_with("s3://b/root", &options(&format!("http://{address}"))).unwrap()
}

const SECRET: &str = "Secret/That+NobodyIsTold";
const KEY: &str = "AKIATHATNOBODYISTOLD";

fn options(endpoint: &str) -> [(&'static str, &str); 5] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_TIMEOUT", "1s"),
    ]
}

/// All that is shown of an error.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text} {source} {source:?}");
        cause = source.source();
    }
    assert!(!text.contains(SECRET) && !text.contains(KEY), "{text}");
    text
}

/// Each call of a store, below whatever drives it.
fn every_call(bucket: &Bucket) {
    block_on(exercise(&open(bucket, "/root/of it"))).unwrap();
    futures::executor::block_on(exercise(&open(bucket, "/none"))).unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    one.block_on(exercise(&open(bucket, "/one"))).unwrap();
    let store = open(bucket, "/many");
    let exercised = store.clone();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    many.block_on(many.spawn(async move { exercise(&exercised).await })).unwrap().unwrap();
    // Connections outlive the runtime that they were made in.
    drop((one, many));
    assert_eq!(block_on(store.list(None)).unwrap().len(), 2);
    // A name with whatever a file may be called, and the whole of a bucket.
    let (whole, odd) = (open(bucket, ""), "ü ~b%2e[z]{}*+&=?#");
    block_on(whole.put(&name(odd), Bytes::from_static(b"v"))).unwrap();
    assert_eq!(block_on(whole.get(&name(odd))).unwrap(), Some(Bytes::from_static(b"v")));
    assert!(block_on(whole.list(None)).unwrap().contains(&(name(odd), 1)));
    assert_eq!(whole.to_string(), format!("{}/", bucket.url));
}

/// A file in pieces that come one by one, and one that is given up.
fn uploads(bucket: &Bucket) {
    let store = open(bucket, "/uploads");
    block_on(async {
        let piece = |of: u8| Bytes::from(vec![of; call::PART_LEN_BYTES]);
        let mut upload = store.upload(&name("whole")).await?;
        let (first, second) = (upload.put(piece(1)), upload.put(Bytes::from_static(b"end")));
        // The order is that of the calls.
        second.await?;
        first.await?;
        upload.complete().await?;
        let whole = store.get(&name("whole")).await?.unwrap();
        assert_eq!(
            (whole.len(), whole.slice(call::PART_LEN_BYTES..)),
            (piece(1).len() + 3, "end".into())
        );
        let mut upload = store.upload(&name("given up")).await?;
        upload.put(piece(2)).await?;
        upload.abandon().await;
        assert_eq!(store.get(&name("given up")).await?, None);
        // Two clients of one bucket: the store copies, and a folder is known to be itself.
        let other = open(bucket, "/other");
        assert!(other.share(&name("copy"), &store, &name("whole")).await?);
        assert_eq!(other.get(&name("copy")).await?, Some(whole));
        assert!(open(bucket, "/uploads").is_same(&store) && !other.is_same(&store));
        Ok(())
    })
    .unwrap();
}

/// Many create one object at once: one does.
fn race(bucket: &Bucket) {
    for round in 0..5 {
        let file = name(&format!("race/{round}"));
        let racers = (0..8_u8).map(|number| {
            let (store, file) = (open(bucket, ""), file.clone());
            std::thread::spawn(move || {
                let created = block_on(store.create(&file, Bytes::from(vec![number]))).unwrap();
                matches!(created, Created::Created).then_some(number)
            })
        });
        let racers: Vec<_> = racers.collect();
        let won: Vec<_> = racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect();
        let found = block_on(open(bucket, "").get(&file)).unwrap().unwrap();
        assert_eq!(won, found.to_vec(), "round {round}");
    }
}

/// A bucket that is not there is said so by whatever does not only look for a file.
fn no_bucket(bucket: &Bucket) {
    let none = Bucket { url: format!("{}-none", bucket.url), ..bucket.clone() };
    let (store, file) = (open(&none, "/x"), name("a"));
    let errors = [
        block_on(store.put(&file, Bytes::new())).unwrap_err(),
        block_on(store.get(&file)).unwrap_err(),
        block_on(store.list(None)).unwrap_err(),
        match block_on(store.create(&file, Bytes::new())).unwrap() {
            Created::Unknown(error) => error,
            created => panic!("{created:?}"),
        },
    ];
    for error in errors {
        let text = shown(&error);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(text.contains(&none.url) && text.contains("create it"), "{text}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn a_bucket_of_s3_does_every_call() {
    let Some(bucket) = server::s3("a store on S3") else { return };
    every_call(&bucket);
    uploads(&bucket);
    race(&bucket);
    no_bucket(&bucket);
}

#[cfg(feature = "azure")]
#[test]
fn a_container_of_azure_does_every_call() {
    let Some(bucket) = server::azure("a store on Azure") else { return };
    every_call(&bucket);
    uploads(&bucket);
    race(&bucket);
    no_bucket(&bucket);
}

/// Counts what a server is sent, and answers the first of it otherwise.
fn counted(
    reply: impl Fn(u32, &Request) -> Reply + Send + Sync + 'static,
) -> (String, Arc<AtomicU32>) {
    let sent = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&sent);
    let address =
        serve(move |request| reply(counting.fetch_add(1, Ordering::Relaxed) + 1, request));
    (address, sent)
}

fn busy() -> Reply {
    Reply::Answer(503, "<Error><Code>SlowDown</Code></Error>".to_owned())
}

#[cfg(feature = "aws")]
#[test]
fn what_may_be_done_twice_is_tried_again() {
    let Some(bucket) = server::s3("retries on S3") else { return };
    let server = bucket.address.clone();
    let (address, sent) = counted(move |number, request| match number % 3 {
        1 => busy(),
        2 => Reply::HangUp,
        _ => request.forward(&server),
    });
    let mut through = bucket.clone();
    through.settings[0].1 = format!("http://{address}");
    let (store, file, bytes) = (open(&through, ""), name("a"), Bytes::from_static(b"0123"));
    block_on(async {
        store.put(&file, bytes.clone()).await?;
        assert_eq!(store.get(&file).await?, Some(bytes.clone()));
        assert_eq!(store.get_range(&file, 1..3).await?, Some(bytes.slice(1..3)));
        assert_eq!(store.list(None).await?.len(), 1);
        store.delete(&file).await?;
        assert_eq!(store.head(&file).await?, None);
        Ok(())
    })
    .unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 6 * 3);
}

#[cfg(feature = "aws")]
#[test]
fn what_creates_is_sent_once_and_what_came_of_it_is_read_back() {
    let Some(bucket) = server::s3("lost answers on S3") else { return };
    // After it took effect, or without.
    for (takes_effect, lost) in [
        (true, busy()),
        (true, Reply::HangUp),
        (true, Reply::Silence),
        (false, busy()),
        (false, Reply::HangUp),
        (false, Reply::Silence),
        (
            false,
            Reply::Answer(409, "<Error><Code>ConditionalRequestConflict</Code></Error>".into()),
        ),
    ] {
        let (server, what) = (bucket.address.clone(), format!("{takes_effect} {lost:?}"));
        let (address, sent) = counted(move |number, request| match number {
            1 if takes_effect => {
                let _ = request.forward(&server);
                lost.clone()
            }
            1 => lost.clone(),
            _ => request.forward(&server),
        });
        let mut through = bucket.clone();
        through.settings[0].1 = format!("http://{address}");
        // Where an answer comes, it may take long on a machine that is busy.
        let is_silent = what.contains("Silence");
        let timeout = if is_silent { "300ms" } else { "30s" };
        through.settings.push(("AWS_TIMEOUT", timeout.to_owned()));
        let (store, file, bytes) = (open(&through, ""), name("a"), Bytes::from_static(b"own"));
        let created = block_on(store.create(&file, bytes.clone())).unwrap();
        let Created::Unknown(error) = created else { panic!("{what}: {created:?}") };
        assert_eq!(error.kind(), ErrorKind::Retry, "{what}: {error}");
        assert_eq!(sent.load(Ordering::Relaxed), 1, "{what}");
        let found = block_on(store.get(&file)).unwrap();
        assert_eq!(found, takes_effect.then_some(bytes), "{what}");
        block_on(store.delete(&file)).unwrap();
    }
}

#[cfg(feature = "aws")]
#[test]
fn what_is_wrong_is_said_with_what_to_do_and_without_credentials() {
    let answers = |status: u16, code: &str| {
        // As servers do, it repeats what it was sent.
        let body = format!("<Error><Code>{code}</Code><Message>{KEY} {SECRET}</Message></Error>");
        let (address, _) = counted(move |_, _| Reply::Answer(status, body.clone()));
        at(&address)
    };
    let denied = |store: &Store, kind: ErrorKind, parts: &[&str]| {
        let file = name("a");
        let mut errors = vec![
            block_on(store.put(&file, Bytes::new())).unwrap_err(),
            block_on(store.put(&file, Bytes::from(vec![0; call::PART_LEN_BYTES + 1]))).unwrap_err(),
            block_on(store.get(&file)).unwrap_err(),
            block_on(store.list(None)).unwrap_err(),
            block_on(store.delete(&file)).unwrap_err(),
            block_on(store.digest_within(&file, 1)).unwrap_err(),
        ];
        match block_on(store.create(&file, Bytes::new())).unwrap() {
            Created::Unknown(error) => errors.push(error),
            created => panic!("{created:?}"),
        }
        for error in errors {
            let text = shown(&error);
            assert_eq!(error.kind(), kind, "{text}");
            for part in parts {
                assert!(text.contains(part), "{part:?} is not in {text}");
            }
        }
    };
    let variables = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let store = answers(403, "AccessDenied");
    denied(&store, ErrorKind::Invalid, &["s3://b denies access (403 AccessDenied)", variables]);
    let store = answers(403, "SignatureDoesNotMatch");
    denied(&store, ErrorKind::Invalid, &["does not know the credentials", variables]);
    assert_eq!(format!("{store} {store:?}"), "s3://b/root Store(s3://b/root)");
    // Nobody listens there.
    let store = at("127.0.0.1:9");
    let error = block_on(store.create(&name("a"), Bytes::new())).unwrap();
    let Created::Unknown(error) = error else { panic!("{error:?}") };
    let text = shown(&error);
    assert_eq!(error.kind(), ErrorKind::Retry, "{text}");
    assert!(text.contains("s3://b does not answer") && text.contains("AWS_ENDPOINT_URL"), "{text}");
    // Nor where credentials are asked for.
    let nowhere = "http://127.0.0.1:9";
    let at_nowhere = [
        ("AWS_METADATA_ENDPOINT", nowhere),
        ("AWS_ENDPOINT_URL", nowhere),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    let store = Store::open_with("s3://b", &at_nowhere).unwrap();
    let Created::Unknown(error) = block_on(store.create(&name("a"), Bytes::new())).unwrap() else {
        panic!("created")
    };
    assert!(shown(&error).contains(&format!("no credentials for s3://b: set {variables}")));
    // Plain HTTP is a decision.
    let options = [&options(nowhere)[..1], &options(nowhere)[2..]].concat();
    let store = Store::open_with("s3://b", &options).unwrap();
    let error = block_on(store.get(&name("a"))).unwrap_err();
    let text = shown(&error);
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    assert!(text.contains("set AWS_ALLOW_HTTP=true"), "{text}");
}

#[test]
fn a_url_has_no_credentials_and_is_not_shown_with_any() {
    let cases = [
        "s3://KEY:hush@b/x",
        "s3://KEY:hu/sh@b/x",
        "s3://hush@b/x",
        "gs://KEY:hush@b",
        "abfss://c:hush@account.dfs.core.windows.net/x",
        "az://c/x?sig=hush",
        "s3://b/x#hush",
        "http://KEY:hush@b/x",
    ];
    for url in cases {
        let error = Store::open(url).unwrap_err();
        let text = shown(&error);
        assert!(!text.contains("hush") && !text.contains("sh@"), "{url}: {text}");
        let kinds = [ErrorKind::Invalid, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind()), "{url}: {text}");
    }
    for url in ["s3://b/a@b", "abfss://c@account.dfs.core.windows.net/x", "az://c/x"] {
        assert_eq!(crate::store::shown(url), url);
    }
}

#[cfg(all(feature = "aws", feature = "azure", feature = "gcp"))]
#[test]
fn urls_name_a_bucket_and_a_path_in_it() {
    let opened = [
        ("s3://b", "s3://b/"),
        ("s3a://b/", "s3://b/"),
        ("s3://b/a/b c/%C3%BC/", "s3://b/a/b c/ü"),
        ("gs://b/a", "gs://b/a"),
        ("az://c/a", "az://c/a"),
        ("abfs://c/a", "az://c/a"),
        ("abfss://c@account.dfs.core.windows.net/a", "abfss://c@account.dfs.core.windows.net/a"),
    ];
    for (url, shown) in opened {
        let options: &[_] = match url.starts_with("a") {
            true => {
                &[("AZURE_STORAGE_ACCOUNT_NAME", "account"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")]
            }
            false => &[],
        };
        let store = Store::open_with(url, options).unwrap();
        assert_eq!(store.to_string(), shown);
        let below = store.below(&name("below"));
        assert_eq!(below.to_string(), format!("{}/below", shown.trim_end_matches('/')));
        assert!(store.is_same(&Store::open_with(url, options).unwrap()) && !store.is_same(&below));
    }
    let wrong = [
        ("s3://", "bucket"),
        ("s3:///x", "bucket"),
        ("s3://b//x", "empty"),
        ("s3://b/../../x", ""),
        ("gs://b?x", "nothing follows"),
        ("abfss://c@account.example/x", ""),
    ];
    for (url, part) in wrong {
        let Err(error) = Store::open(url) else { continue };
        let text = shown(&error);
        assert_eq!(
            (error.kind(), text.contains(part)),
            (ErrorKind::Invalid, true),
            "{url}: {text}"
        );
    }
    let refused = |options: &[(&str, &str)], parts: &[&str]| {
        let error = Store::open_with("s3://b", options).unwrap_err();
        let text = shown(&error);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    refused(&[("AWS_NO_SUCH", SECRET)], &["no option of S3 is called `AWS_NO_SUCH`"]);
    refused(&[("AWS_ACCESS_KEY_ID", KEY)], &["settings are wrong", "SecretAccessKey"]);
    refused(&[("AWS_ALLOW_HTTP", "maybe")], &["settings are wrong", "maybe"]);
    let key = [("GOOGLE_SERVICE_ACCOUNT_KEY", SECRET)];
    let error = Store::open_with("gs://b", &key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{}", shown(&error));
    // Settings of other servers make other buckets of one name.
    let one = Store::open_with("s3://b", &options("http://127.0.0.1:1")).unwrap();
    let two = Store::open_with("s3://b", &options("http://127.0.0.1:2")).unwrap();
    assert!(!one.is_same(&two));
    let local = Store::open_with("memory://", &key).unwrap_err();
    assert!(shown(&local).contains("only a bucket has settings"));
}

/// A server that goes away in the middle of a file: what is left of it is fetched.
#[cfg(feature = "aws")]
#[test]
fn a_file_that_breaks_off_is_fetched_to_its_end_or_not_at_all() {
    let Some(bucket) = server::s3("files that break off, on S3") else { return };
    let store = open(&bucket, "");
    let (file, bytes) = (name("a"), Bytes::from(vec![7; 300_000]));
    block_on(store.put(&file, bytes.clone())).unwrap();
    let (server, asked) = (bucket.address.clone(), Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&asked);
    let address = serve(move |request| {
        *seen.lock().unwrap() += 1;
        let Reply::Bytes(mut answer) = request.forward(&server) else { return Reply::HangUp };
        if *seen.lock().unwrap() == 1 {
            answer.truncate(100_000);
        }
        Reply::Bytes(answer)
    });
    let mut through = bucket.clone();
    through.settings[0].1 = format!("http://{address}");
    let store = open(&through, "");
    match block_on(store.get(&file)) {
        Ok(found) => assert_eq!(found, Some(bytes)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Retry, "{}", shown(&error)),
    }
}
