//! What lines are loaded into, of a schema file.

use esker::format::FormatErrorKind;
use esker::format::schema_file::{SCHEMA_FILE_LEN_BYTES_MAX, SchemaFile};
use esker::processor::load::Template;
use esker::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::Read;

/// What the schema file at `path` has, for checkpoint 1 of the job `job`.
///
/// # Errors
/// `Retry` if there is no such file; `Unsupported` if it is no schema file, or a newer one.
pub(crate) fn of_schema(path: &str, job: &str) -> Result<Template> {
    let unreadable = |error: std::io::Error| Error::new(ErrorKind::Retry, error.to_string());
    let refused = |message: String| Error::new(ErrorKind::Unsupported, message);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SCHEMA_FILE_LEN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        refused(format!("schema file: no text in UTF-8, from byte {at} on"))
    })?;
    let file = SchemaFile::parse(&text).map_err(|error| match error.kind {
        FormatErrorKind::UnsupportedVersion => refused(format!("{error}: use a newer esker")),
        _ => refused(error.to_string()),
    })?;
    Ok(Template::of_schema(&file, job))
}
