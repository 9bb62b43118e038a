//! Parts that hold a database of a backend's own in place of runs.

use esker::format::part::Native;
use esker::{Error, ErrorKind};

/// Why its entries cannot be shown.
pub(crate) fn unreadable(native: &Native) -> Error {
    let message = format!(
        "the keyed state is a database of {}, whose files are checked, and whose entries this tool \
         does not read yet: restore it with that backend, and take a savepoint",
        native.engine
    );
    Error::new(ErrorKind::Unsupported, message)
}
