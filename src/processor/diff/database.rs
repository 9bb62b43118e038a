//! Parts that hold a database of a backend's own in place of runs.

#[cfg(not(feature = "rocksdb"))]
mod absent;
#[cfg(feature = "rocksdb")]
mod rocks;

#[cfg(not(feature = "rocksdb"))]
pub(super) use absent::Database;
#[cfg(feature = "rocksdb")]
pub(super) use rocks::Database;

use super::States;
use crate::{Error, ErrorKind};
use esker_format::Digest;
use esker_format::part::{Native, NativeFile, Part};

/// The one whose files are known: each state has its own, and there is no log.
const KNOWN: &str = "rocksdb";

/// Whether both parts hold the same files of a state, under the same names.
pub(super) fn are_same(parts: [Option<&Part>; 2], states: States<'_>) -> bool {
    let ([Some(a), Some(b)], [Some(in_a), Some(in_b)]) = (parts, states) else { return false };
    let (Some(native_a), Some(native_b)) = (&a.native, &b.native) else { return false };
    in_a.id == in_b.id
        && [native_a, native_b].iter().all(|native| native.engine == KNOWN)
        && files(native_a, in_a.id) == files(native_b, in_b.id)
}

fn files(native: &Native, id: u32) -> Vec<(&str, Digest)> {
    let of_state = |file: &&NativeFile| file.holds.is_some_and(|(state, _)| state == id);
    let files = native.files.iter().filter(of_state);
    files.map(|file| (file.local.as_str(), file.digest)).collect()
}

/// Why entries of a database cannot be compared.
fn unreadable(native: &Native) -> Error {
    let Native { engine, .. } = native;
    let message = if engine == KNOWN {
        "the keyed state is a database of rocksdb, whose entries need an esker that is built with the \
         feature rocksdb"
            .to_owned()
    } else {
        format!(
            "the keyed state is a database of {engine:?}, whose entries this esker cannot read: restore \
             it with that backend, and take a savepoint"
        )
    };
    Error::new(ErrorKind::Unsupported, message)
}
