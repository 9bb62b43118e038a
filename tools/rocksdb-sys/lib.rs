//! RocksDB's C interface, as bindgen read it when the library was compiled.
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(clippy::all, missing_docs)]

// Linked, as RocksDB calls them; no Rust does.
extern crate lz4_sys;
extern crate zstd_sys;

include!(env!("ESKER_ROCKSDB_BINDINGS"));
