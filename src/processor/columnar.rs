//! Canonical lines as rows of a Parquet file, and the way back.
//!
//! The columns are those of CSV, by the same names: `operator`, `state` and `kind` are text, each of the
//! others is JSON text, or numbers or booleans where every state that a file is of has such
//! (SPEC.md, "Canonical dump"). A null is what nothing is in CSV: JSON's null, or what a line does not have.
//!
//! What decodes Parquet is somebody else's code, which may panic at bytes that anyone may have written. Sizes are looked
//! at before it gets memory for them, and its panics are caught and become errors, unless a program aborts at panics;
//! what prints them is the program's panic hook, which may ask for [`is_contained`].
//!
//! ```
//! # use esker::format::canonical::Line;
//! # use esker::processor::columnar::{Rows, Writer, shapes};
//! # use esker::processor::load::{Bootstrap, Template};
//! # use esker::state::{ProgramSchema, ValueDescriptor};
//! # let mut program = ProgramSchema::default();
//! # program.keyed("carriers", &ValueDescriptor::<String, u64>::new("flights"))?;
//! # let template = Template::of_schema(program.file(), "delays");
//! # let lines = [
//! #     r#"{"operator":"carriers","state":"flights","kind":"value","key":"AA","namespace":null,"value":7}"#,
//! # ];
//! let mut file = tempfile::tempfile()?;
//! let operators = &template.manifest().operators;
//! let states = operators.iter().flat_map(|o| o.states.iter().map(|state| (o.key.as_ref(), state)));
//! let mut writer = Writer::new(&mut file, &shapes(states))?;
//! for line in lines {
//!     writer.write(&Line::parse(line)?)?;
//! }
//! writer.finish()?;
//!
//! let mut bootstrap = Bootstrap::new(&template, None)?;
//! bootstrap.read(Rows::open(file)?, &mut |_rows| {})?;
//! assert_eq!(bootstrap.finish()?.problems(), []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod column;
mod contain;
mod footer;
mod pages;
mod read;
mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
mod thrift;
mod write;

pub use contain::is_contained;
pub use read::Rows;
pub use shape::{Shape, Shapes, shapes};
pub use write::Writer;

/// So many columns at the front are text, and never null: operator, state, kind.
const HEAD: usize = 3;
