//! Where lines are loaded from, and the schema file that says their types.

mod origin;
mod quiet;
mod schema;

pub(crate) use origin::{Format, Origin};
pub(crate) use schema::of_schema;
