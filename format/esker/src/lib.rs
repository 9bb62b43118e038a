//! esker's bytes to values and back: no I/O, no async, no clock, no `unsafe`.
//!
//! `SPEC.md` beside this crate is the normative text; each module names its section.
#![forbid(unsafe_code)]

pub mod codec;
mod error;
pub mod key_group;
pub mod schema;

pub use codec::{Bincode, CodecId, Key, Ordered, OrderedKey, ValueCodec};
pub use error::{FormatError, FormatErrorKind, Result};
pub use key_group::{KeyGroup, KeyGroupRange};
pub use schema::{Schema, Value, check_sample, decode_value, encode_value, migrate, trace};
