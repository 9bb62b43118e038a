//! The process that is killed: rows without end, checkpoints back to back.

use super::watch::{Activity, Hold, watched};
use crate::backends::{LOCAL, Tested, of_backend};
use crate::world::{Captured, Restored, Rows, Writer, check_files, restore};
use esker::backend::Backend;
use esker::checkpoint::Job as Owner;
use esker::snapshot::{ManifestReferences, read_manifest};
use esker::{Result, Store, block_on};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// The test below, as the test binary names it.
const TEST: &str = "crash::child::is_killed";
const VARIABLE: &str = "ESKER_CRASH_CHILD";
/// Rows after a capture before the stream waits for the next one: the parent recounts them all.
const ROWS_MAX: u64 = 400;
/// One checkpoint of so many is given up once its files are written.
const ABANDON_EVERY: u64 = 9;
/// After one checkpoint of so many the job is swept.
const SWEEP_EVERY: u64 = 5;

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// The name of the backend.
    pub(super) backend: String,
    /// The path or URL of the store.
    pub(super) at: String,
    pub(super) seed: u64,
    pub(super) parallelism: u32,
    pub(super) hold: Option<Hold>,
}

impl Order {
    /// This test binary, told to follow the order; what a backend has on the local disk is in `local`.
    pub(super) fn command(&self, local: &Path) -> Command {
        let Self { backend, at, seed, parallelism, hold } = self;
        let hold =
            hold.map(|Hold { activity, number, done }| format!("{activity:?} {number} {done}"));
        let hold = hold.unwrap_or_default();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--ignored", "--nocapture", "--test-threads=1"]);
        let order = format!("{backend}\n{seed}\n{parallelism}\n{hold}\n{at}");
        command.env(VARIABLE, order);
        command.env(LOCAL, local);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn parse(text: &str) -> Self {
        let [backend, seed, parallelism, hold, at] =
            text.splitn(5, '\n').collect::<Vec<_>>().try_into().unwrap();
        let hold = match hold.split(' ').collect::<Vec<_>>()[..] {
            [activity, number, done] => Some(Hold {
                activity: Activity::parse(activity),
                number: number.parse().unwrap(),
                done: done.parse().unwrap(),
            }),
            _ => None,
        };
        let (seed, parallelism) = (seed.parse().unwrap(), parallelism.parse().unwrap());
        Self { backend: backend.into(), at: at.into(), seed, parallelism, hold }
    }
}

#[test]
#[ignore = "the process that others kill"]
fn is_killed() {
    let Ok(order) = std::env::var(VARIABLE) else { return };
    let order = Order::parse(&order);
    // Ends the line that the test harness has begun.
    println!();
    of_backend!(order.backend.as_str(), run(&order)).unwrap();
}

fn run(factory: &impl Tested, order: &Order) -> Result<()> {
    let publishing = Arc::new(AtomicBool::new(false));
    let unwatched = Store::open(&order.at)?;
    let held = || println!("held");
    let store = watched(unwatched.clone(), order.hold, Arc::clone(&publishing), held);
    let mut owner = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences)))?;
    block_on(owner.sweep())?;
    check_files(&unwatched, &order.at);
    println!("swept");
    let last = owner.state().retained().last_key_value().map(|(_, last)| last.clone());
    let kept = last.map(|last| {
        block_on(read_manifest(&store, &last.manifest_path, Some(last.manifest_digest)))
    });
    let kept = kept.transpose()?;
    let restored =
        block_on(restore(factory, &store, kept.as_ref(), order.parallelism, order.seed))?;
    let Restored { mut rows, lineages } = restored;
    let writer = Writer::new(owner, &rows, lineages, kept)?;
    println!("running");
    let (wants, wanted) = mpsc::channel();
    let (sender, captured) = mpsc::channel();
    std::thread::spawn(move || {
        if let Err(error) = block_on(checkpoints(writer, &wants, &captured, &publishing)) {
            eprintln!("child: {error}");
            std::process::exit(2);
        }
    });
    flow(&mut rows, &wanted, &sender)
}

/// Takes rows, and captures between them whenever one is wanted.
fn flow(
    rows: &mut Rows<impl Backend>,
    wanted: &Receiver<()>,
    captured: &Sender<Captured>,
) -> Result<()> {
    let mut since = 0;
    loop {
        if wanted.try_recv().is_ok() {
            // The writer ends with the process.
            let _ = captured.send(rows.capture()?);
            since = 0;
        }
        if since < ROWS_MAX {
            rows.advance()?;
            since += 1;
        } else {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

async fn checkpoints(
    mut writer: Writer,
    wants: &Sender<()>,
    captured: &Receiver<Captured>,
    publishing: &AtomicBool,
) -> Result<()> {
    loop {
        let _ = wants.send(());
        let Ok(captured) = captured.recv() else { return Ok(()) };
        let open = writer.begin(captured)?;
        let (checkpoint, rows) = (open.checkpoint, open.rows);
        let written = writer.write(open).await?;
        if checkpoint.is_multiple_of(ABANDON_EVERY) {
            writer.owner.abandon(checkpoint);
        } else {
            publishing.store(true, Ordering::Relaxed);
            writer.publish(&written).await?;
            publishing.store(false, Ordering::Relaxed);
            println!("complete {checkpoint} {rows}");
        }
        writer.retain().await?;
        if checkpoint.is_multiple_of(SWEEP_EVERY) {
            writer.owner.sweep().await?;
        }
    }
}

#[test]
fn an_order_reads_as_it_was_written() {
    let hold = Some(Hold { activity: Activity::Sweep, number: 7, done: true });
    for hold in [None, hold] {
        let backend = "heap".to_owned();
        let order = Order { backend, at: "/a b".into(), seed: 9, parallelism: 2, hold };
        let command = order.command(Path::new("/local"));
        let text = command.get_envs().find(|(name, _)| *name == VARIABLE).unwrap().1.unwrap();
        assert_eq!(Order::parse(text.to_str().unwrap()), order);
    }
}
