//! Schemas: the shape of keys and values, so that bytes can be read without the program that wrote
//! them (SPEC.md, "Schemas").

mod def;
mod distinct;
mod edit;
mod fit;
#[cfg(test)]
mod fit_tests;
mod json;
mod migrate;
#[cfg(test)]
mod migrate_tests;
mod name;
mod parse;
mod place;
#[cfg(test)]
mod place_tests;
mod read;
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod trace_de;
mod trace_variant;
mod trace_visit;
mod value;
mod write;

pub use def::{Field, Schema, Shape, Variant};
pub use edit::FieldEdit;
pub use migrate::migrate;
pub use name::Name;
pub use place::Place;
pub use read::decode_value;
pub use sample::check_sample;
pub use trace::trace;
pub use value::Value;
pub use write::encode_value;
