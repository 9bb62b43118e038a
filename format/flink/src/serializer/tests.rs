#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod avro;
mod goldens;
mod hostile;
mod made;
mod values;
