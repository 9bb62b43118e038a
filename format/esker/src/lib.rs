//! esker's bytes to values and back: no I/O, no async, no clock, no `unsafe`.
//!
//! `SPEC.md` beside this crate is the normative text; each module names its section.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod canonical;
pub mod codec;
pub mod composite;
pub mod digest;
mod dirs;
mod error;
pub mod frame;
pub mod key_group;
pub mod layout;
pub mod list;
pub mod manifest;
pub mod name;
pub mod part;
pub mod record;
pub mod run;
pub mod schema;
pub mod schema_file;

pub use codec::{Bincode, CodecId, Key, Migration, Ordered, OrderedKey, ValueCodec};
pub use digest::Digest;
pub use error::{FormatError, FormatErrorKind, Result};
pub use key_group::{KeyGroup, KeyGroupRange};
pub use name::RelativeName;
pub use record::Record;
pub use schema::{
    Schema, Value, check_sample, decode_as_written, decode_value, encode_value, migrate, trace,
};
