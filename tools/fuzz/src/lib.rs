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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a body may allocate at one time for each byte of input, and whatever the input.
const BYTES_PER_INPUT_BYTE: usize = 64;
const BYTES_ALWAYS: usize = 64 << 20;
/// Where columns are unpacked: as far as zstd reaches, in a block and in the one written anew.
const BYTES_PER_PACKED_BYTE: usize = 4 << 15;

/// Inputs up to this length are decoded within [`BYTES_ALWAYS`] alone, where a body asks for that by [`decoding`].
const BOUNDED_LEN_BYTES: usize = 1 << 20;
/// The most memory in use within a body before its last [`decoding`] began.
static PEAK_BEFORE: AtomicUsize = AtomicUsize::new(0);

/// The dearest decodings of each target, in the order of [`TARGETS`].
static COSTS: Mutex<[Costs; TARGETS.len()]> = Mutex::new([Costs::NONE; TARGETS.len()]);
/// Which target runs.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// What the dearest decodings of a target cost, of bodies that say where a decoding begins and ends.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// The most memory that was in use at a time, in bytes.
    pub peak_bytes: usize,
    /// The longest time.
    pub took: Duration,
}

impl Costs {
    const NONE: Self = Self { peak_bytes: 0, took: Duration::ZERO };
}

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
    Target { name: "flink_canonical", body: flink::canonical, seeds: flink::canonical_seeds },
    Target { name: "flink_changelog", body: flink::changelog, seeds: flink::changelog_seeds },
    Target { name: "flink_heap", body: flink::heap, seeds: flink::heap_seeds },
    Target { name: "flink_metadata", body: flink::metadata, seeds: flink::metadata_seeds },
    Target { name: "flink_operator", body: flink::operator, seeds: flink::operator_seeds },
    Target { name: "flink_raw_timers", body: flink::raw_timers, seeds: flink::raw_timers_seeds },
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

    /// What its dearest decodings have cost so far.
    pub fn costs(&self) -> Costs {
        COSTS.lock().unwrap_or_else(PoisonError::into_inner)[self.place()]
    }

    fn place(&self) -> usize {
        TARGETS.iter().position(|target| target.name == self.name).unwrap()
    }

    /// Gives `input` to the decoder. Only one thread may do so at a time, as memory is counted for
    /// the process.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn run(&self, input: &[u8]) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        PEAK_BEFORE.store(0, Ordering::Relaxed);
        RUNNING.store(self.place(), Ordering::Relaxed);
        (self.body)(input);
        let peak = ALLOCATOR.peak_usage().max(PEAK_BEFORE.load(Ordering::Relaxed));
        let peak = peak.saturating_sub(before);
        let packed = matches!(self.name, "layout" | "run" | "run_block");
        let each = if packed { BYTES_PER_PACKED_BYTE } else { BYTES_PER_INPUT_BYTE };
        let allowed = input.len().saturating_mul(each).saturating_add(BYTES_ALWAYS);
        assert!(peak <= allowed, "{peak} bytes of memory for {} bytes of input", input.len());
    }
}

/// What `decode` makes of `input`, a body's input or a piece of it.
///
/// # Panics
/// If it takes more than 64 MiB of memory at a time for an input below a MiB. What takes much too long is for libFuzzer, and for whoever waits.
fn decoding<T>(input: &[u8], decode: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    PEAK_BEFORE.fetch_max(ALLOCATOR.peak_usage(), Ordering::Relaxed);
    ALLOCATOR.reset_peak_usage();
    let started = Instant::now();
    let decoded = decode();
    let (took, peak) = (started.elapsed(), ALLOCATOR.peak_usage().saturating_sub(before));
    {
        let mut costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
        let costs = &mut costs[RUNNING.load(Ordering::Relaxed)];
        (costs.peak_bytes, costs.took) = (costs.peak_bytes.max(peak), costs.took.max(took));
    }
    let more = input.len().saturating_sub(BOUNDED_LEN_BYTES).saturating_mul(BYTES_PER_INPUT_BYTE);
    let allowed = BYTES_ALWAYS.saturating_add(more);
    assert!(peak <= allowed, "{peak} bytes of memory to decode {} bytes", input.len());
    decoded
}

/// Gives `input` to the target `name`: what a libFuzzer target calls.
///
/// # Panics
/// If there is no such target, or a promise is broken.
pub fn run(name: &str, input: &[u8]) {
    Target::named(name).unwrap().run(input);
}
