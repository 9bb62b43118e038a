//! Embed esker in one page: open, write, checkpoint, crash, restore.
//!
//! `cargo run -p esker --example embed [FOLDER]`; run it again on the same folder, and it goes on counting.

use esker::backend::Backend;
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::state::{ListDescriptor, ValueDescriptor};
use esker::{Result, Store, block_on};

fn main() -> Result<()> {
    let new = || std::env::temp_dir().join("esker-embed").to_string_lossy().into_owned();
    let folder = std::env::args().nth(1).unwrap_or_else(new);
    for life in ["first", "second"] {
        live(life, &folder)?;
    }
    println!("look into it: cargo run -- dump {folder}");
    Ok(())
}

fn live(life: &str, folder: &str) -> Result<()> {
    // Become the owner of the job; whoever owned it before can write no more.
    let mut job = block_on(LocalJob::open(Store::open(folder)?, "departures"))?;

    // Open the states of an operator, then restore them from the last completed checkpoint.
    let mut backend = job.backend("airports", KeyGroupRange::ALL);
    let count = backend.open(ValueDescriptor::<String, u64>::new("count"))?;
    let delays = backend.open(ListDescriptor::<String, i64>::new("delays"))?;
    block_on(job.restore(&mut backend))?;
    for airport in ["EWR", "JFK", "LGA"].map(str::to_owned) {
        let found = backend.state(count)?.get(&airport, &())?.unwrap_or(0);
        println!("{life} life: {airport} begins with {found} departures");
    }

    // Process records.
    for (airport, delay) in [("EWR", 12), ("JFK", -3), ("EWR", 40)] {
        let airport = airport.to_owned();
        backend.state(count)?.rmw(&airport, &(), |n| *n = Some(n.unwrap_or(0) + 1))?;
        backend.state(delays)?.append(&airport, &(), delay)?;
    }

    // Captured in an instant, written as sorted immutable files, published by one record.
    let mut backends = [backend];
    let checkpoint = block_on(job.checkpoint(&mut backends))?;
    println!("{life} life: checkpoint {checkpoint} is complete");

    // This comes too late: it dies with the process, which crashes here.
    backends[0].state(count)?.update(&"LGA".to_owned(), &(), 1_000_000)?;
    Ok(())
}
