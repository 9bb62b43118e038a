//! The store that the tests of a whole run are on.

use esker::Store;
use esker_test_support::server::{self, Bucket};

/// A store of the kind that `ESKER_TESTS_STORE` names, empty and of nobody else: in memory where nothing is said,
/// `s3` or `azure` for a bucket of a server that this process starts.
///
/// # Panics
/// If it names another, or the server is not there.
#[must_use]
pub fn new_store() -> Store {
    new_store_with_bucket().0
}

/// As [`new_store`], with the bucket that it is in.
///
/// # Panics
/// As [`new_store`].
#[must_use]
pub fn new_store_with_bucket() -> (Store, Option<Bucket>) {
    let bucket = server::chosen();
    let store = match &bucket {
        None => Store::open("memory://"),
        Some(bucket) => Store::open_with(&bucket.url, &bucket.options()),
    };
    (store.unwrap(), bucket)
}
