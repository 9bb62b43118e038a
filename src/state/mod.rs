//! What a program says of its states: name, kind, types. Handles to them are a backend's.

mod descriptor;
mod id;

pub use descriptor::{Described, ValueDescriptor};
pub(crate) use descriptor::{check_stored, key_info};
pub(crate) use id::StateIds;
