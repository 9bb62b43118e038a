//! Words counted on timely dataflow, with their counts in esker: it runs, dies, and goes on with more workers.
//!
//! `cargo run -p esker --example timely_wordcount --features timely [FOLDER]`

use esker::backend::heap::{HeapBackend, HeapBackends};
use esker::backend::operator::{OperatorBackend, OperatorListState};
use esker::backend::{Backend, Handle};
use esker::engine::timely::{Cluster, Keyed, Next, Outlet, Source, SourceOutlet, TimelyJob};
use esker::state::{OperatorListDescriptor, ValueDescriptor};
use esker::{Error, ErrorKind, Result, Settings, Store};

const TEXT: &str =
    "the stream leaves a ridge of layers behind and the layers stay when the stream is gone";
const LINES: u64 = 3_000;

/// Reads lines. How many it has read is its state: a snapshot holds it as it was at the barrier.
struct Lines {
    read: Handle<OperatorListState<u64>>,
    dies_at: u64,
}

impl Source for Lines {
    type Item = String;

    fn read(
        &mut self,
        state: &mut OperatorBackend,
        out: &mut SourceOutlet<String>,
    ) -> Result<Next> {
        let line = state.state(self.read)?.get().first().copied().unwrap_or(0);
        if line == self.dies_at {
            return Err(Error::new(ErrorKind::Retry, format!("the power goes at line {line}")));
        }
        out.emit(TEXT.to_owned());
        state.state(self.read)?.update(vec![line + 1]);
        Ok(if line + 1 == LINES { Next::End } else { Next::Now })
    }
}

/// Counts the words whose key groups are its own.
struct Count {
    backend: HeapBackend,
    count: Handle<<HeapBackend as Backend>::Value<String, (), u64>>,
}

impl Keyed for Count {
    type Backend = HeapBackend;
    type Input = String;
    type Output = (String, u64);

    fn backend(&mut self) -> &mut HeapBackend {
        &mut self.backend
    }

    fn record(&mut self, word: String, out: &mut Outlet<(String, u64)>) -> Result<()> {
        let add = |n: &mut Option<u64>| *n.insert(n.unwrap_or(0) + 1);
        let count = self.backend.state(self.count)?.rmw(&word, &(), add)?;
        out.emit((word, count));
        Ok(())
    }
}

fn live(folder: &str, workers: usize, dies_at: u64) -> Result<()> {
    let mut settings = Settings::default();
    settings.checkpoints.interval_ms = 20;
    let job = TimelyJob::new(Store::open(folder)?, "words", &settings);
    // Every worker builds the same; `Cluster::process` is for several processes.
    let end = job.run(Cluster::local(workers), move |flow| {
        if flow.worker() == 0 {
            println!("{workers} workers go on from checkpoint {:?}", flow.restored());
        }
        let lines = flow.source("lines", 1, |state, _| {
            let read = state.open(OperatorListDescriptor::<u64>::split("read"))?;
            Ok(Lines { read, dies_at })
        })?;
        let words = lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let counts = words.keyed("words", String::clone, &HeapBackends, |mut backend| {
            let count = backend.open(ValueDescriptor::new("count"))?;
            Ok(Count { backend, count })
        })?;
        let last = |(_, count): &(String, u64)| count % LINES == 0;
        counts.filter(last).for_each(|(word, count)| println!("{word}: {count}"));
        Ok(())
    })?;
    println!("{end:?}");
    Ok(())
}

fn main() -> Result<()> {
    let new = std::env::temp_dir().join(format!("esker-words-{}", std::process::id()));
    let folder = std::env::args().nth(1).unwrap_or_else(|| new.to_string_lossy().into_owned());
    if let Err(error) = live(&folder, 2, LINES / 2) {
        println!("{error}");
    }
    live(&folder, 3, u64::MAX)?;
    println!("look into it: cargo run -- dump {folder}");
    Ok(())
}
