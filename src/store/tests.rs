use super::fault::{FaultStore, Operation, When};
use super::*;
use bytes::Bytes;
use esker_format::Digest;
use std::sync::Mutex;

pub(super) fn name(text: &str) -> RelativeName {
    RelativeName::new(text).unwrap()
}

/// Every call once, on a store that is empty.
pub(super) async fn exercise(store: &Store) -> Result<()> {
    let (small, large) = (name("a/small"), name("a/b/large"));
    assert_eq!(store.get(&small).await?, None);
    assert_eq!(store.head(&small).await?, None);
    assert_eq!(store.get_range(&small, 0..1).await?, None);
    store.delete(&small).await?;
    assert_eq!(store.list(None).await?, []);

    store.put(&small, Bytes::from_static(b"0123456789")).await?;
    let bytes: Bytes = (0..2 * call::PART_LEN_BYTES + 7).map(|i| (i >> 13) as u8).collect();
    store.put(&large, bytes.clone()).await?;
    assert_eq!(store.get(&large).await?.as_ref(), Some(&bytes));
    assert_eq!(store.head(&large).await?, Some(bytes.len() as u64));
    let start = call::PART_LEN_BYTES as u64 - 1;
    let part = store.get_range(&large, start..start + 3).await?;
    assert_eq!(part, Some(bytes.slice(start as usize..start as usize + 3)));

    let ranges = store.get_ranges(&small, &[8..10, 3..3, 0..2]).await?.unwrap();
    assert_eq!(ranges, ["89", "", "01"].map(Bytes::from));
    let short = store.get_range(&small, 8..11).await.unwrap_err();
    assert_eq!(
        (short.kind(), short.path().unwrap().ends_with("small")),
        (ErrorKind::Corrupt, true)
    );
    for range in [11..12, 10..u64::MAX, 9..11, 11..11] {
        let short = store.get_range(&small, range.clone()).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::Corrupt, "{range:?}");
        let short = store.get_ranges(&small, &[0..1, range]).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::Corrupt);
    }
    assert_eq!(store.get_range(&small, 10..10).await?, Some(Bytes::new()));
    assert_eq!(store.get_within(&small, 9).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(store.get_within(&small, 10).await?.is_some());

    assert_eq!(store.digest_within(&name("a/none"), 1).await?, None);
    let longer = store.digest_within(&small, 9).await.unwrap_err();
    assert_eq!(longer.kind(), ErrorKind::Corrupt);
    assert_eq!(store.digest_within(&small, 10).await?, Some(Digest::of(b"0123456789")));
    assert_eq!(store.digest_within(&large, u64::MAX).await?, Some(Digest::of(&bytes)));

    let created = store.create(&name("c"), Bytes::from_static(b"1")).await?;
    assert!(matches!(created, Created::Created), "{created:?}");
    let created = store.create(&name("c"), Bytes::from_static(b"2")).await?;
    assert!(matches!(created, Created::AlreadyExists), "{created:?}");
    assert_eq!(store.get(&name("c")).await?, Some(Bytes::from_static(b"1")));

    let below = store.below(&name("a"));
    assert_eq!(below.list(Some(&name("b"))).await?, [(name("b/large"), bytes.len() as u64)]);
    assert_eq!(below.get(&name("small")).await?.map(|bytes| bytes.len()), Some(10));
    assert_eq!(store.list(None).await?.len(), 3);
    store.delete(&small).await?;
    store.delete(&small).await?;
    assert_eq!(below.list(None).await?, [(name("b/large"), bytes.len() as u64)]);
    Ok(())
}

fn local() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("new/root").to_str().unwrap()).unwrap();
    (folder, store)
}

#[test]
fn a_store_in_memory_does_every_call() {
    block_on(exercise(&Store::open("memory://").unwrap())).unwrap();
    let objects = Arc::new(InMemory::new());
    block_on(exercise(&Store::from_object_store(objects, Some(&name("root/below"))))).unwrap();
}

