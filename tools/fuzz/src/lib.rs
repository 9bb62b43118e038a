//! What must hold for whatever bytes the decoders of `esker-format` and `esker-flink` are given (I9).
//!
//! A body takes any bytes, decodes them, and panics if a promise is broken: what decodes encodes to
//! something that decodes to the same, and memory stays in proportion to the input. libFuzzer calls
//! the bodies from `fuzz/`; `tests/smoke.rs` calls them with seeded mutations of the golden files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a body reports a finding")]

mod entry;
mod file;
mod flink;
pub mod mutate;
mod run;
mod schema_file;
mod seeds;
mod small;
mod typed;
mod value;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a body may allocate at one time for each byte of input, and whatever the input.
const BYTES_PER_INPUT_BYTE: usize = 64;
const BYTES_ALWAYS: usize = 64 << 20;
/// Where columns are unpacked: as far as zstd reaches, in a block and in the one written anew.
const BYTES_PER_PACKED_BYTE: usize = 4 << 15;

/// A decoder, and what it must do with any bytes.
pub struct Target {
    /// The name, also that of the libFuzzer target.
    pub name: &'static str,
    body: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "canonical", body: entry::canonical, seeds: entry::seeds },
    Target { name: "composite_key", body: small::composite_key, seeds: seeds::composite_keys },
    Target { name: "flink_serializer", body: flink::serializer, seeds: flink::serializer_seeds },
    Target { name: "flink_value", body: flink::value, seeds: flink::value_seeds },
    Target { name: "layout", body: file::layout, seeds: file::layout_seeds },
    Target { name: "list", body: small::list, seeds: small::list_seeds },
    Target { name: "log_record", body: file::log_record, seeds: seeds::log_records },
    Target { name: "manifest", body: file::manifest, seeds: seeds::manifests },
    Target { name: "migrate", body: typed::migrate, seeds: value::seeds },
    Target { name: "name", body: small::name, seeds: small::name_seeds },
    Target { name: "part", body: file::part, seeds: seeds::parts },
    Target { name: "run", body: run::run, seeds: seeds::runs },
    Target { name: "run_block", body: run::block, seeds: run::block_seeds },
    Target { name: "run_filter", body: run::filter, seeds: run::filter_seeds },
    Target { name: "run_index", body: run::index, seeds: run::index_seeds },
    Target { name: "schema_file", body: schema_file::schema_file, seeds: schema_file::seeds },
    Target { name: "sealed", body: file::sealed, seeds: seeds::sealed },
    Target { name: "typed", body: typed::typed, seeds: typed::seeds },
    Target { name: "value", body: value::value, seeds: value::seeds },
    Target { name: "value_json", body: value::json, seeds: value::json_seeds },
];

impl Target {
    /// The target `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Inputs to begin with: golden files, or what they hold.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    /// Gives `input` to the decoder. Only one thread may do so at a time, as memory is counted for
    /// the process.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn run(&self, input: &[u8]) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        (self.body)(input);
        let peak = ALLOCATOR.peak_usage().saturating_sub(before);
        let packed = matches!(self.name, "layout" | "run" | "run_block");
        let each = if packed { BYTES_PER_PACKED_BYTE } else { BYTES_PER_INPUT_BYTE };
        let allowed = input.len().saturating_mul(each).saturating_add(BYTES_ALWAYS);
        assert!(peak <= allowed, "{peak} bytes of memory for {} bytes of input", input.len());
    }
}

/// Gives `input` to the target `name`: what a libFuzzer target calls.
///
/// # Panics
/// If there is no such target, or a promise is broken.
pub fn run(name: &str, input: &[u8]) {
    Target::named(name).unwrap().run(input);
}
