//! esker's bytes to values and back: no I/O, no async, no clock, no `unsafe`.
//!
//! `SPEC.md` beside this crate is the normative text; each module names its section.
#![forbid(unsafe_code)]

mod error;
pub mod key_group;

pub use error::{FormatError, FormatErrorKind, Result};
pub use key_group::{KeyGroup, KeyGroupRange};
