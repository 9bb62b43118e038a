//! Schemas: the shape of keys and values, so that bytes can be read without the program that wrote
//! them (SPEC.md, "Schemas").

mod all_written;
mod compare;
mod compare_parts;
mod def;
mod distinct;
mod edit;
mod fit;
#[cfg(test)]
mod fit_tests;
mod json;
mod made_up;
mod migrate;
mod migrate_parts;
#[cfg(test)]
mod migrate_tests;
mod name;
mod parse;
mod path;
mod place;
#[cfg(test)]
mod place_tests;
mod probe;
mod read;
mod reads;
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod trace_de;
mod trace_variant;
mod trace_visit;
#[cfg(test)]
mod types_tests;
mod value;
mod write;

pub(crate) use all_written::AllWritten;
pub use compare::{Change, Fate, compare};
pub use def::{Field, Schema, Shape, Variant};
pub use edit::FieldEdit;
pub use json::{write_json_char, write_json_string};
pub use migrate::migrate;
pub(crate) use migrate::migrate_to;
pub use name::Name;
pub(crate) use path::opaque_path;
pub use place::Place;
pub use read::{decode_as_written, decode_value};
pub use reads::{Reads, reads};
pub use sample::check_sample;
pub use trace::trace;
pub use value::Value;
pub use write::encode_value;