#[test]
fn a_folder_does_every_call_without_a_runtime() {
    let (_folder, store) = local();
    block_on(exercise(&store)).unwrap();
    // A foreign executor, no runtime entered: the calls do their I/O inline.
    let (_folder, store) = local();
    futures::executor::block_on(exercise(&store)).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_folder_does_every_call_on_one_thread() {
    let (_folder, store) = local();
    exercise(&store).await.unwrap();
    // Blocks the only thread of the runtime, and must end nevertheless.
    let (_folder, store) = local();
    block_on(exercise(&store)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_does_every_call_on_many_threads() {
    let (_folder, store) = local();
    tokio::spawn(async move { exercise(&store).await }).await.unwrap().unwrap();
}

#[test]
fn waiting_needs_no_timers_of_the_caller() {
    let wait = std::time::Duration::from_millis(5);
    futures::executor::block_on(sleep(wait)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(sleep(wait)).unwrap();
}

#[test]
fn urls_open_what_they_name_or_say_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path().join("a b")).unwrap();
    let store = Store::open(url.as_str()).unwrap();
    block_on(store.put(&name("x"), Bytes::new())).unwrap();
    assert!(folder.path().join("a b/x").is_file());

    let cloud = [
        ("s3://bucket/x", "aws", cfg!(feature = "aws")),
        ("gs://bucket", "gcp", cfg!(feature = "gcp")),
        ("az://c/d", "azure", cfg!(feature = "azure")),
        ("https://a/b", "http", false),
    ];
    for (url, feature, has_client) in cloud {
        if has_client {
            continue;
        }
        let error = Store::open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("`{feature}`")), "{error}");
    }
    for url in ["ftp://a/b", "://", "file://host/a"] {
        assert_eq!(Store::open(url).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
    }
    let file = folder.path().join("a b/x");
    let error = Store::open(file.to_str().unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Invalid, file.to_str()));
}

