//! Savepoints made of entries that come from somewhere else, so that a job begins with state: of a program's own types,
//! of values whose types are known as schemas alone, or in a file that `esker dump` wrote, or any program in its shape
//! (SPEC.md, "Canonical dump").
//!
//! A [`Template`] says what operators, states and types there are; a [`Bootstrap`] takes entries in any order and sorts
//! them outside of memory; what it gives is [written](SortedEntries::write) as a savepoint, to be restored by any
//! backend at any parallelism.
//!
//! ```
//! use esker::processor::load::{Bootstrap, Template};
//! use esker::snapshot::SnapshotSettings;
//! use esker::state::{ListDescriptor, OperatorListDescriptor, ProgramSchema, ValueDescriptor};
//! use esker::{Store, block_on};
//!
//! let flights = ValueDescriptor::<String, u64>::new("flights");
//! let late = ListDescriptor::<String, i64>::new("late");
//! let offsets = OperatorListDescriptor::<u64>::split("offsets");
//! let mut program = ProgramSchema::default();
//! program.keyed("carriers", &flights)?.keyed("carriers", &late)?.operator("source", &offsets)?;
//! let template = Template::of_schema(program.file(), "delays");
//!
//! // Four subtasks for each operator.
//! let mut bootstrap = Bootstrap::new(&template, Some(4))?;
//! let flights = bootstrap.open("carriers", &flights)?;
//! let late = bootstrap.open("carriers", &late)?;
//! let offsets = bootstrap.open("source", &offsets)?;
//! for (carrier, delays_min) in [("UA", vec![12, -3]), ("AA", vec![7])] {
//!     bootstrap.put(&flights, &(carrier.to_owned(), (), delays_min.len() as u64))?;
//!     bootstrap.put(&late, &(carrier.to_owned(), (), delays_min))?;
//! }
//! bootstrap.put(&offsets, &4711)?;
//!
//! let (target, settings) = (Store::open("memory://")?, SnapshotSettings::default());
//! let sorted = bootstrap.finish()?;
//! let written = block_on(sorted.write(&target, &settings, &|_entries| {}))?;
//! assert_eq!(written.entries, 6);
//! # Ok::<(), esker::Error>(())
//! ```
//!
//! Lines of JSON, rows of CSV by [`Csv`], and with the feature `parquet` those of Parquet by `processor::columnar::Rows`;
//! here by the types of a schema file, as `esker schema` prints it:
//!
//! ```
//! # use esker::processor::load::{Bootstrap, Csv, Jsonl, Template};
//! # use esker::format::schema_file::SchemaFile;
//! let schema = SchemaFile::parse(
//!     r#"{"esker-schema": 1, "operators": [{"uid": "carriers", "key": {"codec": "ordered", "schema": "string"},
//!         "states": [{"name": "flights", "kind": "value", "value": {"codec": "bincode2", "schema": "u64"}}]}]}"#,
//! )?;
//! let template = Template::of_schema(&schema, "delays");
//! // Or std::io::BufReader::new(std::fs::File::open("lines.jsonl")?).
//! let lines = r#"{"operator":"carriers","state":"flights","kind":"value","key":"AA","namespace":null,"value":7}
//! {"operator":"carriers","state":"flights","kind":"value","key":"UA","namespace":null,"value":-5}
//! "#;
//! let rows = "operator,state,kind,key,namespace,userKey,value,ttl\n\
//!             carriers,flights,value,\"\"\"B6\"\"\",,,9,\n";
//! let mut bootstrap = Bootstrap::new(&template, None)?;
//! bootstrap.read(Jsonl::new(lines.as_bytes()), &mut |_lines| {})?;
//! bootstrap.read(Csv::new(rows.as_bytes()), &mut |_rows| {})?;
//! // What is wrong with lines is told at the end, all of it, and then nothing can be written.
//! let sorted = bootstrap.finish()?;
//! assert_eq!(
//!     sorted.problems()[0].to_string(),
//!     "line 2, column 93: carriers/flights: value: expected u64, 0 to 18446744073709551615, found -5"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bootstrap;
mod csv_rows;
mod line;
mod problem;
mod sorted;
mod spool;
mod take;
mod template;
mod text;
mod typed;

pub use crate::format::canonical::{DynamicEntry, Line};
pub use bootstrap::{Bootstrap, ReadError};
pub use csv_rows::Csv;
pub use problem::{Place, Problem};
pub use sorted::SortedEntries;
pub use template::Template;
pub use text::{COLUMNS, Input, Jsonl, Read, Unit, WrongLine};
pub use typed::{OpenState, TypedState};