#[test]
fn names_are_stored_as_they_are() {
    let (folder, store) = local();
    for text in ["a%2e%2e", "ü ~b", "x#y", "[z]{}*"] {
        block_on(store.put(&name(text), Bytes::from_static(b"v"))).unwrap();
        assert!(folder.path().join("new/root").join(text).is_file(), "{text}");
    }
    assert_eq!(block_on(store.list(None)).unwrap().len(), 4);
    // What `object_store` stages under such a name cannot be told from a file.
    let error = block_on(store.put(&name("x#1"), Bytes::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn half_written_files_are_found_and_hidden_from_lists() {
    let (folder, store) = local();
    let staged = folder.path().join("new/root/shared/3/x.run#12");
    std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
    std::fs::write(&staged, b"half").unwrap();
    assert_eq!(block_on(store.list(None)).unwrap(), []);
    let mut found = block_on(store.below(&name("shared")).leftovers()).unwrap();
    assert_eq!(found.len(), 1);
    let leftover = found.remove(0);
    assert_eq!(leftover.name, name("3/x.run"));
    block_on(leftover.clone().remove()).unwrap();
    block_on(leftover.remove()).unwrap();
    assert!(!staged.exists());
    block_on(store.remove_empty_folder(&name("shared"))).unwrap();
    assert_eq!(block_on(store.folders(Some(&name("shared")))).unwrap(), ["3"]);
    block_on(store.remove_empty_folder(&name("shared/3"))).unwrap();
    assert!(block_on(store.folders(Some(&name("shared")))).unwrap().is_empty());
}

fn faulty(store: Store) -> (FaultStore, Store) {
    let fault = FaultStore::new(Arc::clone(&store.objects));
    let wrapped = store.map_object_store(|_| Arc::new(fault.clone()));
    (fault, wrapped)
}

#[test]
fn a_put_that_fails_in_any_call_leaves_no_half_file() {
    let bytes = Bytes::from(vec![7; call::PART_LEN_BYTES + 1]);
    // begin, two parts, complete
    for (number, when) in
        [1, 2, 3, 4].into_iter().flat_map(|k| [(k, When::Before), (k, When::After)])
    {
        let (_folder, store) = local();
        let (fault, store) = faulty(store);
        fault.fail_at(number, when);
        let aborts = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&aborts);
        fault.on_call(move |call| {
            *seen.lock().unwrap() += u32::from(call.operation == Operation::Abort);
        });
        let error = block_on(store.put(&name("x"), bytes.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert_eq!(*aborts.lock().unwrap(), u32::from(number > 1), "abandoned at once");
        assert_eq!(block_on(store.leftovers()).unwrap(), [], "call={number} {when:?}");
        let there = (number, when) == (4, When::After);
        assert_eq!(block_on(store.head(&name("x"))).unwrap().is_some(), there);
        block_on(store.put(&name("x"), bytes.clone())).unwrap();
        assert_eq!(block_on(store.get(&name("x"))).unwrap(), Some(bytes.clone()));
    }
}

#[test]
fn what_a_device_does_not_give_back_is_damage_and_may_be_tried_again() {
    let (fault, store) = faulty(Store::open("memory://").unwrap());
    let (file, whole) = (name("a"), Bytes::from_static(b"0123456789"));
    block_on(store.put(&file, whole.clone())).unwrap();
    fault.lose("a", 4..5);
    for error in [
        block_on(store.get(&file)).unwrap_err(),
        block_on(store.get_range(&file, 0..5)).unwrap_err(),
        block_on(store.get_range(&file, 4..5)).unwrap_err(),
        block_on(store.get_ranges(&file, &[0..1, 3..6])).unwrap_err(),
        block_on(store.digest_within(&file, 10)).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.path()), (ErrorKind::Retry, Some("a")));
        let text = error.to_string();
        assert!(text.starts_with("cannot read the file: ") && text.contains("os error"), "{text}");
        assert!(error.is_damage() && error.again().is_damage());
    }
    assert_eq!(block_on(store.get_range(&file, 0..4)).unwrap().unwrap(), whole.slice(..4));
    assert_eq!(block_on(store.get_range(&file, 5..10)).unwrap().unwrap(), whole.slice(5..));
    assert_eq!(block_on(store.head(&file)).unwrap(), Some(10));
    // What may pass is none, nor what is not allowed.
    fault.fail_at(fault.call_count() + 1, When::Before);
    let error = block_on(store.get_range(&file, 0..1)).unwrap_err();
    assert!(error.kind() == ErrorKind::Retry && !error.is_damage(), "{error}");
    fault.fail_always(true);
    let error = block_on(store.get(&file)).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && !error.is_damage(), "{error}");
}

#[test]
fn faults_count_tell_pause_and_delay() {
    let (fault, store) = faulty(Store::open("memory://").unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    fault.on_call(move |call| {
        seen.lock().unwrap().push((call.operation, call.path.clone(), call.len_bytes));
    });
    fault.fail_at(2, When::After);
    block_on(store.put(&name("a"), Bytes::from_static(b"1"))).unwrap();
    let created = block_on(store.create(&name("b"), Bytes::from_static(b"22"))).unwrap();
    assert!(matches!(created, Created::Unknown(_)));
    assert_eq!(block_on(store.head(&name("b"))).unwrap(), Some(2));
    assert_eq!(fault.call_count(), 3);
    let expected =
        [(Operation::Put, "a", 1), (Operation::Create, "b", 2), (Operation::Get, "b", 0)];
    assert_eq!(*calls.lock().unwrap(), expected.map(|(o, path, len)| (o, path.to_owned(), len)));

    fault.pause_puts();
    let (other, paused) = (store.clone(), name("c"));
    let put = std::thread::spawn(move || block_on(other.put(&paused, Bytes::new())));
    while fault.call_count() < 4 {
        std::thread::yield_now();
    }
    assert_eq!(block_on(store.head(&name("c"))).unwrap(), None);
    fault.release_puts();
    put.join().unwrap().unwrap();
    assert_eq!(block_on(store.head(&name("c"))).unwrap(), Some(0));

    fault.delay_deletes();
    assert_eq!(block_on(store.delete(&name("a"))).unwrap_err().kind(), ErrorKind::Retry);
    assert!(block_on(store.head(&name("a"))).unwrap().is_some());
    futures::executor::block_on(fault.apply_deletes()).unwrap();
    assert_eq!(block_on(store.head(&name("a"))).unwrap(), None);
}

/// Where a runtime is entered, a local file is read by another thread.
#[test]
fn a_folder_is_read_on_the_thread_that_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let entered = |store: &Store| {
        store.block_on(async { Ok(tokio::runtime::Handle::try_current().is_ok()) }).unwrap()
    };
    assert!(!entered(&store) && !entered(&store.below(&name("a"))));
    store.block_on(store.put(&name("a/b"), Bytes::from_static(b"0123"))).unwrap();
    let read = store.block_on(store.get_range(&name("a/b"), 1..3)).unwrap();
    assert_eq!(read, Some(Bytes::from_static(b"12")));
    // What is put around it may wait by a runtime's clock.
    assert!(entered(&store.map_object_store(|objects| objects)));
    assert!(entered(&Store::open("memory://").unwrap()));
}
